//! What is kept for good, what is destroyed, and what comes back from a backup.

use super::papers::{Promises, deliver, new, prepare};
use super::{outbox_in, settings};
use crate::crash::{Paper, whole};
use crate::daemon::{Daemon, Setup, until};
use crate::sandbox::Sandbox;
use sceau::base::{Clock, SystemClock};
use sceau::outbox::{Kind, OutboxError};
use sceau::store::Room;
use sceau::store::rusqlite::Connection;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

/// Runs `sceau` with the configuration of the service in `folder`.
fn sceau(folder: &Path, sandbox: &Sandbox, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sceau"));
    command.args(arguments);
    let own = ["state.toml", "test.toml"].map(|name| folder.join(name));
    let theirs = ["signer.toml", "environment.toml"].map(|name| sandbox.dir.join(name));
    for file in theirs.iter().chain(&own) {
        command.arg("--config").arg(file);
    }
    command.output().unwrap()
}

/// Empties the state folder but for the sealing key.
fn wipe(state: &Path) {
    let key = std::fs::read(state.join("seal.key")).unwrap();
    std::fs::remove_dir_all(state).unwrap();
    std::fs::create_dir(state).unwrap();
    std::fs::write(state.join("seal.key"), key).unwrap();
}

fn said(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&both).into_owned()
}

#[test]
fn what_was_open_in_a_backup_is_asked_about_and_never_sent_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (here, backup) = (folder.path(), folder.path().join("one.backup"));
    let sandbox = Sandbox::start(&here.join("sandbox"));
    let daemon = Daemon::start(here, &sandbox, &Setup::default());
    let state = daemon.state();
    let done = Paper::new();
    done.hand_in(&daemon);
    done.ends_well(&daemon, &sandbox);
    let away = json!({ "point": "tsa", "action": "unavailable", "count": 100_000 });
    sandbox.control("scenario", &away.to_string());
    let open = Paper::new();
    open.hand_in(&daemon);
    open.pauses(&daemon, "signed", "tsa");
    let file = backup.to_str().unwrap();
    let made = daemon.command(&["backup", file]);
    assert!(made.status.success(), "{}", said(&made));
    // A second one does not overwrite it.
    assert!(!daemon.command(&["backup", file]).status.success());
    assert!(
        !daemon.command(&["restore", file]).status.success(),
        "beside a service"
    );

    // Restored before it was sent: the receiver does not have it, and it goes
    // on from where it was.
    daemon.kill();
    let restore = || {
        wipe(&state);
        let restored = sceau(here, &sandbox, &["restore", file]);
        assert!(restored.status.success(), "{}", said(&restored));
        let again = sceau(here, &sandbox, &["restore", file]);
        assert!(said(&again).contains("not empty"), "{}", said(&again));
        Daemon::start(here, &sandbox, &Setup::default())
    };
    let daemon = restore();
    let now = open.look(&daemon);
    assert!(
        crate::crash::words(&now).contains(&"unknown".to_owned()),
        "{now:#}"
    );
    open.pauses(&daemon, "signed", "tsa");
    sandbox.calm();
    open.hurry(&daemon);
    let ending = open.ends_well(&daemon, &sandbox);
    assert_eq!(ending.arrivals, 1);

    // Restored after it was sent: asking is enough.
    daemon.kill();
    let daemon = restore();
    let receipted = daemon.wait_for(&open.uuid, &["receipted"]);
    assert!(!crate::crash::words(&receipted).contains(&"sending".to_owned()));
    let held = open.at_insurer(&sandbox).unwrap();
    assert_eq!(
        (held["arrivals"].as_u64(), &held["secu_id"]),
        (Some(1), &receipted["insurer_id"])
    );
    done.ends_well(&daemon, &sandbox);
    whole(&daemon);
}

