//! Tag, length, value: a tolerant reader and an exact writer.
//!
//! The reader slices; it never re-encodes. Certificates that exist break DER in
//! harmless ways (an explicit `critical FALSE`, serials of 24 bytes, integers
//! with superfluous zeros), and a strict decoder refuses them while a decoder
//! that re-encodes breaks their signatures.

use const_oid::ObjectIdentifier;
use std::borrow::Cow;
use std::ops::Range;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

/// Deepest nesting this module descends into.
const DEPTH_MAX: usize = 32;

/// Universal tags (X.680 §8.4), and `constructed` ones as they are encoded.
pub(crate) mod tag {
    pub(crate) const BOOLEAN: u8 = 0x01;
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const NULL: u8 = 0x05;
    pub(crate) const OID: u8 = 0x06;
    pub(crate) const ENUMERATED: u8 = 0x0a;
    pub(crate) const UTF8_STRING: u8 = 0x0c;
    pub(crate) const PRINTABLE_STRING: u8 = 0x13;
    pub(crate) const IA5_STRING: u8 = 0x16;
    pub(crate) const UTC_TIME: u8 = 0x17;
    pub(crate) const GENERALIZED_TIME: u8 = 0x18;
    pub(crate) const SEQUENCE: u8 = 0x30;
    pub(crate) const SET: u8 = 0x31;

    /// `[n]`, constructed: EXPLICIT, or IMPLICIT over a SEQUENCE or SET.
    pub(crate) const fn context(n: u8) -> u8 {
        0xa0 | n
    }
    /// `[n]`, primitive: IMPLICIT over a simple type.
    pub(crate) const fn context_primitive(n: u8) -> u8 {
        0x80 | n
    }
}

/// Bytes that are not the ASN.1 that was expected; says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault(pub(crate) &'static str);

/// One element: `raw` is header and content, `content` is without the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tlv<'a> {
    pub(crate) tag: u8,
    pub(crate) raw: &'a [u8],
    pub(crate) content: &'a [u8],
}

impl<'a> Tlv<'a> {
    /// Reads exactly one element from `bytes`, with nothing behind it.
    pub(crate) fn only(bytes: &'a [u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new(bytes);
        let tlv = reader.read()?;
        reader.end()?;
        Ok(tlv)
    }

    /// Reads exactly one element with this tag from `bytes`.
    pub(crate) fn only_of(bytes: &'a [u8], wanted: u8) -> Result<Self, Fault> {
        Self::only(bytes)?.expect_tag(wanted)
    }

    pub(crate) fn expect_tag(self, wanted: u8) -> Result<Self, Fault> {
        if self.tag == wanted {
            Ok(self)
        } else {
            Err(Fault("an element has another type than expected"))
        }
    }

