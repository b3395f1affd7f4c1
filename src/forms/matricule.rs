//! The national identification number (matricule): 13 digits `YYYYMMDD`, a
//! sequence of three, a Luhn digit and a Verhoeff digit (règlement grand-ducal
//! of 28 November 2013, article 1). Both check digits are computed over the
//! first eleven digits.

use time::{Date, Month};

/// What is wrong with a matricule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not thirteen digits.
    #[error("is not a number of thirteen digits")]
    Digits,
    /// The first eight digits are no day. Month and day may be 00 (unknown).
    #[error("does not begin with a possible date")]
    Date,
    /// The twelfth digit is not the Luhn digit of the first eleven.
    #[error("has a wrong twelfth digit (Luhn)")]
    Luhn,
    /// The thirteenth digit is not the Verhoeff digit of the first eleven.
    #[error("has a wrong thirteenth digit (Verhoeff)")]
    Verhoeff,
}

/// Checks a matricule; the first fault found is told.
pub fn check(text: &str) -> Result<(), Fault> {
    let digits: Vec<u8> = text.bytes().map(|byte| byte.wrapping_sub(b'0')).collect();
    let digits: [u8; 13] = digits.try_into().map_err(|_| Fault::Digits)?;
    if digits.iter().any(|digit| *digit > 9) {
        return Err(Fault::Digits);
    }
    let [number @ .., luhn_digit, verhoeff_digit] = digits;
    if !is_date(&number) {
        return Err(Fault::Date);
    }
    if luhn(&number) != luhn_digit {
        return Err(Fault::Luhn);
    }
    if verhoeff(&number) != verhoeff_digit {
        return Err(Fault::Verhoeff);
    }
    Ok(())
}

fn is_date(number: &[u8; 11]) -> bool {
    let [y1, y2, y3, y4, m1, m2, d1, d2, ..] = *number;
    let year = i32::from(y1) * 1000 + i32::from(y2) * 100 + i32::from(y3) * 10 + i32::from(y4);
    let (month, day) = (m1 * 10 + m2, d1 * 10 + d2);
    // Unknown parts are 00; a day is tried in a month of 31 days then.
    let Ok(month) = Month::try_from(month.max(1)) else {
        return false;
    };
    Date::from_calendar_date(year, month, day.max(1)).is_ok()
}

/// Luhn, ISO/IEC 7812-1 annex B.
fn luhn(number: &[u8; 11]) -> u8 {
    let sum: u8 = number
        .iter()
        .rev()
        .enumerate()
        .map(|(index, digit)| match (index % 2, digit * 2) {
            (0, doubled) if doubled > 9 => doubled - 9,
            (0, doubled) => doubled,
            _ => *digit,
        })
        .sum();
    (10 - sum % 10) % 10
}

/// Verhoeff: the dihedral group of order ten and a permutation of period eight.
fn verhoeff(number: &[u8; 11]) -> u8 {
    let mut sum = 0;
    for (index, digit) in number.iter().rev().enumerate() {
        let mut permuted = *digit;
        for _ in 0..(index + 1) % 8 {
            permuted = permute(permuted);
        }
        sum = multiply(sum, permuted);
    }
    // The inverse: rotations have another one, reflections are their own.
    if sum < 5 { (5 - sum) % 5 } else { sum }
}

/// The permutation (1 5 8 9 4 2 7 0)(3 6) of Verhoeff's scheme.
fn permute(digit: u8) -> u8 {
    match digit {
        0 => 1,
        1 => 5,
        2 => 7,
        3 => 6,
        4 => 2,
        5 => 8,
        6 => 3,
        7 => 0,
        8 => 9,
        _ => 4,
    }
}

/// Multiplication in the dihedral group of order ten: 0 to 4 are rotations,
/// 5 to 9 reflections.
fn multiply(a: u8, b: u8) -> u8 {
    match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b) % 5 + 5,
        (false, true) => (a - 5 + 5 - b) % 5 + 5,
        (false, false) => (a - 5 + 5 - (b - 5)) % 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_test_numbers() {
        assert_eq!(check("1893120105732"), Ok(()));
        assert_eq!(check("1970050299902"), Ok(()));
        assert_eq!(check("2016041200186"), Ok(()));
        // A test patient of the insurer: the 34th day of a month.
        assert_eq!(check("1900123456712"), Err(Fault::Date));
    }

    #[test]
    fn every_wrong_digit_is_noticed() {
        for index in 0..13 {
            for digit in b'0'..=b'9' {
                let mut text = b"1893120105732".to_vec();
                if text[index] != digit {
                    text[index] = digit;
                    assert!(check(str::from_utf8(&text).unwrap()).is_err());
                }
            }
        }
        assert_eq!(check("1893120105742"), Err(Fault::Luhn));
        assert_eq!(check("1893120105733"), Err(Fault::Verhoeff));
    }

    #[test]
    fn unknown_month_and_day_are_dates() {
        assert_ne!(check("1970000000100"), Err(Fault::Date));
        assert_eq!(check("1970022900100"), Err(Fault::Date));
        assert_eq!(check("1970130100100"), Err(Fault::Date));
        assert_eq!(check("189312010573"), Err(Fault::Digits));
        assert_eq!(check("18931201O5732"), Err(Fault::Digits));
    }
}
