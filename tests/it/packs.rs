//! Packs from outside: the one in the guide, `sceau pack`, and a folder that
//! changes under a running service.

use crate::daemon::{Daemon, Setup, until};
use crate::sandbox::Sandbox;
use sceau::base::Uuid4;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Writes the pack of docs/packs.md: each block that follows its file's name.
fn guides_pack(folder: &Path) -> PathBuf {
    let folder = folder.join("attestation-presence/1");
    let guide = fs::read_to_string(root().join("docs/packs.md")).unwrap();
    let mut blocks = guide.split("\n\n").peekable();
    let mut files = 0;
    while let Some(block) = blocks.next() {
        let name = block
            .strip_prefix('`')
            .and_then(|rest| rest.strip_suffix("`:"));
        let (Some(name), Some(_)) = (name, blocks.peek()) else {
            continue;
        };
        // A block may have empty lines inside.
        let mut text = String::new();
        for part in blocks.by_ref() {
            text += part;
            text += "\n\n";
            if part.ends_with("\n```") {
                break;
            }
        }
        let inside = text
            .split_once('\n')
            .unwrap()
            .1
            .rsplit_once("```")
            .unwrap()
            .0;
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, inside).unwrap();
        files += 1;
    }
    assert_eq!(files, 5);
    folder
}

fn check(folders: &[&Path]) -> (bool, String) {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_sceau"))
        .args(["pack", "check"])
        .args(folders)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    (output.status.success(), said)
}

#[test]
fn the_guides_pack_loads_and_its_examples_are_as_they_say() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = guides_pack(scratch.path());
    let (good, said) = check(&[&folder]);
    assert!(good, "{said}");
    assert!(
        said.contains("1 valid and 1 invalid example(s), 0 answer(s), 0 fault(s)"),
        "{said}"
    );
    assert!(!said.contains("note:"), "{said}");
    // A path with a slip selects nothing, so its rule never applies.
    let manifest = folder.join("pack.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(
        &manifest,
        text.replace("a:attestation/a:lieu", "a:attestation/a:leiu"),
    )
    .unwrap();
    let (good, said) = check(&[&folder]);
    let note = "note: no valid example has operations.depot.codes[0].path: /a:attestation/a:leiu";
    assert!(good && said.contains(note), "{said}");
}

