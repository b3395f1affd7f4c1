//! How much one paired program may ask for: a token bucket each, and a share of
//! the connections, so that one that runs wild leaves the others what they need.

use super::problem::{Problem, TOO_MANY_REQUESTS, TOO_MANY_STREAMS};
use crate::base::limits;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What one program may ask for.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Requests a second for long; at least one.
    pub per_second: f64,
    /// Requests at once after a rest.
    pub burst: f64,
}

/// The paired programs that have asked since the start, by name.
pub struct Programs {
    rate: Rate,
    known: Mutex<HashMap<String, Program>>,
}

struct Program {
    /// Requests it may make at `seen`; below zero after a large batch.
    left: f64,
    seen: Instant,
    under_way: usize,
    streams: usize,
}

/// A request under way or an open stream; ends when dropped.
pub(super) struct Pass {
    programs: Arc<Programs>,
    name: String,
    counted: fn(&mut Program) -> &mut usize,
}

impl Programs {
    /// All with the same rate.
    pub fn new(rate: Rate) -> Arc<Self> {
        let known = Mutex::default();
        Arc::new(Self { rate, known })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Program>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets one request of the program `name` begin.
    pub(super) fn admit(self: &Arc<Self>, name: &str, now: Instant) -> Result<Pass, Problem> {
        let mut known = self.lock();
        let program = known.entry(name.to_owned()).or_insert(Program {
            left: self.rate.burst,
            seen: now,
            under_way: 0,
            streams: 0,
        });
        let rested = now.saturating_duration_since(program.seen).as_secs_f64();
        program.left = (program.left + rested * self.rate.per_second).min(self.rate.burst);
        program.seen = now;
        if program.left < 1.0 {
            return Err(self.too_many(program.left));
        }
        if program.under_way >= limits::PROGRAM_REQUESTS_MAX {
            let text = format!("{} requests are under way.", program.under_way);
            return Err(Problem::new(&TOO_MANY_REQUESTS, text));
        }
        program.left -= 1.0;
        program.under_way += 1;
        Ok(self.pass(name, |program| &mut program.under_way))
    }

    /// Lets a program that was admitted open one stream more.
    pub(super) fn follow(self: &Arc<Self>, name: &str) -> Result<Pass, Problem> {
        let mut known = self.lock();
        if let Some(program) = known.get_mut(name) {
            if program.streams >= limits::EVENT_STREAMS_PROGRAM_MAX {
                let text = format!("{} streams of this program are open.", program.streams);
                return Err(Problem::new(&TOO_MANY_STREAMS, text));
            }
            program.streams += 1;
        }
        Ok(self.pass(name, |program| &mut program.streams))
    }

    fn pass(self: &Arc<Self>, name: &str, counted: fn(&mut Program) -> &mut usize) -> Pass {
        Pass {
            programs: self.clone(),
            name: name.to_owned(),
            counted,
        }
    }

    /// Counts `more` requests that came inside of one, unless others that came
    /// beside it have used up more than the share: one batch alone is never too
    /// large.
    pub(super) fn charge(&self, name: &str, more: usize) -> Result<(), Problem> {
        if let Some(program) = self.lock().get_mut(name) {
            if program.left < 0.0 {
                return Err(self.too_many(program.left));
            }
            program.left -= more as f64;
        }
        Ok(())
    }

    fn too_many(&self, left: f64) -> Problem {
        let seconds = ((1.0 - left) / self.rate.per_second).ceil().max(1.0);
        let text = format!("More than {} requests a second.", self.rate.per_second);
        Problem::new(&TOO_MANY_REQUESTS, text).retry_after(seconds as u64)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(program) = self.programs.lock().get_mut(&self.name) {
            let count = (self.counted)(program);
            *count = count.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn one_that_asks_too_much_waits_and_another_does_not() {
        let (per_second, burst) = (2.0, 4.0);
        let programs = Programs::new(Rate { per_second, burst });
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let asks = |name: &str, ms| programs.admit(name, after(ms)).map(drop);
        let refused = |ms| asks("wild", ms).unwrap_err();
        for _ in 0..4 {
            asks("wild", 0).unwrap();
        }
        let problem = refused(0);
        assert_eq!(problem.kind.code, "too-many-requests");
        assert_eq!(problem.retry_after, Some(1));
        asks("calm", 0).unwrap();
        refused(400);
        asks("wild", 500).unwrap();
        refused(600);
        // A batch counts as many as it holds; the debt is paid first.
        programs.charge("wild", 9).unwrap();
        assert_eq!(refused(1000).retry_after, Some(5));
        // Nor does one that came beside it take more.
        let refused = programs.charge("wild", 1).unwrap_err();
        assert_eq!(refused.retry_after, Some(5));
        let refused = |ms| asks("wild", ms).unwrap_err();
        asks("wild", 6000).unwrap();
        // A rest fills the bucket and no more.
        for _ in 0..4 {
            asks("wild", 3_600_000).unwrap();
        }
        refused(3_600_000);
    }

    #[test]
    fn one_program_holds_at_most_its_share_of_requests() {
        let (per_second, burst) = (1000.0, 1000.0);
        let programs = Programs::new(Rate { per_second, burst });
        let now = Instant::now();
        let admit = |name: &str| programs.admit(name, now);
        let mut held: Vec<Pass> = Vec::new();
        for _ in 0..limits::PROGRAM_REQUESTS_MAX {
            held.push(admit("wild").unwrap_or_else(|_| panic!("there is room")));
        }
        assert!(admit("wild").is_err());
        assert!(admit("calm").is_ok());
        held.pop();
        assert!(admit("wild").is_ok());
    }
}
