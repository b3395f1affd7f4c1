//! A log that was witnessed twice, and everything that can be done to it.

use super::note::SigningKey;
use super::*;
use crate::base::{Clock, hex};
use crate::store::{self, Store};
use crate::x509::Cert;
use crate::x509::testing::{Builder, NOW, Party, Stamp, TIME_STAMPING};
use crate::x509::tsp::TimestampToken;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tempfile::TempDir;

mod trees;

/// A clock that is set by hand, in minutes after [`NOW`].
#[derive(Default)]
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> OffsetDateTime {
        NOW + time::Duration::minutes(self.0.load(Ordering::SeqCst))
    }
}

struct World {
    folder: TempDir,
    store: Arc<Store>,
    clock: Arc<HandClock>,
    log: Log,
    ca: Party,
    tsa: Party,
}

impl World {
    fn new() -> Self {
        Self::on(tempfile::tempdir().unwrap())
    }

    fn on(folder: TempDir) -> Self {
        let settings = store::Settings {
            folder: folder.path().to_owned(),
            key_file: None,
        };
        let store = Arc::new(Store::open(&settings, &[SCHEMA, CHECKPOINTS_SCHEMA]).unwrap());
        let clock = Arc::new(HandClock::default());
        let settings = Settings {
            checkpoint_every: Duration::from_secs(3600),
            checkpoint_file: folder.path().join(CHECKPOINT_FILE),
        };
        let log = Log::open(store.clone(), clock.clone(), settings).unwrap();
        let ca = Builder::new("CA").ca(None).build(None);
        let tsa = Self::authority(&ca);
        Self {
            folder,
            store,
            clock,
            log,
            ca,
            tsa,
        }
    }

    fn authority(ca: &Party) -> Party {
        let builder = Builder::new("TSA").purposes(true, &[TIME_STAMPING]);
        builder.build(Some(ca))
    }

    /// One entry a minute.
    fn write(&self, entries: i64) {
        let written = self.store.transact(|tx| {
            (0..entries).try_for_each(|n| {
                let now = self.clock.now();
                self.clock.0.fetch_add(1, Ordering::SeqCst);
                append(tx, now, "document", "stamped", &json!({ "n": n }))
            })
        });
        written.unwrap();
    }

    fn token(&self, nonce: [u8; 16], (tsa, ca): (&Party, &Party)) -> TimestampToken {
        let stamp = Stamp::new([3; 32], &nonce, self.clock.now());
        let der = stamp.token(tsa, std::slice::from_ref(&ca.cert));
        TimestampToken::from_der(&der).unwrap()
    }

    /// What the service does with the next timestamp; whether it was due.
    fn witness(&self) -> bool {
        let Some(due) = self.log.due().unwrap() else {
            return false;
        };
        let token = self.token(due.nonce(), (&self.tsa, &self.ca));
        self.log
            .keep(&due, &token, std::slice::from_ref(&self.ca.cert))
            .unwrap();
        true
    }

    /// Entries 1 (the key) to 10, a checkpoint, its entry 11, 12 to 80, a
    /// checkpoint, its entry 81, 82 to 85.
    fn witnessed_twice() -> Self {
        let world = Self::new();
        world.write(9);
        assert!(world.witness());
        world.write(69);
        assert!(world.witness());
        world.write(4);
        assert_eq!(world.store.read(head).unwrap().unwrap().0, 85);
        world
    }

    fn tamper(&self, sql: &str) {
        self.with(|connection| connection.execute_batch(sql).unwrap());
    }

    fn with<T>(&self, work: impl FnOnce(&Connection) -> T) -> T {
        let unlock = "DROP TRIGGER IF EXISTS audit_no_update; DROP TRIGGER IF EXISTS audit_no_delete;
            DROP TRIGGER IF EXISTS audit_node_no_update; DROP TRIGGER IF EXISTS audit_node_no_delete;
            DROP TRIGGER IF EXISTS audit_checkpoint_no_update; DROP TRIGGER IF EXISTS audit_checkpoint_no_delete;";
        let done = self.store.read(|connection| {
            connection.execute_batch(unlock).unwrap();
            Ok::<_, StoreError>(work(connection))
        });
        done.unwrap()
    }

    fn report(&self) -> Report {
        self.report_with(&[self.log.key().clone()], Vec::new())
    }

