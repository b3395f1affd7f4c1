//! Durable state: one SQLite file for records and one folder of sealed files
//! for bodies. This module opens, migrates, transacts and seals; what the
//! records mean is the business of `outbox` and `audit`.
//!
//! Large bodies stand in files because a document in a row puts a checkpoint of
//! 10 to 14 ms inside every thirteenth insert; files never cost above 2 ms.
//! Small ones stay in their row, where they cost no flush of their own.

mod seal;
#[cfg(test)]
mod tests;

use crate::base::hold::Defect;
use crate::base::{Secret, Uuid4, digest, file, hex};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, DropBehavior, Transaction, TransactionBehavior};
use seal::Seal;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use rusqlite;

/// SQLite before this version can lose a WAL reset (fixed in 3.51.3 and 3.53.0).
const SQLITE_VERSION_MIN: i32 = 3_053_000;
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Compiled statements kept; more than the program has, so that none is
/// compiled again for each document.
const STATEMENTS_KEPT: usize = 64;
const DATABASE: &str = "sceau.db";
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
    bodies: PathBuf,
    seal: Seal,
}

/// A sealed body, to be kept by a row. A file not yet named by one is garbage
/// that [`Store::sweep`] removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// A random UUID the seal is bound to; names the file inside the bodies
    /// folder, if there is one.
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
    /// `n` (from 1) is `migrations[n-1]`; they only ever go forward.
    ///
    /// # Errors
    /// [`StoreError`]: nothing is served from a store that is not whole.
    pub fn open(settings: &Settings, migrations: &[impl AsRef<str>]) -> Result<Self, StoreError> {
        let found = rusqlite::version_number();
        if found < SQLITE_VERSION_MIN {
            return Err(StoreError::SqliteTooOld { found });
        }
        let bodies = settings.folder.join("bodies");
        for folder in [&settings.folder, &bodies] {
            file::create_private_dir(folder).map_err(StoreError::file("create", folder))?;
        }
        let seal = Seal::new(&load_key(settings)?);
        let path = settings.folder.join(DATABASE);
        let mut connection = Connection::open(&path).map_err(StoreError::sql("open"))?;
        configure(&connection).map_err(StoreError::sql("configure"))?;
        migrate(&mut connection, migrations)?;
        Ok(Self {
            connection: Mutex::new(connection),
            bodies,
            seal,
        })
    }

    /// Runs `work` in one immediate transaction: all of it is durable when this
    /// returns `Ok`, none of it otherwise.
    ///
    /// # Errors
    /// Whatever `work` returns, or a failure to begin or commit.
    pub fn transact<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut connection = self.lock();
        if Defect::AckBeforeCommit.is_planted() && !connection.is_autocommit() {
            connection
                .execute_batch("COMMIT")
                .map_err(StoreError::sql("commit"))?;
        }
        let mut transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(StoreError::sql("begin"))?;
        let value = work(&transaction)?;
        if Defect::AckBeforeCommit.is_planted() {
            transaction.set_drop_behavior(DropBehavior::Ignore);
            return Ok(value);
        }
        transaction.commit().map_err(StoreError::sql("commit"))?;
        Ok(value)
    }

    /// Runs read-only `work`.
    ///
    /// # Errors
    /// Whatever `work` returns.
    pub fn read<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        work(&self.lock())
    }

    /// Seals each of `plains`, large ones into durable files; after an error no
    /// file is left. The rows that keep them must be committed after this
    /// returns, never before.
    ///
    /// # Errors
    /// [`StoreError::File`] when the disk refuses.
    pub fn put_bodies(&self, plains: &[&[u8]]) -> Result<Vec<Body>, StoreError> {
        let mut put = Vec::with_capacity(plains.len());
        let written = plains
            .iter()
            .try_for_each(|plain| self.put_body(plain, &mut put))
            .and_then(|()| self.flush_files(&put));
        if let Err(error) = written {
            // A full disk must not be filled further by each try; what cannot
            // be removed now is swept at the next start.
            let _ = self.discard(&files(&put));
            return Err(error);
        }
        Ok(put)
    }

    /// No row names the file before it is whole, so it is written in its place.
    fn put_body(&self, plain: &[u8], put: &mut Vec<Body>) -> Result<(), StoreError> {
        let name = Uuid4::random().to_string();
        let path = self.bodies.join(&name);
        let (wrapped_key, sealed) = self.seal.seal(&name, plain);
        let body = |sealed| Body {
            name,
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
        file::sync_folder(&self.bodies).map_err(StoreError::file("flush", &self.bodies))
    }

    /// Reads a body back and compares its digest.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is not what was stored.
    pub fn body(&self, body: &Body) -> Result<Vec<u8>, StoreError> {
        let sealed = match &body.sealed {
            Some(sealed) => sealed.clone(),
            None => {
                let path = self.bodies.join(&body.name);
                std::fs::read(&path).map_err(StoreError::file("read", &path))?
            }
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

    /// Removes files in the bodies folder that no row names: left by a crash
    /// between writing a body and committing its row. Returns how many.
    ///
    /// # Errors
    /// [`StoreError::File`] when the folder cannot be listed.
    pub fn sweep(&self, named: impl Fn(&str) -> bool) -> Result<usize, StoreError> {
        let list = StoreError::file("list", &self.bodies);
        let mut removed = 0;
        for entry in std::fs::read_dir(&self.bodies).map_err(&list)? {
            let entry = entry.map_err(&list)?;
            if !named(&entry.file_name().to_string_lossy()) {
                std::fs::remove_file(entry.path())
                    .map_err(StoreError::file("remove", &entry.path()))?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Removes body files that a committed transaction no longer names.
    ///
    /// # Errors
    /// [`StoreError::File`] when one cannot be removed; the next
    /// [`Store::sweep`] finds it.
    pub fn discard(&self, files: &[String]) -> Result<(), StoreError> {
        for name in files {
            let path = self.bodies.join(name);
            std::fs::remove_file(&path).map_err(StoreError::file("remove", &path))?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a transaction rolled it back: the connection is sound.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The files of these bodies, for [`Store::discard`].
pub fn files<'a>(bodies: impl IntoIterator<Item = &'a Body>) -> Vec<String> {
    let in_files = bodies.into_iter().filter(|body| body.sealed.is_none());
    in_files.map(|body| body.name.clone()).collect()
}

fn load_key(settings: &Settings) -> Result<Secret, StoreError> {
    let own = settings.folder.join("seal.key");
    let path = settings.key_file.as_ref().unwrap_or(&own);
    // Only a new store gets a key: beside an old database a new one would hide
    // that the right one is lost, and seal new bodies apart from the old.
    let is_new = !settings.folder.join(DATABASE).exists();
    if settings.key_file.is_none() && is_new && !path.exists() {
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
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(&sql)?;
    let found: usize = transaction
        .pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0))
        .map_err(&sql)? as usize;
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