#[test]
fn a_backup_that_is_damaged_or_of_another_key_is_not_restored() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let backup = folder.path().join("a.backup");
    let clock = SystemClock::shared();
    let outbox = outbox_in(&state, Room::default(), clock.clone()).unwrap();
    for number in 0..3 {
        let uuid = sceau::base::Uuid4::random();
        outbox.receive(new(uuid, number)).unwrap();
    }
    let scratch = folder.path().join("scratch");
    let own = settings(&state);
    sceau::outbox::back_up(outbox.store(), &own, &*clock, &backup, &scratch).unwrap();
    assert!(!scratch.exists());
    let whole = std::fs::read(&backup).unwrap();
    let key = std::fs::read(state.join("seal.key")).unwrap();
    let restored = |bytes: &[u8], key: &[u8]| {
        let there = tempfile::tempdir().unwrap();
        let file = folder.path().join("b.backup");
        std::fs::write(&file, bytes).unwrap();
        std::fs::write(there.path().join("seal.key"), key).unwrap();
        let done = sceau::outbox::restore(&file, &settings(there.path()), &*clock);
        assert_eq!(done.is_ok(), there.path().join("sceau.db").exists());
        done
    };
    assert_eq!(restored(&whole, &key).unwrap(), 3);
    assert!(restored(&whole, &b"11".repeat(32)).is_err());
    for at in (0..whole.len()).step_by(whole.len() / 16) {
        let mut bad = whole.clone();
        bad[at] ^= 4;
        assert!(restored(&bad, &key).is_err(), "byte {at}");
        assert!(restored(&whole[..at], &key).is_err(), "cut at {at}");
    }
    // Nobody makes a key for a backup: it would be the wrong one.
    let there = tempfile::tempdir().unwrap();
    assert!(sceau::outbox::restore(&backup, &settings(there.path()), &*clock).is_err());
    assert!(!there.path().join("seal.key").exists());
}

