//! The acts the mock prices. `C1` and `C2` have their published coefficients;
//! the others are invented, one for each rule, and their codes begin with `X`.

/// An act.
#[derive(Debug, Clone, Copy)]
pub struct Act {
    /// Code without prefixes and suffixes.
    pub code: &'static str,
    /// Coefficient, in hundredths.
    pub coefficient: i64,
    /// What is particular about it.
    pub trait_of: Trait,
}

/// What is particular about an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trait {
    /// Nothing.
    Plain,
    /// Billed up to the end of this day, `(year, month, day)`.
    Until(i32, u8, u8),
    /// Takes no suffix.
    NoSuffix,
    /// Once a line.
    Single,
    /// Not on the day of a consultation (`C1`, `C2`).
    Alone,
    /// Needs an authorisation, which the sandbox never has.
    Authorised,
    /// For patients under 18.
    Minors,
    /// Its hour must be told.
    Timed,
    /// The patient pays all of it.
    NonOpposable,
    /// A simulation answers one more line, without amount, under this code.
    Companion(&'static str),
}

const fn act(code: &'static str, coefficient: i64, trait_of: Trait) -> Act {
    Act {
        code,
        coefficient,
        trait_of,
    }
}

/// Acts that count as a consultation.
pub const CONSULTATIONS: [&str; 2] = ["C1", "C2"];

/// Every act.
pub const ACTS: [Act; 12] = [
    act("C1", 1195, Trait::Plain),
    act("C2", 1097, Trait::Plain),
    // 57.70 euro, the amount of an observed answer of the rules engine.
    act("X0", 1102, Trait::Plain),
    act("X1", 500, Trait::Until(2025, 12, 31)),
    act("X2", 600, Trait::NoSuffix),
    act("X3", 700, Trait::Single),
    act("X4", 800, Trait::Alone),
    act("X5", 900, Trait::Authorised),
    act("X6", 1000, Trait::Minors),
    act("X7", 1551, Trait::Timed),
    act("X8", 400, Trait::NonOpposable),
    act("X9", 1250, Trait::Companion("X9Z")),
];

/// The act with this code.
pub fn find(code: &str) -> Option<&'static Act> {
    ACTS.iter().find(|act| act.code == code)
}
