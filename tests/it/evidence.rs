//! The evidence of documents, opened and judged by programs that are not ours:
//! unzip, sha256sum and Python.

use crate::audit::CHECKPOINT;
use crate::daemon::{Daemon, Setup, example, pdf};
use crate::paper;
use crate::sandbox::Sandbox;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

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
    String::from_utf8(paper::run(program, arguments, folder)).unwrap()
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

/// The history is the log's, entry by entry, and ends before its head.
fn assert_history(manifest: &Value, submission: &Value, opened: &Path) {
    run_chain(opened);
    let history = std::fs::read(opened.join("history.json")).unwrap();
    let history: Value = serde_json::from_slice(&history).unwrap();
    let events = |list: &Value| -> Vec<String> {
        let steps = list.as_array().unwrap().iter();
        let events = steps.map(|step| step["event"].as_str().unwrap().to_owned());
        events.collect()
    };
    assert_eq!(events(&history), events(&submission["history"]));
    let last = history.as_array().unwrap().last().unwrap();
    let head = &manifest["audit"]["head"];
    assert!(head["seq"].as_i64() >= last["seq"].as_i64(), "{head}");
}

/// The checkpoint covers the first entries of the history, and the timestamp
/// with its nonce is the sandbox's authority's.
fn assert_checkpoint(opened: &Path, sandbox: &Sandbox) {
    let said = run("python3", &["-c", CHECKPOINT], opened);
    let (nonce, covered) = said.trim().split_once('\n').unwrap();
    assert!(covered.split(' ').count() >= 2, "{covered}");
    let shown = [
        "ts",
        "-reply",
        "-token_in",
        "-in",
        "checkpoint.tst",
        "-token_out",
        "-text",
    ];
    let shown = run("openssl", &shown, opened);
    assert!(
        shown.contains(&format!("Nonce: 0x{nonce}")),
        "{nonce}: {shown}"
    );
    // Over which document does not matter: here it is this one's own.
    let dump = shown.split("Message data:\n").nth(1).unwrap();
    let lines = dump.lines().take_while(|line| line.starts_with("    "));
    let bytes = lines.flat_map(|line| line.get(11..59).unwrap().split([' ', '-']));
    let imprint: String = bytes.collect();
    let (root, end) = (sandbox.pki("root.pem"), sandbox.pki("issuing.pem"));
    let verify = [
        "ts",
        "-verify",
        "-token_in",
        "-in",
        "checkpoint.tst",
        "-digest",
        &imprint,
    ];
    let verify = [&verify[..], &["-CAfile", &root, "-untrusted", &end]].concat();
    assert!(run("openssl", &verify, opened).contains("Verification: OK"));
}

#[test]
fn an_archive_proves_what_was_sent_and_answered() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let daemon = Daemon::start(folder.path(), &sandbox, &Setup::default());
    let (uuid, xml) = example("une-ligne.xml");
    let pdf = pdf("memoire-gs-a2b.pdf");
    assert_eq!(daemon.hand_in(&xml, &pdf).status, 202);
    let submission = daemon.wait_for(&uuid, &["receipted"]);

    let opened = folder.path().join("opened");
    let manifest = open(&archive(&daemon, &uuid, ""), &opened);
    let names = assert_complete(&manifest, &opened);
    let expected = [
        "README.txt",
        "answer.xml",
        "checkpoint.json",
        "checkpoint.tst",
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
    let keys =
        "uuid form version operation state insurer_id correlation_id code_prestataire signer";
    for key in keys.split(' ') {
        assert_eq!(manifest["document"][key], submission[key], "{key}");
    }
    assert_eq!(manifest["made_by"]["version"], env!("CARGO_PKG_VERSION"));

    assert_history(&manifest, &submission, &opened);
    assert_checkpoint(&opened, &sandbox);
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
    let (uuid, _, _) = daemon.receipted("une-ligne.xml");
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
    assert_eq!(files, 16, "{listing}");
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
    let file = folder.path().join("proofs.zip");
    let out = file.to_str().unwrap();
    let saved = daemon.command(&["evidence", &uuid, "--without-documents", "--out", out]);
    assert!(saved.status.success(), "{saved:?}");
    let manifest = open(&std::fs::read(file).unwrap(), &opened);
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

/// Every file below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

#[test]
fn a_conformance_run_passes_in_the_sandbox_and_names_no_patient() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let setup = Setup {
        layer: "[installation]\nindustriel = \"Éditeur d'essai\"\nworkstation = \"poste 1\"\n"
            .to_owned(),
        ..Setup::default()
    };
    let daemon = Daemon::start(folder.path(), &sandbox, &setup);
    let out = folder.path().join("runs");
    let run = |form: &str| {
        let out = out.to_str().unwrap();
        daemon.command(&["conformance", "run", "--out", out, "--form", form])
    };
    let ended = run("memoire-honoraires");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = format!("{}{}", text(&ended.stdout), text(&ended.stderr));
    let report =
        std::fs::read(out.join("run-0001/report.json")).unwrap_or_else(|_| panic!("{said}"));
    let report: Value = serde_json::from_slice(&report).unwrap();
    let cases = report["cases"].as_array().unwrap();
    let failed: Vec<_> = cases
        .iter()
        .filter(|case| case["passed"] == false)
        .collect();
    assert!(
        failed.is_empty() && ended.status.success(),
        "{failed:#?}\n{said}"
    );
    let checks = |verifier: &str| {
        let checks = cases
            .iter()
            .flat_map(|case| case["checks"].as_array().unwrap());
        checks.filter(|check| check["verifier"] == verifier).count()
    };
    for verifier in ["INCERT", "CNS", "CISS", "AeS"] {
        assert!(checks(verifier) > 0, "nothing for {verifier}");
    }
    assert_eq!(report["installation"]["industriel"], "Éditeur d'essai");
    for kind in ["accepted", "repeated", "refused"] {
        assert!(cases.iter().any(|case| case["kind"] == kind), "{kind}");
    }
    let archives = cases.iter().filter_map(|case| case["evidence"].as_str());
    let mut count = 0;
    for name in archives {
        let opened = folder.path().join(format!("opened-{count}"));
        let manifest = open(
            &std::fs::read(out.join("run-0001").join(name)).unwrap(),
            &opened,
        );
        assert_complete(&manifest, &opened);
        run_chain(&opened);
        count += 1;
    }
    assert!(count > 5, "{count} archives");

    // A run of nothing shows nothing.
    assert!(!run("no-such-form").status.success());
    assert!(!out.join("run-0002").exists());
    assert_no_patient_in_reports(&out);
    // The command's program is gone with it.
    let paired = daemon.command(&["pair", "--list"]);
    assert!(!text(&paired.stdout).contains("conformance"));
}

