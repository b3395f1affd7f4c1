//! The drop folder against a running service: the meaning of the API, and
//! nothing lost or doubled when the service dies over a document.

use crate::daemon::{Daemon, Setup, example, pdf, until};
use crate::sandbox::Sandbox;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// A service with a drop folder.
struct DropFolder {
    scratch: tempfile::TempDir,
    sandbox: Sandbox,
}

impl DropFolder {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::start(&scratch.path().join("sandbox"));
        Self { scratch, sandbox }
    }

    fn start(&self, more: &str, hold: Option<&str>) -> Daemon {
        let folder = self.root();
        let layer = format!("[inbox]\nfolder = \"{}\"\n{more}\n", folder.display());
        let marker = self.marker();
        let _ = fs::remove_file(&marker);
        let hold = hold.map(|point| format!("{point}={}", marker.display()));
        let environment = hold.map(|hold| ("SCEAU_HOLD_AT".into(), hold.into()));
        let setup = Setup {
            layer,
            environment: environment.into_iter().collect(),
        };
        Daemon::start(self.scratch.path(), &self.sandbox, &setup)
    }

    fn root(&self) -> PathBuf {
        self.scratch.path().join("drop")
    }

    fn marker(&self) -> PathBuf {
        self.scratch.path().join("marker")
    }

    fn at(&self, part: &str) -> PathBuf {
        self.root().join(part).join("memoire-honoraires/depot")
    }

    /// PDF first, XML last, as the guide says.
    fn drop(&self, name: &str, xml: &[u8], pdf: Option<&[u8]>) {
        let folder = self.at("in");
        until("the folder to drop into is there", || {
            folder.is_dir().then_some(())
        });
        if let Some(pdf) = pdf {
            fs::write(folder.join(format!("{name}.pdf")), pdf).unwrap();
        }
        fs::write(folder.join(format!("{name}.xml")), xml).unwrap();
    }

    fn names(&self, part: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.at(part)) else {
            return Vec::new();
        };
        let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    fn json(&self, part: &str, name: &str) -> Option<Value> {
        let text = fs::read(self.at(part).join(name)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    fn sent(&self, name: &str) -> Value {
        let file = format!("{name}.submission.json");
        until("it is final", || {
            let told = self.json("sent", &file)?;
            (told["is_final"] == true).then_some(told)
        })
    }

    fn refused(&self, name: &str) -> Value {
        let file = format!("{name}.problem.json");
        until("it is refused", || {
            let gone = !self.at("in").join(format!("{name}.xml")).exists();
            self.json("refused", &file).filter(|_| gone)
        })
    }
}

const QUICK: &str = "settle_seconds = 0";
const PDF: &str = "memoire-gs-a2b.pdf";

#[test]
fn a_dropped_memoire_is_sent_and_its_receipt_lies_beside_it() {
    let place = DropFolder::new();
    let daemon = place.start(QUICK, None);
    let (uuid, xml) = example("une-ligne.xml");
    place.drop("a", &xml, Some(&pdf(PDF)));
    let told = place.sent("a");
    assert_eq!(told["uuid"], uuid.as_str());
    assert_eq!(told["state"], "receipted");
    // The very words of the API, and the very bytes.
    assert_eq!(told, daemon.get(&format!("/v1/submissions/{uuid}")));
    assert_eq!(told["history"][0]["detail"]["client"], "inbox");
    let receipt = daemon.call(&format!("/v1/submissions/{uuid}/receipt"), None);
    assert_eq!(
        fs::read(place.at("sent").join("a.receipt.xml")).unwrap(),
        receipt.body
    );
    assert_eq!(fs::read(place.at("sent").join("a.xml")).unwrap(), xml);
    assert_eq!(
        place.names("sent"),
        ["a.pdf", "a.receipt.xml", "a.submission.json", "a.xml"]
    );
    assert!(place.names("in").is_empty());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.root()), 0o700);
    assert_eq!(mode(&place.at("sent")), 0o700);
    assert_eq!(mode(&place.at("sent").join("a.submission.json")), 0o600);

    // The same bytes again are the same submission, over HTTP and by drop.
    assert_eq!(daemon.hand_in(&xml, &pdf(PDF)).status, 200);
    place.drop("a", &xml, Some(&pdf(PDF)));
    place.drop("b", &xml, Some(&pdf(PDF)));
    assert_eq!(place.sent("b")["uuid"], uuid.as_str());
    until("all is taken", || {
        place.names("in").is_empty().then_some(())
    });
    assert_eq!(place.names("sent").len(), 8, "{:?}", place.names("sent"));
    // Other bytes are a conflict.
    place.drop("c", &xml, Some(&pdf("memoire-typst-a3b.pdf")));
    assert_eq!(place.refused("c")["code"], "uuid-conflict");
    // Another document under a known name hides nothing, also where nothing
    // tells any more whose that is.
    fs::remove_file(place.at("sent").join("b.submission.json")).unwrap();
    let (third, later) = example("une-ligne.xml");
    place.drop("b", &later, Some(&pdf(PDF)));
    place.sent(&format!("b.{third}"));
    assert_eq!(fs::read(place.at("sent").join("b.xml")).unwrap(), xml);
    let (other, xml) = example("accident.xml");
    place.drop("a", &xml, Some(&pdf(PDF)));
    assert_eq!(place.sent(&format!("a.{other}"))["uuid"], other.as_str());
    assert_eq!(place.sent("a")["uuid"], uuid.as_str());
    assert_eq!(place.sandbox.documents().len(), 3);
    daemon.stop();
}

