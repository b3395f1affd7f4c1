//! The whole log recomputed: chain, tree, checkpoints and what witnesses them.
//! Needs public keys and anchors, no secret and no network; memory does not
//! grow with the log.

use super::log::{kept_digest, nonce};
use super::note::{Checkpoint, NoteError, PublicKey};
use super::source::{RawCheckpoint, RawEntry};
use super::tree::{Growing, Hash};
use super::{AuditError, CHECKPOINT, KEY, SUBJECT, link};
use crate::base::causes;
use crate::base::clock::from_unix_ms;
use crate::x509::tsp::{TimestampToken, TspError};
use crate::x509::{Cert, SignatureAlgorithm};
use serde_json::Value;
use std::collections::VecDeque;
use time::{Duration, OffsetDateTime};

/// Most faults, and most gaps, that are listed; the others are counted.
const LISTED_MAX: usize = 100;
/// Most checkpoints before the entries about them: as many as are witnessed at
/// once, and some more.
const UNRECORDED_MAX: usize = 1000;
/// How long after a checkpoint a timestamp may be without one: what the setting
/// allows at most, and ten minutes.
const WITNESSED_WITHIN: Duration = Duration::minutes(70);
/// The event of a document's timestamp.
const STAMPED: &[u8] = b"stamped";

/// A piece of the log. A checkpoint comes after the last entry it covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// An entry.
    Entry(RawEntry),
    /// A checkpoint.
    Checkpoint(RawCheckpoint),
}

/// A checkpoint that was kept outside of the log.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Where it was kept, for people.
    pub name: String,
    /// The signed note.
    pub note: String,
}

/// What to compare the log with.
pub struct Judge<'a> {
    /// Keys its checkpoints may be signed with.
    pub keys: &'a [PublicKey],
    /// Checkpoints kept elsewhere.
    pub kept: Vec<Kept>,
    /// Why a timestamp that is good in itself is not to be trusted: its chain,
    /// built from these certificates, and its algorithm at its time.
    pub trusted: &'a Trusted<'a>,
    /// Whether the stored root of a subtree (leaves, first, root) is this one;
    /// `None` where nothing is stored.
    pub node: Option<&'a Node<'a>>,
}

/// See [`Judge::trusted`].
pub type Trusted<'a> =
    dyn Fn(&TimestampToken, SignatureAlgorithm, &[Cert]) -> Result<(), String> + 'a;
/// See [`Judge::node`].
pub type Node<'a> = dyn Fn(i64, i64, &Hash) -> Result<bool, AuditError> + 'a;

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Entries read.
    pub entries: i64,
    /// Number and hash of the last.
    pub head: (i64, Vec<u8>),
    /// Root of the tree over all; `None` when entries are at fault.
    pub root: Option<Hash>,
    /// Checkpoints read.
    pub checkpoints: u64,
    /// The newest checkpoint that is good in every respect.
    pub witnessed: Option<Witnessed>,
    /// What is wrong, in the order it was found.
    pub faults: Vec<Fault>,
    /// Faults that are not listed any more.
    pub faults_unlisted: u64,
    /// Documents that were stamped without a checkpoint of their time.
    pub gaps: Vec<Gap>,
}

/// Up to where an authority witnesses the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    /// Entries covered.
    pub size: i64,
    /// The time in the timestamp.
    pub at: OffsetDateTime,
    /// Subject of the authority's certificate.
    pub authority: String,
}

/// Entries that say documents were stamped, long after the checkpoint before:
/// each of these timestamps would have witnessed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The first such entry.
    pub from: i64,
    /// The last.
    pub to: i64,
    /// When the first was written.
    pub at: OffsetDateTime,
}

/// One fault and the entries it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// Number of the first entry concerned.
    pub from: i64,
    /// Number of the last.
    pub to: i64,
    /// What was seen, where there is more to say.
    pub detail: String,
}

