//! Faults as ordinary states: each has a name, a cause, a next step, a time and
//! a scope, and goes by itself when its cause goes. Nothing is measured here:
//! it is what the parts know already, from real operations.

mod catalogue;
mod pauses;
#[cfg(test)]
mod tests;

pub use catalogue::{KINDS, Kind};

use crate::base::Clock;
use crate::outbox::{Client, Event, Outbox, OutboxError, Record, SetAside};
use crate::sign::Signer;
use crate::store;
use crate::token::several::{Named, Several};
use crate::token::{DriverFault, PinWarning, TokenStatus};
use crate::trust::{AuthorityHealth, ClockReading, FailureKind, Health};
use catalogue::*;
use pauses::Pauses;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use time::OffsetDateTime;
use tokio::sync::watch;

/// What a fault is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// This machine and all that goes through it.
    Installation,
    /// The token of this name and the documents of its signers.
    Token(String),
    /// The timestamp authority of this name.
    Authority(String),
    /// What is signed by this practitioner (code prestataire) or delegate (id).
    Signer(String),
    /// All that goes to the insurer.
    Insurer,
    /// The documents of this code prestataire.
    Practitioner(String),
}

impl Scope {
    /// The word shown, and whom or what it is about.
    pub fn parts(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Installation => ("installation", None),
            Self::Token(name) => ("token", Some(name)),
            Self::Authority(name) => ("authority", Some(name)),
            Self::Signer(id) => ("signer", Some(id)),
            Self::Insurer => ("insurer", None),
            Self::Practitioner(code) => ("practitioner", Some(code)),
        }
    }
}

/// A fault that is there now.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// Which one.
    pub kind: &'static Kind,
    /// What it is about.
    pub scope: Scope,
    /// Since when, as far as is known.
    pub since: OffsetDateTime,
    /// Whether documents wait because of it. False for an authority in whose
    /// place another one stands.
    pub holds_up: bool,
    /// Particulars in English, without patient data.
    pub detail: Option<String>,
    /// Codes prestataires of the documents that met it, where it is known by them.
    pub practitioners: BTreeSet<String>,
}

impl Condition {
    /// Whether it is about a person and not about the installation.
    pub fn is_about_a_person(&self) -> bool {
        match self.scope {
            Scope::Signer(_) | Scope::Practitioner(_) => true,
            Scope::Installation | Scope::Token(_) | Scope::Authority(_) | Scope::Insurer => false,
        }
    }

    /// Whether `client` may see it: what is about other practitioners than its
    /// own, and no document of theirs has met, is not for it.
    pub fn is_for(&self, client: &Client) -> bool {
        match &self.scope {
            // A delegate's id is no code, and who sends is not always who signs.
            Scope::Signer(id) | Scope::Practitioner(id) => {
                client.may(id) || self.practitioners.iter().any(|code| client.may(code))
            }
            Scope::Installation | Scope::Token(_) | Scope::Authority(_) | Scope::Insurer => true,
        }
    }
}

/// What a look found, before it is known since when.
struct Found {
    kind: &'static Kind,
    scope: Scope,
    since: Option<OffsetDateTime>,
    holds_up: bool,
    detail: Option<String>,
    practitioners: BTreeSet<String>,
}

impl Found {
    fn new(kind: &'static Kind, scope: Scope) -> Self {
        Self {
            kind,
            scope,
            since: None,
            holds_up: true,
            detail: None,
            practitioners: BTreeSet::new(),
        }
    }

    fn with(self, detail: impl Into<String>) -> Self {
        let detail = Some(detail.into());
        Self { detail, ..self }
    }
}

/// Where conditions come from.
pub struct Sources {
    /// The tokens.
    pub tokens: Arc<Several>,
    /// Knows the trust services.
    pub signer: Arc<Signer>,
    /// Tells how steps end.
    pub outbox: Arc<Outbox>,
    /// Tells since when.
    pub clock: Arc<dyn Clock>,
    /// Whether an insurer is set up.
    pub delivers: bool,
}

/// The faults there are.
pub struct Conditions {
    sources: Sources,
    pauses: Arc<Mutex<Pauses>>,
    /// Tokens that were unlocked when last looked at.
    unlocked: Mutex<HashSet<String>>,
    /// The first deadline that has passed, of the last look.
    overdue: Mutex<Option<OffsetDateTime>>,
    /// Damaged records, of the last look.
    set_aside: Mutex<Vec<SetAside>>,
    now: watch::Sender<Arc<Vec<Condition>>>,
}

