//! The durable life of a submission: records, states, leases and the retry
//! plan. Every transition is one transaction that also writes the audit entry.
//! What a gateway says is not known here; only its consequence is.
//!
//! ```text
//! Received -> Signed -> Stamped -> Ready -> Sending -> Receipted | Rejected
//!                                    ^         |
//!                                    +---- Unknown   (asked about, never re-sent blindly)
//! ```
//!
//! `D1` is [`Outbox::receive`], `D2` [`Outbox::prepared`], `D3`
//! [`Outbox::begin_attempt`], `D4` [`Outbox::conclude`].

mod backup;
mod bodies;
mod clients;
mod conclude;
mod damaged;
mod deadline;
mod links;
mod news;
mod proof;
mod receive;
mod record;
mod retention;
mod rows;
mod settle;
mod steps;
#[cfg(test)]
pub(crate) mod tests;
mod waiters;

pub use crate::store::Class;
pub use backup::{BackupFailure, back_up, restore};
pub use clients::{CLIENTS_SCHEMA, Client};
pub use damaged::SetAside;
pub use links::{Link, Name, Scope};
pub use news::{Page, Step};
pub use proof::Proof;
pub use receive::{Accepted, New};
pub use record::{Kind, Queue, Record, Stage, State, Wait};
pub use settle::Finding;
pub use steps::{Conclusion, Event, Evidence, Prepared, Verdict};

use crate::audit;
use crate::base::hold::{self, Bell, Defect};
use crate::base::{Clock, Uuid4};
use crate::forms::CodePrestataire;
use crate::store::rusqlite::Transaction;
use crate::store::{Body, Fault, Store, StoreError, files};
use news::Followers;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use time::OffsetDateTime;
use waiters::Waiters;

/// The schema of everything the outbox keeps; see [`migrations`].
const SCHEMA: &str = include_str!("schema.sql");

/// Longest pause between two tries.
const BACKOFF_MAX: Duration = Duration::from_secs(15 * 60);
/// Longest pause while the token is absent or locked: looking costs nothing,
/// and a card must not lie idle while work waits.
const TOKEN_PAUSE_MAX: Duration = Duration::from_secs(5);
/// First pause between two tries.
const BACKOFF_MIN: Duration = Duration::from_secs(1);

/// All migrations of the store, in order.
pub fn migrations() -> Vec<String> {
    vec![
        format!("{}{SCHEMA}{CLIENTS_SCHEMA}", audit::SCHEMA),
        include_str!("schema-2.sql").to_owned(),
        include_str!("schema-3.sql").to_owned(),
        audit::CHECKPOINTS_SCHEMA.to_owned(),
        include_str!("schema-5.sql").to_owned(),
        include_str!("schema-6.sql").to_owned(),
        include_str!("schema-7.sql").to_owned(),
    ]
}

/// Why the outbox cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The UUID is taken by other bytes, or was accepted for another environment.
    #[error("UUID {0} was accepted before with other content, or for another environment")]
    Conflict(Uuid4),
    /// Another document that names the same earlier one stands already.
    #[error("the document {by} says this of the same earlier one already")]
    Standing {
        /// Index of the link.
        link: usize,
        /// The other document.
        by: Uuid4,
    },
    /// The lease ran out and somebody else has taken the submission on since:
    /// what the late holder found out is not recorded.
    #[error("the lease on {0} was lost to another worker")]
    LeaseLost(Uuid4),
    /// The documents were destroyed when their time had come.
    #[error("the documents of {0} were destroyed: they are kept for a limited time")]
    Purged(Uuid4),
    /// As many documents as may be are under way.
    #[error("{open_max} documents wait here to be signed or sent, no more are taken")]
    Full {
        /// The bound, as configured.
        open_max: usize,
    },
    /// The store failed.
    #[error("the outbox could not {operation}")]
    Store {
        /// What was tried.
        operation: &'static str,
        /// The cause.
        #[source]
        source: StoreError,
    },
}

impl OutboxError {
    /// What follows from it for the store.
    pub fn class(&self) -> Class {
        match self {
            Self::Store { source, .. } => source.class(),
            Self::Conflict(_)
            | Self::Standing { .. }
            | Self::LeaseLost(_)
            | Self::Purged(_)
            | Self::Full { .. } => Class::Other,
        }
    }

    /// Whether the transaction that ended so is certainly not on disk.
    fn kept_nothing(&self) -> bool {
        match self {
            Self::Store { source, .. } => source.kept_nothing(),
            _ => true,
        }
    }
}

