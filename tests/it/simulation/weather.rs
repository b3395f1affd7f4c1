//! What can go wrong around the process, and how badly just now. Each seed
//! allows some kinds of trouble only, so that each is seen alone and together.

use super::stage::Chance;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// How a seed's world is.
#[derive(Debug, Clone)]
pub struct Climate {
    /// Workers that sign, and that send, beside those for interactive documents.
    pub signers: usize,
    pub senders: usize,
    pub lease: Duration,
    /// Whether the insurer tells apart what it has had before. One that does not
    /// gets nothing late: no client could be safe there.
    pub knows_uuids: bool,
    pub crash_per_million: u64,
    pub switch_permille: u64,
    pub token: bool,
    pub authorities: bool,
    pub insurer: bool,
    pub clock: bool,
    pub panics: bool,
    /// Calls that take longer than a lease.
    pub hangs: bool,
    /// Operations that this seed's callers use.
    pub operations: Vec<&'static str>,
    pub documents: usize,
    pub callers: usize,
}

/// Operations and the level at which the insurer wants their documents.
pub const UNSIGNED: [&str; 4] = ["calcul", "avis", "muet", "annulation"];
pub const SIGNED: [&str; 3] = ["simple", "horodate", "complet"];

/// Whether somebody waits for the answer.
pub fn is_interactive(operation: &str) -> bool {
    ["calcul", "annulation"].contains(&operation)
}

impl Climate {
    pub fn of(chance: &mut Chance, documents: usize) -> Self {
        let crash_per_million = chance.pick(&[0, 500, 2_000, 6_000]);
        let mut operations: Vec<_> = UNSIGNED
            .into_iter()
            .filter(|_| chance.permille(800))
            .collect();
        // Real signatures are what costs most.
        if chance.permille(SIGNED_PERMILLE) {
            operations.extend(SIGNED.into_iter().filter(|_| chance.permille(600)));
        }
        if operations.is_empty() {
            operations.push("avis");
        }
        Self {
            signers: 1 + chance.below(2) as usize,
            senders: chance.pick(&[1, 2, 2]),
            lease: Duration::from_secs(chance.pick(&[10, 60, 300])),
            knows_uuids: chance.permille(500),
            crash_per_million,
            switch_permille: chance.pick(&[50, 300, 1000]),
            token: chance.permille(500),
            authorities: chance.permille(500),
            insurer: chance.permille(700),
            clock: chance.permille(250),
            panics: chance.permille(250),
            hangs: chance.permille(250),
            operations,
            documents,
            callers: 1 + chance.below(3) as usize,
        }
    }
}

/// Seeds of a thousand whose documents are signed too.
const SIGNED_PERMILLE: u64 = 100;

/// How the token is just now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Card {
    There,
    Away,
    Locked,
    Crashes,
}

/// How a timestamp or revocation service is just now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Authority {
    Answers,
    Unreachable,
    Silent,
    Overloaded,
    Lies,
}

/// What happens now.
#[derive(Debug, Clone)]
pub struct Now {
    pub card: Card,
    pub stamps: Authority,
    pub revocation: Authority,
    /// Exchanges with the insurer of a thousand that go wrong.
    pub insurer_fails: u64,
    pub panics: u64,
    pub hangs: u64,
    /// Calls that may still hang for ever.
    pub hangs_left: usize,
}

impl Now {
    pub fn fair() -> Self {
        Self {
            card: Card::There,
            stamps: Authority::Answers,
            revocation: Authority::Answers,
            insurer_fails: 0,
            panics: 0,
            hangs: 0,
            hangs_left: 0,
        }
    }
}

pub struct Weather(Mutex<Now>);

impl Weather {
    pub fn new() -> Self {
        Self(Mutex::new(Now::fair()))
    }

    pub fn now(&self) -> MutexGuard<'_, Now> {
        self.0.lock().unwrap()
    }

    /// Changes, within what the climate allows.
    pub fn change(&self, climate: &Climate, chance: &mut Chance) {
        let mut now = self.now();
        let authority = |chance: &mut Chance| {
            use Authority::{Answers, Lies, Overloaded, Silent, Unreachable};
            match climate.authorities {
                true => chance.pick(&[Answers, Answers, Unreachable, Silent, Overloaded, Lies]),
                false => Answers,
            }
        };
        if climate.token {
            now.card = chance.pick(&[
                Card::There,
                Card::There,
                Card::Away,
                Card::Locked,
                Card::Crashes,
            ]);
        }
        now.stamps = authority(chance);
        now.revocation = authority(chance);
        now.insurer_fails = match climate.insurer {
            true => chance.pick(&[0, 100, 500, 1000]),
            false => 0,
        };
        now.panics = if climate.panics {
            chance.pick(&[0, 20])
        } else {
            0
        };
        now.hangs = if climate.hangs {
            chance.pick(&[0, 50])
        } else {
            0
        };
    }

    /// Everything is well, but for calls that hang already.
    pub fn clear(&self) {
        *self.now() = Now::fair();
    }
}
