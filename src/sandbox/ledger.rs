//! Documents the sandbox has received. One counts as received only when its
//! bytes and its line in the journal are on disk.

use crate::anomaly::Anomaly;
use sceau::base::{clock, file, hex};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use time::OffsetDateTime;

/// What was decided about a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Taken.
    Accepted,
    /// Refused by a rule of the insurer, with the first anomaly code.
    Refused(String),
}

/// How far a document has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Received, accepted.
    Received,
    /// Received, refused.
    Refused,
    /// Passed on to the caisse, or to whom it concerns.
    Sent,
    /// The patient has asked for reimbursement.
    ReimbursementAsked,
    /// Paid.
    Paid,
    /// Cancelled.
    Cancelled,
    /// Cancelled, another takes its place.
    Replaced,
    /// A simulation that was validated.
    Validated,
    /// A simulation that was contested.
    Contested,
}

/// A step in the life of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, RFC 3339.
    pub at: String,
    /// What it has come to.
    pub status: Status,
    /// UUID of the document that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// What a simulation came to, in euro with two decimals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// What the insurance pays.
    pub statutory: String,
    /// What the patient pays, beyond the tariff included.
    pub personal: String,
}

/// A received document. What came later than the first journal has a default.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// The document's UUID.
    pub uuid: String,
    /// Code prestataire of the sender.
    pub code_prestataire: String,
    /// Form.
    #[serde(default)]
    pub form: String,
    /// Operation of the form.
    #[serde(default)]
    pub operation: String,
    /// modelUID it came under.
    pub model: String,
    /// SHA-256 of the bytes, hexadecimal.
    pub sha256: String,
    /// The sandbox's own identifier.
    pub secu_id: String,
    /// When it was received, RFC 3339.
    pub received_at: String,
    /// What was decided.
    pub verdict: Verdict,
    /// How often it arrived, the first time included.
    #[serde(default = "first")]
    pub arrivals: u64,
    /// What was remarked.
    #[serde(default)]
    pub anomalies: Vec<Anomaly>,
    /// UUIDs of the documents it names.
    #[serde(default)]
    pub refers_to: Vec<String>,
    /// What a simulation came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totals: Option<Totals>,
    /// The part of the answer that is the form's own, XML.
    #[serde(default)]
    pub content: String,
    /// Statuses still to come, in order.
    #[serde(default)]
    pub ahead: Vec<Status>,
    /// What it went through.
    #[serde(default)]
    pub history: Vec<Event>,
}

fn first() -> u64 {
    1
}

impl Entry {
    /// How far it has come.
    pub fn status(&self) -> Status {
        match (self.history.last(), &self.verdict) {
            (Some(event), _) => event.status,
            (None, Verdict::Accepted) => Status::Received,
            (None, Verdict::Refused(_)) => Status::Refused,
        }
    }

    fn apply(&mut self, event: Event) {
        if self.ahead.first() == Some(&event.status) {
            self.ahead.remove(0);
        } else {
            self.ahead.clear();
        }
        self.history.push(event);
    }
}

/// A document's next status.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Change {
    uuid: String,
    event: Event,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Received {
        #[serde(flatten)]
        entry: Box<Entry>,
        /// What it does to others; with it in one line, so that both happen.
        #[serde(default)]
        changes: Vec<Change>,
    },
    Again(String),
    Changed(Change),
}

/// A document about to be received.
#[derive(Debug)]
pub struct Arrival<'a> {
    /// The document's UUID.
    pub uuid: String,
    /// Code prestataire of the sender.
    pub code_prestataire: String,
    /// Form.
    pub form: String,
    /// Operation of the form.
    pub operation: String,
    /// modelUID it came under.
    pub model: String,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// What is decided about an arrival.
#[derive(Debug, Default)]
pub struct Decision {
    /// Remarks; a blocking one refuses.
    pub anomalies: Vec<Anomaly>,
    /// See [`Entry::content`].
    pub content: String,
    /// See [`Entry::totals`].
    pub totals: Option<Totals>,
    /// UUIDs of the documents it names.
    pub refers_to: Vec<String>,
    /// What an acceptance does to other documents, by UUID.
    pub effects: Vec<(String, Status)>,
    /// See [`Entry::ahead`], of an accepted document.
    pub ahead: Vec<Status>,
}

