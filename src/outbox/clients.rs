//! Paired programs and their bearer tokens. Only a keyed hash of a token is
//! stored, so that the database alone does not let anyone in.

use super::OutboxError;
use crate::audit;
use crate::base::clock::{from_unix_ms, unix_ms};
use crate::base::{Clock, Secret, hex, random};
use crate::forms::CodePrestataire;
use crate::store::rusqlite::{OptionalExtension, params};
use crate::store::{Store, StoreError};
use serde_json::json;
use time::OffsetDateTime;

/// The table of paired programs.
pub const CLIENTS_SCHEMA: &str = "
CREATE TABLE client (
    token_hash BLOB    PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    paired_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Marks our tokens for secret scanners.
const TOKEN_PREFIX: &str = "sceau_";

/// A paired program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The name given at pairing.
    pub name: String,
    /// When it was paired.
    pub paired_at: OffsetDateTime,
    /// The practitioners it may act for; none stands for every one.
    pub practitioners: Vec<CodePrestataire>,
}

impl Client {
    /// Whether the program may hand in for a code prestataire, and see what was
    /// handed in for it.
    pub fn may(&self, code: &str) -> bool {
        self.practitioners.is_empty() || self.practitioners.iter().any(|own| own.as_str() == code)
    }

    /// Pairs a program and returns its bearer token, which is shown once.
    /// Pairing a known name again replaces its token: the old one is void.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn pair(store: &Store, clock: &dyn Clock, name: &str) -> Result<Secret, OutboxError> {
        let token = format!("{TOKEN_PREFIX}{}", hex::encode(&random::bytes::<24>()));
        let (hash, now) = (store.keyed_hash(&token), clock.now());
        store.transact(|tx| {
            tx.execute("DELETE FROM client WHERE name = ?1", [name])
                .and_then(|_| {
                    let row = params![hash, name, unix_ms(now)];
                    tx.execute("INSERT INTO client VALUES (?1, ?2, ?3)", row)
                })
                .map_err(StoreError::sql("pair a program"))?;
            audit::append(tx, now, "daemon", "paired", &json!({ "client": name }))?;
            Ok::<_, OutboxError>(())
        })?;
        Ok(Secret::new(token.into_bytes()))
    }

    /// The program this bearer token belongs to. The look-up goes by keyed
    /// hash: how near a wrong token is cannot be told from the time it takes.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn authenticate(store: &Store, token: &str) -> Result<Option<Self>, OutboxError> {
        let hash = store.keyed_hash(token);
        let found = store.read(|connection| {
            connection
                .prepare_cached("SELECT name, paired_ms FROM client WHERE token_hash = ?1")
                .and_then(|mut s| {
                    s.query_row([hash], |row| {
                        Ok(Self {
                            name: row.get(0)?,
                            paired_at: from_unix_ms(row.get(1)?),
                            practitioners: Vec::new(),
                        })
                    })
                    .optional()
                })
                .map_err(StoreError::sql("look a token up"))
        })?;
        Ok(found)
    }
}