    fn report_with(&self, keys: &[PublicKey], kept: Vec<Kept>) -> Report {
        let log = Database::open(self.folder.path()).unwrap();
        let node = |leaves: i64, first: i64, root: &Hash| log.has_node(leaves, first, root);
        let judge = Judge {
            keys,
            kept,
            trusted: &|token, _, pool| self.trusted(token, pool),
            node: Some(&node),
        };
        verify(log.items().unwrap(), judge)
    }

    fn trusted(&self, token: &TimestampToken, pool: &[Cert]) -> Result<(), String> {
        let is_ca = pool.contains(&self.ca.cert);
        let issued = token.signer().verify_issued_by(&self.ca.cert);
        issued.map_err(|e| e.to_string())?;
        is_ca.then_some(()).ok_or_else(|| "no chain".to_owned())
    }

    /// Code, first and last entry of each fault.
    fn faults(&self) -> Vec<(&'static str, i64, i64)> {
        codes(&self.report())
    }

    /// Alters an entry and makes the chain fit again from there on, as somebody
    /// does who knows how it is made.
    fn rewrite(&self, seq: i64) {
        self.tamper(&format!(
            "UPDATE audit SET detail = '{{}}' WHERE seq = {seq}"
        ));
        self.rechain();
    }

    fn rechain(&self) {
        let log = Database::open(self.folder.path()).unwrap();
        let mut previous = Vec::new();
        for item in log.items().unwrap() {
            let Item::Entry(entry) = item.unwrap() else {
                continue;
            };
            let texts = [&entry.subject, &entry.event, &entry.detail].map(Vec::as_slice);
            previous = link(&previous, entry.seq, entry.at_ms, texts).to_vec();
            let set = "UPDATE audit SET hash = ?1 WHERE seq = ?2";
            self.with(|c| c.execute(set, params![previous, entry.seq]).unwrap());
        }
    }

    /// Puts a checkpoint into its place as somebody does who has this key.
    fn forge(&self, size: i64, key: &SigningKey, root: Hash, (tsa, ca): (&Party, &Party)) {
        let (note, salt) = (key.checkpoint(size, root), [9; 32]);
        let token = self.token(log::nonce(&salt, note.as_bytes()), (tsa, ca));
        let values = params![size, note, salt, token.der(), ca.cert.to_pem()];
        let insert = "INSERT OR REPLACE INTO audit_checkpoint VALUES (?1, ?2, ?3, ?4, ?5)";
        self.with(|c| c.execute(insert, values).unwrap());
    }

    /// The root as the log stands now.
    fn root(&self, size: i64) -> Hash {
        self.store.read(|c| tree::root(c, 0, size)).unwrap()
    }

    /// The key that signs, as a thief of the sealing key has it.
    fn stolen(&self) -> SigningKey {
        let name = self.log.key().name();
        let seed = self
            .store
            .keyed_hash(&format!("sceau audit signing key 1 {name}"));
        SigningKey::new(name, &seed).unwrap()
    }
}

fn codes(report: &Report) -> Vec<(&'static str, i64, i64)> {
    let faults = report.faults.iter();
    faults.map(|f| (f.kind.code(), f.from, f.to)).collect()
}

fn kept(note: &str) -> Vec<Kept> {
    vec![Kept {
        name: "elsewhere".to_owned(),
        note: note.to_owned(),
    }]
}

#[test]
fn a_log_that_nobody_touched_is_whole_and_rows_cannot_be_changed_by_sql() {
    let world = World::witnessed_twice();
    let report = world.report();
    assert_eq!(codes(&report), []);
    assert_eq!((report.entries, report.checkpoints), (85, 2));
    let witnessed = report.witnessed.unwrap();
    assert_eq!(
        (witnessed.size, witnessed.authority.as_str()),
        (80, "CN=TSA")
    );
    assert_eq!((report.root, report.gaps.len()), (Some(world.root(85)), 0));
    let done = world.store.read(|c| {
        for table in ["audit", "audit_node", "audit_checkpoint"] {
            for sql in [
                format!("DELETE FROM {table}"),
                format!("UPDATE {table} SET rowid = 1"),
            ] {
                // There are no nodes to be refused yet.
                let refused = c.execute(&sql, []);
                assert!(refused.is_err() || table == "audit_node", "{sql}");
            }
        }
        Ok::<_, StoreError>(())
    });
    done.unwrap();
}

