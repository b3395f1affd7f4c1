//! The only home of the wall clock.

use std::sync::Arc;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcDateTime};

/// Wall-clock time as a seam, so that validity and retry rules can be tested.
pub trait Clock: Send + Sync {
    /// The present time, in UTC.
    fn now(&self) -> OffsetDateTime;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the wall clock"
    )]
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }
}

impl SystemClock {
    /// A shared system clock.
    pub fn shared() -> Arc<dyn Clock> {
        Arc::new(Self)
    }
}

/// A clock that stands still; for tests and for "as if at" evaluation.
#[derive(Debug, Clone, Copy)]
pub struct FixedClock(pub OffsetDateTime);

impl Clock for FixedClock {
    fn now(&self) -> OffsetDateTime {
        self.0
    }
}

/// Formats a time as RFC 3339 in UTC with whole milliseconds.
pub fn rfc3339(at: OffsetDateTime) -> String {
    // At the ends of the calendar its own offset is the only one that fits.
    let at = at.checked_to_offset(time::UtcOffset::UTC).unwrap_or(at);
    let at = at
        .replace_nanosecond(at.millisecond() as u32 * 1_000_000)
        .unwrap_or(at);
    at.format(&Rfc3339).unwrap_or_default()
}

/// Formats a time as RFC 3339 in UTC with whole seconds: the form XML
/// signatures and SAML use (`xs:dateTime`).
pub fn rfc3339_seconds(at: OffsetDateTime) -> String {
    rfc3339(at.replace_nanosecond(0).unwrap_or(at))
}

/// Reads an RFC 3339 time with any offset; in UTC, as [`in_utc`] allows.
pub fn parse_rfc3339(text: &str) -> Option<OffsetDateTime> {
    in_utc(OffsetDateTime::parse(text.trim(), &Rfc3339).ok()?)
}

/// A time from outside in UTC, when its year there is 0 to 9999: no other can be
/// written down.
pub fn in_utc(at: OffsetDateTime) -> Option<OffsetDateTime> {
    let at = at.checked_to_offset(time::UtcOffset::UTC)?;
    (0..=9999).contains(&at.year()).then_some(at)
}

/// Milliseconds since 1970, the form in which times are stored.
pub fn unix_ms(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

/// The inverse of [`unix_ms`]; out-of-range values become the epoch.
pub fn from_unix_ms(ms: i64) -> OffsetDateTime {
    UtcDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
        .map(Into::into)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_at_the_ends_of_the_calendar_are_refused_and_never_a_panic() {
        for text in ["9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00+00:01"] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
        let last = parse_rfc3339("9999-12-31T23:59:59+00:00").unwrap();
        assert_eq!(rfc3339(last), "9999-12-31T23:59:59Z");
        assert!(parse_rfc3339("0000-01-01T00:00:00Z").is_some());
        let beyond = OffsetDateTime::parse("9999-12-31T23:59:59-23:59", &Rfc3339).unwrap();
        assert_eq!(rfc3339_seconds(beyond), "9999-12-31T23:59:59-23:59");
    }
}
