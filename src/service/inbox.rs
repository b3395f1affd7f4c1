//! The thread that watches the drop folder, and the API's words for it.

use crate::api::{self, Problem};
use crate::base::Uuid4;
use crate::inbox::{Inbox, Refusal, Told, Words};
use crate::intake::IntakeError;
use crate::outbox::{Outbox, OutboxError};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Time between two looks.
const NAP: Duration = Duration::from_millis(500);

/// The thread; stops when told.
pub(super) struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Watch {
    pub(super) fn start(mut inbox: Inbox) -> io::Result<Self> {
        let stop = Arc::<AtomicBool>::default();
        let stopped = stop.clone();
        let thread = thread::Builder::new()
            .name("inbox".to_owned())
            .spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    inbox.look();
                    thread::park_timeout(NAP);
                }
            })?;
        Ok(Self { stop, thread })
    }

    /// Lets the look under way finish.
    pub(super) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        if self.thread.join().is_err() {
            tracing::error!("the drop folder's thread had panicked");
        }
    }
}

/// What the API would say.
pub(super) struct ApiWords(pub(super) Arc<Outbox>);

impl Words for ApiWords {
    fn submission(&self, uuid: Uuid4) -> Result<Option<Told>, OutboxError> {
        let told = api::submission(&self.0, uuid)?;
        Ok(told.map(|submission| Told {
            document: json(&submission),
            is_final: submission.is_final(),
        }))
    }

    fn problem(&self, error: IntakeError) -> Refusal {
        let problem = Problem::from(error);
        Refusal {
            document: json(&problem),
            is_transient: problem.kind.status >= 500,
        }
    }
}

/// As the API writes it.
fn json(document: &impl serde::Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(document).unwrap_or_default();
    text.push(b'\n');
    text
}