impl Conditions {
    /// Begins with what the submissions that pause say, and learns from each
    /// step from then on.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn new(sources: Sources) -> Result<Self, OutboxError> {
        let pauses = Arc::<Mutex<Pauses>>::default();
        for record in sources.outbox.waiting()? {
            lock(&pauses).learn(&record, &[]);
        }
        let learning = pauses.clone();
        let learn = move |record: &Record, made: &[Event]| lock(&learning).learn(record, made);
        sources.outbox.observe(learn);
        Ok(Self {
            sources,
            pauses,
            unlocked: Mutex::default(),
            overdue: Mutex::default(),
            set_aside: Mutex::default(),
            now: watch::Sender::default(),
        })
    }

    /// Changes with each fault that begins, changes or ends.
    pub fn follow(&self) -> watch::Receiver<Arc<Vec<Condition>>> {
        self.now.subscribe()
    }

    /// Looks whether deadlines have passed, and has it written into histories;
    /// and whether records are damaged.
    pub fn look_at_records(&self) {
        // While the store fails, that is the fault to be shown.
        if let Ok(first) = self.sources.outbox.overdue() {
            *lock(&self.overdue) = first;
        }
        if let Ok(damaged) = self.sources.outbox.set_aside() {
            *lock(&self.set_aside) = damaged;
        }
    }

    /// Looks at all parts; logs each fault once when it begins and once when it
    /// ends. Waits for nothing and asks nobody outside.
    pub fn look(&self) -> Arc<Vec<Condition>> {
        let now = self.sources.clock.now();
        let mut unlocked = lock(&self.unlocked);
        let mut found = Vec::new();
        self.tokens(&mut unlocked, &mut found);
        timestamps(&self.sources.signer.trust().health(), &mut found);
        if !self.sources.delivers {
            found.push(Found::new(&NO_INSURER, Scope::Installation));
        }
        found.extend(lock(&self.overdue).map(|first| Found {
            since: Some(first),
            ..Found::new(&STAMP_OVERDUE, Scope::Installation)
        }));
        found.extend(lock(&self.set_aside).iter().map(|damaged| {
            let scope = Scope::Practitioner(damaged.code_prestataire.clone());
            let text = format!("{} of the records are set aside.", damaged.records);
            Found {
                since: Some(damaged.since),
                ..Found::new(&DOCUMENT_DAMAGED, scope).with(text)
            }
        }));
        found.extend(self.sources.outbox.store().health().map(|health| {
            let kind = match health.fault {
                store::Fault::Full => &DISK_FULL,
                store::Fault::Stopped => &STORE_STOPPED,
                store::Fault::ReadOnly => &STORE_DAMAGED,
            };
            Found {
                since: Some(health.since),
                ..Found::new(kind, Scope::Installation).with(health.cause)
            }
        }));
        found.extend(self.sources.outbox.backup_failure().map(|failure| Found {
            since: Some(failure.at),
            holds_up: false,
            ..Found::new(&BACKUP_FAILING, Scope::Installation).with(failure.cause)
        }));
        let pauses = lock(&self.pauses);
        found.extend(pauses.iter().map(|(scope, pause)| Found {
            since: Some(pause.since),
            practitioners: pause.practitioners(),
            ..Found::new(pause.kind, scope.clone()).with(&pause.detail)
        }));
        drop(pauses);
        let before = self.now.borrow().clone();
        let after = Arc::new(since(&before, found, now));
        if before != after {
            tell(&before, &after, now);
            self.now.send_replace(after.clone());
        }
        after
    }

    fn tokens(&self, unlocked: &mut HashSet<String>, found: &mut Vec<Found>) {
        let tokens = self.sources.tokens.each();
        if tokens.is_empty() {
            found.push(Found::new(&NO_TOKEN, Scope::Installation));
        }
        for Named { name, token } in tokens {
            let status = token.status();
            let was_unlocked = unlocked.contains(name);
            match &status {
                TokenStatus::Ready => unlocked.insert(name.clone()),
                // Still the same pull, until it is back.
                TokenStatus::Absent => was_unlocked,
                TokenStatus::Starting
                | TokenStatus::Locked { .. }
                | TokenStatus::Wrong { .. }
                | TokenStatus::Blocked
                | TokenStatus::Restarting { .. }
                | TokenStatus::Quarantined { .. }
                | TokenStatus::Unusable { .. } => unlocked.remove(name),
            };
            let new = |kind| Found::new(kind, Scope::Token(name.clone()));
            found.extend(match status {
                TokenStatus::Starting | TokenStatus::Ready => None,
                TokenStatus::Absent if was_unlocked => Some(new(&TOKEN_PULLED)),
                TokenStatus::Absent => Some(new(&TOKEN_ABSENT)),
                TokenStatus::Locked { warning } => Some(Found {
                    detail: warning.map(|warning| warned(warning).to_owned()),
                    ..new(&PIN_NEEDED)
                }),
                TokenStatus::Blocked => Some(new(&PIN_BLOCKED)),
                TokenStatus::Wrong { detail } => Some(new(&TOKEN_WRONG).with(detail)),
                TokenStatus::Restarting { after } => Some(new(failed(after))),
                TokenStatus::Quarantined { after } => Some(new(failed(after)).with(QUARANTINED)),
                TokenStatus::Unusable { detail } => Some(new(&TOKEN_UNUSABLE).with(detail)),
            });
        }
    }
}

