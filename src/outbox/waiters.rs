//! Callers that wait for the end of a submission. Each holds a slot and no
//! thread; those beyond the limits, of all programs and of each, do not wait.

use super::Outbox;
use crate::base::{Uuid4, limits};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot::{Receiver, Sender, channel};

#[derive(Default)]
pub(super) struct Waiters {
    waiting: Mutex<Vec<Waiter>>,
}

struct Waiter {
    uuid: Uuid4,
    program: String,
    end: Sender<()>,
}

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, Vec<Waiter>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends every wait for `uuid`.
    pub(super) fn end(&self, uuid: Uuid4) {
        let mut waiting = self.lock();
        for waiter in waiting.extract_if(.., |waiter| waiter.uuid == uuid) {
            // One that has gone away needs no news.
            let _ = waiter.end.send(());
        }
    }
}

impl Outbox {
    /// Something that ends when the submission gets its final state, or when
    /// the service stops; to be had before the last look at the submission.
    /// `None` when too many of this program, or of all, wait already. Dropping it
    /// gives the slot back.
    pub fn ending(&self, program: &str, uuid: Uuid4) -> Option<Receiver<()>> {
        let mut waiting = self.waiters.lock();
        waiting.retain(|waiter| !waiter.end.is_closed());
        let of_program = waiting.iter().filter(|waiter| waiter.program == program);
        if of_program.count() >= limits::WAITERS_PROGRAM_MAX || waiting.len() >= limits::WAITERS_MAX
        {
            return None;
        }
        let (end, receiver) = channel();
        let program = program.to_owned();
        waiting.push(Waiter { uuid, program, end });
        Some(receiver)
    }

    /// Ends every wait and tells who follows: the service stops.
    pub fn end_waits(&self) {
        self.followers.end();
        self.waiters.lock().clear();
    }
}
