//! What somebody writes where it does not belong stands in no log and in no
//! history.

use crate::api::Service;
use crate::daemon::{Setup, example, pdf, until};
use sceau::base::{Uuid4, digest, hex};
use serde_json::{Value, json};
use std::path::Path;

const CANARY: &str = "kanarienvogel-zxq";
const CANCELLATION: &str = "xsd/memoire-honoraires/2/examples/valid/annulation/simple.xml";

/// A cancellation of the document of this name, handed in; what its history says
/// of the name.
fn named(service: &Service, name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(CANCELLATION);
    let xml = std::fs::read_to_string(path).unwrap();
    let start = xml.find(":uuid>").unwrap() + ":uuid>".len();
    let uuid = Uuid4::random();
    let xml = format!("{}{uuid}{}", &xml[..start], &xml[start + 36..]);
    assert!(xml.contains("SECU-TEST-000001"));
    let xml = xml.replace("SECU-TEST-000001", name);
    let target = "/v1/forms/memoire-honoraires/annulation";
    let kind = [("Content-Type", "application/xml")];
    let answer = service.ask("POST", target, &kind, xml.as_bytes());
    assert_eq!(answer.status, 202, "{answer:?}");
    let submission = service.get(&format!("/v1/submissions/{uuid}")).json();
    assert_eq!(submission["refers_to"][0]["value"], name);
    let history = submission["history"].as_array().unwrap();
    let checked = history.iter().find(|step| step["event"] == "checked");
    checked.unwrap()["detail"]["refers_to"].clone()
}

#[test]
fn a_name_that_is_nobodys_is_a_digest_in_the_history() {
    let service = Service::start(&Setup::default());
    let sha256 = hex::encode(&digest::sha256(CANARY.as_bytes()));
    let kept = json!([{ "by": "insurer-id", "value_sha256": sha256 }]);
    assert_eq!(named(&service, CANARY), kept);
    let uuid = Uuid4::random().to_string();
    let kept = json!([{ "by": "insurer-id", "value": uuid }]);
    assert_eq!(named(&service, &uuid), kept);
    // That of a document there is says nothing that the log has not.
    let (uuid, xml) = example("une-ligne.xml");
    let accepted = service.daemon.hand_in(&xml, &pdf("memoire-gs-a2b.pdf"));
    assert_eq!(accepted.status, 202);
    let deposit = service.daemon.wait_for(&uuid, &["receipted"]);
    let id = deposit["insurer_id"].as_str().unwrap();
    let kept = json!([{ "by": "insurer-id", "value": id }]);
    assert_eq!(named(&service, id), kept);
}

#[cfg(unix)]
#[test]
fn no_folder_that_somebody_made_is_named_in_the_log() {
    let drop = tempfile::tempdir().unwrap();
    let setup = Setup {
        layer: format!(
            "[log]\nlevel = \"trace\"\n[inbox]\nfolder = {}\n",
            json!(drop.path().join("drop"))
        ),
        ..Setup::default()
    };
    let service = Service::start(&setup);
    let known = "memoire-honoraires/depot";
    let strange = [
        format!("{CANARY}/depot"),
        format!("memoire-honoraires/{CANARY}"),
    ];
    for place in strange.iter().map(String::as_str).chain([known]) {
        let folder = drop.path().join("drop/in").join(place);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("a.xml"), "<a/>").unwrap();
        let refused = drop.path().join("drop/refused").join(place);
        until(&format!("what lay in {place} is refused"), || {
            refused.join("a.problem.json").is_file().then_some(())
        });
    }
    until("the refusals are told", || {
        let told = service.daemon.log();
        let told = told.matches("a dropped document is refused").count();
        (told == 3).then_some(())
    });
    let log = service.daemon.log();
    assert!(!log.contains(CANARY), "{log}");
    let named = |line: &&str| line.contains("is refused") && line.contains("memoire-honoraires");
    assert_eq!(log.lines().filter(named).count(), 1, "{log}");
}
