//! Records that are not what was written: neither sent nor in the way of
//! others, and shown until a backup is restored.

use super::rows::{self, COLUMNS, NOT_ASIDE};
use super::{Outbox, OutboxError, Record};
use crate::audit;
use crate::base::Uuid4;
use crate::base::clock::{from_unix_ms, unix_ms};
use crate::store::StoreError;
use crate::store::rusqlite::{self, Connection, Transaction, params};
use serde_json::json;
use time::OffsetDateTime;

/// Records of one practitioner that were set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Code prestataire as it stands there; it may be what is damaged.
    pub code_prestataire: String,
    /// How many.
    pub records: u32,
    /// When the first of them was found.
    pub since: OffsetDateTime,
}

impl Outbox {
    /// Submissions whose record was found damaged.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn set_aside(&self) -> Result<Vec<SetAside>, OutboxError> {
        Ok(self.store.read(all)?)
    }

    /// Sets aside what has not ended and is not what was written, also where no
    /// stage would come to it. Reads every record; returns how many it found.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn prove_open(&self) -> Result<usize, OutboxError> {
        let now = self.clock.now();
        self.store
            .transact(|tx| Ok::<_, OutboxError>(set_all_aside(tx, now)?))
    }

    /// Whether a PDF was accepted with a document, by the audit log: a body that
    /// is missing now must not pass for one that never was there.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn had_pdf(&self, uuid: Uuid4) -> Result<bool, OutboxError> {
        let entries = self.store.read(|c| audit::about(c, &uuid.to_string()))?;
        let mut checked = entries.iter().filter(|entry| entry.event == "checked");
        Ok(checked.any(|entry| !entry.detail["pages"].is_null()))
    }
}

/// Whether an error is about what stands in a record, not about the database.
pub(super) fn is_of_the_record(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code().is_none()
}

/// A record; one that is damaged is set aside and not found.
pub(super) fn find(
    tx: &Transaction<'_>,
    uuid: Uuid4,
    now: OffsetDateTime,
) -> Result<Option<Record>, StoreError> {
    match rows::find(tx, uuid) {
        Err(StoreError::Sql { source, .. }) if is_of_the_record(&source) => {
            set_aside(tx, &uuid.to_string(), now, &source)?;
            Ok(None)
        }
        found => found,
    }
}

/// Takes a damaged record out of the line. Nothing is written into it: its
/// indexes need not agree with it.
pub(super) fn set_aside(
    tx: &Transaction<'_>,
    uuid: &str,
    now: OffsetDateTime,
    error: &dyn std::fmt::Display,
) -> Result<(), StoreError> {
    let new = tx
        .prepare_cached("INSERT OR IGNORE INTO set_aside VALUES (?1, ?2)")
        .and_then(|mut s| s.execute(params![uuid, unix_ms(now)]))
        .map_err(StoreError::sql("set a damaged record aside"))?;
    if new == 0 {
        return Ok(());
    }
    tracing::error!(uuid, %error, "a damaged record is set aside");
    audit::append(tx, now, uuid, "set-aside", &json!({}))
}

/// Sets aside what has not ended and cannot be read; returns how many it found.
pub(super) fn set_all_aside(
    tx: &Transaction<'_>,
    now: OffsetDateTime,
) -> Result<usize, StoreError> {
    let failed = StoreError::sql("read all open submissions");
    let sql = format!(
        "SELECT {COLUMNS} FROM submission WHERE state NOT IN ('receipted', 'rejected') \
         AND {NOT_ASIDE}"
    );
    let mut statement = tx.prepare(&sql).map_err(&failed)?;
    let mut found = statement.query([]).map_err(&failed)?;
    let mut damaged: Vec<(String, rusqlite::Error)> = Vec::new();
    while let Some(row) = found.next().map_err(&failed)? {
        match rows::record(row) {
            Err(error) if is_of_the_record(&error) => {
                damaged.push((rows::text(row, 0).map_err(&failed)?, error));
            }
            read => drop(read.map_err(&failed)?),
        }
    }
    for (uuid, error) in &damaged {
        set_aside(tx, uuid, now, error)?;
    }
    Ok(damaged.len())
}

/// Makes a partial index anew that found a record which is not as it says. What
/// changes a record leaves an entry that it has no claim to where it is, and
/// SQLite's checks look for none (3.54).
pub(super) fn mend_index(tx: &Transaction<'_>, index: &str) -> Result<(), StoreError> {
    tracing::error!(index, "an index found what is not there");
    tx.execute_batch(&format!("REINDEX {index}"))
        .map_err(StoreError::sql("make an index anew"))
}

/// Deals with what an index finds and is not as it says: the record is damaged,
/// or the index is.
pub(super) fn contradicted(
    tx: &Transaction<'_>,
    uuid: &str,
    now: OffsetDateTime,
    index: &str,
) -> Result<(), StoreError> {
    match rows::look_up(tx, uuid)? {
        Some(Ok(_)) => mend_index(tx, index),
        Some(Err(error)) => set_aside(tx, uuid, now, &error),
        None => set_aside(tx, uuid, now, &"an index has it alone"),
    }
}

fn all(connection: &Connection) -> Result<Vec<SetAside>, StoreError> {
    let failed = StoreError::sql("look for damaged records");
    let sql = "SELECT CAST(coalesce(code_prestataire, '') AS BLOB), count(*), min(at_ms) \
               FROM set_aside LEFT JOIN submission USING (uuid) GROUP BY 1";
    let mut statement = connection.prepare_cached(sql).map_err(&failed)?;
    let rows = statement.query_map([], |row| {
        let code: Vec<u8> = row.get(0)?;
        Ok(SetAside {
            code_prestataire: String::from_utf8_lossy(&code).into_owned(),
            records: row.get(1)?,
            since: from_unix_ms(row.get(2)?),
        })
    });
    rows.map_err(&failed)?
        .collect::<Result<_, _>>()
        .map_err(&failed)
}
