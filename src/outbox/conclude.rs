//! D4: how an attempt or a question ended.

use super::{
    Claim, Conclusion, Event, Evidence, Kind, Lease, Outbox, OutboxError, Record, State, release,
    rows, wait_detail,
};
use crate::audit;
use crate::base::hold;
use crate::store::Body;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;

impl Outbox {
    /// D4: records how an attempt or a question ended.
    ///
    /// # Errors
    /// [`OutboxError::Store`]: [`Outbox::abandon`] the claim, the submission is
    /// `Unknown` then. [`OutboxError::LeaseLost`].
    pub fn conclude(
        &self,
        lease: Lease,
        conclusion: Conclusion,
        evidence: Evidence,
    ) -> Result<Record, OutboxError> {
        hold::point("d4-before");
        let claim = lease.claim();
        let mut bodies = Vec::new();
        bodies.extend(evidence.answer.map(|b| (Kind::Answer, b)));
        bodies.extend(evidence.envelope.map(|b| (Kind::Envelope, b)));
        if let Conclusion::Receipted(verdict) | Conclusion::Rejected(verdict) = &conclusion {
            bodies.push((Kind::AnswerFacts, verdict.reading.to_string().into_bytes()));
        }
        let bodies = self.seal_all(claim.uuid, &bodies)?;
        let (mut record, word, mut detail) = self.concluded(lease.record, conclusion);
        record.correlation_id = evidence.correlation_id.or(record.correlation_id);
        if let (Value::Object(map), Some(id)) = (&mut detail, &record.correlation_id) {
            map.insert("correlation_id".into(), id.as_str().into());
        }
        self.end(record, claim.number, &[(word, detail)], &bodies)
    }

    /// D4 of an attempt or a question that nobody was asked: as things are here
    /// it is not possible. In the history only once.
    ///
    /// # Errors
    /// As [`Outbox::conclude`].
    pub fn blocked(&self, lease: Lease, conclusion: Conclusion) -> Result<Record, OutboxError> {
        let code = |record: &Record| record.wait.as_ref().map(|wait| wait.code.clone());
        let before = (lease.record.state, code(&lease.record));
        let number = lease.number;
        let (record, word, detail) = self.concluded(lease.record, conclusion);
        let is_news = before != (record.state, code(&record));
        let events = is_news.then_some((word, detail));
        self.end(record, number, events.as_slice(), &[])
    }

    /// Commits how a claim ended, and tells it.
    pub(super) fn end(
        &self,
        mut record: Record,
        number: i64,
        events: &[(&'static str, Value)],
        bodies: &[(Kind, Body)],
    ) -> Result<Record, OutboxError> {
        let claim = Claim {
            uuid: record.uuid,
            number,
        };
        let replaced = self.store.transact(|tx| {
            let replaced = self.keep_all(tx, record.uuid, bodies)?;
            let subject = record.uuid.to_string();
            for (word, detail) in events {
                audit::append(tx, record.updated_at, &subject, word, detail)?;
            }
            release(tx, &record, claim)?;
            if let State::Ready = record.state {
                record.state = rows::resume(tx, record.uuid)?.unwrap_or(State::Ready);
            }
            if record.state == State::Rejected {
                rows::end_links(tx, record.uuid)?;
            }
            self.store.stage(&replaced);
            Ok::<_, OutboxError>(replaced)
        });
        let replaced = self.unless_lost(replaced, bodies)?;
        hold::point("d4-after");
        self.settle(bodies, &replaced);
        let made = |(word, detail): &(&'static str, Value)| Event {
            word,
            at: record.updated_at,
            detail: detail.clone(),
        };
        let made: Vec<Event> = events.iter().map(made).collect();
        self.followers.committed(&record, &made);
        self.notify();
        if record.state.is_final() {
            // One counted too few must not make room for none at all.
            let less = |open: usize| open.checked_sub(1);
            let _ = (self.open).fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
            self.waiters.end(record.uuid);
        }
        Ok(record)
    }

    pub(super) fn concluded(
        &self,
        record: Record,
        conclusion: Conclusion,
    ) -> (Record, &'static str, Value) {
        match conclusion {
            Conclusion::Receipted(verdict) => {
                let mut record = self.finished(record, State::Receipted);
                record.insurer_id = verdict.insurer_id;
                let detail = json!({ "insurer_id": record.insurer_id });
                (record, "receipted", detail)
            }
            Conclusion::Rejected(verdict) => {
                let mut record = self.finished(record, State::Rejected);
                record.insurer_id = verdict.insurer_id;
                (record, "rejected", json!({ "codes": verdict.codes }))
            }
            Conclusion::Retry { after, wait } => {
                let detail = wait_detail(&wait);
                let mut record = self.paused(record, Some(wait), after, false);
                record.state = State::Ready;
                (record, "not-delivered", detail)
            }
            Conclusion::Unknown { wait } => {
                let detail = wait_detail(&wait);
                // Not a new step: a document whose every attempt is lost must
                // not go round and round without a growing pause.
                let mut record = self.paused(record, Some(wait), Duration::ZERO, false);
                record.state = State::Unknown;
                (record, "unknown", detail)
            }
        }
    }

    fn finished(&self, mut record: Record, state: State) -> Record {
        record.state = state;
        record.wait = None;
        record.due_at = None;
        record.tries = 0;
        record.updated_at = self.clock.now();
        record
    }
}
