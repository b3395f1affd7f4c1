//! The XML report: what TS 119 102-2 asks for is there, and every reference
//! leads to an object that is byte for byte what was used.

use super::*;
use roxmltree::{Document, Node};

const NAMESPACE: &str = "http://uri.etsi.org/19102/v1.4.1#";

fn text<'a>(document: &'a Document<'_>, name: &str) -> Vec<&'a str> {
    let named = |node: &Node<'_, '_>| node.has_tag_name((NAMESPACE, name));
    let found = document.descendants().filter(named);
    found.filter_map(|node| node.text()).collect()
}

#[test]
fn the_xml_report_says_what_the_other_says() {
    let world = World::new();
    let revoked = world.about_signer(&Ocsp::revoked(STAMPED + Span::seconds(1)));
    let context = world.around(NOW).plus(&[revoked]);
    let xml = check(&world.stamped(), &context).to_etsi_xml();
    let document = Document::parse(&xml).unwrap();
    assert_eq!(
        text(&document, "MainIndication"),
        [
            "urn:etsi:019102:mainindication:total-passed",
            "urn:etsi:019102:mainindication:passed"
        ]
    );
    assert_eq!(text(&document, "SubIndication"), Vec::<&str>::new());
    assert_eq!(text(&document, "ValidationTime"), ["2026-06-15T12:00:00Z"]);
    let stamped = "2026-06-15T10:00:05Z";
    // Of the best signature time, and provided by the timestamp.
    assert_eq!(text(&document, "POETime"), [stamped, stamped]);
    assert_eq!(text(&document, "TimeStampValue"), [stamped]);
    assert_eq!(text(&document, "Time"), ["2026-06-15T10:00:00Z"]);
    assert_eq!(text(&document, "Signer"), ["CN=Test Signer"]);
    assert_eq!(text(&document, "RevocationTime"), ["2026-06-15T10:00:06Z"]);
    assert_eq!(
        text(&document, "RevocationReason"),
        ["urn:etsi:019102:revocationReason:keyCompromise"]
    );
    let process = "urn:etsi:019102:validationprocess:LTVM";
    assert_eq!(text(&document, "SignatureValidationProcessID"), [process]);
}

#[test]
fn every_reference_of_the_xml_report_leads_to_an_object() {
    let world = World::new();
    let xml = check(&world.stamped(), &world.full(NOW)).to_etsi_xml();
    let document = Document::parse(&xml).unwrap();
    let ids: Vec<&str> = document
        .descendants()
        .filter_map(|node| node.attribute("id"))
        .collect();
    let mut references = document
        .descendants()
        .filter_map(|node| node.attribute("VOReference"))
        .peekable();
    assert!(references.peek().is_some());
    assert!(references.all(|reference| ids.contains(&reference)));
    let values = text(&document, "base64");
    assert_eq!(values.len(), ids.len());
    use base64::Engine;
    for der in [
        world.signer.cert.der(),
        world.tsa.cert.der(),
        world.root.cert.der(),
    ] {
        let coded = base64::engine::general_purpose::STANDARD.encode(der);
        assert_eq!(values.iter().filter(|value| **value == coded).count(), 1);
    }
}

#[test]
fn a_refused_document_has_an_xml_report_too() {
    let world = World::new();
    let xml = check(b"<f:form", &world.full(NOW)).to_etsi_xml();
    let document = Document::parse(&xml).unwrap();
    assert_eq!(
        text(&document, "MainIndication"),
        ["urn:etsi:019102:mainindication:total-failed"]
    );
    assert_eq!(
        text(&document, "SubIndication"),
        ["urn:etsi:019102:subindication:FORMAT_FAILURE"]
    );
}
