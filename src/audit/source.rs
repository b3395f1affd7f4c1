//! Where a log is read from: a state folder, which is only read, or an export.
//! Both come piece by piece, so that memory does not grow with the log.

use super::note::PublicKey;
use super::tree::Hash;
use super::verify::Item;
use super::{AuditError, keys, tree};
use crate::base::{file, hex, limits};
use crate::store::rusqlite::types::ValueRef;
use crate::store::rusqlite::{Connection, Row};
use crate::store::{self, StoreError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Entries read in one turn: between two, the service may write.
const ENTRIES_AT_ONCE: i64 = 1000;

/// An entry as it stands in its row, whatever that holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawEntry {
    pub(super) seq: i64,
    pub(super) at_ms: i64,
    pub(super) subject: Vec<u8>,
    pub(super) event: Vec<u8>,
    pub(super) detail: Vec<u8>,
    pub(super) hash: Vec<u8>,
}

/// A checkpoint as it stands in its row, whatever that holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawCheckpoint {
    pub(super) size: i64,
    pub(super) note: Vec<u8>,
    pub(super) salt: Vec<u8>,
    pub(super) token: Vec<u8>,
    pub(super) chain: Vec<u8>,
}

/// The log in a state folder. The service may be running; the sealing key is
/// not needed.
pub struct Database {
    connection: Connection,
    /// Entries under the stored tree.
    stored_to: i64,
}

impl Database {
    /// Opens the database of a state folder to read it.
    ///
    /// # Errors
    /// [`AuditError::Store`].
    pub fn open(folder: &Path) -> Result<Self, AuditError> {
        let connection = store::read_only(folder)?;
        let stored_to = match has_checkpoints(&connection)? {
            true => tree::stored_to(&connection)?,
            false => 0,
        };
        Ok(Self {
            connection,
            stored_to,
        })
    }

    /// The public keys the log itself records, oldest first.
    ///
    /// # Errors
    /// [`AuditError::Store`].
    pub fn keys(&self) -> Result<Vec<PublicKey>, AuditError> {
        Ok(keys(&self.connection)?)
    }

    /// Everything in the log as it is at this moment, in order.
    ///
    /// # Errors
    /// [`AuditError::Store`].
    pub fn items(&self) -> Result<impl Iterator<Item = Result<Item, AuditError>>, AuditError> {
        // One statement, one state: what is written from now on is left out.
        let newest = match has_checkpoints(&self.connection)? {
            true => "SELECT max(size) FROM audit_checkpoint",
            false => "NULL",
        };
        let bounds = format!("SELECT (SELECT max(seq) FROM audit), ({newest})");
        let bounds = self
            .connection
            .query_row(&bounds, [], |row| Ok((row.get(0)?, row.get(1)?)));
        let sql = StoreError::sql("read the audit log");
        let (entries_to, checkpoints_to) = bounds.map_err(sql)?;
        Ok(Rows {
            connection: &self.connection,
            entries: VecDeque::new(),
            entries_after: i64::MIN,
            entries_to,
            checkpoint: None,
            checkpoints_after: i64::MIN,
            checkpoints_to,
        })
    }

    /// Whether the stored root of the subtree of `leaves` entries after `first`
    /// is this one; also where the tree is not stored that far yet.
    ///
    /// # Errors
    /// [`AuditError::Store`].
    pub fn has_node(&self, leaves: i64, first: i64, root: &Hash) -> Result<bool, AuditError> {
        if first + leaves > self.stored_to {
            return Ok(true);
        }
        let stored = tree::find(&self.connection, leaves, first)?;
        Ok(stored.is_some_and(|stored| stored == root))
    }
}

/// A database of an older program has none.
fn has_checkpoints(connection: &Connection) -> Result<bool, StoreError> {
    connection
        .table_exists(None, "audit_checkpoint")
        .map_err(StoreError::sql("read the schema"))
}

struct Rows<'c> {
    connection: &'c Connection,
    entries: VecDeque<RawEntry>,
    entries_after: i64,
    /// The last one to be read; `None` once there are no more.
    entries_to: Option<i64>,
    checkpoint: Option<RawCheckpoint>,
    checkpoints_after: i64,
    checkpoints_to: Option<i64>,
}

