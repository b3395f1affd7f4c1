//! Hostile input over HTTP: a problem that says why, and a service that lives.
//! What each parser bears is measured in `tests/it/hostile.rs`.

use super::{DEPOT, Service, example};
use crate::daemon::Setup;
use crate::hostile;

#[test]
fn hostile_documents_are_problems_and_the_service_lives() {
    let service = Service::start(&Setup::default());
    let form = example("valid", "une-ligne.xml");
    let refused = |target: &str, kind: &str, body: &[u8], wanted: u16| {
        let answer = service.post(target, kind, body);
        assert_eq!(answer.status, wanted, "{target} {kind}: {answer:?}");
        assert!(!answer.problem().is_empty());
    };
    // Which of the practitioners signs is asked first.
    let signatures = "/v1/signatures?practitioner=90000001";
    let nested = hostile::nested_elements(100_000);
    let bomb = hostile::deflate_bomb();
    for target in [DEPOT, signatures, "/v1/validations"] {
        let large = vec![b' '; sceau::base::limits::BODY_BYTES_MAX + 1];
        refused(target, "application/xml", &large, 413);
    }
    refused(DEPOT, "application/xml", &nested, 422);
    refused(signatures, "application/xml", &nested, 422);
    // A signature inflates no content; members that overlap it would read.
    let overlapping = hostile::overlapping_in_object_stream();
    refused(signatures, "application/pdf", &overlapping, 422);
    let with_bomb = service.hand_in(DEPOT, &form, Some(&bomb));
    assert_eq!(with_bomb.status, 422, "{with_bomb:?}");
    let json = "[".repeat(1_000_000);
    refused(DEPOT, "application/json", json.as_bytes(), 400);
    // A validation has a verdict for everything that is a document at all.
    for (kind, body) in [("application/xml", &nested), ("application/pdf", &bomb)] {
        let answer = service.post("/v1/validations", kind, body);
        assert_eq!(answer.status, 200, "{kind}: {answer:?}");
        let told = String::from_utf8_lossy(&answer.body);
        assert!(!told.contains("TOTAL-PASSED"), "{kind}");
    }
    assert_eq!(service.get("/v1/health").status, 200);
}
