//! What the last real calls say about timestamp authorities and about this
//! machine's clock.

use super::{Trust, TrustError, TsaSettings};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;
use time::OffsetDateTime;

/// From which difference on this machine's clock is a fault of its own.
pub(super) const CLOCK_ALARM: time::Duration = time::Duration::minutes(5);

/// Longest pause of an authority that fails again and again.
const PAUSE_MAX: Duration = Duration::from_secs(3600);

/// How a timestamp authority does.
#[derive(Debug, Clone, Default)]
pub struct AuthorityHealth {
    /// Its configured name.
    pub name: String,
    /// Where it is asked.
    pub url: String,
    /// When it last gave a good timestamp.
    pub last_success: Option<OffsetDateTime>,
    /// How long that took, in milliseconds.
    pub last_millis: Option<u64>,
    /// When it last failed, and how.
    pub last_failure: Option<Failure>,
    /// Since when it has given no good timestamp, when it failed last.
    pub failing_since: Option<OffsetDateTime>,
    /// How often it has failed in a row.
    pub failures: u32,
    /// Until when others are asked before it, because it failed or was slow.
    pub paused_until: Option<OffsetDateTime>,
}

impl AuthorityHealth {
    /// Whether its last answer was no good timestamp.
    pub fn is_failing(&self) -> bool {
        self.failing_since.is_some()
    }

    /// How long it is asked last after a failure: twice as long after each.
    fn pause(&self, shortest: Duration) -> Duration {
        let doubled = shortest.saturating_mul(2_u32.saturating_pow(self.failures.clamp(1, 16) - 1));
        doubled.min(PAUSE_MAX.max(shortest))
    }

    fn is_apart(&self) -> bool {
        let last = self.last_failure.as_ref().map(|failure| failure.kind);
        self.is_failing() && last == Some(FailureKind::Apart)
    }
}

/// How a timestamp authority failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// When.
    pub at: OffsetDateTime,
    /// Of what kind.
    pub kind: FailureKind,
    /// One sentence.
    pub reason: String,
}

/// What a failure says of a timestamp authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// No answer, a refusal, or what is no timestamp.
    Down,
    /// A timestamp that is not to be trusted.
    Untrue,
    /// A good timestamp that this machine's clock contradicts.
    Apart,
}

impl FailureKind {
    pub(super) fn of(error: &TrustError) -> Self {
        match error {
            TrustError::Token { .. }
            | TrustError::Policy { .. }
            | TrustError::Inaccurate { .. }
            | TrustError::NotTrusted { .. }
            | TrustError::Algorithm { .. }
            | TrustError::NotValid { .. }
            | TrustError::Revoked { .. }
            | TrustError::Unknown { .. } => Self::Untrue,
            TrustError::ClockSkew { .. } => Self::Apart,
            TrustError::Setup(_)
            | TrustError::NoAnchors
            | TrustError::NoAuthority
            | TrustError::NotAsked { .. }
            | TrustError::Unreachable { .. }
            | TrustError::Answer { .. }
            | TrustError::Refused { .. }
            | TrustError::AllAuthorities { .. }
            | TrustError::Algorithms { .. }
            | TrustError::NotYetFresh { .. }
            | TrustError::NoEvidence { .. } => Self::Down,
        }
    }
}

/// The last comparison of this machine's clock with a signed time.
#[derive(Debug, Clone)]
pub struct ClockReading {
    /// When.
    pub at: OffsetDateTime,
    /// Signed time minus this machine's, in seconds; 0 when it lay between
    /// question and answer.
    pub offset_seconds: i64,
    /// Whose time: an authority's name, or an OCSP responder's address.
    pub source: String,
}

impl ClockReading {
    /// Whether the clocks are more than five minutes apart.
    pub fn is_fault(&self) -> bool {
        self.offset_seconds.unsigned_abs() > CLOCK_ALARM.whole_seconds().unsigned_abs()
    }
}

