//! Records that are not what was written.

use super::*;
use crate::base::clock::unix_ms;

/// As if a bit had flipped in who signs.
fn damage(outbox: &Outbox, uuid: Uuid4) {
    let sql = "UPDATE submission SET signer = '90000009' WHERE uuid = ?1";
    let change = |tx: &Transaction<'_>| {
        tx.execute(sql, [uuid.to_string()]).unwrap();
        Ok::<_, OutboxError>(())
    };
    outbox.store.transact(change).unwrap();
}

/// A program that may see all practitioners.
fn everyone() -> Client {
    Client {
        name: "test".into(),
        paired_at: at(0),
        practitioners: Vec::new(),
    }
}

#[test]
fn a_damaged_record_is_set_aside_shown_and_in_nobodys_way() {
    let f = fixture();
    let (damaged, sound) = (Uuid4::random(), Uuid4::random());
    for uuid in [damaged, sound] {
        f.outbox.receive(new(uuid, 1)).unwrap();
        f.clock.set(at(1));
    }
    damage(&f.outbox, damaged);
    assert_eq!(f.outbox.set_aside().unwrap(), []);

    let lease = f.outbox.claim(Stage::Intake).unwrap().unwrap();
    assert_eq!(lease.record.uuid, sound);
    let aside = f.outbox.set_aside().unwrap();
    let expected = SetAside {
        code_prestataire: "90000001".into(),
        records: 1,
        since: at(1),
    };
    assert_eq!(aside, [expected]);
    assert_eq!(
        words(&f.outbox, damaged),
        ["received", "checked", "set-aside"]
    );
    // A page of one has the sound one: the damaged one takes no place.
    let listed = f.outbox.list(1, None, &everyone()).unwrap();
    assert_eq!(listed.len(), 1);
    f.clock.set(at(2));
    assert_eq!(f.outbox.list(9, None, &everyone()).unwrap().len(), 1);

    // Workers nap until the sound one is due, not for as long as they may.
    let pause = Prepared {
        state: State::Received,
        bodies: vec![],
        events: vec![],
        wait: Some(wait("tsa-unreachable")),
    };
    let paused = f.outbox.prepared(lease, pause).unwrap();
    let due = f
        .outbox
        .store
        .read(|c| rows::next_due(c, Stage::Intake.into()));
    assert_eq!(due.unwrap().map(unix_ms), paused.due_at.map(unix_ms));
}

#[test]
fn a_claim_that_broke_off_on_a_damaged_record_stops_no_other() {
    let f = fixture();
    let (damaged, sound) = (Uuid4::random(), Uuid4::random());
    f.outbox.receive(new(damaged, 1)).unwrap();
    let lease = f.outbox.claim(Stage::Intake).unwrap().unwrap();
    f.outbox.receive(new(sound, 1)).unwrap();
    damage(&f.outbox, damaged);
    f.outbox.abandon(lease.claim());
    let lease = f.outbox.claim(Stage::Intake).unwrap().unwrap();
    assert_eq!(lease.record.uuid, sound);
}

#[test]
fn a_pdf_that_was_accepted_is_remembered_by_the_log() {
    let f = fixture();
    let (with, without) = (Uuid4::random(), Uuid4::random());
    for (uuid, pages) in [(with, json!(3)), (without, Value::Null)] {
        let detail = json!({ "pages": pages });
        let new = New {
            detail,
            ..new(uuid, 1)
        };
        f.outbox.receive(new).unwrap();
    }
    assert!(f.outbox.had_pdf(with).unwrap());
    assert!(!f.outbox.had_pdf(without).unwrap());
}

/// As if a bit had flipped on the disk in the record of `uuid`, in the first
/// letter of `text`: its indexes still say what it was. Opened again over it.
fn flipped(f: Fixture, uuid: Uuid4, text: &str) -> (tempfile::TempDir, Outbox) {
    let Fixture {
        folder,
        clock,
        outbox,
    } = f;
    drop(outbox);
    let path = folder.path().join("sceau.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let find = |bytes: &[u8], text: &str| {
        let mut places = bytes.windows(text.len());
        places.position(|place| place == text.as_bytes()).unwrap()
    };
    // No index has the form right behind the UUID.
    let record = find(&bytes, &format!("{uuid}memoire-honoraires"));
    let place = record + find(&bytes[record..], text);
    // 'a' becomes 'A', '9' becomes '8'.
    bytes[place] ^= if text.starts_with('9') { 1 } else { 0x20 };
    std::fs::write(&path, bytes).unwrap();
    let outbox = open_with(folder.path(), clock).with_stamp_within(Some(Duration::from_secs(60)));
    (folder, outbox)
}

