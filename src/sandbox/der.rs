//! A small DER writer and reader (ITU-T X.690), enough for the sandbox's own
//! certificates, answers and checks. It shares nothing with the daemon's
//! codecs, so that a mistake there cannot hide behind the same mistake here.

use time::OffsetDateTime;

/// Universal tags used here.
pub const BOOLEAN: u8 = 0x01;
/// INTEGER.
pub const INTEGER: u8 = 0x02;
/// BIT STRING.
pub const BIT_STRING: u8 = 0x03;
/// OCTET STRING.
pub const OCTET_STRING: u8 = 0x04;
/// OBJECT IDENTIFIER.
pub const OID: u8 = 0x06;
/// ENUMERATED.
pub const ENUMERATED: u8 = 0x0a;
/// UTCTime.
pub const UTC_TIME: u8 = 0x17;
/// GeneralizedTime.
pub const GENERALIZED_TIME: u8 = 0x18;
/// SEQUENCE, constructed.
pub const SEQUENCE: u8 = 0x30;
/// SET, constructed.
pub const SET: u8 = 0x31;

/// Deepest nesting a caller may walk is bounded by the callers themselves:
/// this reader never recurses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DerError {
    /// The bytes end inside an element.
    #[error("the structure ends too early")]
    Truncated,
    /// Indefinite or non-minimal length, or a tag of more than one byte.
    #[error("the encoding is not DER")]
    NotDer,
    /// Another element was expected.
    #[error("an unexpected element (tag {found:#04x}, expected {expected:#04x})")]
    Tag {
        /// Tag asked for.
        expected: u8,
        /// Tag read.
        found: u8,
    },
    /// Bytes follow the structure.
    #[error("bytes follow the structure")]
    Trailing,
    /// A time that is not of the DER form.
    #[error("a time is malformed")]
    Time,
}

/// One element: tag, length, content.
pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 6);
    out.push(tag);
    match content.len() {
        n @ 0..=0x7f => out.push(n as u8),
        n => {
            let bytes = n.to_be_bytes();
            let skip = bytes.iter().take_while(|b| **b == 0).count();
            out.push(0x80 | (bytes.len() - skip) as u8);
            out.extend_from_slice(&bytes[skip..]);
        }
    }
    out.extend_from_slice(content);
    out
}

/// A SEQUENCE of already encoded parts.
pub fn seq(parts: &[&[u8]]) -> Vec<u8> {
    tlv(SEQUENCE, &parts.concat())
}

/// A SET of already encoded parts, sorted as DER demands for SET OF.
pub fn set_of(mut parts: Vec<Vec<u8>>) -> Vec<u8> {
    parts.sort();
    tlv(SET, &parts.concat())
}

/// `[n]` around already encoded content, constructed.
pub fn context(n: u8, content: &[u8]) -> Vec<u8> {
    tlv(0xa0 | n, content)
}

/// An unsigned INTEGER of any size.
pub fn integer(big_endian: &[u8]) -> Vec<u8> {
    let skip = big_endian.iter().take_while(|b| **b == 0).count();
    let digits = &big_endian[skip..];
    match digits.first() {
        None => tlv(INTEGER, &[0]),
        Some(first) if *first >= 0x80 => tlv(INTEGER, &[&[0], digits].concat()),
        Some(_) => tlv(INTEGER, digits),
    }
}

/// A small unsigned INTEGER.
pub fn small(value: u64) -> Vec<u8> {
    integer(&value.to_be_bytes())
}

/// A BIT STRING of whole bytes.
pub fn bit_string(bytes: &[u8]) -> Vec<u8> {
    tlv(BIT_STRING, &[&[0], bytes].concat())
}

/// An OBJECT IDENTIFIER from its arcs.
pub fn oid(arcs: &[u64]) -> Vec<u8> {
    tlv(OID, &oid_content(arcs))
}

/// The content bytes of an OBJECT IDENTIFIER; fewer than two arcs give none.
pub fn oid_content(arcs: &[u64]) -> Vec<u8> {
    let [first, second, rest @ ..] = arcs else {
        return Vec::new();
    };
    let mut out = Vec::new();
    for arc in std::iter::once(&(first * 40 + second)).chain(rest) {
        let mut groups = vec![(arc & 0x7f) as u8];
        let mut left = arc >> 7;
        while left > 0 {
            groups.push(0x80 | (left & 0x7f) as u8);
            left >>= 7;
        }
        out.extend(groups.iter().rev());
    }
    out
}