impl Iterator for Rows<'_> {
    type Item = Result<Item, AuditError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.fill() {
            (self.entries_to, self.checkpoints_to) = (None, None);
            self.entries.clear();
            self.checkpoint = None;
            return Some(Err(error.into()));
        }
        let entry = self.entries.front().map(|entry| entry.seq);
        match (&self.checkpoint, entry) {
            (Some(checkpoint), Some(seq)) if checkpoint.size >= seq => {}
            (Some(_), _) => return self.checkpoint.take().map(|c| Ok(Item::Checkpoint(c))),
            (None, _) => {}
        }
        self.entries.pop_front().map(|entry| Ok(Item::Entry(entry)))
    }
}

impl Rows<'_> {
    fn fill(&mut self) -> Result<(), StoreError> {
        if let (true, Some(to)) = (self.entries.is_empty(), self.entries_to) {
            let sql = StoreError::sql("read the audit log");
            let mut statement = self
                .connection
                .prepare_cached(
                    "SELECT seq, at_ms, subject, event, detail, hash FROM audit
                     WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3",
                )
                .map_err(&sql)?;
            let bounds = [self.entries_after, to, ENTRIES_AT_ONCE];
            let rows = statement.query_map(bounds, read_entry).map_err(&sql)?;
            self.entries = rows.collect::<Result<_, _>>().map_err(&sql)?;
            match self.entries.back() {
                Some(last) => self.entries_after = last.seq,
                None => self.entries_to = None,
            }
        }
        if let (None, Some(to)) = (&self.checkpoint, self.checkpoints_to) {
            let sql = StoreError::sql("read the checkpoints");
            let mut statement = self
                .connection
                .prepare_cached(
                    "SELECT size, note, salt, token, chain FROM audit_checkpoint
                     WHERE size > ?1 AND size <= ?2 ORDER BY size LIMIT 1",
                )
                .map_err(&sql)?;
            let bounds = [self.checkpoints_after, to];
            let mut rows = statement.query_map(bounds, read_checkpoint).map_err(&sql)?;
            self.checkpoint = rows.next().transpose().map_err(&sql)?;
            match &self.checkpoint {
                Some(read) => self.checkpoints_after = read.size,
                None => self.checkpoints_to = None,
            }
        }
        Ok(())
    }
}

fn read_entry(row: &Row<'_>) -> store::rusqlite::Result<RawEntry> {
    Ok(RawEntry {
        seq: row.get(0)?,
        // A number the chain does not hold, where somebody put no number.
        at_ms: row.get_ref(1)?.as_i64().unwrap_or(i64::MIN),
        subject: bytes(row.get_ref(2)?),
        event: bytes(row.get_ref(3)?),
        detail: bytes(row.get_ref(4)?),
        hash: bytes(row.get_ref(5)?),
    })
}

fn read_checkpoint(row: &Row<'_>) -> store::rusqlite::Result<RawCheckpoint> {
    Ok(RawCheckpoint {
        size: row.get(0)?,
        note: bytes(row.get_ref(1)?),
        salt: bytes(row.get_ref(2)?),
        token: bytes(row.get_ref(3)?),
        chain: bytes(row.get_ref(4)?),
    })
}

/// Text as it stands, in UTF-8 or not; nothing where somebody put a number.
fn bytes(value: ValueRef<'_>) -> Vec<u8> {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => Vec::new(),
    }
}

/// A line of an export.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Line {
    /// The first.
    Export { format: u32, keys: Vec<String> },
    Entry {
        seq: i64,
        at_ms: i64,
        subject: String,
        event: String,
        detail: String,
        /// Hexadecimal.
        hash: String,
    },
    /// After the last entry it covers.
    Checkpoint {
        size: i64,
        note: String,
        /// Hexadecimal.
        salt: String,
        /// Base64.
        token: String,
        /// PEM.
        chain: String,
    },
    /// The last: an export without it was cut off.
    End { entries: u64, checkpoints: u64 },
}

/// Version of the export.
const FORMAT: u32 = 1;

/// Writes a log into a new file for its owner only, one JSON object a line. Returns how many
/// entries and checkpoints.
///
/// # Errors
/// [`AuditError::File`], also when the file is there already, and
/// [`AuditError::Store`].
pub fn export(log: &Database, path: &Path) -> Result<(u64, u64), AuditError> {
    let write = AuditError::file("write", path);
    let file = file::create_new(path).map_err(&write)?;
    let mut out = BufWriter::new(file);
    let mut put = |line: &Line| {
        serde_json::to_writer(&mut out, line)?;
        out.write_all(b"\n")
    };
    let keys = log.keys()?.iter().map(ToString::to_string).collect();
    let format = FORMAT;
    put(&Line::Export { format, keys }).map_err(&write)?;
    let (mut entries, mut checkpoints) = (0, 0);
    for item in log.items()? {
        match &item? {
            Item::Entry(entry) => {
                entries += 1;
                put(&entry_line(entry)).map_err(&write)?;
            }
            Item::Checkpoint(checkpoint) => {
                checkpoints += 1;
                put(&checkpoint_line(checkpoint)).map_err(&write)?;
            }
        }
    }
    put(&Line::End {
        entries,
        checkpoints,
    })
    .map_err(&write)?;
    let file = out
        .into_inner()
        .map_err(|error| write(error.into_error()))?;
    file.sync_all().map_err(&write)?;
    Ok((entries, checkpoints))
}

