//! Every place of the program that changes a file of the state folder fails
//! once, in each way a disk has. A process of its own takes documents through
//! their life on the failing disk and writes down what it was promised; what it
//! leaves is then looked at on a sound disk.

use super::disk::Call;
use super::papers::{
    DOCUMENTS, ROOM, TRIES, deliver, lived, mend, new, on_a_failing_disk, prepare,
};
use super::{in_full, outbox_in};
use sceau::base::{SystemClock, Uuid4};
use std::collections::{BTreeMap, BTreeSet};

/// The life of a few documents; not a test of its own.
#[test]
#[ignore = "runs in a process of its own, on a failing disk"]
fn life() {
    let Some((state, mut promises)) = on_a_failing_disk() else {
        return;
    };
    // A service that does not start is started again.
    let outbox = (0..TRIES).find_map(|_| outbox_in(&state, ROOM, SystemClock::shared()).ok());
    let outbox = outbox.expect("a disk that fails once");
    for number in 0..DOCUMENTS {
        let uuid = Uuid4::random();
        let taken = (0..TRIES).any(|_| {
            let taken = outbox.receive(new(uuid, number)).is_ok();
            mend(&outbox);
            taken
        });
        assert!(taken, "{:?}", outbox.store().health());
        promises.note("accepted", uuid);
        prepare(&outbox, &mut promises);
        deliver(&outbox, &mut promises);
    }
    assert_eq!(outbox.store().health(), None);
}

/// Runs [`life`] on a disk that fails by `rule`; the calls it made.
fn live(rule: Option<&str>) -> Vec<Call> {
    lived("store::sites::life", rule, DOCUMENTS)
}

#[test]
fn each_call_that_changes_a_file_may_fail_once() {
    let calls = live(None);
    // The first call of each kind, each way in turn; in full every call, each way.
    let mut seen = BTreeSet::new();
    let places: Vec<(usize, &Call)> = (1..)
        .zip(&calls)
        .filter(|(_, call)| in_full() || seen.insert((&call.operation, &call.kind)))
        .collect();
    let mut failed: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    let mut runs = 0;
    for (at, call) in places {
        let ways = ["ENOSPC", "EIO", "SHORT"];
        let ways = &ways[..if call.operation == "write" { 3 } else { 2 }];
        let in_turn = [ways[runs % ways.len()]];
        for how in if in_full() { ways } else { &in_turn } {
            let made = live(Some(&format!("* * {at} 1 {how}")));
            runs += 1;
            let hit = made.iter().find(|call| call.failed).cloned();
            let hit = hit.unwrap_or_else(|| panic!("call {at} was not made again"));
            let of = (hit.operation, hit.kind);
            failed.entry(of).or_default().insert(hit.site);
        }
    }
    let sites: usize = failed.values().map(BTreeSet::len).sum();
    println!(
        "{} calls, {sites} places failed in {runs} runs:",
        calls.len()
    );
    for ((operation, kind), sites) in &failed {
        println!("| {operation} | {kind} | {} |", sites.len());
    }
    let place = |call: &Call| (call.operation.clone(), call.kind.clone());
    let all: BTreeSet<_> = calls.iter().map(place).collect();
    assert_eq!(failed.keys().cloned().collect::<BTreeSet<_>>(), all);
}
