//! Forms that are nothing but a pack: dropped into the folder of a running
//! service, their documents go from POST to receipt, with PDF and signature. A
//! broken version changes nothing.

use crate::daemon::{self, Daemon, Setup, until};
use crate::sandbox::Sandbox;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sceau::http::Response;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// A service on the packs folder `packs` beside its own; the insurer knows the
/// forms from the beginning.
fn start(scratch: &Path, packs: &Path) -> (Sandbox, Daemon) {
    let sandbox = Sandbox::start_with_packs(&scratch.join("sandbox"), &fixtures().join("packs"));
    let setup = Setup {
        layer: format!("[forms]\nfolder = {}\n", json!(packs)),
        ..Setup::default()
    };
    let daemon = Daemon::start(scratch, &sandbox, &setup);
    (sandbox, daemon)
}

/// An example of a test-only pack with a fresh UUID.
fn example(path: &str) -> (String, String) {
    let xml = fs::read_to_string(fixtures().join("packs").join(path)).unwrap();
    let names = ["uuid>", "UUID>", "UUIDPrestataire>"];
    let start = names
        .iter()
        .find_map(|name| Some(xml.find(name)? + name.len()));
    let start = start.unwrap();
    let uuid = sceau::base::Uuid4::random().to_string();
    let xml = format!("{}{uuid}{}", &xml[..start], &xml[start + 36..]);
    (uuid, xml)
}

fn hand_in(daemon: &Daemon, target: &str, xml: &str, with_pdf: bool) -> Response {
    let pdf = with_pdf.then(|| STANDARD.encode(daemon::pdf("memoire-gs-a2b.pdf")));
    let body = json!({ "xml": xml, "pdf": pdf }).to_string();
    daemon.call(target, Some(body.into_bytes()))
}

/// Hands an example in and waits for its receipt: the submission, and the XML
/// that was sent.
fn receipted(daemon: &Daemon, target: &str, path: &str, with_pdf: bool) -> (Value, String) {
    let (uuid, xml) = example(path);
    let answer = hand_in(daemon, target, &xml, with_pdf);
    let said = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, 202, "{path}: {said}");
    let submission = daemon.wait_for(&uuid, &["receipted", "rejected"]);
    assert_eq!(submission["state"], "receipted", "{path}: {submission:#}");
    assert_eq!(submission["answer"]["accepted"], true, "{submission:#}");
    let sent = daemon.call(&format!("/v1/submissions/{uuid}/xml"), None);
    (submission, String::from_utf8(sent.body).unwrap())
}

#[test]
fn a_form_nobody_has_seen_goes_from_post_to_receipt() {
    const TARGET: &str = "/v1/forms/certificat-maternite/depot";
    let scratch = tempfile::tempdir().unwrap();
    let packs = scratch.path().join("packs");
    let pack = packs.join("certificat-maternite/1");
    fs::create_dir_all(&pack).unwrap();
    let (_sandbox, daemon) = start(scratch.path(), &packs);
    let (_, xml) = example("certificat-maternite/1/examples/valid/depot/simple.xml");
    assert_eq!(hand_in(&daemon, TARGET, &xml, true).status, 404);

    let source = fixtures().join("packs/certificat-maternite/1");
    for name in ["certificat.xsd", "natures.csv", "pack.toml"] {
        fs::copy(source.join(name), pack.join(name)).unwrap();
    }
    let form = "/v1/forms/certificat-maternite";
    until("the form is there", || {
        (daemon.call(form, None).status == 200).then_some(())
    });
    let path = "certificat-maternite/1/examples/valid/depot/multiple.xml";
    let (submission, sent) = receipted(&daemon, TARGET, path, true);
    let shown = submission["facts"].to_string();
    assert!(shown.contains("\"2027-03-01\""), "{submission:#}");
    // The PDF in its element, the signature behind it.
    let end = sent.rsplit("</cm:document>").next().unwrap();
    assert!(sent.contains("<cm:document>JVBERi0") && end.starts_with("<ds:Signature"));

    let path = "certificat-maternite/1/examples/invalid/depot/nombre-manquant.xml";
    let refused = hand_in(&daemon, TARGET, &example(path).1, true);
    let problem: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(refused.status, 422, "{problem:#}");
    assert_eq!(problem["faults"][0]["code"], "form.condition");
    assert_eq!(
        problem["faults"][0]["doctor"]["de"],
        "Die Anzahl der Kinder fehlt."
    );

    let broken = fixtures().join("packs-broken/certificat-maternite/1");
    fs::copy(broken.join("pack.toml"), pack.join("pack.toml")).unwrap();
    let faults = until("the faults are told", || {
        let refused = daemon.get("/v1/health")["packs"]["refused"].take();
        let faults = refused.get(0)?["faults"].as_array()?.clone();
        Some(faults)
    });
    let told: Vec<_> = faults.iter().map(|fault| fault.as_str().unwrap()).collect();
    let expected = fs::read_to_string(broken.join("faults.txt")).unwrap();
    assert_eq!(told, expected.lines().collect::<Vec<_>>());
    let path = "certificat-maternite/1/examples/valid/depot/simple.xml";
    receipted(&daemon, TARGET, path, true);
}

/// Unqualified elements, a wrapper that may not be empty, an answer without a
/// verdict.
#[test]
fn the_shape_of_the_first_generation_goes_from_post_to_receipt() {
    let scratch = tempfile::tempdir().unwrap();
    let (_sandbox, daemon) = start(scratch.path(), &fixtures().join("packs"));
    let depot = "/v1/forms/generation-1/depot";
    let mut insurer_id = String::new();
    for name in ["deux-lignes", "espace-de-noms-par-defaut"] {
        let path = format!("generation-1/1/examples/valid/depot/{name}.xml");
        let (submission, sent) = receipted(&daemon, depot, &path, true);
        let (signature, document) = (sent.find("<ds:Signature "), sent.find("JVBERi0"));
        assert!(signature.unwrap() < document.unwrap(), "{name}: {sent}");
        insurer_id = submission["answer"]["insurer_id"]
            .as_str()
            .unwrap()
            .to_owned();
    }
    let (uuid, xml) = example("generation-1/1/examples/valid/annulation/simple.xml");
    let xml = xml.replace("SECU-TEST-000001", &insurer_id);
    let answer = hand_in(&daemon, "/v1/forms/generation-1/annulation", &xml, false);
    assert_eq!(answer.status, 202);
    let submission = daemon.wait_for(&uuid, &["receipted", "rejected"]);
    assert_eq!(submission["state"], "receipted", "{submission:#}");
    assert_eq!(submission["refers_to"][0]["value"], insurer_id);
}
