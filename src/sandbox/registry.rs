//! Which certificates were issued and which of them are revoked.

use crate::cert::Cert;
use sceau::base::{clock, file};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use time::OffsetDateTime;

/// Why the registry cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The file cannot be read or written.
    #[error("cannot keep the list of certificates in {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The file is not ours.
    #[error("the list of certificates in {0} cannot be read")]
    Format(PathBuf),
    /// No certificate has this serial number.
    #[error("no certificate with serial number {0} was issued here")]
    NotIssued(String),
}

/// What is known of a serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Issued, not revoked.
    Good,
    /// Revoked.
    Revoked {
        /// Since when, in whole seconds.
        at: OffsetDateTime,
        /// CRLReason (RFC 5280 §5.3.1).
        reason: u8,
    },
    /// Never issued here.
    Unknown,
}

/// A revoked certificate, as listed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Revocation {
    at_unix_s: i64,
    reason: u8,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    issued: BTreeSet<String>,
    revoked: BTreeMap<String, Revocation>,
}

/// The list, kept in one file that is rewritten whole.
#[derive(Debug)]
pub struct Registry {
    path: PathBuf,
    state: Mutex<State>,
}

impl Registry {
    /// Opens the list at `path`; a missing file is an empty list.
    ///
    /// # Errors
    /// [`RegistryError`] when the file cannot be read.
    pub fn open(path: &Path) -> Result<Self, RegistryError> {
        let state = match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|_| RegistryError::Format(path.to_owned()))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => State::default(),
            Err(source) => {
                let path = path.to_owned();
                return Err(RegistryError::File { path, source });
            }
        };
        Ok(Self {
            path: path.to_owned(),
            state: Mutex::new(state),
        })
    }

    /// Notes a certificate as issued.
    ///
    /// # Errors
    /// [`RegistryError::File`].
    pub fn issued(&self, cert: &Cert) -> Result<(), RegistryError> {
        let mut state = self.lock();
        if state.issued.insert(cert.serial_hex()) {
            self.keep(&state)?;
        }
        Ok(())
    }

    /// Revokes a certificate from `at` on. Revoking twice keeps the first time.
    ///
    /// # Errors
    /// [`RegistryError::NotIssued`], [`RegistryError::File`].
    pub fn revoke(
        &self,
        serial: &str,
        reason: u8,
        at: OffsetDateTime,
    ) -> Result<(), RegistryError> {
        let serial = canonical(serial);
        let mut state = self.lock();
        if !state.issued.contains(&serial) {
            return Err(RegistryError::NotIssued(serial));
        }
        let at_unix_s = at.unix_timestamp();
        let revocation = Revocation { at_unix_s, reason };
        state.revoked.entry(serial).or_insert(revocation);
        self.keep(&state)
    }

    /// What is known of a certificate with this serial magnitude.
    pub fn standing(&self, serial: &[u8]) -> Standing {
        let serial = sceau::base::hex::encode(serial);
        let state = self.lock();
        match state.revoked.get(&serial) {
            Some(found) => Standing::Revoked {
                at: clock::from_unix_ms(found.at_unix_s * 1000),
                reason: found.reason,
            },
            None if state.issued.contains(&serial) => Standing::Good,
            None => Standing::Unknown,
        }
    }

    /// Serial numbers (big-endian) of all revoked certificates.
    pub fn revoked(&self) -> Vec<(Vec<u8>, OffsetDateTime, u8)> {
        let list = self.lock().revoked.clone();
        let decode = |(serial, entry): (String, Revocation)| {
            let at = clock::from_unix_ms(entry.at_unix_s * 1000);
            Some((sceau::base::hex::decode(&serial)?, at, entry.reason))
        };
        list.into_iter().filter_map(decode).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, state: &State) -> Result<(), RegistryError> {
        let bytes = serde_json::to_vec_pretty(state)
            .map_err(|_| RegistryError::Format(self.path.clone()))?;
        file::write_atomic(&self.path, &bytes).map_err(|source| RegistryError::File {
            path: self.path.clone(),
            source,
        })
    }
}

/// Serial numbers are printed with colons, capitals or leading zeros by other
/// tools.
fn canonical(serial: &str) -> String {
    let plain: String = serial.chars().filter(char::is_ascii_hexdigit).collect();
    let bytes = sceau::base::hex::decode(&plain).unwrap_or_default();
    let skip = bytes.iter().take_while(|b| **b == 0).count();
    sceau::base::hex::encode(&bytes[skip..])
}