#[test]
fn what_the_api_would_refuse_is_refused_with_its_very_problem() {
    let place = DropFolder::new();
    let daemon = place.start(QUICK, None);
    let (_, xml) = example("une-ligne.xml");
    let broken = String::from_utf8(xml.clone()).unwrap();
    let broken = broken.replace("<mh:lieu>01</mh:lieu>", "<mh:lieu>zz</mh:lieu>");
    assert_ne!(broken.as_bytes(), xml);
    let same = daemon.hand_in(broken.as_bytes(), &pdf(PDF));
    assert_eq!(same.status, 422);
    place.drop("a", broken.as_bytes(), Some(&pdf(PDF)));
    let problem = place.refused("a");
    assert_eq!(
        problem,
        serde_json::from_slice::<Value>(&same.body).unwrap()
    );
    assert_eq!(place.names("refused"), ["a.pdf", "a.problem.json", "a.xml"]);
    // Mended, with the same UUID: nothing was used up.
    place.drop("a", &xml, Some(&pdf(PDF)));
    assert_eq!(place.sent("a")["state"], "receipted");

    // Bound as a program is.
    daemon.stop();
    let bound = format!("{QUICK}\npractitioners = [\"90000002\"]");
    let daemon = place.start(&bound, None);
    let (_, other) = example("une-ligne.xml");
    place.drop("bound", &other, Some(&pdf(PDF)));
    assert_eq!(place.refused("bound")["code"], "practitioner-not-allowed");
    daemon.stop();
    fs::remove_dir_all(place.root().join("refused")).unwrap();
    let _daemon = place.start(QUICK, None);

    place.drop("b", &xml, None);
    assert_eq!(place.refused("b")["code"], "pdf-missing");
    place.drop("b", b"<a/>", None);
    until("a second one", || {
        (place.names("refused").len() == 4).then_some(())
    });
    let unknown = place.root().join("in/no-such-form/depot");
    fs::create_dir_all(&unknown).unwrap();
    fs::write(unknown.join("a.xml"), &xml).unwrap();
    let problem = place
        .root()
        .join("refused/no-such-form/depot/a.problem.json");
    let problem = until("it is refused", || fs::read(&problem).ok());
    let problem: Value = serde_json::from_slice(&problem).unwrap();
    assert_eq!(problem["code"], "form-unknown");
}