impl From<StoreError> for OutboxError {
    fn from(source: StoreError) -> Self {
        Self::Store {
            operation: "use its store",
            source,
        }
    }
}

/// A claim on one submission: nobody else takes it on before it ends. One that
/// has run out and was given to somebody else records nothing any more.
#[derive(Debug)]
pub struct Lease {
    /// The submission as claimed.
    pub record: Record,
    /// Counts the claims on the submission.
    number: i64,
}

impl Lease {
    /// What names this claim once the lease itself is gone.
    pub fn claim(&self) -> Claim {
        Claim {
            uuid: self.record.uuid,
            number: self.number,
        }
    }
}

/// Names one claim on one submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    uuid: Uuid4,
    number: i64,
}

/// A stage, and whether somebody waits: what is in one line is equally urgent.
type Line = (Stage, bool);
/// Code prestataire of who was served last in each line. Not stored: after a
/// restart the first one begins.
type Turns = HashMap<Line, String>;

/// What the next claim has to know, and to put right first.
struct Upkeep {
    turns: Turns,
    /// Claims whose holder failed.
    abandoned: Vec<Claim>,
    /// The latest time seen; an earlier one means the clock was set back.
    latest: OffsetDateTime,
}

/// The outbox over a store.
pub struct Outbox {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    lease: Duration,
    upkeep: Mutex<Upkeep>,
    changed: Bell,
    waiters: Waiters,
    followers: Followers,
    /// Submissions that are not final. Counted once, at the start.
    open: AtomicUsize,
    open_max: usize,
    stamp_within: Option<Duration>,
    backup: Mutex<Option<BackupFailure>>,
}

