//! What is wrong with the store, if anything, and which failures mean what.

use super::StoreError;
use crate::base::{Clock, SystemClock, causes};
use rusqlite::ErrorCode;
use std::error::Error;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use time::OffsetDateTime;

/// What a failure says of the disk and the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// There is no room: nothing new is accepted, what is queued goes on.
    Full,
    /// The disk fails: what a handle says that has failed once is not believed.
    Failing,
    /// What was read is not what was written.
    Damaged,
    /// The disk is not to blame.
    Other,
}

/// A lasting fault of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No room; ends by itself when there is room again.
    Full,
    /// A read, write or flush failed: every call is refused until
    /// [`Store::reopen`](super::Store::reopen) has proved disk and database.
    Stopped,
    /// The database is damaged: it can be read, as far as it can, and nothing
    /// is written any more. Ends with another database.
    ReadOnly,
}

impl Fault {
    /// The word for it, as shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Full => "disk-full",
            Self::Stopped => "store-stopped",
            Self::ReadOnly => "store-damaged",
        }
    }
}

/// How the store is while something is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// What is wrong.
    pub fault: Fault,
    /// The failure that began it and its causes, in English.
    pub cause: String,
    /// When it began.
    pub since: OffsetDateTime,
}

impl StoreError {
    /// What this failure says of the disk and the database.
    pub fn class(&self) -> Class {
        match self {
            Self::File { source, .. } => class_of_io(source),
            Self::Sql { source, .. } => class_of_sql(source),
            Self::NoRoom { .. } => Class::Full,
            Self::Stopped => Class::Failing,
            Self::Damaged(_) | Self::DatabaseDamaged(_) | Self::ReadOnly => Class::Damaged,
            Self::Key(_)
            | Self::SqliteTooOld { .. }
            | Self::NewerSchema { .. }
            | Self::InUse(_) => Class::Other,
        }
    }

    /// Whether the transaction that ended so is certainly not on disk: the
    /// commit's own record found no room. Where only the index of the log could
    /// not grow, it is written, and a crash would find it.
    pub fn kept_nothing(&self) -> bool {
        match self {
            Self::Sql { source, .. } => source.sqlite_error_code() == Some(ErrorCode::DiskFull),
            other => other.class() == Class::Full,
        }
    }
}

/// Whether a file cannot be written for want of room.
pub(super) fn is_full(error: &io::Error) -> bool {
    class_of_io(error) == Class::Full
}

fn class_of_io(error: &io::Error) -> Class {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Class::Full,
        // Ours or a person's doing, and told apart by nothing else.
        io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists => Class::Other,
        _ => Class::Failing,
    }
}

fn class_of_sql(error: &rusqlite::Error) -> Class {
    let extended = error.sqlite_error().map(|error| error.extended_code);
    // The index of the log does not grow: hardly ever for another reason.
    if extended == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE) {
        return Class::Full;
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Class::Full,
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied,
        ) => Class::Failing,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Class::Damaged,
        // Busy, misuse: told to the caller.
        Some(_) => Class::Other,
        None => match error {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..) => Class::Damaged,
            _ => Class::Other,
        },
    }
}

/// The store's failure inside an error of a module above.
pub(super) fn store_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a StoreError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The present fault, if there is one; the worse one counts.
#[derive(Default)]
pub(super) struct Present {
    health: Mutex<Option<Health>>,
    /// Whether what was read was damaged, since the database was last proved.
    damaged: AtomicBool,
}

impl Present {
    pub(super) fn get(&self) -> Option<Health> {
        self.lock().clone()
    }

    pub(super) fn fault(&self) -> Option<Fault> {
        self.lock().as_ref().map(|health| health.fault)
    }

    /// Begins a fault, unless as bad a one lasts already; whether it is new.
    pub(super) fn begin(&self, fault: Fault, cause: String) -> bool {
        let mut present = self.lock();
        let badness = |fault| match fault {
            Fault::Full => 0,
            Fault::Stopped => 1,
            Fault::ReadOnly => 2,
        };
        if present
            .as_ref()
            .is_some_and(|now| badness(now.fault) >= badness(fault))
        {
            return false;
        }
        tracing::error!(fault = fault.word(), cause, "the store has a fault");
        let since = SystemClock.now();
        *present = Some(Health {
            fault,
            cause,
            since,
        });
        true
    }

    /// Whether a failure since the last proof speaks of damage.
    pub(super) fn is_suspect(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    /// The database was proved and is written again.
    pub(super) fn proved(&self) {
        self.damaged.store(false, Ordering::Relaxed);
        self.end(Fault::Stopped);
    }

    /// Ends a fault, if it is the present one.
    pub(super) fn end(&self, fault: Fault) {
        let mut present = self.lock();
        if present.as_ref().is_some_and(|now| now.fault == fault) {
            tracing::info!(fault = fault.word(), "the store is sound again");
            *present = None;
        }
    }

    /// Notes a failure of a call; whether the disk is so full that the reserve
    /// is needed.
    pub(super) fn note(&self, error: &StoreError) -> bool {
        match error {
            // One body or one row holds up one document, not the store.
            StoreError::Damaged(_) => return false,
            StoreError::Sql { source, .. } if source.sqlite_error_code().is_none() => return false,
            _ => {}
        }
        let class = error.class();
        if class == Class::Damaged {
            self.damaged.store(true, Ordering::Relaxed);
        }
        match class {
            Class::Full => drop(self.begin(Fault::Full, causes(error))),
            Class::Failing | Class::Damaged => drop(self.begin(Fault::Stopped, causes(error))),
            Class::Other => {}
        }
        class == Class::Full && !matches!(error, StoreError::NoRoom { .. })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Health>> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
