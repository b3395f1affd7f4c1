//! Answers kept between documents, and the last good ones also between starts.
//! What comes out is judged anew as if it had just arrived, so a wrong or
//! altered entry costs a call, never trust. It is public data: plain files.

use super::Evidence;
use crate::base::{file, hex};
use crate::x509::Cert;
use std::collections::HashMap;
use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use time::OffsetDateTime;

/// Most files kept.
const FILES_MAX: usize = 256;
/// Most bytes of files kept.
const FILES_BYTES_MAX: u64 = 64 << 20;

/// Most addresses that failed remembered.
const PAUSES_MAX: usize = 64;

/// What kind of answer an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// An OCSP response (a few KiB).
    Ocsp,
    /// A revocation list (up to 10 MiB).
    List,
    /// An issuer's certificate.
    Issuer,
    /// The certificate of a configured timestamp authority.
    Authority,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Ocsp => "ocsp",
            Self::List => "crl",
            Self::Issuer => "aia",
            Self::Authority => "tsa",
        }
    }

    /// Most entries of this kind kept in memory.
    fn entries_max(self) -> usize {
        match self {
            Self::Ocsp => 256,
            Self::List => 8,
            Self::Issuer | Self::Authority => 64,
        }
    }
}

/// Kind, and SHA-256 of what it is an answer to.
pub(super) type Key = (Kind, [u8; 32]);

#[derive(Debug, Clone)]
pub(super) enum Item {
    Evidence(Evidence),
    Certificate(Cert),
}

impl Item {
    fn der(&self) -> &[u8] {
        match self {
            Self::Evidence(evidence) => evidence.der(),
            Self::Certificate(cert) => cert.der(),
        }
    }

    fn read(kind: Kind, der: &[u8]) -> Option<Self> {
        match kind {
            Kind::Ocsp | Kind::List => Evidence::from_der(der).ok().map(Self::Evidence),
            Kind::Issuer | Kind::Authority => Cert::from_der(der).ok().map(Self::Certificate),
        }
    }
}

/// An entry.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) item: Item,
    /// When it was fetched; `None`: before this start.
    pub(super) fetched_at: Option<OffsetDateTime>,
}

/// Shared by worker threads.
#[derive(Debug)]
pub(super) struct Memory {
    folder: Option<PathBuf>,
    entries: Mutex<HashMap<Key, Kept>>,
    /// Addresses that failed, and until when others are asked before them.
    pauses: Mutex<HashMap<String, OffsetDateTime>>,
}

impl Memory {
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self {
            folder,
            entries: Mutex::default(),
            pauses: Mutex::default(),
        }
    }

    fn pauses(&self) -> MutexGuard<'_, HashMap<String, OffsetDateTime>> {
        self.pauses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that an address failed.
    pub(super) fn pause(&self, url: &str, until: OffsetDateTime) {
        let mut pauses = self.pauses();
        if pauses.len() >= PAUSES_MAX {
            pauses.clear();
        }
        pauses.insert(url.to_owned(), until);
    }

    /// Whether an address failed not long ago.
    pub(super) fn paused_until(&self, url: &str) -> Option<OffsetDateTime> {
        self.pauses().get(url).copied()
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Key, Kept>> {
        // Entries are only ever inserted whole: a panic elsewhere spoils none.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entry, from memory or from its file.
    pub(super) fn recall(&self, key: Key) -> Option<Kept> {
        if let Some(kept) = self.entries().get(&key) {
            return Some(kept.clone());
        }
        let der = fs::read(self.path(key)?).ok()?;
        let kept = Kept {
            item: Item::read(key.0, &der)?,
            fetched_at: None,
        };
        self.insert(key, kept.clone());
        Some(kept)
    }

    /// Keeps an answer; `lasting`: also in a file.
    pub(super) fn keep(&self, key: Key, item: Item, at: OffsetDateTime, lasting: bool) {
        let path = self.path(key).filter(|_| lasting);
        let der = item.der().to_vec();
        let fetched_at = Some(at);
        self.insert(key, Kept { item, fetched_at });
        let Some(path) = path else { return };
        if fs::read(&path).is_ok_and(|known| known == der) {
            return;
        }
        let kept = path.parent().map_or(Ok(()), file::create_private_dir);
        match kept.and_then(|()| file::write_atomic(&path, &der)) {
            Ok(()) => prune(&path),
            // It would only have saved a call.
            Err(error) => tracing::warn!(path = %path.display(), "not kept: {error}"),
        }
    }

    /// A full kind loses its oldest entry.
    fn insert(&self, key: Key, kept: Kept) {
        let mut entries = self.entries();
        let same_kind = entries.iter().filter(|((kind, _), _)| *kind == key.0);
        let full = same_kind.clone().count() >= key.0.entries_max();
        let oldest = same_kind.min_by_key(|(_, kept)| kept.fetched_at);
        if let Some(oldest) = oldest.map(|(key, _)| *key)
            && full
            && !entries.contains_key(&key)
        {
            entries.remove(&oldest);
        }
        entries.insert(key, kept);
    }

    fn path(&self, (kind, hash): Key) -> Option<PathBuf> {
        let name = format!("{}-{}.der", kind.word(), hex::encode(&hash));
        Some(self.folder.as_ref()?.join(name))
    }
}

/// Removes the oldest files beside `newest` until number and bytes are within
/// their limits.
fn prune(newest: &Path) {
    let Some(Ok(entries)) = newest.parent().map(fs::read_dir) else {
        return;
    };
    let modified = |entry: &DirEntry| {
        let modified = entry.metadata().and_then(|m| m.modified());
        modified.unwrap_or(SystemTime::UNIX_EPOCH)
    };
    let mut files: Vec<DirEntry> = entries.flatten().collect();
    files.sort_by_key(|entry| std::cmp::Reverse((entry.path() == newest, modified(entry))));
    let mut bytes = 0;
    for (n, entry) in files.iter().enumerate() {
        bytes += entry.metadata().map_or(0, |m| m.len());
        if n >= FILES_MAX || bytes > FILES_BYTES_MAX {
            let _ = fs::remove_file(entry.path());
        }
    }
}
