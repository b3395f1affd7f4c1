//! The incremental update that adds a signature: bytes before it never change
//! (ISO 32000-1 §7.5.6), and what PDF/A asks of the new objects is kept.

use super::{PdfError, find_all, graph, load};
use crate::base::digest::{sha256, sha256_parts};
use crate::base::limits::{PDF_BYTES_MAX, PDF_CMS_BYTES};
use lopdf::{
    Dictionary, Document, IncrementalDocument, Object, ObjectId, Stream, StringFormat, dictionary,
};
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
    /// [`PdfError::FillTooLarge`] when it has more than [`PDF_CMS_BYTES`].
    pub fn fill(mut self, cms: &[u8]) -> Result<Vec<u8>, PdfError> {
        if cms.len() > PDF_CMS_BYTES {
            return Err(PdfError::FillTooLarge {
                needed: cms.len(),
                room: PDF_CMS_BYTES,
            });
        }
        let digits = crate::base::hex::encode(cms);
        let place = self.bytes.iter_mut().skip(self.contents.start + 1);
        for (byte, digit) in place.zip(digits.bytes()) {
            *byte = digit;
        }
        Ok(self.bytes)
    }
}

/// Appends an invisible signature field with an empty signature value of the
/// format `ETSI.CAdES.detached` (EN 319 142-1 §6.3) to a PDF.
///
/// # Errors
/// What [`load`] refuses; a document whose author forbids changes; a document
/// without a readable page tree.
pub fn append_signature(pdf: &[u8], signing_time: OffsetDateTime) -> Result<Slot, PdfError> {
    append_to(load(pdf)?, pdf, signing_time)
}

/// As [`append_signature`], to a document that was loaded from `pdf`.
pub(super) fn append_to(
    document: Document,
    pdf: &[u8],
    signing_time: OffsetDateTime,
) -> Result<Slot, PdfError> {
    if changes_forbidden(&document) {
        return Err(PdfError::AppendForbidden);
    }
    let page = first_page(&document)?;
    let name = free_field_name(&document);
    let mut update = IncrementalDocument::create_from(pdf.to_vec(), document);

    // The writer orders objects by number: the value, numbered last, is last.
    let appearance = add(&mut update, empty_appearance())?;
    let field = add(&mut update, Object::Null)?;
    let value = add(&mut update, signature_value(signing_time))?;
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
    update.new_document.set_object(field, widget);
    push_reference(&mut update, page, b"Annots", field)?;
    register_field(&mut update, field)?;
    renew_id(&mut update, pdf, signing_time);

    let mut bytes = Vec::with_capacity(pdf.len() + 2 * PDF_CMS_BYTES + 4096);
    update.save_to(&mut bytes).map_err(PdfError::AppendWrite)?;
    // The end of line belongs to the file the signature covers: a validator
    // takes it as part of the revision (ISO 19005-2 6.4.3).
    bytes.push(b'\n');
    if bytes.len() > PDF_BYTES_MAX {
        return Err(PdfError::AppendTooLarge { bytes: bytes.len() });
    }
    let contents = set_byte_range(&mut bytes, pdf.len())?;
    Ok(Slot { bytes, contents })
}

fn add(update: &mut IncrementalDocument, object: impl Into<Object>) -> Result<ObjectId, PdfError> {
    update
        .new_document
        .try_add_object(object)
        .map_err(PdfError::AppendNumbers)
}

fn empty_appearance() -> Stream {
    let dict = dictionary! {
        "Type" => "XObject", "Subtype" => "Form",
        "BBox" => vec![0.into(), 0.into(), 0.into(), 0.into()],
        "Resources" => Dictionary::new(),
    };
    Stream::new(dict, Vec::new())
}

