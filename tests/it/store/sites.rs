//! Every place of the program that changes a file of the state folder fails
//! once, in each way a disk has. A process of its own takes documents through
//! their life on the failing disk and writes down what it was promised; what it
//! leaves is then looked at on a sound disk.

use super::disk::{Call, Disk};
use super::{in_full, outbox_in, quick_folder};
use sceau::base::{Uuid4, digest};
use sceau::forms::EnvironmentKind;
use sceau::outbox::{
    Conclusion, Evidence, Kind, Lease, New, Outbox, OutboxError, Prepared, Record, Stage, State,
    Verdict,
};
use sceau::store::{Fault, Room};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// In the environment of the process on the failing disk: where the state is,
/// and the file for what it was promised.
const STATE: &str = "SCEAU_TEST_STATE";
const PROMISES: &str = "SCEAU_TEST_PROMISES";
const DOCUMENTS: u8 = 3;
/// Tries until a document is taken in; the disk fails once, or until the room
/// is looked at again.
const TRIES: usize = 4;
const ROOM: Room = Room {
    reserve_mebibytes: 1,
    free_mebibytes_min: 1,
};

/// The bytes of a document, too large for a row.
fn content(number: u8) -> Vec<u8> {
    vec![number; 40_000]
}

fn signed(number: u8) -> Vec<u8> {
    vec![number; 50_000]
}

fn new(uuid: Uuid4, number: u8) -> New {
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
fn number_of(record: &Record) -> u8 {
    let is = |number: &u8| digest::sha256(&[*number]) == record.request_sha256;
    (0..DOCUMENTS).find(is).unwrap()
}

/// What a process on the failing disk was promised.
struct Promises(std::fs::File);

impl Promises {
    fn note(&mut self, word: &str, uuid: Uuid4) {
        writeln!(self.0, "{word} {uuid}").unwrap();
    }
}

/// What the service does after a failure.
fn mend(outbox: &Outbox) {
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

/// The life of a few documents; not a test of its own.
#[test]
#[ignore = "runs in a process of its own, on a failing disk"]
fn life() {
    let Some(state) = std::env::var_os(STATE).map(PathBuf::from) else {
        return;
    };
    let path = std::env::var_os(PROMISES).unwrap();
    let promises = OpenOptions::new().append(true).create(true).open(path);
    let mut promises = Promises(promises.unwrap());
    // A service that does not start is started again.
    let outbox = (0..TRIES).find_map(|_| outbox_in(&state, ROOM).ok());
    let outbox = outbox.expect("a disk that fails once");
    for number in 0..DOCUMENTS {
        let uuid = Uuid4::random();
        let taken = (0..TRIES).any(|_| {
            let taken = outbox.receive(new(uuid, number)).is_ok();
            mend(&outbox);
            taken
        });
        assert!(taken, "{:?}", outbox.store().health());
        promises.note("accepted", uuid);
        step(&outbox, Stage::Intake, |lease| {
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
        });
        step(&outbox, Stage::Delivery, |lease| {
            let uuid = lease.record.uuid;
            if lease.record.state == State::Ready {
                let document = outbox.body(uuid, Kind::Document)?.unwrap_or_default();
                let lease = outbox.begin_attempt(lease)?;
                assert_eq!(document.len(), 50_000);
                promises.note("sent", uuid);
                let verdict = Conclusion::Receipted(Verdict::default());
                outbox.conclude(lease, verdict, Evidence::default())?;
                promises.note("receipted", uuid);
            }
            Ok(())
        });
    }
    assert_eq!(outbox.store().health(), None);
}

/// Runs [`life`] on a disk that fails by `rule`; the calls it made.
fn live(rule: Option<&str>) -> Vec<Call> {
    let folder = quick_folder();
    let state = folder.path().join("state");
    let promises = folder.path().join("promises");
    let disk = Disk::under(&state);
    rule.into_iter().for_each(|rule| disk.fail(rule));
    let lived = Command::new(std::env::current_exe().unwrap())
        .args(["store::sites::life", "--exact", "--ignored"])
        .args(["--test-threads", "1"])
        .envs(disk.environment())
        .env(STATE, &state)
        .env(PROMISES, &promises)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&lived.stdout);
    assert!(lived.status.success(), "{rule:?}: {said}");
    disk.heal();
    kept(&state, &promises, rule);
    disk.calls()
}

/// What was promised is there, and no document is where it may be sent again.
fn kept(state: &Path, promises: &Path, rule: Option<&str>) {
    let outbox = outbox_in(state, Room::default()).unwrap();
    let promises = std::fs::read_to_string(promises).unwrap();
    let mut of: BTreeMap<Uuid4, BTreeSet<&str>> = BTreeMap::new();
    for line in promises.lines() {
        let (word, uuid) = line.split_once(' ').unwrap();
        of.entry(uuid.parse().unwrap()).or_default().insert(word);
    }
    assert_eq!(of.len(), usize::from(DOCUMENTS), "{rule:?}");
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
    outbox.store().check(sceau::store::Check::Whole).unwrap();
    let chain = sceau::audit::verify(outbox.store()).unwrap();
    assert!(chain.is_ok(), "{rule:?}: {chain:?}");
}

#[test]
fn each_call_that_changes_a_file_may_fail_once() {
    let calls = live(None);
    // The first call of each kind, each way in turn; in full every call, each way.
    let mut seen = BTreeSet::new();
    let places: Vec<(usize, &Call)> = (1..)
        .zip(&calls)
        .filter(|(_, call)| in_full() || seen.insert((&call.operation, &call.kind)))
        .collect();
    let mut failed: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    let mut runs = 0;
    for (at, call) in places {
        let ways = ["ENOSPC", "EIO", "SHORT"];
        let ways = &ways[..if call.operation == "write" { 3 } else { 2 }];
        let in_turn = [ways[runs % ways.len()]];
        for how in if in_full() { ways } else { &in_turn } {
            let made = live(Some(&format!("* * {at} 1 {how}")));
            runs += 1;
            let hit = made.iter().find(|call| call.failed).cloned();
            let hit = hit.unwrap_or_else(|| panic!("call {at} was not made again"));
            let of = (hit.operation, hit.kind);
            failed.entry(of).or_default().insert(hit.site);
        }
    }
    let sites: usize = failed.values().map(BTreeSet::len).sum();
    println!(
        "{} calls, {sites} places failed in {runs} runs:",
        calls.len()
    );
    for ((operation, kind), sites) in &failed {
        println!("| {operation} | {kind} | {} |", sites.len());
    }
    let place = |call: &Call| (call.operation.clone(), call.kind.clone());
    let all: BTreeSet<_> = calls.iter().map(place).collect();
    assert_eq!(failed.keys().cloned().collect::<BTreeSet<_>>(), all);
}
