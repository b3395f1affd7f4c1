//! QR symbols, print copies and copies for others by the API.

use super::{DEPOT, Service};
use crate::daemon::{Setup, example, pdf};
use crate::paper::{decoded, rendered};
use sceau::base::Uuid4;
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

#[test]
fn the_employer_gets_a_copy_without_the_diagnosis() {
    let service = Service::start(&Setup::default());
    let folder = super::root().join("xsd/ecit/1/examples/valid/depot");
    let xml = std::fs::read_to_string(folder.join("accident-travail.xml")).unwrap();
    let uuid = Uuid4::random().to_string();
    let start = xml.find(":uuid>").unwrap() + ":uuid>".len();
    let xml = format!("{}{uuid}{}", &xml[..start], &xml[start + 36..]);
    // The diagnosis where no schema looks for it.
    let root = "<ecit:certificatIncapacite ";
    let talkative = format!(
        "{root}xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
         xsi:schemaLocation=\"urn:TEST-B2 x\" xmlns:diag=\"urn:TEST-B2\" "
    );
    let xml = xml.replacen(root, &talkative, 1);
    assert!(xml.contains("<ecit:codeDiagnostic>TEST-B2<"));
    let pdf = pdf("memoire-gs-a2b.pdf");
    let answer = service.hand_in("/v1/forms/ecit/depot", xml.as_bytes(), Some(&pdf));
    assert_eq!(answer.status, 202, "{answer:?}");
    let location = answer.header("location").unwrap().to_owned();
    let at_once = service.get(&format!("{location}/copies/employeur"));
    service.daemon.wait_for(&uuid, &["receipted"]);
    let copy = service.get(&format!("{location}/copies/employeur"));
    assert_eq!(copy.header("content-type"), Some("application/xml"));
    assert_eq!(copy.body, at_once.body);
    let copy = String::from_utf8(copy.body).unwrap();
    for hidden in [
        "TEST-B2",
        "U202600123",
        "accident",
        "cause",
        "codeDiagnostic",
        "document",
        "Signature",
        "schemaLocation",
    ] {
        assert!(!copy.contains(hidden), "{hidden} in {copy}");
    }
    for shown in [uuid.as_str(), "Modèle", "<ecit:dateFin>2026-09-18<"] {
        assert!(copy.contains(shown), "{shown} not in {copy}");
    }

    let forms = service.get("/v1/forms/ecit").json();
    let operations = forms["operations"].as_array().unwrap();
    let copies = operations.iter().map(|operation| &operation["copies"]);
    let employer = json!({
        "name": "employeur",
        "label": { "fr": "Exemplaire de l'employeur", "de": "Exemplar des Arbeitgebers", "en": "Employer's copy" },
    });
    assert_eq!(Vec::from_iter(copies), [&json!(null), &json!([employer])]);
    let problem = |token: &str, path: &str| {
        let answer = service.ask_with(token, "GET", path, &[], b"");
        (answer.status, answer.problem())
    };
    let program = service.program.as_str();
    let is = |code: &str| (404, code.to_owned());
    let path = format!("{location}/copies/employeur");
    let other = format!("{location}/copies/patient");
    assert_eq!(problem(program, &other), is("copy-unknown"));
    let unknown = path.replace(&uuid, &Uuid4::random().to_string());
    assert_eq!(problem(program, &unknown), is("submission-unknown"));
    // Of another's documents a bound program gets no copy either.
    let bound = ["pair", "bound", "--practitioner", "90000002"];
    let bound = service.daemon.command(&bound).stdout;
    let bound = String::from_utf8(bound).unwrap();
    assert_eq!(problem(bound.trim(), &path), is("submission-unknown"));
    assert_eq!(problem("", &path), (401, "unauthorized".to_owned()));
}
