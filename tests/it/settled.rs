//! Open questions that only a person can answer: a form without a way to ask.

use crate::crash::{Paper, whole, words};
use crate::daemon::{Daemon, Setup, copy_pack, until};
use crate::sandbox::Sandbox;
use serde_json::{Value, json};
use std::path::Path;

const STATUS: &str = "model_id = { sandbox = \"SCEAU-MEMHON-STATUS-2\" }";

fn without_questions(folder: &Path) -> Setup {
    copy_pack(folder, "memoire-honoraires/2", "3", |manifest| {
        assert!(manifest.contains(STATUS));
        manifest.replace(STATUS, "model_id = { }")
    });
    Setup {
        layer: "[forms]\nfolder = \"packs\"\n".to_owned(),
        ..Setup::default()
    }
}

/// A document whose answer was lost, before or after it was accepted.
fn lost(daemon: &Daemon, sandbox: &Sandbox, action: &str) -> Paper {
    let rule = json!({ "point": "exchange", "action": action, "count": 1 });
    sandbox.control("scenario", &rule.to_string());
    let paper = Paper::new();
    paper.hand_in(daemon);
    let now = paper.pauses(daemon, "unknown", "ours");
    assert_eq!(now["waiting"]["code"], "cannot-ask", "{now:#}");
    paper
}

fn settle(daemon: &Daemon, paper: &Paper, outcome: &[&str]) -> Value {
    let arguments = [&["settle", &paper.uuid], outcome].concat();
    until("it is settled", || {
        let done = daemon.command(&arguments);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        // While a worker looks at it, it is not to be had.
        assert!(
            done.status.success() || said.contains("is unknown"),
            "{said}"
        );
        done.status.success().then_some(())
    });
    paper.look(daemon)
}

#[test]
fn what_cannot_be_asked_about_ends_as_a_person_has_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let daemon = Daemon::start(folder.path(), &sandbox, &without_questions(folder.path()));

    let arrived = lost(&daemon, &sandbox, "drop-after-accept");
    // Told once, however often it is looked at.
    for _ in 0..3 {
        let tries = arrived.look(&daemon)["tries"].as_u64();
        arrived.hurry(&daemon);
        until("it was looked at", || {
            (arrived.look(&daemon)["tries"].as_u64() > tries).then_some(())
        });
    }
    let before = words(&arrived.look(&daemon));
    let asked = before.iter().filter(|word| *word == "unknown").count();
    assert_eq!(
        asked, 2,
        "its answer was lost; it cannot be asked: {before:?}"
    );
    let held = arrived.at_insurer(&sandbox).unwrap();
    let id = held["secu_id"].as_str().unwrap();
    let now = settle(&daemon, &arrived, &["accepted", "--insurer-id", id]);
    assert_eq!(
        (&now["state"], &now["insurer_id"]),
        (&json!("receipted"), &json!(id))
    );
    let told = words(&now);
    assert!(
        told.ends_with(&["settled".to_owned(), "receipted".to_owned()]),
        "{told:?}"
    );
    // There is no answer of the insurer's, and none is made up.
    let receipt = format!("/v1/submissions/{}/receipt", arrived.uuid);
    assert_eq!(daemon.call(&receipt, None).status, 404);
    assert!(now["answer"].is_null());

    let not_arrived = lost(&daemon, &sandbox, "drop-before-accept");
    settle(&daemon, &not_arrived, &["not-received"]);
    not_arrived.ends_well(&daemon, &sandbox);

    let refused = lost(&daemon, &sandbox, "drop-after-accept");
    assert_eq!(settle(&daemon, &refused, &["refused"])["state"], "rejected");

    // What is no open question is not touched, nor is what nobody knows.
    for (uuid, said) in [
        (arrived.uuid.clone(), "is receipted"),
        (
            sceau::base::Uuid4::random().to_string(),
            "not accepted here",
        ),
    ] {
        let done = daemon.command(&["settle", &uuid, "not-received"]);
        assert!(!done.status.success());
        let told = String::from_utf8(done.stderr).unwrap();
        assert!(told.contains(said), "{told}");
    }
    whole(&daemon);
}
