//! `kill -9` of daemon, token worker and insurer at every point where a
//! submission changes hands. Whatever dies and when, each document handed in
//! ends with one receipt and one effect at the insurer. The tables in
//! `docs/durability.md` are what these tests measured; they are compared.

use crate::daemon::{Daemon, Setup, example, pdf, until};
use crate::sandbox::Sandbox;
use crate::softhsm::{PIN, SoftHsm};
use rustix::process::{Pid, Signal, kill_process};
use sceau::store::rusqlite::{Connection, OptionalExtension};
use sceau::x509::Cert;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Where the measured tables stand.
const TABLES: &str = include_str!("../../docs/durability.md");

/// A document on its way.
pub struct Paper {
    pub uuid: String,
    pub xml: Vec<u8>,
    pub pdf: Vec<u8>,
}

impl Paper {
    /// An example with a UUID of its own.
    pub fn new() -> Self {
        let (uuid, xml) = example("une-ligne.xml");
        let pdf = pdf("memoire-gs-a2b.pdf");
        Self { uuid, xml, pdf }
    }

    /// Hands it in for the first time.
    pub fn hand_in(&self, daemon: &Daemon) {
        assert_eq!(daemon.hand_in(&self.xml, &self.pdf).status, 202);
    }

    /// How it stands now.
    pub fn look(&self, daemon: &Daemon) -> Value {
        daemon.get(&format!("/v1/submissions/{}", self.uuid))
    }

    /// Waits until it pauses in `state` for a reason of `class`.
    pub fn pauses(&self, daemon: &Daemon, state: &str, class: &str) -> Value {
        until(
            &format!("{} waits in {state} for {class}", self.uuid),
            || {
                let now = self.look(daemon);
                let there = now["state"] == state && now["waiting"]["class"] == class;
                there.then_some(now)
            },
        )
    }

    /// Makes it due now, as a person would.
    pub fn hurry(&self, daemon: &Daemon) {
        let path = format!("/v1/submissions/{}/retry", self.uuid);
        assert_eq!(daemon.call(&path, Some(Vec::new())).status, 200);
    }

    /// What the insurer has of it, if anything.
    pub fn at_insurer(&self, sandbox: &Sandbox) -> Option<Value> {
        let mut all = sandbox.documents();
        all.retain(|d| d["uuid"] == self.uuid.as_str());
        assert!(all.len() <= 1, "{all:?}");
        all.pop()
    }

    /// Waits for the end and checks all that must hold then: one receipt, one
    /// document at the insurer, signed once, the very bytes we kept.
    pub fn ends_well(&self, daemon: &Daemon, sandbox: &Sandbox) -> Ending {
        let uuid = &self.uuid;
        let submission = daemon.wait_for(uuid, &["receipted", "rejected"]);
        assert_eq!(submission["state"], "receipted", "{submission:#}");
        let events = words(&submission);
        for once in ["received", "signed", "stamped", "sealed", "receipted"] {
            let times = events.iter().filter(|e| *e == once).count();
            assert_eq!(times, 1, "{once} in {submission:#}");
        }
        let held = self.at_insurer(sandbox).expect("the insurer has it");
        assert_eq!(held["verdict"], "accepted");
        assert_eq!(held["secu_id"], submission["insurer_id"]);

        // The digest written down when it was completed is that of the bytes
        // kept, and the insurer holds those bytes: no attempt had others.
        let kept = daemon.call(&format!("/v1/submissions/{uuid}/xml"), None);
        let history = submission["history"].as_array().unwrap();
        let sealed = history.iter().find(|e| e["event"] == "sealed").unwrap();
        assert_eq!(sealed["detail"]["sha256"], sha256(&kept.body).as_str());
        let bytes = sandbox.document(uuid);
        assert_eq!(held["sha256"], sha256(bytes.as_bytes()).as_str());
        let kept = String::from_utf8(kept.body).unwrap();
        assert!(kept.trim_end().ends_with(&bytes), "other bytes arrived");

        let receipt = daemon.call(&format!("/v1/submissions/{uuid}/receipt"), None);
        let receipt = String::from_utf8(receipt.body).unwrap();
        assert!(receipt.contains(held["secu_id"].as_str().unwrap()));
        Ending {
            events,
            arrivals: held["arrivals"].as_u64().unwrap(),
        }
    }
}

/// How a document ended.
pub struct Ending {
    /// Its history, word by word.
    pub events: Vec<String>,
    /// How often it reached the insurer's ledger.
    pub arrivals: u64,
}

impl Ending {
    fn insurer(&self) -> String {
        format!("1 document, 1 receipt, {} arrival(s)", self.arrivals)
    }
}

fn sha256(bytes: &[u8]) -> String {
    sceau::base::hex::encode(&sceau::base::digest::sha256(bytes))
}

/// The events of a submission.
pub fn words(submission: &Value) -> Vec<String> {
    let history = submission["history"].as_array().unwrap();
    let words = history.iter().map(|e| e["event"].as_str().unwrap());
    words.map(str::to_owned).collect()
}

/// The log has no gap and nothing lies about that no row names.
pub fn whole(daemon: &Daemon) {
    let audit = daemon.command(&["audit"]);
    let said = String::from_utf8_lossy(&audit.stderr).into_owned();
    assert!(audit.status.success(), "{said}");
}

