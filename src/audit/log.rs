//! The log of a running service: its key, and its checkpoints. A checkpoint is
//! kept only with the timestamp that witnesses it; one that was offered to an
//! authority in vain leaves nothing, and the next request carries a newer one.

use super::note::{PublicKey, SigningKey};
use super::{AuditError, CHECKPOINT, KEY, SUBJECT, append, head, newest, tree};
use crate::base::{Clock, Uuid4, digest, file, hex, random};
use crate::store::rusqlite::{Connection, Transaction, params};
use crate::store::{Store, StoreError};
use crate::x509::Cert;
use crate::x509::tsp::TimestampToken;
use serde_json::json;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use time::OffsetDateTime;

/// File in the state folder with the newest witnessed checkpoint: what a
/// database put back to an older state no longer fits.
pub const CHECKPOINT_FILE: &str = "audit.checkpoint";

/// How checkpoints are made.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Shortest time between two.
    pub checkpoint_every: Duration,
    /// Where the newest is kept beside the database.
    pub checkpoint_file: PathBuf,
}

/// The log with its key.
pub struct Log {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    key: SigningKey,
    last: Mutex<Last>,
}

/// The newest witnessed checkpoint.
#[derive(Debug, Clone, Copy, Default)]
struct Last {
    at: Option<OffsetDateTime>,
    /// Number of the entry about it: up to there is nothing new.
    seq: i64,
}

/// A checkpoint to be witnessed by the nonce of one timestamp request.
#[derive(Debug, Clone)]
pub struct Commitment {
    size: i64,
    note: String,
    salt: [u8; 32],
}

impl Commitment {
    /// The nonce that binds the checkpoint: unpredictable and used once, because
    /// the salt is.
    pub fn nonce(&self) -> [u8; 16] {
        nonce(&self.salt, self.note.as_bytes())
    }
}

/// The nonce that binds a note under a salt: the first 16 bytes of the SHA-256
/// of salt and note.
pub(super) fn nonce(salt: &[u8], note: &[u8]) -> [u8; 16] {
    let digest = digest::sha256_parts(&[salt, note]);
    let mut nonce = [0; 16];
    nonce.copy_from_slice(&digest[..16]);
    nonce
}

/// The digest by which the log's entry about a checkpoint names all that is
/// kept of it.
pub(super) fn kept_digest(note: &[u8], salt: &[u8], token: &[u8], chain: &[u8]) -> String {
    let parts = [note, salt, token, chain].map(digest::sha256);
    let parts: Vec<&[u8]> = parts.iter().map(<[u8; 32]>::as_slice).collect();
    hex::encode(&digest::sha256_parts(&parts))
}

