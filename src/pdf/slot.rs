//! The place for a signature, made in an incremental update that keeps what
//! PDF/A asks of new objects.

use super::permissions::Permissions;
use super::update::{Update, push_direct};
use super::{PdfError, find_all, graph, load};
use crate::base::limits::PDF_CMS_BYTES_MAX;
use lopdf::{Dictionary, Document, Object, ObjectId, Stream, StringFormat, dictionary};
use std::collections::HashSet;
use std::ops::Range;
use time::{OffsetDateTime, UtcOffset};

/// Stands in the byte range until the offsets are known: as wide as the
/// largest offset a classic cross-reference table can hold.
const OFFSET_PLACEHOLDER: i64 = 9_999_999_999;
/// As the writer serialises it.
const RANGE_PLACEHOLDER: &[u8] = b"/ByteRange[0 9999999999 9999999999 9999999999]";
const RANGE_KEY: &[u8] = b"/ByteRange";
/// Annotation flags Print and Locked: visible in print, so that PDF/A allows
/// the annotation (ISO 19005-1 6.5.3, 19005-2 6.3.2), and not to be moved.
const WIDGET_FLAGS: i64 = 132;
/// `SignaturesExist` and `AppendOnly` (ISO 32000-1 Table 219).
const SIGNATURE_FLAGS: i64 = 3;

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

/// Appends an invisible signature field with an empty signature value of the
/// format `ETSI.CAdES.detached` (EN 319 142-1 §6.3) to a PDF.
///
/// # Errors
/// What [`load`] refuses; a document whose author forbids changes; a document
/// without a readable page tree.
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
    if Permissions::of(&document).no_changes {
        return Err(PdfError::AppendForbidden);
    }
    let page = first_page(&document)?;
    let name = free_field_name(&document);
    let mut update = Update::new(document, pdf);

    let appearance = update.add(empty_appearance())?;
    let field = update.add(Object::Null)?;
    let value = update.add(signature_value(signing_time, room))?;
    let widget = dictionary! {
        "Type" => "Annot", "Subtype" => "Widget", "FT" => "Sig",
        "T" => Object::string_literal(name),
        "F" => WIDGET_FLAGS,
        "Rect" => vec![0.into(), 0.into(), 0.into(), 0.into()],
        "P" => page,
        "V" => value,
        // Part 1 wants an appearance of every widget, even of an empty one.
        "AP" => dictionary! { "N" => appearance },
    };
    update.set(field, widget);
    update.push_reference(page, b"Annots", field)?;
    register_field(&mut update, field)?;
    let seed = signing_time.unix_timestamp().to_be_bytes();
    let mut bytes = update.write(&seed)?;
    let contents = set_byte_range(&mut bytes, pdf.len(), room)?;
    Ok(Slot { bytes, contents })
}

fn empty_appearance() -> Stream {
    let dict = dictionary! {
        "Type" => "XObject", "Subtype" => "Form",
        "BBox" => vec![0.into(), 0.into(), 0.into(), 0.into()],
        "Resources" => Dictionary::new(),
    };
    Stream::new(dict, Vec::new())
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

fn first_page(doc: &Document) -> Result<ObjectId, PdfError> {
    let pages = graph::pages(doc)?;
    pages
        .first()
        .map(|page| page.id)
        .ok_or(PdfError::Structure {
            what: "the document has no page",
        })
}

/// `Signature1`, or the first such name no field of the form has.
fn free_field_name(doc: &Document) -> String {
    let taken: HashSet<String> = graph::dictionaries(doc)
        .into_iter()
        .filter_map(|dict| graph::get(doc, dict, b"T")?.as_str().ok().map(graph::text))
        .collect();
    (1..)
        .map(|n: usize| format!("Signature{n}"))
        .find(|name| !taken.contains(name))
        .unwrap_or_default()
}

/// Enters the field in the interactive form, which is made when absent, direct
/// in the catalog or an object of its own.
fn register_field(update: &mut Update, field: ObjectId) -> Result<(), PdfError> {
    let root = update.root()?;
    let (apart, form) = update.old_dict(root, b"AcroForm");
    let old = update.old();
    let mut form = form.unwrap_or_default();
    let flags = graph::get_int(old, &form, b"SigFlags").unwrap_or(0);
    let fields = form.get(b"Fields").and_then(Object::as_reference).ok();
    let fields = fields
        .map(|id| graph::final_id(old, id))
        .filter(|id| old.has_object(*id));
    form.set("SigFlags", flags | SIGNATURE_FLAGS);
    match fields {
        Some(id) => update.push_apart(id, field)?,
        None => push_direct(&mut form, b"Fields", field)?,
    }
    match apart {
        Some(id) => update.set(id, form),
        None => update.own_dict(root)?.set("AcroForm", form),
    }
    Ok(())
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
