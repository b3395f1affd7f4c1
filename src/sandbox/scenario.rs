//! Faults on demand: each rule makes the next `count` requests at one point go
//! wrong in one way, or all of them for `seconds`. A scenario is a named list
//! of rules, written as TOML or JSON.

use crate::soap;
use sceau::base::{Clock, SystemClock};
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use time::OffsetDateTime;

/// Most rules that may wait at once.
const RULES_MAX: usize = 1000;
/// Longest delay, in milliseconds.
const DELAY_MS_MAX: u64 = 600_000;
/// Longest time a rule may hold, in seconds.
const SECONDS_MAX: u64 = 86_400;

/// Where a rule applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Point {
    /// Timestamp requests.
    Tsa,
    /// OCSP requests.
    Ocsp,
    /// Revocation lists.
    Crl,
    /// Authentication at the identity provider.
    Identity,
    /// Token requests.
    Token,
    /// Requests with a document: deposits, simulations, cancellations, ...
    Exchange,
    /// Questions what became of a document.
    Status,
    /// Every call of the dialogue.
    Maintenance,
    /// The account of a practitioner, at token and exchange.
    Account,
    /// The patient's consent, at the deposit of a mémoire.
    Consent,
    /// The rules engine, at a deposit of a mémoire and a simulation.
    RulesEngine,
    /// Received documents as time goes by.
    Documents,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Nothing but the delay.
    Delay,
    /// A well-formed refusal; `code` says which.
    Refuse,
    /// HTTP 503, or for SOAP the fault UNAVAILABLE.
    Unavailable,
    /// The connection is closed; nothing has happened.
    DropBeforeAccept,
    /// It happens, durably; then the connection is closed without an answer.
    DropAfterAccept,
    /// It happens, durably; the answer is DUPLICATE_UUID.
    Duplicate,
    /// The answer's signature is wrong.
    BadAnswerSignature,
    /// The answer is old: an hour for timestamps, two days for revocation.
    Stale,
    /// The timestamp carries another nonce.
    WrongNonce,
    /// The timestamp is over another imprint.
    WrongImprint,
    /// The answer is signed with a certificate that has ended.
    ExpiredCertificate,
    /// Each document takes its next status `delay_ms` after its last.
    Advance,
}

/// A rule as set through `/control/scenario`, or a step of a scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Where.
    pub point: Point,
    /// What.
    pub action: Fault,
    /// How many requests it takes; 1 when neither this nor `seconds` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// How long it holds, from when it is the first at its point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// Delay before anything happens, in milliseconds.
    #[serde(default)]
    pub delay_ms: u64,
    /// For [`Fault::Refuse`]: the fault, or anomaly codes parted by blanks.
    #[serde(default)]
    pub code: Option<String>,
    /// Whom it concerns: at [`Point::Account`] a code prestataire, at
    /// [`Point::Consent`] a matricule. Everybody when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
}

/// A scenario as a developer writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name, such as `maintenance`.
    pub name: String,
    /// What happens, in a sentence or two.
    pub description: String,
    /// The rules, in order.
    #[serde(rename = "step")]
    pub steps: Vec<Rule>,
}

/// The scenarios compiled into the program.
const BUILT_IN: [&str; 9] = [
    include_str!("scenarios/account-blocked.toml"),
    include_str!("scenarios/answer-lost-after-accept.toml"),
    include_str!("scenarios/consent-missing.toml"),
    include_str!("scenarios/documents-advance.toml"),
    include_str!("scenarios/maintenance.toml"),
    include_str!("scenarios/refused-with-anomalies.toml"),
    include_str!("scenarios/rules-engine-down-5-minutes.toml"),
    include_str!("scenarios/slow-insurer.toml"),
    include_str!("scenarios/timestamp-down.toml"),
];

impl Scenario {
    /// Reads a scenario: JSON when it begins with `{`, else TOML.
    ///
    /// # Errors
    /// [`ScenarioError::Json`], [`ScenarioError::Toml`].
    pub fn read(file: &[u8]) -> Result<Self, ScenarioError> {
        if file.trim_ascii_start().starts_with(b"{") {
            return serde_json::from_slice(file).map_err(ScenarioError::Json);
        }
        toml::from_slice(file).map_err(|e| ScenarioError::Toml(e.message().to_owned()))
    }

    /// The built-in scenarios, by name.
    pub fn built_in() -> impl Iterator<Item = Self> {
        BUILT_IN.iter().filter_map(|text| toml::from_str(text).ok())
    }
}

