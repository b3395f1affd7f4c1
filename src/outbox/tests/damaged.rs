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
        since: at(0),
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
