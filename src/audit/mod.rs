//! The append-only, hash-chained record of what happened. An entry holds ids,
//! digests and codes, never patient data. Writing takes the caller's
//! transaction, so that a fact and its record are durable together.
//!
//! Each entry's hash covers the one before (the chain). A Merkle tree over these
//! hashes ([`tree`]) gives roots; signed ones are checkpoints ([`note`]), which
//! timestamps fetched for documents witness ([`log`]). [`verify`] recomputes it
//! all, from a state folder or from an export ([`source`]).

mod log;
mod note;
mod proof;
mod source;
#[cfg(test)]
mod tests;
mod tree;
mod verify;

pub use log::{CHECKPOINT_FILE, Commitment, Log, Settings};
pub use note::{Checkpoint, NoteError, PublicKey};
pub use proof::{Witness, witness};
pub use source::{Database, Export, RawCheckpoint, RawEntry, export};
pub use tree::Hash;
pub use verify::{
    Fault, FaultKind, Gap, Item, Judge, Kept, Node, Report, Trusted, Witnessed, verify,
};

use crate::base::clock::{from_unix_ms, unix_ms};
use crate::base::digest;
use crate::store::StoreError;
use crate::store::rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde_json::Value;
use std::io;
use std::path::{Path, PathBuf};
use time::OffsetDateTime;

/// What the log's entries about itself are about.
const SUBJECT: &str = "audit";
/// The key of the log's checkpoints was made.
const KEY: &str = "key";
/// A checkpoint was witnessed.
const CHECKPOINT: &str = "checkpoint";

/// The tables of checkpoints; a later migration of the store.
pub const CHECKPOINTS_SCHEMA: &str = include_str!("checkpoints.sql");

/// The table of this module; part of the store's first migration.
pub const SCHEMA: &str = "
CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY,
    at_ms   INTEGER NOT NULL,
    subject TEXT    NOT NULL,
    event   TEXT    NOT NULL,
    detail  TEXT    NOT NULL,
    hash    BLOB    NOT NULL
) STRICT;
CREATE INDEX audit_subject ON audit (subject, seq);
CREATE INDEX audit_event ON audit (event, seq);
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
";

/// Why the log cannot be read, verified or witnessed.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The store refused.
    #[error("the audit log cannot be read or written")]
    Store(#[from] StoreError),
    /// No key for checkpoints.
    #[error("the audit log's key cannot be made")]
    SigningKey,
    /// A file cannot be read or written.
    #[error("cannot {operation} {}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A line of an export cannot be read.
    #[error("line {line} of the export cannot be read: {reason}")]
    Line {
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
}

impl AuditError {
    fn file(operation: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::File {
            operation,
            path: path.to_owned(),
            source,
        }
    }
}

/// One entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Position in the chain, from 1.
    pub seq: i64,
    /// When it was recorded.
    pub at: OffsetDateTime,
    /// What it is about: a document's UUID, or a fixed word such as `daemon`.
    pub subject: String,
    /// What happened, a fixed word.
    pub event: String,
    /// Ids, digests, codes and times.
    pub detail: Value,
}

/// Appends an entry inside the caller's transaction.
///
/// # Errors
/// [`StoreError::Sql`] when the row cannot be written.
pub fn append(
    transaction: &Transaction<'_>,
    at: OffsetDateTime,
    subject: &str,
    event: &str,
    detail: &Value,
) -> Result<(), StoreError> {
    let sql = StoreError::sql("append to the audit log");
    let (last, previous) = head(transaction)?.unwrap_or_default();
    let (seq, at_ms, detail) = (last + 1, unix_ms(at), detail.to_string());
    let texts = [subject, event, &detail].map(str::as_bytes);
    let hash = link(&previous, seq, at_ms, texts);
    transaction
        .prepare_cached("INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
        .and_then(|mut s| s.execute(params![seq, at_ms, subject, event, detail, hash]))
        .map_err(&sql)?;
    Ok(())
}

/// The entries about `subject`, oldest first.
///
/// # Errors
/// [`StoreError::Sql`] when they cannot be read.
pub fn about(connection: &Connection, subject: &str) -> Result<Vec<Entry>, StoreError> {
    let sql = StoreError::sql("read the audit log");
    let mut statement = connection
        .prepare_cached(
            "SELECT seq, at_ms, subject, event, detail FROM audit WHERE subject = ?1 ORDER BY seq",
        )
        .map_err(&sql)?;
    let rows = statement.query_map([subject], entry).map_err(&sql)?;
    rows.collect::<Result<_, _>>().map_err(&sql)
}

/// An entry as the chain holds it. Its `hash` is the SHA-256 of `sceau audit 1`,
/// the number and the time in milliseconds since 1970 as eight bytes each, most
/// significant first, then the hash of the entry before, subject, event and
/// detail, each after its length in eight bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// See [`Entry`].
    pub seq: i64,
    /// Milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// See [`Entry`].
    pub subject: String,
    /// See [`Entry`].
    pub event: String,
    /// As it was written, byte for byte.
    pub detail: String,
    /// Hash of the entry before; empty for the first.
    pub previous: Vec<u8>,
    /// Hash of this one.
    pub hash: Vec<u8>,
}

