//! `POST /v1/validations` and `sceau validate`: each level of both formats over
//! real HTTP, evidence fetched where the document has none, and the report.

use super::Service;
use super::raw::Answer;
use crate::daemon::Setup;
use crate::outage::soft_token;
use crate::sandbox::Sandbox;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const XML: &str = "application/xml";
const PDF: &str = "application/pdf";
const LETTER: &str = "<l:letter xmlns:l=\"urn:test:letter\"><sig/><l:text>a</l:text></l:letter>";

impl Service {
    #[track_caller]
    fn signed(&self, level: &str, kind: &str, body: &[u8]) -> Vec<u8> {
        let target = format!("/v1/signatures?practitioner=90000001&level={level}");
        let answer = self.post(&target, kind, body);
        assert_eq!(answer.status, 200, "{level}: {answer:?}");
        answer.body
    }

    #[track_caller]
    fn validate(&self, query: &str, kind: &str, body: &[u8]) -> Value {
        let answer = self.post(&format!("/v1/validations{query}"), kind, body);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }
}

fn letter() -> Vec<u8> {
    let path = "tests/fixtures/pdf/memoire-gs-a2b-objstm.pdf";
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn verdict(report: &Value) -> (&str, Option<&str>) {
    let indication = report["indication"].as_str().unwrap();
    (indication, report["sub_indication"].as_str())
}

#[test]
fn each_level_of_both_formats_is_validated() {
    let service = Service::start(&Setup::default());
    for (format, kind, document) in [
        ("XAdES", XML, LETTER.as_bytes().to_vec()),
        ("PAdES", PDF, letter()),
    ] {
        for level in ["B-B", "B-T", "B-LT"] {
            let level = format!("{format}-{level}");
            let signed = service.signed(&level, kind, &document);
            let report = service.validate("", kind, &signed);
            assert_eq!(
                verdict(&report),
                ("TOTAL-PASSED", None),
                "{level}: {report}"
            );
            assert_eq!(report["signatures"][0]["level"], json!(level));
            // Level LT has everything inside.
            let calls = report["calls"].as_array().unwrap();
            assert_eq!(
                calls.is_empty(),
                level.ends_with("-LT"),
                "{level}: {report}"
            );
            assert!(calls.iter().all(|call| call["result"] == "ok"), "{report}");
        }
    }
}

#[test]
fn the_place_is_the_forms_or_the_one_asked_for() {
    let service = Service::start(&Setup::default());
    let signed = service.signed("XAdES-B-LT&slot=/l:letter/sig", XML, LETTER.as_bytes());
    for (query, expected) in [
        ("", None),
        ("?slot=/l:letter/sig", None),
        ("?slot=end-of-root", Some("SIG_CONSTRAINTS_FAILURE")),
        (
            "?form=memoire-honoraires&operation=depot",
            Some("SIG_CONSTRAINTS_FAILURE"),
        ),
    ] {
        let report = service.validate(query, XML, &signed);
        assert_eq!(verdict(&report).1, expected, "{query}: {report}");
    }
    let refused = |query: &str, kind: &str| {
        let answer = service.post(&format!("/v1/validations?{query}"), kind, &signed);
        answer.problem()
    };
    assert_eq!(refused("slot=end-of-root", PDF), "query-malformed");
    assert_eq!(refused("form=b", XML), "query-malformed");
    assert_eq!(refused("version=2", XML), "query-malformed");
    assert_eq!(refused("slot=/x:sig", XML), "query-malformed");
    assert_eq!(
        refused("form=b&operation=c&slot=/a", XML),
        "query-malformed"
    );
    assert_eq!(refused("form=b&operation=c", XML), "form-unknown");
    assert_eq!(refused("", "application/json"), "media-type-refused");
    // What cannot be read is a verdict, not a problem.
    let report = service.validate("?slot=/x:sig", XML, b"<a");
    assert_eq!(verdict(&report), ("TOTAL-FAILED", Some("FORMAT_FAILURE")));
}

#[test]
fn the_report_is_xml_when_that_is_asked_for() {
    let service = Service::start(&Setup::default());
    let signed = service.signed("XAdES-B-LT", XML, LETTER.as_bytes());
    let ask = |accept: &str| -> Answer {
        let headers = [("Content-Type", XML), ("Accept", accept)];
        service.ask("POST", "/v1/validations", &headers, &signed)
    };
    let answer = ask(XML);
    assert_eq!(answer.header("content-type"), Some(XML));
    let text = String::from_utf8(answer.body).unwrap();
    assert!(
        text.contains("urn:etsi:019102:mainindication:total-passed"),
        "{text}"
    );
    assert_eq!(ask("*/*").header("content-type"), Some("application/json"));
    assert_eq!(
        ask("application/json, application/xml").json()["indication"],
        "TOTAL-PASSED"
    );
}

/// Revoked between signature and validation: the timestamp decides.
#[test]
fn a_revocation_is_fetched_and_weighed_against_the_timestamp() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let (setup, serial) = soft_token(&sandbox, folder.path(), "valid");
    let service = Service::start_in(folder, sandbox, &setup);
    let signed = service.signed("XAdES-B-B", XML, LETTER.as_bytes());
    let stamped = service.signed("XAdES-B-T", XML, LETTER.as_bytes());
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let revoked = json!({ "serial": serial, "reason": 1 });
    service.sandbox.control("revoke", &revoked.to_string());
    let report = service.validate("", XML, &signed);
    assert_eq!(verdict(&report).1, Some("REVOKED_NO_POE"), "{report}");
    let report = service.validate("", XML, &stamped);
    assert_eq!(verdict(&report), ("TOTAL-PASSED", None), "{report}");
    let revocation = &report["signatures"][0]["signer"][0]["revocation"];
    assert_eq!(revocation["status"], "revoked", "{report}");
}