impl Log {
    /// Opens the log of a store; the first time its key is made and recorded in
    /// it. The key is derived from the store's.
    ///
    /// # Errors
    /// [`AuditError::Store`], [`AuditError::SigningKey`].
    pub fn open(
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Result<Self, AuditError> {
        let known = store.read(|connection| known_key(&store, connection))?;
        let key = match known {
            Some(key) => key,
            // Another process may be making it now: that one counts for both.
            None => store.transact(|tx| match known_key(&store, tx)? {
                Some(key) => Ok(key),
                None => new_key(&store, tx, clock.now()),
            })?,
        };
        let last = store.read(|connection| newest(connection, CHECKPOINT))?;
        let last = last.map(|entry| Last {
            at: Some(entry.at),
            seq: entry.seq,
        });
        Ok(Self {
            store,
            clock,
            settings,
            key,
            last: Mutex::new(last.unwrap_or_default()),
        })
    }

    /// The key its checkpoints are signed with.
    pub fn key(&self) -> &PublicKey {
        self.key.public()
    }

    /// A signed checkpoint of the log as it is now, to be kept elsewhere.
    ///
    /// # Errors
    /// [`AuditError::Store`].
    pub fn checkpoint(&self) -> Result<String, AuditError> {
        Ok(self.signed()?.1)
    }

    fn signed(&self) -> Result<(i64, String), AuditError> {
        tree::store_complete(&self.store)?;
        self.store.read(|connection| {
            let (size, _) = head(connection)?.unwrap_or_default();
            let root = tree::root(connection, 0, size)?;
            Ok((size, self.key.checkpoint(size, root)))
        })
    }

    /// What the next timestamp request should witness, if anything: something
    /// was written, and the last checkpoint was long enough ago.
    ///
    /// # Errors
    /// [`AuditError::Store`].
    pub fn due(&self) -> Result<Option<Commitment>, AuditError> {
        let last = *self.last();
        if self.is_fresh(last) {
            return Ok(None);
        }
        let head = self.store.read(head)?;
        if head.is_none_or(|(seq, _)| seq <= last.seq) {
            return Ok(None);
        }
        let (size, note) = self.signed()?;
        let salt = random::bytes();
        Ok(Some(Commitment { size, note, salt }))
    }

    /// Keeps a checkpoint with the timestamp that has its nonce, and the
    /// authority's certificates up to the anchor, for verification offline. Of
    /// several that were witnessed at once the first stays.
    ///
    /// # Errors
    /// [`AuditError::Store`]: there is no such checkpoint then.
    /// [`AuditError::File`]: it is kept, but not beside the database.
    pub fn keep(
        &self,
        commitment: &Commitment,
        token: &TimestampToken,
        chain: &[Cert],
    ) -> Result<(), AuditError> {
        let mut last = self.last();
        if self.is_fresh(*last) {
            return Ok(());
        }
        let Commitment { size, note, salt } = commitment;
        let chain: String = chain.iter().map(Cert::to_pem).collect();
        let now = self.clock.now();
        let kept = self.store.transact(|tx| {
            let is_newest: bool = tx
                .query_row(
                    "SELECT NOT EXISTS (SELECT 1 FROM audit_checkpoint WHERE size >= ?1)",
                    [size],
                    |row| row.get(0),
                )
                .map_err(StoreError::sql("read the checkpoints"))?;
            if !is_newest {
                return Ok::<_, StoreError>(None);
            }
            tx.execute(
                "INSERT INTO audit_checkpoint VALUES (?1, ?2, ?3, ?4, ?5)",
                params![size, note, salt, token.der(), chain],
            )
            .map_err(StoreError::sql("keep a checkpoint"))?;
            let digest = kept_digest(note.as_bytes(), salt, token.der(), chain.as_bytes());
            let detail = json!({ "size": size, "sha256": digest });
            append(tx, now, SUBJECT, CHECKPOINT, &detail)?;
            head(tx)
        })?;
        let Some((seq, _)) = kept else { return Ok(()) };
        *last = Last { at: Some(now), seq };
        tracing::info!(size, "the audit log up to here is witnessed by a timestamp");
        let path = &self.settings.checkpoint_file;
        file::write_atomic(path, note.as_bytes()).map_err(AuditError::file("write", path))
    }

    /// A clock that was put back does not make the last one fresh for long.
    fn is_fresh(&self, last: Last) -> bool {
        let now = self.clock.now();
        last.at
            .is_some_and(|at| (now - at).unsigned_abs() < self.settings.checkpoint_every)
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key of the newest `key` entry, when it is derived from this store's.
fn known_key(store: &Store, connection: &Connection) -> Result<Option<SigningKey>, AuditError> {
    let recorded = newest(connection, KEY)?;
    let Some(recorded) = recorded.as_ref().and_then(PublicKey::recorded) else {
        return Ok(None);
    };
    let key = derived(store, recorded.name())?;
    Ok((*key.public() == recorded).then_some(key))
}

fn new_key(
    store: &Store,
    transaction: &Transaction<'_>,
    now: OffsetDateTime,
) -> Result<SigningKey, AuditError> {
    let key = derived(store, &format!("sceau/audit/{}", Uuid4::random()))?;
    let detail = json!({ "key": key.public().to_string() });
    append(transaction, now, SUBJECT, KEY, &detail)?;
    Ok(key)
}

fn derived(store: &Store, name: &str) -> Result<SigningKey, AuditError> {
    let seed = store.keyed_hash(&format!("sceau audit signing key 1 {name}"));
    SigningKey::new(name, &seed).ok_or(AuditError::SigningKey)
}
