//! The thread that keeps the store at work: it stops the workers when the store
//! has stopped, has it checked and opened anew, and starts them again.

use super::workers::Workers;
use crate::config::OutboxSettings;
use crate::delivery::Delivery;
use crate::intake::Intake;
use crate::outbox::Outbox;
use crate::store::Fault;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often the store is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Longest pause between two tries to open a store that has stopped.
const REOPEN_PAUSE_MAX: Duration = Duration::from_secs(60);

/// What the workers need to be started again.
pub(super) struct Kept {
    pub(super) outbox: Arc<Outbox>,
    pub(super) intake: Arc<Intake>,
    pub(super) delivery: Option<Arc<Delivery>>,
    pub(super) settings: OutboxSettings,
}

/// The thread, until it is stopped.
pub(super) struct Keeper {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Keeper {
    /// Starts the workers and their keeper.
    pub(super) fn start(kept: Kept) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let workers = match kept.outbox.is_only_read() {
            true => None,
            false => Some(kept.workers()?),
        };
        let thread = thread::Builder::new()
            .name("keeper".to_owned())
            .spawn(move || kept.keep(workers, &stopped))?;
        Ok(Self { stop, thread })
    }

    /// Lets every worker finish the step it is in.
    pub(super) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the keeper had panicked");
        }
    }
}

impl Kept {
    fn workers(&self) -> io::Result<Workers> {
        let (intake, delivery) = (self.intake.clone(), self.delivery.clone());
        Workers::start(&self.outbox, intake, delivery, &self.settings)
    }

    fn keep(&self, mut workers: Option<Workers>, stopped: &Receiver<()>) {
        let mut pause = LOOK_EVERY;
        while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            pause = match self.look(&mut workers) {
                true => LOOK_EVERY,
                false => (pause * 2).min(REOPEN_PAUSE_MAX),
            };
        }
        if let Some(workers) = workers {
            workers.stop(&self.outbox);
        }
    }

    /// One look; false when the store could not be brought back to work.
    fn look(&self, workers: &mut Option<Workers>) -> bool {
        let store = self.outbox.store();
        match store.health().map(|health| health.fault) {
            None if workers.is_some() => return true,
            Some(Fault::Full) if workers.is_some() => {
                // While there is no room the fault lasts, and is shown.
                let _ = store.look();
                return true;
            }
            // Nothing can be sent that could not be written down.
            Some(Fault::Stopped | Fault::ReadOnly) => {
                if let Some(workers) = workers.take() {
                    workers.stop(&self.outbox);
                }
            }
            // What the last look has reopened, without coming to its end.
            None | Some(Fault::Full) => {}
        }
        if self.outbox.is_only_read() {
            return true;
        }
        if let Err(error) = self.outbox.reopen() {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "the store is not back at work");
            return false;
        }
        match self.workers() {
            Ok(started) => *workers = Some(started),
            Err(error) => tracing::error!(%error, "the workers do not start"),
        }
        workers.is_some()
    }
}
