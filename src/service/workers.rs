//! The threads that sign and the threads that send.

use crate::base::hold;
use crate::config::OutboxSettings;
use crate::delivery::Delivery;
use crate::intake::Intake;
use crate::outbox::{Lease, Outbox, OutboxError, Queue, Record, Stage};
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
        for queue in queues(Stage::Intake, settings.intake_workers) {
            let intake = intake.clone();
            workers.spawn("intake", queue, outbox, move |lease| intake.step(lease))?;
        }
        if let Some(delivery) = delivery {
            let probe = delivery.clone();
            // Not waited for: an insurer that hangs must not hold up a stop.
            thread::Builder::new()
                .name("probe".to_owned())
                .spawn(move || probe.probe())?;
            for queue in queues(Stage::Delivery, settings.delivery_workers) {
                let delivery = delivery.clone();
                workers.spawn("delivery", queue, outbox, move |lease| delivery.step(lease))?;
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
        queue: Queue,
        outbox: &Arc<Outbox>,
        step: impl Fn(Lease) -> Result<Record, OutboxError> + Send + 'static,
    ) -> io::Result<()> {
        let (outbox, stop) = (outbox.clone(), self.stop.clone());
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work(queue, &outbox, &stop, step))?;
        self.threads.push(thread);
        Ok(())
    }
}

/// What the workers of a stage take on: one beside those configured only what
/// somebody waits for, so that it never stands behind a slow delivery.
fn queues(stage: Stage, workers: usize) -> impl Iterator<Item = Queue> {
    (0..=workers).map(move |number| Queue {
        stage,
        interactive: number == workers,
    })
}

/// The loop of one worker, until it is told to stop.
pub fn work(
    queue: Queue,
    outbox: &Outbox,
    stop: &AtomicBool,
    step: impl Fn(Lease) -> Result<Record, OutboxError>,
) {
    let mut seen = 0;
    while !stop.load(Ordering::Relaxed) {
        let done = match outbox.claim(queue) {
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
                outbox.wait(queue, &mut seen, NAP);
                Ok(())
            }
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the outbox failed"
            );
            hold::sleep(STORE_PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::receive;
    use super::*;
    use crate::base::SystemClock;
    use crate::outbox::{self, Prepared, State};
    use crate::store::{Settings, Store};
    use std::sync::mpsc;

    #[test]
    fn a_document_that_makes_a_step_panic_stops_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            folder: folder.path().to_owned(),
            key_file: None,
        };
        let store = Arc::new(Store::open(&settings, &outbox::migrations()).unwrap());
        let lease = Duration::from_secs(60);
        let outbox = Outbox::open(store, SystemClock::shared(), lease).unwrap();
        let (bad, good) = (receive(&outbox), receive(&outbox));
        let stop = AtomicBool::new(false);
        let (done, was_done) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                work(Stage::Intake.into(), &outbox, &stop, |lease| {
                    let uuid = lease.record.uuid;
                    assert_ne!(uuid, bad, "a parser's defect");
                    let step = Prepared {
                        state: State::Ready,
                        bodies: vec![],
                        events: vec![],
                        wait: None,
                    };
                    let record = outbox.prepared(lease, step)?;
                    done.send(uuid).unwrap();
                    Ok(record)
                });
            });
            let first = was_done.recv_timeout(Duration::from_secs(20));
            let put_back = || outbox.find(bad).unwrap().unwrap().wait.is_some();
            for _ in 0..2000 {
                if put_back() {
                    break;
                }
                outbox.notify();
                thread::sleep(Duration::from_millis(10));
            }
            stop.store(true, Ordering::Relaxed);
            outbox.notify();
            assert_eq!(first, Ok(good));
        });
        let record = outbox.find(bad).unwrap().unwrap();
        assert_eq!(record.state, State::Received);
        assert_eq!(record.wait.unwrap().code, "interrupted");
    }
}
