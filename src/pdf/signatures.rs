//! Reading the signature values of a document, and what came after them.

use super::changes::{self, Changes};
use super::dss::{self, ValidationData};
use super::{PdfError, find_all, graph, load, raw};
use crate::base::clock::in_utc;
use crate::base::limits::PDF_SIGNATURES_MAX;
use lopdf::xref::XrefEntry;
use lopdf::{Dictionary, Document, Object, ObjectId};
use std::collections::HashSet;
use std::ops::Range;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

/// A signature value as the document holds it; nothing is verified.
#[derive(Debug, Clone)]
pub struct SignatureValue {
    /// The full name of its field.
    pub field: String,
    /// `SubFilter`: the format, e.g. `ETSI.CAdES.detached`.
    pub format: String,
    /// Whether it is a document timestamp (ISO 32000-2 §12.8.5).
    pub timestamp: bool,
    /// The four numbers of `ByteRange`: offset and length of two pieces.
    pub byte_range: [usize; 4],
    /// `Contents`: the CMS, with the zero bytes that fill its place.
    pub contents: Vec<u8>,
    /// `M`: the time the signer claims.
    pub signing_time: Option<OffsetDateTime>,
    /// Where the file holds the hexadecimal string of `Contents`, angle
    /// brackets included.
    pub place: Range<usize>,
}

impl SignatureValue {
    /// Where the second signed piece ends.
    pub fn end(&self) -> Option<usize> {
        let [_, _, resume, length] = self.byte_range;
        resume.checked_add(length)
    }

    /// The two signed pieces. They begin with the file, leave out nothing but
    /// the contents, since a wider gap could hide anything, and end with a
    /// revision of the file: its `%%EOF` and at most one end of line.
    ///
    /// # Errors
    /// Which of this does not hold.
    pub fn signed<'a>(&self, pdf: &'a [u8]) -> Result<[&'a [u8]; 2], &'static str> {
        let [start, length, resume, _] = self.byte_range;
        if start != 0 {
            return Err("it does not begin with the file");
        }
        if length > resume {
            return Err("its pieces overlap");
        }
        let end = self.end().ok_or("it reaches beyond the file")?;
        let (Some(before), Some(after)) = (pdf.get(..length), pdf.get(resume..end)) else {
            return Err("it reaches beyond the file");
        };
        if self.place != (length..resume) {
            return Err("its gap is not the contents of the signature");
        }
        let last = after.strip_suffix(b"\n").unwrap_or(after);
        let last = last.strip_suffix(b"\r").unwrap_or(last);
        // A second mark would let a reader take the revision to end earlier
        // (ISO 19005-2 6.4.3).
        if !last.ends_with(b"%%EOF") || find_all(after, b"%%EOF").count() != 1 {
            return Err("it does not end where a revision of the file ends");
        }
        Ok([before, after])
    }
}

/// A document opened to look at its signatures.
#[derive(Debug)]
pub struct SignedPdf<'a> {
    pdf: &'a [u8],
    doc: Document,
}

impl<'a> SignedPdf<'a> {
    /// Reads the document.
    ///
    /// # Errors
    /// What [`load`] refuses.
    pub fn open(pdf: &'a [u8]) -> Result<Self, PdfError> {
        Ok(Self {
            pdf,
            doc: load(pdf)?,
        })
    }

    /// The values of all signed signature fields of the form, document
    /// timestamps among them, in the order of their signing (a later one covers
    /// the earlier ones and so ends later); at the end those that cannot be
    /// read.
    pub fn signatures(&self) -> Vec<Result<SignatureValue, PdfError>> {
        let mut seen = HashSet::new();
        let fields = graph::fields(&self.doc);
        let mut signed = fields.iter().filter(|field| {
            let value = field.dict.get(b"V").and_then(Object::as_reference);
            let signed = field.kind == Some(b"Sig");
            let signed = signed && graph::get(&self.doc, field.dict, b"V").is_some();
            signed && value.map_or(true, |id| seen.insert(id))
        });
        let first = signed.by_ref().take(PDF_SIGNATURES_MAX);
        let mut values: Vec<_> = first.map(|field| self.value(field)).collect();
        if signed.next().is_some() {
            let what = "there are more signatures than the limit";
            values.push(Err(PdfError::Structure { what }));
        }
        values.sort_by_key(|value| match value {
            Ok(value) => (false, value.end()),
            Err(_) => (true, None),
        });
        values
    }

