//! When a form may be sent, by the civil day of Luxembourg.

use super::{EnvironmentKind, Pack};
use time::{Date, Duration, Month, OffsetDateTime, UtcOffset, Weekday};

/// A time in which a form or some of its operations may be sent.
#[derive(Debug, Clone)]
pub(super) struct Period {
    /// Kinds of environment it is about; empty: all.
    pub environments: Vec<EnvironmentKind>,
    /// Operations it is about; empty: all.
    pub operations: Vec<String>,
    /// First day.
    pub from: Option<Date>,
    /// Last day.
    pub until: Option<Date>,
    /// The rule behind it.
    pub rule: Option<String>,
}

/// Why an operation may not be sent on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The rule behind it, such as `DSR 6`.
    pub rule: Option<String>,
    /// First day it is allowed.
    pub from: Option<Date>,
    /// Last day it is allowed.
    pub until: Option<Date>,
}

impl Pack {
    /// Whether an operation may be sent to such an environment on a day: every
    /// period that is about it must contain the day.
    ///
    /// # Errors
    /// [`Closed`], the first period that does not.
    pub fn allowed(&self, operation: &str, kind: EnvironmentKind, day: Date) -> Result<(), Closed> {
        let applies = |period: &&Period| {
            let environments = &period.environments;
            let operations = &period.operations;
            (environments.is_empty() || environments.contains(&kind))
                && (operations.is_empty() || operations.iter().any(|name| name == operation))
        };
        let shut = self.periods.iter().filter(applies).find(|period| {
            period.from.is_some_and(|from| day < from)
                || period.until.is_some_and(|until| day > until)
        });
        shut.map_or(Ok(()), |period| {
            Err(Closed {
                rule: period.rule.clone(),
                from: period.from,
                until: period.until,
            })
        })
    }
}

/// The civil day in Luxembourg: UTC+1, and UTC+2 from the last Sunday of March,
/// 01:00 UTC, to the last Sunday of October, 01:00 UTC (Directive 2000/84/EC).
pub fn luxembourg_day(at: OffsetDateTime) -> Date {
    let utc = at.to_offset(UtcOffset::UTC);
    let change = |month| last_sunday(utc.year(), month).map(|day| day.with_hms(1, 0, 0));
    let is_summer = match (change(Month::March), change(Month::October)) {
        (Some(Ok(start)), Some(Ok(end))) => utc >= start.assume_utc() && utc < end.assume_utc(),
        _ => false,
    };
    let ahead = Duration::hours(if is_summer { 2 } else { 1 });
    utc.checked_add(ahead).unwrap_or(utc).date()
}

/// Both months have 31 days.
fn last_sunday(year: i32, month: Month) -> Option<Date> {
    let mut day = Date::from_calendar_date(year, month, 31).ok()?;
    while day.weekday() != Weekday::Sunday {
        day = day.previous_day()?;
    }
    Some(day)
}

#[cfg(test)]
mod tests {
    use super::luxembourg_day;
    use time::macros::{date, datetime};

    #[test]
    fn the_day_changes_at_midnight_in_luxembourg() {
        for (at, day) in [
            (datetime!(2026-01-04 22:59:59 UTC), date!(2026 - 01 - 04)),
            (datetime!(2026-01-04 23:00:00 UTC), date!(2026 - 01 - 05)),
            (datetime!(2026-07-01 21:59:59 UTC), date!(2026 - 07 - 01)),
            (datetime!(2026-07-01 22:00:00 UTC), date!(2026 - 07 - 02)),
            // The nights before and after the clocks change.
            (datetime!(2026-03-28 22:30:00 UTC), date!(2026 - 03 - 28)),
            (datetime!(2026-03-29 22:30:00 UTC), date!(2026 - 03 - 30)),
            (datetime!(2026-10-24 22:30:00 UTC), date!(2026 - 10 - 25)),
            (datetime!(2026-10-25 22:30:00 UTC), date!(2026 - 10 - 25)),
            (datetime!(2026-07-01 23:59:59 +02:00), date!(2026 - 07 - 01)),
            (datetime!(9999-12-31 23:30:00 UTC), date!(9999 - 12 - 31)),
        ] {
            assert_eq!(luxembourg_day(at), day, "{at}");
        }
    }
}