/// The links of the entries about `subject`, oldest first.
///
/// # Errors
/// [`StoreError::Sql`] when they cannot be read.
pub fn links(connection: &Connection, subject: &str) -> Result<Vec<Link>, StoreError> {
    let sql = StoreError::sql("read the audit log");
    let mut statement = connection
        .prepare_cached(
            "SELECT e.seq, e.at_ms, e.subject, e.event, e.detail, coalesce(p.hash, x''), e.hash
             FROM audit e LEFT JOIN audit p ON p.seq = e.seq - 1
             WHERE e.subject = ?1 ORDER BY e.seq",
        )
        .map_err(&sql)?;
    let link = |row: &Row<'_>| {
        Ok(Link {
            seq: row.get(0)?,
            at_ms: row.get(1)?,
            subject: row.get(2)?,
            event: row.get(3)?,
            detail: row.get(4)?,
            previous: row.get(5)?,
            hash: row.get(6)?,
        })
    };
    let rows = statement.query_map([subject], link).map_err(&sql)?;
    rows.collect::<Result<_, _>>().map_err(&sql)
}

/// Number and hash of the newest entry; `None` while there is none.
///
/// # Errors
/// [`StoreError::Sql`] when it cannot be read.
pub fn head(connection: &Connection) -> Result<Option<(i64, Vec<u8>)>, StoreError> {
    connection
        .prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
        .and_then(|mut s| {
            s.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
        })
        .map_err(StoreError::sql("read the audit log"))
}

/// When `event` was last recorded, about anything.
///
/// # Errors
/// [`StoreError::Sql`] when it cannot be read.
pub fn last(connection: &Connection, event: &str) -> Result<Option<OffsetDateTime>, StoreError> {
    Ok(newest(connection, event)?.map(|entry| entry.at))
}

/// The public keys recorded in the log, oldest first.
fn keys(connection: &Connection) -> Result<Vec<PublicKey>, StoreError> {
    let sql = StoreError::sql("read the audit log");
    let mut statement = connection
        .prepare_cached(
            "SELECT seq, at_ms, subject, event, detail FROM audit WHERE event = ?1 ORDER BY seq",
        )
        .map_err(&sql)?;
    let entries = statement.query_map([KEY], entry).map_err(&sql)?;
    let keys =
        entries.filter_map(|entry| entry.map(|entry| PublicKey::recorded(&entry)).transpose());
    keys.collect::<Result<_, _>>().map_err(&sql)
}

/// The newest entry of `event`.
fn newest(connection: &Connection, event: &str) -> Result<Option<Entry>, StoreError> {
    connection
        .prepare_cached(
            "SELECT seq, at_ms, subject, event, detail FROM audit WHERE event = ?1
             ORDER BY seq DESC LIMIT 1",
        )
        .and_then(|mut s| s.query_row([event], entry).optional())
        .map_err(StoreError::sql("read the audit log"))
}

/// When the log begins.
///
/// # Errors
/// [`StoreError::Sql`] when it cannot be read.
pub fn first(connection: &Connection) -> Result<Option<OffsetDateTime>, StoreError> {
    connection
        .prepare_cached("SELECT at_ms FROM audit ORDER BY seq LIMIT 1")
        .and_then(|mut s| s.query_row([], |row| row.get(0)).optional())
        .map(|ms| ms.map(from_unix_ms))
        .map_err(StoreError::sql("read the audit log"))
}

/// An entry out of the first five columns `seq, at_ms, subject, event, detail`.
///
/// # Errors
/// When a column is of another type.
pub fn entry(row: &Row<'_>) -> crate::store::rusqlite::Result<Entry> {
    let detail: String = row.get(4)?;
    Ok(Entry {
        seq: row.get(0)?,
        at: from_unix_ms(row.get(1)?),
        subject: row.get(2)?,
        event: row.get(3)?,
        detail: serde_json::from_str(&detail).unwrap_or(Value::Null),
    })
}

/// Lengths go in before texts, so that no two entries share an encoding.
/// `texts`: subject, event, detail.
fn link(previous: &[u8], seq: i64, at_ms: i64, texts: [&[u8]; 3]) -> [u8; 32] {
    let mut bytes = b"sceau audit 1".to_vec();
    bytes.extend_from_slice(&seq.to_be_bytes());
    bytes.extend_from_slice(&at_ms.to_be_bytes());
    for part in [previous].into_iter().chain(texts) {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    digest::sha256(&bytes)
}