/// Simulations for a run: a good one, and as bad ones one that is bad, the good
/// one, and one of somebody who is not configured.
fn simulations(examples: &Path) {
    let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("xsd/pid/2/examples");
    let put = |name: &str, xml: &str| {
        let path = examples.join("pid/2/examples").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, xml).unwrap();
    };
    let read = |name: &str| std::fs::read_to_string(pack.join(name)).unwrap();
    let good = read("valid/simulation/une-ligne.xml");
    put("valid/simulation/bon.xml", &good);
    let stranger = good.replace(">90000001<", ">90000008<");
    put("invalid/simulation/autre-prestataire.xml", &stranger);
    put("invalid/simulation/bon.xml", &good);
    let bad = read("invalid/simulation/aucune-ligne.xml");
    put("invalid/simulation/mauvais.xml", &bad);
}

#[test]
fn a_conformance_run_leaves_out_what_is_not_sent_and_counts_no_refusal_for_other_reasons() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let model = "[environment.models]\n\"pid/2/simulation\" = \"SCEAU-PID-SIM-2\"\n";
    let setup = Setup {
        layer: format!("[environment]\nkind = \"test\"\n{model}"),
        ..Setup::default()
    };
    let daemon = Daemon::start(folder.path(), &sandbox, &setup);
    let examples = folder.path().join("examples");
    simulations(&examples);
    let (out, examples) = (folder.path().join("runs"), examples.to_str().unwrap());
    let run = |form: &str| {
        let out = out.to_str().unwrap();
        let run = ["conformance", "run", "--examples", examples];
        daemon.command(&[&run[..], &["--out", out, "--form", form]].concat())
    };
    let nothing = run("ecit");
    let said = String::from_utf8(nothing.stderr).unwrap();
    assert!(
        said.contains("no operation is sent to this environment"),
        "{said}"
    );
    assert!(!out.exists());

    assert!(!run("pid").status.success());
    let report = std::fs::read(out.join("run-0001/report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    let left_out = report["not_sent_here"].as_array().unwrap();
    let left_out: Vec<_> = left_out.iter().map(|one| &one["operation"]).collect();
    assert_eq!(left_out, ["contestation", "validation"]);
    let cases = report["cases"].as_array().unwrap().iter();
    let cases: Vec<(&str, &str, bool)> = cases
        .map(|case| {
            let found = case["checks"][0]["found"].as_str().unwrap();
            let kind = case["kind"].as_str().unwrap();
            (kind, found, case["passed"].as_bool().unwrap())
        })
        .collect();
    let refused = [
        (
            "refused",
            "422 practitioner-unknown practitioner-unknown",
            false,
        ),
        ("refused", "202", false),
    ];
    assert_eq!(cases[2..4], refused, "{cases:#?}");
    let [accepted, repeated, .., bad] = cases.as_slice() else {
        panic!("{cases:#?}");
    };
    assert_eq!([accepted.0, repeated.0], ["accepted", "repeated"]);
    assert!(accepted.2 && repeated.2 && bad.2, "{cases:#?}");
    assert!(
        bad.1.starts_with("422 document-invalid form.schema"),
        "{}",
        bad.1
    );
}

fn assert_no_patient_in_reports(out: &Path) {
    let is_report = |path: &std::path::PathBuf| path.file_stem().unwrap() == "report";
    for path in files(out).into_iter().filter(is_report) {
        let text = std::fs::read_to_string(&path).unwrap();
        for name in [PATIENT, "1893120105732", "<script"] {
            assert!(!text.contains(name), "{} has {name}", path.display());
        }
    }
}

fn run_chain(folder: &Path) {
    run("python3", &["-c", CHAIN], folder);
}

#[test]
fn no_example_goes_to_production() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let setup = Setup {
        layer: "[environment]\nkind = \"production\"\n".to_owned(),
        ..Setup::default()
    };
    let daemon = Daemon::start(folder.path(), &sandbox, &setup);
    let out = folder.path().join("runs");
    let refused = daemon.command(&["conformance", "run", "--out", out.to_str().unwrap()]);
    assert!(!refused.status.success());
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.contains("of kind production"), "{text}");

    // Nor where the files were changed and the service was not started anew.
    let layer = folder.path().join("test.toml");
    let files = std::fs::read_to_string(&layer).unwrap();
    std::fs::write(&layer, files.replace("production", "test")).unwrap();
    let refused = daemon.command(&["conformance", "run", "--out", out.to_str().unwrap()]);
    assert!(!refused.status.success());
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.contains("restart it"), "{text}");
    assert!(!out.exists());
    assert_eq!(daemon.get("/v1/submissions"), serde_json::json!([]));
}

