//! A mock of the insurer's rules engine: a short invented list of acts, public
//! arithmetic, and rules of the sandbox's own. It says nothing about what CNS
//! would answer.

mod acts;
mod tariff;

use crate::anomaly::{Anomaly, Rule};
use acts::{Act, CONSULTATIONS, Trait};
use rust_decimal::Decimal;
use std::borrow::Cow;
use time::Date;

/// From this age on a patient pays a share, in years.
const ADULT_YEARS: i32 = 18;

/// A line to be priced.
#[derive(Debug, Clone)]
pub struct Line<'a> {
    /// How the document names it.
    pub id: &'a str,
    /// Day of the act.
    pub day: Date,
    /// Whether its hour is told.
    pub has_hour: bool,
    /// Code of the act.
    pub act: &'a str,
    /// Suffixes, in order.
    pub suffixes: Vec<&'a str>,
    /// How often.
    pub count: u32,
    /// What is asked for the whole line, in euro.
    pub asked: Option<Decimal>,
}

/// What a line comes to, in euro with two decimals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Priced<'a> {
    /// How the document names it, or the engine a line it adds.
    pub id: Cow<'a, str>,
    /// Code of the act.
    pub act: &'a str,
    /// How often it is covered.
    pub count: u32,
    /// By the tariff.
    pub opposable: Decimal,
    /// Beyond the tariff; the patient pays it.
    pub non_opposable: Decimal,
    /// What the insurance pays of the opposable amount.
    pub statutory: Decimal,
    /// What the patient pays of the opposable amount.
    pub personal: Decimal,
}

impl Default for Priced<'_> {
    fn default() -> Self {
        let nothing = cents(Decimal::ZERO);
        Self {
            id: Cow::default(),
            act: "",
            count: 0,
            opposable: nothing,
            non_opposable: nothing,
            statutory: nothing,
            personal: nothing,
        }
    }
}

impl Priced<'_> {
    /// What the patient pays of the line in all.
    pub fn patient_pays(&self) -> Decimal {
        self.personal + self.non_opposable
    }
}

/// What the engine says.
#[derive(Debug, Default)]
pub struct Ruling<'a> {
    /// Lines, more than were given where an act brings a companion. One that
    /// breaks a rule has the count 0: the patient pays it.
    pub lines: Vec<Priced<'a>>,
    /// Remarks.
    pub anomalies: Vec<Anomaly>,
}

/// Prices `lines` for a patient (`None`: without matricule). `billed` is the
/// day of the mémoire.
pub fn price<'a>(matricule: Option<&str>, lines: &[Line<'a>], billed: Date) -> Ruling<'a> {
    let mut ruling = Ruling::default();
    for line in lines {
        let act = acts::find(line.act);
        let minor = matricule.is_some_and(|m| is_minor(m, line.day));
        let broken = match act {
            Some(act) => broken(act, line, lines, minor, billed),
            None => vec![Rule::ActUnknown],
        };
        let remarks = broken.iter().map(|rule| rule.anomaly(Some(line.id)));
        ruling.anomalies.extend(remarks);
        let Some(act) = act.filter(|_| broken.is_empty()) else {
            ruling.lines.push(uncovered(act, line));
            continue;
        };
        ruling.lines.push(priced(act, line, minor));
        if let Trait::Companion(code) = act.trait_of {
            ruling.lines.push(Priced {
                id: format!("SBX-{}", line.id).into(),
                act: code,
                count: line.count,
                ..Priced::default()
            });
        }
    }
    ruling
}

/// Whether the act is in the list.
pub fn knows(act: &str) -> bool {
    acts::find(act).is_some()
}

