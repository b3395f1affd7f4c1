//! Records that are not what was written: neither sent nor in the way of
//! others, and shown until a backup is restored.

use super::{Outbox, OutboxError, Record, rows};
use crate::audit;
use crate::base::Uuid4;
use crate::base::clock::from_unix_ms;
use crate::store::StoreError;
use crate::store::rusqlite::{self, Connection, Transaction};
use serde_json::json;
use time::OffsetDateTime;

/// Records of one practitioner that were set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Code prestataire as it stands there; it may be what is damaged.
    pub code_prestataire: String,
    /// How many.
    pub records: u32,
    /// When the first of them was last changed.
    pub since: OffsetDateTime,
}

impl Outbox {
    /// Open submissions whose record is damaged.
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
        self.store.transact(|tx| {
            let damaged = unreadable(tx)?;
            for (uuid, error) in &damaged {
                set_aside(tx, uuid, now, error)?;
            }
            Ok::<_, OutboxError>(damaged.len())
        })
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

/// Takes a damaged record out of the line.
pub(super) fn set_aside(
    tx: &Transaction<'_>,
    uuid: &str,
    now: OffsetDateTime,
    error: &dyn std::fmt::Display,
) -> Result<(), StoreError> {
    tracing::error!(uuid, %error, "a damaged record is set aside");
    let sql = "UPDATE submission SET due_ms = NULL, lease_ms = NULL WHERE uuid = ?1";
    tx.execute(sql, [uuid])
        .map_err(StoreError::sql("set a damaged record aside"))?;
    audit::append(tx, now, uuid, "set-aside", &json!({}))
}

/// Open records that cannot be read and are not set aside: which, and why.
fn unreadable(tx: &Transaction<'_>) -> Result<Vec<(String, rusqlite::Error)>, StoreError> {
    let failed = StoreError::sql("read all open submissions");
    let sql = format!(
        "SELECT {} FROM submission WHERE state NOT IN ('receipted', 'rejected') \
         AND due_ms IS NOT NULL",
        rows::COLUMNS
    );
    let mut statement = tx.prepare_cached(&sql).map_err(&failed)?;
    let mut found = statement.query([]).map_err(&failed)?;
    let mut damaged = Vec::new();
    while let Some(row) = found.next().map_err(&failed)? {
        match rows::record(row) {
            Err(error) if is_of_the_record(&error) => {
                damaged.push((row.get(0).map_err(&failed)?, error));
            }
            read => drop(read.map_err(&failed)?),
        }
    }
    Ok(damaged)
}

/// Sets aside a record that is not what the index says by which it was found.
/// Changing the record leaves such an entry where it is, to be found again for
/// ever, and SQLite's checks do not look for it: partial indexes are made anew.
pub(super) fn contradicted(
    tx: &Transaction<'_>,
    uuid: &str,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let failed = StoreError::sql("make an index anew");
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'submission' \
               AND sql LIKE '% WHERE %'";
    let mut statement = tx.prepare_cached(sql).map_err(&failed)?;
    let names = statement.query_map([], |row| row.get(0)).map_err(&failed)?;
    let names: Vec<String> = names.collect::<Result<_, _>>().map_err(&failed)?;
    for name in names {
        tx.execute_batch(&format!("REINDEX {name}"))
            .map_err(&failed)?;
    }
    set_aside(tx, uuid, now, &"an index says otherwise")
}

fn all(connection: &Connection) -> Result<Vec<SetAside>, StoreError> {
    let failed = StoreError::sql("look for damaged records");
    // What is open has a time at which it is due, unless it was set aside.
    let sql = "SELECT CAST(code_prestataire AS BLOB), count(*), min(updated_ms) FROM submission \
               WHERE due_ms IS NULL AND state NOT IN ('receipted', 'rejected') \
               GROUP BY code_prestataire";
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
