//! The comfort signature: how far one PIN entry of a person goes. Modelled on
//! gematik's Komfortsignatur: ended by a count, by time, by removal, by a
//! command; never prolonged.

use super::SessionLimits;
use crate::base::clock::Clock;
use crate::token::PinSession;
use std::sync::Arc;
use std::time::Instant;
use time::OffsetDateTime;

/// What is left of one PIN entry.
pub(super) struct Budget {
    clock: Arc<dyn Clock>,
    signatures: Option<u32>,
    ends: Option<End>,
}

/// On two clocks: the monotonic one stands still while the machine sleeps, the
/// wall clock may be set back. Whichever comes first ends the session.
struct End {
    ticks: Option<Instant>,
    time: OffsetDateTime,
}

impl Budget {
    /// Begins with the login.
    pub(super) fn begin(limits: SessionLimits, clock: &Arc<dyn Clock>) -> Self {
        let ends = limits.time.map(|time| End {
            ticks: Instant::now().checked_add(time),
            time: clock
                .now()
                .saturating_add(time::Duration::try_from(time).unwrap_or(time::Duration::MAX)),
        });
        Self {
            clock: Arc::clone(clock),
            signatures: limits.signatures.map(Into::into),
            ends,
        }
    }

    /// Takes one use of the key, before it is asked for: a try that breaks off
    /// may have been one.
    pub(super) fn spend(&mut self) {
        self.signatures = self.signatures.map(|left| left.saturating_sub(1));
    }

    /// Why the session is over, if it is.
    pub(super) fn over(&self) -> Option<&'static str> {
        let late = |end: &End| {
            end.ticks.is_some_and(|ticks| Instant::now() >= ticks) || self.clock.now() >= end.time
        };
        match (self.signatures, &self.ends) {
            (Some(0), _) => Some("its signatures are used up"),
            (_, Some(end)) if late(end) => Some("its time is up"),
            _ => None,
        }
    }

    pub(super) fn left(&self) -> PinSession {
        PinSession {
            signatures_left: self.signatures,
            ends: self.ends.as_ref().map(|end| end.time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;
    use std::sync::Mutex;
    use std::time::Duration;
    use time::macros::datetime;

    const START: OffsetDateTime = datetime!(2026-01-01 8:00 UTC);

    struct Movable(Mutex<OffsetDateTime>);

    impl Clock for Movable {
        fn now(&self) -> OffsetDateTime {
            *self.0.lock().unwrap()
        }
    }

    fn limits(signatures: u32, minutes: u64) -> SessionLimits {
        SessionLimits {
            signatures: NonZeroU32::new(signatures),
            time: (minutes > 0).then(|| Duration::from_secs(60 * minutes)),
        }
    }

    #[test]
    fn a_session_ends_by_count_or_by_time_and_not_before() {
        let clock = Arc::new(Movable(Mutex::new(START)));
        let shared: Arc<dyn Clock> = clock.clone();
        let set = |minutes| *clock.0.lock().unwrap() = START + time::Duration::minutes(minutes);

        let mut both = Budget::begin(limits(2, 10), &shared);
        let left = |signatures_left, ends| PinSession {
            signatures_left,
            ends,
        };
        let end = Some(START + time::Duration::minutes(10));
        assert_eq!((both.over(), both.left()), (None, left(Some(2), end)));
        both.spend();
        assert_eq!((both.over(), both.left()), (None, left(Some(1), end)));
        both.spend();
        both.spend();
        assert_eq!(both.left(), left(Some(0), end));
        assert_eq!(both.over(), Some("its signatures are used up"));

        let timed = Budget::begin(limits(0, 10), &shared);
        set(9);
        assert_eq!(timed.over(), None);
        set(10);
        assert_eq!(timed.over(), Some("its time is up"));

        let mut endless = Budget::begin(limits(0, 0), &shared);
        endless.spend();
        set(1_000_000);
        assert_eq!((endless.over(), endless.left()), (None, left(None, None)));
    }

    #[test]
    fn a_clock_that_is_set_back_prolongs_nothing() {
        let clock = Arc::new(Movable(Mutex::new(START)));
        let shared: Arc<dyn Clock> = clock.clone();
        let moment = SessionLimits {
            signatures: None,
            time: Some(Duration::from_nanos(1)),
        };
        let session = Budget::begin(moment, &shared);
        *clock.0.lock().unwrap() = START - time::Duration::days(1);
        std::thread::sleep(Duration::from_millis(1));
        assert_eq!(session.over(), Some("its time is up"));
    }
}
