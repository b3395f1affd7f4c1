//! Evidence: what proves that a document was signed, sent and received, in one
//! archive; and the sheets a label or a connection asks for. It reads what
//! others made and judges signatures anew; it changes nothing.

mod archive;
mod readme;
mod sheet;

pub use archive::public_facts;
pub use sheet::{Cell, Section, Sheet};

use crate::base::Clock;
use crate::intake::{Intake, IsolatedError};
use crate::outbox::{Outbox, OutboxError};
use serde_json::Value;
use std::sync::Arc;

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The submission cannot be read.
    #[error("collect the evidence: the outbox failed")]
    Collect(#[from] OutboxError),
    /// A signed document cannot be judged.
    #[error("judge the signatures")]
    Judge(#[source] IsolatedError),
    /// The archive cannot be written.
    #[error("write the archive")]
    Write(#[source] zip::result::ZipError),
    /// A part of the archive cannot be written as JSON.
    #[error("write a part of the archive")]
    Part(#[source] serde_json::Error),
}

/// Which parts of an archive are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All there is. The documents are patient data.
    Whole,
    /// What proves without showing: no document and no answer, only their
    /// digests. For a recipient who must not see patient data.
    Proofs,
}

/// Makes evidence of what the outbox holds.
pub struct Evidence {
    intake: Arc<Intake>,
    outbox: Arc<Outbox>,
    clock: Arc<dyn Clock>,
    installation: Value,
}

impl Evidence {
    /// Of this outbox; `installation` is what manifests say about the place.
    pub fn new(
        intake: Arc<Intake>,
        outbox: Arc<Outbox>,
        clock: Arc<dyn Clock>,
        installation: Value,
    ) -> Self {
        Self {
            intake,
            outbox,
            clock,
            installation,
        }
    }
}