    /// The validation data of the document security store.
    pub fn validation_data(&self) -> ValidationData {
        dss::read(&self.doc)
    }

    /// What was changed after a signature that covers the file up to its
    /// [`SignatureValue::end`].
    pub fn changes_after(&self, value: &SignatureValue) -> Changes {
        changes::after(self.pdf, &self.doc, value.end())
    }

    fn value(&self, field: &graph::Field<'_>) -> Result<SignatureValue, PdfError> {
        let doc = &self.doc;
        let bad = |what| PdfError::Structure { what };
        let id = field
            .dict
            .get(b"V")
            .and_then(Object::as_reference)
            .map_err(|_| bad("a signature value is no object of its own"))?;
        let id = graph::final_id(doc, id);
        let value = doc
            .get_dictionary(id)
            .map_err(|_| bad("a signature field's value is no dictionary"))?;
        let (byte_range, place) = self.spelled(id)?;
        let contents = value
            .get(b"Contents")
            .and_then(Object::as_str)
            .map_err(|_| bad("a signature has no contents"))?;
        Ok(SignatureValue {
            field: field.name.clone(),
            format: text(doc, value, b"SubFilter"),
            timestamp: text(doc, value, b"Type") == "DocTimeStamp",
            byte_range,
            contents: contents.to_vec(),
            signing_time: graph::get(doc, value, b"M")
                .and_then(|date| date.as_str().ok())
                .and_then(parse_date),
            place,
        })
    }

    /// Byte range and place of the contents as the file spells them: each once,
    /// direct, four plain numbers and a hexadecimal string.
    fn spelled(&self, id: ObjectId) -> Result<([usize; 4], Range<usize>), PdfError> {
        let bad = |what| PdfError::Structure { what };
        let offset = match self.doc.reference_table.get(id.0) {
            Some(XrefEntry::Normal { offset, .. }) => usize::try_from(*offset).ok(),
            Some(XrefEntry::Compressed { .. } | XrefEntry::Free | XrefEntry::UnusableFree)
            | None => None,
        };
        let entries = offset
            .and_then(|offset| raw::object_entries(self.pdf, offset))
            .ok_or_else(|| bad("a signature value is no dictionary in the file itself"))?;
        let only = |key: &[u8]| {
            let mut found = entries.iter().filter(|(name, _)| name == key);
            match (found.next(), found.next()) {
                (Some((_, place)), None) => Some(place.clone()),
                (Some(_), Some(_)) | (None, _) => None,
            }
        };
        let range = only(b"ByteRange")
            .and_then(|place| four_numbers(self.pdf.get(place)?))
            .ok_or_else(|| bad("a signature has not one byte range of four plain numbers"))?;
        let place = only(b"Contents")
            .filter(|place| is_hexadecimal(self.pdf.get(place.clone()).unwrap_or_default()))
            .ok_or_else(|| bad("a signature has not one hexadecimal string as its contents"))?;
        Ok((range, place))
    }
}

fn text(doc: &Document, dict: &Dictionary, key: &[u8]) -> String {
    let name = graph::get_name(doc, dict, key).unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

fn four_numbers(array: &[u8]) -> Option<[usize; 4]> {
    let inside = array.strip_prefix(b"[")?.strip_suffix(b"]")?;
    let numbers: Option<Vec<usize>> = std::str::from_utf8(inside)
        .ok()?
        .split_ascii_whitespace()
        .map(|n| {
            n.bytes()
                .all(|b| b.is_ascii_digit())
                .then(|| n.parse().ok())?
        })
        .collect();
    numbers?.try_into().ok()
}

fn is_hexadecimal(string: &[u8]) -> bool {
    let digits = string.strip_prefix(b"<").and_then(|s| s.strip_suffix(b">"));
    digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
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
    in_utc(PrimitiveDateTime::new(date, time).assume_offset(parse_offset(zone)?))
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

#[cfg(test)]
mod tests {
    use super::parse_date;

    #[test]
    fn a_date_beyond_the_calendar_is_no_date() {
        assert!(parse_date(b"D:99991231235959-23'59'").is_none());
        assert!(parse_date(b"D:00000101000000+00'01'").is_none());
        assert!(parse_date(b"D:99991231235959Z").is_some());
        let shifted = parse_date(b"D:20260615120000+02'00'").unwrap();
        assert_eq!(shifted, time::macros::datetime!(2026-06-15 10:00 UTC));
    }
}
