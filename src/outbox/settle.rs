//! The end of an open question that only a person can answer: the receiver
//! offers no way to ask, or refuses the question for good.

use super::{Conclusion, Outbox, OutboxError, Record, Verdict, Wait, rows};
use crate::base::Uuid4;
use serde_json::{Value, json};
use std::time::Duration;

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
            .transact(|tx| Ok::<_, OutboxError>(rows::take_unknown(tx, uuid, now)?))?;
        let Some((record, number)) = taken else {
            return Ok(None);
        };
        let told = json!({ "outcome": finding.word() });
        let (record, word, detail) = self.concluded(record, finding.into());
        let events = [("settled", told), (word, detail)];
        self.end(record, number, &events, &[]).map(Some)
    }
}
