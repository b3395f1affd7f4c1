//! QR symbols and print copies by the API.

use super::{DEPOT, Service};
use crate::daemon::{Setup, example, pdf};
use crate::paper::{decoded, rendered};
use serde_json::json;

/// A form without PDF and without QR symbol.
const SIMULATION: &str = "/v1/forms/pid/simulation";

#[test]
fn a_document_has_its_symbol_and_its_copy_once_it_is_accepted() {
    // Nothing is signed: paper does not wait for the card.
    let setup = Setup {
        layer: "token = []\n".to_owned(),
        ..Setup::default()
    };
    let service = Service::start(&setup);
    let (uuid, xml) = example("une-ligne.xml");
    let pdf = pdf("memoire-gs-a2b.pdf");
    assert_eq!(service.hand_in(DEPOT, &xml, Some(&pdf)).status, 202);
    let qr = format!("/v1/submissions/{uuid}/qr");
    let svg = service.get(&qr);
    assert_eq!(svg.header("content-type"), Some("image/svg+xml"));
    assert!(svg.body.starts_with(b"<svg "));

    let folder = tempfile::tempdir().unwrap();
    let png = |accept: &str, query: &str| {
        service.ask("GET", &format!("{qr}{query}"), &[("Accept", accept)], b"")
    };
    let answer = png("image/png", "?size=300");
    assert_eq!(answer.header("content-type"), Some("image/png"));
    let file = folder.path().join("symbol.png");
    std::fs::write(&file, &answer.body).unwrap();
    assert_eq!(decoded(&file), uuid);
    let both = png("image/png, image/svg+xml;q=0.5", "");
    assert_eq!(both.header("content-type"), Some("image/svg+xml"));
    for query in ["?size=63", "?size=2049", "?size=-1", "?side=100"] {
        assert_eq!(
            png("image/png", query).problem(),
            "query-malformed",
            "{query}"
        );
    }

    let copy = service.get(&format!("/v1/submissions/{uuid}/print"));
    assert_eq!(copy.header("content-type"), Some("application/pdf"));
    assert_eq!(decoded(&rendered(&copy.body, folder.path())), uuid);
    assert_ne!(copy.body, pdf);
    // The copy is no form: it is refused where it is handed in.
    let (_, xml) = example("une-ligne.xml");
    let refused = service.hand_in(DEPOT, &xml, Some(&copy.body));
    assert_eq!(refused.problem(), "pdf-invalid");
}

#[test]
fn a_form_without_symbol_has_no_paper() {
    let service = Service::start(&Setup::default());
    let folder = super::root().join("xsd/pid/2/examples/valid/simulation");
    let xml = std::fs::read_to_string(folder.join("une-ligne.xml")).unwrap();
    let body = json!({ "xml": xml }).to_string();
    let answer = service.post(SIMULATION, "application/json", body.as_bytes());
    let location = answer.header("location").unwrap().to_owned();
    for part in ["qr", "print"] {
        let answer = service.get(&format!("{location}/{part}"));
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (404, "not-printable")
        );
        let unknown = format!("/v1/submissions/{}/{part}", sceau::base::Uuid4::random());
        assert_eq!(service.get(&unknown).problem(), "submission-unknown");
    }
}
