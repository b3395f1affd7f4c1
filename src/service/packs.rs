//! The thread that looks at the packs folder again.

use crate::base::causes;
use crate::forms::Packs;
use crate::outbox::Outbox;
use std::collections::BTreeSet;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often the folder is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The thread, until it is stopped.
pub(super) struct PackWatch {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl PackWatch {
    /// Starts looking, once copies of packs that no submission was accepted with
    /// are pruned. What is there at the start is told in the log.
    pub(super) fn start(packs: Arc<Packs>, outbox: Arc<Outbox>) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let mut told = BTreeSet::new();
        tell(&packs, &mut told);
        let watch = move || {
            packs.prune(|form, version| needs(&outbox, form, version));
            while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                let look = AssertUnwindSafe(|| packs.refresh());
                match panic::catch_unwind(look) {
                    Ok(true) => tell(&packs, &mut told),
                    Ok(false) => {}
                    Err(_) => tracing::error!("looking at the packs folder panicked"),
                }
            }
        };
        let thread = thread::Builder::new()
            .name("packs".to_owned())
            .spawn(watch)?;
        Ok(Self { stop, thread })
    }

    /// Ends after the look under way.
    pub(super) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the thread that looks at packs had panicked");
        }
    }
}

/// Whether a submission was accepted with a pack. Also one that has ended needs
/// it: for its copies, its symbol and its evidence.
fn needs(outbox: &Outbox, form: &str, version: &str) -> bool {
    outbox.has_any_of(form, version).unwrap_or_else(|error| {
        tracing::warn!(
            "the copy kept of {form}/{version} stays: {}",
            causes(&error)
        );
        true
    })
}

/// Logs what has come, gone, or is newly wrong since the last time.
fn tell(packs: &Packs, told: &mut BTreeSet<String>) {
    let offered = packs.offered();
    let offered = offered
        .iter()
        .map(|pack| format!("{}/{} is offered", pack.form, pack.version));
    let faults = packs.faults();
    let refused = faults.iter().flat_map(|one| {
        let folder = one.folder.display();
        one.faults
            .iter()
            .map(move |fault| format!("{folder}: {fault}"))
    });
    let refused: BTreeSet<String> = refused.collect();
    let now: BTreeSet<String> = offered.chain(refused.iter().cloned()).collect();
    for line in now.difference(told) {
        if refused.contains(line) {
            tracing::warn!("form pack refused: {line}");
        } else {
            tracing::info!("form pack {line}");
        }
    }
    for line in told.difference(&now) {
        tracing::info!("no longer so: form pack {line}");
    }
    *told = now;
}