/// What is wrong with a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// An entry's hash is not that of its content and the entry before.
    EntryAltered,
    /// Numbers are left out.
    EntriesMissing,
    /// An entry with a number that is not its turn.
    EntryExtra,
    /// The log ends before a checkpoint of its own.
    EntriesCutOff,
    /// The chain fits in itself, but not the root of a checkpoint.
    EntriesRewritten,
    /// A checkpoint, its row or its signature was altered.
    CheckpointAltered,
    /// A checkpoint signed with another key.
    CheckpointForeign,
    /// An entry speaks of a checkpoint that is not there.
    CheckpointMissing,
    /// No entry speaks of the checkpoint.
    CheckpointExtra,
    /// The timestamp of a checkpoint is damaged or not by who it says.
    TimestampAltered,
    /// The timestamp was made for another request.
    TimestampOther,
    /// The timestamp is by an authority that no anchor stands for.
    TimestampUntrusted,
    /// A checkpoint kept elsewhere covers more entries than there are.
    OlderThanKept,
    /// A checkpoint kept elsewhere has another root.
    OtherThanKept,
    /// A stored root of the tree is not that of its entries.
    TreeAltered,
    /// The log cannot be read any further.
    Unreadable,
}

impl FaultKind {
    /// A stable code for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::EntryAltered => "entry-altered",
            Self::EntriesMissing => "entries-missing",
            Self::EntryExtra => "entry-extra",
            Self::EntriesCutOff => "entries-cut-off",
            Self::EntriesRewritten => "entries-rewritten",
            Self::CheckpointAltered => "checkpoint-altered",
            Self::CheckpointForeign => "checkpoint-foreign",
            Self::CheckpointMissing => "checkpoint-missing",
            Self::CheckpointExtra => "checkpoint-extra",
            Self::TimestampAltered => "timestamp-altered",
            Self::TimestampOther => "timestamp-other",
            Self::TimestampUntrusted => "timestamp-untrusted",
            Self::OlderThanKept => "older-than-kept",
            Self::OtherThanKept => "other-than-kept",
            Self::TreeAltered => "tree-altered",
            Self::Unreadable => "unreadable",
        }
    }

    /// What it means.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::EntryAltered => "the entry is not what was written: its hash does not fit",
            Self::EntriesMissing => "entries are missing",
            Self::EntryExtra => "an entry stands where none can be",
            Self::EntriesCutOff => "the newest entries are missing: a checkpoint covers them",
            Self::EntriesRewritten => {
                "entries were rewritten with their hashes: the checkpoint has another root"
            }
            Self::CheckpointAltered => "the checkpoint is not what was kept",
            Self::CheckpointForeign => "the checkpoint is signed with another key",
            Self::CheckpointMissing => "the checkpoint that this entry records is missing",
            Self::CheckpointExtra => "no entry records this checkpoint",
            Self::TimestampAltered => "the checkpoint's timestamp is damaged",
            Self::TimestampOther => "the timestamp was made for something else",
            Self::TimestampUntrusted => "the timestamp is by nobody trusted",
            Self::OlderThanKept => "the log is older than a checkpoint kept elsewhere",
            Self::OtherThanKept => "the log is another than a checkpoint kept elsewhere",
            Self::TreeAltered => "the stored tree does not fit the entries",
            Self::Unreadable => "the log cannot be read from here on",
        }
    }

    /// What a person should do.
    pub fn advice(self) -> &'static str {
        match self {
            Self::EntryAltered
            | Self::EntriesMissing
            | Self::EntryExtra
            | Self::EntriesCutOff
            | Self::EntriesRewritten => {
                "Keep the state folder as it is, copy it, and find out who could write to it. The newest backup before the change has the entries; archives of the documents concerned hold their history."
            }
            Self::CheckpointAltered
            | Self::CheckpointMissing
            | Self::CheckpointExtra
            | Self::TimestampAltered
            | Self::TimestampOther => {
                "Copy the state folder and find out who could write to it. Entries up to the checkpoint before are still witnessed; compare the others with a backup, an export or archives."
            }
            Self::CheckpointForeign => {
                "Compare the key with the one that was noted when the service was set up. If it is another, somebody else signed; if the sealing key was replaced, give both keys."
            }
            Self::TimestampUntrusted => {
                "If the authority is one you used, give its root as an anchor. Otherwise somebody put a timestamp of their own in its place."
            }
            Self::OlderThanKept => {
                "If a backup was put back, this is the reason: remove audit.checkpoint from the state folder. Otherwise somebody replaced the database with an older copy."
            }
            Self::OtherThanKept => {
                "If a backup was put back that is older than this checkpoint (the log has an entry restored), this is the reason. Otherwise somebody rewrote the log: keep the state folder as it is, and find out who could write to it."
            }
            Self::TreeAltered => {
                "The entries speak for themselves. Copy the state folder and find out who could write to it; put back a backup, because new checkpoints would be wrong."
            }
            Self::Unreadable => {
                "Check the disk and the file, and put back a backup if it is damaged."
            }
        }
    }
}

