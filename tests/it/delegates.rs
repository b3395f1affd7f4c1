//! Delegates on whole services: with whose consent they sign, and what becomes
//! of what waits for one whose consent is withdrawn.

use crate::daemon::{Daemon, Setup, example, pdf, until};
use crate::sandbox::Sandbox;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::path::Path;

const TARGET: &str = "/v1/forms/memoire-honoraires/depot?signer=assistante";

/// The delegate of the sandbox, acting for one practitioner only.
fn acting_for(sandbox: &Sandbox, code: &str) -> String {
    let text = std::fs::read_to_string(sandbox.dir.join("signer.toml")).unwrap();
    let at = text.find("[[delegate]]").unwrap();
    let (delegate, _) = text[at..].split_once("acts_for").unwrap();
    format!("{delegate}acts_for = [\"{code}\"]\n")
}

/// Hands a document in for the delegate to sign; status and body.
fn hand_in(daemon: &Daemon, token: Option<&str>, query: &str, xml: &[u8]) -> (u16, Value) {
    let pdf = STANDARD.encode(pdf("memoire-gs-a2b.pdf"));
    let body = json!({ "xml": String::from_utf8_lossy(xml), "pdf": pdf }).to_string();
    let path = format!("{TARGET}{query}");
    let answer = match token {
        Some(token) => daemon.send(token, &path, Some(body.into_bytes())).unwrap(),
        None => daemon.call(&path, Some(body.into_bytes())),
    };
    (
        answer.status,
        serde_json::from_slice(&answer.body).unwrap_or_default(),
    )
}

/// Who sends it has not authorised the delegate, who did the act has: a program
/// of the sender's reaches neither key.
#[test]
fn a_program_of_one_reaches_no_delegate_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let setup = Setup {
        layer: acting_for(&sandbox, "90000002"),
        ..Setup::default()
    };
    let daemon = Daemon::start(folder.path(), &sandbox, &setup);
    let pair = |name: &str, codes: &[&str]| {
        let mut arguments = vec!["pair", name];
        for code in codes {
            arguments.extend(["--practitioner", code]);
        }
        let paired = daemon.command(&arguments);
        String::from_utf8(paired.stdout).unwrap().trim().to_owned()
    };
    let (_, xml) = example("accident.xml");
    let text = String::from_utf8(xml.clone()).unwrap();
    assert!(text.contains(">90000001<") && text.contains(">90000002<"));
    for query in ["&dry-run=true", ""] {
        let (status, problem) = hand_in(&daemon, Some(&pair("one", &["90000001"])), query, &xml);
        assert_eq!(
            (status, &problem["code"]),
            (403, &json!("practitioner-not-allowed")),
            "{problem:#}"
        );
    }
    assert_eq!(daemon.get("/v1/submissions"), json!([]));
    let both = pair("both", &["90000001", "90000002"]);
    let (status, preview) = hand_in(&daemon, Some(&both), "&dry-run=true", &xml);
    assert_eq!(status, 200, "{preview:#}");
    assert_eq!(preview["signer_role"], "delegate");
}

#[test]
fn a_delegate_withdrawn_signs_nothing_that_waits() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let with = |layer: String| Setup {
        layer,
        ..Setup::default()
    };
    let start = |place: &Path, layer: String| Daemon::start(place, &sandbox, &with(layer));
    // Without a card it waits unsigned.
    let daemon = start(folder.path(), "token = []\n".to_owned());
    let (uuid, xml) = example("une-ligne.xml");
    assert_eq!(hand_in(&daemon, None, "", &xml).0, 202);
    daemon.kill();
    let withdrawn = [
        acting_for(&sandbox, "90000002"),
        "delegate = []\n".to_owned(),
    ];
    for layer in withdrawn {
        let daemon = start(folder.path(), layer);
        let held = held(&daemon, &uuid, "delegate-withdrawn");
        assert_eq!(held["waiting"]["class"], "ours", "{held:#}");
        assert_eq!(held["state"], "received");
        daemon.kill();
    }
    // The one who authorised it has left: the key is not used either.
    let other = format!(
        "delegate = []\n[[practitioner]]\ncode_prestataire = \"90000003\"\nehealth_id = \"9000000003\"\n\
         name = \"Dr Autre Exemple\"\ncertificate_sha256 = \"{}\"\n",
        "00".repeat(32)
    );
    let daemon = start(folder.path(), other);
    held(&daemon, &uuid, "practitioner-missing");
    daemon.kill();

    let daemon = start(folder.path(), String::new());
    let ended = until("it is signed again", || {
        hurry(&daemon, &uuid);
        let now = daemon.get(&format!("/v1/submissions/{uuid}"));
        (now["is_final"] == true).then_some(now)
    });
    let history = ended["history"].as_array().unwrap();
    let signed: Vec<&Value> = history.iter().filter(|e| e["event"] == "signed").collect();
    assert_eq!(signed.len(), 1, "{ended:#}");
    assert_eq!(signed[0]["detail"]["role"], "delegate");
    assert_eq!(ended["state"], "receipted");
}

fn hurry(daemon: &Daemon, uuid: &str) {
    daemon.call(&format!("/v1/submissions/{uuid}/retry"), Some(Vec::new()));
}

/// Waits until the document waits for this reason.
fn held(daemon: &Daemon, uuid: &str, code: &str) -> Value {
    until(&format!("{uuid} waits for {code}"), || {
        hurry(daemon, uuid);
        let now = daemon.get(&format!("/v1/submissions/{uuid}"));
        (now["waiting"]["code"] == code).then_some(now)
    })
}
