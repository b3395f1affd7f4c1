//! Lets the timestamps of documents witness the audit log.

use crate::audit::Log;
use crate::trust::{Commitment, Witness};
use std::error::Error;
use std::sync::Arc;

/// A failure of the log never holds up a document: it is told, and the next
/// timestamp tries again.
pub(super) struct LogWitness(pub(super) Arc<Log>);

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
