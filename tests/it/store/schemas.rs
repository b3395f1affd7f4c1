//! A database of every earlier schema is brought up to date and loses nothing.

use super::{outbox_in, settings};
use sceau::audit;
use sceau::base::{Clock, SystemClock, Uuid4, digest};
use sceau::outbox::{Client, Kind, OutboxError, State, migrations};
use sceau::store::rusqlite::params;
use sceau::store::{Body, Check, Room, Store, StoreError};
use std::path::Path;
use time::OffsetDateTime;

/// One submission in each state that an earlier program left, with a small and
/// a large body; only columns of the first schema are named.
fn fill(store: &Store) -> Vec<(Uuid4, State)> {
    State::ALL
        .map(|state| (submission(store, state), state))
        .to_vec()
}

fn content(uuid: Uuid4, bytes: usize) -> Vec<u8> {
    digest::sha256(uuid.to_string().as_bytes()).repeat(bytes / 32)
}

fn submission(store: &Store, state: State) -> Uuid4 {
    let uuid = Uuid4::random();
    let names = [Uuid4::random(), Uuid4::random()].map(|name| name.to_string());
    let [small, large] = names;
    let (small_bytes, large_bytes) = (content(uuid, 320), content(uuid, 64_000));
    let plains = [
        (small, small_bytes.as_slice()),
        (large, large_bytes.as_slice()),
    ];
    let bodies = store.put_bodies(&plains).unwrap();
    store.settle(&sceau::store::files(&bodies));
    let lease = (state == State::Sending).then_some(1);
    let write = |tx: &sceau::store::rusqlite::Transaction<'_>| {
        tx.execute(
            "INSERT INTO submission (uuid, form, version, operation, code_prestataire, client, \
             environment, environment_kind, interactive, state, due_ms, lease_ms, claims, tries, \
             received_ms, updated_ms, request_sha256) VALUES (?1, 'memoire-honoraires', '2', \
             'depot', '90000001', 'test', 'sandbox', 'sandbox', 0, ?2, 1, ?3, 1, 0, 1, 1, ?4)",
            params![uuid.to_string(), state.word(), lease, [7_u8; 32]],
        )?;
        for (kind, body) in ["request-xml", "document"].iter().zip(&bodies) {
            let Body {
                name,
                sealed,
                wrapped_key,
                sha256,
                bytes,
            } = body;
            tx.execute(
                "INSERT INTO body VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    uuid.to_string(),
                    kind,
                    name,
                    sealed,
                    wrapped_key,
                    sha256,
                    *bytes as i64
                ],
            )?;
        }
        Ok(())
    };
    let done: Result<(), OutboxError> = store.transact(|tx| {
        write(tx).map_err(StoreError::sql("fill"))?;
        let at = OffsetDateTime::UNIX_EPOCH;
        Ok(audit::append(
            tx,
            at,
            &uuid.to_string(),
            "received",
            &serde_json::json!({}),
        )?)
    });
    done.unwrap();
    uuid
}

/// All that makes the schema.
fn schema(store: &Store) -> Vec<(String, Option<String>)> {
    let read = store.read(|connection| {
        let failed = StoreError::sql("read the schema");
        let sql = "SELECT name, sql FROM sqlite_schema ORDER BY name";
        let mut statement = connection.prepare(sql).map_err(&failed)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.and_then(Iterator::collect).map_err(failed)
    });
    read.unwrap()
}

fn at_version(folder: &Path, version: usize) -> Store {
    Store::open(&settings(folder), &migrations()[..version]).unwrap()
}

#[test]
fn each_earlier_schema_is_brought_up_to_date_and_loses_nothing() {
    let newest = migrations().len();
    let fresh = tempfile::tempdir().unwrap();
    let fresh = schema(&at_version(fresh.path(), newest));
    for version in 1..=newest {
        let folder = tempfile::tempdir().unwrap();
        let store = at_version(folder.path(), version);
        let token = Client::pair(&store, &SystemClock, "program", &[]).unwrap();
        let filled = fill(&store);
        drop(store);

        let outbox = outbox_in(folder.path(), Room::default(), SystemClock::shared()).unwrap();
        let store = outbox.store();
        assert_eq!(schema(store), fresh, "from version {version}");
        store.check(Check::Whole).unwrap();
        assert_eq!(
            crate::audit::faults(folder.path()),
            "",
            "from version {version}"
        );
        let token = String::from_utf8(token.expose().to_vec()).unwrap();
        assert_eq!(outbox.client(&token).unwrap().unwrap().name, "program");
        for (uuid, before) in &filled {
            let record = outbox.find(*uuid).unwrap().unwrap();
            let wanted = match before {
                State::Sending => State::Unknown,
                other => *other,
            };
            assert_eq!(record.state, wanted, "from version {version}");
            let body = |kind| outbox.body(*uuid, kind).unwrap().unwrap();
            assert!(body(Kind::RequestXml) == content(*uuid, 320));
            assert!(body(Kind::Document) == content(*uuid, 64_000));
        }
        // What the newest schema is for works on what came before it.
        let ended = filled.iter().filter(|(_, state)| state.is_final()).count();
        assert_eq!(outbox.purge(SystemClock.now()).unwrap(), ended);
    }
}

#[test]
fn a_migration_that_fails_leaves_the_earlier_schema_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let before = schema(&at_version(folder.path(), 1));
    let mut broken = migrations();
    broken.push("CREATE TABLE half (x); CREATE TABLE half (x);".to_owned());
    assert!(Store::open(&settings(folder.path()), &broken).is_err());
    assert_eq!(schema(&at_version(folder.path(), 1)), before);
}
