//! The way out: one trait behind which every insurer's interface stands, and
//! the outcome of each attempt in words that do not belong to any of them.
//! It keeps no state of submissions, writes no SQL and logs nothing.

pub mod mysecu;

use crate::base::Uuid4;
use std::time::Duration;

/// A connection to one insurer. Calls block; they may come from many threads.
pub trait Gateway: Send + Sync {
    /// Hands over a document. The caller has made the attempt durable before,
    /// because the document may have arrived even if this never returns.
    fn deliver(&self, delivery: &Message<'_>) -> Report;

    /// Asks what became of a document. Either the question was
    /// [`Outcome::Answered`], or the outcome is [`Outcome::Unknown`]: whatever
    /// happens to a question, it says nothing about the document.
    fn ask(&self, question: &Message<'_>) -> Report;

    /// Connects to every address without sending a document.
    ///
    /// # Errors
    /// One sentence for the administrator: the address and the cause.
    fn probe(&self) -> Result<(), String>;
}

/// A document on its way, or the question what became of it.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The document's own UUID.
    pub uuid: Uuid4,
    /// Code prestataire (eight digits) in whose name it is sent.
    pub code_prestataire: &'a str,
    /// eHealth ID (ten digits) of that practitioner.
    pub ehealth_id: &'a str,
    /// The receiver's name for the operation (`modelUID`).
    pub model_id: &'a str,
    /// The signed XML document, or the pack's status request. Sent byte for
    /// byte, less its XML declaration.
    pub payload: &'a [u8],
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What it means for the document.
    pub outcome: Outcome,
    /// The receiver's name for this exchange, for its help desk. Not signed.
    pub correlation_id: Option<String>,
    /// The answer's payload in canonical form: exactly what the receiver
    /// signed. Present when the outcome is [`Outcome::Answered`].
    pub answer: Option<Vec<u8>>,
    /// The whole answer as received, kept as evidence. Personal data.
    pub envelope: Option<Vec<u8>>,
}

/// What an attempt means for the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A verified answer came back; its payload holds the verdict.
    Answered,
    /// The receiver's final verdict, given as a fault.
    Refused {
        /// The receiver's code.
        code: String,
        /// The receiver's words: to be shown to the sender, never logged.
        text: String,
    },
    /// The receiver knows this UUID already: ask what became of it.
    Duplicate,
    /// Certainly not accepted: send the same bytes again later.
    Retry {
        /// Not before this time has passed.
        after: Duration,
        /// Who has to act.
        class: FaultClass,
        /// The receiver's code, or one of ours in lower case.
        code: String,
        /// One sentence in English without personal data.
        text: String,
    },
    /// May have been accepted: ask, never send again blindly.
    Unknown {
        /// Who has to act.
        class: FaultClass,
        /// The receiver's code, or one of ours in lower case.
        code: String,
        /// One sentence in English without personal data.
        text: String,
    },
}

/// Who has to act on a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultClass {
    /// This installation: configuration, clock, certificate or program.
    Ours,
    /// The network between here and the receiver.
    Network,
    /// The receiver's service.
    ReceiverDown,
    /// The practitioner's account or consent at the receiver.
    Account,
}
