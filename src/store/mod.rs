//! Durable state: one SQLite file for records and one folder of sealed files
//! for bodies. This module opens, migrates, transacts and seals; what the
//! records mean is the business of `outbox` and `audit`.
//!
//! Large bodies stand in files because a document in a row puts a checkpoint of
//! 10 to 14 ms inside every thirteenth insert; files never cost above 2 ms.
//! Small ones stay in their row, where they cost no flush of their own.

mod backup;
mod check;
mod health;
mod room;
mod seal;
mod sealed_file;
#[cfg(test)]
mod tests;

use crate::base::hold::Defect;
use crate::base::{Secret, causes, digest, file, hex};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, DropBehavior, OpenFlags, Transaction, TransactionBehavior};
use seal::Seal;
use std::error::Error;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use backup::{Made, restore};
pub use check::Check;
pub use health::{Class, Fault, Health};
pub use room::Room;
pub use rusqlite;

use backup::Removal;
use health::{Present, store_error};
use room::Guarded;

/// SQLite before this version can lose a WAL reset (fixed in 3.51.3 and 3.53.0).
const SQLITE_VERSION_MIN: i32 = 3_053_000;
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for those who still read what is to be forgotten: everybody
/// else waits too.
const FORGET_TIMEOUT: Duration = Duration::from_millis(100);
/// Compiled statements kept; more than the program has, so that none is
/// compiled again for each document.
const STATEMENTS_KEPT: usize = 64;
const DATABASE: &str = "sceau.db";
const BODIES: &str = "bodies";
/// Says that the database beside it is damaged and only read, and why.
const DAMAGED: &str = "store-damaged";
const SEAL_KEY_BYTES: usize = 32;
/// Largest sealed body that stays in its row, in bytes: receipts, answers and
/// timestamps do, documents with a PDF do not.
const ROW_BODY_BYTES_MAX: usize = 16 << 10;

/// Where the state stands.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Folder of the database, the bodies and, by default, the sealing key.
    pub folder: PathBuf,
    /// A file with the 32-byte sealing key in hexadecimal, such as a systemd
    /// credential; without it a key file is made in `folder`.
    pub key_file: Option<PathBuf>,
}

/// Why the store cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder cannot be read or written.
    #[error("cannot {operation} {}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The sealing key is not 64 hexadecimal digits.
    #[error("the sealing key in {} is not 64 hexadecimal digits", .0.display())]
    Key(PathBuf),
    /// The linked SQLite is too old to be trusted.
    #[error("SQLite {found} is older than {SQLITE_VERSION_MIN}")]
    SqliteTooOld {
        /// `sqlite3_libversion_number()`.
        found: i32,
    },
    /// The database was written by a newer program.
    #[error("the database has schema {found}, this program knows {known}: start the newer program")]
    NewerSchema {
        /// Version in the file.
        found: usize,
        /// Version of this program.
        known: usize,
    },
    /// SQLite refused.
    #[error("the database failed to {operation}")]
    Sql {
        /// What was tried.
        operation: &'static str,
        /// The cause.
        source: rusqlite::Error,
    },
    /// A stored body is missing, altered, or sealed with another key.
    #[error("the stored body {0} is damaged")]
    Damaged(String),
    /// The disk has less room than what is kept free, and needed beside it.
    #[error("only {free} MiB are free, {wanted} MiB are wanted")]
    NoRoom {
        /// Free space, in MiB.
        free: u64,
        /// What is kept free, and needed, in MiB.
        wanted: u64,
    },
    /// The folder is not free for this.
    #[error("{0}")]
    InUse(&'static str),
    /// A failure has stopped the store.
    #[error("the store is stopped after a failure")]
    Stopped,
    /// The database is damaged and only read.
    #[error("the database is damaged and only read")]
    ReadOnly,
    /// A check of the database found faults.
    #[error("the database is damaged: {0}")]
    DatabaseDamaged(String),
}

impl StoreError {
    /// An adapter for `map_err` on SQLite results.
    pub fn sql(operation: &'static str) -> impl Fn(rusqlite::Error) -> Self {
        move |source| Self::Sql { operation, source }
    }

    fn file(operation: &'static str, path: &Path) -> impl Fn(std::io::Error) -> Self {
        move |source| Self::File {
            operation,
            path: path.to_owned(),
            source,
        }
    }
}