fn sceau(arguments: &[&str], files: &[&PathBuf]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sceau"));
    command.arg("validate").args(files).args(arguments);
    command.output().unwrap()
}

#[test]
fn the_command_line_says_the_same_and_by_its_status() {
    let service = Service::start(&Setup::default());
    let root = service.sandbox.pki("root.pem");
    let anchor = ["--anchor", root.as_str()];
    let keep = |name: &str, bytes: &[u8]| {
        let path = service.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let xml = keep(
        "letter.xml",
        &service.signed("XAdES-B-LT", XML, LETTER.as_bytes()),
    );
    let pdf = keep("letter.pdf", &service.signed("PAdES-B-LT", PDF, &letter()));
    let output = sceau(&anchor, &[&xml, &pdf]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told[1]["file"], json!(pdf));
    assert_eq!(told[1]["report"]["signatures"][0]["level"], "PAdES-B-LT");

    let unsigned = keep("unsigned.xml", LETTER.as_bytes());
    let output = sceau(&anchor, &[&xml, &unsigned]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told[1]["report"]["sub_indication"], "FORMAT_FAILURE");
    // Before the signature existed, its timestamp lies in the future.
    let early = [&anchor[..], &["--at", "2020-01-01T00:00:00Z"]].concat();
    assert_eq!(sceau(&early, &[&xml]).status.code(), Some(3));

    let report = sceau(
        &[&anchor[..], &["--xml", "--slot", "end-of-root"]].concat(),
        &[&xml],
    );
    assert_eq!(report.status.code(), Some(0), "{report:?}");
    assert!(report.stdout.starts_with(b"<?xml"), "{report:?}");
    let usage = |arguments: &[&str], files: &[&PathBuf]| {
        assert_eq!(
            sceau(arguments, files).status.code(),
            Some(2),
            "{arguments:?}"
        );
    };
    usage(&[], &[&xml]);
    usage(&anchor, &[]);
    usage(&anchor, &[&keep("none", b"").join("missing")]);
    usage(&[&anchor[..], &["--xml"]].concat(), &[&xml, &pdf]);
    usage(&[&anchor[..], &["--at", "yesterday"]].concat(), &[&xml]);
    usage(&[&anchor[..], &["--online"]].concat(), &[&xml]);
    usage(
        &[&anchor[..], &["--evidence", xml.to_str().unwrap()]].concat(),
        &[&xml],
    );
}
