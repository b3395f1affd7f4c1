//! Destroying documents some time after their end. Their keys go, so that no
//! copy of their bytes can be read any more (crypto-shredding); the record, the
//! digests, the receiver's answer and the timestamp stay.

use super::rows::{self, NOT_ASIDE};
use super::{Kind, Outbox, OutboxError, bodies, damaged};
use crate::audit;
use crate::base::clock::unix_ms;
use crate::store::StoreError;
use crate::store::rusqlite::{OptionalExtension, Transaction, params};
use serde_json::json;
use time::OffsetDateTime;

/// Submissions destroyed in one transaction; others want to write too.
const BATCH: usize = 100;

/// The very text of the partial index, so that it is used.
const UNPURGED: &str = "state IN ('receipted', 'rejected') AND purged_ms IS NULL";

/// What is destroyed: all that holds what the practice wrote.
const DESTROYED: [Kind; 5] = [
    Kind::RequestXml,
    Kind::RequestPdf,
    Kind::Pdf,
    Kind::Document,
    Kind::Facts,
];

impl Outbox {
    /// Destroys the documents of submissions that ended at `before` or earlier,
    /// some at a time; returns how many. 0: there are no more. Their keys are in
    /// the database's log until [`Store::forget`](crate::store::Store::forget).
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn purge(&self, before: OffsetDateTime) -> Result<usize, OutboxError> {
        let now = self.clock.now();
        let before = unix_ms(before);
        let (count, files) = self.store.transact(|tx| {
            let ended = ended(tx, before)?;
            let mut files = Vec::new();
            for uuid in &ended {
                files.extend(destroy(tx, uuid, now)?);
            }
            // Last: whatever fails before leaves them where they are.
            self.store.stage(&files);
            Ok::<_, OutboxError>((ended.len(), files))
        })?;
        self.discard(&files);
        Ok(count)
    }
}

fn ended(tx: &Transaction<'_>, before: i64) -> Result<Vec<String>, StoreError> {
    let failed = StoreError::sql("find what has ended");
    let sql = format!(
        "SELECT uuid FROM submission WHERE {UNPURGED} AND updated_ms <= ?1 AND {NOT_ASIDE} \
         ORDER BY updated_ms LIMIT {BATCH}"
    );
    let mut statement = tx.prepare_cached(&sql).map_err(&failed)?;
    let rows = statement
        .query_map([before], |row| rows::text(row, 0))
        .map_err(&failed)?;
    rows.collect::<Result<_, _>>().map_err(&failed)
}

/// Destroys the keys, and the small bodies; returns the files of the others.
fn destroy(
    tx: &Transaction<'_>,
    uuid: &str,
    now: OffsetDateTime,
) -> Result<Vec<String>, StoreError> {
    let failed = StoreError::sql("destroy documents");
    let Some(key) = rows::key(uuid) else {
        damaged::set_aside(tx, uuid, now, &"no key is written so")?;
        return Ok(Vec::new());
    };
    let sql = format!(
        "UPDATE submission SET purged_ms = ?2 WHERE uuid = ?1 AND {UNPURGED} RETURNING uuid"
    );
    let marked = tx
        .prepare_cached(&sql)
        .and_then(|mut s| {
            s.query_row(params![uuid, unix_ms(now)], |row| rows::text(row, 0))
                .optional()
        })
        .map_err(&failed)?;
    match marked {
        None => {
            damaged::contradicted(tx, uuid, now, "submission_purge")?;
            return Ok(Vec::new());
        }
        Some(marked) if marked != uuid => return Err(rows::neighbour(uuid)),
        Some(_) => {}
    }
    let mut files = Vec::new();
    for kind in DESTROYED {
        files.extend(bodies::shred(tx, key, kind)?);
    }
    let detail = json!({ "kinds": DESTROYED.map(Kind::word) });
    audit::append(tx, now, uuid, "purged", &detail)?;
    Ok(files)
}
