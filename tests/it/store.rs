//! The store when its disk fails, fills up or lies. The faults are made by
//! `fault_disk.c`, preloaded. What is on record in `docs/durability.md` is what
//! these tests measured; `SCEAU_CAMPAIGN=1` runs them in full.

pub mod disk;
mod flips;
mod full;
mod kept;
mod papers;
mod schemas;
mod sites;

use crate::crash::{Paper, whole};
use crate::daemon::{Daemon, Setup, until};
use crate::sandbox::Sandbox;
use disk::Disk;
use sceau::base::Clock;
use sceau::http::Response;
use sceau::outbox::{self, Outbox, OutboxError};
use sceau::store::rusqlite::{self, Connection};
use sceau::store::{Room, Settings, Store, StoreError};
use serde_json::Value;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Whether the campaigns run in full, not in the small form for each change.
fn in_full() -> bool {
    std::env::var_os("SCEAU_CAMPAIGN").is_some()
}

fn settings(folder: &Path) -> Settings {
    Settings {
        folder: folder.to_owned(),
        key_file: None,
    }
}

fn store_in(folder: &Path, room: Room) -> Result<Store, StoreError> {
    let store = Store::open(&settings(folder), &outbox::migrations())?;
    Ok(store.with_room(room))
}

fn outbox_in(folder: &Path, room: Room, clock: Arc<dyn Clock>) -> Result<Outbox, OutboxError> {
    let store = Arc::new(store_in(folder, room)?);
    Outbox::open(store, clock, Duration::from_secs(600))
}

/// A folder in memory, where there is one: it flushes at once.
fn quick_folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// A daemon on a failing disk.
fn daemon_on(disk: &Disk, folder: &Path, sandbox: &Sandbox, layer: &str) -> Daemon {
    let setup = Setup {
        layer: layer.to_owned(),
        environment: disk.environment(),
    };
    Daemon::start(folder, sandbox, &setup)
}

fn code(answer: &Response) -> String {
    let problem: Value = serde_json::from_slice(&answer.body).unwrap();
    problem["code"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn below_the_room_that_is_kept_free_nothing_new_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let layer = "[store]\nfree_mebibytes = 1048576\n".to_owned();
    let setup = Setup {
        layer,
        ..Setup::default()
    };
    let daemon = Daemon::start(folder.path(), &sandbox, &setup);
    let paper = Paper::new();
    let refused = daemon.hand_in(&paper.xml, &paper.pdf);
    assert_eq!((refused.status, code(&refused)), (507, "disk-full".into()));
    let health = daemon.call("/v1/health", None).body;
    assert!(String::from_utf8(health).unwrap().contains("disk-full"));
}

#[test]
fn a_disk_that_fails_a_flush_stops_the_store_which_comes_back_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let disk = Disk::under(&folder.path().join("state"));
    let daemon = daemon_on(&disk, folder.path(), &sandbox, "");
    let before = Paper::new();
    before.hand_in(&daemon);
    before.ends_well(&daemon, &sandbox);

    // It lasts until the rule goes: what is tried meanwhile fails too.
    disk.fail("flush * 1 0 EIO");
    let paper = Paper::new();
    let refused = daemon.hand_in(&paper.xml, &paper.pdf);
    assert_eq!(
        (refused.status, code(&refused)),
        (503, "store-stopped".into())
    );
    // Every call refuses, also one that would touch no disk.
    let read = daemon.call(&format!("/v1/submissions/{}", before.uuid), None);
    assert_eq!((read.status, code(&read)), (503, "store-stopped".into()));
    until("it was tried to open the store anew", || {
        daemon
            .log()
            .contains("the store is not back at work")
            .then_some(())
    });

    disk.heal();
    until("the store is back", || {
        let answer = daemon.hand_in(&paper.xml, &paper.pdf);
        [200, 202].contains(&answer.status).then_some(())
    });
    paper.ends_well(&daemon, &sandbox);
    before.ends_well(&daemon, &sandbox);
    whole(&daemon);
}

/// Destroys the root page of an index below a running service, and makes it look.
fn damage(state: &Path, index: &str) {
    let path = state.join("sceau.db");
    let connection = Connection::open(&path).unwrap();
    let none = |_: &rusqlite::Row<'_>| Ok(());
    connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], none)
        .unwrap();
    let root: u32 = connection
        .query_row(
            "SELECT rootpage FROM sqlite_schema WHERE name = ?1",
            [index],
            |row| row.get(0),
        )
        .unwrap();
    drop(connection);
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(&[0xa5; 4096], u64::from(root - 1) * 4096)
        .unwrap();
    drop(file);
    // Whoever has pages in memory reads them again after a commit.
    let connection = Connection::open(&path).unwrap();
    let version = outbox::migrations().len() as u32;
    connection
        .pragma_update(None, "user_version", version)
        .unwrap();
}

/// The condition is told, nothing is taken in, and what was there is given out.
fn is_only_read(daemon: &Daemon, there: &Paper, refused: &Paper) {
    until("the condition is there", || {
        let health = daemon.get("/v1/health");
        let mut conditions = health["conditions"].as_array()?.iter();
        conditions
            .any(|condition| condition["name"] == "store-damaged")
            .then_some(())
    });
    let refused = daemon.hand_in(&refused.xml, &refused.pdf);
    let wanted = (503, "store-damaged".to_owned());
    assert_eq!((refused.status, code(&refused)), wanted);
    let document = daemon.call(&format!("/v1/submissions/{}/xml", there.uuid), None);
    assert_eq!(document.status, 200);
    assert_eq!(there.look(daemon)["state"], "receipted");
}

#[test]
fn a_damaged_store_is_only_read_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let daemon = Daemon::start(folder.path(), &sandbox, &Setup::default());
    let (there, refused) = (Paper::new(), Paper::new());
    there.hand_in(&daemon);
    there.ends_well(&daemon, &sandbox);
    damage(&daemon.state(), "submission_intake");
    // It is found as soon as somebody uses it.
    let _ = daemon.hand_in(&refused.xml, &refused.pdf);
    is_only_read(&daemon, &there, &refused);
    let (state, token) = (daemon.state(), daemon.token().to_owned());
    daemon.stop();
    let again = || Daemon::start_paired(folder.path(), &sandbox, &Setup::default(), token.clone());
    let daemon = again();
    is_only_read(&daemon, &there, &refused);
    daemon.stop();
    // Damaged while nobody looked, it is the same.
    std::fs::remove_file(state.join("store-damaged")).unwrap();
    let daemon = again();
    assert!(state.join("store-damaged").exists());
    is_only_read(&daemon, &there, &refused);
    assert!(refused.at_insurer(&sandbox).is_none());
}
