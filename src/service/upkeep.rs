//! The thread that looks after the store in the long run: destroys documents
//! whose time has come, checks the database, makes and proves backups. When
//! each was last done stands in the audit log.

use crate::base::clock::rfc3339_seconds;
use crate::base::{Clock, Uuid4, file};
use crate::config::UpkeepSettings;
use crate::outbox::{self, Outbox, OutboxError};
use crate::store::{Check, Settings};
use std::fs;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use time::OffsetDateTime;

/// How often it is looked whether something is due.
const LOOK_EVERY: Duration = Duration::from_secs(60);
const DAY: time::Duration = time::Duration::DAY;
/// Pause after a backup that failed: each try costs reading and writing it all.
const BACKUP_AGAIN: time::Duration = time::Duration::HOUR;
const WEEK: time::Duration = time::Duration::WEEK;
/// What a backup is restored into for its proof begins so.
const SCRATCH: &str = "restore-test-";
const BACKUP: (&str, &str) = ("sceau-", ".backup");

/// What upkeep works on.
pub(super) struct Tended {
    outbox: Arc<Outbox>,
    clock: Arc<dyn Clock>,
    store: Settings,
    settings: UpkeepSettings,
    proved_time: ProvedTime,
    /// Whether keys of destroyed documents may be in the database's log still.
    to_forget: AtomicBool,
}

/// The latest time of this machine's clock that a signed time has confirmed
/// since the start, as long as the two agree.
pub(super) type ProvedTime = Box<dyn Fn() -> Option<OffsetDateTime> + Send>;

/// The thread, until it is stopped.
pub(super) struct Upkeep {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Upkeep {
    pub(super) fn start(tended: Tended) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let tend = move || {
            tended.clear_scratch();
            while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                if panic::catch_unwind(AssertUnwindSafe(|| tended.tend())).is_err() {
                    tracing::error!("the store's upkeep panicked");
                }
            }
        };
        let thread = thread::Builder::new()
            .name("upkeep".to_owned())
            .spawn(tend)?;
        Ok(Self { stop, thread })
    }

    /// Ends after what is under way.
    pub(super) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the store's upkeep had panicked");
        }
    }
}

/// What is tried, in words, and how.
type Duty<'a> = (&'static str, &'a dyn Fn() -> Result<(), OutboxError>);

impl Tended {
    pub(super) fn new(
        (outbox, clock): (Arc<Outbox>, Arc<dyn Clock>),
        (store, settings): (Settings, UpkeepSettings),
        proved_time: ProvedTime,
    ) -> Self {
        Self {
            outbox,
            clock,
            store,
            settings,
            proved_time,
            // What a process that was killed did not come to.
            to_forget: true.into(),
        }
    }

