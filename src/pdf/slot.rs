//! The place for a signature, made in an incremental update that keeps what
//! PDF/A asks of new objects.

use super::field::{self, Choice};
use super::signatures::SignedPdf;
use super::update::Update;
use super::{PdfError, find_all, load};
use crate::base::limits::PDF_CMS_BYTES_MAX;
use lopdf::{Dictionary, Document, Object, StringFormat, dictionary};
use std::ops::Range;
use time::{OffsetDateTime, UtcOffset};

/// Stands in the byte range until the offsets are known: as wide as the
/// largest offset a classic cross-reference table can hold.
const OFFSET_PLACEHOLDER: i64 = 9_999_999_999;
/// As the writer serialises it.
const RANGE_PLACEHOLDER: &[u8] = b"/ByteRange[0 9999999999 9999999999 9999999999]";
const RANGE_KEY: &[u8] = b"/ByteRange";
/// A PDF with an empty place for a signature.
#[derive(Debug)]
pub struct Slot {
    bytes: Vec<u8>,
    /// The hexadecimal string, angle brackets included.
    contents: Range<usize>,
}

impl Slot {
    /// The two pieces the signature covers: all but the place itself.
    pub fn signed(&self) -> [&[u8]; 2] {
        let (before, rest) = self.bytes.split_at(self.contents.start);
        let (_, after) = rest.split_at(self.contents.len());
        [before, after]
    }

    /// Puts the DER of the CMS into the place.
    ///
    /// # Errors
    /// [`PdfError::FillTooLarge`] when it has more bytes than the place.
    pub fn fill(mut self, cms: &[u8]) -> Result<Vec<u8>, PdfError> {
        fill(&mut self.bytes, &self.contents, cms)?;
        Ok(self.bytes)
    }
}

/// Puts the DER of a CMS into the place of a signature's contents, angle
/// brackets included, of whatever is there. No byte beside it changes.
///
/// # Errors
/// [`PdfError::FillTooLarge`] when it has more bytes than the place.
pub fn fill(pdf: &mut [u8], place: &Range<usize>, cms: &[u8]) -> Result<(), PdfError> {
    let inside = place.start + 1..place.end.saturating_sub(1);
    let digits = pdf.get_mut(inside).unwrap_or_default();
    let room = digits.len() / 2;
    if cms.len() > room {
        let needed = cms.len();
        return Err(PdfError::FillTooLarge { needed, room });
    }
    let cms = crate::base::hex::encode(cms);
    let filled = cms.bytes().chain(std::iter::repeat(b'0'));
    for (byte, digit) in digits.iter_mut().zip(filled) {
        *byte = digit;
    }
    Ok(())
}

/// What a signature asks of its place.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The time the signer claims.
    pub signing_time: OffsetDateTime,
    /// Bytes of the CMS the place must hold.
    pub room: usize,
    /// The digest of the signature as ISO 32000-1 Table 234 names it, e.g.
    /// `SHA256`.
    pub digest: &'a str,
}

/// Appends an empty signature value of the format `ETSI.CAdES.detached`
/// (EN 319 142-1 §6.3) to a PDF: in its first empty signature field that may be
/// signed, otherwise in a new, invisible one.
///
/// # Errors
/// What [`load`] refuses; a document whose author or signers forbid it; an empty
/// field that asks for another signature; no readable page tree.
pub fn append_signature(pdf: &[u8], request: Request<'_>) -> Result<Slot, PdfError> {
    append_to(load(pdf)?, pdf, request)
}

/// As [`append_signature`], to a document that was loaded from `pdf`.
pub(super) fn append_to(
    document: Document,
    pdf: &[u8],
    request: Request<'_>,
) -> Result<Slot, PdfError> {
    let Request {
        signing_time, room, ..
    } = request;
    if room > PDF_CMS_BYTES_MAX {
        return Err(PdfError::AppendRoom { room });
    }
    let choice = field::choose(&document, request)?;
    let mut update = Update::new(document, pdf);
    let mut value = signature_value(signing_time, room);
    match choice {
        Choice::Empty(id) => {
            if let Some(reference) = field::lock_reference(update.old(), id) {
                value.set("Reference", reference);
            }
            let value = update.add(value)?;
            field::sign_empty(&mut update, id, value)?;
        }
        Choice::New(name) => {
            let id = update.add(Object::Null)?;
            let value = update.add(value)?;
            field::sign_new(&mut update, name, id, value)?;
        }
    }
    let seed = signing_time.unix_timestamp().to_be_bytes();
    let mut bytes = update.write(&seed)?;
    let contents = set_byte_range(&mut bytes, pdf.len(), room)?;
    readable(&bytes, &contents)?;
    Ok(Slot { bytes, contents })
}

/// Reads back what will be signed, before a key is used for it: all signatures,
/// the new one last, as whoever verifies them will.
fn readable(bytes: &[u8], contents: &Range<usize>) -> Result<(), PdfError> {
    let mut values = SignedPdf::open(bytes)?.signatures();
    let own = values.pop().ok_or(PdfError::AppendPlace)??;
    values.into_iter().collect::<Result<Vec<_>, _>>()?;
    if own.place != *contents || own.signed(bytes).is_err() {
        return Err(PdfError::AppendPlace);
    }
    Ok(())
}

fn signature_value(signing_time: OffsetDateTime, room: usize) -> Dictionary {
    let placeholder = || Object::Integer(OFFSET_PLACEHOLDER);
    dictionary! {
        "Type" => "Sig", "Filter" => "Adobe.PPKLite", "SubFilter" => "ETSI.CAdES.detached",
        "ByteRange" => vec![0.into(), placeholder(), placeholder(), placeholder()],
        "Contents" => Object::String(vec![0; room], StringFormat::Hexadecimal),
        "M" => Object::string_literal(pdf_date(signing_time)),
    }
}

/// A date in UTC as ISO 32000-1 §7.9.4 writes it.
fn pdf_date(at: OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    format!(
        "D:{:04}{:02}{:02}{:02}{:02}{:02}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

/// Writes the offsets into the byte range and returns where the contents are.
/// Only the appended part is searched: an earlier signature must not match.
fn set_byte_range(
    bytes: &mut [u8],
    appended_at: usize,
    cms_room: usize,
) -> Result<Range<usize>, PdfError> {
    let appended = bytes.get(appended_at..).unwrap_or_default();
    let range_at = only(find_all(appended, RANGE_PLACEHOLDER))? + appended_at;
    let mut contents = b"/Contents<".to_vec();
    contents.resize(contents.len() + 2 * cms_room, b'0');
    contents.push(b'>');
    let start = only(find_all(appended, &contents))? + appended_at + b"/Contents".len();
    let end = start + 2 * cms_room + 2;

    let room = RANGE_PLACEHOLDER.len() - RANGE_KEY.len();
    let numbers = format!("[0 {start} {end} {}", bytes.len() - end);
    let numbers = format!("{numbers:<width$}]", width = room - 1);
    let target = bytes
        .get_mut(range_at + RANGE_KEY.len()..range_at + RANGE_PLACEHOLDER.len())
        .filter(|target| target.len() == numbers.len())
        .ok_or(PdfError::AppendPlace)?;
    target.copy_from_slice(numbers.as_bytes());
    Ok(start..end)
}

fn only(mut found: impl Iterator<Item = usize>) -> Result<usize, PdfError> {
    match (found.next(), found.next()) {
        (Some(at), None) => Ok(at),
        (Some(_), Some(_)) | (None, _) => Err(PdfError::AppendPlace),
    }
}