fn kill(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// What a dead daemon left, read from a copy: opening the database itself
/// would repair it before the daemon does.
struct Disk {
    copy: tempfile::TempDir,
    bodies: PathBuf,
}

impl Disk {
    fn of(state: &Path) -> Self {
        let copy = tempfile::tempdir().unwrap();
        for name in ["sceau.db", "sceau.db-wal"] {
            let from = state.join(name);
            if from.exists() {
                std::fs::copy(from, copy.path().join(name)).unwrap();
            }
        }
        let bodies = state.join("bodies");
        Self { copy, bodies }
    }

    fn open(&self) -> Connection {
        Connection::open(self.copy.path().join("sceau.db")).unwrap()
    }

    /// The state and the number of bodies of a submission.
    fn submission(&self, uuid: &str) -> String {
        let database = self.open();
        let state = "SELECT state FROM submission WHERE uuid = ?1";
        let state = database.query_row(state, [uuid], |r| r.get::<_, String>(0));
        let Some(state) = state.optional().unwrap() else {
            return "nothing".to_owned();
        };
        let count = "SELECT count(*) FROM body WHERE uuid = ?1";
        let bodies: i64 = database.query_row(count, [uuid], |r| r.get(0)).unwrap();
        format!("`{state}`, {bodies} bodies")
    }

    fn events(&self, uuid: &str) -> usize {
        let count = "SELECT count(*) FROM audit WHERE subject = ?1";
        let events: i64 = self.open().query_row(count, [uuid], |r| r.get(0)).unwrap();
        usize::try_from(events).unwrap()
    }

    /// How many submissions are in each state.
    fn states(&self) -> BTreeMap<String, usize> {
        let database = self.open();
        let sql = "SELECT state, count(*) FROM submission GROUP BY state";
        let mut statement = database.prepare(sql).unwrap();
        let rows = statement.query_map([], |r| Ok((r.get(0)?, r.get::<_, i64>(1)?)));
        let rows = rows.unwrap().map(Result::unwrap);
        rows.map(|(state, n)| (state, usize::try_from(n).unwrap()))
            .collect()
    }

    /// Files in the bodies folder, and how many of them a row names.
    fn files(&self) -> (usize, usize) {
        let there = std::fs::read_dir(&self.bodies).unwrap().count();
        let count = "SELECT count(*) FROM body";
        let named: i64 = self.open().query_row(count, [], |r| r.get(0)).unwrap();
        (there, usize::try_from(named).unwrap())
    }
}

/// Prints the table and demands that the document shows it.
fn publish(head: &str, rows: &[String]) {
    let rule: String = head
        .chars()
        .map(|c| if c == '|' { '|' } else { '-' })
        .collect();
    println!("\n{head}\n{rule}\n{}\n", rows.join("\n"));
    for line in std::iter::once(head).chain(rows.iter().map(String::as_str)) {
        assert!(
            TABLES.lines().any(|l| l == line),
            "docs/durability.md does not show what was measured:\n{line}"
        );
    }
}

const POINTS: [&str; 8] = [
    "d1-before",
    "d1-after",
    "d2-before",
    "d2-after",
    "d3-before",
    "d3-after",
    "d4-before",
    "d4-after",
];

/// Kills a daemon at `point` over one document, starts it again, repeats the
/// request, and says what was seen.
fn killed_at(point: &str, folder: &Path, sandbox: &Sandbox) -> String {
    std::fs::create_dir(folder).unwrap();
    let marker = folder.join("marker");
    let hold = format!("{point}={}", marker.display());
    let setup = Setup {
        environment: vec![("SCEAU_HOLD_AT".into(), hold.into())],
        ..Setup::default()
    };
    let daemon = Daemon::start(folder, sandbox, &setup);
    let paper = Paper::new();
    let answer = std::thread::scope(|scope| {
        let client = scope.spawn(|| daemon.try_hand_in(&paper.xml, &paper.pdf));
        until(point, || marker.exists().then_some(()));
        kill(daemon.pid(), Signal::KILL);
        client.join().unwrap()
    });
    let state = daemon.state();
    drop(daemon);
    let had = answer.map_or("no answer".to_owned(), |a| format!("{}", a.status));
    let disk = Disk::of(&state);
    let arrived = paper.at_insurer(sandbox).map_or("no", |_| "yes");

    let daemon = Daemon::start(folder, sandbox, &Setup::default());
    let again = daemon.hand_in(&paper.xml, &paper.pdf).status;
    let ending = paper.ends_well(&daemon, sandbox);
    whole(&daemon);
    daemon.kill();
    let (there, named) = Disk::of(&state).files();
    assert_eq!(
        there, named,
        "bodies that no row names were left at {point}"
    );
    let after = ending.events[disk.events(&paper.uuid)..].join(", ");
    let after = if after.is_empty() {
        "nothing to do".to_owned()
    } else {
        after
    };
    format!(
        "| `{point}` | {} | {arrived} | {had} | {again} | {after} | {} |",
        disk.submission(&paper.uuid),
        ending.insurer()
    )
}

#[test]
fn the_daemon_killed_at_each_point_loses_nothing_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let rows = POINTS.map(|point| killed_at(point, &folder.path().join(point), &sandbox));
    let head = "| killed at | on disk | insurer has it | the client had | the same request again | after the restart | in the end |";
    publish(head, &rows);
}