/// A GeneralizedTime with whole seconds, in UTC.
pub fn generalized_time(at: OffsetDateTime) -> Vec<u8> {
    let at = at.to_offset(time::UtcOffset::UTC);
    let text = format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    );
    tlv(GENERALIZED_TIME, text.as_bytes())
}

/// A time as certificates and CRLs write it: UTCTime up to 2049
/// (RFC 5280 §5.1.2.4).
pub fn time(at: OffsetDateTime) -> Vec<u8> {
    let at = at.to_offset(time::UtcOffset::UTC);
    if at.year() >= 2050 {
        return generalized_time(at);
    }
    let general = generalized_time(at);
    tlv(UTC_TIME, &general[4..])
}

/// One element read.
#[derive(Debug, Clone, Copy)]
pub struct Tlv<'a> {
    /// The identifier byte.
    pub tag: u8,
    /// The content bytes.
    pub content: &'a [u8],
    /// Tag, length and content: the bytes as they stood.
    pub raw: &'a [u8],
}

impl<'a> Tlv<'a> {
    /// A reader of this element's content.
    pub fn inside(&self) -> Reader<'a> {
        Reader(self.content)
    }

    /// The bytes of a BIT STRING without unused bits.
    pub fn bits(&self) -> Result<&'a [u8], DerError> {
        match self.content {
            [0, bytes @ ..] => Ok(bytes),
            _ => Err(DerError::NotDer),
        }
    }

    /// The magnitude of a non-negative INTEGER.
    pub fn unsigned(&self) -> &'a [u8] {
        let skip = self.content.iter().take_while(|b| **b == 0).count();
        &self.content[skip..]
    }

    /// A UTCTime or GeneralizedTime in whole seconds (fractions are dropped).
    pub fn time(&self) -> Result<OffsetDateTime, DerError> {
        let text = std::str::from_utf8(self.content).map_err(|_| DerError::Time)?;
        let (century, rest) = match self.tag {
            UTC_TIME if text.get(..2).is_some_and(|y| y < "50") => ("20", text),
            UTC_TIME => ("19", text),
            GENERALIZED_TIME => ("", text),
            _ => return Err(DerError::Time),
        };
        let digits = rest.strip_suffix('Z').ok_or(DerError::Time)?;
        let digits = digits.split('.').next().unwrap_or_default();
        let full = format!("{century}{digits}");
        let number = |range: std::ops::Range<usize>| {
            let part = full.get(range).ok_or(DerError::Time)?;
            part.parse::<u16>().map_err(|_| DerError::Time)
        };
        if full.len() != 14 {
            return Err(DerError::Time);
        }
        let small = |range| number(range).map(|n| n as u8);
        let month = time::Month::try_from(small(4..6)?).map_err(|_| DerError::Time)?;
        let date = time::Date::from_calendar_date(i32::from(number(0..4)?), month, small(6..8)?);
        let clock = time::Time::from_hms(small(8..10)?, small(10..12)?, small(12..14)?);
        match (date, clock) {
            (Ok(date), Ok(clock)) => Ok(date.with_time(clock).assume_utc()),
            (Err(_), _) | (_, Err(_)) => Err(DerError::Time),
        }
    }
}