    /// A reader over the content.
    pub(crate) fn reader(self) -> Reader<'a> {
        Reader::new(self.content)
    }

    /// The content as an object identifier.
    pub(crate) fn oid(self) -> Result<ObjectIdentifier, Fault> {
        self.expect_tag(tag::OID)?;
        ObjectIdentifier::from_bytes(self.content).map_err(|_| Fault("malformed object identifier"))
    }

    /// As [`Self::oid`]; `None` for the legal identifiers that
    /// [`ObjectIdentifier`] cannot hold (arcs beyond 32 bits as in 2.25, and
    /// beyond 2.39). None of those means anything to us.
    pub(crate) fn known_oid(self) -> Result<Option<ObjectIdentifier>, Fault> {
        self.dotted()?;
        Ok(ObjectIdentifier::from_bytes(self.content).ok())
    }

    /// The content as a dotted object identifier, with arcs up to 128 bits.
    pub(crate) fn dotted(self) -> Result<String, Fault> {
        const FAULT: Fault = Fault("malformed object identifier");
        self.expect_tag(tag::OID)?;
        let mut arcs: Vec<u128> = Vec::new();
        let mut arc = 0u128;
        let complete = self.content.last().is_some_and(|byte| byte & 0x80 == 0);
        for byte in self.content.iter().filter(|_| complete) {
            let shifted = arc.checked_mul(128).ok_or(FAULT)?;
            arc = shifted | u128::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                arcs.push(arc);
                arc = 0;
            }
        }
        // The first number holds the first two arcs (X.690 §8.19.4).
        let (first, rest) = arcs.split_first().ok_or(FAULT)?;
        let root = (first / 40).min(2);
        let mut text = format!("{root}.{}", first - root * 40);
        for arc in rest {
            text.push('.');
            text.push_str(&arc.to_string());
        }
        Ok(text)
    }

    /// The content of a BIT STRING that is made of whole bytes.
    pub(crate) fn bit_string_bytes(self) -> Result<&'a [u8], Fault> {
        self.expect_tag(tag::BIT_STRING)?;
        match self.content.split_first() {
            Some((0, bytes)) => Ok(bytes),
            _ => Err(Fault("a BIT STRING is not made of whole bytes")),
        }
    }

    /// The bits of a BIT STRING, first bit first, at most 32.
    pub(crate) fn bit_flags(self) -> Result<u32, Fault> {
        self.expect_tag(tag::BIT_STRING)?;
        let Some((_unused, bytes)) = self.content.split_first() else {
            return Err(Fault("empty BIT STRING"));
        };
        let mut flags = 0;
        for (index, byte) in bytes.iter().take(4).enumerate() {
            flags |= u32::from(byte.reverse_bits()) << (8 * index);
        }
        Ok(flags)
    }

    pub(crate) fn boolean(self) -> Result<bool, Fault> {
        self.expect_tag(tag::BOOLEAN)?;
        match self.content {
            [0] => Ok(false),
            [_] => Ok(true),
            _ => Err(Fault("malformed BOOLEAN")),
        }
    }

    /// A small non-negative INTEGER or ENUMERATED.
    pub(crate) fn small(self) -> Result<u32, Fault> {
        if self.tag != tag::INTEGER && self.tag != tag::ENUMERATED {
            return Err(Fault("an element is not an INTEGER"));
        }
        small_integer(self.content)
    }

    /// UTCTime or GeneralizedTime (RFC 5280 §4.1.2.5), fractions allowed
    /// (RFC 3161 §2.4.2).
    pub(crate) fn time(self) -> Result<OffsetDateTime, Fault> {
        match self.tag {
            tag::UTC_TIME => parse_time(self.content, 2),
            tag::GENERALIZED_TIME => parse_time(self.content, 4),
            _ => Err(Fault("an element is not a time")),
        }
    }
}

/// Content bytes of a small non-negative INTEGER, also implicitly tagged.
pub(crate) fn small_integer(content: &[u8]) -> Result<u32, Fault> {
    let negative = content.first().is_none_or(|b| b & 0x80 != 0);
    let digits = unsigned(content);
    if negative || digits.len() > 4 {
        return Err(Fault("an INTEGER is empty, negative or too large"));
    }
    Ok(digits.iter().fold(0, |sum, b| sum << 8 | u32::from(*b)))
}

/// An INTEGER's content without leading zeros, for comparison of values.
pub(crate) fn unsigned(content: &[u8]) -> &[u8] {
    let zeros = content.iter().take_while(|b| **b == 0).count();
    content.get(zeros..).unwrap_or_default()
}

/// Whether two INTEGERs have the same value, however many leading sign bytes
/// their encodings have.
pub(crate) fn same_integer(a: &[u8], b: &[u8]) -> bool {
    let negative = |content: &[u8]| content.first().is_some_and(|byte| byte & 0x80 != 0);
    a == b || !negative(a) && !negative(b) && unsigned(a) == unsigned(b)
}

fn parse_time(text: &[u8], year_digits: usize) -> Result<OffsetDateTime, Fault> {
    let fault = Fault("malformed time");
    let text = text.strip_suffix(b"Z").ok_or(fault)?;
    let (whole, fraction) = match text.iter().position(|b| matches!(b, b'.' | b',')) {
        Some(dot) => text.split_at(dot),
        None => (text, &[][..]),
    };
    if whole.len() != year_digits + 10 || !whole.iter().all(u8::is_ascii_digit) {
        return Err(fault);
    }
    let (year, rest) = whole.split_at(year_digits);
    let number = |digits: &[u8]| {
        digits
            .iter()
            .fold(0u16, |n, d| n * 10 + u16::from(d - b'0'))
    };
    let year = match (year_digits, number(year)) {
        (2, year @ 0..50) => 2000 + year,
        (2, year) => 1900 + year,
        (_, year) => year,
    };
    let mut fields = [0u8; 5];
    for (field, digits) in fields.iter_mut().zip(rest.chunks_exact(2)) {
        *field = u8::try_from(number(digits)).map_err(|_| fault)?;
    }
    let [month, day, hour, minute, second] = fields;
    let nanos = fraction_nanos(fraction).ok_or(fault)?;
    let month = Month::try_from(month).map_err(|_| fault)?;
    let date = Date::from_calendar_date(i32::from(year), month, day).map_err(|_| fault)?;
    let time = Time::from_hms_nano(hour, minute, second, nanos).map_err(|_| fault)?;
    Ok(PrimitiveDateTime::new(date, time).assume_utc())
}

