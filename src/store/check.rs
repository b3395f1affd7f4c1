//! Proving the database: before it is trusted again after a failure, and on a
//! schedule.

use super::health::Fault;
use super::{Class, DAMAGED, Store, StoreError, configure};
use crate::base::{causes, file};
use rusqlite::Connection;

/// How thorough a check of the database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// `PRAGMA quick_check`: every page, not every index.
    Quick,
    /// `PRAGMA integrity_check`: indexes compared with their tables too.
    Whole,
}

impl Check {
    fn pragma(self) -> &'static str {
        match self {
            Self::Quick => "quick_check",
            Self::Whole => "integrity_check",
        }
    }
}

impl Store {
    /// Opens the database anew after [`Fault::Stopped`], checks it, and proves
    /// that it can be written. Nobody may be inside a step then; what was under
    /// way is put right by the caller.
    ///
    /// # Errors
    /// [`StoreError`]: the store is still stopped, or, when the database is
    /// damaged, from now on only read, also after a restart.
    pub fn reopen(&self) -> Result<(), StoreError> {
        let mut connection = self.lock();
        // Closed first: a handle that saw a failed flush is believed no more.
        // Closing copies what was durably committed into the database, and what
        // was not is gone with the log.
        let none = Connection::open_in_memory().map_err(StoreError::sql("open"))?;
        drop(std::mem::replace(&mut *connection, none));
        let opened = (|| {
            let fresh = Connection::open(&self.database).map_err(StoreError::sql("open"))?;
            configure(&fresh).map_err(StoreError::sql("configure"))?;
            // What a whole check has found, a quick one may not see.
            let thorough = match self.present.is_suspect() {
                true => Check::Whole,
                false => Check::Quick,
            };
            check(&fresh, thorough).map(|()| fresh)
        })();
        let damaged = match opened {
            Ok(fresh) => {
                prove(&fresh)?;
                *connection = fresh;
                self.present.proved();
                return Ok(());
            }
            Err(error) if error.class() == Class::Damaged => error,
            Err(error) => return Err(error),
        };
        let cause = causes(&damaged);
        // A restart must not forget it. The disk is not to be relied on now.
        let marker = self.folder().join(DAMAGED);
        if let Err(error) = file::write_atomic(&marker, cause.as_bytes()) {
            tracing::error!(%error, "that the store is damaged is forgotten at a restart");
        }
        self.present.begin(Fault::ReadOnly, cause);
        *connection = read_only(&self.database).map_err(StoreError::sql("open"))?;
        Err(damaged)
    }

    /// Checks the database beside those who use it. A database found damaged
    /// stops the store.
    ///
    /// # Errors
    /// [`StoreError::DatabaseDamaged`], or a failure to read it.
    pub fn check(&self, thorough: Check) -> Result<(), StoreError> {
        self.readable()?;
        let checked = read_only(&self.database)
            .map_err(StoreError::sql("open"))
            .and_then(|connection| check(&connection, thorough));
        self.note(checked)
    }
}

/// A connection of its own that writes nothing.
pub(super) fn read_only(path: &std::path::Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(super::BUSY_TIMEOUT)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

pub(super) fn check(connection: &Connection, thorough: Check) -> Result<(), StoreError> {
    let failed = StoreError::sql("check itself");
    let sql = format!("PRAGMA {}(1)", thorough.pragma());
    let found: String = connection
        .query_row(&sql, [], |row| row.get(0))
        .map_err(&failed)?;
    match found.as_str() {
        "ok" => Ok(()),
        _ => Err(StoreError::DatabaseDamaged(found)),
    }
}

/// Commits a page and takes it all the way into the database file.
fn prove(connection: &Connection) -> Result<(), StoreError> {
    let failed = StoreError::sql("write");
    let version: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(&failed)?;
    connection
        .pragma_update(None, "user_version", version)
        .map_err(&failed)?;
    // Who reads meanwhile holds the log up, not the disk.
    checkpoint(connection).map(drop).map_err(&failed)
}

/// Empties the write-ahead log into the database; false when somebody still
/// reads or writes what is in it.
pub(super) fn checkpoint(connection: &Connection) -> rusqlite::Result<bool> {
    let busy = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
    let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], busy)?;
    Ok(busy == 0)
}