/// Reads elements one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// Whether all is read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tag of the next element, if any.
    pub fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next element, whatever it is.
    pub fn any(&mut self) -> Result<Tlv<'a>, DerError> {
        let bytes = self.0;
        let (&tag, &first) = match bytes {
            [tag, first, ..] => (tag, first),
            _ => return Err(DerError::Truncated),
        };
        if tag & 0x1f == 0x1f {
            return Err(DerError::NotDer);
        }
        let (header, length) = if first < 0x80 {
            (2, usize::from(first))
        } else {
            let count = usize::from(first & 0x7f);
            let digits = bytes.get(2..2 + count).ok_or(DerError::Truncated)?;
            if count == 0 || count > 4 || digits[0] == 0 {
                return Err(DerError::NotDer);
            }
            let length = digits.iter().fold(0, |n, d| n << 8 | usize::from(*d));
            if length < 0x80 {
                return Err(DerError::NotDer);
            }
            (2 + count, length)
        };
        let end = header + length;
        let raw = bytes.get(..end).ok_or(DerError::Truncated)?;
        self.0 = &bytes[end..];
        Ok(Tlv {
            tag,
            content: &raw[header..],
            raw,
        })
    }

    /// The next element, which must have this tag.
    pub fn take(&mut self, expected: u8) -> Result<Tlv<'a>, DerError> {
        match self.peek() {
            Some(tag) if tag == expected => self.any(),
            Some(found) => Err(DerError::Tag { expected, found }),
            None => Err(DerError::Truncated),
        }
    }

    /// The next element if it has this tag.
    pub fn optional(&mut self, tag: u8) -> Result<Option<Tlv<'a>>, DerError> {
        if self.peek() == Some(tag) {
            return self.any().map(Some);
        }
        Ok(None)
    }

    /// All remaining elements.
    pub fn all(mut self) -> Result<Vec<Tlv<'a>>, DerError> {
        let mut out = Vec::new();
        while !self.is_empty() {
            out.push(self.any()?);
        }
        Ok(out)
    }
}

/// The one element that fills `bytes`.
pub fn only(bytes: &[u8], tag: u8) -> Result<Tlv<'_>, DerError> {
    let mut reader = Reader(bytes);
    let found = reader.take(tag)?;
    if reader.is_empty() {
        Ok(found)
    } else {
        Err(DerError::Trailing)
    }
}

/// Turns an ECDSA signature from DER into `r || s` of `size` bytes each
/// (RFC 4050 §3.3, the form XML signatures use).
pub fn ecdsa_fixed(signature: &[u8], size: usize) -> Result<Vec<u8>, DerError> {
    let mut reader = only(signature, SEQUENCE)?.inside();
    let mut out = Vec::with_capacity(size * 2);
    for _ in 0..2 {
        let digits = reader.take(INTEGER)?.unsigned();
        let pad = size.checked_sub(digits.len()).ok_or(DerError::NotDer)?;
        out.extend(std::iter::repeat_n(0, pad));
        out.extend_from_slice(digits);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_and_reads_lengths_of_every_form() {
        for size in [0, 1, 127, 128, 255, 256, 70_000] {
            let body = vec![7; size];
            let encoded = tlv(OCTET_STRING, &body);
            assert_eq!(only(&encoded, OCTET_STRING).unwrap().content, body);
        }
    }

    #[test]
    fn refuses_what_is_not_der() {
        assert_eq!(only(&[4, 0x81, 1, 0], 4).err(), Some(DerError::NotDer));
        assert_eq!(
            only(&[0x30, 0x80, 0, 0], 0x30).err(),
            Some(DerError::NotDer)
        );
        assert_eq!(only(&[4, 2, 0], 4).err(), Some(DerError::Truncated));
        assert_eq!(only(&[4, 0, 0], 4).err(), Some(DerError::Trailing));
    }

    #[test]
    fn encodes_object_identifiers_and_integers() {
        assert_eq!(
            oid(&[1, 2, 840, 113549]),
            [6, 6, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d]
        );
        assert_eq!(oid(&[2, 25, 128]), [6, 3, 0x69, 0x81, 0x00]);
        assert_eq!(integer(&[0, 0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[]), [2, 1, 0]);
        assert_eq!(small(300), [2, 2, 1, 0x2c]);
    }

    #[test]
    fn times_survive_both_forms() {
        let at = time::macros::datetime!(2031-04-05 06:07:08 UTC);
        for encoded in [time(at), generalized_time(at)] {
            assert_eq!(Reader(&encoded).any().unwrap().time(), Ok(at));
        }
        let late = time::macros::datetime!(2051-01-01 00:00 UTC);
        assert_eq!(time(late)[0], GENERALIZED_TIME);
        assert!(
            Reader(&tlv(UTC_TIME, b"9913"))
                .any()
                .unwrap()
                .time()
                .is_err()
        );
    }

    #[test]
    fn ecdsa_signatures_are_padded_to_fixed_size() {
        let der = seq(&[&integer(&[1]), &integer(&[0xff; 32])]);
        let fixed = ecdsa_fixed(&der, 32).unwrap();
        assert_eq!((fixed.len(), fixed[31], fixed[32]), (64, 1, 0xff));
        assert!(ecdsa_fixed(&der, 31).is_err());
    }
}
