use super::*;
use crate::x509::testing::{dotted, element, sequence};

#[test]
fn a_chain_runs_from_leaf_to_anchor() {
    let world = world();
    let trust = world.trust();
    let leaf = world.leaf().build(Some(&world.ca)).cert;
    // A namesake of the authority in the pool must not confuse the search.
    let namesake = Builder::new("CA").ca(None).build(Some(&world.root)).cert;
    let pool = [namesake, world.ca.cert.clone()];
    let found = chain(&trust, &leaf, &pool).unwrap();
    assert_eq!(found, world.chain_of(&leaf));
    let root = &world.root.cert;
    assert_eq!(
        chain(&trust, root, &[]).unwrap(),
        std::slice::from_ref(root)
    );
}

#[test]
fn without_anchors_nothing_starts() {
    let settings = Settings {
        anchors: Vec::new(),
        ..world().trust().settings
    };
    let refused = Trust::new(settings, Arc::new(HandClock::default()));
    assert!(matches!(refused, Err(TrustError::NoAnchors)));
}

#[test]
fn missing_authorities_are_fetched_once() {
    let world = world();
    let trust = world.trust();
    let leaf = world.leaf().issuer_url(&world.server.url("/ca.crt"));
    let leaf = leaf.build(Some(&world.ca)).cert;
    let mut calls = Vec::new();
    let lost = trust.chain(&leaf, &[], NOW, &mut calls).unwrap_err();
    assert!(lost.is_transient(), "{lost:?}");
    assert_eq!(calls.pop().unwrap().result, lost.to_string());

    world.server.serve("/ca.crt", world.ca.cert.der().to_vec());
    for from_cache in [false, true] {
        let found = trust.chain(&leaf, &[], NOW, &mut calls).unwrap();
        assert_eq!(found, world.chain_of(&leaf));
        let call = calls.pop().unwrap();
        assert_eq!((call.purpose, call.from_cache), ("aia", from_cache));
        assert!(calls.is_empty());
    }
    // The authority got a new key: what is remembered does not fit any more.
    let renewed = Builder::new("CA").ca(None).build(Some(&world.root));
    let der = renewed.cert.der().to_vec();
    world.server.serve("/ca.crt", der);
    let leaf = world.leaf().issuer_url(&world.server.url("/ca.crt"));
    let leaf = leaf.build(Some(&renewed)).cert;
    let found = trust.chain(&leaf, &[], NOW, &mut calls).unwrap();
    assert_eq!(found[1], renewed.cert);
}

#[test]
fn authorities_are_fetched_in_every_packing_but_not_others() {
    let world = world();
    let leaf = world.leaf().issuer_url(&world.server.url("/ca.crt"));
    let leaf = leaf.build(Some(&world.ca)).cert;
    let bag = {
        let data = sequence(&[&dotted("1.2.840.113549.1.7.1")]);
        let certs = element(0xa0, &[world.ca.cert.der()]);
        let fields = [&[2, 1, 1, 0x31, 0], data.as_slice(), &certs, &[0x31, 0]];
        let wrapped = element(0xa0, &[&sequence(&fields)]);
        sequence(&[&dotted("1.2.840.113549.1.7.2"), &wrapped])
    };
    for body in [bag, world.ca.cert.to_pem().into_bytes()] {
        world.server.serve("/ca.crt", body);
        assert!(chain(&world.trust(), &leaf, &[]).is_ok());
    }
    for body in [world.root.cert.der().to_vec(), b"<html>".to_vec()] {
        world.server.serve("/ca.crt", body);
        let refused = chain(&world.trust(), &leaf, &[]).unwrap_err();
        assert!(matches!(refused, TrustError::Answer { purpose: "aia", .. }));
    }
}

