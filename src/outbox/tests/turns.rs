//! Fairness between practitioners, and the bound on what is open.

use super::*;
use crate::base::clock::unix_ms;

fn of(sender: &str) -> New {
    New {
        code_prestataire: sender.into(),
        ..new(Uuid4::random(), 1)
    }
}

#[test]
fn practitioners_take_turns_however_much_one_of_them_has() {
    let f = fixture();
    for _ in 0..50 {
        f.outbox.receive(of("90000002")).unwrap();
    }
    f.clock.set(at(1));
    for sender in ["90000001", "90000003", "90000001"] {
        f.outbox.receive(of(sender)).unwrap();
    }
    let next = |_| {
        let lease = f.outbox.claim(Stage::Intake).unwrap().unwrap();
        lease.record.code_prestataire
    };
    let served: Vec<String> = (0..6).map(next).collect();
    let (first, much, third) = ("90000001", "90000002", "90000003");
    assert_eq!(served, [first, much, third, first, much, much]);
}

#[test]
fn who_has_only_pauses_left_is_passed_over_and_woken_for() {
    let f = fixture();
    for sender in ["90000001", "90000002"] {
        f.outbox.receive(of(sender)).unwrap();
    }
    let pause = |lease| {
        let step = Prepared {
            state: State::Received,
            bodies: vec![],
            events: vec![],
            wait: Some(wait("tsa-unreachable")),
        };
        f.outbox.prepared(lease, step).unwrap()
    };
    let first = pause(f.outbox.claim(Stage::Intake).unwrap().unwrap());
    let lease = f.outbox.claim(Stage::Intake).unwrap().unwrap();
    assert_eq!(lease.record.code_prestataire, "90000002");
    assert!(f.outbox.claim(Stage::Intake).unwrap().is_none());
    let due = f
        .outbox
        .store
        .read(|c| rows::next_due(c, Stage::Intake.into()));
    assert_eq!(due.unwrap().map(unix_ms), first.due_at.map(unix_ms));
}

#[test]
fn a_full_outbox_takes_no_more_and_says_so_before_it_is_asked_to_store() {
    let f = fixture();
    let outbox = open(f.folder.path(), at(0)).bounded(10);
    let uuid = Uuid4::random();
    ready(&outbox, uuid);
    for _ in 1..10 {
        outbox.receive(of("90000001")).unwrap();
    }
    let full = |result| matches!(result, Err(OutboxError::Full { open_max: 10 }));
    assert!(full(outbox.receive(of("90000002")).map(drop)));
    assert!(full(outbox.admits(false)));
    // A repeat is no new one, and who waits at the desk has places left.
    assert!(outbox.receive(new(uuid, 1)).is_ok());
    let desk = New {
        is_interactive: true,
        ..of("90000002")
    };
    outbox.receive(desk).unwrap();
    assert!(full(outbox.admits(true)));

    // What ends makes room; a restart counts again.
    drop(outbox);
    let outbox = open(f.folder.path(), at(1)).bounded(10);
    assert!(full(outbox.admits(true)));
    let lease = outbox.claim(Stage::Delivery).unwrap().unwrap();
    let lease = outbox.begin_attempt(lease).unwrap();
    outbox
        .conclude(lease, receipt("S-1"), Evidence::default())
        .unwrap();
    assert!(full(outbox.admits(false)));
    assert!(outbox.admits(true).is_ok());
}