/// ".125" as nanoseconds; digits beyond the ninth are cut off.
fn fraction_nanos(fraction: &[u8]) -> Option<u32> {
    let Some((_dot, digits)) = fraction.split_first() else {
        return Some(0);
    };
    if digits.is_empty() || digits.len() > 30 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let padded = digits.iter().copied().chain(std::iter::repeat(b'0'));
    Some(padded.take(9).fold(0, |n, d| n * 10 + u32::from(d - b'0')))
}

/// Reads elements one after the other. Lengths must be definite; tags above 30
/// do not occur in the structures read here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The tag of the next element, when there is one.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Fails when anything is left.
    pub(crate) fn end(&self) -> Result<(), Fault> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(Fault("bytes are left over"))
        }
    }

    pub(crate) fn read(&mut self) -> Result<Tlv<'a>, Fault> {
        let header = Header::read(self.rest)?;
        let length = header.length.ok_or(Fault("indefinite length"))?;
        let end = header.bytes.checked_add(length).ok_or(TRUNCATED)?;
        let (raw, rest) = self.rest.split_at_checked(end).ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(Tlv {
            tag: header.tag,
            raw,
            content: raw.get(header.bytes..).ok_or(TRUNCATED)?,
        })
    }

    /// The next element, which must have this tag.
    pub(crate) fn expect(&mut self, wanted: u8) -> Result<Tlv<'a>, Fault> {
        self.read()?.expect_tag(wanted)
    }

    /// The next element when it has this tag.
    pub(crate) fn optional(&mut self, wanted: u8) -> Result<Option<Tlv<'a>>, Fault> {
        if self.peek() == Some(wanted) {
            self.read().map(Some)
        } else {
            Ok(None)
        }
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<Tlv<'a>, Fault>;

    /// Elements until the end or the first fault.
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let item = self.read();
        if item.is_err() {
            self.rest = &[];
        }
        Some(item)
    }
}

const TRUNCATED: Fault = Fault("truncated");

struct Header {
    tag: u8,
    /// Bytes of tag and length.
    bytes: usize,
    /// `None`: indefinite.
    length: Option<usize>,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let (tag, first) = match bytes {
            [tag, first, ..] => (*tag, *first),
            _ => return Err(TRUNCATED),
        };
        if tag & 0x1f == 0x1f {
            return Err(Fault("tag numbers above 30 are not supported"));
        }
        let header = |bytes, length| Ok(Self { tag, bytes, length });
        match first {
            0..0x80 => header(2, Some(usize::from(first))),
            0x80 => header(2, None),
            0x81..=0x84 => {
                let count = usize::from(first & 0x7f);
                let digits = bytes.get(2..2 + count).ok_or(TRUNCATED)?;
                let length = digits.iter().fold(0, |n, b| n << 8 | usize::from(*b));
                header(2 + count, Some(length))
            }
            _ => Err(Fault("length too large")),
        }
    }
}

/// Where `part`, a subslice of `whole`, lies in it: lets a value own its bytes
/// once and keep the places of its fields.
pub(crate) fn place(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    start..start + part.len()
}

