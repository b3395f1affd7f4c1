//! The tree against its definition (RFC 9162 §2.1.1), with and without the
//! stored roots.

use super::*;
use crate::base::digest::{sha256, sha256_parts};

/// The root by definition.
fn defined(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => sha256(&[]),
        [only] => sha256_parts(&[&[0], only]),
        several => {
            let half = several.len().next_power_of_two() / 2;
            let (left, right) = several.split_at(half);
            sha256_parts(&[&[1], &defined(left), &defined(right)])
        }
    }
}

/// The root a path leads to (RFC 9162 §2.1.3.2).
fn led_to(seq: i64, size: i64, entry: &Hash, path: &[Hash]) -> Hash {
    let (mut place, mut last) = (seq - 1, size - 1);
    let mut root = sha256_parts(&[&[0], entry]);
    for sibling in path {
        if place % 2 == 1 || place == last {
            root = sha256_parts(&[&[1], sibling, &root]);
            while place % 2 == 0 && place != 0 {
                (place, last) = (place / 2, last / 2);
            }
        } else {
            root = sha256_parts(&[&[1], &root, sibling]);
        }
        (place, last) = (place / 2, last / 2);
    }
    assert_eq!(last, 0);
    root
}

/// A world with this many entries, and their hashes.
fn grown(entries: i64) -> (World, Vec<Hash>) {
    let world = World::new();
    let written = world.store.transact(|tx| {
        (1..entries).try_for_each(|n| append(tx, NOW, "document", "sent", &json!({ "n": n })))
    });
    written.unwrap();
    let hashes = world.with(|c| {
        let mut all = c.prepare("SELECT hash FROM audit ORDER BY seq").unwrap();
        let hashes = all.query_map([], |row| row.get(0)).unwrap();
        hashes.collect::<Result<_, _>>().unwrap()
    });
    (world, hashes)
}

#[test]
fn roots_and_paths_are_those_of_the_definition() {
    let (world, hashes) = grown(1300);
    tree::store_complete(&world.store).unwrap();
    let mut growing = tree::Growing::default();
    assert_eq!(growing.root(), defined(&[]));
    for (n, hash) in hashes.iter().enumerate() {
        growing.push(hash, |_, _, _| {});
        assert_eq!(growing.root(), defined(&hashes[..=n]), "{n}");
    }
    for size in [
        1, 2, 3, 7, 255, 256, 257, 511, 512, 513, 768, 1000, 1024, 1025, 1300,
    ] {
        let root = world.root(size);
        assert_eq!(root, defined(&hashes[..size as usize]), "{size}");
        for seq in [1, 2, 200, 256, 257, 300, 512, 600, 1025, size - 1, size] {
            if !(1..=size).contains(&seq) {
                continue;
            }
            let path = world.store.read(|c| tree::path(c, seq, size)).unwrap();
            let found = led_to(seq, size, &hashes[seq as usize - 1], &path);
            assert_eq!(found, root, "{seq} of {size}");
        }
    }
}

#[test]
fn the_tree_is_stored_in_turns_and_grows_with_the_log() {
    // More blocks than one transaction stores.
    let (world, hashes) = grown(17 * 256 + 10);
    assert!(world.witness());
    assert_eq!(world.root(hashes.len() as i64), defined(&hashes));
    assert_eq!(world.faults(), []);
    world.write(300);
    assert!(world.witness());
    let report = world.report();
    assert_eq!((codes(&report), report.checkpoints), (vec![], 2));
}

#[test]
fn altered_and_missing_roots_of_the_stored_tree_are_found() {
    for (sql, first, last) in [
        (
            "UPDATE audit_node SET hash = zeroblob(32) WHERE leaves = 256 AND first = 256",
            257,
            512,
        ),
        (
            "DELETE FROM audit_node WHERE leaves = 512 AND first = 0",
            1,
            512,
        ),
        (
            "UPDATE audit_node SET first = 2560 WHERE leaves = 256 AND first = 512",
            513,
            768,
        ),
    ] {
        let (world, _) = grown(1000);
        assert!(world.witness());
        assert_eq!(world.faults(), []);
        world.tamper(sql);
        let faults = world.faults();
        assert!(
            faults.contains(&("tree-altered", first, last)),
            "{sql}: {faults:?}"
        );
        let others = faults.iter().filter(|(code, ..)| *code != "tree-altered");
        assert_eq!(others.count(), 0, "{faults:?}");
    }
}

#[test]
fn a_proof_covers_what_the_first_checkpoint_after_it_covers() {
    let world = World::witnessed_twice();
    let proof = |entries: &[i64]| world.store.read(|c| witness(c, entries)).unwrap();
    let numbers = |witness: &Witness| {
        witness
            .paths
            .iter()
            .map(|(seq, _)| *seq)
            .collect::<Vec<_>>()
    };
    for (entries, size, covered) in [
        (vec![2, 10], 10, vec![2, 10]),
        (vec![2, 12], 80, vec![2, 12]),
        // The newest, for as far as it goes.
        (vec![79, 82], 80, vec![79]),
    ] {
        let found = proof(&entries).unwrap();
        assert_eq!((found.size, numbers(&found)), (size, covered));
        let key: PublicKey = found.key.parse().unwrap();
        let stated = Checkpoint::open(&found.note, &[key]).unwrap();
        for (seq, path) in &found.paths {
            let hash = world.with(|c| {
                let get = "SELECT hash FROM audit WHERE seq = ?1";
                c.query_row(get, [seq], |row| row.get::<_, Hash>(0))
                    .unwrap()
            });
            assert_eq!(led_to(*seq, size, &hash, path), stated.root);
        }
    }
    assert_eq!(proof(&[82, 83]), None);
    assert_eq!(proof(&[]), None);
}