#[test]
fn files_that_still_grow_links_and_strangers_are_left_alone() {
    let place = DropFolder::new();
    let daemon = place.start("settle_seconds = 1", None);
    let (_, xml) = example("une-ligne.xml");
    // Slower than the service looks, but never still for a second.
    for end in (0..=xml.len()).step_by(xml.len() / 8).chain([xml.len()]) {
        place.drop("growing", &xml[..end], Some(&pdf(PDF)));
        std::thread::sleep(std::time::Duration::from_millis(400));
    }
    assert_eq!(place.sent("growing")["state"], "receipted");
    assert!(place.names("refused").is_empty());
    daemon.stop();

    // A link must neither be read nor moved, whatever it names.
    fs::remove_dir_all(place.at("in")).unwrap();
    fs::create_dir_all(place.at("in")).unwrap();
    let outside = place.scratch.path().join("outside");
    fs::create_dir_all(outside.join("depot")).unwrap();
    fs::write(outside.join("depot/secret.xml"), &xml).unwrap();
    fs::write(outside.join("secret.pdf"), pdf(PDF)).unwrap();
    symlink(
        outside.join("depot/secret.xml"),
        place.at("in").join("link.xml"),
    )
    .unwrap();
    symlink(&outside, place.root().join("in/linked")).unwrap();
    fs::write(place.at("in").join("b.xml"), &xml).unwrap();
    symlink(outside.join("secret.pdf"), place.at("in").join("b.pdf")).unwrap();
    fs::write(place.at("in").join("note.txt"), "a stranger").unwrap();
    fs::write(place.at("in").join(".hidden.xml"), &xml).unwrap();
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        place.at("in").join("pipe.xml"),
        0o600.into(),
    )
    .unwrap();
    fs::write(
        place.at("in").join(format!("{}.xml", "n".repeat(181))),
        &xml,
    )
    .unwrap();
    let _daemon = place.start(QUICK, None);
    assert_eq!(place.refused("b")["code"], "pdf-missing");
    std::thread::sleep(std::time::Duration::from_millis(1200));
    assert_eq!(place.names("in").len(), 6, "{:?}", place.names("in"));
    assert!(!place.root().join("refused/linked").exists());
    assert!(outside.join("depot/secret.xml").exists() && outside.join("secret.pdf").exists());
    assert_eq!(place.sandbox.documents().len(), 1);
}

#[test]
fn killed_at_any_step_a_dropped_document_is_one_submission() {
    let place = DropFolder::new();
    let points = [
        "d1-before",
        "d1-after",
        "inbox-accepted",
        "inbox-told",
        "inbox-linked",
        "inbox-hidden",
        "inbox-moved",
        "inbox-receipt",
    ];
    for (n, point) in points.into_iter().enumerate() {
        let daemon = place.start(QUICK, Some(point));
        let (uuid, xml) = example("une-ligne.xml");
        place.drop(point, &xml, Some(&pdf(PDF)));
        let marker = place.marker();
        until(point, || marker.exists().then_some(()));
        daemon.kill();
        let both = ["in", "sent"].map(|part| place.at(part).join(format!("{point}.xml")));
        let seen = both.iter().filter(|p| p.exists()).count();
        assert_eq!(seen, usize::from(point != "inbox-hidden"), "{point}");

        let daemon = place.start(QUICK, None);
        let told = place.sent(point);
        assert_eq!(told["uuid"], uuid.as_str(), "{point}");
        assert_eq!(told["state"], "receipted", "{point}");
        until("in is empty", || place.names("in").is_empty().then_some(()));
        for end in ["xml", "pdf", "submission.json", "receipt.xml"] {
            let file = place.at("sent").join(format!("{point}.{end}"));
            assert_eq!(fs::metadata(&file).unwrap().nlink(), 1, "{point} {end}");
        }
        assert_eq!(
            place.names("sent").len(),
            4 * (n + 1),
            "{point}: nothing else is left"
        );
        assert_eq!(place.sandbox.documents().len(), n + 1, "{point}");
        daemon.stop();
    }
    assert!(place.names("refused").is_empty());
    let points = ["inbox-linked", "inbox-hidden", "inbox-moved"];
    for (n, point) in points.into_iter().enumerate() {
        let daemon = place.start(QUICK, Some(point));
        place.drop(point, b"<a/>", Some(&pdf(PDF)));
        let marker = place.marker();
        until(point, || marker.exists().then_some(()));
        daemon.kill();
        let daemon = place.start(QUICK, None);
        assert_eq!(place.refused(point)["code"], "document-invalid");
        until("in is empty", || place.names("in").is_empty().then_some(()));
        assert_eq!(place.names("refused").len(), 3 * (n + 1), "{point}");
        daemon.stop();
    }
}