impl Outbox {
    /// Takes over a store. Everything that was under way when the last process
    /// died is put where it can go on: `Sending` becomes `Unknown`. A store that
    /// is only read is left as it is.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn open(
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
        lease: Duration,
    ) -> Result<Self, OutboxError> {
        let outbox = Self {
            upkeep: Mutex::new(Upkeep {
                turns: Turns::new(),
                abandoned: Vec::new(),
                latest: clock.now(),
            }),
            store,
            clock,
            lease,
            changed: Bell::default(),
            waiters: Waiters::default(),
            followers: Followers::default(),
            open: AtomicUsize::new(0),
            open_max: usize::MAX,
            stamp_within: None,
            backup: Mutex::default(),
        };
        if outbox.is_only_read() {
            return Ok(outbox);
        }
        match outbox.recover() {
            // Once that is proved it is only read, and shown as such.
            Err(error) if error.class() == Class::Damaged => {
                let proved = outbox.store.reopen().is_err() && outbox.is_only_read();
                return if proved { Ok(outbox) } else { Err(error) };
            }
            recovered => recovered?,
        }
        // Only now: later, a file without a row may be one about to get it.
        let store = &outbox.store;
        store.sweep(|name| store.read(|c| bodies::is_kept(c, name)))?;
        Ok(outbox)
    }

    /// The store, for who keeps it at work and who shows its health.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Whether the store is damaged: nothing is written then, and not all may be
    /// readable.
    pub fn is_only_read(&self) -> bool {
        let health = self.store.health();
        health.is_some_and(|health| health.fault == Fault::ReadOnly)
    }

    /// Puts the store back to work after [`Fault::Stopped`],
    /// as [`Outbox::open`] does. No step may be under way.
    ///
    /// # Errors
    /// [`OutboxError::Store`]: to be called again later.
    pub fn reopen(&self) -> Result<(), OutboxError> {
        self.store.reopen()?;
        let mut upkeep = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        upkeep.abandoned.clear();
        drop(upkeep);
        self.recover()
    }

    /// With at most `open_max` documents that are not final; without, there is
    /// no bound.
    #[must_use]
    pub fn bounded(mut self, open_max: usize) -> Self {
        self.open_max = open_max;
        self
    }

    /// Whether one more document is taken. For what somebody waits for, a tenth
    /// of the places is kept beyond the bound.
    ///
    /// # Errors
    /// [`OutboxError::Full`].
    pub fn admits(&self, is_interactive: bool) -> Result<(), OutboxError> {
        let open_max = self.open_max;
        let kept = if is_interactive { open_max / 10 } else { 0 };
        if self.open.load(Ordering::Relaxed) < open_max.saturating_add(kept) {
            Ok(())
        } else {
            Err(OutboxError::Full { open_max })
        }
    }

    /// Claims the next submission that is due in `queue`; practitioners take turns.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn claim(&self, queue: impl Into<Queue>) -> Result<Option<Lease>, OutboxError> {
        let queue = queue.into();
        hold::point("claim");
        let mut upkeep = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let mut put_back = Vec::new();
        let lease = match Defect::LeaseWithoutExpiry.is_planted() {
            true => Duration::from_secs(1 << 30),
            false => self.lease,
        };
        let Upkeep {
            turns,
            abandoned,
            latest,
        } = &mut *upkeep;
        let claimed = self.store.transact(|tx| {
            for claim in &*abandoned {
                put_back.extend(self.put_back(tx, *claim)?);
            }
            if now < *latest {
                rows::clock_set_back(tx, now)?;
            }
            rows::claim(tx, queue, turns, now, now + lease)
        })?;
        abandoned.clear();
        *latest = now;
        put_back
            .iter()
            .for_each(|r| self.followers.committed(r, &[]));
        Ok(claimed.map(|(record, number)| Lease { record, number }))
    }

    /// Gives a claim back whose step failed without a conclusion: the store
    /// refused, or the step panicked. Recorded with the next claim that the
    /// store takes, so it cannot fail itself.
    pub fn abandon(&self, claim: Claim) {
        let mut upkeep = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        upkeep.abandoned.push(claim);
    }

    /// D2: records how far intake came, with the bodies made on the way.
    ///
    /// # Errors
    /// [`OutboxError::Store`] and [`OutboxError::LeaseLost`]; the submission
    /// then stays where it was.
    pub fn prepared(&self, lease: Lease, step: Prepared) -> Result<Record, OutboxError> {
        hold::point("d2-before");
        let claim = lease.claim();
        let bodies = self.seal_all(claim.uuid, &step.bodies)?;
        let moved = step.state != lease.record.state;
        let mut record = self.paused(lease.record, step.wait, Duration::ZERO, moved);
        record.state = step.state;
        let replaced = self.store.transact(|tx| {
            let subject = record.uuid.to_string();
            let replaced = self.keep_all(tx, record.uuid, &bodies)?;
            for event in &step.events {
                audit::append(tx, event.at, &subject, event.word, &event.detail)?;
            }
            self.append_wait(tx, &record)?;
            release(tx, &record, claim)?;
            deadline::note(tx, &record, &step.bodies)?;
            // Last: whatever fails before leaves them where they are.
            self.store.stage(&replaced);
            Ok::<_, OutboxError>(replaced)
        });
        let replaced = self.unless_lost(replaced, &bodies)?;
        hold::point("d2-after");
        self.settle(&bodies, &replaced);
        self.followers.committed(&record, &step.events);
        self.notify();
        Ok(record)
    }

    /// D3: records that an attempt begins, before its first byte leaves. A
    /// crash from here on means `Unknown`.
    ///
    /// # Errors
    /// [`OutboxError::Store`] and [`OutboxError::LeaseLost`]; nothing may be
    /// sent then.
    pub fn begin_attempt(&self, lease: Lease) -> Result<Lease, OutboxError> {
        let now = self.clock.now();
        let claim = lease.claim();
        let mut record = lease.record;
        record.state = State::Sending;
        record.updated_at = now;
        record.wait = None;
        hold::point("d3-before");
        self.store.transact(|tx| {
            let detail = json!({ "try": record.tries + 1 });
            audit::append(tx, now, &record.uuid.to_string(), "sending", &detail)?;
            held(rows::update(tx, &record, claim.number, true)?, claim)
        })?;
        hold::point("d3-after");
        self.followers.ring();
        Ok(Lease {
            record,
            number: claim.number,
        })
    }

    /// Makes a paused submission due now, at a person's wish.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn retry_now(&self, uuid: Uuid4) -> Result<Option<Record>, OutboxError> {
        // A damaged record is not written into.
        self.find(uuid)?;
        let now = self.clock.now();
        self.store
            .transact(|tx| Ok::<_, OutboxError>(rows::make_due(tx, uuid, now)?))?;
        self.notify();
        self.find(uuid)
    }

    /// Makes everything that waits for the token due now: a person has just
    /// unlocked it.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn token_ready(&self) -> Result<(), OutboxError> {
        let now = self.clock.now();
        self.store
            .transact(|tx| Ok::<_, OutboxError>(rows::make_due_of_class(tx, "token", now)?))?;
        self.notify();
        Ok(())
    }

    /// The paired program this bearer token belongs to.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn client(&self, token: &str) -> Result<Option<Client>, OutboxError> {
        Client::authenticate(&self.store, token)
    }

    /// When `event` last happened to any submission.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn last(&self, event: &str) -> Result<Option<OffsetDateTime>, OutboxError> {
        Ok(self.store.read(|c| audit::last(c, event))?)
    }

    /// The submission with this UUID.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn find(&self, uuid: Uuid4) -> Result<Option<Record>, OutboxError> {
        Ok(self.store.read(|c| rows::find(c, uuid))?)
    }

    /// The newest submissions, at most `limit`, older than `before` (none when
    /// that is not a submission), of practitioners that `client` may act for.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn list(
        &self,
        limit: usize,
        before: Option<Uuid4>,
        client: &Client,
    ) -> Result<Vec<Record>, OutboxError> {
        let of = client.practitioners.iter();
        let of: Vec<&str> = of.map(CodePrestataire::as_str).collect();
        Ok(self.store.read(|c| rows::list(c, limit, before, &of))?)
    }

    /// What happened to a submission, oldest first. A refusal shows its
    /// reasons, which are not in the audit log itself.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn history(&self, uuid: Uuid4) -> Result<Vec<audit::Entry>, OutboxError> {
        let mut entries = self.store.read(|c| audit::about(c, &uuid.to_string()))?;
        if let Some(entry) = entries.iter_mut().find(|e| e.event == "rejected") {
            // A damaged body must not hide the rest of the history.
            let reading = self.body(uuid, Kind::AnswerFacts).ok().flatten();
            let reading = serde_json::from_slice(&reading.unwrap_or_default());
            let mut reading: Value = reading.unwrap_or_default();
            entry.detail["reasons"] = reading["anomalies"].take();
        }
        Ok(entries)
    }

    /// A stored body, compared with its digest.
    ///
    /// # Errors
    /// [`OutboxError::Store`], also when the body is damaged.
    /// [`OutboxError::Purged`].
    pub fn body(&self, uuid: Uuid4, kind: Kind) -> Result<Option<Vec<u8>>, OutboxError> {
        let named = || self.store.read(|c| bodies::find(c, uuid, kind));
        let Some(body) = named()? else {
            return Ok(None);
        };
        if body.wrapped_key.is_empty() {
            return Err(OutboxError::Purged(uuid));
        }
        match self.store.body(&body) {
            Ok(bytes) => Ok(Some(bytes)),
            // It may have been replaced between the look at the row and the file.
            Err(error) => match named()?.filter(|now| *now != body) {
                Some(now) => Ok(Some(self.store.body(&now)?)),
                None => Err(error.into()),
            },
        }
    }

    /// Waits until something changed or the next submission is due in `queue`,
    /// at most `limit`. `seen` is the counter of the last call.
    pub fn wait(&self, queue: impl Into<Queue>, seen: &mut u64, limit: Duration) {
        let (queue, now) = (queue.into(), self.clock.now());
        let due = self.store.read(|c| rows::next_due(c, queue)).ok().flatten();
        let pause = due.map_or(limit, |due| {
            Duration::try_from(due - now).unwrap_or(Duration::ZERO)
        });
        hold::point("nap");
        if Defect::LostWakeUp.is_planted() {
            *seen = self.changed.rings();
        }
        *seen = self.changed.wait(*seen, pause.min(limit));
    }

    /// Wakes every waiting worker.
    pub fn notify(&self) {
        self.changed.ring();
        self.followers.ring();
    }

    fn recover(&self) -> Result<(), OutboxError> {
        let now = self.clock.now();
        self.store.transact(|tx| {
            for uuid in rows::interrupted(tx)? {
                let detail = json!({ "reason": "the service stopped during an attempt" });
                audit::append(tx, now, &uuid, "unknown", &detail)?;
            }
            rows::clock_set_back(tx, now)?;
            Ok::<_, OutboxError>(rows::recover(tx, now)?)
        })?;
        let open = self.store.read(rows::count_open)?;
        self.open.store(open, Ordering::Relaxed);
        Ok(())
    }

    /// Puts a submission back whose claim was abandoned, after a back-off: what
    /// failed once may fail each time, and must not stop all others. An attempt
    /// that had begun may have arrived.
    fn put_back(&self, tx: &Transaction<'_>, claim: Claim) -> Result<Option<Record>, StoreError> {
        let found = damaged::find(tx, claim.uuid, self.clock.now())?;
        let Some(record) = found.filter(|record| !record.state.is_final()) else {
            return Ok(None);
        };
        let wait = Wait {
            class: "ours".into(),
            code: "interrupted".into(),
            text: "A failure inside the service cut this step off; its log has the cause.".into(),
        };
        let (detail, begun) = (wait_detail(&wait), record.state == State::Sending);
        let mut record = self.paused(record, Some(wait), Duration::ZERO, false);
        let word = if begun { "unknown" } else { "waiting" };
        if begun {
            record.state = State::Unknown;
        }
        if !rows::update(tx, &record, claim.number, false)? {
            return Ok(None);
        }
        let subject = record.uuid.to_string();
        audit::append(tx, record.updated_at, &subject, word, &detail)?;
        Ok(Some(record))
    }

    /// Stores all bodies or leaves none behind.
    fn seal_all(
        &self,
        uuid: Uuid4,
        bodies: &[(Kind, Vec<u8>)],
    ) -> Result<Vec<(Kind, Body)>, StoreError> {
        let named = bodies
            .iter()
            .map(|(kind, bytes)| (bodies::name(uuid, *kind), bytes.as_slice()));
        let named: Vec<_> = named.collect();
        let kinds = bodies.iter().map(|(kind, _)| *kind);
        let put = self.store.put_bodies(&named)?;
        hold::point("bodies-written");
        Ok(kinds.zip(put).collect())
    }

    /// Keeps `bodies`; the files they replace are to be discarded after the commit.
    fn keep_all(
        &self,
        tx: &Transaction<'_>,
        uuid: Uuid4,
        bodies: &[(Kind, Body)],
    ) -> Result<Vec<String>, StoreError> {
        let mut replaced = Vec::new();
        for (kind, body) in bodies {
            replaced.extend(bodies::put(tx, uuid, *kind, body)?);
        }
        Ok(replaced)
    }

    /// After the commit: files get their lasting place, those replaced go.
    fn settle(&self, bodies: &[(Kind, Body)], replaced: &[String]) {
        self.store
            .settle(&files(bodies.iter().map(|(_, body)| body)));
        self.discard(replaced);
    }

    /// Removes new bodies that no row will ever name. Only after what certainly
    /// was not committed: of a commit that failed otherwise, the rows may still
    /// turn out to be on disk.
    fn unless_lost<T>(
        &self,
        result: Result<T, OutboxError>,
        bodies: &[(Kind, Body)],
    ) -> Result<T, OutboxError> {
        if result.as_ref().is_err_and(OutboxError::kept_nothing) {
            self.discard(&files(bodies.iter().map(|(_, body)| body)));
        }
        result
    }

    /// The record with its next due time: now when it moved on, after a
    /// back-off when it pauses.
    fn paused(
        &self,
        mut record: Record,
        wait: Option<Wait>,
        after: Duration,
        moved: bool,
    ) -> Record {
        let now = self.clock.now();
        let waits = wait.is_some();
        let longest = match &wait {
            Some(wait) if wait.class == "token" => TOKEN_PAUSE_MAX,
            Some(_) | None => BACKOFF_MAX,
        };
        record.wait = wait;
        record.updated_at = now;
        record.tries = match (waits, moved) {
            (true, false) => record.tries.saturating_add(1),
            (true, true) => 1,
            (false, _) => 0,
        };
        let pause = if waits {
            after.max(backoff(record.tries, longest))
        } else {
            Duration::ZERO
        };
        record.due_at = Some(now + pause);
        record
    }

    fn append_wait(&self, tx: &Transaction<'_>, record: &Record) -> Result<(), StoreError> {
        match &record.wait {
            // A pause is told once, not at each try: tries are counted in the record.
            Some(wait) if record.tries == 1 => {
                let (subject, detail) = (record.uuid.to_string(), wait_detail(wait));
                audit::append(tx, record.updated_at, &subject, "waiting", &detail)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn discard(&self, files: &[String]) {
        // Left-overs of a failure here are swept at the next start.
        let _ = self.store.discard(files);
    }
}

/// Writes the record and ends its claim.
fn release(tx: &Transaction<'_>, record: &Record, claim: Claim) -> Result<(), OutboxError> {
    held(rows::update(tx, record, claim.number, false)?, claim)
}

fn held(held: bool, claim: Claim) -> Result<(), OutboxError> {
    if held {
        Ok(())
    } else {
        Err(OutboxError::LeaseLost(claim.uuid))
    }
}

fn wait_detail(wait: &Wait) -> Value {
    json!({ "class": wait.class, "code": wait.code, "text": wait.text })
}

/// Exponential from one second to `longest`; half of it is jitter, so that many
/// submissions do not return at once.
fn backoff(tries: u32, longest: Duration) -> Duration {
    let full = BACKOFF_MIN
        .saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1).min(16)))
        .min(longest);
    full / 2 + hold::jitter(full / 2)
}
