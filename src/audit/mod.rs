//! The append-only, hash-chained record of what happened. An entry holds ids,
//! digests and codes, never patient data. Writing takes the caller's
//! transaction, so that a fact and its record are durable together.

use crate::base::clock::{from_unix_ms, unix_ms};
use crate::base::digest;
use crate::store::rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use crate::store::{Store, StoreError};
use serde_json::Value;
use time::OffsetDateTime;

/// The table of this module; part of the store's first migration.
pub const SCHEMA: &str = "
CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY,
    at_ms   INTEGER NOT NULL,
    subject TEXT    NOT NULL,
    event   TEXT    NOT NULL,
    detail  TEXT    NOT NULL,
    hash    BLOB    NOT NULL
) STRICT;
CREATE INDEX audit_subject ON audit (subject, seq);
CREATE INDEX audit_event ON audit (event, seq);
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
";

/// One entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Position in the chain, from 1.
    pub seq: i64,
    /// When it was recorded.
    pub at: OffsetDateTime,
    /// What it is about: a document's UUID, or a fixed word such as `daemon`.
    pub subject: String,
    /// What happened, a fixed word.
    pub event: String,
    /// Ids, digests, codes and times.
    pub detail: Value,
}

/// Appends an entry inside the caller's transaction.
///
/// # Errors
/// [`StoreError::Sql`] when the row cannot be written.
pub fn append(
    transaction: &Transaction<'_>,
    at: OffsetDateTime,
    subject: &str,
    event: &str,
    detail: &Value,
) -> Result<(), StoreError> {
    let sql = StoreError::sql("append to the audit log");
    let (last, previous) = head(transaction)?.unwrap_or_default();
    let (seq, at_ms, detail) = (last + 1, unix_ms(at), detail.to_string());
    let hash = link(&previous, seq, at_ms, subject, event, &detail);
    transaction
        .prepare_cached("INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
        .and_then(|mut s| s.execute(params![seq, at_ms, subject, event, detail, hash]))
        .map_err(&sql)?;
    Ok(())
}

/// The entries about `subject`, oldest first.
///
/// # Errors
/// [`StoreError::Sql`] when they cannot be read.
pub fn about(connection: &Connection, subject: &str) -> Result<Vec<Entry>, StoreError> {
    let sql = StoreError::sql("read the audit log");
    let mut statement = connection
        .prepare_cached(
            "SELECT seq, at_ms, subject, event, detail FROM audit WHERE subject = ?1 ORDER BY seq",
        )
        .map_err(&sql)?;
    let rows = statement.query_map([subject], entry).map_err(&sql)?;
    rows.collect::<Result<_, _>>().map_err(&sql)
}

/// An entry as the chain holds it. Its `hash` is the SHA-256 of `sceau audit 1`,
/// the number and the time in milliseconds since 1970 as eight bytes each, most
/// significant first, then the hash of the entry before, subject, event and
/// detail, each after its length in eight bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// See [`Entry`].
    pub seq: i64,
    /// Milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// See [`Entry`].
    pub subject: String,
    /// See [`Entry`].
    pub event: String,
    /// As it was written, byte for byte.
    pub detail: String,
    /// Hash of the entry before; empty for the first.
    pub previous: Vec<u8>,
    /// Hash of this one.
    pub hash: Vec<u8>,
}

/// The links of the entries about `subject`, oldest first.
///
/// # Errors
/// [`StoreError::Sql`] when they cannot be read.
pub fn links(connection: &Connection, subject: &str) -> Result<Vec<Link>, StoreError> {
    let sql = StoreError::sql("read the audit log");
    let mut statement = connection
        .prepare_cached(
            "SELECT e.seq, e.at_ms, e.subject, e.event, e.detail, coalesce(p.hash, x''), e.hash
             FROM audit e LEFT JOIN audit p ON p.seq = e.seq - 1
             WHERE e.subject = ?1 ORDER BY e.seq",
        )
        .map_err(&sql)?;
    let link = |row: &Row<'_>| {
        Ok(Link {
            seq: row.get(0)?,
            at_ms: row.get(1)?,
            subject: row.get(2)?,
            event: row.get(3)?,
            detail: row.get(4)?,
            previous: row.get(5)?,
            hash: row.get(6)?,
        })
    };
    let rows = statement.query_map([subject], link).map_err(&sql)?;
    rows.collect::<Result<_, _>>().map_err(&sql)
}

/// Number and hash of the newest entry; `None` while there is none.
///
/// # Errors
/// [`StoreError::Sql`] when it cannot be read.
pub fn head(connection: &Connection) -> Result<Option<(i64, Vec<u8>)>, StoreError> {
    connection
        .prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
        .and_then(|mut s| {
            s.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
        })
        .map_err(StoreError::sql("read the audit log"))
}

/// When `event` was last recorded, about anything.
///
/// # Errors
/// [`StoreError::Sql`] when it cannot be read.
pub fn last(connection: &Connection, event: &str) -> Result<Option<OffsetDateTime>, StoreError> {
    connection
        .prepare_cached("SELECT at_ms FROM audit WHERE event = ?1 ORDER BY seq DESC LIMIT 1")
        .and_then(|mut s| s.query_row([event], |row| row.get(0)).optional())
        .map(|ms| ms.map(from_unix_ms))
        .map_err(StoreError::sql("read the audit log"))
}

