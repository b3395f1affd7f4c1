use super::*;

const SCHEMA: &[&str] = &["CREATE TABLE t (v TEXT NOT NULL) STRICT"];

fn put(store: &Store, plain: &[u8]) -> Body {
    let name = crate::base::Uuid4::random().to_string();
    let body = store.put_bodies(&[(name, plain)]).unwrap().remove(0);
    store.settle(&files([&body]));
    body
}

fn open(folder: &Path) -> Store {
    let settings = Settings {
        folder: folder.to_owned(),
        key_file: None,
    };
    Store::open(&settings, SCHEMA).expect("a fresh store opens")
}

/// Too large for a row.
fn large(text: &[u8]) -> Vec<u8> {
    text.repeat(ROW_BODY_BYTES_MAX / text.len() + 1)
}

#[test]
fn a_body_comes_back_and_is_not_in_clear_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let canary = b"Nom-Canari-Patient".as_slice();
    for (plain, in_row) in [(canary.to_vec(), true), (large(canary), false)] {
        let body = put(&store, &plain);
        assert_eq!(store.body(&body).unwrap(), plain);
        assert_eq!(body.sealed.is_some(), in_row);
        let path = folder.path().join("bodies").join(&body.name);
        let kept = body.sealed.unwrap_or_else(|| std::fs::read(path).unwrap());
        assert!(!kept.windows(10).any(|w| w == &canary[..10]));
    }
}

#[test]
fn any_changed_byte_of_a_body_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let body = put(&store, b"signed bytes");
    for i in 0..body.sealed.as_ref().unwrap().len() {
        let mut bad = body.clone();
        bad.sealed.as_mut().unwrap()[i] ^= 1;
        assert!(store.body(&bad).is_err(), "byte {i}");
    }
    let body = put(&store, &large(b"signed bytes"));
    let path = folder.path().join("bodies").join(&body.name);
    let sealed = std::fs::read(&path).unwrap();
    for i in (0..sealed.len()).step_by(97) {
        let mut bad = sealed.clone();
        bad[i] ^= 1;
        std::fs::write(&path, &bad).unwrap();
        assert!(store.body(&body).is_err(), "byte {i}");
    }
}

#[test]
fn one_body_cannot_stand_in_for_another() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (first, mut second) = (put(&store, b"one"), put(&store, b"two"));
    second.sealed = first.sealed;
    assert!(store.body(&second).is_err());
    let (first, second) = (put(&store, &large(b"one")), put(&store, &large(b"two")));
    let bodies = folder.path().join("bodies");
    std::fs::copy(bodies.join(&first.name), bodies.join(&second.name)).unwrap();
    assert!(store.body(&second).is_err());
}

#[test]
fn a_failed_transaction_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let result: Result<(), StoreError> = store.transact(|tx| {
        tx.execute("INSERT INTO t VALUES ('x')", [])
            .map_err(StoreError::sql("insert"))?;
        Err(StoreError::Damaged("test".into()))
    });
    assert!(result.is_err());
    let count: i64 = store
        .read(|c| {
            c.query_row("SELECT count(*) FROM t", [], |r| r.get(0))
                .map_err(StoreError::sql("count"))
        })
        .unwrap();
    assert_eq!(count, 0);
}

#[test]
fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let settings = Settings {
        folder: folder.path().to_owned(),
        key_file: None,
    };
    assert!(matches!(
        Store::open(&settings, &[] as &[&str]),
        Err(StoreError::NewerSchema { found: 1, known: 0 })
    ));
}

#[test]
fn sweep_settles_what_is_named_and_removes_the_other_staged_files_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (settled, kept, lost) = (
        put(&store, &large(b"settled")),
        put(&store, &large(b"kept")),
        put(&store, &large(b"lost")),
    );
    store.stage(&files([&kept, &lost]));
    assert_eq!(store.body(&kept).unwrap(), large(b"kept"));
    let is_named = |name: &str| Ok::<_, StoreError>(name == kept.name);
    assert_eq!(store.sweep(is_named).unwrap(), 1);
    assert!(folder.path().join("bodies").join(&kept.name).exists());
    for body in [&settled, &kept] {
        assert!(store.body(body).is_ok());
    }
    assert!(store.body(&lost).is_err());
}