#[test]
fn a_damaged_sender_stops_nobody_else() {
    let (f, damaged, sound) = (fixture(), Uuid4::random(), Uuid4::random());
    f.outbox.receive(new(damaged, 1)).unwrap();
    f.clock.set(at(1));
    f.outbox.receive(new(sound, 1)).unwrap();
    let (_folder, outbox) = flipped(f, damaged, "90000001");
    let lease = outbox.claim(Stage::Intake).unwrap().unwrap();
    assert_eq!(lease.record.uuid, sound);
    assert_eq!(outbox.set_aside().unwrap()[0].code_prestataire, "80000001");
    outbox.retry_now(damaged).unwrap_err();
    outbox.token_ready().unwrap();
    assert_eq!(outbox.store.health(), None);
}

#[test]
fn a_restored_backup_does_not_make_a_damaged_record_sound() {
    let (f, uuid) = (fixture(), Uuid4::random());
    ready(&f.outbox, uuid);
    let (folder, outbox) = flipped(f, uuid, "ready");
    let settings = |state: &str| Settings {
        folder: folder.path().join(state),
        key_file: Some(folder.path().join("seal.key")),
    };
    let backup = folder.path().join("kept.backup");
    let scratch = folder.path().join("scratch");
    back_up(
        &outbox.store,
        &settings(""),
        &*outbox.clock,
        &backup,
        &scratch,
    )
    .unwrap();
    let open = restore(&backup, &settings("restored"), &*outbox.clock);
    assert_eq!(open.unwrap(), 0);
    let store = Arc::new(Store::open(&settings("restored"), &migrations()).unwrap());
    let restored = Outbox::open(store, outbox.clock.clone(), Duration::from_secs(60)).unwrap();
    for stage in Stage::ALL {
        assert!(restored.claim(stage).unwrap().is_none());
    }
    assert_eq!(restored.set_aside().unwrap()[0].records, 1);
}

#[test]
fn an_index_that_finds_what_has_ended_is_mended_and_nothing_is_sent_again() {
    let (f, uuid) = (fixture(), Uuid4::random());
    ready(&f.outbox, uuid);
    let (_folder, outbox) = flipped(f, uuid, "ready");
    // The entry stays: the index does not hold "Ready".
    let end = |tx: &Transaction<'_>| {
        let sql = "UPDATE submission SET state = 'receipted' WHERE uuid = ?1";
        assert_eq!(tx.execute(sql, [uuid.to_string()]).unwrap(), 1);
        Ok::<_, OutboxError>(())
    };
    outbox.store.transact(end).unwrap();
    assert!(outbox.claim(Stage::Delivery).unwrap().is_none());
    assert_eq!(outbox.set_aside().unwrap(), []);
    let due = outbox
        .store
        .read(|c| rows::next_due(c, Stage::Delivery.into()));
    assert_eq!(due.unwrap(), None);
}

#[test]
fn documents_are_destroyed_whatever_a_body_is_called() {
    let f = fixture();
    let [damaged, sound] = [Uuid4::random(), Uuid4::random()];
    for uuid in [damaged, sound] {
        ready(&f.outbox, uuid);
        ended(&f.outbox, Conclusion::Rejected(Verdict::default()));
    }
    let rename = |tx: &Transaction<'_>| {
        // As a bit that makes it no UTF-8, of one that stands in a file.
        let sql = "UPDATE body SET name = CAST(x'ff' AS TEXT), sealed = NULL WHERE uuid = ?1";
        tx.execute(sql, [damaged.to_string()]).unwrap();
        Ok::<_, OutboxError>(())
    };
    f.outbox.store.transact(rename).unwrap();
    assert_eq!(f.outbox.purge(at(1)).unwrap(), 2);
    let keys = "SELECT count(*) FROM body WHERE kind = 'document' AND wrapped_key <> x''";
    let keys = f.outbox.store.read(|c| {
        let count = c.query_row(keys, [], |row| row.get::<_, i64>(0));
        count.map_err(StoreError::sql("count keys"))
    });
    assert_eq!(keys.unwrap(), 0);
}

