//! What changes, for those who follow it: a bell that rings with each change,
//! and what happened since, read from the audit log. The numbers are those of
//! the log, so that whoever was away goes on where it was.

use super::{Client, Event, Outbox, OutboxError, Record, Stage, rows};
use crate::audit::{self, Entry};
use crate::base::limits;
use crate::forms::CodePrestataire;
use crate::store::StoreError;
use crate::store::rusqlite::{Connection, params};
use std::sync::OnceLock;
use tokio::sync::watch::{Receiver, Sender};

/// One step of one submission.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its entry in the audit log; `subject` is the document's UUID.
    pub entry: Entry,
    /// Form of the document.
    pub form: String,
    /// Operation of the form.
    pub operation: String,
    /// Sender.
    pub code_prestataire: String,
    /// The state now, which may be past the one this step led to.
    pub state: String,
}

/// What happened after a number, up to another.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// What the program may see of it, oldest first.
    pub steps: Vec<Step>,
    /// From where to go on.
    pub upto: i64,
}

type Observer = Box<dyn Fn(&Record, &[Event]) + Send + Sync>;

/// Who is told of changes.
pub(super) struct Followers {
    /// Counts changes; `None` once the service stops.
    bell: Sender<Option<u64>>,
    observer: OnceLock<Observer>,
}

impl Default for Followers {
    fn default() -> Self {
        Self {
            bell: Sender::new(Some(0)),
            observer: OnceLock::new(),
        }
    }
}

impl Followers {
    /// Something changed.
    pub(super) fn ring(&self) {
        self.bell
            .send_modify(|count| *count = count.map(|n| n.wrapping_add(1)));
    }

    /// The service stops.
    pub(super) fn end(&self) {
        self.bell.send_replace(None);
    }

    /// A worker's step on this submission was committed, with what intake made in it.
    pub(super) fn committed(&self, record: &Record, made: &[Event]) {
        if let Some(observer) = self.observer.get() {
            observer(record, made);
        }
    }
}

impl Outbox {
    /// Changes whenever something happened to a submission; `None` when the
    /// service stops.
    pub fn bell(&self) -> Receiver<Option<u64>> {
        self.followers.bell.subscribe()
    }

    /// Has `observer` called with each submission as a worker left it and the
    /// steps that intake made, after the commit, on the worker's thread. Once;
    /// later calls change nothing.
    pub fn observe(&self, observer: impl Fn(&Record, &[Event]) + Send + Sync + 'static) {
        let _ = self.followers.observer.set(Box::new(observer));
    }

    /// Number of the newest step; 0 before the first.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn newest(&self) -> Result<i64, OutboxError> {
        let head = self.store.read(audit::head)?;
        Ok(head.map_or(0, |(seq, _)| seq))
    }

    /// What happened after the step `after` to documents of practitioners that
    /// `client` may act for: at most [`limits::EVENTS_PAGE`] entries are looked
    /// at, so that an old number costs no more than a new one.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn steps_after(&self, after: i64, client: &Client) -> Result<Page, OutboxError> {
        Ok(self.store.read(|connection| {
            let newest = audit::head(connection)?.map_or(0, |(seq, _)| seq);
            let upto = after.saturating_add(limits::EVENTS_PAGE).min(newest);
            let steps = steps(connection, (after, upto), client)?;
            Ok::<_, StoreError>(Page { steps, upto })
        })?)
    }

    /// Some of the submissions that pause, to begin with: what is looked at is
    /// bounded, and each tells of itself with its next try. In the order of their
    /// last tries.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn waiting(&self) -> Result<Vec<Record>, OutboxError> {
        let read = |c: &Connection| {
            let mut all = rows::sample(c, Stage::Intake, limits::PAUSED_SAMPLE)?;
            all.extend(rows::sample(c, Stage::Delivery, limits::PAUSED_SAMPLE)?);
            all.retain(|record| record.wait.is_some());
            all.sort_by_key(|record| record.updated_at);
            Ok::<_, StoreError>(all)
        };
        match self.store.read(read) {
            // That it is damaged is what is to be shown then.
            Err(_) if self.is_only_read() => Ok(Vec::new()),
            waiting => Ok(waiting?),
        }
    }
}

fn steps(
    connection: &Connection,
    (after, upto): (i64, i64),
    client: &Client,
) -> Result<Vec<Step>, StoreError> {
    let failed = StoreError::sql("read what happened");
    let of = client.practitioners.iter().map(CodePrestataire::as_str);
    let of = serde_json::json!(of.collect::<Vec<_>>()).to_string();
    let sql = "SELECT a.seq, a.at_ms, a.subject, a.event, a.detail, s.form, s.operation, \
         s.code_prestataire, s.state FROM audit a JOIN submission s ON s.uuid = a.subject \
         WHERE a.seq > ?1 AND a.seq <= ?2 \
         AND (?3 = '[]' OR s.code_prestataire IN (SELECT value FROM json_each(?3))) ORDER BY a.seq";
    let mut statement = connection.prepare_cached(sql).map_err(&failed)?;
    let rows = statement.query_map(params![after, upto, of], |row| {
        Ok(Step {
            entry: audit::entry(row)?,
            form: row.get(5)?,
            operation: row.get(6)?,
            code_prestataire: row.get(7)?,
            state: row.get(8)?,
        })
    });
    let rows = rows.map_err(&failed)?;
    rows.collect::<Result<_, _>>().map_err(&failed)
}
