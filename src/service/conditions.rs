//! The thread that looks at all parts for faults that begin and end.

use crate::conditions::Conditions;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often. A look reads memory alone; a driver that crashes is back after a
/// second and must be seen in between.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// At which look records are looked at too, which reads the database.
const RECORDS_EVERY: u32 = 4;

/// The thread, until it is stopped.
pub(super) struct ConditionWatch {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl ConditionWatch {
    /// Starts looking.
    pub(super) fn start(conditions: Arc<Conditions>) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let mut looks = 0;
        let watch = move || {
            while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                looks = (looks + 1) % RECORDS_EVERY;
                let look = AssertUnwindSafe(|| {
                    if looks == 0 {
                        conditions.look_at_records();
                    }
                    conditions.look();
                });
                if panic::catch_unwind(look).is_err() {
                    tracing::error!("looking for faults panicked");
                }
            }
        };
        let thread = thread::Builder::new()
            .name("conditions".to_owned())
            .spawn(watch)?;
        Ok(Self { stop, thread })
    }

    /// Ends after the look under way.
    pub(super) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the thread that looks for faults had panicked");
        }
    }
}