/// When the log begins.
///
/// # Errors
/// [`StoreError::Sql`] when it cannot be read.
pub fn first(connection: &Connection) -> Result<Option<OffsetDateTime>, StoreError> {
    connection
        .prepare_cached("SELECT at_ms FROM audit ORDER BY seq LIMIT 1")
        .and_then(|mut s| s.query_row([], |row| row.get(0)).optional())
        .map(|ms| ms.map(from_unix_ms))
        .map_err(StoreError::sql("read the audit log"))
}

/// Recomputes the chain. `Ok(n)`: n entries, all in place; `Err(seq)` inside:
/// the first entry that is missing, moved or altered.
///
/// # Errors
/// [`StoreError::Sql`] when the log cannot be read.
pub fn verify(store: &Store) -> Result<Result<i64, i64>, StoreError> {
    let sql = StoreError::sql("verify the audit log");
    store.read(|connection| {
        let mut statement = connection
            .prepare("SELECT seq, at_ms, subject, event, detail, hash FROM audit ORDER BY seq")
            .map_err(&sql)?;
        let mut rows = statement.query([]).map_err(&sql)?;
        let (mut expected, mut previous) = (1_i64, Vec::new());
        while let Some(row) = rows.next().map_err(&sql)? {
            let (seq, hash, computed) = chained(row, &previous).map_err(&sql)?;
            if seq != expected || hash != computed {
                return Ok(Err(expected));
            }
            (expected, previous) = (seq + 1, hash);
        }
        Ok(Ok(expected - 1))
    })
}

fn chained(
    row: &Row<'_>,
    previous: &[u8],
) -> crate::store::rusqlite::Result<(i64, Vec<u8>, Vec<u8>)> {
    let (seq, at_ms): (i64, i64) = (row.get(0)?, row.get(1)?);
    let (subject, event, detail): (String, String, String) =
        (row.get(2)?, row.get(3)?, row.get(4)?);
    let computed = link(previous, seq, at_ms, &subject, &event, &detail);
    Ok((seq, row.get(5)?, computed.to_vec()))
}

fn entry(row: &Row<'_>) -> crate::store::rusqlite::Result<Entry> {
    let detail: String = row.get(4)?;
    Ok(Entry {
        seq: row.get(0)?,
        at: from_unix_ms(row.get(1)?),
        subject: row.get(2)?,
        event: row.get(3)?,
        detail: serde_json::from_str(&detail).unwrap_or(Value::Null),
    })
}

/// Lengths go in before texts, so that no two entries share an encoding.
fn link(
    previous: &[u8],
    seq: i64,
    at_ms: i64,
    subject: &str,
    event: &str,
    detail: &str,
) -> [u8; 32] {
    let mut bytes = b"sceau audit 1".to_vec();
    bytes.extend_from_slice(&seq.to_be_bytes());
    bytes.extend_from_slice(&at_ms.to_be_bytes());
    for part in [
        previous,
        subject.as_bytes(),
        event.as_bytes(),
        detail.as_bytes(),
    ] {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    digest::sha256(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Settings;
    use serde_json::json;

    fn store(folder: &std::path::Path) -> Store {
        let settings = Settings {
            folder: folder.to_owned(),
            key_file: None,
        };
        let store = Store::open(&settings, &[SCHEMA]).unwrap();
        for n in 0..5 {
            store
                .transact(|tx| {
                    append(
                        tx,
                        OffsetDateTime::UNIX_EPOCH,
                        "s",
                        "event",
                        &json!({ "n": n }),
                    )
                })
                .unwrap();
        }
        store
    }

    #[test]
    fn the_chain_verifies_and_rows_cannot_be_changed_by_sql() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        assert_eq!(verify(&store).unwrap(), Ok(5));
        store
            .read(|c| {
                assert!(c.execute("UPDATE audit SET event = 'x'", []).is_err());
                assert!(c.execute("DELETE FROM audit", []).is_err());
                Ok::<(), StoreError>(())
            })
            .unwrap();
    }

    #[test]
    fn a_link_leads_from_the_entry_before_to_itself() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let links = store.read(|c| links(c, "s")).unwrap();
        assert_eq!(links.len(), 5);
        let mut previous = Vec::new();
        for found in links {
            assert_eq!(found.previous, previous);
            let (at, detail) = (found.at_ms, &found.detail);
            previous = link(
                &previous,
                found.seq,
                at,
                &found.subject,
                &found.event,
                detail,
            )
            .to_vec();
            assert_eq!(found.hash, previous);
        }
        assert_eq!(store.read(head).unwrap(), Some((5, previous)));
    }

    #[test]
    fn altering_removing_or_moving_a_row_is_found() {
        let tampers = [
            ("UPDATE audit SET detail = '{\"n\":9}' WHERE seq = 3", 3),
            ("DELETE FROM audit WHERE seq = 2", 2),
            ("UPDATE audit SET at_ms = 1 WHERE seq = 4", 4),
        ];
        for (tamper, expected) in tampers {
            let folder = tempfile::tempdir().unwrap();
            let store = store(folder.path());
            store
                .read(|c| {
                    c.execute_batch("DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete;")
                        .unwrap();
                    c.execute(tamper, []).unwrap();
                    Ok::<(), StoreError>(())
                })
                .unwrap();
            assert_eq!(verify(&store).unwrap(), Err(expected), "{tamper}");
        }
    }
}