#[test]
fn a_link_leads_from_the_entry_before_to_itself() {
    let world = World::new();
    world.write(5);
    let links = world.store.read(|c| links(c, "document")).unwrap();
    assert_eq!(links.len(), 5);
    let mut previous = links[0].previous.clone();
    for found in links {
        assert_eq!(found.previous, previous);
        let texts = [&found.subject, &found.event, &found.detail].map(|text| text.as_bytes());
        previous = link(&previous, found.seq, found.at_ms, texts).to_vec();
        assert_eq!(found.hash, previous);
    }
    assert_eq!(world.store.read(head).unwrap(), Some((6, previous)));
}

#[test]
fn every_column_of_an_entry_is_bound() {
    for change in [
        "at_ms = at_ms + 1",
        "subject = 'other'",
        "subject = ''",
        "event = 'sealed'",
        "detail = '{\"n\":9}'",
        "detail = detail || ' '",
        "detail = CAST(x'ff' AS TEXT)",
        "hash = zeroblob(32)",
        "hash = x''",
    ] {
        // The first, one in the middle, the last one covered, the last.
        for seq in [1, 40, 80, 85] {
            let world = World::witnessed_twice();
            world.tamper(&format!("UPDATE audit SET {change} WHERE seq = {seq}"));
            assert_eq!(world.faults(), [("entry-altered", seq, seq)], "{change}");
        }
    }
}

