//! The end of an open question that only a person can answer: the receiver
//! offers no way to ask, or refuses the question for good.

use super::rows::{COLUMNS, neighbour, record};
use super::{Conclusion, Outbox, OutboxError, Record, Verdict, Wait};
use crate::base::Uuid4;
use crate::base::clock::unix_ms;
use crate::store::StoreError;
use crate::store::rusqlite::{OptionalExtension, Transaction, params};
use serde_json::{Value, json};
use std::time::Duration;
use time::OffsetDateTime;

/// What a person has found out about a document that is `unknown`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The receiver accepted it; with its id of it, where that was told.
    Accepted(Option<String>),
    /// The receiver refused it.
    Refused,
    /// The receiver has not got it: the same bytes may go again.
    NotReceived,
}

impl Finding {
    fn word(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::Refused => "refused",
            Self::NotReceived => "not-received",
        }
    }
}

impl From<Finding> for Conclusion {
    fn from(finding: Finding) -> Self {
        let verdict = |insurer_id| Verdict {
            insurer_id,
            codes: Vec::new(),
            reading: Value::Null,
        };
        match finding {
            Finding::Accepted(id) => Self::Receipted(verdict(id)),
            Finding::Refused => Self::Rejected(verdict(None)),
            Finding::NotReceived => Self::Retry {
                after: Duration::ZERO,
                wait: Wait {
                    class: "network".into(),
                    code: "not-arrived".into(),
                    text: "The receiver has not got the document, a person found; it is being sent again.".into(),
                },
            },
        }
    }
}

impl Outbox {
    /// Ends the question about an `unknown` document as a person has found out.
    /// The history has it as `settled`; no answer of the receiver is kept,
    /// because there is none. `None` when no document of this UUID is `unknown`,
    /// or when the receiver is being asked about it now.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn settle_unknown(
        &self,
        uuid: Uuid4,
        finding: Finding,
    ) -> Result<Option<Record>, OutboxError> {
        let now = self.clock.now();
        let taken = self
            .store
            .transact(|tx| Ok::<_, OutboxError>(take_unknown(tx, uuid, now)?))?;
        let Some((mut record, number)) = taken else {
            return Ok(None);
        };
        // It goes on at once, however often it was looked at in vain.
        record.tries = 0;
        let told = json!({ "outcome": finding.word() });
        let (record, word, detail) = self.concluded(record, finding.into());
        let events = [("settled", told), (word, detail)];
        match self.end(record, number, &events, &[]) {
            // A worker was quicker.
            Err(OutboxError::LeaseLost(_)) => Ok(None),
            ended => ended.map(Some),
        }
    }
}

/// Claims one that is `unknown` and not held, out of turn and without a lease.
fn take_unknown(
    tx: &Transaction<'_>,
    uuid: Uuid4,
    now: OffsetDateTime,
) -> Result<Option<(Record, i64)>, StoreError> {
    let sql = format!(
        "UPDATE submission SET claims = claims + 1 WHERE uuid = ?1 AND state = 'unknown' \
         AND (lease_ms IS NULL OR lease_ms <= ?2) RETURNING {COLUMNS}, claims"
    );
    let values = params![uuid.to_string(), unix_ms(now)];
    let taken = tx.query_row(&sql, values, |row| Ok((record(row)?, row.get(21)?)));
    let taken: Option<(Record, i64)> = taken
        .optional()
        .map_err(StoreError::sql("take a submission"))?;
    match taken {
        Some((record, _)) if record.uuid != uuid => Err(neighbour(&uuid.to_string())),
        taken => Ok(taken),
    }
}
