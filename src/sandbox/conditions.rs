//! What stands until somebody changes it: blocked accounts and patients who
//! have not agreed. In memory only; a restart begins with the default.

use crate::environment::BLOCKED;
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A set of numbers.
#[derive(Debug)]
pub struct Listed(Mutex<BTreeSet<String>>);

impl Listed {
    fn of(numbers: &[&str]) -> Self {
        let numbers = numbers.iter().map(|n| (*n).to_owned()).collect();
        Self(Mutex::new(numbers))
    }

    /// Puts a number on the list, or takes it off.
    pub fn set(&self, number: &str, listed: bool) {
        let mut list = self.lock();
        if listed {
            list.insert(number.to_owned());
        } else {
            list.remove(number);
        }
    }

    /// Whether a number stands on the list.
    pub fn has(&self, number: &str) -> bool {
        self.lock().contains(number)
    }

    /// All numbers.
    pub fn all(&self) -> Vec<String> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Blocked accounts and withheld consents.
#[derive(Debug)]
pub struct Conditions {
    /// Codes prestataire whose account is blocked.
    pub blocked: Listed,
    /// Matricules of patients who have not agreed.
    pub withheld: Listed,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            blocked: Listed::of(&[BLOCKED]),
            withheld: Listed::of(&[]),
        }
    }
}