#[test]
fn authorities_that_may_not_issue_are_refused() {
    let world = world();
    let below = |issuer: Party| {
        let leaf = Builder::new("Leaf").build(Some(&issuer)).cert;
        chain(
            &world.trust(),
            &leaf,
            &[issuer.cert.clone(), world.ca.cert.clone()],
        )
    };
    let reason = |verdict: Result<Vec<Cert>, TrustError>| match verdict {
        Err(TrustError::NotTrusted { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    let root = Some(&world.root);
    let plain = Builder::new("Plain").build(root);
    assert_eq!(reason(below(plain)), "it is no certificate authority");
    let no_signing = Builder::new("Plain").ca_with(None, 0b0000_0010).build(root);
    assert_eq!(reason(below(no_signing)), "it may not sign certificates");
    let unknown = Builder::new("Sub")
        .ca(None)
        .extension("1.2.3", Some(true), b"");
    let found = reason(below(unknown.build(root)));
    assert_eq!(found, "its critical extension 1.2.3 is not understood");
    for oid in ["2.5.29.30", "2.5.29.36"] {
        let sub = Builder::new("Sub").ca(None);
        let sub = sub.extension(oid, Some(true), b"");
        assert!(reason(below(sub.build(root))).contains("is not understood"));
    }
    // An alternative name, and what matters only once a policy is demanded:
    // no policy is, and policyConstraints, which could, are not understood.
    for oid in ["2.5.29.18", "2.5.29.33", "2.5.29.54"] {
        let sub = Builder::new("Sub").ca(None);
        let sub = sub.extension(oid, Some(true), b"");
        assert!(below(sub.build(root)).is_ok(), "{oid}");
    }
    // The issuing authority allows no further authority below itself.
    let sub = Builder::new("Sub").ca(None).build(Some(&world.ca));
    let found = reason(below(sub));
    assert_eq!(found, "there are more authorities below it than it allows");
    assert!(below(Builder::new("Sub").ca(Some(0)).build(root)).is_ok());
}

#[test]
fn certificates_count_only_while_valid() {
    let world = world();
    let day = time::Duration::days(1);
    let expired = |b: Builder| b.validity(NOW - day * 9, NOW - day);
    let leaf = expired(world.leaf()).build(Some(&world.ca)).cert;
    let pool = [world.ca.cert.clone()];
    let refused = chain(&world.trust(), &leaf, &pool).unwrap_err();
    assert!(matches!(refused, TrustError::NotValid { .. }) && !refused.is_transient());
    let then = world
        .trust()
        .chain(&leaf, &pool, NOW - day * 2, &mut Vec::new());
    assert!(then.is_ok());
    let early = world.leaf().validity(NOW + day, NOW + day * 2);
    let early = chain(&world.trust(), &early.build(Some(&world.ca)).cert, &pool);
    assert!(matches!(early, Err(TrustError::NotValid { .. })));

    let old_ca = expired(Builder::new("Old").ca(None)).build(Some(&world.root));
    let leaf = world.leaf().build(Some(&old_ca)).cert;
    let refused = chain(&world.trust(), &leaf, &[old_ca.cert]);
    let Err(TrustError::NotValid { subject, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(subject, "CN=Old");
    let old_root = expired(Builder::new("Old root").ca(None)).build(None);
    let leaf = world.leaf().build(Some(&old_root)).cert;
    let trust = world.trust_with(|s| s.anchors.push(old_root.cert.clone()));
    assert!(matches!(
        chain(&trust, &leaf, &[]),
        Err(TrustError::NotValid { .. })
    ));
}

#[test]
fn strangers_and_forgers_are_refused() {
    let world = world();
    let stranger = Builder::new("Stranger").ca(None).build(None);
    let forger = Builder::new("CA").ca(None).build(None);
    for issuer in [&stranger, &forger] {
        let leaf = world.leaf().build(Some(issuer)).cert;
        for pool in [
            vec![],
            vec![issuer.cert.clone()],
            vec![world.ca.cert.clone()],
        ] {
            let refused = chain(&world.trust(), &leaf, &pool).unwrap_err();
            assert!(
                matches!(refused, TrustError::NotTrusted { .. }),
                "{refused:?}"
            );
            assert_eq!((refused.class(), refused.is_transient()), ("ours", false));
        }
    }
    let pool = [world.ca.cert.clone()];
    let mut sha1 = world.leaf();
    sha1.algorithm = sequence(&[&dotted("1.2.840.10045.4.1")]);
    let leaf = sha1.build(Some(&world.ca)).cert;
    let refused = chain(&world.trust(), &leaf, &pool).unwrap_err();
    assert!(refused.to_string().contains("is not accepted"), "{refused}");
}

#[test]
fn long_and_crossed_chains_end() {
    let world = world();
    let mut authorities = vec![Builder::new("0").ca(None).build(Some(&world.root))];
    for n in 1..9 {
        let next = Builder::new(&n.to_string())
            .ca(None)
            .build(authorities.last());
        authorities.push(next);
    }
    let pool: Vec<Cert> = authorities.iter().map(|a| a.cert.clone()).collect();
    // Leaf, six authorities and the root are eight.
    for (issuer, accepted) in [(5, true), (6, false)] {
        let leaf = world.leaf().build(Some(&authorities[issuer])).cert;
        let found = chain(&world.trust(), &leaf, &pool);
        assert_eq!(found.is_ok(), accepted, "{found:?}");
    }
    // Authorities that certify one another under few names, no anchor.
    let circle: Vec<Party> = (0..12)
        .map(|_| Builder::new("Same").ca(None).build(None))
        .collect();
    let crossed = circle
        .iter()
        .zip(circle.iter().cycle().skip(1))
        .map(|(a, b)| {
            let key = rcgen::KeyPair::from_pem(&a.key.serialize_pem()).unwrap();
            Builder::new("Same").ca(None).build_for(key, Some(b)).cert
        });
    let pool: Vec<Cert> = crossed.collect();
    let leaf = world.leaf().build(circle.first()).cert;
    assert_eq!(leaf.issuer_der(), name("Same"));
    assert!(chain(&world.trust(), &leaf, &pool).is_err());
    // One key under one name in many certificates: each is a right issuer of
    // each, and without a bound the search would try every order of them.
    let key = || rcgen::KeyPair::from_pem(&circle[0].key.serialize_pem()).unwrap();
    let pool: Vec<Cert> = (1..30)
        .map(|n| Builder::new("Same").serial(&[n]).ca(None))
        .map(|builder| builder.build_for(key(), None).cert)
        .collect();
    assert!(chain(&world.trust(), &leaf, &pool).is_err());
}
