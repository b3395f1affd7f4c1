//! Documents as numbers, their life on a failing disk in a process of its own,
//! and what must be so afterwards.

use super::disk::{Call, Disk};
use super::{outbox_in, quick_folder};
use sceau::base::{SystemClock, Uuid4, digest};
use sceau::forms::EnvironmentKind;
use sceau::outbox::{
    Conclusion, Evidence, Kind, Lease, New, Outbox, OutboxError, Prepared, Record, Stage, State,
    Verdict,
};
use sceau::store::{Check, Fault, Room};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// In the environment of the process on the failing disk: where the state is,
/// and the file for what it was promised.
const STATE: &str = "SCEAU_TEST_STATE";
const PROMISES: &str = "SCEAU_TEST_PROMISES";
pub const DOCUMENTS: u8 = 3;
/// Tries until a document is taken in; the disk fails once, or until the room
/// is looked at again.
pub const TRIES: usize = 4;
pub const ROOM: Room = Room {
    reserve_mebibytes: 1,
    free_mebibytes_min: 1,
};

/// The bytes of a document, too large for a row.
pub fn content(number: u8) -> Vec<u8> {
    vec![number; 40_000]
}

pub fn signed(number: u8) -> Vec<u8> {
    vec![number; 50_000]
}

pub fn new(uuid: Uuid4, number: u8) -> New {
    New {
        uuid,
        form: "memoire-honoraires".into(),
        version: "2".into(),
        operation: "depot".into(),
        code_prestataire: "90000001".into(),
        client: "test".into(),
        environment: "sandbox".into(),
        environment_kind: EnvironmentKind::Sandbox,
        signer: None,
        is_interactive: false,
        links: Vec::new(),
        request_sha256: digest::sha256(&[number]),
        xml: content(number),
        pdf: None,
        facts: serde_json::json!([]),
        detail: serde_json::json!({}),
    }
}

/// Which of the documents this is.
pub fn number_of(record: &Record) -> u8 {
    let is = |number: &u8| digest::sha256(&[*number]) == record.request_sha256;
    (0..=u8::MAX).find(is).unwrap()
}

/// What a process on the failing disk was promised.
pub struct Promises(std::fs::File);

impl Promises {
    /// Written to this file.
    pub fn to(path: &Path) -> Self {
        let file = OpenOptions::new().append(true).create(true).open(path);
        Self(file.unwrap())
    }

    pub fn note(&mut self, word: &str, uuid: Uuid4) {
        writeln!(self.0, "{word} {uuid}").unwrap();
    }
}

/// What the service does after a failure.
pub fn mend(outbox: &Outbox) {
    for _ in 0..TRIES {
        match outbox.store().health().map(|health| health.fault) {
            None => return,
            Some(Fault::Full) => drop(outbox.store().look()),
            Some(Fault::Stopped) => drop(outbox.reopen()),
            Some(Fault::ReadOnly) => panic!("the database is damaged"),
        }
    }
}

/// Takes what is due in a stage one step on; whether the step was kept.
fn step(
    outbox: &Outbox,
    stage: Stage,
    work: impl FnOnce(Lease) -> Result<(), OutboxError>,
) -> bool {
    let Ok(Some(lease)) = outbox.claim(stage) else {
        mend(outbox);
        return false;
    };
    let claim = lease.claim();
    let done = work(lease);
    if done.is_err() {
        outbox.abandon(claim);
        mend(outbox);
    }
    done.is_ok()
}

/// What the process on the failing disk was told; `None` in any other process.
pub fn on_a_failing_disk() -> Option<(PathBuf, Promises)> {
    let state = std::env::var_os(STATE).map(PathBuf::from)?;
    let path = std::env::var_os(PROMISES).map(PathBuf::from)?;
    Some((state, Promises::to(&path)))
}

/// Signs what is due; whether it was kept.
pub fn prepare(outbox: &Outbox, promises: &mut Promises) -> bool {
    step(outbox, Stage::Intake, |lease| {
        let uuid = lease.record.uuid;
        let number = number_of(&lease.record);
        let step = Prepared {
            state: State::Ready,
            bodies: vec![(Kind::Document, signed(number))],
            events: vec![],
            wait: None,
        };
        outbox.prepared(lease, step)?;
        promises.note("prepared", uuid);
        Ok(())
    })
}

/// Sends or asks about what is due; whether the verdict was kept.
pub fn deliver(outbox: &Outbox, promises: &mut Promises) -> bool {
    step(outbox, Stage::Delivery, |lease| {
        let uuid = lease.record.uuid;
        let lease = match lease.record.state {
            State::Ready => {
                let document = outbox.body(uuid, Kind::Document)?.unwrap_or_default();
                let number = number_of(&lease.record);
                let lease = outbox.begin_attempt(lease)?;
                assert!(document == signed(number));
                promises.note("sent", uuid);
                lease
            }
            _ => lease,
        };
        let verdict = Conclusion::Receipted(Verdict::default());
        outbox.conclude(lease, verdict, Evidence::default())?;
        promises.note("receipted", uuid);
        Ok(())
    })
}

/// Runs the test `process` on a disk that fails by `rule`, and looks at what it
/// left; the calls it made.
pub fn lived(process: &str, rule: Option<&str>, documents: u8) -> Vec<Call> {
    let folder = quick_folder();
    let state = folder.path().join("state");
    let promises = folder.path().join("promises");
    let disk = Disk::under(&state);
    rule.into_iter().for_each(|rule| disk.fail(rule));
    let lived = Command::new(std::env::current_exe().unwrap())
        .args([process, "--exact", "--ignored", "--test-threads", "1"])
        .envs(disk.environment())
        .env(STATE, &state)
        .env(PROMISES, &promises)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&lived.stdout);
    assert!(lived.status.success(), "{rule:?}: {said}");
    disk.heal();
    kept(&state, &promises, rule, documents);
    disk.calls()
}

/// What was promised is there, and no document is where it may be sent again.
fn kept(state: &Path, promises: &Path, rule: Option<&str>, documents: u8) {
    let outbox = outbox_in(state, Room::default(), SystemClock::shared()).unwrap();
    let promises = std::fs::read_to_string(promises).unwrap();
    let mut of: BTreeMap<Uuid4, BTreeSet<&str>> = BTreeMap::new();
    for line in promises.lines() {
        let (word, uuid) = line.split_once(' ').unwrap();
        of.entry(uuid.parse().unwrap()).or_default().insert(word);
    }
    assert_eq!(of.len(), usize::from(documents), "{rule:?}");
    for (uuid, words) in of {
        let record = outbox.find(uuid).unwrap();
        let record = record.unwrap_or_else(|| panic!("{rule:?}: {uuid} is lost"));
        let number = number_of(&record);
        let is = |kind, bytes| outbox.body(uuid, kind).unwrap() == Some(bytes);
        assert!(is(Kind::RequestXml, content(number)), "{rule:?}");
        if words.contains("prepared") {
            assert!(is(Kind::Document, signed(number)), "{rule:?}");
        }
        let state = record.state;
        let stands = match (words.contains("sent"), words.contains("receipted")) {
            (_, true) => state == State::Receipted,
            // The verdict may have been kept although the commit failed.
            (true, false) => [State::Unknown, State::Receipted].contains(&state),
            (false, false) => state != State::Receipted,
        };
        assert!(stands, "{rule:?}: {words:?} is {state:?}");
    }
    outbox.store().check(Check::Whole).unwrap();
    assert_eq!(crate::audit::faults(state), "", "{rule:?}");
}