/// Recomputes a log that is read piece by piece.
pub fn verify(items: impl Iterator<Item = Result<Item, AuditError>>, judge: Judge<'_>) -> Report {
    let mut verifier = Verifier::new(judge);
    for item in items {
        match item {
            Ok(Item::Entry(entry)) => verifier.entry(&entry),
            Ok(Item::Checkpoint(checkpoint)) => verifier.checkpoint(&checkpoint),
            Err(error) => {
                let next = verifier.report.head.0 + 1;
                verifier.fault(FaultKind::Unreadable, (next, next), causes(&error));
                // What is missing then says nothing.
                return verifier.report;
            }
        }
    }
    verifier.end()
}

struct Verifier<'j> {
    judge: Judge<'j>,
    report: Report,
    tree: Growing,
    /// Whether the tree is that of the log: no entry was at fault so far.
    is_tree_sound: bool,
    /// What the next entry may follow: the last one's hash, and what it should
    /// have been. Empty when that is unknown.
    previous: Vec<Vec<u8>>,
    /// Entries under the last checkpoint whose root fitted.
    fitted: i64,
    /// The farthest checkpoint of the log.
    farthest: i64,
    /// Checkpoints kept elsewhere, still to be compared, the smallest first.
    kept: VecDeque<(Checkpoint, String)>,
    /// Size and digest of checkpoints that no entry has recorded yet.
    unrecorded: VecDeque<(i64, String)>,
    /// When the last checkpoint was recorded, or the log got its key.
    covered_ms: Option<i64>,
    gap: Option<Gap>,
}

impl<'j> Verifier<'j> {
    fn new(mut judge: Judge<'j>) -> Self {
        let kept = std::mem::take(&mut judge.kept);
        let mut verifier = Self {
            judge,
            report: Report::default(),
            tree: Growing::default(),
            is_tree_sound: true,
            previous: vec![Vec::new()],
            fitted: 0,
            farthest: 0,
            kept: VecDeque::new(),
            unrecorded: VecDeque::new(),
            covered_ms: None,
            gap: None,
        };
        let mut opened = Vec::new();
        for Kept { name, note } in kept {
            match Checkpoint::open(&note, verifier.judge.keys) {
                Ok(checkpoint) => opened.push((checkpoint, name)),
                Err(error) => {
                    let detail = format!("{name}: {error}");
                    verifier.fault(note_fault(&error), (0, 0), detail);
                }
            }
        }
        opened.sort_by_key(|(checkpoint, _)| checkpoint.size);
        verifier.kept = opened.into();
        verifier
    }

    fn fault(&mut self, kind: FaultKind, (from, to): (i64, i64), detail: impl Into<String>) {
        if self.report.faults.len() == LISTED_MAX {
            self.report.faults_unlisted += 1;
            return;
        }
        let detail = detail.into();
        self.report.faults.push(Fault {
            kind,
            from,
            to,
            detail,
        });
    }

