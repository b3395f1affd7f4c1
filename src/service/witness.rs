//! Lets the timestamps of documents witness the audit log.

use crate::audit::{AuditError, Log};
use crate::trust::{Commitment, Trust, Witness};
use std::error::Error;
use std::sync::Arc;

/// Trust whose timestamps witness the log. Without a log there are no
/// checkpoints: a store that can only be read is served all the same.
pub(super) fn witnessing(trust: Trust, log: Result<Log, AuditError>) -> Trust {
    match log {
        Ok(log) => trust.witnessing(Arc::new(LogWitness(Arc::new(log)))),
        Err(error) => {
            let error = &error as &dyn Error;
            tracing::error!(error, "the audit log gets no checkpoints");
            trust
        }
    }
}

/// A failure of the log never holds up a document: it is told, and the next
/// timestamp tries again.
struct LogWitness(Arc<Log>);

impl Witness for LogWitness {
    fn commitment(&self) -> Option<Commitment> {
        let due = self.0.due().unwrap_or_else(|error| {
            tracing::warn!(
                error = &error as &dyn Error,
                "no checkpoint of the audit log"
            );
            None
        })?;
        let log = self.0.clone();
        Some(Commitment {
            nonce: due.nonce(),
            witnessed: Box::new(move |token, chain| {
                if let Err(error) = log.keep(&due, token, chain) {
                    let error = &error as &dyn Error;
                    tracing::warn!(error, "a checkpoint of the audit log is not kept");
                }
            }),
        })
    }
}