/// Gives BER as CMS producers write it (indefinite lengths, OCTET STRINGs in
/// pieces) definite lengths. Elements that need no change, certificates above
/// all, are copied byte for byte.
pub(crate) fn definite(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Fault> {
    let mut out = Vec::new();
    let (used, changed) = rewrite(bytes, &mut out, 0)?;
    if used != bytes.len() {
        return Err(Fault("bytes are left over"));
    }
    Ok(if changed {
        Cow::Owned(out)
    } else {
        Cow::Borrowed(bytes)
    })
}

/// The elements inside the one element `bytes` consists of, each as it stands:
/// lengths may be indefinite.
pub(crate) fn children(bytes: &[u8]) -> Result<Vec<&[u8]>, Fault> {
    let header = Header::read(bytes)?;
    let (used, _) = rewrite(bytes, &mut Vec::new(), 0)?;
    if header.tag & 0x20 == 0 || used != bytes.len() {
        return Err(Fault("not one constructed element"));
    }
    // The end-of-contents octets of an indefinite length (X.690 §8.1.5).
    let tail = if header.length.is_none() { 2 } else { 0 };
    let end = used.saturating_sub(tail);
    let mut rest = bytes.get(header.bytes..end).ok_or(TRUNCATED)?;
    let mut out = Vec::new();
    while !rest.is_empty() {
        let (used, _) = rewrite(rest, &mut Vec::new(), 1)?;
        let (child, behind) = rest.split_at_checked(used).ok_or(TRUNCATED)?;
        out.push(child);
        rest = behind;
    }
    Ok(out)
}

/// Appends the first element of `bytes` to `out`; returns the bytes used and
/// whether they differ from what was appended.
fn rewrite(bytes: &[u8], out: &mut Vec<u8>, depth: usize) -> Result<(usize, bool), Fault> {
    const PIECES: u8 = tag::OCTET_STRING | 0x20;
    if depth > DEPTH_MAX {
        return Err(Fault("nested too deeply"));
    }
    let header = Header::read(bytes)?;
    if header.tag & 0x20 == 0 {
        let tlv = Reader::new(bytes).read()?;
        out.extend_from_slice(tlv.raw);
        return Ok((tlv.raw.len(), false));
    }
    let mut content = Vec::new();
    let mut changed = header.length.is_none() || header.tag == PIECES;
    let mut at = header.bytes;
    let end = match header.length {
        Some(length) => at.checked_add(length).filter(|end| *end <= bytes.len()),
        None => Some(bytes.len()),
    };
    let end = end.ok_or(TRUNCATED)?;
    while header.length.is_none() || at < end {
        let rest = bytes.get(at..end).ok_or(TRUNCATED)?;
        if header.length.is_none() && rest.starts_with(&[0, 0]) {
            at += 2;
            break;
        }
        let start = content.len();
        let (used, child_changed) = rewrite(rest, &mut content, depth + 1)?;
        changed |= child_changed;
        at += used;
        if header.tag == PIECES {
            let piece = content.get(start..).ok_or(TRUNCATED)?;
            let piece = Tlv::only_of(piece, tag::OCTET_STRING)?.content.to_vec();
            content.truncate(start);
            content.extend_from_slice(&piece);
        }
    }
    let whole = bytes.get(..at).ok_or(TRUNCATED)?;
    if changed {
        let tag = if header.tag == PIECES {
            tag::OCTET_STRING
        } else {
            header.tag
        };
        write(tag, &[&content], out);
    } else {
        out.extend_from_slice(whole);
    }
    Ok((at, changed))
}

/// Appends one element whose content is `parts` in order.
pub(crate) fn write(tag: u8, parts: &[&[u8]], out: &mut Vec<u8>) {
    out.push(tag);
    let length: usize = parts.iter().map(|p| p.len()).sum();
    let digits = length.to_be_bytes();
    let digits = unsigned(&digits);
    match digits {
        [] => out.push(0),
        [short @ 0..0x80] => out.push(*short),
        _ => {
            out.push(0x80 | digits.len() as u8);
            out.extend_from_slice(digits);
        }
    }
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// One element whose content is `parts` in order.
pub(crate) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    write(tag, parts, &mut out);
    out
}

/// An OBJECT IDENTIFIER.
pub(crate) fn oid(oid: ObjectIdentifier) -> Vec<u8> {
    element(tag::OID, &[oid.as_bytes()])
}

/// An OBJECT IDENTIFIER from its dotted text; `None` when it is none.
pub(crate) fn oid_from_dotted(text: &str) -> Option<Vec<u8>> {
    let arcs = text.split('.').map(|arc| arc.parse::<u128>().ok());
    let arcs: Vec<u128> = arcs.collect::<Option<_>>()?;
    let [root @ 0..=2, second, rest @ ..] = arcs.as_slice() else {
        return None;
    };
    if *root < 2 && *second > 39 {
        return None;
    }
    let mut content = Vec::new();
    for arc in [second.checked_add(root * 40)?].iter().chain(rest) {
        let septets = (128 - arc.leading_zeros()).div_ceil(7).max(1);
        for n in (0..septets).rev() {
            let more = if n == 0 { 0 } else { 0x80 };
            content.push((arc >> (7 * n)) as u8 & 0x7f | more);
        }
    }
    Some(element(tag::OID, &[&content]))
}

/// A non-negative INTEGER from its big-endian bytes.
pub(crate) fn integer(bytes: &[u8]) -> Vec<u8> {
    let digits = unsigned(bytes);
    let sign: &[u8] = match digits.first() {
        Some(0..0x80) => &[],
        _ => &[0],
    };
    element(tag::INTEGER, &[sign, digits])
}

/// A SET OF in DER order (X.690 §11.6).
pub(crate) fn set_of(mut members: Vec<Vec<u8>>) -> Vec<u8> {
    members.sort();
    let members: Vec<&[u8]> = members.iter().map(Vec::as_slice).collect();
    element(tag::SET, &members)
}