    fn entry(&mut self, entry: &RawEntry) {
        self.report.entries += 1;
        let (seq, expected) = (entry.seq, self.report.head.0 + 1);
        if seq < expected {
            self.is_tree_sound = false;
            return self.fault(FaultKind::EntryExtra, (seq, seq), "");
        }
        if seq > expected {
            self.is_tree_sound = false;
            self.previous.clear();
            self.fault(FaultKind::EntriesMissing, (expected, seq - 1), "");
        }
        let texts = [&entry.subject, &entry.event, &entry.detail].map(Vec::as_slice);
        let hashed = |previous: &Vec<u8>| link(previous, seq, entry.at_ms, texts).to_vec();
        let hashes: Vec<Vec<u8>> = self.previous.iter().map(hashed).collect();
        let fits = hashes.is_empty() || hashes.contains(&entry.hash);
        self.previous = vec![entry.hash.clone()];
        if !fits {
            self.is_tree_sound = false;
            self.fault(FaultKind::EntryAltered, (seq, seq), "");
            // If only its hash was altered, the next one follows the right one.
            self.previous.extend(hashes);
        }
        self.report.head = (seq, entry.hash.clone());
        self.grow(&entry.hash);
        self.about_itself(entry);
        self.compare_kept();
    }

    fn grow(&mut self, hash: &[u8]) {
        if !self.is_tree_sound {
            return;
        }
        let node = self.judge.node;
        let mut wrong = Vec::new();
        self.tree.push(hash, |leaves, first, root| {
            match node.map(|node| node(leaves, first, root)) {
                Some(Ok(false)) => wrong.push((first, leaves, String::new())),
                Some(Err(error)) => wrong.push((first, leaves, causes(&error))),
                Some(Ok(true)) | None => {}
            }
        });
        for (first, leaves, detail) in wrong {
            let entries = (first + 1, first + leaves);
            self.fault(FaultKind::TreeAltered, entries, detail);
        }
    }

    /// What entries say of checkpoints and timestamps.
    fn about_itself(&mut self, entry: &RawEntry) {
        if entry.event == STAMPED {
            self.stamped(entry);
        }
        if entry.subject != SUBJECT.as_bytes() {
            return;
        }
        if entry.event == KEY.as_bytes() {
            self.covered_ms = self.covered_ms.or(Some(entry.at_ms));
        }
        if entry.event == CHECKPOINT.as_bytes() {
            self.covered_ms = Some(entry.at_ms);
            self.end_gap();
            self.recorded(entry);
        }
    }

    fn stamped(&mut self, entry: &RawEntry) {
        let age = self.covered_ms.map(|ms| entry.at_ms.saturating_sub(ms));
        if age.is_some_and(|ms| Duration::milliseconds(ms) > WITNESSED_WITHIN) {
            let at = from_unix_ms(entry.at_ms);
            let (seq, fresh) = (entry.seq, (entry.seq, entry.seq, at));
            let (from, _, at) = self.gap.map_or(fresh, |gap| (gap.from, gap.to, gap.at));
            self.gap = Some(Gap { from, to: seq, at });
        }
    }

    fn end_gap(&mut self) {
        let gap = self.gap.take();
        let room = LISTED_MAX - self.report.gaps.len();
        self.report.gaps.extend(gap.into_iter().take(room));
    }

    fn recorded(&mut self, entry: &RawEntry) {
        let detail: Value = serde_json::from_slice(&entry.detail).unwrap_or_default();
        let size = detail.get("size").and_then(Value::as_i64).unwrap_or(0);
        let digest = detail.get("sha256").and_then(Value::as_str);
        let place = self.unrecorded.iter().position(|(known, _)| *known == size);
        let known = place.and_then(|place| self.unrecorded.remove(place));
        let entries = (entry.seq, entry.seq);
        match known {
            None => {
                let detail = format!("it covers {size} entries");
                self.fault(FaultKind::CheckpointMissing, entries, detail);
            }
            Some((_, known)) if Some(known.as_str()) != digest => {
                let detail = format!("entry {} records other bytes", entry.seq);
                self.fault(FaultKind::CheckpointAltered, (1, size), detail);
            }
            Some(_) => {}
        }
    }

    fn compare_kept(&mut self) {
        let (reached, is_sound) = (self.tree.size(), self.is_tree_sound);
        let is_due = |(kept, _): &mut (Checkpoint, String)| is_sound && kept.size <= reached;
        while let Some((kept, name)) = self.kept.pop_front_if(is_due) {
            if kept.size == reached && kept.root != self.tree.root() {
                self.fault(FaultKind::OtherThanKept, (1, kept.size), name);
            }
        }
    }

