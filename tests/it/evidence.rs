//! The evidence of documents, opened and judged by programs that are not ours:
//! unzip, sha256sum and Python.

use crate::daemon::{Daemon, Setup, example, pdf};
use crate::sandbox::Sandbox;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Recomputes the hash of every entry of a history, by docs/evidence.md.
const CHAIN: &str = r#"
import hashlib, json, struct, sys
for e in json.load(open("history.json")):
    part = lambda b: struct.pack(">Q", len(b)) + b
    text = b"sceau audit 1" + struct.pack(">qq", e["seq"], e["at_ms"])
    text += part(bytes.fromhex(e["previous"]))
    text += b"".join(part(e[k].encode()) for k in ("subject", "event", "detail_text"))
    if hashlib.sha256(text).hexdigest() != e["hash"]:
        sys.exit("entry %d" % e["seq"])
    if json.loads(e["detail_text"]) != e["detail"]:
        sys.exit("detail %d" % e["seq"])
"#;

fn run(program: &str, arguments: &[&str], folder: &Path) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap_or_else(|error| panic!("{program} (packaging/dev/ensure.sh test): {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The archive of a document, opened in a folder; and its manifest.
fn open(archive: &[u8], folder: &Path) -> Value {
    std::fs::create_dir(folder).unwrap();
    std::fs::write(folder.join("archive.zip"), archive).unwrap();
    run("unzip", &["-q", "-t", "archive.zip"], folder);
    run("unzip", &["-q", "archive.zip"], folder);
    serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap()
}

/// Every file the manifest names is there with its size and digest, and no
/// other; returns their names.
fn assert_complete(manifest: &Value, folder: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::from(["archive.zip".to_owned(), "manifest.json".to_owned()]);
    let mut listed = BTreeSet::new();
    for file in manifest["files"].as_array().unwrap() {
        let name = file["name"].as_str().unwrap();
        if file["in_archive"] == false {
            continue;
        }
        let digest = run("sha256sum", &[name], folder);
        assert_eq!(digest.split(' ').next(), file["sha256"].as_str(), "{name}");
        let size = std::fs::metadata(folder.join(name)).unwrap().len();
        assert_eq!(Some(size), file["bytes"].as_u64(), "{name}");
        names.insert(name.to_owned());
        listed.insert(name.to_owned());
    }
    let found = std::fs::read_dir(folder).unwrap();
    let found: BTreeSet<_> = found
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(found, names);
    listed
}

fn archive(daemon: &Daemon, uuid: &str, query: &str) -> Vec<u8> {
    let path = format!("/v1/submissions/{uuid}/evidence{query}");
    let answer = daemon.call(&path, None);
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, 200, "{text}");
    assert_eq!(answer.content_type, "application/zip");
    answer.body
}

/// The name of the patient in the examples.
const PATIENT: &str = "Modèle";

#[test]
fn an_archive_proves_what_was_sent_and_answered() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let daemon = Daemon::start(folder.path(), &sandbox, &Setup::default());
    let (uuid, xml) = example("une-ligne.xml");
    let pdf = pdf("memoire-gs-a2b.pdf");
    assert_eq!(daemon.hand_in(&xml, &pdf).status, 202);
    let submission = daemon.wait_for(&uuid, &["receipted", "rejected"]);
    assert_eq!(submission["state"], "receipted", "{submission:#}");

    let opened = folder.path().join("opened");
    let manifest = open(&archive(&daemon, &uuid, ""), &opened);
    let names = assert_complete(&manifest, &opened);
    let expected = [
        "README.txt",
        "answer.xml",
        "envelope.xml",
        "history.json",
        "request.pdf",
        "request.xml",
        "signed.pdf",
        "signed.xml",
        "timestamp.tst",
        "validation-pdf.json",
        "validation-pdf.xml",
        "validation-xml.json",
        "validation-xml.xml",
    ];
    assert_eq!(names, expected.map(str::to_owned).into());
    let read = |name: &str| std::fs::read(opened.join(name)).unwrap();
    assert_eq!((read("request.xml"), read("request.pdf")), (xml, pdf));
    for (name, part) in [
        ("signed.xml", "xml"),
        ("signed.pdf", "pdf"),
        ("answer.xml", "receipt"),
        ("timestamp.tst", "timestamp"),
    ] {
        let path = format!("/v1/submissions/{uuid}/{part}");
        assert_eq!(read(name), daemon.call(&path, None).body, "{name}");
    }
    let document = &manifest["document"];
    for key in [
        "uuid",
        "form",
        "version",
        "operation",
        "state",
        "insurer_id",
        "correlation_id",
        "code_prestataire",
        "signer",
    ] {
        assert_eq!(document[key], submission[key], "{key}");
    }
    assert_eq!(manifest["made_by"]["version"], env!("CARGO_PKG_VERSION"));

    // The history is the log's, entry by entry, and ends before its head.
    run("python3", &["-c", CHAIN], &opened);
    let history: Value = serde_json::from_slice(&read("history.json")).unwrap();
    let events = |list: &Value| -> Vec<String> {
        let steps = list.as_array().unwrap().iter();
        steps
            .map(|step| step["event"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(events(&history), events(&submission["history"]));
    let last = history.as_array().unwrap().last().unwrap();
    let head = &manifest["audit"]["head"];
    assert!(head["seq"].as_i64() >= last["seq"].as_i64(), "{head}");

    // What the archive says of the signatures is what a verifier says of its files.
    for name in ["validation-xml.json", "validation-pdf.json"] {
        let report: Value = serde_json::from_slice(&read(name)).unwrap();
        assert_eq!(report["indication"], "TOTAL-PASSED", "{name}: {report:#}");
    }
    let file = opened.join("signed.xml");
    let judged = daemon.command(&["validate", file.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&judged.stdout).into_owned();
    assert!(
        judged.status.success() && text.contains("XAdES-B-LT"),
        "{text}"
    );
}

#[test]
fn archives_of_the_same_state_differ_in_what_was_judged_anew_alone() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let daemon = Daemon::start(folder.path(), &sandbox, &Setup::default());
    let (uuid, xml) = example("une-ligne.xml");
    assert_eq!(daemon.hand_in(&xml, &pdf("memoire-gs-a2b.pdf")).status, 202);
    daemon.wait_for(&uuid, &["receipted"]);
    let opened: Vec<_> = ["first", "second"]
        .map(|name| {
            let opened = folder.path().join(name);
            open(&archive(&daemon, &uuid, ""), &opened);
            opened
        })
        .into();
    let entries = std::fs::read_dir(&opened[0]).unwrap();
    for name in entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
        let judged =
            name.starts_with("validation-") || name == "manifest.json" || name == "archive.zip";
        let read = |folder: &Path| std::fs::read(folder.join(&name)).unwrap();
        assert!(judged || read(&opened[0]) == read(&opened[1]), "{name}");
    }
    // Times of entries are fixed: nothing of this machine is in the archive.
    let listing = run("unzip", &["-l", "archive.zip"], &opened[0]);
    let files = listing
        .lines()
        .filter(|line| line.contains("1980-01-01 00:00"))
        .count();
    assert_eq!(files, 14, "{listing}");
}

#[test]
fn proofs_without_documents_show_no_patient() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let daemon = Daemon::start(folder.path(), &sandbox, &Setup::default());
    let (uuid, xml) = example("une-ligne.xml");
    assert!(String::from_utf8_lossy(&xml).contains(PATIENT));
    assert_eq!(daemon.hand_in(&xml, &pdf("memoire-gs-a2b.pdf")).status, 202);
    daemon.wait_for(&uuid, &["receipted"]);
    let opened = folder.path().join("opened");
    let manifest = open(&archive(&daemon, &uuid, "?documents=false"), &opened);
    let names = assert_complete(&manifest, &opened);
    assert!(names.contains("timestamp.tst") && names.contains("validation-xml.json"));
    assert!(!names.contains("signed.xml") && !names.contains("answer.xml"));
    let withheld = manifest["files"].as_array().unwrap().iter();
    let withheld: Vec<_> = withheld
        .filter(|file| file["in_archive"] == false)
        .collect();
    assert_eq!(withheld.len(), 6);
    assert!(
        withheld
            .iter()
            .all(|file| file["sha256"].as_str().unwrap().len() == 64)
    );
    for entry in std::fs::read_dir(&opened).unwrap() {
        let path = entry.unwrap().path();
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        assert!(!text.contains(PATIENT), "{}", path.display());
    }
}

#[test]
fn there_is_evidence_of_what_waits_and_none_of_what_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let setup = Setup {
        layer: "token = []\n".to_owned(),
        ..Setup::default()
    };
    let daemon = Daemon::start(folder.path(), &sandbox, &setup);
    let (uuid, xml) = example("une-ligne.xml");
    assert_eq!(daemon.hand_in(&xml, &pdf("memoire-gs-a2b.pdf")).status, 202);
    let opened = folder.path().join("opened");
    let manifest = open(&archive(&daemon, &uuid, ""), &opened);
    let names = assert_complete(&manifest, &opened);
    let expected = ["README.txt", "history.json", "request.pdf", "request.xml"];
    assert_eq!(names, expected.map(str::to_owned).into());
    let unknown = sceau::base::Uuid4::random();
    let answer = daemon.call(&format!("/v1/submissions/{unknown}/evidence"), None);
    assert_eq!(answer.status, 404);
    let wrong = daemon.call(
        &format!("/v1/submissions/{uuid}/evidence?documents=maybe"),
        None,
    );
    assert_eq!(wrong.status, 400);
}
