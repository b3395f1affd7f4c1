//! What the nonces of timestamp requests carry.

use super::*;
use std::sync::atomic::AtomicU8;

/// Commitments there are.
const NUMBERS_MAX: u8 = 9;

/// Number, nonce of the token, certificates of the chain.
type Seen = (u8, Vec<u8>, usize);

/// Numbers its commitments, and keeps those that were witnessed.
#[derive(Default)]
struct Numbered {
    asked: AtomicU8,
    witnessed: Arc<Mutex<Vec<Seen>>>,
}

impl Witness for Numbered {
    fn commitment(&self) -> Option<Commitment> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let witnessed = self.witnessed.clone();
        (number <= NUMBERS_MAX).then(|| Commitment {
            nonce: [number; 16],
            witnessed: Box::new(move |token, chain| {
                let nonce = token.nonce().unwrap().to_vec();
                let mut all = witnessed.lock().unwrap();
                all.push((number, nonce, chain.len()));
            }),
        })
    }
}

/// An authority that refuses and one that stamps as `change` says, asked once:
/// how many commitments were asked for, and which were witnessed.
fn asked(change: impl Fn(&mut Stamp) + Send + 'static) -> (u8, Vec<Seen>) {
    let world = world();
    let both = [world.authority("first"), world.authority("second")];
    world.server.serve("/first", refusal());
    world.stamping("second", world.tsa(), change);
    let witness = Arc::new(Numbered::default());
    let trust = world.trust_with(|s| s.timestamp_authorities = both.to_vec());
    let trust = trust.witnessing(witness.clone());
    let _ = trust.timestamp(b"", &mut Vec::new());
    let witnessed = witness.witnessed.lock().unwrap().clone();
    (witness.asked.load(Ordering::SeqCst), witnessed)
}

#[test]
fn each_request_carries_a_commitment_of_its_own_and_a_good_answer_witnesses_it() {
    assert_eq!(asked(|_| {}), (2, vec![(2, vec![2; 16], 3)]));
}

#[test]
fn a_token_that_must_not_be_used_witnesses_nothing() {
    assert_eq!(asked(|stamp| stamp.nonce = vec![1]), (2, vec![]));
    assert_eq!(asked(|stamp| stamp.gen_time = later(1000)), (2, vec![]));
    assert_eq!(asked(|stamp| stamp.imprint = [0; 32]), (2, vec![]));
}

#[test]
fn without_a_commitment_a_nonce_is_chance() {
    let world = world();
    let nonces: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let seen = nonces.clone();
    world.stamping("first", world.tsa(), move |stamp| {
        seen.lock().unwrap().push(stamp.nonce.clone());
    });
    let witness = Arc::new(Numbered::default());
    witness.asked.store(NUMBERS_MAX, Ordering::SeqCst);
    let trust = world.trust().witnessing(witness.clone());
    for _ in 0..2 {
        trust.timestamp(b"", &mut Vec::new()).unwrap();
    }
    let nonces = nonces.lock().unwrap();
    assert_ne!(nonces[0], nonces[1]);
    assert!(witness.witnessed.lock().unwrap().is_empty());
}