    /// Does what is due. A fault of the store is its own news, told elsewhere.
    fn tend(&self) {
        let duties: [Duty<'_>; 4] = [
            ("destroy old documents", &|| self.purge()),
            ("check the database", &|| self.check(Check::Quick)),
            ("check the whole database", &|| self.check(Check::Whole)),
            ("make a backup", &|| self.back_up()),
        ];
        for (duty, work) in duties {
            if self.outbox.store().health().is_some() {
                return;
            }
            if let Err(error) = work() {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "upkeep could not {duty}");
            }
        }
    }

    fn purge(&self) -> Result<(), OutboxError> {
        let destroyed = self.destroy_ended();
        // Also after a failure: what went before it is to be gone.
        if self.to_forget.load(Ordering::Relaxed) && self.outbox.store().forget()? {
            self.to_forget.store(false, Ordering::Relaxed);
        }
        destroyed
    }

    fn destroy_ended(&self) -> Result<(), OutboxError> {
        // Never by this machine's clock alone: one that runs ahead would
        // destroy what is to be kept for years to come.
        if let (Some(kept), Some(proved)) = (self.settings.documents_kept, (self.proved_time)()) {
            while self.outbox.purge(proved - kept)? > 0 {
                self.to_forget.store(true, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    fn check(&self, thorough: Check) -> Result<(), OutboxError> {
        let (event, every) = match thorough {
            Check::Quick => ("store-checked", DAY),
            Check::Whole => ("store-proved", WEEK),
        };
        if !self.is_due(event, every)? {
            return Ok(());
        }
        self.outbox.store().check(thorough)?;
        if thorough == Check::Whole {
            self.outbox.prove_open()?;
        }
        self.outbox.note(event)
    }

    fn back_up(&self) -> Result<(), OutboxError> {
        if self.settings.backups_kept == 0 || !self.is_due("backed-up", DAY)? {
            self.outbox.backup_ended(None);
            return Ok(());
        }
        let failed = self.outbox.backup_failure();
        if failed.is_some_and(|failed| (self.clock.now() - failed.at).abs() < BACKUP_AGAIN) {
            return Ok(());
        }
        let made = self.make_backup();
        self.outbox.backup_ended(made.as_ref().err());
        made
    }

    fn make_backup(&self) -> Result<(), OutboxError> {
        let folder = &self.settings.backup_folder;
        self.clear_backups()?;
        file::create_private_dir(folder).map_err(OutboxError::folder(folder))?;
        let scratch = format!("{SCRATCH}{}", Uuid4::random());
        let scratch = self.store.folder.join(scratch);
        let target = folder.join(self.backup_name());
        let store = self.outbox.store();
        outbox::back_up(store, &self.store, &*self.clock, &target, &scratch)?;
        tracing::info!(backup = %target.display(), "backup made and restored for a test");
        keep_newest(folder, self.settings.backups_kept, &self.backup_name())
            .map_err(OutboxError::folder(folder))
    }

    /// Named by its time, so that names are in order.
    fn backup_name(&self) -> String {
        let at = rfc3339_seconds(self.clock.now()).replace(':', "");
        format!("{}{at}{}", BACKUP.0, BACKUP.1)
    }

    /// Whether it was last done `every` or longer ago. What was done in the
    /// future, by a clock set back since, is due too.
    fn is_due(&self, event: &str, every: time::Duration) -> Result<bool, OutboxError> {
        let last = self.outbox.last_kept(event)?;
        Ok(last.is_some_and(|last| (self.clock.now() - last).abs() >= every))
    }

    /// Removes what a backup that was killed left.
    fn clear_backups(&self) -> Result<(), OutboxError> {
        let store = self.outbox.store();
        Ok(store.clear_backups(&self.settings.backup_folder, is_backup)?)
    }

    /// Removes what a process that was killed left.
    fn clear_scratch(&self) {
        if let Err(error) = self.clear_backups() {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "what a backup left is not removed");
        }
        for entry in fs::read_dir(&self.store.folder)
            .into_iter()
            .flatten()
            .flatten()
        {
            if entry.file_name().to_string_lossy().starts_with(SCRATCH) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// Whether a file of this name is one of ours.
fn is_backup(name: &str) -> bool {
    name.starts_with(BACKUP.0) && name.ends_with(BACKUP.1)
}

/// Removes all but the newest `count` backups of ours. One named later than
/// `now` was made by a clock that was wrong, and counts as the oldest.
fn keep_newest(folder: &Path, count: usize, now: &str) -> io::Result<()> {
    let mut names: Vec<String> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()?;
    names.retain(|name| is_backup(name));
    names.sort_by_key(|name| (name.as_str() <= now, name.clone()));
    for name in names.iter().rev().skip(count) {
        fs::remove_file(folder.join(name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::receive;
    use super::*;
    use crate::base::clock::FixedClock;
    use crate::outbox::{Conclusion, Evidence, Kind, Prepared, Stage, State, Verdict};
    use crate::store::Store;
    use std::sync::Mutex;

    fn tended(folder: &Path, at: OffsetDateTime) -> Tended {
        let store = Settings {
            folder: folder.join("state"),
            key_file: None,
        };
        let clock: Arc<dyn Clock> = Arc::new(FixedClock(at));
        let opened = Arc::new(Store::open(&store, &outbox::migrations()).unwrap());
        let outbox = Outbox::open(opened, clock.clone(), Duration::from_secs(60)).unwrap();
        let settings = UpkeepSettings {
            documents_kept: None,
            backup_folder: folder.join("backups"),
            backups_kept: 2,
        };
        let proved_time = Box::new(|| None);
        Tended::new((Arc::new(outbox), clock), (store, settings), proved_time)
    }

    fn day(day: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap() + time::Duration::days(day)
    }

    /// A document that has ended.
    fn ended(outbox: &Outbox) -> Uuid4 {
        let uuid = receive(outbox);
        let lease = outbox.claim(Stage::Intake).unwrap().unwrap();
        let step = Prepared {
            state: State::Ready,
            bodies: vec![],
            events: vec![],
            wait: None,
        };
        outbox.prepared(lease, step).unwrap();
        let lease = outbox.claim(Stage::Delivery).unwrap().unwrap();
        let lease = outbox.begin_attempt(lease).unwrap();
        let receipted = Conclusion::Receipted(Verdict::default());
        let evidence = Evidence::default();
        outbox.conclude(lease, receipted, evidence).unwrap();
        uuid
    }

    #[test]
    fn no_clock_that_runs_ahead_destroys_a_document() {
        let folder = tempfile::tempdir().unwrap();
        let uuid = ended(&tended(folder.path(), day(0)).outbox);
        let is_destroyed_by = |proved: Option<OffsetDateTime>| {
            let mut tended = tended(folder.path(), day(3650));
            tended.settings.documents_kept = Some(Duration::from_secs(30 * 86_400));
            tended.proved_time = Box::new(move || proved);
            tended.tend();
            tended.outbox.body(uuid, Kind::RequestXml).is_err()
        };
        assert!(!is_destroyed_by(None));
        assert!(!is_destroyed_by(Some(day(29))));
        assert!(is_destroyed_by(Some(day(31))));
    }

    #[test]
    fn what_somebody_reads_is_forgotten_when_nobody_does_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let mut tended = tended(folder.path(), day(0));
        ended(&tended.outbox);
        let database = tended.store.folder.join("sceau.db");
        let reader = crate::store::rusqlite::Connection::open(&database).unwrap();
        let read = "BEGIN; SELECT count(*) FROM submission";
        reader.execute_batch(read).unwrap();
        tended.settings.documents_kept = Some(Duration::ZERO);
        tended.proved_time = Box::new(|| Some(day(1)));
        let log = database.with_extension("db-wal");
        let is_empty_after_a_look = || {
            tended.tend();
            fs::metadata(&log).unwrap().len() == 0
        };
        assert!(!is_empty_after_a_look());
        drop(reader);
        assert!(is_empty_after_a_look());
    }

    #[test]
    fn a_backup_that_fails_is_told_and_tried_again_after_an_hour() {
        struct SetClock(Mutex<OffsetDateTime>);
        impl Clock for SetClock {
            fn now(&self) -> OffsetDateTime {
                *self.0.lock().unwrap()
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let backups = folder.path().join("backups");
        tended(folder.path(), day(0))
            .outbox
            .note("started")
            .unwrap();
        let clock = Arc::new(SetClock(Mutex::new(day(1))));
        let mut tended = tended(folder.path(), day(1));
        let store = Store::open(&tended.store, &outbox::migrations()).unwrap();
        let outbox = Outbox::open(store.into(), clock.clone(), Duration::from_secs(60));
        (tended.outbox, tended.clock) = (outbox.unwrap().into(), clock.clone());
        let after = |minutes| {
            *clock.0.lock().unwrap() = day(1) + time::Duration::minutes(minutes);
            tended.tend();
            tended.outbox.backup_failure().map(|failure| failure.at)
        };
        // No folder can be made there.
        fs::write(&backups, "").unwrap();
        assert_eq!(after(0), Some(day(1)));
        fs::remove_file(&backups).unwrap();
        assert_eq!(after(59), Some(day(1)));
        assert!(!backups.exists());
        assert_eq!(after(60), None);
        assert_eq!(names(&backups).len(), 1);
    }

    #[test]
    fn what_a_killed_backup_left_is_removed_unless_one_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let backups = folder.path().join("backups");
        let tended = tended(folder.path(), day(0));
        fs::create_dir(&backups).unwrap();
        let left = [
            tended.store.folder.join("backup.db"),
            backups.join(".sceau-2026-11-22T090000Z.backup.tmp"),
        ];
        let other = backups.join(".other.tmp");
        for path in left.iter().chain([&other]) {
            fs::write(path, "").unwrap();
        }
        let are_there = || left.each_ref().map(|path| path.exists());
        let lock = fs::File::create(tended.store.folder.join("backup.lock")).unwrap();
        lock.lock().unwrap();
        tended.clear_scratch();
        assert_eq!(are_there(), [true; 2]);
        lock.unlock().unwrap();
        tended.clear_scratch();
        assert_eq!(are_there(), [false; 2]);
        assert!(other.exists());
    }

    #[test]
    fn backups_named_by_a_clock_that_ran_ahead_go_first() {
        let folder = tempfile::tempdir().unwrap();
        let year = |year: i32| format!("sceau-{year}-01-20T080000Z.backup");
        for made in [2026, 2027, 2036, 2037] {
            fs::write(folder.path().join(year(made)), "").unwrap();
        }
        keep_newest(folder.path(), 3, &year(2027)).unwrap();
        assert_eq!(names(folder.path()), [2026, 2027, 2037].map(year));
        keep_newest(folder.path(), 2, &year(2027)).unwrap();
        assert_eq!(names(folder.path()), [2026, 2027].map(year));
    }

    fn names(folder: &Path) -> Vec<String> {
        let all = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<String> = all
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn each_day_a_backup_is_made_and_the_newest_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let begin = day(0);
        let backups = folder.path().join("backups");
        let foreign = backups.join("notes.txt");
        fs::create_dir(&backups).unwrap();
        fs::write(&foreign, "").unwrap();
        let on = |hours| {
            let tended = tended(folder.path(), begin + time::Duration::hours(hours));
            tended.tend();
            tended
        };
        // A log that is empty has nothing to keep.
        on(0).outbox.note("started").unwrap();
        on(23);
        assert_eq!(names(&backups), ["notes.txt"]);
        on(24);
        on(25);
        assert_eq!(names(&backups).len(), 2);
        for day in 2..5 {
            on(day * 24);
        }
        let last = on(5 * 24);
        assert_eq!(
            names(&backups),
            [
                "notes.txt",
                "sceau-2027-01-19T080000Z.backup",
                "sceau-2027-01-20T080000Z.backup"
            ]
        );
        for event in ["backed-up", "store-checked"] {
            let done = last.outbox.last(event).unwrap();
            assert_eq!(done, Some(begin + time::Duration::days(5)), "{event}");
        }
        assert_eq!(last.outbox.last("store-proved").unwrap(), None);
        assert!(on(7 * 24).outbox.last("store-proved").unwrap().is_some());
        let left = names(&folder.path().join("state"));
        assert!(
            !left.iter().any(|name| name.starts_with(SCRATCH)),
            "{left:?}"
        );
    }
}
