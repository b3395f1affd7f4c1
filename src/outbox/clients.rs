//! Paired programs and their bearer tokens. Only a keyed hash of a token is
//! stored, so that the database alone does not let anyone in.

use super::OutboxError;
use crate::audit;
use crate::base::clock::{from_unix_ms, unix_ms};
use crate::base::{Clock, Secret, hex, random};
use crate::forms::CodePrestataire;
use crate::store::rusqlite::Error::FromSqlConversionFailure;
use crate::store::rusqlite::{self, OptionalExtension, Row, params, types::Type};
use crate::store::{Store, StoreError};
use serde_json::json;
use time::OffsetDateTime;

/// The table of paired programs.
pub const CLIENTS_SCHEMA: &str = "
CREATE TABLE client (
    token_hash BLOB    PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    paired_ms  INTEGER NOT NULL,
    -- Codes prestataires, comma between; empty: every one.
    bound_to   TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Marks our tokens for secret scanners.
const TOKEN_PREFIX: &str = "sceau_";

const COLUMNS: &str = "name, paired_ms, bound_to";

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

    /// Pairs a program, bound to practitioners if there are some, and returns
    /// its bearer token, which is shown once. Pairing a known name again
    /// replaces token and binding: the old ones are void.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn pair(
        store: &Store,
        clock: &dyn Clock,
        name: &str,
        practitioners: &[CodePrestataire],
    ) -> Result<Secret, OutboxError> {
        let token = format!("{TOKEN_PREFIX}{}", hex::encode(&random::bytes::<24>()));
        let (hash, now) = (store.keyed_hash(&token), clock.now());
        let codes: Vec<&str> = practitioners.iter().map(CodePrestataire::as_str).collect();
        store.transact(|tx| {
            tx.execute("DELETE FROM client WHERE name = ?1", [name])
                .and_then(|_| {
                    let row = params![hash, name, unix_ms(now), codes.join(",")];
                    tx.execute("INSERT INTO client VALUES (?1, ?2, ?3, ?4)", row)
                })
                .map_err(StoreError::sql("pair a program"))?;
            let detail = json!({ "client": name, "practitioners": codes });
            audit::append(tx, now, "daemon", "paired", &detail)?;
            Ok::<_, OutboxError>(())
        })?;
        Ok(Secret::new(token.into_bytes()))
    }

    /// Voids a program's token; `false` when no program has this name.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn unpair(store: &Store, clock: &dyn Clock, name: &str) -> Result<bool, OutboxError> {
        store.transact(|tx| {
            let removed = tx
                .execute("DELETE FROM client WHERE name = ?1", [name])
                .map_err(StoreError::sql("unpair a program"))?;
            if removed > 0 {
                let detail = json!({ "client": name });
                audit::append(tx, clock.now(), "daemon", "unpaired", &detail)?;
            }
            Ok(removed > 0)
        })
    }

    /// The paired programs by name.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn list(store: &Store) -> Result<Vec<Self>, OutboxError> {
        store.read(|connection| {
            let all = || {
                let sql = format!("SELECT {COLUMNS} FROM client ORDER BY name");
                let mut statement = connection.prepare(&sql)?;
                let rows = statement.query_map([], Self::from_row)?;
                rows.collect::<Result<Vec<_>, _>>()
            };
            Ok(all().map_err(StoreError::sql("list the programs"))?)
        })
    }

    /// The program this bearer token belongs to. The look-up goes by keyed
    /// hash: how near a wrong token is cannot be told from the time it takes.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn authenticate(store: &Store, token: &str) -> Result<Option<Self>, OutboxError> {
        let hash = store.keyed_hash(token);
        store.read(|connection| {
            let found = || {
                let sql = format!("SELECT {COLUMNS}, token_hash FROM client WHERE token_hash = ?1");
                let mut statement = connection.prepare_cached(&sql)?;
                let found = statement.query_row([hash], |row| {
                    // A damaged neighbour could be found in its place.
                    let is_own = row.get::<_, Vec<u8>>(3)? == hash;
                    Ok(is_own.then_some(Self::from_row(row)?))
                });
                found.optional().map(Option::flatten)
            };
            Ok(found().map_err(StoreError::sql("look a token up"))?)
        })
    }

    /// A row of [`COLUMNS`].
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let bound_to: String = row.get(2)?;
        let codes = bound_to.split(',').filter(|code| !code.is_empty());
        let parsed = codes.map(|code| {
            // Never fewer than were written: none would mean every one.
            code.parse()
                .map_err(|error| FromSqlConversionFailure(2, Type::Text, Box::new(error)))
        });
        Ok(Self {
            name: row.get(0)?,
            paired_at: from_unix_ms(row.get(1)?),
            practitioners: parsed.collect::<Result<_, _>>()?,
        })
    }
}