/// A rule or scenario that makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// Not JSON of a scenario.
    #[error("the scenario is not right: {0}")]
    Json(serde_json::Error),
    /// Not TOML of a scenario.
    #[error("the scenario is not right: {0}")]
    Toml(String),
    /// A scenario without steps.
    #[error("a scenario needs a step")]
    Empty,
    /// A step is wrong; nothing of the scenario is played.
    #[error("step {number}: {fault}")]
    Step {
        /// Its number, from 1.
        number: usize,
        /// What is wrong with it.
        fault: RuleError,
    },
    /// Too many rules wait.
    #[error("at most {RULES_MAX} rules can wait")]
    TooMany,
}

/// What is wrong with a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// `count` or `seconds` is zero or too large.
    #[error("count and seconds must be at least 1, seconds at most {SECONDS_MAX}")]
    Length,
    /// Both `count` and `seconds`.
    #[error("a rule has a count or seconds, not both")]
    Both,
    /// The delay is too long.
    #[error("delay_ms must be at most {DELAY_MS_MAX}")]
    Delay,
    /// A question can only be refused by a fault.
    #[error("code must name a fault")]
    Code,
    /// The point cannot fail in this way.
    #[error("this action does not exist at this point")]
    Impossible,
    /// The rule names somebody where everybody is concerned.
    #[error("`who` belongs to the points account and consent")]
    Who,
}

/// What a request has to suffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blow {
    /// What goes wrong.
    pub fault: Fault,
    /// See [`Rule::code`].
    pub code: Option<String>,
}

/// A rule that waits.
#[derive(Debug)]
struct Waiting {
    rule: Rule,
    /// When it came to be the first at its point, or was set.
    since: OffsetDateTime,
}

impl Waiting {
    /// When it ends by itself.
    fn ends(&self) -> Option<OffsetDateTime> {
        let seconds = i64::try_from(self.rule.seconds?).ok()?;
        self.since.checked_add(time::Duration::seconds(seconds))
    }
}

/// The rules that wait.
#[derive(Debug, Default)]
pub struct Scenarios(Mutex<Vec<Waiting>>);

impl Scenarios {
    /// Adds the rules of a scenario behind the others: all, or none.
    ///
    /// # Errors
    /// [`ScenarioError`] for a rule that makes no sense.
    pub fn play(&self, steps: &[Rule]) -> Result<(), ScenarioError> {
        if steps.is_empty() {
            return Err(ScenarioError::Empty);
        }
        for (index, rule) in steps.iter().enumerate() {
            let number = index + 1;
            check(rule).map_err(|fault| ScenarioError::Step { number, fault })?;
        }
        self.add(steps, SystemClock.now())
    }

    fn add(&self, steps: &[Rule], now: OffsetDateTime) -> Result<(), ScenarioError> {
        let mut rules = self.current(now);
        if rules.len() + steps.len() > RULES_MAX {
            return Err(ScenarioError::TooMany);
        }
        rules.extend(steps.iter().map(|rule| {
            let mut rule = rule.clone();
            if rule.seconds.is_none() {
                rule.count.get_or_insert(1);
            }
            Waiting { rule, since: now }
        }));
        Ok(())
    }

    /// Forgets all rules.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// The rules that wait, with what is left of their count.
    pub fn list(&self) -> Vec<Rule> {
        let rules = self.current(SystemClock.now());
        rules.iter().map(|w| w.rule.clone()).collect()
    }

    /// Takes one use of the first rule for `point`, waits its delay and says
    /// what is to go wrong. Blocks; call it from a worker thread.
    pub fn strike(&self, point: Point) -> Option<Blow> {
        self.strike_for(point, None)
    }

    /// The same where a rule may name `who` it concerns.
    pub fn strike_for(&self, point: Point, who: Option<&str>) -> Option<Blow> {
        let rule = self.take(point, who, SystemClock.now())?;
        std::thread::sleep(Duration::from_millis(rule.delay_ms));
        Some(Blow {
            fault: rule.action,
            code: rule.code,
        })
    }

    /// How long documents rest in a status, while a rule lets them advance.
    pub fn pace(&self) -> Option<time::Duration> {
        let rules = self.current(SystemClock.now());
        let found = rules.iter().find(|w| w.rule.point == Point::Documents)?;
        Some(time::Duration::milliseconds(
            i64::try_from(found.rule.delay_ms).ok()?,
        ))
    }