#[test]
fn a_restore_that_is_cut_off_leaves_no_database() {
    /// Cuts off what asks for the time: all is unpacked then.
    struct CutOff(PathBuf);
    impl Clock for CutOff {
        fn now(&self) -> time::OffsetDateTime {
            assert!(!self.0.exists(), "there before it was doubted");
            panic!("cut off");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let (state, there) = (folder.path().join("state"), folder.path().join("there"));
    let outbox = outbox_in(&state, Room::default(), SystemClock::shared()).unwrap();
    outbox
        .receive(new(sceau::base::Uuid4::random(), 0))
        .unwrap();
    let (backup, scratch) = (folder.path().join("b"), folder.path().join("s"));
    let own = settings(&state);
    sceau::outbox::back_up(outbox.store(), &own, &SystemClock, &backup, &scratch).unwrap();
    std::fs::create_dir(&there).unwrap();
    std::fs::copy(state.join("seal.key"), there.join("seal.key")).unwrap();
    let database = there.join("sceau.db");
    let clock = CutOff(database.clone());
    let restore = || sceau::outbox::restore(&backup, &settings(&there), &clock);
    let cut = std::panic::catch_unwind(std::panic::AssertUnwindSafe(restore));
    let said = cut.unwrap_err().downcast_ref::<&str>().copied();
    assert_eq!(said, Some("cut off"));
    assert!(!database.exists() && there.join("backup.db").exists());
    // The key and the backups stay where they are; nothing else is in the way.
    for left in std::fs::read_dir(&there).unwrap().flatten() {
        match left.file_name() == *"seal.key" {
            true => {}
            false if left.path().is_dir() => std::fs::remove_dir_all(left.path()).unwrap(),
            false => std::fs::remove_file(left.path()).unwrap(),
        }
    }
    std::fs::create_dir(there.join("backups")).unwrap();
    let kept = there.join("backups/sceau-2026-11-22T090000Z.backup");
    std::fs::rename(&backup, &kept).unwrap();
    let open = sceau::outbox::restore(&kept, &settings(&there), &SystemClock);
    assert_eq!(open.unwrap(), 1);
    // All of it is in the file that was put there, not in a log beside it.
    for name in ["sceau.db-wal", "backup.db", "backup.db-wal"] {
        assert!(!there.join(name).exists(), "{name}");
    }
    let restored = outbox_in(&there, Room::default(), SystemClock::shared()).unwrap();
    let states = Connection::open(&database).unwrap();
    let state: String = states
        .query_row("SELECT state FROM submission", [], |row| row.get(0))
        .unwrap();
    assert_eq!(
        (state.as_str(), restored.store().health()),
        ("unknown", None)
    );
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut out = Vec::new();
    for entry in entries.map(|entry| entry.path()) {
        match entry.is_dir() {
            true => out.extend(files(&entry)),
            false => out.push(entry),
        }
    }
    out
}

/// The files below a folder that hold these bytes.
fn holding(folder: &Path, wanted: &[u8]) -> Vec<PathBuf> {
    let mut all = files(folder);
    let holds = |path: &Path| {
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes.windows(wanted.len()).any(|window| window == wanted)
    };
    all.retain(|path| holds(path));
    all
}

#[test]
fn the_patients_name_is_nowhere_in_clear() {
    const CANARY: &str = "Canaribus";
    let folder = tempfile::tempdir().unwrap();
    let (here, work) = (folder.path(), folder.path().join("daemon"));
    std::fs::create_dir_all(work.join("tmp")).unwrap();
    let sandbox = Sandbox::start(&here.join("sandbox"));
    let setup = Setup {
        layer: "[log]\nlevel = \"trace\"\n".to_owned(),
        environment: vec![("TMPDIR".into(), work.join("tmp").into())],
    };
    let daemon = Daemon::start(&work, &sandbox, &setup);
    let canary = || {
        let mut paper = Paper::new();
        let xml = String::from_utf8(paper.xml).unwrap();
        let named = xml.replace("Modèle", CANARY);
        assert_ne!(xml, named);
        paper.xml = named.into_bytes();
        paper
    };
    // One that comes to its end, one that stays open, one that is not accepted.
    let done = canary();
    done.hand_in(&daemon);
    done.ends_well(&daemon, &sandbox);
    let away = json!({ "point": "tsa", "action": "unavailable", "count": 100_000 });
    sandbox.control("scenario", &away.to_string());
    let open = canary();
    open.hand_in(&daemon);
    open.pauses(&daemon, "signed", "tsa");
    let mut wrong = canary();
    let text = String::from_utf8(wrong.xml).unwrap();
    wrong.xml = text.replace("<mh:nombre>1<", "<mh:nombre>-1<").into_bytes();
    assert_eq!(daemon.hand_in(&wrong.xml, &wrong.pdf).status, 422);
    let backup = work.join("b.backup");
    let made = daemon.command(&["backup", backup.to_str().unwrap()]);
    assert!(made.status.success(), "{}", said(&made));

    // It is in the service's memory, and in no file of it: not the database and
    // its log while it runs, not bodies, backup, log, temporary files.
    let scan = |when: &str| {
        let found = holding(&work, CANARY.as_bytes());
        assert!(found.is_empty(), "{when}: {found:?}");
        assert!(
            files(&work).len() > 8,
            "{when}: hardly anything was looked at"
        );
    };
    scan("while it runs");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let core: Vec<&str> = core.unwrap().split_whitespace().collect();
    assert_eq!(core[4..6], ["0", "0"], "a crash writes memory to disk");
    let pid = rustix::process::Pid::from_raw(daemon.pid() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::ABORT).unwrap();
    until("it is dead", || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid()));
        status
            .map_or(true, |s| s.contains("State:\tZ"))
            .then_some(())
    });
    scan("after a crash");
    // The scan finds what is there.
    std::fs::write(work.join("planted"), format!("x{CANARY}y")).unwrap();
    assert_eq!(holding(&work, CANARY.as_bytes()), [work.join("planted")]);
}

