//! The disk fills up, at any point: what was accepted is still finished, in the
//! room the reserve gives up, and nothing new is accepted until there is room.

use super::disk::Disk;
use super::papers::{Promises, ROOM, TRIES, deliver, lived, mend, new, on_a_failing_disk, prepare};
use super::{daemon_on, in_full, outbox_in};
use crate::crash::Paper;
use crate::daemon::{Daemon, Setup, until};
use crate::sandbox::Sandbox;
use sceau::base::{Clock, SystemClock, Uuid4};
use sceau::outbox::{Outbox, OutboxError, State};
use sceau::store::{Class, Fault};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use time::OffsetDateTime;

const DOCUMENTS: u8 = 6;
/// Points at which the disk fills up, in full.
const POINTS: usize = 50;

/// A clock that runs an hour ahead at each look at what is left, so that no
/// pause has to be waited for.
#[derive(Default)]
struct Ahead(AtomicI64);

impl Clock for Ahead {
    fn now(&self) -> OffsetDateTime {
        let hours = self.0.load(Ordering::Relaxed);
        SystemClock.now() + time::Duration::hours(hours)
    }
}

/// Whether a document is refused for want of room.
fn is_refused(outbox: &Outbox, number: u8) -> bool {
    match outbox.receive(new(Uuid4::random(), number)) {
        Ok(_) => false,
        Err(OutboxError::Store { source, .. }) => {
            assert_eq!(source.class(), Class::Full, "{source:?}");
            true
        }
        Err(error) => panic!("{error:?}"),
    }
}

/// Finishes all that was accepted.
fn drain(outbox: &Outbox, clock: &Ahead, uuids: &[Uuid4], promises: &mut Promises) {
    let open = || {
        let state = |uuid: &Uuid4| outbox.find(*uuid).unwrap().unwrap().state;
        uuids
            .iter()
            .filter(|uuid| state(uuid) != State::Receipted)
            .count()
    };
    for _ in 0..TRIES * usize::from(DOCUMENTS) {
        if open() == 0 {
            return;
        }
        clock.0.fetch_add(1, Ordering::Relaxed);
        prepare(outbox, promises);
        deliver(outbox, promises);
    }
    panic!("{} documents are not finished on a full disk", open());
}

/// The life of documents on a disk that fills up; not a test of its own.
#[test]
#[ignore = "runs in a process of its own, on a disk that fills up"]
fn life() {
    let Some((state, mut promises)) = on_a_failing_disk() else {
        return;
    };
    let rule = PathBuf::from(std::env::var_os("FAULT_DISK_CONTROL").unwrap()).join("rule");
    let empty_the_disk = || drop(std::fs::remove_file(&rule));
    let clock = Arc::new(Ahead::default());
    let opened = outbox_in(&state, ROOM, clock.clone());
    let outbox = opened.unwrap_or_else(|_| {
        // Not even a database fits: there is no service yet that could promise.
        empty_the_disk();
        outbox_in(&state, ROOM, clock.clone()).unwrap()
    });
    let mut accepted = Vec::new();
    for number in 0..DOCUMENTS {
        let uuid = Uuid4::random();
        if outbox.receive(new(uuid, number)).is_err() {
            break;
        }
        accepted.push(uuid);
        promises.note("accepted", uuid);
        prepare(&outbox, &mut promises);
        deliver(&outbox, &mut promises);
    }
    let full = accepted.len() < usize::from(DOCUMENTS);
    if full {
        let fault = outbox.store().health().map(|health| health.fault);
        assert_eq!(fault, Some(Fault::Full));
    }
    drain(&outbox, &clock, &accepted, &mut promises);
    if full {
        assert!(is_refused(&outbox, DOCUMENTS), "the disk is still full");
    }
    empty_the_disk();
    mend(&outbox);
    for number in accepted.len()..usize::from(DOCUMENTS) {
        let uuid = Uuid4::random();
        outbox.receive(new(uuid, number as u8)).unwrap();
        accepted.push(uuid);
        promises.note("accepted", uuid);
    }
    drain(&outbox, &clock, &accepted, &mut promises);
    assert_eq!(outbox.store().health(), None);
    assert!(state.join("reserve").exists());
    println!("{}", if full { "filled up" } else { "had room" });
}

#[test]
fn on_a_full_disk_nothing_is_accepted_and_all_that_was_is_finished() {
    let calls = lived("store::full::life", None, DOCUMENTS).len();
    let points = if in_full() { POINTS } else { 4 };
    let mut filled = 0;
    for point in 1..=points {
        let at = point * calls / (points + 1);
        let made = lived(
            "store::full::life",
            Some(&format!("* * {at} 0 FULL")),
            DOCUMENTS,
        );
        filled += usize::from(made.iter().any(|call| call.failed));
    }
    println!(
        "{points} points among {calls} calls: all accepted documents receipted at each; calls refused at {filled}"
    );
    assert!(filled * 10 >= points * 8, "the disk was hardly ever full");
}

#[test]
fn a_service_starts_on_a_full_disk_in_the_room_of_its_reserve() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let disk = Disk::under(&folder.path().join("state"));
    let kept = "[store]\nreserve_mebibytes = 1\n";
    let daemon = daemon_on(&disk, folder.path(), &sandbox, kept);
    let open = Paper::new();
    let away = json!({ "point": "tsa", "action": "unavailable", "count": 100_000 });
    sandbox.control("scenario", &away.to_string());
    open.hand_in(&daemon);
    open.pauses(&daemon, "signed", "tsa");
    let (state, token) = (daemon.state(), daemon.token().to_owned());
    daemon.stop();
    // Full from the first call on, and no log left to write into.
    assert!(!state.join("sceau.db-wal").exists());
    disk.fail("* * 1 0 FULL");
    assert!(state.join("reserve").exists());
    let setup = Setup {
        layer: kept.to_owned(),
        environment: disk.environment(),
    };
    let daemon = Daemon::start_paired(folder.path(), &sandbox, &setup, token);
    assert!(!state.join("reserve").exists());
    let paper = Paper::new();
    assert_eq!(daemon.hand_in(&paper.xml, &paper.pdf).status, 507);
    sandbox.calm();
    open.hurry(&daemon);
    open.ends_well(&daemon, &sandbox);
    disk.heal();
    until("there is room again", || {
        let answer = daemon.hand_in(&paper.xml, &paper.pdf);
        [200, 202].contains(&answer.status).then_some(())
    });
    paper.ends_well(&daemon, &sandbox);
}
