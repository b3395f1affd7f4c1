use super::*;
use crate::x509::CertStatus;

/// What is said about the leaf, and by which calls it was found.
fn said(world: &World, leaf: &Cert) -> (Vec<CertStatus>, Vec<(&'static str, bool)>) {
    let mut calls = Vec::new();
    let chain = [leaf.clone(), world.ca.cert.clone()];
    let evidence = world.trust().statements(&chain, &mut calls);
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