#[test]
fn what_waits_is_told_until_it_is_final_and_follows_a_restart() {
    let place = DropFolder::new();
    let rule = json!({ "point": "tsa", "action": "unavailable", "count": 100 });
    place.sandbox.control("scenario", &rule.to_string());
    let daemon = place.start(QUICK, None);
    let (_, xml) = example("une-ligne.xml");
    place.drop("a", &xml, Some(&pdf(PDF)));
    until("it waits", || {
        let told = place.json("sent", "a.submission.json")?;
        (told["waiting"]["class"] == "tsa").then_some(())
    });
    daemon.stop();
    place.sandbox.calm();
    let _daemon = place.start(QUICK, None);
    assert_eq!(place.sent("a")["state"], "receipted");
    assert!(place.at("sent").join("a.receipt.xml").exists());
}

/// A document that waits for its timestamp: UUID, and what tells of it.
fn waiting(place: &DropFolder, name: &str) -> (String, Vec<u8>) {
    let (uuid, xml) = example("une-ligne.xml");
    place.drop(name, &xml, Some(&pdf(PDF)));
    let file = format!("{name}.submission.json");
    until("it waits", || {
        let told = place.json("sent", &file)?;
        (told["waiting"]["class"] == "tsa").then_some(())
    });
    let told = fs::read(place.at("sent").join(file)).unwrap();
    (uuid, told)
}

#[test]
fn the_folder_tells_only_its_own_and_recovers_past_a_bad_entry() {
    let place = DropFolder::new();
    let rule = json!({ "point": "tsa", "action": "unavailable", "count": 100_000 });
    place.sandbox.control("scenario", &rule.to_string());
    let daemon = place.start(QUICK, None);
    let (_, told) = waiting(&place, "own");
    // One of another practitioner, and one said to be of another operation.
    let (uuid, xml) = example("une-ligne.xml");
    let xml = String::from_utf8(xml).unwrap();
    let xml = xml.replace(">90000001<", ">90000002<");
    assert_eq!(daemon.hand_in(xml.as_bytes(), &pdf(PDF)).status, 202);
    daemon.wait_for(&uuid, &["signed"]);
    daemon.stop();
    let foreign = json!({ "uuid": uuid, "is_final": false }).to_string();
    let other = place.root().join("sent/memoire-honoraires/annulation");
    fs::create_dir_all(&other).unwrap();
    let strangers = [
        (place.at("sent").join("foreign"), foreign.into_bytes()),
        (other.join("own"), told),
    ];
    let file = |stem: &Path, end: &str| PathBuf::from(format!("{}.{end}", stem.display()));
    for (stem, told) in &strangers {
        fs::write(file(stem, "submission.json"), told).unwrap();
    }
    // What cannot be read or removed, in its own place and in one before it.
    let places = [place.at("sent"), place.root().join("sent/ecit/depot")];
    for place in places {
        fs::create_dir_all(place.join(".0123456789abcdef.tmp/x")).unwrap();
        fs::create_dir_all(place.join("a.submission.json")).unwrap();
        fs::write(place.join("b.submission.json"), "{").unwrap();
        symlink("/dev/null", place.join("c.submission.json")).unwrap();
    }
    fs::write(place.root().join("sent/a-file"), "").unwrap();

    place.sandbox.calm();
    let bound = format!("{QUICK}\npractitioners = [\"90000001\"]");
    let daemon = place.start(&bound, None);
    assert_eq!(place.sent("own")["state"], "receipted");
    daemon.wait_for(&uuid, &["receipted"]);
    // Looked at again since: the next document is through.
    let (_, xml) = example("une-ligne.xml");
    place.drop("next", &xml, Some(&pdf(PDF)));
    assert_eq!(place.sent("next")["state"], "receipted");
    for (stem, told) in strangers {
        let now = fs::read(file(&stem, "submission.json")).unwrap();
        assert_eq!(now, told, "{}", stem.display());
        assert!(!file(&stem, "receipt.xml").exists(), "{}", stem.display());
    }
}

#[test]
fn a_practitioner_that_is_none_is_a_fault_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sceau.toml");
    let text = "[inbox]\npractitioners = [\"90000001\", \"nobody\"]\nsettle_seconds = 4000\n";
    fs::write(&file, text).unwrap();
    let faults = sceau::config::load(&[file]).unwrap_err().0;
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(
        faults[0].starts_with("inbox.practitioners: \"nobody\""),
        "{faults:?}"
    );
    assert!(faults[1].starts_with("inbox.settle_seconds"), "{faults:?}");
}