/// What became of an arrival.
#[derive(Debug)]
pub enum Received {
    /// It is new, and now on disk.
    New(Box<Entry>),
    /// The UUID was received before, whatever the bytes.
    Before,
}

/// What became of the wish to advance a document.
#[derive(Debug)]
pub enum Advanced {
    /// It took its next status.
    To(Box<Entry>),
    /// Nothing comes after the status it has.
    AtEnd(Status),
    /// No such document.
    Unknown,
}

/// All received documents, by UUID.
#[derive(Debug, Default)]
pub struct Book(BTreeMap<String, Entry>);

impl Book {
    /// The document with this UUID.
    pub fn find(&self, uuid: &str) -> Option<&Entry> {
        self.0.get(uuid)
    }

    /// The document the sandbox gave this identifier.
    pub fn by_secu_id(&self, id: &str) -> Option<&Entry> {
        self.0.values().find(|entry| entry.secu_id == id)
    }

    fn apply(&mut self, line: Line) {
        match line {
            Line::Received { entry, changes } => {
                self.0.insert(entry.uuid.clone(), *entry);
                changes.into_iter().for_each(|change| self.change(change));
            }
            Line::Again(uuid) => {
                if let Some(entry) = self.0.get_mut(&uuid) {
                    entry.arrivals += 1;
                }
            }
            Line::Changed(change) => self.change(change),
        }
    }

    fn change(&mut self, change: Change) {
        if let Some(entry) = self.0.get_mut(&change.uuid) {
            entry.apply(change.event);
        }
    }
}

struct State {
    book: Book,
    journal: File,
}

impl State {
    /// Writes a line and does what it says.
    fn write(&mut self, line: Line) -> io::Result<()> {
        append(&mut self.journal, &line)?;
        self.book.apply(line);
        Ok(())
    }
}

/// The journal and the bodies beside it.
pub struct Ledger {
    folder: PathBuf,
    state: Mutex<State>,
}

impl Ledger {
    /// Opens the ledger. A torn last line was never acknowledged and is cut off.
    ///
    /// # Errors
    /// When files cannot be used, or a line other than the last is damaged.
    pub fn open(folder: &Path) -> io::Result<Self> {
        file::create_private_dir(folder)?;
        let path = folder.join("journal.jsonl");
        let mut options = OpenOptions::new();
        options.create(true).append(true).read(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let journal = options.open(&path)?;
        let bytes = std::fs::read(&path)?;
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
        journal.set_len(whole as u64)?;
        journal.sync_all()?;
        file::sync_folder(folder)?;
        let mut book = Book::default();
        let lines = bytes[..whole].split(|b| *b == b'\n');
        for line in lines.filter(|l| !l.is_empty()) {
            book.apply(serde_json::from_slice(line)?);
        }
        let state = Mutex::new(State { book, journal });
        let folder = folder.to_owned();
        Ok(Self { folder, state })
    }

    /// Receives a document, once per UUID. `decide` sees all others and the
    /// identifier this one gets; nothing else is received meanwhile. Returns
    /// after everything is on disk.
    ///
    /// # Errors
    /// When the disk does not take it, or `decide` fails; nothing is received
    /// then.
    pub fn receive<E: From<io::Error>>(
        &self,
        arrival: &Arrival<'_>,
        now: OffsetDateTime,
        decide: impl FnOnce(&Book, &str) -> Result<Decision, E>,
    ) -> Result<Received, E> {
        let mut state = self.lock();
        if state.book.find(&arrival.uuid).is_some() {
            state.write(Line::Again(arrival.uuid.clone()))?;
            return Ok(Received::Before);
        }
        let secu_id = format!("SANDBOX-{:08}", state.book.0.len() + 1);
        let decision = decide(&state.book, &secu_id)?;
        let at = clock::rfc3339(now);
        let blocking = decision.anomalies.iter().find(|a| a.blocks());
        let (verdict, status, ahead, effects) = match blocking {
            Some(anomaly) => {
                let verdict = Verdict::Refused(anomaly.code.to_string());
                (verdict, Status::Refused, Vec::new(), Vec::new())
            }
            None => {
                let (ahead, effects) = (decision.ahead, decision.effects);
                (Verdict::Accepted, Status::Received, ahead, effects)
            }
        };
        let event = |status, by| Event {
            at: at.clone(),
            status,
            by,
        };
        let entry = Box::new(Entry {
            uuid: arrival.uuid.clone(),
            code_prestataire: arrival.code_prestataire.clone(),
            form: arrival.form.clone(),
            operation: arrival.operation.clone(),
            model: arrival.model.clone(),
            sha256: hex::encode(&sceau::base::digest::sha256(arrival.bytes)),
            secu_id,
            received_at: at.clone(),
            verdict,
            arrivals: 1,
            anomalies: decision.anomalies,
            refers_to: decision.refers_to,
            totals: decision.totals,
            content: decision.content,
            ahead,
            history: vec![event(status, None)],
        });
        let changes = effects.into_iter().map(|(uuid, status)| Change {
            uuid,
            event: event(status, Some(arrival.uuid.clone())),
        });
        let changes = changes.collect();
        file::write_atomic(&self.body_path(&entry.uuid), arrival.bytes)?;
        state.write(Line::Received {
            entry: entry.clone(),
            changes,
        })?;
        Ok(Received::New(entry))
    }

    /// Gives a document its next status.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn advance(&self, uuid: &str, now: OffsetDateTime) -> io::Result<Advanced> {
        let mut state = self.lock();
        let Some(entry) = state.book.find(uuid) else {
            return Ok(Advanced::Unknown);
        };
        let Some(next) = entry.ahead.first().copied() else {
            return Ok(Advanced::AtEnd(entry.status()));
        };
        state.write(step(uuid, next, now))?;
        let advanced = state.book.find(uuid).cloned();
        Ok(advanced.map_or(Advanced::Unknown, |entry| Advanced::To(Box::new(entry))))
    }