/// The rules a line breaks.
fn broken(act: &Act, line: &Line<'_>, all: &[Line<'_>], minor: bool, billed: Date) -> Vec<Rule> {
    let mut rules = Vec::new();
    if line.day > billed {
        rules.push(Rule::DayAfterBill);
    }
    let unknown = |letter: &&str| tariff::with_suffix(Decimal::ONE, letter).is_none();
    if line.suffixes.iter().any(unknown) {
        rules.push(Rule::SuffixUnknown);
    }
    let same_day = |other: &&Line<'_>| other.day == line.day;
    let beside_consultation = || {
        let mut others = all.iter().filter(same_day);
        others.any(|other| CONSULTATIONS.contains(&other.act))
    };
    let own = match act.trait_of {
        Trait::Until(year, month, day) if ymd(line.day) > (year, month, day) => Rule::ActEnded,
        Trait::NoSuffix if !line.suffixes.is_empty() => Rule::SuffixForbidden,
        Trait::Single if line.count > 1 => Rule::CountExceeded,
        Trait::Alone if beside_consultation() => Rule::NotTogether,
        Trait::Authorised => Rule::Authorisation,
        Trait::Minors if !minor => Rule::MinorsOnly,
        Trait::Timed if !line.has_hour => Rule::HourMissing,
        Trait::Plain
        | Trait::Until(..)
        | Trait::NoSuffix
        | Trait::Single
        | Trait::Alone
        | Trait::Minors
        | Trait::Timed
        | Trait::NonOpposable
        | Trait::Companion(_) => return rules,
    };
    rules.push(own);
    rules
}

/// A line that breaks a rule. Of an act that is not in the list only what is
/// asked is known.
fn uncovered<'a>(act: Option<&Act>, line: &Line<'a>) -> Priced<'a> {
    let by_tariff = || act.map_or(Decimal::ZERO, |act| by_tariff(act, line));
    Priced {
        id: line.id.into(),
        act: line.act,
        non_opposable: cents(line.asked.unwrap_or_else(by_tariff)),
        ..Priced::default()
    }
}

fn cents(mut amount: Decimal) -> Decimal {
    amount.rescale(2);
    amount
}

/// The tariff of the whole line.
fn by_tariff(act: &Act, line: &Line<'_>) -> Decimal {
    let plain = tariff::tariff(act.coefficient);
    let each = line.suffixes.iter().fold(plain, |tariff, letter| {
        tariff::with_suffix(tariff, letter).unwrap_or(tariff)
    });
    each * Decimal::from(line.count)
}

fn priced<'a>(act: &Act, line: &Line<'a>, minor: bool) -> Priced<'a> {
    let by_tariff = by_tariff(act, line);
    let (opposable, non_opposable) = match (act.trait_of == Trait::NonOpposable, line.asked) {
        (true, asked) => (Decimal::ZERO, asked.unwrap_or(by_tariff)),
        (false, Some(asked)) => (by_tariff, (asked - by_tariff).max(Decimal::ZERO)),
        (false, None) => (by_tariff, Decimal::ZERO),
    };
    let rate = if minor {
        tariff::RATE_MINOR
    } else {
        tariff::RATE_ADULT
    };
    let (statutory, personal) = tariff::shares(opposable, rate);
    Priced {
        id: line.id.into(),
        act: line.act,
        count: line.count,
        opposable: cents(opposable),
        non_opposable: cents(non_opposable),
        statutory: cents(statutory),
        personal: cents(personal),
    }
}

fn ymd(day: Date) -> (i32, u8, u8) {
    (day.year(), u8::from(day.month()), day.day())
}

/// Whether the holder of a matricule (`YYYYMMDD` and five digits, règlement
/// grand-ducal of 28 November 2013) was under 18 on `day`. An unknown month or
/// day is 00 there and counts as the first; an impossible one, as insurers'
/// test patients have, is compared as it stands.
fn is_minor(matricule: &str, day: Date) -> bool {
    let part = |range| {
        matricule
            .get(range)
            .and_then(|digits: &str| digits.parse().ok())
    };
    let birth = (part(0..4), part(4..6), part(6..8));
    let (Some(year), Some(month), Some(date)) = birth else {
        return false;
    };
    let (now_year, now_month, now_date) = ymd(day);
    (
        now_year - ADULT_YEARS,
        i32::from(now_month),
        i32::from(now_date),
    ) < (year, month, date)
}

#[cfg(test)]
mod tests;
