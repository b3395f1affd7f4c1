//! Documents the sandbox has received. One counts as received only when its
//! bytes and its line in the journal are on disk.

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
    /// Refused by a rule of the insurer, with an anomaly code.
    Refused(String),
}

/// A received document.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// The document's UUID.
    pub uuid: String,
    /// Code prestataire of the sender.
    pub code_prestataire: String,
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
}

fn first() -> u64 {
    1
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Received(Entry),
    Again(String),
}

/// A document about to be received.
#[derive(Debug)]
pub struct Arrival<'a> {
    /// The document's UUID.
    pub uuid: String,
    /// Code prestataire of the sender.
    pub code_prestataire: String,
    /// modelUID it came under.
    pub model: String,
    /// The bytes.
    pub bytes: &'a [u8],
    /// What was decided.
    pub verdict: Verdict,
}

/// What became of an arrival.
#[derive(Debug)]
pub enum Received {
    /// It is new, and now on disk.
    New(Entry),
    /// The UUID was received before, whatever the bytes.
    Before,
}

struct State {
    entries: BTreeMap<String, Entry>,
    journal: File,
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
        let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
        for line in bytes[..whole]
            .split(|b| *b == b'\n')
            .filter(|l| !l.is_empty())
        {
            match serde_json::from_slice(line)? {
                Line::Received(entry) => {
                    entries.insert(entry.uuid.clone(), entry);
                }
                Line::Again(uuid) => {
                    if let Some(entry) = entries.get_mut(&uuid) {
                        entry.arrivals += 1;
                    }
                }
            }
        }
        let state = Mutex::new(State { entries, journal });
        let folder = folder.to_owned();
        Ok(Self { folder, state })
    }

    /// Receives a document, once per UUID. Returns after everything is on disk.
    ///
    /// # Errors
    /// When the disk does not take it; nothing is received then.
    pub fn receive(&self, arrival: &Arrival<'_>, now: OffsetDateTime) -> io::Result<Received> {
        let mut state = self.lock();
        if let Some(known) = state.entries.get_mut(&arrival.uuid) {
            known.arrivals += 1;
            let line = Line::Again(arrival.uuid.clone());
            append(&mut state.journal, &line)?;
            return Ok(Received::Before);
        }
        let number = state.entries.len() + 1;
        let entry = Entry {
            uuid: arrival.uuid.clone(),
            code_prestataire: arrival.code_prestataire.clone(),
            model: arrival.model.clone(),
            sha256: hex::encode(&sceau::base::digest::sha256(arrival.bytes)),
            secu_id: format!("SANDBOX-{number:08}"),
            received_at: clock::rfc3339(now),
            verdict: arrival.verdict.clone(),
            arrivals: 1,
        };
        file::write_atomic(&self.body_path(&entry.uuid), arrival.bytes)?;
        let line = Line::Received(entry.clone());
        append(&mut state.journal, &line)?;
        state.entries.insert(entry.uuid.clone(), entry.clone());
        Ok(Received::New(entry))
    }

    /// All received documents.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().entries.values().cloned().collect()
    }

    /// One received document.
    pub fn find(&self, uuid: &str) -> Option<Entry> {
        self.lock().entries.get(uuid).cloned()
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

    fn arrival(uuid: &str) -> Arrival<'static> {
        Arrival {
            uuid: uuid.to_owned(),
            code_prestataire: "90000001".to_owned(),
            model: "M".to_owned(),
            bytes: b"<a/>",
            verdict: Verdict::Accepted,
        }
    }

    #[test]
    fn a_torn_last_line_is_forgotten_and_the_rest_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let now = OffsetDateTime::UNIX_EPOCH;
        let ledger = Ledger::open(dir.path()).unwrap();
        ledger.receive(&arrival("a"), now).unwrap();
        let again = ledger.receive(&arrival("a"), now).unwrap();
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
        let new = ledger.receive(&arrival("b"), now).unwrap();
        assert!(matches!(new, Received::New(e) if e.secu_id == "SANDBOX-00000002"));
        drop(ledger);
        assert_eq!(Ledger::open(dir.path()).unwrap().entries().len(), 2);
    }
}
