//! Reading the signature values of a document.

use super::{PdfError, graph, load};
use lopdf::{Dictionary, Document};
use std::ops::Range;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

/// A signature value as the document holds it; nothing is verified.
#[derive(Debug, Clone)]
pub struct SignatureValue {
    /// `SubFilter`: the format, e.g. `ETSI.CAdES.detached`.
    pub format: String,
    /// The four numbers of `ByteRange`: offset and length of two pieces.
    pub byte_range: [usize; 4],
    /// `Contents`: the CMS, with the zero bytes that fill its place.
    pub contents: Vec<u8>,
    /// `M`: the time the signer claims.
    pub signing_time: Option<OffsetDateTime>,
}

impl SignatureValue {
    /// The bytes between the two signed pieces.
    pub fn gap(&self) -> Option<Range<usize>> {
        let [start, length, resume, _] = self.byte_range;
        let gap = start.checked_add(length)?..resume;
        (gap.start <= gap.end).then_some(gap)
    }

    /// Where the second signed piece ends.
    pub fn end(&self) -> Option<usize> {
        let [_, _, resume, length] = self.byte_range;
        resume.checked_add(length)
    }
}

/// The values of all signed signature fields, in the order of their signing
/// (a later signature covers the earlier one and so ends later).
///
/// # Errors
/// What [`load`] refuses, and a signature value without a readable byte range
/// or contents.
pub fn signatures(pdf: &[u8]) -> Result<Vec<SignatureValue>, PdfError> {
    let doc = load(pdf)?;
    let mut values = graph::dictionaries(&doc)
        .into_iter()
        .filter(|dict| graph::get_name(&doc, dict, b"FT") == Some(b"Sig"))
        .filter_map(|field| graph::get_dict(&doc, field, b"V"))
        .map(|value| read_value(&doc, value))
        .collect::<Result<Vec<_>, _>>()?;
    values.sort_by_key(SignatureValue::end);
    Ok(values)
}

fn read_value(doc: &Document, value: &Dictionary) -> Result<SignatureValue, PdfError> {
    let format = graph::get_name(doc, value, b"SubFilter").unwrap_or_default();
    let byte_range = graph::get_array(doc, value, b"ByteRange")
        .and_then(|numbers| {
            let numbers: Option<Vec<usize>> = numbers
                .iter()
                .map(|n| usize::try_from(graph::resolve(doc, n).as_i64().ok()?).ok())
                .collect();
            <[usize; 4]>::try_from(numbers?).ok()
        })
        .ok_or(PdfError::Structure {
            what: "a signature has no byte range of four numbers",
        })?;
    let contents = graph::get(doc, value, b"Contents")
        .and_then(|contents| contents.as_str().ok())
        .ok_or(PdfError::Structure {
            what: "a signature has no contents",
        })?;
    let signing_time = graph::get(doc, value, b"M")
        .and_then(|date| date.as_str().ok())
        .and_then(parse_date);
    Ok(SignatureValue {
        format: String::from_utf8_lossy(format).into_owned(),
        byte_range,
        contents: contents.to_vec(),
        signing_time,
    })
}

/// Reads `D:YYYYMMDDHHmmSSOHH'mm'` (ISO 32000-1 §7.9.4); everything after the
/// year may be absent, and without an offset UTC is taken.
fn parse_date(text: &[u8]) -> Option<OffsetDateTime> {
    let text = std::str::from_utf8(text).ok()?;
    let text = text.strip_prefix("D:").unwrap_or(text);
    let split = text.find(['Z', '+', '-']).unwrap_or(text.len());
    let (stamp, zone) = text.split_at_checked(split)?;
    if !stamp.bytes().all(|b| b.is_ascii_digit()) || stamp.len() < 4 || stamp.len() > 14 {
        return None;
    }
    let part = |at: usize, default: u8| match stamp.get(at..at + 2) {
        Some(digits) => digits.parse().ok(),
        None => Some(default),
    };
    let year: i32 = stamp.get(..4)?.parse().ok()?;
    let month = Month::try_from(part(4, 1)?).ok()?;
    let date = Date::from_calendar_date(year, month, part(6, 1)?).ok()?;
    let time = Time::from_hms(part(8, 0)?, part(10, 0)?, part(12, 0)?).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_offset(parse_offset(zone)?))
}

fn parse_offset(zone: &str) -> Option<UtcOffset> {
    let sign = match zone.bytes().next() {
        None | Some(b'Z') => return Some(UtcOffset::UTC),
        Some(b'-') => -1,
        Some(_) => 1,
    };
    let digits: String = zone.chars().filter(char::is_ascii_digit).collect();
    let hours: i8 = digits.get(..2)?.parse().ok()?;
    let minutes: i8 = match digits.get(2..4) {
        Some(minutes) => minutes.parse().ok()?,
        None => 0,
    };
    UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok()
}
