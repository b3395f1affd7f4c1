//! Tariffs in decimal arithmetic: coefficient times key letter, suffixes, and
//! the two shares. The figures are those CNS published for doctors (key letter
//! since 1 June 2026, nomenclature art. 4); what is made of them is a mock.

use rust_decimal::{Decimal, RoundingStrategy};

/// Whole percent the insurance pays of an adult's act.
pub const RATE_ADULT: u32 = 88;
/// Whole percent it pays of the act of a patient under 18.
pub const RATE_MINOR: u32 = 100;

/// Letters that stand for something, with the coefficient of those that change
/// the price, in hundredths.
const SUFFIXES: [(char, i64); 13] = [
    ('E', 110),
    ('N', 200),
    ('D', 200),
    ('F', 200),
    ('B', 150),
    ('R', 50),
    ('P', 30),
    ('V', 125),
    ('A', 45),
    ('L', 115),
    // They tell something about the act and leave its price.
    ('C', 100),
    ('K', 100),
    ('Z', 100),
];

/// The key letter, in euro.
fn key_letter() -> Decimal {
    Decimal::new(52346, 4)
}

/// To a tenth of a euro; five cents and more go up (nomenclature art. 4).
fn to_tenth(amount: Decimal) -> Decimal {
    let mut rounded = amount.round_dp_with_strategy(1, RoundingStrategy::MidpointAwayFromZero);
    rounded.rescale(2);
    rounded
}

/// The tariff of an act without suffixes, in euro. `coefficient` is in
/// hundredths.
pub fn tariff(coefficient: i64) -> Decimal {
    to_tenth(Decimal::new(coefficient, 2) * key_letter())
}

/// The tariff with one suffix more, rounded again; `None` for a letter that
/// means nothing.
pub fn with_suffix(tariff: Decimal, letter: &str) -> Option<Decimal> {
    let known = SUFFIXES.iter().find(|(l, _)| letter == l.to_string());
    known.map(|(_, hundredths)| to_tenth(tariff * Decimal::new(*hundredths, 2)))
}

/// What the insurance pays of `amount`, and what is left: to the cent, and
/// together the amount.
pub fn shares(amount: Decimal, rate: u32) -> (Decimal, Decimal) {
    let exact = amount * Decimal::from(rate) / Decimal::ONE_HUNDRED;
    let mut statutory = exact.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
    statutory.rescale(2);
    (statutory, amount - statutory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn euro(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn the_published_examples_come_out() {
        assert_eq!(tariff(1195), euro("62.6"));
        assert_eq!(tariff(1097), euro("57.4"));
        assert_eq!(tariff(1195).to_string(), "62.60");
    }

    #[test]
    fn five_cents_go_up_and_four_do_not() {
        assert_eq!(to_tenth(euro("1.05")), euro("1.1"));
        assert_eq!(to_tenth(euro("1.0499")), euro("1.0"));
        assert_eq!(to_tenth(euro("0.95")), euro("1.0"));
    }

    #[test]
    fn each_suffix_works_on_the_rounded_tariff_and_is_rounded() {
        let expected = [
            ("E", "68.9"),
            ("N", "125.2"),
            ("D", "125.2"),
            ("F", "125.2"),
            ("B", "93.9"),
            ("R", "31.3"),
            ("P", "18.8"),
            ("V", "78.3"),
            ("A", "28.2"),
            ("L", "72.0"),
            ("C", "62.6"),
            ("K", "62.6"),
            ("Z", "62.6"),
        ];
        for (letter, amount) in expected {
            assert_eq!(
                with_suffix(euro("62.6"), letter),
                Some(euro(amount)),
                "{letter}"
            );
        }
        for unknown in ["Q", "", "EE", "e"] {
            assert_eq!(with_suffix(euro("62.6"), unknown), None);
        }
        // Rounded in between: 62.6 × 1.25 = 78.25 -> 78.3; 78.3 × 0.5 = 39.15
        // -> 39.2, where 78.25 × 0.5 would give 39.1.
        let first = with_suffix(euro("62.6"), "V").unwrap();
        assert_eq!(with_suffix(first, "R"), Some(euro("39.2")));
    }

    #[test]
    fn shares_have_cents_and_add_up() {
        let (statutory, personal) = shares(euro("57.70"), RATE_ADULT);
        assert_eq!((statutory, personal), (euro("50.78"), euro("6.92")));
        assert_eq!(
            shares(euro("57.70"), RATE_MINOR),
            (euro("57.70"), Decimal::ZERO)
        );
        for tenths in 0..2000 {
            let amount = Decimal::new(tenths, 1);
            let (statutory, personal) = shares(amount, RATE_ADULT);
            assert_eq!(statutory + personal, amount);
            assert!(
                statutory.scale() <= 2 && personal.scale() <= 2 && !personal.is_sign_negative()
            );
        }
    }
}
