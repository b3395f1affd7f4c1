//! How long what is signed may wait for its timestamp. A deadline that has
//! passed is told; it lowers nothing and drops nothing.

use super::rows::NOT_ASIDE;
use super::{Kind, Outbox, OutboxError, Record, State, damaged};
use crate::audit;
use crate::base::Uuid4;
use crate::base::clock::{from_unix_ms, rfc3339, unix_ms};
use crate::store::StoreError;
use crate::store::rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde_json::json;
use std::collections::HashMap;
use std::time::Duration;
use time::OffsetDateTime;

/// Most deadlines told in one transaction.
const TOLD_MAX: usize = 100;
/// The very text of the partial index, so that it is used.
const UNSTAMPED: &str = "signed_ms IS NOT NULL AND state IN ('received', 'signed')";

impl Outbox {
    /// With a deadline for timestamps; without there is none.
    pub fn with_stamp_within(mut self, within: Option<Duration>) -> Self {
        self.stamp_within = within;
        self
    }

    /// By when those of `records` must be stamped that are signed and are not.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn deadlines(
        &self,
        records: &[Record],
    ) -> Result<HashMap<Uuid4, OffsetDateTime>, OutboxError> {
        let may_wait = |r: &&Record| matches!(r.state, State::Received | State::Signed);
        let waiting: Vec<Uuid4> = records.iter().filter(may_wait).map(|r| r.uuid).collect();
        let (Some(within), false) = (self.stamp_within, waiting.is_empty()) else {
            return Ok(HashMap::new());
        };
        let read = |connection: &Connection| {
            let mut found = HashMap::new();
            for uuid in waiting {
                let sql =
                    format!("SELECT signed_ms FROM submission WHERE uuid = ?1 AND {UNSTAMPED}");
                let signed: Option<i64> = connection
                    .prepare_cached(&sql)
                    .and_then(|mut s| s.query_row([uuid.to_string()], |r| r.get(0)).optional())
                    .map_err(StoreError::sql("read a deadline"))?;
                found.extend(signed.map(|ms| (uuid, from_unix_ms(ms) + within)));
            }
            Ok::<_, StoreError>(found)
        };
        Ok(self.store.read(read)?)
    }

    /// Writes into the history of each document whose deadline has passed that
    /// it has, once. Returns the first deadline among those that wait longer
    /// than they may.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn overdue(&self) -> Result<Option<OffsetDateTime>, OutboxError> {
        let Some(within) = self.stamp_within else {
            return Ok(None);
        };
        let now = self.clock.now();
        let signed = |overdue| self.store.read(move |c| first(c, overdue));
        let is_past = |signed: &OffsetDateTime| *signed + within <= now;
        while signed(false)?.as_ref().is_some_and(is_past) {
            self.store
                .transact(|tx| tell(tx, now, within).map_err(OutboxError::from))?;
            self.followers.ring();
        }
        // A clock that was ahead may have told too early; nobody waits too long then.
        Ok(signed(true)?.filter(is_past).map(|signed| signed + within))
    }
}

/// Remembers when the key was used for a document that is not stamped yet.
pub(super) fn note(
    tx: &Transaction<'_>,
    record: &Record,
    bodies: &[(Kind, Vec<u8>)],
) -> Result<(), StoreError> {
    let signed = match record.state {
        State::Signed => true,
        // Its PDF is signed, and rests.
        State::Received => bodies.iter().any(|(kind, _)| *kind == Kind::Pdf),
        State::Stamped
        | State::Ready
        | State::Sending
        | State::Unknown
        | State::Receipted
        | State::Rejected => false,
    };
    if signed {
        let sql = "UPDATE submission SET signed_ms = ?2 WHERE uuid = ?1 AND signed_ms IS NULL";
        let values = params![record.uuid.to_string(), unix_ms(record.updated_at)];
        tx.prepare_cached(sql)
            .and_then(|mut s| s.execute(values))
            .map_err(StoreError::sql("note a signature"))?;
    }
    Ok(())
}

/// When the first of those was signed that were told to be overdue, or not yet.
fn first(connection: &Connection, overdue: bool) -> Result<Option<OffsetDateTime>, StoreError> {
    let sql = format!(
        "SELECT signed_ms FROM submission WHERE {UNSTAMPED} AND overdue = ?1 \
         AND {NOT_ASIDE} ORDER BY signed_ms LIMIT 1"
    );
    let found: Option<i64> = connection
        .prepare_cached(&sql)
        .and_then(|mut s| s.query_row([overdue], |r| r.get(0)).optional())
        .map_err(StoreError::sql("find a deadline"))?;
    Ok(found.map(from_unix_ms))
}

fn tell(tx: &Transaction<'_>, now: OffsetDateTime, within: Duration) -> Result<(), StoreError> {
    let failed = StoreError::sql("tell a deadline");
    let sql = format!(
        "SELECT uuid, signed_ms FROM submission WHERE {UNSTAMPED} AND overdue = 0 \
         AND signed_ms <= ?1 AND {NOT_ASIDE} ORDER BY signed_ms LIMIT {TOLD_MAX}"
    );
    let mut statement = tx.prepare_cached(&sql).map_err(&failed)?;
    let latest = unix_ms(now - within);
    let rows = statement.query_map([latest], |row| Ok((row.get(0)?, row.get(1)?)));
    let rows: Result<Vec<(String, i64)>, _> = rows.map_err(&failed)?.collect();
    for (uuid, signed) in rows.map_err(&failed)? {
        let deadline = rfc3339(from_unix_ms(signed) + within);
        let detail = json!({ "deadline": deadline });
        let sql = format!("UPDATE submission SET overdue = 1 WHERE uuid = ?1 AND {UNSTAMPED}");
        match tx.execute(&sql, [&uuid]).map_err(&failed)? {
            0 => damaged::contradicted(tx, &uuid, now, "submission_unstamped")?,
            _ => audit::append(tx, now, &uuid, "stamp-overdue", &detail)?,
        }
    }
    Ok(())
}