#[test]
fn a_lost_key_is_not_replaced_by_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let key = folder.path().join("seal.key");
    std::fs::remove_file(&key).unwrap();
    let settings = Settings {
        folder: folder.path().to_owned(),
        key_file: None,
    };
    let again = Store::open(&settings, SCHEMA);
    assert!(matches!(again, Err(StoreError::File { path, .. }) if path == key));
    assert!(!key.exists());
}

#[test]
fn processes_that_start_at_once_agree_on_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let bodies: Vec<Body> = std::thread::scope(|scope| {
        let open_and_put = || put(&open(folder.path()), b"plain");
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open_and_put)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let store = open(folder.path());
    for body in bodies {
        assert_eq!(store.body(&body).unwrap(), b"plain");
    }
    let left = std::fs::read_dir(folder.path()).unwrap().flatten();
    let left = left.filter(|e| e.file_name().to_string_lossy().ends_with(".tmp"));
    assert_eq!(left.count(), 0);
}

fn fill(store: &Store) {
    let filled: Result<(), StoreError> = store.transact(|tx| {
        let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) \
                   INSERT INTO t SELECT printf('%0100d', i) FROM n";
        tx.execute(sql, []).map_err(StoreError::sql("fill"))?;
        Ok(())
    });
    filled.unwrap();
}

fn count(store: &Store) -> Result<i64, StoreError> {
    store.read(|c| {
        c.query_row("SELECT count(*) FROM t WHERE rowid < 10", [], |r| r.get(0))
            .map_err(StoreError::sql("count"))
    })
}

#[test]
fn a_damaged_database_is_found_by_a_check_and_only_read_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store);
    let body = put(&store, b"plain");
    drop(store);
    // A page in the middle, none that is read for the first rows.
    let path = folder.path().join(DATABASE);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();

    let store = open(folder.path());
    assert_eq!((count(&store).unwrap(), store.health()), (9, None));
    let found = store.check(Check::Quick).unwrap_err();
    assert_eq!(found.class(), Class::Damaged, "{found:?}");
    // Until it is opened anew nothing at all is answered.
    assert_eq!(store.health().unwrap().fault, Fault::Stopped);
    assert!(matches!(count(&store), Err(StoreError::Stopped)));
    assert!(store.reopen().is_err());
    assert_eq!(store.health().unwrap().fault, Fault::ReadOnly);
    assert_eq!(count(&store).unwrap(), 9);
    assert_eq!(store.body(&body).unwrap(), b"plain");
    let write = store.transact(|_| Ok::<_, StoreError>(()));
    assert!(matches!(write, Err(StoreError::ReadOnly)));
    let put = store.put_bodies(&[("n".to_owned(), b"x".as_slice())]);
    assert!(matches!(put, Err(StoreError::ReadOnly)));
    assert!(matches!(store.admit(), Err(StoreError::ReadOnly)));
}

/// A row that an index does not have, which only a whole check can see.
fn damage_an_index(folder: &Path) {
    let run = |sql: &str| {
        let connection = Connection::open(folder.join(DATABASE)).unwrap();
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, false)
            .unwrap();
        connection.execute_batch(sql).unwrap();
    };
    run("INSERT INTO t VALUES ('before'); CREATE INDEX i ON t (v)");
    run("PRAGMA writable_schema = ON; \
         CREATE TABLE kept AS SELECT * FROM sqlite_schema WHERE name = 'i'; \
         DELETE FROM sqlite_schema WHERE name = 'i'");
    run("UPDATE t SET v = 'after'");
    run("PRAGMA writable_schema = ON; INSERT INTO sqlite_schema SELECT * FROM kept");
}