fn failed(fault: DriverFault) -> &'static Kind {
    match fault {
        DriverFault::Crashed => &MODULE_CRASHED,
        DriverFault::Hung => &MODULE_HUNG,
    }
}

const QUARANTINED: &str = "It failed too often and rests for some minutes.";

/// What the holder should know before entering a PIN, in English.
pub fn warned(warning: PinWarning) -> &'static str {
    match warning {
        PinWarning::CountLow => "A wrong PIN was entered before; few attempts are left.",
        PinWarning::FinalTry => "One attempt is left; a wrong PIN locks the token.",
    }
}

fn timestamps(health: &Health, found: &mut Vec<Found>) {
    let none_left = health.authorities.iter().all(AuthorityHealth::is_failing);
    if health.authorities.is_empty() {
        found.push(Found::new(&NO_TIMESTAMP_AUTHORITY, Scope::Installation));
    }
    let clock_wrong = health.clock.as_ref().filter(|c| c.is_fault());
    let failing = health.authorities.iter().filter(|a| a.is_failing());
    for authority in failing {
        let Some(failure) = &authority.last_failure else {
            continue;
        };
        let kind = match failure.kind {
            FailureKind::Down => &TSA_DOWN,
            FailureKind::Untrue => &TSA_LYING,
            // Which of the two is wrong, others may know.
            FailureKind::Apart if clock_wrong.is_some() => continue,
            FailureKind::Apart => &TSA_LYING,
        };
        found.push(Found {
            since: authority.failing_since,
            holds_up: none_left,
            ..Found::new(kind, Scope::Authority(authority.name.clone())).with(&failure.reason)
        });
    }
    if let Some(reading) = clock_wrong {
        found.push(Found::new(&CLOCK_WRONG, Scope::Installation).with(off(reading)));
    }
}

fn off(reading: &ClockReading) -> String {
    let seconds = reading.offset_seconds;
    let (apart, way) = (
        seconds.unsigned_abs(),
        if seconds > 0 { "behind" } else { "ahead of" },
    );
    format!(
        "This machine's clock is {apart} s {way} the time of {}.",
        reading.source
    )
}

/// Each fault once, with the time at which it began.
fn since(before: &[Condition], found: Vec<Found>, now: OffsetDateTime) -> Vec<Condition> {
    let mut all = BTreeMap::new();
    for Found {
        kind,
        scope,
        since,
        holds_up,
        detail,
        practitioners,
    } in found
    {
        let known = before.iter().find(|c| c.kind == kind && c.scope == scope);
        let since = known.map(|c| c.since).or(since).unwrap_or(now);
        let condition = Condition {
            kind,
            scope,
            since,
            holds_up,
            detail,
            practitioners,
        };
        let key = (kind.name, condition.scope.clone());
        all.entry(key).or_insert(condition);
    }
    all.into_values().collect()
}

/// Logs what began and what ended.
fn tell(before: &[Condition], after: &[Condition], now: OffsetDateTime) {
    let missing = |from: &[Condition], c: &Condition| {
        !from.iter().any(|o| o.kind == c.kind && o.scope == c.scope)
    };
    for condition in after.iter().filter(|c| missing(before, c)) {
        let (scope, of) = condition.scope.parts();
        let (name, detail) = (condition.kind.name, condition.detail.as_deref());
        let ([.., cause], [.., next_step]) = (condition.kind.cause, condition.kind.next_step);
        let detail = detail.unwrap_or_default();
        tracing::warn!(scope, of, "{name} begins: {cause} {detail} {next_step}");
    }
    for condition in before.iter().filter(|c| missing(after, c)) {
        let (scope, of) = condition.scope.parts();
        let seconds = (now - condition.since).whole_seconds();
        tracing::info!(scope, of, seconds, "{} ends", condition.kind.name);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind is only ever changed whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
