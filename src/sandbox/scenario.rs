//! Faults on demand: each rule makes the next `count` requests at one point go
//! wrong in one way.

use crate::soap;
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Most rules that may wait at once.
const RULES_MAX: usize = 1000;
/// Longest delay, in milliseconds.
const DELAY_MS_MAX: u64 = 600_000;

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
    /// Deposits.
    Exchange,
    /// Questions what became of a document.
    Status,
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
}

/// A rule as set through `/control/scenario`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Where.
    pub point: Point,
    /// What.
    pub action: Fault,
    /// How many requests it still takes; 1 when not given.
    #[serde(default = "one")]
    pub count: u32,
    /// Delay before anything happens, in milliseconds.
    #[serde(default)]
    pub delay_ms: u64,
    /// For [`Fault::Refuse`]: the fault or anomaly code.
    #[serde(default)]
    pub code: Option<String>,
}

fn one() -> u32 {
    1
}

/// A rule that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// `count` is zero.
    #[error("count must be at least 1")]
    Count,
    /// The delay is too long.
    #[error("delay_ms must be at most {DELAY_MS_MAX}")]
    Delay,
    /// Too many rules wait.
    #[error("at most {RULES_MAX} rules can wait")]
    TooMany,
    /// A question can only be refused by a fault.
    #[error("code must name a fault")]
    Code,
    /// The point cannot fail in this way.
    #[error("this action does not exist at this point")]
    Impossible,
}

/// What a request has to suffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blow {
    /// What goes wrong.
    pub fault: Fault,
    /// See [`Rule::code`].
    pub code: Option<String>,
}

/// The rules that wait.
#[derive(Debug, Default)]
pub struct Scenarios(Mutex<Vec<Rule>>);

impl Scenarios {
    /// Adds a rule behind the others.
    ///
    /// # Errors
    /// [`ScenarioError`] for a rule that makes no sense.
    pub fn add(&self, rule: Rule) -> Result<(), ScenarioError> {
        if rule.count == 0 {
            return Err(ScenarioError::Count);
        }
        if rule.delay_ms > DELAY_MS_MAX {
            return Err(ScenarioError::Delay);
        }
        if !possible(rule.point, rule.action) {
            return Err(ScenarioError::Impossible);
        }
        // Only a deposit can be refused by a verdict of any code.
        let fault = rule.code.as_deref().map(soap::Fault::from_name);
        let nameless = rule.point == Point::Status && fault.flatten().is_none();
        if rule.action == Fault::Refuse && nameless {
            return Err(ScenarioError::Code);
        }
        let mut rules = self.lock();
        if rules.len() >= RULES_MAX {
            return Err(ScenarioError::TooMany);
        }
        rules.push(rule);
        Ok(())
    }

    /// Forgets all rules.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// The rules that wait.
    pub fn list(&self) -> Vec<Rule> {
        self.lock().clone()
    }

    /// Takes one use of the first rule for `point`, waits its delay and says
    /// what is to go wrong. Blocks; call it from a worker thread.
    pub fn strike(&self, point: Point) -> Option<Blow> {
        let rule = self.take(point)?;
        std::thread::sleep(Duration::from_millis(rule.delay_ms));
        Some(Blow {
            fault: rule.action,
            code: rule.code,
        })
    }

    fn take(&self, point: Point) -> Option<Rule> {
        let mut rules = self.lock();
        let index = rules.iter().position(|r| r.point == point)?;
        let rule = rules.get_mut(index)?;
        rule.count -= 1;
        let taken = rule.clone();
        if taken.count == 0 {
            rules.remove(index);
        }
        Some(taken)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Rule>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which actions exist where; anything else would be a silent no-op.
fn possible(point: Point, fault: Fault) -> bool {
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(point: Point, action: Fault, count: u32) -> Rule {
        Rule {
            point,
            action,
            count,
            delay_ms: 0,
            code: None,
        }
    }

    #[test]
    fn rules_are_used_up_in_order_and_only_at_their_point() {
        let all = Scenarios::default();
        all.add(rule(Point::Tsa, Fault::Stale, 2)).unwrap();
        all.add(rule(Point::Tsa, Fault::Refuse, 1)).unwrap();
        assert_eq!(all.strike(Point::Ocsp), None);
        let faults: Vec<_> = std::iter::from_fn(|| all.strike(Point::Tsa)).collect();
        let faults: Vec<_> = faults.iter().map(|b| b.fault).collect();
        assert_eq!(faults, [Fault::Stale, Fault::Stale, Fault::Refuse]);
    }

    #[test]
    fn senseless_rules_are_refused() {
        let all = Scenarios::default();
        let add = |point, action, count| all.add(rule(point, action, count));
        assert_eq!(add(Point::Tsa, Fault::Delay, 0), Err(ScenarioError::Count));
        let wrong = add(Point::Ocsp, Fault::WrongNonce, 1);
        assert_eq!(wrong, Err(ScenarioError::Impossible));
        let refused = add(Point::Status, Fault::Refuse, 1);
        assert_eq!(refused, Err(ScenarioError::Code));
        assert!(all.list().is_empty());
    }
}