#[test]
fn a_record_that_its_index_contradicts_is_set_aside_and_not_claimed_for_ever() {
    let (f, damaged, sound) = (fixture(), Uuid4::random(), Uuid4::random());
    f.outbox.receive(new(damaged, 1)).unwrap();
    f.clock.set(at(1));
    f.outbox.receive(new(sound, 1)).unwrap();
    let (_folder, outbox) = flipped(f, damaged, "received");
    for _ in 0..2 {
        let lease = outbox.claim(Stage::Intake).unwrap();
        let claimed = lease.map(|lease| lease.record.uuid);
        assert!(claimed.is_none_or(|claimed| claimed == sound));
    }
    assert_eq!(outbox.set_aside().unwrap()[0].records, 1);
    let due = outbox
        .store
        .read(|c| rows::next_due(c, Stage::Intake.into()));
    assert_eq!(due.unwrap(), None, "nobody is woken for it");
}

#[test]
fn nor_told_overdue_for_ever() {
    let (f, uuid) = (fixture(), Uuid4::random());
    f.outbox.receive(new(uuid, 1)).unwrap();
    let lease = f.outbox.claim(Stage::Intake).unwrap().unwrap();
    let step = Prepared {
        state: State::Signed,
        bodies: vec![(Kind::Document, b"signed".to_vec())],
        events: vec![],
        wait: Some(wait("unreachable")),
    };
    f.outbox.prepared(lease, step).unwrap();
    f.clock.set(at(61));
    let (_folder, outbox) = flipped(f, uuid, "signed");
    assert_eq!(outbox.overdue().unwrap(), None);
    assert_eq!(words(&outbox, uuid).last().unwrap(), "set-aside");
}

#[test]
fn nor_destroyed() {
    let (f, uuid) = (fixture(), Uuid4::random());
    ready(&f.outbox, uuid);
    ended(&f.outbox, Conclusion::Receipted(Verdict::default()));
    let (_folder, outbox) = flipped(f, uuid, "receipted");
    while outbox.purge(at(1)).unwrap() > 0 {}
    assert_eq!(words(&outbox, uuid).last().unwrap(), "set-aside");
    let document = outbox.body(uuid, Kind::Document).unwrap();
    assert_eq!(document, Some(b"signed".to_vec()));
}

#[test]
fn the_body_of_another_document_is_not_taken_for_its_own() {
    let f = fixture();
    let [own, other] = [Uuid4::random(), Uuid4::random()];
    for uuid in [own, other] {
        ready(&f.outbox, uuid);
    }
    // What a look-up finds when the key of a neighbour is damaged.
    let swap = |tx: &Transaction<'_>| {
        let [own, other] = [own, other].map(|uuid| uuid.to_string());
        tx.execute("DELETE FROM body WHERE uuid = ?1", [&own])
            .unwrap();
        tx.execute("UPDATE body SET uuid = ?1 WHERE uuid = ?2", [own, other])
            .unwrap();
        Ok::<_, OutboxError>(())
    };
    f.outbox.store.transact(swap).unwrap();
    let found = f.outbox.body(own, Kind::Document);
    assert_eq!(found.unwrap_err().class(), Class::Damaged);
}

#[test]
fn a_start_that_meets_damage_leaves_it_to_be_read() {
    let (f, uuid) = (fixture(), Uuid4::random());
    ready(&f.outbox, uuid);
    let lease = f.outbox.claim(Stage::Delivery).unwrap().unwrap();
    f.outbox.begin_attempt(lease).unwrap();
    let (_folder, outbox) = flipped(f, uuid, "sending");
    assert!(outbox.is_only_read());
}

#[test]
fn a_record_that_no_stage_comes_to_is_found_by_the_schedule() {
    let (f, uuid) = (fixture(), Uuid4::random());
    ready(&f.outbox, uuid);
    let lease = f.outbox.claim(Stage::Delivery).unwrap().unwrap();
    f.outbox.begin_attempt(lease).unwrap();
    damage(&f.outbox, uuid);
    assert!(f.outbox.claim(Stage::Delivery).unwrap().is_none());
    assert_eq!(f.outbox.prove_open().unwrap(), 1);
    assert_eq!(f.outbox.set_aside().unwrap()[0].records, 1);
    assert_eq!(f.outbox.prove_open().unwrap(), 0);
}