#[test]
fn what_has_ended_long_ago_cannot_be_read_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let clock = SystemClock::shared();
    let outbox = outbox_in(&state, Room::default(), clock).unwrap();
    let promises = folder.path().join("promises");
    let mut promises = Promises::to(&promises);
    let uuid = |number| {
        let uuid = sceau::base::Uuid4::random();
        outbox.receive(new(uuid, number)).unwrap();
        uuid
    };
    let (ended, open) = (uuid(0), uuid(1));
    assert!(prepare(&outbox, &mut promises) && prepare(&outbox, &mut promises));
    assert!(deliver(&outbox, &mut promises));
    drop(outbox);

    let database = Connection::open(state.join("sceau.db")).unwrap();
    let keys = |uuid: sceau::base::Uuid4| -> Vec<Vec<u8>> {
        let sql = "SELECT wrapped_key FROM body WHERE uuid = ?1 AND kind <> 'answer-facts'";
        let mut statement = database.prepare(sql).unwrap();
        let rows = statement.query_map([uuid.to_string()], |row| row.get(0));
        rows.unwrap().map(Result::unwrap).collect()
    };
    let (destroyed, kept) = (keys(ended), keys(open));
    assert_eq!((destroyed.len(), kept.len()), (3, 3));
    drop(database);

    let days = |days| SystemClock.now() + time::Duration::days(days);
    let outbox = outbox_in(&state, Room::default(), SystemClock::shared()).unwrap();
    assert_eq!(outbox.purge(days(-1)).unwrap(), 0);
    let bodies = || files(&state.join("bodies")).len();
    let before = bodies();
    assert_eq!(outbox.purge(days(1)).unwrap(), 1);
    assert_eq!(outbox.purge(days(1)).unwrap(), 0);
    // Who reads the log meanwhile holds it up, and nobody else for long.
    let reader = Connection::open(state.join("sceau.db")).unwrap();
    let count = "BEGIN; SELECT count(*) FROM submission";
    reader.execute_batch(count).unwrap();
    let began = std::time::Instant::now();
    assert!(!outbox.store().forget().unwrap());
    assert!(began.elapsed() < Duration::from_secs(5));
    drop(reader);
    assert!(outbox.store().forget().unwrap());
    assert_eq!(bodies(), before - 2);
    // While the service runs: no page and no log has a key any more.
    for key in destroyed {
        assert_eq!(holding(&state, &key), Vec::<PathBuf>::new());
    }
    for key in kept {
        assert!(!holding(&state, &key).is_empty());
    }
    for kind in [Kind::RequestXml, Kind::Document, Kind::Facts] {
        let gone = outbox.body(ended, kind);
        assert!(matches!(gone, Err(OutboxError::Purged(_))), "{gone:?}");
        assert!(outbox.body(open, kind).unwrap().is_some());
    }
    assert!(outbox.body(ended, Kind::AnswerFacts).unwrap().is_some());
    assert!(outbox.find(ended).unwrap().is_some());
    let history = outbox.history(ended).unwrap();
    assert_eq!(history.last().unwrap().event, "purged");
    outbox.store().check(sceau::store::Check::Whole).unwrap();
    // The next backup has nothing of it either, and is whole.
    let (backup, scratch) = (folder.path().join("b"), folder.path().join("s"));
    let own = settings(&state);
    let made = sceau::outbox::back_up(outbox.store(), &own, &SystemClock, &backup, &scratch);
    assert_eq!(made.unwrap().bodies, bodies());
}

#[test]
fn of_a_destroyed_document_the_api_still_gives_what_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let daemon = Daemon::start(folder.path(), &sandbox, &Setup::default());
    let paper = Paper::new();
    paper.hand_in(&daemon);
    paper.ends_well(&daemon, &sandbox);
    let state = daemon.state();
    daemon.kill();
    let outbox = outbox_in(&state, Room::default(), SystemClock::shared()).unwrap();
    let tomorrow = SystemClock.now() + time::Duration::days(1);
    assert_eq!(outbox.purge(tomorrow).unwrap(), 1);
    drop(outbox);

    let daemon = Daemon::start(folder.path(), &sandbox, &Setup::default());
    let ask = |part: &str| daemon.call(&format!("/v1/submissions/{}{part}", paper.uuid), None);
    for part in ["/xml", "/pdf"] {
        let answer = ask(part);
        let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(
            (answer.status, &problem["code"]),
            (410, &json!("document-purged"))
        );
    }
    for part in ["", "/receipt", "/timestamp"] {
        assert_eq!(ask(part).status, 200, "{part}");
    }
    let now = paper.look(&daemon);
    assert_eq!(now["state"], "receipted");
    assert_eq!(
        now["history"].as_array().unwrap().last().unwrap()["event"],
        "purged"
    );
    // It is known for good: handed in again it is what it was.
    assert_eq!(daemon.hand_in(&paper.xml, &paper.pdf).status, 200);
    whole(&daemon);
}
