use super::*;
use crate::x509::CertStatus;

/// What is said about the leaf, and by which calls it was found.
fn said(world: &World, leaf: &Cert) -> (Vec<CertStatus>, Vec<(&'static str, bool)>) {
    let mut calls = Vec::new();
    let chain = [leaf.clone(), world.ca.cert.clone()];
    let trust = world.trust();
    let evidence = trust.statements(&chain, &mut calls, &mut Budget::of_report());
    let about = |item: &Evidence| item.examine(leaf, &world.ca.cert).ok();
    let found = evidence.iter().filter_map(about).map(|f| f.status);
    let calls = calls.iter().map(|c| (c.purpose, c.result == "ok"));
    (found.collect(), calls.collect())
}

#[test]
fn a_revocation_is_a_statement_not_an_error() {
    let world = world();
    let leaf = world.leaf().build(Some(&world.ca)).cert;
    let revoked = Ocsp::revoked(NOW);
    world
        .server
        .serve("/ocsp", revoked.sign(&leaf, &world.ca.cert, &world.ca));
    assert_eq!(
        said(&world, &leaf),
        (vec![revoked.status], vec![("ocsp", true)])
    );
}

#[test]
fn the_next_source_is_asked_when_one_says_nothing_by_somebody_entitled() {
    let world = world();
    let leaf = world.leaf().build(Some(&world.ca)).cert;
    world.server.serve(
        "/ocsp",
        Ocsp::good(NOW).sign(&leaf, &world.ca.cert, &world.root),
    );
    world
        .server
        .serve("/ca.crl", List::empty(NOW).sign(&world.ca));
    let calls = vec![("ocsp", false), ("crl", true)];
    assert_eq!(said(&world, &leaf), (vec![CertStatus::Good], calls));
}

#[test]
fn a_delegated_responder_is_asked_about_unless_its_certificate_says_not_to() {
    let world = world();
    let leaf = world.leaf().build(Some(&world.ca)).cert;
    let responder = || {
        let builder = Builder::new("Responder").serial(&[0x0d]);
        let builder = builder.purposes(false, &[crate::x509::testing::OCSP_SIGNING]);
        builder.crl_url(&world.server.url("/ca.crl"))
    };
    world
        .server
        .serve("/ca.crl", List::empty(NOW).sign(&world.ca));
    for (builder, calls) in [
        (responder().no_check(), vec![("ocsp", true)]),
        (responder(), vec![("ocsp", true), ("crl", true)]),
    ] {
        let party = builder.build(Some(&world.ca));
        world
            .server
            .serve("/ocsp", Ocsp::good(NOW).sign(&leaf, &world.ca.cert, &party));
        assert_eq!(said(&world, &leaf).1, calls);
    }
}

#[test]
fn a_responder_that_knows_nothing_does_not_keep_the_list_from_being_asked() {
    let world = world();
    let leaf = world.leaf().build(Some(&world.ca)).cert;
    let unknown = Ocsp {
        status: CertStatus::Unknown,
        ..Ocsp::good(NOW)
    };
    let unknown = unknown.sign(&leaf, &world.ca.cert, &world.ca);
    world.server.serve("/ocsp", unknown);
    let calls = |list| vec![("ocsp", true), ("crl", list)];
    let nothing_more = (vec![CertStatus::Unknown], calls(false));
    assert_eq!(said(&world, &leaf), nothing_more);
    let list = List::revoking(NOW, leaf.serial()).sign(&world.ca);
    world.server.serve("/ca.crl", list);
    let (status, asked) = said(&world, &leaf);
    assert!(matches!(status.as_slice(), [CertStatus::Revoked { .. }]));
    assert_eq!(asked, calls(true));
}

#[test]
fn a_responder_is_asked_as_configured_and_then_with_the_other_digest() {
    let world = world();
    let leaf = world.leaf().build(Some(&world.ca)).cert;
    let good = Ocsp::good(NOW).sign(&leaf, &world.ca.cert, &world.ca);
    let seen: Arc<Mutex<Vec<CertIdDigest>>> = Arc::default();
    let log = Arc::clone(&seen);
    world.server.route("/ocsp", move |request| {
        let sha256 = crate::x509::testing::dotted("2.16.840.1.101.3.4.2.1");
        let nonce = crate::x509::testing::dotted("1.3.6.1.5.5.7.48.1.2");
        let has = |part: &[u8]| request.windows(part.len()).any(|found| found == part);
        assert!(has(&nonce));
        let digest = match has(&sha256) {
            true => CertIdDigest::Sha256,
            false => CertIdDigest::Sha1,
        };
        log.lock().unwrap().push(digest);
        match digest {
            CertIdDigest::Sha256 => (200, vec![0x30, 3, 0x0a, 1, 6]),
            CertIdDigest::Sha1 => (200, good.clone()),
        }
    });
    let trust = world.trust_with(|settings| {
        settings.ocsp_cert_id = CertIdDigest::Sha256;
        settings.ocsp_nonce = true;
    });
    let chain = [leaf, world.ca.cert.clone()];
    let found = trust.statements(&chain, &mut Vec::new(), &mut Budget::of_report());
    assert_eq!(found.len(), 1);
    let asked = [CertIdDigest::Sha256, CertIdDigest::Sha1];
    assert_eq!(*seen.lock().unwrap(), asked);
}

/// A self-made certificate must not make this machine knock at doors.
#[test]
fn a_strangers_certificate_leads_to_few_calls_and_to_none_inside() {
    let world = world();
    let mut leaf = world.leaf();
    for n in 0..4 {
        leaf = leaf.issuer_url(&world.server.url(&format!("/{n}")));
    }
    let leaf = leaf.build(Some(&world.ca)).cert;
    let ask = |trust: &Trust, times: usize| {
        let (mut calls, mut budget) = (Vec::new(), Budget::of_report());
        for _ in 0..times {
            let found = trust.strangers_chain(&leaf, &[], NOW, &mut calls, &mut budget);
            assert!(found.is_err());
        }
        let asked = |c: &Call| !c.result.starts_with("not asked: ");
        (calls.iter().filter(|c| asked(c)).count(), calls.len())
    };
    // The server is on a configured authority's host.
    let most = crate::base::limits::REPORT_CALLS_MAX;
    assert_eq!(ask(&world.trust(), 1), (4, 4));
    // Beyond the budget: said once, whatever else is wanted.
    assert_eq!(ask(&world.trust(), most), (most, most + 1));
    let elsewhere = world.trust_with(|settings| {
        settings.timestamp_authorities[0].url = "http://tsa.example.org/".to_owned();
    });
    assert_eq!(ask(&elsewhere, 1), (0, 4));
    // Our own card's issuer may be inside.
    let mut calls = Vec::new();
    assert!(elsewhere.chain(&leaf, &[], NOW, &mut calls).is_err());
    assert!(calls[0].result.contains("HTTP status 404"));
}