    fn take(&self, point: Point, who: Option<&str>, now: OffsetDateTime) -> Option<Rule> {
        let mut rules = self.current(now);
        let concerned = |rule: &Rule| {
            let named = rule.who.as_deref();
            rule.point == point && (named.is_none() || named == who)
        };
        let index = rules.iter().position(|w| concerned(&w.rule))?;
        let found = rules.get_mut(index)?;
        let Some(left) = found.rule.count.as_mut() else {
            return Some(found.rule.clone());
        };
        *left -= 1;
        let used_up = *left == 0;
        let taken = found.rule.clone();
        if used_up {
            remove(&mut rules, index, now);
        }
        Some(taken)
    }

    /// The rules without those that have ended by `now`.
    fn current(&self, now: OffsetDateTime) -> MutexGuard<'_, Vec<Waiting>> {
        let mut rules = self.lock();
        let first_ended = |rules: &Vec<Waiting>| {
            let ended = |(index, w): (usize, &Waiting)| {
                let point = w.rule.point;
                let first = rules.iter().position(|o| o.rule.point == point) == Some(index);
                let end = w.ends().filter(|end| first && *end <= now)?;
                Some((index, end))
            };
            rules.iter().enumerate().find_map(ended)
        };
        while let Some((index, end)) = first_ended(&rules) {
            remove(&mut rules, index, end);
        }
        rules
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes a rule; the time of the next one at its point begins.
fn remove(rules: &mut Vec<Waiting>, index: usize, at: OffsetDateTime) {
    let ended = rules.remove(index);
    let same = |w: &&mut Waiting| w.rule.point == ended.rule.point;
    if let Some(next) = rules.iter_mut().find(same) {
        next.since = next.since.max(at);
    }
}

fn check(rule: &Rule) -> Result<(), RuleError> {
    if rule.count.is_some() && rule.seconds.is_some() {
        return Err(RuleError::Both);
    }
    let too_long = rule.seconds.is_some_and(|s| s > SECONDS_MAX);
    if rule.count == Some(0) || rule.seconds == Some(0) || too_long {
        return Err(RuleError::Length);
    }
    if rule.delay_ms > DELAY_MS_MAX {
        return Err(RuleError::Delay);
    }
    if !possible(rule.point, rule.action) {
        return Err(RuleError::Impossible);
    }
    if rule.who.is_some() && !matches!(rule.point, Point::Account | Point::Consent) {
        return Err(RuleError::Who);
    }
    // Only a document can be refused by a verdict of any code.
    let fault = rule.code.as_deref().map(soap::Fault::from_name);
    let nameless = rule.point == Point::Status && fault.flatten().is_none();
    if rule.action == Fault::Refuse && nameless {
        return Err(RuleError::Code);
    }
    // Time goes by in seconds, not in requests.
    if rule.point == Point::Documents && rule.seconds.is_none() {
        return Err(RuleError::Length);
    }
    Ok(())
}

/// Which actions exist where; anything else would be a silent no-op.
fn possible(point: Point, fault: Fault) -> bool {
    match point {
        Point::Maintenance | Point::RulesEngine => return fault == Fault::Unavailable,
        Point::Account | Point::Consent => return fault == Fault::Refuse,
        Point::Documents => return fault == Fault::Advance,
        Point::Tsa | Point::Ocsp | Point::Crl => (),
        Point::Identity | Point::Token | Point::Exchange | Point::Status => (),
    }
    match fault {
        Fault::Delay | Fault::Unavailable | Fault::DropBeforeAccept | Fault::DropAfterAccept => {
            true
        }
        Fault::Refuse => point != Point::Crl,
        Fault::BadAnswerSignature => point != Point::Crl,
        Fault::Stale => matches!(point, Point::Tsa | Point::Ocsp | Point::Crl),
        Fault::ExpiredCertificate => matches!(point, Point::Tsa | Point::Ocsp),
        Fault::WrongNonce | Fault::WrongImprint => point == Point::Tsa,
        Fault::Duplicate => point == Point::Exchange,
        Fault::Advance => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    fn rule(point: Point, action: Fault, count: u32) -> Rule {
        Rule {
            point,
            action,
            count: Some(count),
            seconds: None,
            delay_ms: 0,
            code: None,
            who: None,
        }
    }

    fn lasting(point: Point, action: Fault, seconds: u64) -> Rule {
        Rule {
            count: None,
            seconds: Some(seconds),
            ..rule(point, action, 1)
        }
    }

    #[test]
    fn rules_are_used_up_in_order_and_only_at_their_point() {
        let all = Scenarios::default();
        let steps = [
            rule(Point::Tsa, Fault::Stale, 2),
            rule(Point::Tsa, Fault::Refuse, 1),
        ];
        all.play(&steps).unwrap();
        assert_eq!(all.strike(Point::Ocsp), None);
        let faults: Vec<_> = std::iter::from_fn(|| all.strike(Point::Tsa)).collect();
        let faults: Vec<_> = faults.iter().map(|b| b.fault).collect();
        assert_eq!(faults, [Fault::Stale, Fault::Stale, Fault::Refuse]);
    }

    #[test]
    fn a_rule_with_seconds_holds_so_long_and_the_next_begins_when_it_ends() {
        let start = datetime!(2026-09-14 10:00 UTC);
        let after = |seconds| start + time::Duration::seconds(seconds);
        let all = Scenarios::default();
        let steps = [
            lasting(Point::Exchange, Fault::Unavailable, 60),
            lasting(Point::Exchange, Fault::Delay, 30),
            lasting(Point::Maintenance, Fault::Unavailable, 10),
        ];
        all.add(&steps, start).unwrap();
        let at = |point, seconds| all.take(point, None, after(seconds)).map(|r| r.action);
        assert_eq!(at(Point::Maintenance, 9), Some(Fault::Unavailable));
        assert_eq!(at(Point::Maintenance, 10), None);
        assert_eq!(at(Point::Exchange, 59), Some(Fault::Unavailable));
        assert_eq!(at(Point::Exchange, 60), Some(Fault::Delay));
        assert_eq!(at(Point::Exchange, 89), Some(Fault::Delay));
        assert_eq!(at(Point::Exchange, 90), None);
        assert!(all.list().is_empty());
    }

    #[test]
    fn a_rule_that_names_somebody_leaves_the_others_alone() {
        let all = Scenarios::default();
        let mut named = rule(Point::Account, Fault::Refuse, 1);
        named.who = Some("90000001".to_owned());
        all.play(&[named]).unwrap();
        assert_eq!(all.strike_for(Point::Account, Some("90000002")), None);
        assert!(all.strike_for(Point::Account, Some("90000001")).is_some());
        assert_eq!(all.strike_for(Point::Account, Some("90000001")), None);
    }

    #[test]
    fn senseless_rules_are_refused_and_nothing_of_the_scenario_is_played() {
        let all = Scenarios::default();
        let cases = [
            (rule(Point::Tsa, Fault::Delay, 0), RuleError::Length),
            (lasting(Point::Tsa, Fault::Delay, 86_401), RuleError::Length),
            (rule(Point::Documents, Fault::Advance, 1), RuleError::Length),
            (
                rule(Point::Ocsp, Fault::WrongNonce, 1),
                RuleError::Impossible,
            ),
            (rule(Point::Account, Fault::Delay, 1), RuleError::Impossible),
            (rule(Point::Status, Fault::Refuse, 1), RuleError::Code),
            (
                Rule {
                    seconds: Some(1),
                    ..rule(Point::Tsa, Fault::Delay, 1)
                },
                RuleError::Both,
            ),
            (
                Rule {
                    who: Some("90000001".to_owned()),
                    ..rule(Point::Tsa, Fault::Delay, 1)
                },
                RuleError::Who,
            ),
            (
                Rule {
                    delay_ms: DELAY_MS_MAX + 1,
                    ..rule(Point::Tsa, Fault::Delay, 1)
                },
                RuleError::Delay,
            ),
        ];
        for (wrong, expected) in cases {
            let steps = [rule(Point::Tsa, Fault::Delay, 1), wrong];
            let refused = all.play(&steps);
            let step = matches!(refused, Err(ScenarioError::Step { number: 2, fault }) if fault == expected);
            assert!(step, "{expected:?}: {refused:?}");
        }
        assert!(matches!(all.play(&[]), Err(ScenarioError::Empty)));
        assert!(all.list().is_empty());
    }

    #[test]
    fn every_built_in_scenario_can_be_played_and_read_as_json_too() {
        let all: Vec<_> = Scenario::built_in().collect();
        assert_eq!(all.len(), BUILT_IN.len());
        for scenario in all {
            let json = serde_json::to_vec(&scenario).unwrap();
            assert_eq!(Scenario::read(&json).unwrap(), scenario);
            Scenarios::default().play(&scenario.steps).unwrap();
        }
        assert!(matches!(
            Scenario::read(b"name = 1"),
            Err(ScenarioError::Toml(_))
        ));
        assert!(matches!(
            Scenario::read(b" {}"),
            Err(ScenarioError::Json(_))
        ));
    }
}