#[test]
fn damage_that_only_a_whole_check_sees_lasts() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    damage_an_index(folder.path());
    let store = open(folder.path());
    store.check(Check::Quick).unwrap();
    assert_eq!(
        store.check(Check::Whole).unwrap_err().class(),
        Class::Damaged
    );
    assert!(store.reopen().is_err());
    assert_eq!(store.health().unwrap().fault, Fault::ReadOnly);
}

#[test]
fn damage_that_is_gone_is_forgotten_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let marker = folder.path().join(DAMAGED);
    let database = folder.path().join(DATABASE);
    // Read wrongly once, or repaired.
    std::fs::write(&marker, "cause").unwrap();
    let store = open(folder.path());
    assert_eq!((store.health(), marker.exists()), (None, false));
    drop(store);
    damage_an_index(folder.path());
    std::fs::write(&marker, "cause").unwrap();
    let store = open(folder.path());
    assert_eq!(store.health().unwrap().fault, Fault::ReadOnly);
    drop(store);
    // Another database in its place.
    std::fs::remove_file(&database).unwrap();
    let store = open(folder.path());
    assert_eq!((store.health(), marker.exists()), (None, false));
    fill(&store);
}

#[test]
fn a_store_that_has_stopped_is_opened_anew_and_keeps_what_it_had() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store);
    let failed: Result<(), StoreError> = store.transact(|_| {
        let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
        Err(StoreError::sql("commit")(rusqlite::Error::SqliteFailure(
            error, None,
        )))
    });
    assert_eq!(failed.unwrap_err().class(), Class::Failing);
    assert!(matches!(count(&store), Err(StoreError::Stopped)));
    store.reopen().unwrap();
    assert_eq!((count(&store).unwrap(), store.health()), (9, None));
}

#[test]
fn a_damaged_body_or_row_stops_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store);
    let mut bad = put(&store, b"plain");
    bad.sha256[0] ^= 1;
    assert_eq!(store.body(&bad).unwrap_err().class(), Class::Damaged);
    let row: Result<i64, StoreError> = store.read(|c| {
        c.query_row("SELECT 'text'", [], |r| r.get(0))
            .map_err(StoreError::sql("read a row"))
    });
    assert_eq!(row.unwrap_err().class(), Class::Damaged);
    assert_eq!((count(&store).unwrap(), store.health()), (9, None));
}

#[test]
fn a_reserve_is_given_up_on_a_full_disk_and_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let room = |free_mebibytes_min| Room {
        reserve_mebibytes: 1,
        free_mebibytes_min,
    };
    let reserve = folder.path().join("reserve");
    let length = || std::fs::metadata(&reserve).map_or(0, |found| found.len());
    let store = open(folder.path()).with_room(room(0));
    assert_eq!(length(), 1 << 20);
    let full: Result<(), StoreError> = store.transact(|_| {
        let path = Path::new("x");
        Err(StoreError::file("write", path)(
            ErrorKind::StorageFull.into(),
        ))
    });
    assert_eq!(full.unwrap_err().class(), Class::Full);
    assert_eq!((length(), store.health().unwrap().fault), (0, Fault::Full));
    // What is queued goes on.
    store.transact(|_| Ok::<_, StoreError>(())).unwrap();
    store.admit().unwrap();
    assert_eq!((length(), store.health()), (1 << 20, None));
    drop(store);

    // No disk has that much room: nothing is accepted, the rest goes on.
    let store = open(folder.path()).with_room(room(1 << 40));
    #[cfg(unix)]
    {
        assert_eq!(store.admit().unwrap_err().class(), Class::Full);
        assert_eq!(store.health().unwrap().fault, Fault::Full);
    }
    store.transact(|_| Ok::<_, StoreError>(())).unwrap();
}

#[test]
#[cfg(unix)]
fn room_for_a_backup_is_looked_at_before_anything_is_copied() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    // On no disk twice.
    let large = File::create(folder.path().join("bodies/large")).unwrap();
    large.set_len(1 << 43).unwrap();
    let target = folder.path().join("b");
    let made = store.back_up(&target, |_| panic!("the database was copied"), &[]);
    assert_eq!(made.unwrap_err().class(), Class::Full);
    assert_eq!(store.health(), None);
}