/// What is no UTF-8 was altered; it is written so that it stays that.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn entry_line(entry: &RawEntry) -> Line {
    Line::Entry {
        seq: entry.seq,
        at_ms: entry.at_ms,
        subject: text(&entry.subject),
        event: text(&entry.event),
        detail: text(&entry.detail),
        hash: hex::encode(&entry.hash),
    }
}

fn checkpoint_line(checkpoint: &RawCheckpoint) -> Line {
    Line::Checkpoint {
        size: checkpoint.size,
        note: text(&checkpoint.note),
        salt: hex::encode(&checkpoint.salt),
        token: STANDARD.encode(&checkpoint.token),
        chain: text(&checkpoint.chain),
    }
}

/// An export, read line by line.
pub struct Export {
    path: PathBuf,
    lines: BufReader<File>,
    line: u64,
    read: (u64, u64),
    is_over: bool,
}

impl Export {
    /// Opens an export.
    ///
    /// # Errors
    /// [`AuditError::File`], and [`AuditError::Line`] when it is none.
    pub fn open(path: &Path) -> Result<Self, AuditError> {
        let file = File::open(path).map_err(AuditError::file("read", path))?;
        let mut export = Self {
            path: path.to_owned(),
            lines: BufReader::new(file),
            line: 0,
            read: (0, 0),
            is_over: false,
        };
        match export.line()? {
            Line::Export { format: FORMAT, .. } => Ok(export),
            Line::Export { .. } => Err(export.fault("a newer format: use a newer program")),
            Line::Entry { .. } | Line::Checkpoint { .. } | Line::End { .. } => {
                Err(export.fault("not the first line of an export"))
            }
        }
    }

    fn fault(&self, reason: impl ToString) -> AuditError {
        AuditError::Line {
            line: self.line,
            reason: reason.to_string(),
        }
    }

    fn line(&mut self) -> Result<Line, AuditError> {
        self.line += 1;
        let mut bytes = Vec::new();
        let mut limited = (&mut self.lines).take(limits::AUDIT_LINE_BYTES_MAX);
        limited
            .read_until(b'\n', &mut bytes)
            .map_err(AuditError::file("read", &self.path))?;
        if bytes.is_empty() {
            return Err(self.fault("the export ends before its last line"));
        }
        if bytes.last() != Some(&b'\n') {
            return Err(self.fault("it is too long, or the export was cut off in it"));
        }
        serde_json::from_slice(&bytes).map_err(|error| self.fault(error))
    }

    fn item(&mut self) -> Result<Option<Item>, AuditError> {
        let line = self.line()?;
        match line {
            Line::Entry {
                seq,
                at_ms,
                subject,
                event,
                detail,
                hash,
            } => {
                self.read.0 += 1;
                Ok(Some(Item::Entry(RawEntry {
                    seq,
                    at_ms,
                    subject: subject.into_bytes(),
                    event: event.into_bytes(),
                    detail: detail.into_bytes(),
                    hash: hex::decode(&hash).unwrap_or_default(),
                })))
            }
            Line::Checkpoint {
                size,
                note,
                salt,
                token,
                chain,
            } => {
                self.read.1 += 1;
                Ok(Some(Item::Checkpoint(RawCheckpoint {
                    size,
                    note: note.into_bytes(),
                    salt: hex::decode(&salt).unwrap_or_default(),
                    token: STANDARD.decode(&token).unwrap_or_default(),
                    chain: chain.into_bytes(),
                })))
            }
            Line::End {
                entries,
                checkpoints,
            } if (entries, checkpoints) == self.read => Ok(None),
            Line::End { .. } => Err(self.fault("it counts other lines than there are")),
            Line::Export { .. } => Err(self.fault("a second beginning")),
        }
    }
}

impl Iterator for Export {
    type Item = Result<Item, AuditError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let item = self.item().transpose();
        self.is_over = !matches!(item, Some(Ok(_)));
        item
    }
}