/// How trust services do, from real calls.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// In their configured order.
    pub authorities: Vec<AuthorityHealth>,
    /// The last comparison with a signed time.
    pub clock: Option<ClockReading>,
}

impl Health {
    pub(super) fn new(authorities: &[TsaSettings]) -> Self {
        let authorities = authorities.iter().map(|authority| AuthorityHealth {
            name: authority.name.clone(),
            url: authority.url.clone(),
            ..AuthorityHealth::default()
        });
        Self {
            authorities: authorities.collect(),
            clock: None,
        }
    }
}

impl Trust {
    /// How the trust services do, from the last real calls.
    pub fn health(&self) -> Health {
        self.health_now().clone()
    }

    fn health_now(&self) -> MutexGuard<'_, Health> {
        // Fields are only ever set whole: a panic elsewhere spoils none.
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Places of the authorities in the order to ask them: one that failed and whose
    /// pause is over, so that its fault ends although another stands in for it; those
    /// not paused as configured; the paused, the one whose pause ends first before
    /// others. One whose pause is over is paused again at once, so that of the
    /// documents under way one alone tries whether it is back.
    pub(super) fn authorities_in_turn(&self) -> Vec<usize> {
        let mut health = self.health_now();
        let shortest = self.settings.authority_pause;
        let paused = |a: &AuthorityHealth| {
            let until = a.paused_until;
            until.filter(|until| self.is_ahead(*until, a.pause(shortest)))
        };
        let over = |a: &AuthorityHealth| a.is_failing() && paused(a).is_none();
        let tried = health.authorities.iter().position(over);
        let mut order: Vec<usize> = (0..health.authorities.len()).collect();
        order.sort_by_key(|n| {
            let authority = health.authorities.get(*n);
            (Some(*n) != tried, authority.map(|a| (paused(a), over(a))))
        });
        let first = order.first().and_then(|n| health.authorities.get_mut(*n));
        if let Some(first) = first.filter(|a| a.paused_until.is_some()) {
            first.paused_until = Some(self.clock.now() + first.pause(shortest));
        }
        order
    }

    /// Whether the end of a pause is still to come. One that is further away than a
    /// pause is long was written down by a clock that has been set back since.
    pub(super) fn is_ahead(&self, until: OffsetDateTime, pause: Duration) -> bool {
        let now = self.clock.now();
        now < until && until <= now + pause
    }

    /// Writes down how asking an authority went.
    pub(super) fn note_authority(
        &self,
        place: usize,
        took: Duration,
        failure: Option<(FailureKind, String)>,
    ) {
        let now = self.clock.now();
        let mut health = self.health_now();
        let Some(authority) = health.authorities.get_mut(place) else {
            return;
        };
        authority.failures = match failure {
            Some(_) => authority.failures.saturating_add(1),
            None => 0,
        };
        let pause = failure.is_some() || took >= self.settings.authority_slow;
        let length = authority.pause(self.settings.authority_pause);
        authority.paused_until = pause.then(|| now + length);
        match failure {
            Some((kind, reason)) => {
                tracing::debug!(authority = %authority.name, "timestamp authority failed: {reason}");
                authority.failing_since.get_or_insert(now);
                authority.last_failure = Some(Failure {
                    at: now,
                    kind,
                    reason,
                });
            }
            None => {
                let was_apart = authority.is_apart();
                authority.failing_since = None;
                authority.last_success = Some(now);
                authority.last_millis = u64::try_from(took.as_millis()).ok();
                if was_apart {
                    // It was this machine's clock, for the others too.
                    for other in health.authorities.iter_mut().filter(|a| a.is_apart()) {
                        (other.failing_since, other.paused_until) = (None, None);
                        other.failures = 0;
                    }
                }
            }
        }
    }

    /// Writes down by how much a signed time and this machine's differ.
    pub(super) fn note_clock(&self, source: &str, offset: time::Duration) {
        let reading = ClockReading {
            at: self.clock.now(),
            offset_seconds: offset.whole_seconds(),
            source: source.to_owned(),
        };
        self.health_now().clock = Some(reading);
    }
}
