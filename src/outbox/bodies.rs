//! The SQL of bodies, and nothing else.

use super::Kind;
use super::rows::{neighbour, text};
use crate::base::{Uuid4, hex, random};
use crate::store::rusqlite::{self, Connection, OptionalExtension, Row, Transaction, params};
use crate::store::{Body, StoreError};
use std::collections::HashSet;

/// Keeps `body` as the submission's `kind`; returns the file it replaces.
pub(super) fn put(
    tx: &Transaction<'_>,
    uuid: Uuid4,
    kind: Kind,
    body: &Body,
) -> Result<Option<String>, StoreError> {
    let failed = StoreError::sql("keep a body");
    let old = file(tx, uuid, kind)?;
    let uuid = uuid.to_string();
    tx.prepare_cached("INSERT OR REPLACE INTO body VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")
        .and_then(|mut s| {
            s.execute(params![
                uuid,
                kind.word(),
                body.name,
                body.sealed,
                body.wrapped_key,
                body.sha256,
                body.bytes as i64
            ])
        })
        .map_err(&failed)?;
    Ok(old)
}

pub(super) fn find(
    connection: &Connection,
    uuid: Uuid4,
    kind: Kind,
) -> Result<Option<Body>, StoreError> {
    let asked = uuid.to_string();
    let found = connection
        .prepare_cached(
            "SELECT name, sealed, wrapped_key, sha256, bytes, uuid, kind FROM body \
             WHERE uuid = ?1 AND kind = ?2",
        )
        .and_then(|mut s| {
            s.query_row([asked.as_str(), kind.word()], |found| {
                Ok((has_key(found, 5, &asked, kind)?, row(found)?))
            })
            .optional()
        })
        .map_err(StoreError::sql("find a body"))?;
    match found {
        Some((is_asked, body)) if !is_asked || !is_own(uuid, kind, &body.name) => {
            Err(StoreError::Damaged(format!("{asked}.{}", kind.word())))
        }
        found => Ok(found.map(|(_, body)| body)),
    }
}

/// Destroys a body's key, and the body if it is in its row; returns the file
/// that holds it otherwise. However damaged the row is, its key goes.
pub(super) fn shred(
    tx: &Transaction<'_>,
    uuid: Uuid4,
    kind: Kind,
) -> Result<Option<String>, StoreError> {
    let failed = StoreError::sql("destroy a body");
    let file = file(tx, uuid, kind)?;
    let asked = uuid.to_string();
    let is_asked = tx
        .prepare_cached(
            "UPDATE body SET sealed = NULL, wrapped_key = x'' WHERE uuid = ?1 AND kind = ?2 \
             RETURNING uuid, kind",
        )
        .and_then(|mut s| {
            s.query_row([asked.as_str(), kind.word()], |row| {
                has_key(row, 0, &asked, kind)
            })
            .optional()
        })
        .map_err(&failed)?;
    match is_asked {
        Some(false) => Err(neighbour(&asked)),
        Some(true) | None => Ok(file),
    }
}

/// Name of the file that holds a body, if one does. What is not its own names
/// no file: it may be another's.
fn file(connection: &Connection, uuid: Uuid4, kind: Kind) -> Result<Option<String>, StoreError> {
    let asked = uuid.to_string();
    let found: Option<(bool, Option<String>)> = connection
        .prepare_cached(
            "SELECT name, uuid, kind FROM body \
             WHERE uuid = ?1 AND kind = ?2 AND sealed IS NULL",
        )
        .and_then(|mut s| {
            s.query_row([asked.as_str(), kind.word()], |row| {
                Ok((has_key(row, 1, &asked, kind)?, row.get(0).ok()))
            })
            .optional()
        })
        .map_err(StoreError::sql("find a body"))?;
    let name = found.and_then(|(is_asked, name)| name.filter(|_| is_asked));
    Ok(name.filter(|name| is_own(uuid, kind, name)))
}

/// Whether a row has the key that was asked for; it stands at `at` and the
/// column after.
fn has_key(row: &Row<'_>, at: usize, uuid: &str, kind: Kind) -> rusqlite::Result<bool> {
    Ok(text(row, at)? == uuid && text(row, at + 1)? == kind.word())
}

/// What a body's name begins with.
fn prefix(uuid: &str, kind: &str) -> String {
    format!("{uuid}.{kind}.")
}

/// Whether a body is the one that was asked for: its seal binds its bytes to
/// its name, and nothing else binds them to its key. Names of schema 1 say nothing.
fn is_own(uuid: Uuid4, kind: Kind, name: &str) -> bool {
    name.starts_with(&prefix(&uuid.to_string(), kind.word())) || !name.contains('.')
}

pub(super) fn files(connection: &Connection) -> Result<HashSet<String>, StoreError> {
    let failed = StoreError::sql("list files");
    let mut statement = connection
        .prepare("SELECT name FROM body WHERE sealed IS NULL AND wrapped_key <> x''")
        .map_err(&failed)?;
    let rows = statement.query_map([], |row| row.get(0)).map_err(&failed)?;
    rows.collect::<Result<_, _>>().map_err(&failed)
}

/// The unique name of a new body; the row that keeps it is found by it.
pub(super) fn name(uuid: Uuid4, kind: Kind) -> String {
    prefix(&uuid.to_string(), kind.word()) + &hex::encode(&random::bytes::<8>())
}

/// Whether the body of this name is kept and can still be read. When what is
/// kept in its place is not its own, nobody can say; its file may be the only
/// copy.
pub(super) fn is_kept(connection: &Connection, name: &str) -> Result<bool, StoreError> {
    let mut parts = name.split('.');
    let key = [parts.next(), parts.next()].map(Option::unwrap_or_default);
    let found: Option<Option<String>> = connection
        .prepare_cached(
            "SELECT name FROM body WHERE uuid = ?1 AND kind = ?2 AND wrapped_key <> x''",
        )
        .and_then(|mut s| s.query_row(key, |row| Ok(row.get(0).ok())).optional())
        .map_err(StoreError::sql("find a body"))?;
    let own = prefix(key[0], key[1]);
    let is_kept = |found: &str| found == name || !found.starts_with(&own);
    // One that cannot be read may be this one.
    Ok(found.is_some_and(|found| found.is_none_or(|found| is_kept(&found))))
}

/// Every body that can still be read.
pub(super) fn all(connection: &Connection) -> Result<Vec<Body>, StoreError> {
    let failed = StoreError::sql("list bodies");
    let mut statement = connection
        .prepare(
            "SELECT name, sealed, wrapped_key, sha256, bytes FROM body WHERE wrapped_key <> x''",
        )
        .map_err(&failed)?;
    let rows = statement.query_map([], row).map_err(&failed)?;
    rows.collect::<Result<_, _>>().map_err(&failed)
}

fn row(row: &Row<'_>) -> rusqlite::Result<Body> {
    Ok(Body {
        name: row.get(0)?,
        sealed: row.get(1)?,
        wrapped_key: row.get(2)?,
        sha256: row.get(3)?,
        bytes: row.get::<_, i64>(4)? as usize,
    })
}