#[test]
fn examples_are_refused_for_their_reason_and_answers_are_read_as_on_file() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = guides_pack(scratch.path());
    let answers = folder.join("examples/answers/depot");
    fs::create_dir_all(&answers).unwrap();
    let problem = folder.join("examples/invalid/depot/trop-long.problem.json");
    let uuid = Uuid4::random();
    let answer = |status: &str| {
        format!(
            "<a:attestationRetour xmlns:a=\"urn:example:attestation-presence:1\">\
             <a:uuid>{uuid}</a:uuid><a:statut>{status}</a:statut></a:attestationRetour>"
        )
    };
    fs::write(answers.join("accepte.xml"), answer("accepte")).unwrap();
    fs::write(&problem, "{\"faults\": [{\"code\": \"form.date\"}]}").unwrap();
    let (good, said) = check(&[&folder]);
    assert!(good && said.contains("1 answer(s), 0 fault(s)"), "{said}");

    fs::write(&problem, "{\"faults\": [{\"code\": \"form.sum\"}]}").unwrap();
    fs::write(answers.join("accepte.answer.json"), "{\"accepted\": false}").unwrap();
    fs::write(answers.join("autre.xml"), answer("en-cours")).unwrap();
    let (good, said) = check(&[&folder]);
    assert!(!good);
    for part in [
        "trop-long.xml: is refused, but not for form.sum",
        "accepte.xml: is read as {",
        "autre.xml: the receiver's answer is incomplete: `en-cours` is no known verdict",
        "3 fault(s)",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn the_built_in_packs_pass_the_check() {
    let mut folders = Vec::new();
    for form in fs::read_dir(root().join("xsd")).unwrap() {
        let form = form.unwrap().path();
        if form.is_dir() {
            let versions = fs::read_dir(&form).unwrap();
            folders.extend(versions.map(|version| version.unwrap().path()));
        }
    }
    folders.retain(|folder| folder.join("pack.toml").is_file());
    assert!(!folders.is_empty());
    let folders: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
    let (good, said) = check(&folders);
    assert!(good, "{said}");
}

#[test]
fn the_check_lists_every_fault_and_every_wrong_example() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = guides_pack(scratch.path());
    let examples = folder.join("examples");
    fs::rename(
        examples.join("invalid/depot/trop-long.xml"),
        examples.join("valid/depot/trop-long.xml"),
    )
    .unwrap();
    fs::copy(
        examples.join("valid/depot/un-jour.xml"),
        examples.join("invalid/depot/un-jour.xml"),
    )
    .unwrap();
    let (good, said) = check(&[&folder]);
    assert!(!good);
    for part in [
        "trop-long.xml: is refused (form.date, line 5",
        "un-jour.xml: passes, but",
        "2 fault(s)",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let manifest = folder.join("pack.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(
        &manifest,
        text.replace("addressee", "adressee")
            .replace("days_max = 1", "days_max = -1"),
    )
    .unwrap();
    let (good, said) = check(&[&folder, &root().join("xsd/memoire-honoraires/2")]);
    assert!(!good);
    for part in [
        "3 fault(s)",
        "  addressee: is missing",
        "  adressee: is not a known key",
        "  operations.depot.dates[0].days_max: must be",
        "memoire-honoraires/2, ",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let (good, said) = check(&[&scratch.path().join("nowhere")]);
    assert!(
        !good && said.contains("pack.toml: cannot be read"),
        "{said}"
    );
}

const FORM: &str = "/v1/forms/attestation-presence";

/// Hands the guide's valid example in with another UUID, and gives that.
fn hand_in(daemon: &Daemon, pack: &Path) -> String {
    let uuid = Uuid4::random().to_string();
    let xml = fs::read_to_string(pack.join("examples/valid/depot/un-jour.xml")).unwrap();
    let xml = xml.replace("5d2c8f0a-6b1e-4c3d-8a9f-102938475665", &uuid);
    let body = serde_json::json!({ "xml": xml }).to_string();
    let accepted = daemon.call(&format!("{FORM}/depot"), Some(body.into_bytes()));
    let said = String::from_utf8_lossy(&accepted.body).into_owned();
    assert_eq!(accepted.status, 202, "{said}");
    uuid
}

/// The forms taken and the faults of all, as the service says.
fn seen(daemon: &Daemon) -> (Vec<String>, Vec<String>) {
    let health = daemon.call("/v1/health", None);
    let health: Value = serde_json::from_slice(&health.body).unwrap();
    let texts = |list: &Value, key: &str| {
        let list = list.as_array().unwrap().iter();
        list.map(|one| one[key].to_string()).collect::<Vec<_>>()
    };
    (
        texts(&health["packs"]["loaded"], "form"),
        texts(&health["packs"]["refused"], "faults"),
    )
}

#[test]
fn a_running_service_takes_refuses_and_withdraws_packs() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("packs");
    fs::create_dir(&folder).unwrap();
    // The insurer knows the form already.
    let insurer = scratch.path().join("insurer");
    guides_pack(&insurer);
    let sandbox = Sandbox::start_with_packs(&scratch.path().join("sandbox"), &insurer);
    let setup = Setup {
        layer: "[forms]\nfolder = \"packs\"\n".to_owned(),
        ..Setup::default()
    };
    let daemon = Daemon::start(scratch.path(), &sandbox, &setup);
    let form = "\"attestation-presence\"".to_owned();
    assert!(!seen(&daemon).0.contains(&form));

    let pack = guides_pack(&folder);
    until("the pack is there", || {
        seen(&daemon).0.contains(&form).then_some(())
    });
    assert_eq!(daemon.call(FORM, None).status, 200);
    let receipted = |uuid: &str| {
        let submission = daemon.wait_for(uuid, &["receipted"]);
        assert!(
            sandbox.document(uuid).contains("Exemple Mod\u{e8}le"),
            "{submission}"
        );
    };
    receipted(&hand_in(&daemon, &pack));
    let example = fs::read(pack.join("examples/invalid/depot/trop-long.xml")).unwrap();
    let body = serde_json::json!({ "xml": String::from_utf8(example).unwrap() }).to_string();
    let refused = daemon.call(
        &format!("{FORM}/depot?dry-run=true"),
        Some(body.into_bytes()),
    );
    assert_eq!(refused.status, 422);
    assert!(String::from_utf8_lossy(&refused.body).contains("form.date"));

    let manifest = fs::read_to_string(pack.join("pack.toml")).unwrap();
    fs::write(
        pack.join("pack.toml"),
        manifest.replace("addressee", "adressee"),
    )
    .unwrap();
    let faults = until("the fault is told", || {
        Some(seen(&daemon).1).filter(|f| !f.is_empty())
    });
    assert!(
        faults[0].contains("adressee: is not a known key"),
        "{faults:?}"
    );
    assert!(seen(&daemon).0.contains(&form), "the old one goes on");
    assert!(daemon.log().contains("adressee: is not a known key"));
    receipted(&hand_in(&daemon, &pack));

    fs::remove_dir_all(&pack).unwrap();
    until("it is withdrawn", || {
        (!seen(&daemon).0.contains(&form)).then_some(())
    });
    assert!(seen(&daemon).1.is_empty());
    assert_eq!(daemon.call(FORM, None).status, 404);
    let listed = daemon.command(&["pack", "list"]);
    let said = String::from_utf8(listed.stdout).unwrap();
    assert!(
        listed.status.success() && said.contains("memoire-honoraires/2 (CNS): "),
        "{said}"
    );
}

/// What was accepted is brought to its end although its pack is gone, and the
/// service was killed in between.
#[test]
fn a_submission_outlives_its_pack_and_a_kill() {
    let scratch = tempfile::tempdir().unwrap();
    let pack = guides_pack(&scratch.path().join("packs"));
    let insurer = scratch.path().join("insurer");
    guides_pack(&insurer);
    let sandbox = Sandbox::start_with_packs(&scratch.path().join("sandbox"), &insurer);
    let setup = Setup {
        layer: "[forms]\nfolder = \"packs\"\n".to_owned(),
        ..Setup::default()
    };
    let daemon = Daemon::start(scratch.path(), &sandbox, &setup);
    sandbox.scenario("tsa", "unavailable", None);
    let uuid = hand_in(&daemon, &pack);
    daemon.wait_for(&uuid, &["signed"]);
    fs::remove_dir_all(&pack).unwrap();
    daemon.kill();

    let daemon = Daemon::start(scratch.path(), &sandbox, &setup);
    assert_eq!(daemon.call(FORM, None).status, 404);
    sandbox.calm();
    let hurried = daemon.call(&format!("/v1/submissions/{uuid}/retry"), Some(Vec::new()));
    assert!(hurried.status < 300, "{}", hurried.status);
    daemon.wait_for(&uuid, &["receipted"]);
}

/// A pack that is edited in place makes no unsigned document of one that was
/// accepted to be signed, be it signed already or not.
#[test]
fn a_pack_edited_in_place_sends_nothing_unsigned() {
    const PLACE: &str =
        "\n[operations.depot.signature]\nlevel = \"XAdES-B-LT\"\nslot = \"end-of-root\"\n";
    let scratch = tempfile::tempdir().unwrap();
    let pack = guides_pack(&scratch.path().join("packs"));
    let insurer = scratch.path().join("insurer");
    guides_pack(&insurer);
    let sandbox = Sandbox::start_with_packs(&scratch.path().join("sandbox"), &insurer);
    let with = |layer: &str| Setup {
        layer: format!("{layer}[forms]\nfolder = \"packs\"\n"),
        ..Setup::default()
    };
    let manifest = pack.join("pack.toml");
    let signed = fs::read_to_string(&manifest).unwrap();
    assert!(signed.contains(PLACE));
    let unsigned = signed.replace(PLACE, "\n");
    // Until it is in this state or waits for this reason.
    let reaches = |daemon: &Daemon, uuid: &str, value: &str| {
        until(&format!("it reaches {value}"), || {
            daemon.call(&format!("/v1/submissions/{uuid}/retry"), Some(Vec::new()));
            let now = daemon.get(&format!("/v1/submissions/{uuid}"));
            (now["waiting"]["code"] == value || now["state"] == value).then_some(now)
        })
    };
    let rule = serde_json::json!({ "point": "tsa", "action": "unavailable", "count": 100_000 });
    sandbox.control("scenario", &rule.to_string());
    let daemon = Daemon::start(scratch.path(), &sandbox, &with("token = []\n"));
    let uuid = hand_in(&daemon, &pack);
    fs::write(&manifest, &unsigned).unwrap();
    let held = reaches(&daemon, &uuid, "pack-changed");
    assert_eq!(
        (&held["state"], &held["waiting"]["class"]),
        (&"received".into(), &"ours".into())
    );
    daemon.kill();

    fs::write(&manifest, &signed).unwrap();
    let daemon = Daemon::start(scratch.path(), &sandbox, &with(""));
    reaches(&daemon, &uuid, "signed");
    fs::write(&manifest, &unsigned).unwrap();
    let held = reaches(&daemon, &uuid, "pack-changed");
    assert_eq!(held["state"], "signed");
    assert_eq!(sandbox.documents().len(), 0);

    fs::write(&manifest, &signed).unwrap();
    sandbox.calm();
    reaches(&daemon, &uuid, "receipted");
}