/// The open store.
pub struct Store {
    connection: Mutex<Connection>,
    database: PathBuf,
    bodies: PathBuf,
    /// Files whose row is being written or removed: what a start looks at.
    staged: PathBuf,
    seal: Seal,
    present: Present,
    room: Guarded,
    removal: Removal,
}

/// A sealed body, to be kept by a row. Its file is staged until
/// [`Store::settle`]; a staged one that no row names is garbage that
/// [`Store::sweep`] removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// Unique; the seal is bound to it. Names the file, if there is one.
    pub name: String,
    /// A small body itself, sealed; `None` when it is in a file.
    pub sealed: Option<Vec<u8>>,
    /// The body's own key, sealed with the store's key. Without it the body
    /// cannot be read: deleting the row shreds the file.
    pub wrapped_key: Vec<u8>,
    /// SHA-256 of the plain bytes.
    pub sha256: [u8; 32],
    /// Length of the plain bytes.
    pub bytes: usize,
}

impl Store {
    /// Opens or makes the store and brings its schema up to date. Migration
    /// `n` (from 1) is `migrations[n-1]`; they only ever go forward. A database
    /// that was found damaged before is only read: [`Store::health`] says so.
    ///
    /// # Errors
    /// [`StoreError`]: nothing is served from a store that is not whole.
    pub fn open(settings: &Settings, migrations: &[impl AsRef<str>]) -> Result<Self, StoreError> {
        let found = rusqlite::version_number();
        if found < SQLITE_VERSION_MIN {
            return Err(StoreError::SqliteTooOld { found });
        }
        let bodies = settings.folder.join(BODIES);
        let staged = settings.folder.join("staged");
        for folder in [&settings.folder, &bodies, &staged] {
            file::create_private_dir(folder).map_err(StoreError::file("create", folder))?;
        }
        let key = match settings.folder.join(DATABASE).exists() {
            // Beside an old database a new one would hide that the right one is
            // lost, and seal new bodies apart from the old.
            true => Key::MustBeThere,
            false => Key::MadeIfMissing,
        };
        let seal = Seal::new(&load_key(settings, key)?);
        let path = settings.folder.join(DATABASE);
        let present = Present::default();
        let connection = match damage(&settings.folder)? {
            Some(cause) => {
                present.begin(Fault::ReadOnly, cause);
                check::read_only(&path).map_err(StoreError::sql("open"))?
            }
            None => {
                let mut connection = Connection::open(&path).map_err(StoreError::sql("open"))?;
                configure(&connection).map_err(StoreError::sql("configure"))?;
                migrate(&mut connection, migrations)?;
                connection
            }
        };
        Ok(Self {
            connection: Mutex::new(connection),
            database: path,
            bodies,
            staged,
            seal,
            present,
            room: Guarded::new(&settings.folder, Room::default()),
            removal: Removal::in_folder(&settings.folder),
        })
    }