    fn checkpoint(&mut self, row: &RawCheckpoint) {
        self.report.checkpoints += 1;
        self.farthest = self.farthest.max(row.size);
        let digest = kept_digest(&row.note, &row.salt, &row.token, &row.chain);
        self.unrecorded.push_back((row.size, digest));
        if self.unrecorded.len() > UNRECORDED_MAX {
            self.extra();
        }
        let entries = (1, row.size);
        let note = String::from_utf8_lossy(&row.note);
        let stated = match Checkpoint::open(&note, self.judge.keys) {
            Ok(stated) if stated.size == row.size => Some(stated),
            Ok(stated) => {
                let detail = format!("it states {} entries", stated.size);
                self.fault(FaultKind::CheckpointAltered, entries, detail);
                None
            }
            Err(error) => {
                self.fault(note_fault(&error), entries, error.to_string());
                None
            }
        };
        let token = self.timestamp(row);
        if let Err((kind, detail)) = &token {
            self.fault(*kind, entries, detail);
        }
        let Some(stated) = stated.filter(|_| self.is_tree_sound && self.tree.size() == row.size)
        else {
            return;
        };
        if stated.root != self.tree.root() {
            self.is_tree_sound = false;
            let entries = (self.fitted + 1, row.size);
            return self.fault(FaultKind::EntriesRewritten, entries, "");
        }
        self.fitted = row.size;
        if let Ok(token) = token {
            self.report.witnessed = Some(Witnessed {
                size: row.size,
                at: token.gen_time(),
                authority: token.signer().subject(),
            });
        }
    }

    /// The timestamp that binds the note, or what is wrong with it.
    fn timestamp(&self, row: &RawCheckpoint) -> Result<TimestampToken, (FaultKind, String)> {
        let altered = |error: &TspError| (FaultKind::TimestampAltered, causes(error));
        let token = TimestampToken::from_der(&row.token).map_err(|error| altered(&error))?;
        // Over which document it is does not matter: the nonce is ours.
        let imprint = <[u8; 32]>::try_from(token.imprint());
        let imprint = imprint.map_err(|_| altered(&TspError::Imprint))?;
        let nonce = nonce(&row.salt, &row.note);
        let algorithm = match token.verify(&imprint, Some(&nonce)) {
            Ok(algorithm) => algorithm,
            Err(error @ TspError::Nonce) => {
                return Err((FaultKind::TimestampOther, causes(&error)));
            }
            Err(error) => return Err(altered(&error)),
        };
        let mut pool = token.certificates().to_vec();
        pool.extend(Cert::from_pem_many(&row.chain).unwrap_or_default());
        (self.judge.trusted)(&token, algorithm, &pool)
            .map_err(|reason| (FaultKind::TimestampUntrusted, reason))?;
        Ok(token)
    }

    /// The oldest checkpoint that no entry records.
    fn extra(&mut self) {
        if let Some((size, _)) = self.unrecorded.pop_front() {
            self.fault(FaultKind::CheckpointExtra, (1, size), "");
        }
    }

    fn end(mut self) -> Report {
        let last = self.report.head.0;
        if self.farthest > last {
            let entries = (last + 1, self.farthest);
            self.fault(FaultKind::EntriesCutOff, entries, "");
        }
        while !self.unrecorded.is_empty() {
            self.extra();
        }
        while let Some((Checkpoint { size, .. }, name)) = self.kept.pop_front() {
            if size > last {
                self.fault(FaultKind::OlderThanKept, (last + 1, size), name);
            }
        }
        self.end_gap();
        self.report.root = self.is_tree_sound.then(|| self.tree.root());
        self.report
    }
}

fn note_fault(error: &NoteError) -> FaultKind {
    match error {
        NoteError::Foreign => FaultKind::CheckpointForeign,
        NoteError::Malformed(_) | NoteError::Signature | NoteError::Key(_) => {
            FaultKind::CheckpointAltered
        }
    }
}