#[test]
fn a_fiche_names_version_build_packs_and_industriel() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let setup = Setup {
        layer: "[installation]\nindustriel = \"Éditeur d'essai\"\nproduct = \"Cabinet\"\nproduct_version = \"7.1\"\n"
            .to_owned(),
        ..Setup::default()
    };
    let daemon = Daemon::start(folder.path(), &sandbox, &setup);
    let fiche = |format: &str| {
        let printed = daemon.command(&["fiche", "--format", format]);
        assert!(printed.status.success());
        String::from_utf8(printed.stdout).unwrap()
    };
    let json: Value = serde_json::from_str(&fiche("json")).unwrap();
    let program = run("sha256sum", &[env!("CARGO_BIN_EXE_sceau")], folder.path());
    assert_eq!(
        json["program"]["sha256"].as_str(),
        program.split(' ').next()
    );
    assert_eq!(json["program"]["version"], env!("CARGO_PKG_VERSION"));
    let packs = json["packs"].as_array().unwrap();
    assert_eq!(packs.len(), 4, "{json:#}");
    let digests: BTreeSet<_> = packs
        .iter()
        .map(|pack| pack["sha256"].as_str().unwrap())
        .collect();
    assert_eq!(digests.len(), 4);
    for format in ["text", "html"] {
        let sheet = fiche(format);
        let digest = packs[0]["sha256"].as_str().unwrap();
        for word in [
            "Éditeur d'essai",
            "Cabinet 7.1",
            digest,
            "EN 319 102-1",
            env!("CARGO_PKG_VERSION"),
        ] {
            assert!(sheet.contains(word), "{format}: {word}");
        }
    }
}

#[test]
fn a_connection_report_lists_what_is_missing_and_joins_workstations() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let daemon = Daemon::start(folder.path(), &sandbox, &Setup::default());
    let (uuid, _, _) = daemon.receipted("une-ligne.xml");
    let report = |arguments: &[&str]| {
        let arguments = [&["connection-report"], arguments].concat();
        let printed = daemon.command(&arguments);
        (
            printed.status.success(),
            String::from_utf8(printed.stdout).unwrap(),
        )
    };
    // A document of the sandbox is no real one.
    let (complete, text) = report(&["--format", "json"]);
    let own: Value = serde_json::from_str(&text).unwrap();
    assert!(
        !complete && own["practitioners"][0]["first"].is_null(),
        "{own:#}"
    );
    let (_, sheet) = report(&["--format", "text"]);
    for word in [
        "un premier document accepté en production de 90000001",
        "l'environnement de production",
        own["workstation_id"].as_str().unwrap(),
    ] {
        assert!(sheet.contains(word), "{word}: {sheet}");
    }

    // Another workstation of the same doctor has one: the slip of both names it once.
    let mut other = own.clone();
    other["workstation"] = "poste 2".into();
    other["workstation_id"] = sceau::base::Uuid4::random().to_string().into();
    other["practitioners"][0]["first"] = serde_json::json!({
        "form": "memoire-honoraires", "operation": "depot", "uuid": uuid, "insurer_id": "SECU-1",
        "correlation_id": null, "received_at": "2026-11-01T08:00:00Z", "answered_at": "2026-11-01T08:00:05Z",
    });
    let file = folder.path().join("poste-2.json");
    std::fs::write(&file, other.to_string()).unwrap();
    let (complete, sheet) = report(&["--format", "html", "--with", file.to_str().unwrap()]);
    assert!(!complete);
    assert!(
        sheet.contains("<th>Postes de travail connectés</th><td>2</td>"),
        "{sheet}"
    );
    assert_eq!(sheet.matches(&uuid).count(), 1);
    assert!(sheet.contains("l'identifiant de corrélation pour le document de 90000001"));
    assert!(!sheet.contains("un premier document accepté en production de 90000001"));
}
