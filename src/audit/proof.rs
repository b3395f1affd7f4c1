//! The checkpoint that covers given entries, with what shows that it does.

use super::keys;
use super::tree::{self, Hash};
use crate::store::StoreError;
use crate::store::rusqlite::{Connection, OptionalExtension, Row};

/// A witnessed checkpoint over some entries: whoever trusts the authority knows
/// that they stood in the log at its time, as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// Entries the checkpoint covers.
    pub size: i64,
    /// The log's public key.
    pub key: String,
    /// The signed note.
    pub note: String,
    /// What the nonce is made of beside the note.
    pub salt: Vec<u8>,
    /// The timestamp token.
    pub token: Vec<u8>,
    /// The authority's certificates up to the anchor, as PEM.
    pub chain: String,
    /// Number of each covered entry, and its path to the root from the leaf up.
    pub paths: Vec<(i64, Vec<Hash>)>,
}

/// The first checkpoint that covers all the entries with these numbers, in
/// order; else the newest, when it covers some of them.
///
/// # Errors
/// [`StoreError`].
pub fn witness(connection: &Connection, entries: &[i64]) -> Result<Option<Witness>, StoreError> {
    let sql = StoreError::sql("read the checkpoints");
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
        return Ok(None);
    };
    let find = |condition: &str, seq: &i64| {
        let columns = "SELECT size, note, salt, token, chain FROM audit_checkpoint";
        connection
            .prepare_cached(&format!("{columns} WHERE size >= ?1 {condition} LIMIT 1"))
            .and_then(|mut s| s.query_row([seq], read).optional())
            .map_err(&sql)
    };
    let found = match find("ORDER BY size", last)? {
        Some(found) => Some(found),
        None => find("ORDER BY size DESC", first)?,
    };
    let Some(mut witness) = found else {
        return Ok(None);
    };
    let origin = witness.note.lines().next().unwrap_or_default();
    let key = keys(connection)?
        .into_iter()
        .find(|key| key.name() == origin);
    witness.key = key.map(|key| key.to_string()).unwrap_or_default();
    for seq in entries.iter().filter(|seq| **seq <= witness.size) {
        let path = tree::path(connection, *seq, witness.size)?;
        witness.paths.push((*seq, path));
    }
    Ok(Some(witness))
}

fn read(row: &Row<'_>) -> crate::store::rusqlite::Result<Witness> {
    Ok(Witness {
        size: row.get(0)?,
        key: String::new(),
        note: row.get(1)?,
        salt: row.get(2)?,
        token: row.get(3)?,
        chain: row.get(4)?,
        paths: Vec::new(),
    })
}