#[test]
fn deleted_moved_and_added_entries_are_named() {
    type Found<'a> = (&'a str, i64, i64);
    let cases: [(&str, &[Found<'_>]); 8] = [
        (
            "DELETE FROM audit WHERE seq = 1",
            &[("entries-missing", 1, 1)],
        ),
        (
            "DELETE FROM audit WHERE seq BETWEEN 40 AND 42",
            &[("entries-missing", 40, 42)],
        ),
        (
            "DELETE FROM audit WHERE seq = 80",
            &[("entries-missing", 80, 80)],
        ),
        // Not only the newest: also the entry about the checkpoint.
        (
            "DELETE FROM audit WHERE seq >= 70",
            &[("entries-cut-off", 70, 80), ("checkpoint-extra", 1, 80)],
        ),
        (
            "DELETE FROM audit WHERE seq >= 81",
            &[("checkpoint-extra", 1, 80)],
        ),
        (
            "DELETE FROM audit",
            &[
                ("entries-cut-off", 1, 80),
                ("checkpoint-extra", 1, 10),
                ("checkpoint-extra", 1, 80),
            ],
        ),
        (
            "INSERT INTO audit SELECT 0, at_ms, subject, event, detail, hash FROM audit WHERE seq = 5",
            &[("entry-extra", 0, 0)],
        ),
        (
            "INSERT INTO audit SELECT 86, at_ms, subject, event, detail, hash FROM audit WHERE seq = 5",
            &[("entry-altered", 86, 86)],
        ),
    ];
    for (sql, expected) in cases {
        let world = World::witnessed_twice();
        world.tamper(sql);
        assert_eq!(world.faults(), expected, "{sql}");
    }
    let world = World::witnessed_twice();
    world.tamper(
        "UPDATE audit SET seq = -1 WHERE seq = 40; UPDATE audit SET seq = 40 WHERE seq = 41;
         UPDATE audit SET seq = 41 WHERE seq = -1;",
    );
    assert_eq!(world.faults()[0], ("entry-altered", 40, 40));
}

#[test]
fn a_chain_made_to_fit_again_does_not_fit_the_checkpoints() {
    for (seq, first, last) in [(1, 1, 10), (10, 1, 10), (11, 11, 80), (80, 11, 80)] {
        let world = World::witnessed_twice();
        world.rewrite(seq);
        let found = world.report();
        let rewritten = ("entries-rewritten", first, last);
        assert!(codes(&found).contains(&rewritten), "{seq}: {found:?}");
        // Up to the checkpoint before, the authority still speaks for it.
        assert_eq!(found.witnessed.map(|w| w.size), (first > 1).then_some(10));
    }
    // Nothing outside speaks for the newest yet, but for a checkpoint that was
    // kept elsewhere.
    let world = World::witnessed_twice();
    let note = world.log.checkpoint().unwrap();
    let keys = [world.log.key().clone()];
    assert_eq!(codes(&world.report_with(&keys, kept(&note))), []);
    world.rewrite(84);
    assert_eq!(world.faults(), []);
    let found = world.report_with(&keys, kept(&note));
    assert_eq!(codes(&found), [("other-than-kept", 1, 85)]);
    world.tamper("DELETE FROM audit WHERE seq > 81");
    assert_eq!(world.faults(), []);
    let found = world.report_with(&keys, kept(&note));
    assert_eq!(codes(&found), [("older-than-kept", 82, 85)]);
}

#[test]
fn every_column_of_a_checkpoint_is_bound() {
    let cases = [
        (
            "note = replace(note, char(10) || '80' || char(10), char(10) || '79' || char(10))",
            "checkpoint-altered",
        ),
        (
            "note = note || char(8212) || ' w x' || char(10)",
            "checkpoint-altered",
        ),
        ("note = ''", "checkpoint-altered"),
        ("salt = zeroblob(32)", "timestamp-other"),
        (
            "token = CAST(substr(token, 1, length(token) - 1) || x'00' AS BLOB)",
            "timestamp-altered",
        ),
        ("token = x''", "timestamp-altered"),
        (
            "token = (SELECT token FROM audit_checkpoint WHERE size = 10)",
            "timestamp-other",
        ),
        ("chain = ''", "checkpoint-altered"),
        ("size = 79", "checkpoint-altered"),
        ("size = 85", "checkpoint-altered"),
    ];
    for (change, code) in cases {
        let world = World::witnessed_twice();
        world.tamper(&format!(
            "UPDATE audit_checkpoint SET {change} WHERE size = 80"
        ));
        let faults = world.faults();
        assert!(
            faults.iter().any(|(found, ..)| *found == code),
            "{change}: {faults:?}"
        );
        assert_eq!(
            world.report().witnessed.map(|w| w.size),
            match change {
                // The authority's certificates are in the token too.
                "chain = ''" => Some(80),
                _ => Some(10),
            }
        );
    }
    for (size, seq) in [(10, 11), (80, 81)] {
        let world = World::witnessed_twice();
        world.tamper(&format!("DELETE FROM audit_checkpoint WHERE size = {size}"));
        assert_eq!(world.faults(), [("checkpoint-missing", seq, seq)]);
    }
}

#[test]
fn tokens_and_keys_of_others_speak_for_nothing() {
    // Two tokens in each other's place.
    let world = World::witnessed_twice();
    world.tamper(
        "CREATE TEMP TABLE other AS SELECT 90 - size AS size, token FROM audit_checkpoint;
         UPDATE audit_checkpoint SET token = (SELECT token FROM other WHERE other.size = audit_checkpoint.size);",
    );
    let faults = world.faults();
    let swapped = faults
        .iter()
        .filter(|(code, ..)| *code == "timestamp-other");
    assert_eq!(swapped.count(), 2, "{faults:?}");
    assert_eq!(world.report().witnessed, None);

    let has = |world: &World, code: &str| {
        let faults = world.faults();
        assert!(
            faults.iter().any(|(found, ..)| *found == code),
            "{code}: {faults:?}"
        );
    };
    // A right checkpoint by another key.
    let world = World::witnessed_twice();
    let other = SigningKey::new(world.log.key().name(), &[5; 32]).unwrap();
    world.forge(80, &other, world.root(80), (&world.tsa, &world.ca));
    has(&world, "checkpoint-foreign");
    // A right checkpoint stamped by an authority nobody trusts.
    let world = World::witnessed_twice();
    let ca = Builder::new("CA").ca(None).build(None);
    let tsa = World::authority(&ca);
    world.forge(80, &world.stolen(), world.root(80), (&tsa, &ca));
    has(&world, "timestamp-untrusted");
    // One more that the log knows nothing of.
    let world = World::witnessed_twice();
    world.forge(60, &world.stolen(), world.root(60), (&world.tsa, &world.ca));
    assert_eq!(world.faults(), [("checkpoint-extra", 1, 60)]);
}

#[test]
fn who_has_the_key_still_lacks_the_timestamps() {
    // The log is rewritten and the checkpoint signed anew; the timestamp of then
    // is not for it.
    let world = World::witnessed_twice();
    world.rewrite(40);
    let root = world.root(80);
    let note = world.stolen().checkpoint(80, root);
    world.with(|c| {
        let set = "UPDATE audit_checkpoint SET note = ?1 WHERE size = 80";
        c.execute(set, [note]).unwrap()
    });
    let faults = world.faults();
    assert!(
        faults.iter().any(|(code, ..)| *code == "timestamp-other"),
        "{faults:?}"
    );
    assert_eq!(world.report().witnessed.unwrap().size, 10);

    // Every trace of earlier checkpoints is removed, and the present authority
    // stamps the new ones: the chain is sound, and it shows that documents were
    // stamped for long without one. A checkpoint kept elsewhere does not fit.
    let world = World::witnessed_twice();
    let before = world.with(|c| {
        let get = "SELECT note FROM audit_checkpoint WHERE size = 80";
        c.query_row(get, [], |row| row.get::<_, String>(0)).unwrap()
    });
    world.tamper(
        "UPDATE audit SET event = 'stamped', subject = 'document' WHERE event = 'checkpoint';
         DELETE FROM audit_checkpoint;",
    );
    world.rechain();
    let report = world.report();
    assert_eq!(
        (codes(&report), report.witnessed.is_some()),
        (vec![], false)
    );
    let gaps: Vec<_> = report.gaps.iter().map(|gap| (gap.from, gap.to)).collect();
    assert_eq!(gaps, [(74, 85)]);
    let keys = [world.log.key().clone()];
    let found = world.report_with(&keys, kept(&before));
    assert_eq!(codes(&found), [("other-than-kept", 1, 80)]);
}

#[test]
fn an_older_copy_of_the_database_does_not_fit_the_checkpoint_beside_it() {
    let world = World::witnessed_twice();
    let file = world.folder.path().join(CHECKPOINT_FILE);
    let newest = std::fs::read_to_string(file).unwrap();
    let keys = [world.log.key().clone()];
    assert_eq!(codes(&world.report_with(&keys, kept(&newest))), []);
    // As it was before the second checkpoint: in itself it is whole.
    world.tamper("DELETE FROM audit WHERE seq > 60; DELETE FROM audit_checkpoint WHERE size = 80");
    assert_eq!(world.faults(), []);
    let found = world.report_with(&keys, kept(&newest));
    assert_eq!(codes(&found), [("older-than-kept", 61, 80)]);
    // A file that somebody wrote anew.
    for (note, code) in [
        (newest.replace("\n80\n", "\n60\n"), "checkpoint-altered"),
        (String::new(), "checkpoint-altered"),
        (
            SigningKey::new("other", &[1; 32])
                .unwrap()
                .checkpoint(60, [0; 32]),
            "checkpoint-foreign",
        ),
    ] {
        let found = world.report_with(&keys, kept(&note));
        assert_eq!(codes(&found), [(code, 0, 0)]);
    }
}

#[test]
fn a_checkpoint_is_due_once_an_hour_when_something_was_written() {
    let world = World::new();
    world.write(1);
    assert!(world.witness());
    world.write(1);
    assert!(!world.witness(), "an hour has not passed");
    world.clock.0.fetch_add(60, Ordering::SeqCst);
    assert!(world.witness());
    world.clock.0.fetch_add(60, Ordering::SeqCst);
    assert!(
        !world.witness(),
        "the entry about the last one is nothing new"
    );
    world.write(1);
    // Clocks are put back: the last one is then in the future.
    world.clock.0.fetch_add(-600, Ordering::SeqCst);
    assert!(world.witness());
    // Nothing is forgotten at a new start, the key neither.
    let key = world.log.key().clone();
    let again = World::on(world.folder);
    assert_eq!(*again.log.key(), key);
    again
        .clock
        .0
        .store(world.clock.0.load(Ordering::SeqCst), Ordering::SeqCst);
    again.write(1);
    assert!(!again.witness());
    again.clock.0.fetch_add(60, Ordering::SeqCst);
    assert!(again.witness());
    assert_eq!(again.log.key().name(), key.name());
}

#[test]
fn what_was_not_stamped_leaves_nothing_and_comes_again_newer() {
    let world = World::new();
    world.write(3);
    let failed = world.log.due().unwrap().unwrap();
    let again = world.log.due().unwrap().unwrap();
    assert_ne!(failed.nonce(), again.nonce(), "a nonce is used once");
    world.write(3);
    let report = world.report();
    assert_eq!((report.checkpoints, codes(&report)), (0, vec![]));
    // Two requests were under way at once: the first that is answered counts.
    let newer = world.log.due().unwrap().unwrap();
    for due in [&newer, &failed, &again] {
        let token = world.token(due.nonce(), (&world.tsa, &world.ca));
        world
            .log
            .keep(due, &token, std::slice::from_ref(&world.ca.cert))
            .unwrap();
    }
    let report = world.report();
    assert_eq!((report.checkpoints, codes(&report)), (1, vec![]));
    assert_eq!(report.witnessed.unwrap().size, 7);
}

#[test]
fn the_key_is_the_stores_and_another_store_key_is_another_log_key() {
    let world = World::witnessed_twice();
    let first = world.log.key().clone();
    let key = world.folder.path().join("seal.key");
    std::fs::remove_file(&key).unwrap();
    std::fs::write(&key, hex::encode(&[1; 32])).unwrap();
    let again = World::on(world.folder);
    assert_ne!(again.log.key().name(), first.name());
    let keys = Database::open(again.folder.path()).unwrap().keys().unwrap();
    assert_eq!(keys, [first, again.log.key().clone()]);
    let report = again.report_with(&keys[1..], Vec::new());
    let foreign = codes(&report).into_iter();
    assert_eq!(
        foreign
            .filter(|(code, ..)| *code == "checkpoint-foreign")
            .count(),
        2
    );
}

#[test]
fn a_log_of_an_older_program_verifies_and_then_gets_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let settings = store::Settings {
        folder: folder.path().to_owned(),
        key_file: None,
    };
    let store = Store::open(&settings, &[SCHEMA]).unwrap();
    let old = store.transact(|tx| append(tx, NOW, "document", "stamped", &json!({})));
    old.unwrap();
    let log = Database::open(folder.path()).unwrap();
    let judge = Judge {
        keys: &[],
        kept: Vec::new(),
        trusted: &|_, _, _| Ok(()),
        node: None,
    };
    let report = verify(log.items().unwrap(), judge);
    assert_eq!((report.entries, codes(&report)), (1, vec![]));
    drop((log, store));
    let world = World::on(folder);
    world.write(1);
    assert!(world.witness());
    let report = world.report();
    assert_eq!((report.entries, codes(&report)), (4, vec![]));
    assert_eq!(report.witnessed.unwrap().size, 3);
}

