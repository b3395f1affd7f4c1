//! The threads that sign and the threads that send.

use crate::config::OutboxSettings;
use crate::delivery::Delivery;
use crate::intake::Intake;
use crate::outbox::{Lease, Outbox, OutboxError, Record, Stage};
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Longest nap without looking; work and due times wake a worker earlier.
const NAP: Duration = Duration::from_secs(30);
/// Pause after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Workers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    pub(super) fn start(
        outbox: &Arc<Outbox>,
        intake: Arc<Intake>,
        delivery: Option<Arc<Delivery>>,
        settings: &OutboxSettings,
    ) -> io::Result<Self> {
        let mut workers = Self {
            stop: Arc::default(),
            threads: Vec::new(),
        };
        for _ in 0..settings.intake_workers {
            let intake = intake.clone();
            workers.spawn("intake", Stage::Intake, outbox, move |lease| {
                intake.step(lease)
            })?;
        }
        if let Some(delivery) = delivery {
            for _ in 0..settings.delivery_workers {
                let delivery = delivery.clone();
                workers.spawn("delivery", Stage::Delivery, outbox, move |lease| {
                    delivery.step(lease)
                })?;
            }
        }
        Ok(workers)
    }

    /// Lets every worker finish the step it is in.
    pub(super) fn stop(self, outbox: &Outbox) {
        self.stop.store(true, Ordering::Relaxed);
        outbox.notify();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker had panicked");
            }
        }
    }

    fn spawn(
        &mut self,
        name: &str,
        stage: Stage,
        outbox: &Arc<Outbox>,
        step: impl Fn(Lease) -> Result<Record, OutboxError> + Send + 'static,
    ) -> io::Result<()> {
        let (outbox, stop) = (outbox.clone(), self.stop.clone());
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work(stage, &outbox, &stop, step))?;
        self.threads.push(thread);
        Ok(())
    }
}

fn work(
    stage: Stage,
    outbox: &Outbox,
    stop: &AtomicBool,
    step: impl Fn(Lease) -> Result<Record, OutboxError>,
) {
    let mut seen = 0;
    while !stop.load(Ordering::Relaxed) {
        let done = match outbox.claim(stage) {
            Ok(Some(lease)) => {
                let claim = lease.claim();
                // A document that makes a step panic must not stop the others.
                let stepped = panic::catch_unwind(AssertUnwindSafe(|| step(lease).map(drop)));
                let failed = !matches!(stepped, Ok(Ok(())));
                if failed {
                    outbox.abandon(claim);
                }
                stepped.unwrap_or_else(|_| {
                    tracing::error!(?claim, "a step panicked");
                    Ok(())
                })
            }
            Ok(None) => {
                outbox.wait(stage, &mut seen, NAP);
                Ok(())
            }
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the outbox failed"
            );
            thread::sleep(STORE_PAUSE);
        }
    }
}
