//! The audit log of a real service: witnessed by the sandbox's timestamp
//! authority, verified offline, and tampered with from outside.

use crate::daemon::{Daemon, Setup, example, pdf};
use crate::sandbox::Sandbox;
use sceau::audit::{self, CHECKPOINT_FILE, Database, Judge, Log};
use sceau::base::{Clock, SystemClock};
use sceau::outbox;
use sceau::store::rusqlite::Connection;
use sceau::store::{self, Store, StoreError};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What is wrong with the audit log of a state folder, whoever signed timestamps
/// in it.
pub fn faults(state: &Path) -> String {
    let found = Database::open(state).and_then(|log| {
        let judge = Judge {
            keys: &log.keys()?,
            kept: Vec::new(),
            trusted: &|_, _, _| Ok(()),
            node: None,
        };
        Ok(audit::verify(log.items()?, judge).faults)
    });
    match found {
        Ok(faults) => faults.iter().map(|fault| format!("{fault:?}\n")).collect(),
        Err(unreadable) => format!("{unreadable:?}"),
    }
}

/// Verifies the checkpoint of an archive as docs/audit.md says.
pub const CHECKPOINT: &str = r#"
import hashlib, json
sha = lambda *parts: hashlib.sha256(b"".join(parts)).digest()
proof = json.load(open("checkpoint.json"))
history = {e["seq"]: e for e in json.load(open("history.json"))}
text, _ = proof["note"].split("\n\n")
origin, size, root = text.split("\n")
assert origin == proof["key"].split("+")[0]
def led_to(seq, size, leaf, path):
    place, last, root = seq - 1, size - 1, sha(b"\0", leaf)
    for sibling in map(bytes.fromhex, path):
        if place % 2 or place == last:
            root = sha(b"\1", sibling, root)
            while place % 2 == 0 and place:
                place, last = place // 2, last // 2
        else:
            root = sha(b"\1", root, sibling)
        place, last = place // 2, last // 2
    assert last == 0
    return root
import base64
for entry in proof["entries"]:
    leaf = bytes.fromhex(history[entry["seq"]]["hash"])
    assert led_to(entry["seq"], int(size), leaf, entry["path"]) == base64.b64decode(root), entry
nonce = sha(bytes.fromhex(proof["salt"]), proof["note"].encode())[:16]
print("%X" % int.from_bytes(nonce, "big"))
print(" ".join(str(entry["seq"]) for entry in proof["entries"]))
"#;

struct World {
    folder: TempDir,
    sandbox: Sandbox,
    daemon: Option<Daemon>,
}

/// With every timestamp a checkpoint.
const EVERY: &str = "[audit]\ncheckpoint_minutes = 0\n";

impl World {
    fn start(layer: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::start(&folder.path().join("sandbox"));
        let mut world = Self {
            folder,
            sandbox,
            daemon: None,
        };
        world.run(layer);
        world
    }

    fn run(&mut self, layer: &str) {
        let layer = layer.to_owned();
        let setup = Setup {
            layer,
            ..Setup::default()
        };
        let daemon = Daemon::start(self.folder.path(), &self.sandbox, &setup);
        self.daemon = Some(daemon);
    }

    fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().unwrap()
    }

    /// Hands a document in and waits for its end.
    fn send(&self) -> String {
        let (uuid, xml) = example("une-ligne.xml");
        let answer = self.daemon().hand_in(&xml, &pdf("memoire-gs-a2b.pdf"));
        assert_eq!(answer.status, 202);
        self.daemon().wait_for(&uuid, &["receipted"]);
        uuid
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Output {
        self.daemon().command(arguments)
    }

    /// The JSON of `sceau audit verify` and its exit status.
    fn verify(&self, arguments: &[&str]) -> (Value, i32) {
        let command = [&["audit", "verify", "--json"], arguments].concat();
        let output = self.command(&command);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let found = serde_json::from_slice(&output.stdout);
        let found = found.unwrap_or_else(|_| panic!("{arguments:?}: {errors}"));
        (found, output.status.code().unwrap())
    }

    fn database(&self) -> Connection {
        let connection = Connection::open(self.daemon().state().join("sceau.db")).unwrap();
        let triggers = ["audit_no_update", "audit_no_delete"];
        for trigger in triggers {
            let drop = format!("DROP TRIGGER IF EXISTS {trigger}");
            connection.execute_batch(&drop).unwrap();
        }
        connection
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn codes(found: &Value) -> Vec<&str> {
    let faults = found["faults"].as_array().unwrap().iter();
    faults
        .map(|fault| fault["code"].as_str().unwrap())
        .collect()
}

#[test]
fn a_timestamp_that_was_fetched_anyway_witnesses_the_log() {
    let mut world = World::start("");
    let uuid = world.send();
    world.send();
    // While the service runs.
    let (found, status) = world.verify(&[]);
    assert_eq!((status, codes(&found)), (0, vec![]), "{found:#}");
    // One an hour, by the first.
    assert_eq!(found["checkpoints"], 1);
    let witnessed = &found["witnessed"];
    let covered = witnessed["entries"].as_i64().unwrap();
    assert!(covered >= 3 && covered < found["entries"].as_i64().unwrap());
    assert!(witnessed["authority"].as_str().unwrap().contains("CN="));
    let spoken = world.command(&["audit"]);
    let spoken = String::from_utf8(spoken.stdout).unwrap();
    assert!(spoken.starts_with("The audit log is whole: "), "{spoken}");
    assert!(
        spoken.contains("no timestamp speaks for them yet"),
        "{spoken}"
    );

    // No request more than the documents need.
    let submission = world.daemon().get(&format!("/v1/submissions/{uuid}"));
    let steps = submission["history"].as_array().unwrap().iter();
    let calls = steps.flat_map(|step| step["detail"]["calls"].as_array().cloned());
    let stamps = calls
        .flatten()
        .filter(|call| call["purpose"] == "timestamp");
    assert_eq!(stamps.count(), 1);

    // After a stop, without the sealing key, without anything written.
    let state = world.daemon().state();
    world.daemon.take().unwrap().stop();
    world.run("");
    let own = std::fs::read_to_string(state.join(CHECKPOINT_FILE)).unwrap();
    assert!(own.starts_with("sceau/audit/"), "{own}");
    std::fs::rename(state.join("seal.key"), world.path("seal.key")).unwrap();
    let (again, status) = world.verify(&[]);
    assert_eq!((status, &again["keys"]), (0, &found["keys"]), "{again:#}");
    let refused = world.command(&["audit", "checkpoint"]);
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn an_export_is_verified_with_the_public_key_and_the_anchor_alone() {
    let world = World::start(EVERY);
    world.send();
    world.send();
    let (export, root) = (world.path("export.jsonl"), world.sandbox.pki("root.pem"));
    let exported = world.command(&["audit", "export", text(&export)]);
    assert!(exported.status.success(), "{exported:?}");
    let key = String::from_utf8(world.command(&["audit", "key"]).stdout).unwrap();
    let kept = world.path("kept");
    let checkpoint = world.command(&["audit", "checkpoint"]).stdout;
    std::fs::write(&kept, &checkpoint).unwrap();

    // By a program that knows nothing of the service.
    let verify = |export: &Path, more: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sceau"));
        command.args(["audit", "verify", "--json", "--export", text(export)]);
        let output = command.args(more).output().unwrap();
        let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (found, output.status.code().unwrap())
    };
    let trust = ["--key", key.trim(), "--anchor", &root];
    let (found, status) = verify(&export, &trust);
    assert_eq!((status, codes(&found)), (0, vec![]), "{found:#}");
    assert!(found["checkpoints"].as_u64().unwrap() >= 2, "{found:#}");
    let with_kept = [&trust[..], &["--checkpoint", text(&kept)]].concat();
    assert_eq!(verify(&export, &with_kept).1, 0);
    // The log goes on: the export is older than what was kept since.
    world.send();
    std::fs::write(&kept, world.command(&["audit", "checkpoint"]).stdout).unwrap();
    let (found, status) = verify(&export, &with_kept);
    assert_eq!((status, codes(&found)), (3, vec!["older-than-kept"]));

    // Without key or anchor there is nothing to verify with.
    assert_eq!(verify(&export, &["--anchor", &root]).1, 2);
    assert_eq!(verify(&export, &["--key", key.trim()]).1, 2);
    assert_eq!(verify(&export, &["--key", "key", "--anchor", &root]).1, 2);
    assert_eq!(verify(&kept, &trust).1, 2);
    // Another installation's key and another root.
    let other = World::start("");
    let other_key = String::from_utf8(other.command(&["audit", "key"]).stdout).unwrap();
    let (found, status) = verify(&export, &["--key", other_key.trim(), "--anchor", &root]);
    assert_eq!((status, codes(&found)[0]), (3, "checkpoint-foreign"));
    let other_root = other.sandbox.pki("root.pem");
    let (found, status) = verify(&export, &["--key", key.trim(), "--anchor", &other_root]);
    assert_eq!((status, codes(&found)[0]), (3, "timestamp-untrusted"));

    // The export names no patient.
    let lines = std::fs::read_to_string(&export).unwrap();
    assert!(!lines.contains("Modèle") && !lines.contains("1893120105732"));
}

#[test]
fn tampering_below_a_running_service_is_found_and_named() {
    let world = World::start(EVERY);
    world.send();
    let state = world.daemon().state();
    let older = world.path("older");
    std::fs::create_dir(&older).unwrap();
    world
        .database()
        .execute("VACUUM INTO ?1", [text(&older.join("sceau.db"))])
        .unwrap();
    world.send();
    let (found, status) = world.verify(&[]);
    assert_eq!(status, 0, "{found:#}");

    let change = "UPDATE audit SET detail = '{}' WHERE seq = 4";
    let before: String = world
        .database()
        .query_row("SELECT detail FROM audit WHERE seq = 4", [], |row| {
            row.get(0)
        })
        .unwrap();
    world.database().execute(change, []).unwrap();
    let (found, status) = world.verify(&[]);
    assert_eq!((status, codes(&found)), (3, vec!["entry-altered"]));
    let fault = &found["faults"][0];
    assert_eq!((&fault["from"], &fault["to"]), (&4.into(), &4.into()));
    assert!(!fault["what_to_do"].as_str().unwrap().is_empty());
    let spoken = String::from_utf8(world.command(&["audit", "verify"]).stdout).unwrap();
    assert!(
        spoken.contains("entry 4: ") && spoken.contains("[entry-altered]"),
        "{spoken}"
    );
    let restore = "UPDATE audit SET detail = ?1 WHERE seq = 4";
    world.database().execute(restore, [before]).unwrap();
    assert_eq!(world.verify(&[]).1, 0);

    // An older copy of the whole database, with all that belongs to it.
    std::fs::copy(state.join(CHECKPOINT_FILE), older.join(CHECKPOINT_FILE)).unwrap();
    let layer = world.path("older.toml");
    std::fs::write(&layer, "[store]\nfolder = \"older\"\n").unwrap();
    let (found, status) = world.verify(&["--config", text(&layer)]);
    // The test's own file comes last and wins: that is the present state.
    assert_eq!((status, codes(&found)), (0, vec![]));
    let verify = |state: &Path| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sceau"));
        let own = ["audit", "verify", "--json", "--config", text(state)];
        let output = command
            .args(own)
            .args(["--anchor", &world.sandbox.pki("root.pem")])
            .output();
        let output = output.unwrap();
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        (found, output.status.code().unwrap())
    };
    let (found, status) = verify(&layer);
    assert_eq!(
        (status, codes(&found)),
        (3, vec!["older-than-kept"]),
        "{found:#}"
    );
    std::fs::remove_file(older.join(CHECKPOINT_FILE)).unwrap();
    assert_eq!(verify(&layer).1, 0, "in itself it is whole");
}

/// Fills a log, and tells what a checkpoint and a verification cost.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "writes a million entries: minutes"]
fn a_million_entries_are_verified_in_the_memory_of_a_few() {
    const ENTRIES: i64 = 1_000_000;
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let settings = store::Settings {
        folder: state.clone(),
        key_file: None,
    };
    let store = Arc::new(Store::open(&settings, &outbox::migrations()).unwrap());
    let settings = audit::Settings {
        checkpoint_every: Duration::ZERO,
        checkpoint_file: state.join(CHECKPOINT_FILE),
    };
    let log = Log::open(store.clone(), SystemClock::shared(), settings).unwrap();
    let detail =
        json!({ "level": "XAdES-B-LT", "sha256": "0".repeat(64), "calls": ["0".repeat(100)] });
    for _ in 0..ENTRIES / 10_000 {
        let written = store.transact(|tx| {
            let subject = "3f0c2a9e-6f44-4b39-8f4e-0c6d8a1b2c3d";
            let append = |_| audit::append(tx, SystemClock.now(), subject, "sealed", &detail);
            (0..10_000).try_for_each(append)
        });
        written.unwrap_or_else(|error: StoreError| panic!("{error}"));
    }
    for what in ["the first checkpoint", "the next"] {
        let start = Instant::now();
        assert!(log.due().unwrap().is_some());
        println!("{what}: {:?}", start.elapsed());
    }
    let layer = folder.path().join("test.toml");
    std::fs::write(&layer, "[store]\nfolder = \"state\"\n").unwrap();
    let export = folder.path().join("export");
    let key = log.key().to_string();
    let anchor = Sandbox::start(&folder.path().join("sandbox")).pki("root.pem");
    let runs: [&[&str]; 3] = [
        &["verify", "--config", text(&layer)],
        &["export", text(&export), "--config", text(&layer)],
        &[
            "verify",
            "--export",
            text(&export),
            "--key",
            &key,
            "--anchor",
            &anchor,
        ],
    ];
    for arguments in runs {
        let start = Instant::now();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sceau"));
        let mut child = command.arg("audit").args(arguments).spawn().unwrap();
        let status = format!("/proc/{}/status", child.id());
        let mut peak = 0;
        let ended = loop {
            let shown = std::fs::read_to_string(&status).unwrap_or_default();
            let line = shown.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            peak = line.map_or(peak, |line| {
                line.trim().split(' ').next().unwrap().parse().unwrap()
            });
            if let Some(ended) = child.try_wait().unwrap() {
                break ended;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        println!("{}: {:?}, {peak} KiB", arguments[0], start.elapsed());
        assert!(ended.success() && peak < 64 << 10, "{peak} KiB");
    }
}
