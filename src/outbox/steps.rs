//! What the workers hand to the outbox: how far intake came, and how an attempt
//! ended.

use super::{Kind, State, Wait};
use serde_json::Value;
use std::time::Duration;
use time::OffsetDateTime;

/// A step in the history of a submission.
#[derive(Debug, Clone)]
pub struct Event {
    /// Fixed word: `checked`, `signed`, `stamped`, `sealed`...
    pub word: &'static str,
    /// When it happened.
    pub at: OffsetDateTime,
    /// Codes, digests, addresses, times.
    pub detail: Value,
}

/// How far intake came.
#[derive(Debug)]
pub struct Prepared {
    /// `Received` (nothing reached yet), `Signed`, `Stamped` or `Ready`.
    pub state: State,
    /// Bodies made on the way.
    pub bodies: Vec<(Kind, Vec<u8>)>,
    /// Steps made on the way.
    pub events: Vec<Event>,
    /// Why it goes no further now.
    pub wait: Option<Wait>,
}

/// How an attempt or a question ended.
#[derive(Debug)]
pub enum Conclusion {
    /// The receiver's parsed verdict: accepted.
    Receipted(Verdict),
    /// The receiver's parsed verdict: refused.
    Rejected(Verdict),
    /// Certainly not accepted; send again later, not before `after`.
    Retry {
        /// Shortest pause.
        after: Duration,
        /// Whose fault it was.
        wait: Wait,
    },
    /// May have been accepted; ask later.
    Unknown {
        /// Whose fault it was.
        wait: Wait,
    },
}

/// The receiver's verdict as read from its answer.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// The receiver's id of the document.
    pub insurer_id: Option<String>,
    /// Codes of its anomalies.
    pub codes: Vec<String>,
    /// All that its answer says, its codes and texts under `anomalies`, kept
    /// intact and sealed: a text may name the patient, and the audit log can
    /// never be purged.
    pub reading: Value,
}

/// What came with a [`Conclusion`].
#[derive(Debug, Default)]
pub struct Evidence {
    /// The receiver's id of the exchange.
    pub correlation_id: Option<String>,
    /// The answer's payload.
    pub answer: Option<Vec<u8>>,
    /// The signed envelope around it.
    pub envelope: Option<Vec<u8>>,
}
