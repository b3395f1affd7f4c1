use super::*;
use std::path::{Path, PathBuf};

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|p| p.extension().is_some_and(|e| e == "xml"))
        .collect()
}

/// What the service of a form says about a document before any other.
fn decide(namespace: &str, operation: &str, xml: &str) -> Decision {
    let doc = roxmltree::Document::parse(xml).unwrap();
    let case = Case {
        root: doc.root_element(),
        namespace,
        form: "f",
        code: "90000001",
        secu_id: "SANDBOX-00000001",
        book: &Book::default(),
        consent: true,
    };
    (of(namespace, operation).decide)(&case).unwrap()
}

#[test]
fn every_valid_example_that_names_no_other_document_is_accepted() {
    let forms = [
        (MEMOIRE, "memoire-honoraires/2", "depot"),
        (PID, "pid/2", "simulation"),
        (ECIT, "ecit/1", "depot"),
        (EORDONNANCE, "eordonnance/1", "depot"),
    ];
    let packs = Path::new(env!("CARGO_MANIFEST_DIR")).join("xsd");
    for (namespace, pack, operation) in forms {
        let examples = files(&packs.join(pack).join("examples/valid").join(operation));
        assert!(examples.len() >= 4, "{pack}");
        for example in examples {
            let xml = std::fs::read_to_string(&example).unwrap();
            let decision = decide(namespace, operation, &xml);
            let refused = decision.anomalies.iter().any(|a| a.blocks());
            assert!(!refused, "{}: {:?}", example.display(), decision.anomalies);
        }
    }
}

#[test]
fn what_names_an_unknown_document_is_refused() {
    let forms = [
        (MEMOIRE, "memoire-honoraires/2", "annulation", "SBX-030"),
        (PID, "pid/2", "validation", "SBX-040"),
        (PID, "pid/2", "contestation", "SBX-040"),
        (ECIT, "ecit/1", "annulation", "SBX-030"),
        (EORDONNANCE, "eordonnance/1", "annulation", "SBX-030"),
    ];
    let packs = Path::new(env!("CARGO_MANIFEST_DIR")).join("xsd");
    for (namespace, pack, operation, code) in forms {
        for example in files(&packs.join(pack).join("examples/valid").join(operation)) {
            let xml = std::fs::read_to_string(&example).unwrap();
            let decision = decide(namespace, operation, &xml);
            let first = decision.anomalies.first().map(|a| a.code.to_string());
            assert_eq!(first.as_deref(), Some(code), "{}", example.display());
            assert!(decision.effects.is_empty() && decision.content.is_empty());
        }
    }
}

#[test]
fn a_form_nobody_has_seen_is_accepted() {
    let decision = decide("urn:test", "anything", "<a/>");
    assert!(decision.anomalies.is_empty());
    assert_eq!(decision.ahead, [Status::Sent]);
}
