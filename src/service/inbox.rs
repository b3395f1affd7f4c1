//! The thread that watches the drop folder, and the API's words for it.

use super::ServiceError;
use crate::api::{self, Problem};
use crate::base::Uuid4;
use crate::inbox::{Inbox, Refusal, Settings, Told, Words};
use crate::intake::{Intake, IntakeError};
use crate::outbox::{Outbox, OutboxError};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Time between two looks.
const NAP: Duration = Duration::from_millis(500);

/// The drop folder, when one is configured.
pub(super) fn open(
    settings: Option<Settings>,
    intake: &Arc<Intake>,
    outbox: &Arc<Outbox>,
) -> Result<Option<Inbox>, ServiceError> {
    let open = |settings| {
        let words = Box::new(ApiWords(outbox.clone()));
        Inbox::open(settings, intake.clone(), outbox.clone(), words)
    };
    settings.map(open).transpose().map_err(ServiceError::Inbox)
}

pub(super) struct InboxWatch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl InboxWatch {
    pub(super) fn start(inbox: Option<Inbox>) -> io::Result<Self> {
        let stop = Arc::<AtomicBool>::default();
        let watch = |mut inbox: Inbox| {
            let stop = stop.clone();
            thread::Builder::new()
                .name("inbox".to_owned())
                .spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        inbox.look();
                        thread::park_timeout(NAP);
                    }
                })
        };
        let thread = inbox.map(watch).transpose()?;
        Ok(Self { stop, thread })
    }

    /// Lets the look under way finish.
    pub(super) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread else { return };
        thread.thread().unpark();
        if thread.join().is_err() {
            tracing::error!("the drop folder's thread had panicked");
        }
    }
}

/// What the API would say.
struct ApiWords(Arc<Outbox>);

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