    /// Gives every document its next status that has rested `rest` in its last.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn advance_rested(&self, rest: time::Duration, now: OffsetDateTime) -> io::Result<()> {
        let mut state = self.lock();
        let due = |entry: &&Entry| {
            let last = entry.history.last();
            let since = last.and_then(|event| clock::parse_rfc3339(&event.at));
            since.is_some_and(|since| now - since >= rest)
        };
        let entries = state.book.0.values().filter(due);
        let next = |entry: &Entry| Some((entry.uuid.clone(), *entry.ahead.first()?));
        let due: Vec<_> = entries.filter_map(next).collect();
        for (uuid, next) in due {
            state.write(step(&uuid, next, now))?;
        }
        Ok(())
    }

    /// All received documents.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().book.0.values().cloned().collect()
    }

    /// One received document.
    pub fn find(&self, uuid: &str) -> Option<Entry> {
        self.lock().book.find(uuid).cloned()
    }

    /// The bytes of a received document.
    pub fn body(&self, uuid: &str) -> Option<Vec<u8>> {
        self.find(uuid)?;
        std::fs::read(self.body_path(uuid)).ok()
    }

    fn body_path(&self, uuid: &str) -> PathBuf {
        self.folder.join(format!("{uuid}.xml"))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn step(uuid: &str, status: Status, now: OffsetDateTime) -> Line {
    let at = clock::rfc3339(now);
    let event = Event {
        at,
        status,
        by: None,
    };
    let uuid = uuid.to_owned();
    Line::Changed(Change { uuid, event })
}

/// Appends a line and waits until it is on disk. A half-written line is cut
/// off again, so that it cannot spoil the next.
fn append(journal: &mut File, line: &Line) -> io::Result<()> {
    let before = journal.metadata()?.len();
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    let written = journal.write_all(&bytes).and_then(|()| journal.sync_data());
    if written.is_err() {
        journal.set_len(before)?;
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anomaly::Rule;

    const START: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn arrival(uuid: &str) -> Arrival<'static> {
        Arrival {
            uuid: uuid.to_owned(),
            code_prestataire: "90000001".to_owned(),
            form: "f".to_owned(),
            operation: "o".to_owned(),
            model: "M".to_owned(),
            bytes: b"<a/>",
        }
    }

    fn receive(ledger: &Ledger, uuid: &str, decision: Decision) -> Received {
        let decide = |_: &Book, _: &str| Ok::<_, io::Error>(decision);
        ledger.receive(&arrival(uuid), START, decide).unwrap()
    }

    #[test]
    fn a_torn_last_line_is_forgotten_and_the_rest_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        receive(&ledger, "a", Decision::default());
        let again = receive(&ledger, "a", Decision::default());
        assert!(matches!(again, Received::Before));
        drop(ledger);
        let path = dir.path().join("journal.jsonl");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend_from_slice(br#"{"received":{"uuid":"b","#);
        std::fs::write(&path, bytes).unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        assert_eq!(ledger.find("a").map(|e| e.arrivals), Some(2));
        assert!(ledger.find("b").is_none());
        assert_eq!(ledger.body("a").as_deref(), Some(&b"<a/>"[..]));
        let new = receive(&ledger, "b", Decision::default());
        assert!(matches!(new, Received::New(e) if e.secu_id == "SANDBOX-00000002"));
        drop(ledger);
        assert_eq!(Ledger::open(dir.path()).unwrap().entries().len(), 2);
    }

    #[test]
    fn a_journal_of_the_first_kind_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let old = concat!(
            r#"{"received":{"uuid":"a","code_prestataire":"90000001","model":"M","sha256":"00","#,
            r#""secu_id":"SANDBOX-00000001","received_at":"1970-01-01T00:00:00Z","#,
            r#""verdict":{"refused":"X"},"arrivals":1}}"#,
            "\n{\"again\":\"a\"}\n"
        );
        std::fs::write(dir.path().join("journal.jsonl"), old).unwrap();
        let entry = Ledger::open(dir.path()).unwrap().find("a").unwrap();
        assert_eq!((entry.arrivals, entry.status()), (2, Status::Refused));
    }

    #[test]
    fn what_a_document_does_to_another_is_done_with_it_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        let ahead = vec![Status::Sent, Status::Paid];
        let first = Decision {
            ahead,
            ..Decision::default()
        };
        receive(&ledger, "a", first);
        let cancels = |anomalies| Decision {
            anomalies,
            effects: vec![("a".to_owned(), Status::Cancelled)],
            ..Decision::default()
        };
        receive(&ledger, "b", cancels(vec![Rule::TargetPaid.anomaly(None)]));
        let status = |ledger: &Ledger, uuid| ledger.find(uuid).map(|e| e.status());
        assert_eq!(status(&ledger, "a"), Some(Status::Received));
        assert_eq!(status(&ledger, "b"), Some(Status::Refused));
        receive(
            &ledger,
            "c",
            cancels(vec![Rule::ReplacementAwaited.anomaly(None)]),
        );
        drop(ledger);
        let ledger = Ledger::open(dir.path()).unwrap();
        let entry = ledger.find("a").unwrap();
        assert_eq!(entry.status(), Status::Cancelled);
        assert_eq!(entry.history[1].by.as_deref(), Some("c"));
        let end = ledger.advance("a", START).unwrap();
        assert!(matches!(end, Advanced::AtEnd(Status::Cancelled)));
    }

    #[test]
    fn documents_advance_when_told_or_when_they_have_rested() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        let ahead = vec![Status::Sent, Status::ReimbursementAsked, Status::Paid];
        let decision = Decision {
            ahead,
            ..Decision::default()
        };
        receive(&ledger, "a", decision);
        let after = |seconds| START + time::Duration::seconds(seconds);
        let rest = time::Duration::seconds(5);
        ledger.advance_rested(rest, after(4)).unwrap();
        assert_eq!(ledger.find("a").map(|e| e.status()), Some(Status::Received));
        ledger.advance_rested(rest, after(5)).unwrap();
        ledger.advance_rested(rest, after(9)).unwrap();
        let told = ledger.advance("a", after(9)).unwrap();
        assert!(matches!(told, Advanced::To(e) if e.status() == Status::ReimbursementAsked));
        assert!(matches!(
            ledger.advance("b", START).unwrap(),
            Advanced::Unknown
        ));
        drop(ledger);
        let ledger = Ledger::open(dir.path()).unwrap();
        ledger.advance("a", after(10)).unwrap();
        assert!(matches!(
            ledger.advance("a", after(11)).unwrap(),
            Advanced::AtEnd(Status::Paid)
        ));
    }
}
