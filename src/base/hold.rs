//! Points at which a test can take the program over.
//!
//! With `SCEAU_HOLD_AT=<point>=<file>` a debug build that reaches `<point>`
//! creates `<file>` and then waits to be killed.
//!
//! In a simulation the threads of a debug build are led by a [`Conductor`],
//! which decides at each point which of them goes on, and plays time and
//! chance. Release builds hold nowhere, and nobody leads them.

use super::random;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[cfg(debug_assertions)]
pub use led::{Conductor, lead};

/// A defect that a simulation can plant, to see whether it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// What may have arrived is sent again without a question.
    BlindResend,
    /// A commit is left to the next transaction.
    AckBeforeCommit,
    /// A claim whose holder hangs is never given to another.
    LeaseWithoutExpiry,
    /// What changed between a worker's look and its nap wakes nobody.
    LostWakeUp,
    /// Without a timestamp a document goes on as it is.
    Downgrade,
}

impl Defect {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::BlindResend,
        Self::AckBeforeCommit,
        Self::LeaseWithoutExpiry,
        Self::LostWakeUp,
        Self::Downgrade,
    ];

    /// Whether a simulation has planted it in this thread.
    pub fn is_planted(self) -> bool {
        #[cfg(debug_assertions)]
        return led::conductor().is_some_and(|conductor| conductor.planted() == Some(self));
        #[cfg(not(debug_assertions))]
        false
    }
}

/// Waits for ever when a test asked for this point; returns at once otherwise.
/// No lock may be held here: another thread may go on first.
#[cfg(debug_assertions)]
pub fn point(name: &'static str) {
    if let Some(conductor) = led::conductor() {
        return conductor.reached(name);
    }
    let Some(wanted) = std::env::var_os("SCEAU_HOLD_AT") else {
        return;
    };
    let wanted = wanted.to_string_lossy();
    let Some((point, marker)) = wanted.split_once('=') else {
        return;
    };
    if point == name && std::fs::write(marker, name).is_ok() {
        loop {
            std::thread::park();
        }
    }
}

/// Release builds hold nowhere.
#[cfg(not(debug_assertions))]
pub fn point(_name: &'static str) {}

/// Sleeps.
pub fn sleep(pause: Duration) {
    #[cfg(debug_assertions)]
    if let Some(conductor) = led::conductor() {
        return conductor.sleep(pause);
    }
    std::thread::sleep(pause);
}

/// A duration drawn evenly from zero to `limit` ("full jitter").
pub fn jitter(limit: Duration) -> Duration {
    #[cfg(debug_assertions)]
    if let Some(conductor) = led::conductor() {
        return limit.mul_f64(conductor.draw());
    }
    random::jitter(limit)
}

/// A bell that counts its rings, so that none is missed by who looks elsewhere.
#[derive(Debug, Default)]
pub struct Bell {
    rings: Mutex<u64>,
    wake: Condvar,
}

impl Bell {
    /// Wakes everybody who waits.
    pub fn ring(&self) {
        *self.lock() += 1;
        self.wake.notify_all();
        #[cfg(debug_assertions)]
        if let Some(conductor) = led::conductor() {
            conductor.wake();
        }
    }

    /// How often it rang.
    pub fn rings(&self) -> u64 {
        *self.lock()
    }

    /// Waits until it has rung more often than `seen`, at most `limit`; returns
    /// how often it rang.
    pub fn wait(&self, seen: u64, limit: Duration) -> u64 {
        #[cfg(debug_assertions)]
        if let Some(conductor) = led::conductor() {
            let mut left = limit;
            while self.rings() == seen {
                match conductor.wait(left) {
                    Some(rest) => left = rest,
                    None => break,
                }
            }
            return self.rings();
        }
        let rung = self
            .wake
            .wait_timeout_while(self.lock(), limit, |rings| *rings == seen);
        *rung.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(debug_assertions)]
mod led {
    use super::Defect;
    use std::cell::RefCell;
    use std::sync::Arc;
    use std::time::Duration;

    /// Who leads the threads of a simulation. Each call may let others go on
    /// first, or unwind when the simulated process dies.
    pub trait Conductor: Send + Sync {
        /// A thread has reached a point.
        fn reached(&self, point: &'static str);
        /// A thread sleeps.
        fn sleep(&self, pause: Duration);
        /// A thread waits to be woken, at most `limit`: what is left of it, or
        /// `None` when it has passed.
        fn wait(&self, limit: Duration) -> Option<Duration>;
        /// Whoever waits is woken.
        fn wake(&self);
        /// A number from 0 to 1.
        fn draw(&self) -> f64;
        /// The defect that is planted.
        fn planted(&self) -> Option<Defect>;
    }

    thread_local! {
        static CONDUCTOR: RefCell<Option<Arc<dyn Conductor>>> = const { RefCell::new(None) };
    }

    /// Puts this thread under a conductor, or under none.
    pub fn lead(conductor: Option<Arc<dyn Conductor>>) {
        CONDUCTOR.set(conductor);
    }

    pub(super) fn conductor() -> Option<Arc<dyn Conductor>> {
        CONDUCTOR.with_borrow(Clone::clone)
    }
}