#[test]
fn an_export_says_what_the_database_says() {
    let world = World::witnessed_twice();
    let path = world.folder.path().join("export");
    let read = |path: &Path| {
        let keys = [world.log.key().clone()];
        let judge = Judge {
            keys: &keys,
            kept: Vec::new(),
            trusted: &|token, _, pool| world.trusted(token, pool),
            node: None,
        };
        verify(Export::open(path).unwrap(), judge)
    };
    let log = Database::open(world.folder.path()).unwrap();
    assert_eq!(export(&log, &path).unwrap(), (85, 2));
    assert!(export(&log, &path).is_err(), "nothing is overwritten");
    let (found, expected) = (read(&path), world.report());
    assert_eq!(codes(&found), []);
    assert_eq!((found.head, found.root), (expected.head, expected.root));
    assert_eq!(found.witnessed, expected.witnessed);

    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let without = |number: usize| {
        let mut lines = lines.clone();
        lines.remove(number);
        lines.join("\n") + "\n"
    };
    for (changed, code, from) in [
        (without(40), "entries-missing", 39),
        (without(lines.len() - 1), "unreadable", 86),
        (text[..text.len() / 2].to_owned(), "unreadable", 0),
        (
            text.replace("\"seq\":40,", "\"seq\":\"40\","),
            "unreadable",
            40,
        ),
        (
            text.replacen(r#"\"n\":3}"#, r#"\"n\":4}"#, 1),
            "entry-altered",
            5,
        ),
    ] {
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, &changed).unwrap();
        let found = read(&path);
        let (first, seq, _) = codes(&found)[0];
        assert_eq!(first, code, "{found:?}");
        assert!(from == 0 || seq == from, "{found:?}");
    }
    std::fs::write(&path, without(0)).unwrap();
    assert!(Export::open(&path).is_err());
}
