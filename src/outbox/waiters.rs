//! Callers that wait for the end of a submission. Each holds a slot and no
//! thread; those beyond the limit do not wait.

use super::Outbox;
use crate::base::{Uuid4, limits};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot::{Receiver, Sender, channel};

#[derive(Default)]
pub(super) struct Waiters {
    waiting: Mutex<Vec<(Uuid4, Sender<()>)>>,
}

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, Vec<(Uuid4, Sender<()>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends every wait for `uuid`.
    pub(super) fn end(&self, uuid: Uuid4) {
        let mut waiting = self.lock();
        for (_, sender) in waiting.extract_if(.., |(waited, _)| *waited == uuid) {
            // One that has gone away needs no news.
            let _ = sender.send(());
        }
    }
}

impl Outbox {
    /// Something that ends when the submission gets its final state, or when
    /// the service stops; to be had before the last look at the submission.
    /// `None` when too many wait already. Dropping it gives the slot back.
    pub fn ending(&self, uuid: Uuid4) -> Option<Receiver<()>> {
        let mut waiting = self.waiters.lock();
        waiting.retain(|(_, sender)| !sender.is_closed());
        if waiting.len() >= limits::WAITERS_MAX {
            return None;
        }
        let (sender, receiver) = channel();
        waiting.push((uuid, sender));
        Some(receiver)
    }

    /// Ends every wait and tells who follows: the service stops.
    pub fn end_waits(&self) {
        self.followers.end();
        self.waiters.lock().clear();
    }
}