fn signature_value(signing_time: OffsetDateTime) -> Dictionary {
    let placeholder = || Object::Integer(OFFSET_PLACEHOLDER);
    dictionary! {
        "Type" => "Sig", "Filter" => "Adobe.PPKLite", "SubFilter" => "ETSI.CAdES.detached",
        "ByteRange" => vec![0.into(), placeholder(), placeholder(), placeholder()],
        "Contents" => Object::String(vec![0; PDF_CMS_BYTES], StringFormat::Hexadecimal),
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

/// Whether a certification or the lock of a signed field says P = 1: no change
/// at all (ISO 32000-1 Table 254, ISO 32000-2 Table 236).
pub(super) fn changes_forbidden(doc: &Document) -> bool {
    graph::dictionaries(doc).into_iter().any(|dict| {
        let none_allowed = |params: Option<&Dictionary>| {
            params.is_some_and(|params| graph::get_int(doc, params, b"P") == Some(1))
        };
        let certified = graph::get_name(doc, dict, b"TransformMethod") == Some(b"DocMDP")
            && none_allowed(graph::get_dict(doc, dict, b"TransformParams"));
        let locked = graph::get_name(doc, dict, b"FT") == Some(b"Sig")
            && graph::get_dict(doc, dict, b"V").is_some()
            && none_allowed(graph::get_dict(doc, dict, b"Lock"));
        certified || locked
    })
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
    // Names may be UTF-16; without mark and high bytes they compare as ASCII.
    let ascii = |name: &[u8]| -> Vec<u8> {
        name.iter()
            .copied()
            .filter(|byte| (1..128).contains(byte))
            .collect()
    };
    let taken: HashSet<Vec<u8>> = graph::dictionaries(doc)
        .into_iter()
        .filter_map(|dict| graph::get(doc, dict, b"T")?.as_str().ok().map(ascii))
        .collect();
    (1..)
        .map(|n: usize| format!("Signature{n}"))
        .find(|name| !taken.contains(name.as_bytes()))
        .unwrap_or_default()
}

/// Appends a reference to an array that is direct, indirect or absent under
/// `key` of the object `owner`.
fn push_reference(
    update: &mut IncrementalDocument,
    owner: ObjectId,
    key: &[u8],
    item: ObjectId,
) -> Result<(), PdfError> {
    let dict = own_dict(update, owner)?;
    let indirect = dict.get(key).and_then(Object::as_reference).ok();
    if let Some(id) = indirect
        && update.get_prev_documents().get_object(id).is_ok()
    {
        let id = final_id(update.get_prev_documents(), id);
        return own(update, id)?
            .as_array_mut()
            .map(|items| items.push(item.into()))
            .map_err(|_| PdfError::Structure {
                what: "a list of annotations or fields is no array",
            });
    }
    push_direct(own_dict(update, owner)?, key, item)
}

fn push_direct(dict: &mut Dictionary, key: &[u8], item: ObjectId) -> Result<(), PdfError> {
    match dict.get_mut(key) {
        Ok(Object::Array(items)) => items.push(item.into()),
        Ok(Object::Null | Object::Reference(_)) | Err(_) => dict.set(key, vec![item.into()]),
        Ok(_) => {
            return Err(PdfError::Structure {
                what: "a list of annotations or fields is no array",
            });
        }
    }
    Ok(())
}

/// Where a chain of references ends.
fn final_id(doc: &Document, id: ObjectId) -> ObjectId {
    let reference = Object::Reference(id);
    match doc.dereference(&reference) {
        Ok((Some(last), _)) => last,
        Ok((None, _)) | Err(_) => id,
    }
}

/// The object in the update, copied from the earlier revision when needed.
fn own(update: &mut IncrementalDocument, id: ObjectId) -> Result<&mut Object, PdfError> {
    let missing = |_| PdfError::Structure {
        what: "an object the form or the page needs is missing",
    };
    update
        .opt_clone_object_to_new_document(id)
        .map_err(missing)?;
    update.new_document.get_object_mut(id).map_err(missing)
}

fn own_dict(update: &mut IncrementalDocument, id: ObjectId) -> Result<&mut Dictionary, PdfError> {
    own(update, id)?
        .as_dict_mut()
        .map_err(|_| PdfError::Structure {
            what: "an object the form or the page needs is no dictionary",
        })
}

/// Enters the field in the interactive form, which is made when absent, direct
/// in the catalog or an object of its own.
fn register_field(update: &mut IncrementalDocument, field: ObjectId) -> Result<(), PdfError> {
    let root = update
        .get_prev_documents()
        .trailer
        .get(b"Root")
        .and_then(Object::as_reference)
        .map_err(|_| PdfError::Structure {
            what: "the trailer names no catalog",
        })?;
    let root = final_id(update.get_prev_documents(), root);
    let old = update.get_prev_documents();
    let catalog = old.get_dictionary(root).map_err(|_| PdfError::Structure {
        what: "the catalog is no dictionary",
    })?;
    let indirect = catalog.get(b"AcroForm").and_then(Object::as_reference).ok();
    let form = graph::get_dict(old, catalog, b"AcroForm").cloned();
    let fields = form
        .as_ref()
        .and_then(|form| form.get(b"Fields").ok()?.as_reference().ok());
    let flags = form
        .as_ref()
        .and_then(|form| graph::get_int(old, form, b"SigFlags"));
    let mut form = form.unwrap_or_default();
    form.set("SigFlags", flags.unwrap_or(0) | SIGNATURE_FLAGS);

    let indirect = indirect
        .map(|id| final_id(old, id))
        .filter(|id| old.has_object(*id));
    let fields = fields
        .map(|id| final_id(old, id))
        .filter(|id| old.has_object(*id));
    match fields {
        Some(id) => own(update, id)?
            .as_array_mut()
            .map_err(|_| PdfError::Structure {
                what: "the list of fields is no array",
            })?
            .push(field.into()),
        None => push_direct(&mut form, b"Fields", field)?,
    }
    match indirect {
        Some(id) => *own_dict(update, id)? = form,
        None => own_dict(update, root)?.set("AcroForm", form),
    }
    Ok(())
}

/// Renews the second file identifier and keeps the first, which names the
/// document through all its revisions (ISO 32000-1 §14.4).
fn renew_id(update: &mut IncrementalDocument, pdf: &[u8], signing_time: OffsetDateTime) {
    let seconds = signing_time.unix_timestamp().to_be_bytes();
    let mut fresh = sha256_parts(&[&sha256(pdf), &seconds]).to_vec();
    fresh.truncate(16);
    let fresh = Object::String(fresh, StringFormat::Hexadecimal);
    let first = graph::get_array(
        update.get_prev_documents(),
        &update.new_document.trailer,
        b"ID",
    )
    .and_then(|ids| ids.first())
    .filter(|id| matches!(id, Object::String(..)))
    .cloned()
    .unwrap_or_else(|| fresh.clone());
    update.new_document.trailer.set("ID", vec![first, fresh]);
}

/// Writes the offsets into the byte range and returns where the contents are.
/// Only the appended part is searched: an earlier signature must not match.
fn set_byte_range(bytes: &mut [u8], appended_at: usize) -> Result<Range<usize>, PdfError> {
    let appended = bytes.get(appended_at..).unwrap_or_default();
    let range_at = only(find_all(appended, RANGE_PLACEHOLDER))? + appended_at;
    let mut contents = b"/Contents<".to_vec();
    contents.resize(contents.len() + 2 * PDF_CMS_BYTES, b'0');
    contents.push(b'>');
    let start = only(find_all(appended, &contents))? + appended_at + b"/Contents".len();
    let end = start + 2 * PDF_CMS_BYTES + 2;

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