    /// Opens as [`Store::open`] does, and keeps room on the disk. Where that is
    /// full, the store opens in the room of the reserve.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with_room(
        settings: &Settings,
        migrations: &[impl AsRef<str>],
        room: Room,
    ) -> Result<Self, StoreError> {
        let opened = match Self::open(settings, migrations) {
            Err(error) if error.class() == Class::Full => {
                Guarded::new(&settings.folder, room).give_up();
                Self::open(settings, migrations)
            }
            opened => opened,
        };
        Ok(opened?.with_room(room))
    }

    /// Does `write` to a file of the state folder, at need in the room of the
    /// reserve.
    ///
    /// # Errors
    /// Whatever `write` returns.
    pub fn in_reserve<T>(&self, write: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match write() {
            Err(error) if health::is_full(&error) => {
                self.present.begin(Fault::Full, causes(&error));
                self.room.give_up();
                write()
            }
            written => written,
        }
    }

    /// Keeps room on the disk from now on. A disk that has too little already
    /// is a fault of the store, not an error: what is queued still goes on.
    #[must_use]
    pub fn with_room(mut self, room: Room) -> Self {
        self.room = Guarded::new(self.folder(), room);
        self.note(self.room.make()).ok();
        self
    }

    /// Bounded as by [`Store::with_room`], without a reserve: for a command
    /// beside the service.
    #[must_use]
    pub fn with_bound(mut self, room: Room) -> Self {
        self.room = Guarded::new(self.folder(), room);
        self
    }

    /// What is wrong with the store; `None` when it is sound.
    pub fn health(&self) -> Option<Health> {
        self.present.get()
    }

    /// Whether something new may be accepted.
    ///
    /// # Errors
    /// [`StoreError`] of class [`Class::Full`] while there is no room, else what
    /// every call answers.
    pub fn admit(&self) -> Result<(), StoreError> {
        self.writable()?;
        match self.present.fault() {
            // Only `look` ends it: by then the reserve is there again.
            Some(Fault::Full) => self.look(),
            Some(Fault::Stopped | Fault::ReadOnly) | None => self.note(self.room.is_enough()),
        }
    }

    /// Looks whether there is room, and ends [`Fault::Full`] when the reserve
    /// could be made again.
    ///
    /// # Errors
    /// [`StoreError`] of class [`Class::Full`] while there is none.
    pub fn look(&self) -> Result<(), StoreError> {
        self.note(self.room.make_again())?;
        self.present.end(Fault::Full);
        Ok(())
    }

    /// Runs `work` in one immediate transaction: all of it is durable when this
    /// returns `Ok`. After an error none of it is, with one exception: a commit
    /// whose flush failed may turn out to be on disk.
    ///
    /// # Errors
    /// Whatever `work` returns, or a failure to begin or commit.
    pub fn transact<T, E: From<StoreError> + Error + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut connection = self.lock();
        self.writable()?;
        let transacted = || -> Result<T, E> {
            let leaves_open = Defect::AckBeforeCommit.is_planted();
            if leaves_open && !connection.is_autocommit() {
                let commit = connection.execute_batch("COMMIT");
                commit.map_err(StoreError::sql("commit"))?;
            }
            let mut transaction = connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(StoreError::sql("begin"))?;
            let value = work(&transaction)?;
            if leaves_open {
                transaction.set_drop_behavior(DropBehavior::Ignore);
                return Ok(value);
            }
            transaction.commit().map_err(StoreError::sql("commit"))?;
            Ok(value)
        };
        // Noted while the connection is held: after a failed flush nothing
        // more may be written through it.
        self.note(transacted())
    }

    /// Runs read-only `work`.
    ///
    /// # Errors
    /// Whatever `work` returns.
    pub fn read<T, E: From<StoreError> + Error + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let connection = self.lock();
        self.readable()?;
        self.note(work(&connection))
    }

    /// Takes a failure to heart.
    fn note<T, E: Error + 'static>(&self, done: Result<T, E>) -> Result<T, E> {
        let failed = done.as_ref().err().and_then(|error| store_error(error));
        if failed.is_some_and(|error| self.present.note(error)) {
            self.room.give_up();
        }
        done
    }

    fn readable(&self) -> Result<(), StoreError> {
        match self.present.fault() {
            Some(Fault::Stopped) => Err(StoreError::Stopped),
            Some(Fault::Full | Fault::ReadOnly) | None => Ok(()),
        }
    }

    fn writable(&self) -> Result<(), StoreError> {
        match self.present.fault() {
            Some(Fault::Stopped) => Err(StoreError::Stopped),
            Some(Fault::ReadOnly) => Err(StoreError::ReadOnly),
            Some(Fault::Full) | None => Ok(()),
        }
    }

    /// Seals each of `plains`, large ones into durable files, staged; after an
    /// error no file is left. The rows that keep them must be committed after
    /// this returns, never before. Names are the caller's, unique, and never
    /// used again; a row must be found by its body's name.
    ///
    /// # Errors
    /// [`StoreError::File`] when the disk refuses.
    pub fn put_bodies(&self, plains: &[(String, &[u8])]) -> Result<Vec<Body>, StoreError> {
        self.writable()?;
        let mut put = Vec::with_capacity(plains.len());
        let written = plains
            .iter()
            .try_for_each(|(name, plain)| self.put_body(name, plain, &mut put))
            .and_then(|()| self.flush_files(&put));
        if let Err(error) = written {
            // A full disk must not be filled further by each try; what cannot
            // be removed now is swept at the next start.
            let _ = self.discard(&files(&put));
            return self.note(Err(error));
        }
        Ok(put)
    }

    /// No row names the file before it is whole, so it is written in its place.
    fn put_body(&self, name: &str, plain: &[u8], put: &mut Vec<Body>) -> Result<(), StoreError> {
        let path = self.staged.join(name);
        let (wrapped_key, sealed) = self.seal.seal(name, plain);
        let body = |sealed| Body {
            name: name.to_owned(),
            sealed,
            wrapped_key,
            sha256: digest::sha256(plain),
            bytes: plain.len(),
        };
        if sealed.len() <= ROW_BODY_BYTES_MAX {
            put.push(body(Some(sealed)));
            return Ok(());
        }
        put.push(body(None));
        file::write_new(&path, &sealed).map_err(StoreError::file("write", &path))
    }

    fn flush_files(&self, put: &[Body]) -> Result<(), StoreError> {
        if put.iter().all(|body| body.sealed.is_some()) {
            return Ok(());
        }
        file::sync_folder(&self.staged).map_err(StoreError::file("flush", &self.staged))
    }

    /// Gives files their lasting place once a committed row names them. One that
    /// stays where it is, is read there and settled at the next start.
    pub fn settle(&self, files: &[String]) {
        self.shift(files, &self.staged, &self.bodies);
    }

    /// The opposite, before the transaction that takes these files' rows away:
    /// a crash after it leaves them where a start finds them.
    pub fn stage(&self, files: &[String]) {
        self.shift(files, &self.bodies, &self.staged);
    }

    /// Either place is right at any time, so a failure is none.
    fn shift(&self, files: &[String], from: &Path, to: &Path) {
        for name in files {
            if let Err(error) = std::fs::rename(from.join(name), to.join(name)) {
                tracing::debug!(name, %error, "a body's file stays where it is");
            }
        }
    }

    fn places(&self, name: &str) -> [PathBuf; 2] {
        [&self.bodies, &self.staged].map(|folder| folder.join(name))
    }

    /// Opens the file of a body: settled, staged, or settled between two looks.
    fn open_file(&self, name: &str) -> Result<(File, PathBuf), StoreError> {
        let [settled, staged] = self.places(name);
        for path in [&settled, &staged] {
            match File::open(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                opened => {
                    let file = opened.map_err(StoreError::file("read", path))?;
                    return Ok((file, path.clone()));
                }
            }
        }
        let file = File::open(&settled).map_err(StoreError::file("read", &settled))?;
        Ok((file, settled))
    }

    fn read_file(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        let (mut file, path) = self.open_file(name)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(StoreError::file("read", &path))?;
        Ok(bytes)
    }

    /// Reads a body back and compares its digest.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is not what was stored. That stops the
    /// store for no other body: it holds up one document, whatever is done.
    pub fn body(&self, body: &Body) -> Result<Vec<u8>, StoreError> {
        self.readable()?;
        let sealed = match &body.sealed {
            Some(sealed) => sealed.clone(),
            None => self.read_file(&body.name)?,
        };
        let plain = self
            .seal
            .open(&body.name, &body.wrapped_key, sealed)
            .filter(|plain| digest::sha256(plain) == body.sha256);
        plain.ok_or_else(|| StoreError::Damaged(body.name.clone()))
    }

    /// A keyed hash of a searchable text, so that the text itself need not be
    /// stored.
    pub fn keyed_hash(&self, text: &str) -> [u8; 32] {
        self.seal.keyed_hash(text)
    }

    /// Settles the staged files that a row names, and removes the others: left
    /// by a crash between writing a body and committing its row. Looks at what
    /// is staged alone, however many bodies there are. Returns how many were
    /// removed.
    ///
    /// # Errors
    /// [`StoreError::File`] when the folder cannot be listed; whatever `is_named`
    /// returns.
    pub fn sweep<E: From<StoreError>>(
        &self,
        is_named: impl Fn(&str) -> Result<bool, E>,
    ) -> Result<usize, E> {
        let list = StoreError::file("list", &self.staged);
        let mut removed = 0;
        for entry in std::fs::read_dir(&self.staged).map_err(&list)? {
            let entry = entry.map_err(&list)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if is_named(&name)? {
                self.settle(&[name]);
            } else {
                std::fs::remove_file(entry.path())
                    .map_err(StoreError::file("remove", &entry.path()))?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Removes body files that no row names (any more); while a backup is made,
    /// after it.
    ///
    /// # Errors
    /// [`StoreError::File`] when one cannot be removed; the next
    /// [`Store::sweep`] finds it if it is staged.
    pub fn discard(&self, files: &[String]) -> Result<(), StoreError> {
        // Staged or not: one of the two is there.
        let places = files.iter().flat_map(|name| self.places(name));
        self.removal.remove(places.collect())
    }

    /// Takes what was destroyed in rows out of the write-ahead log too, where
    /// older copies of pages are kept. False when somebody else still reads
    /// them: to be called again later, nobody is kept waiting for that.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn forget(&self) -> Result<bool, StoreError> {
        let failed = StoreError::sql("empty its log");
        self.read(|connection| {
            connection.busy_timeout(FORGET_TIMEOUT).map_err(&failed)?;
            let emptied = check::checkpoint(connection).map_err(&failed);
            connection.busy_timeout(BUSY_TIMEOUT).map_err(&failed)?;
            emptied
        })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a transaction rolled it back: the connection is sound.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The database of a state folder, to be read beside a service that may be
/// running. Nothing is made, migrated or unsealed.
///
/// # Errors
/// [`StoreError::Sql`].
pub fn read_only(folder: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let sql = StoreError::sql("open to be read");
    let connection = Connection::open_with_flags(folder.join(DATABASE), flags).map_err(&sql)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(&sql)?;
    Ok(connection)
}

/// Why the database of this folder is only read, if it is: it was found damaged,
/// and is still there, and a whole check does not find it sound now.
fn damage(folder: &Path) -> Result<Option<String>, StoreError> {
    let (marker, database) = (folder.join(DAMAGED), folder.join(DATABASE));
    if !marker.exists() {
        return Ok(None);
    }
    let is_sound = || {
        let read = check::read_only(&database).map_err(StoreError::sql("open"))?;
        check::check(&read, Check::Whole)
    };
    if database.exists() && is_sound().is_err() {
        return Ok(Some(std::fs::read_to_string(&marker).unwrap_or_default()));
    }
    tracing::warn!("the database is not the damaged one any more, or was read wrongly once");
    std::fs::remove_file(&marker).map_err(StoreError::file("remove", &marker))?;
    Ok(None)
}

/// The files of these bodies, for [`Store::discard`].
pub fn files<'a>(bodies: impl IntoIterator<Item = &'a Body>) -> Vec<String> {
    let in_files = bodies.into_iter().filter(|body| body.sealed.is_none());
    in_files.map(|body| body.name.clone()).collect()
}

/// What is done without a sealing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    MustBeThere,
    MadeIfMissing,
}

fn load_key(settings: &Settings, missing: Key) -> Result<Secret, StoreError> {
    let own = settings.folder.join("seal.key");
    let path = settings.key_file.as_ref().unwrap_or(&own);
    if settings.key_file.is_none() && missing == Key::MadeIfMissing && !path.exists() {
        let key = hex::encode(&crate::base::random::bytes::<SEAL_KEY_BYTES>());
        match file::write_once(path, key.as_bytes()) {
            // Another process has just made it: that one counts for both.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            written => written.map_err(StoreError::file("write", path))?,
        }
    }
    let text = Secret::from_file(path).map_err(StoreError::file("read", path))?;
    let key = std::str::from_utf8(text.expose())
        .ok()
        .and_then(hex::decode);
    key.filter(|key| key.len() == SEAL_KEY_BYTES)
        .map(Secret::new)
        .ok_or_else(|| StoreError::Key(path.clone()))
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    // Else SQLite looks at what is bound and compiles the queue's statements anew
    // at each use.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;
         PRAGMA secure_delete = ON;
         PRAGMA journal_size_limit = 33554432;",
    )
}

fn migrate(connection: &mut Connection, migrations: &[impl AsRef<str>]) -> Result<(), StoreError> {
    let sql = StoreError::sql("migrate");
    let version = |connection: &Connection| {
        let version = connection.pragma_query_value(None, "user_version", |row| row.get(0));
        version.map(|version: u32| version as usize).map_err(&sql)
    };
    // Nothing is written where nothing is to be done: the disk may be full.
    if version(connection)? == migrations.len() {
        return Ok(());
    }
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(&sql)?;
    let found = version(&transaction)?;
    if found > migrations.len() {
        return Err(StoreError::NewerSchema {
            found,
            known: migrations.len(),
        });
    }
    for step in &migrations[found..] {
        transaction.execute_batch(step.as_ref()).map_err(&sql)?;
    }
    transaction
        .pragma_update(None, "user_version", migrations.len() as u32)
        .map_err(&sql)?;
    transaction.commit().map_err(&sql)
}
