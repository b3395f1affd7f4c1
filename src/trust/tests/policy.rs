use super::*;
use crate::x509::{KeyKind, SignatureAlgorithm};
use time::macros::datetime;

/// The list of TS 119 312 v1.5.1 as published in machine-readable form,
/// 2024-10-13: name, bits (0: a digest), first day of not being accepted.
const PUBLISHED: &[(&str, u32, Option<&str>)] = &[
    ("SHA-1", 0, Some("2012-08-01")),
    ("SHA-224", 0, Some("2029-01-01")),
    ("SHA-256", 0, None),
    ("SHA-384", 0, None),
    ("SHA-512", 0, None),
    ("SHA3-256", 0, None),
    ("SHA3-384", 0, None),
    ("SHA3-512", 0, None),
    ("RSASSA-PKCS1-v1_5", 786, Some("2010-08-01")),
    ("RSASSA-PKCS1-v1_5", 1024, Some("2019-10-01")),
    ("RSASSA-PKCS1-v1_5", 1536, Some("2019-10-01")),
    ("RSASSA-PKCS1-v1_5", 1900, Some("2029-01-01")),
    ("RSASSA-PKCS1-v1_5", 3000, Some("2029-01-01")),
    ("RSASSA-PSS", 1900, Some("2029-01-01")),
    ("RSASSA-PSS", 3000, None),
    ("ECDSA", 160, Some("2012-08-01")),
    ("ECDSA", 163, Some("2012-08-01")),
    ("ECDSA", 224, Some("2021-10-01")),
    ("ECDSA", 256, None),
];

#[test]
fn the_built_in_list_is_the_published_one_row_by_row() {
    let policy = AlgorithmPolicy::built_in();
    let rows = policy.rows();
    let published: Vec<_> = PUBLISHED
        .iter()
        .map(|(name, bits, until)| ((*name).to_owned(), *bits, until.map(str::to_owned)))
        .collect();
    assert_eq!(rows, published);
    assert_eq!(policy.name(), "TS 119 312 v1.5.1");
}

#[test]
fn an_algorithm_is_judged_at_its_time() {
    let policy = AlgorithmPolicy::built_in();
    let last_day = datetime!(2028-12-31 23:59:59 UTC);
    let first_day_after = datetime!(2029-01-01 0:00 UTC);
    let rsa = |bits| KeyKind::Rsa { bits };
    use SignatureAlgorithm as A;
    for (algorithm, key, then, after) in [
        (A::RsaPkcs1Sha256, rsa(2048), true, false),
        (A::RsaPkcs1Sha512, rsa(4096), true, false),
        (A::RsaPssSha256, rsa(2048), true, false),
        (A::RsaPssSha256, rsa(3072), true, true),
        (A::RsaPkcs1Sha256, rsa(1024), false, false),
        (A::RsaPssSha256, rsa(1024), false, false),
        (A::EcdsaSha256, KeyKind::P256, true, true),
        (A::EcdsaSha384, KeyKind::P384, true, true),
        (A::EcdsaSha256, KeyKind::Other, false, false),
    ] {
        let judged = |at| policy.check_signature(algorithm, key, at).is_ok();
        assert_eq!((judged(last_day), judged(first_day_after)), (then, after));
    }
    let early = datetime!(2019-09-30 0:00 UTC);
    assert!(policy.check_key(rsa(1024), early).is_ok());
    let fault = policy.check_key(rsa(1024), NOW).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "RSASSA-PKCS1-v1_5 with 1024 bits is not accepted since 2019-10-01"
    );
    assert!(policy.check_key(rsa(4096), first_day_after).is_ok());
    assert!(policy.check_digest("SHA-1", NOW).is_err());
    assert!(
        policy
            .check_digest("SHA-1", datetime!(2012-07-31 0:00 UTC))
            .is_ok()
    );
    let fault = policy
        .check_digest("MD5", datetime!(1999-01-01 0:00 UTC))
        .unwrap_err();
    assert_eq!(
        (fault.to_string().as_str(), fault.until),
        ("MD5 is not accepted", None)
    );
}

#[test]
fn a_list_of_ones_own_is_read_strictly_and_obeyed() {
    let text = "name = \"own\"\ndigest = [{name = \"SHA-256\"}]\nsignature = []";
    let own = AlgorithmPolicy::from_toml(text).unwrap();
    let world = world();
    let leaf = world.leaf().build(Some(&world.ca)).cert;
    let pool = [world.ca.cert.clone()];
    chain(&world.trust(), &leaf, &pool).unwrap();
    let strict = world.trust_with(|s| s.algorithms = own);
    let refused = chain(&strict, &leaf, &pool).unwrap_err();
    let TrustError::Algorithm { subject, source } = &refused else {
        panic!("{refused:?}");
    };
    assert_eq!((subject.as_str(), source.until), ("CN=Leaf", None));
    assert_eq!((refused.class(), refused.is_transient()), ("ours", false));
    for text in [
        "",
        "name = \"x\"\ndigest = []\nsignature = []\nmore = 1",
        "name = \"x\"\ndigest = [{name = \"SHA-1\", until = \"soon\"}]\nsignature = []",
    ] {
        let refused = AlgorithmPolicy::from_toml(text);
        assert!(
            matches!(refused, Err(TrustError::Algorithms { .. })),
            "{text}"
        );
    }
}
