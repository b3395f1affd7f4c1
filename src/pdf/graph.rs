//! Walking a document's objects without trusting its shape.

use super::PdfError;
use crate::base::limits::{PDF_FIELD_NAME_BYTES_MAX, PDF_FIELDS_MAX};
use lopdf::{Dictionary, Document, Object, ObjectId};
use std::collections::HashSet;

/// Pages one file may have; also bounds the walk through a hostile page tree.
const PAGES_MAX: usize = 10_000;

/// Follows references to the object itself; a missing object is null
/// (ISO 32000-1 §7.3.10).
pub(super) fn resolve<'a>(doc: &'a Document, object: &'a Object) -> &'a Object {
    doc.dereference(object)
        .map_or(&Object::Null, |(_, object)| object)
}

/// The value of a key, references followed.
pub(super) fn get<'a>(doc: &'a Document, dict: &'a Dictionary, key: &[u8]) -> Option<&'a Object> {
    match dict.get(key).map(|value| resolve(doc, value)) {
        Ok(Object::Null) | Err(_) => None,
        Ok(value) => Some(value),
    }
}

/// The dictionary under a key; of a stream its dictionary.
pub(super) fn get_dict<'a>(
    doc: &'a Document,
    dict: &'a Dictionary,
    key: &[u8],
) -> Option<&'a Dictionary> {
    get(doc, dict, key).and_then(as_dict)
}

/// The array under a key.
pub(super) fn get_array<'a>(
    doc: &'a Document,
    dict: &'a Dictionary,
    key: &[u8],
) -> Option<&'a Vec<Object>> {
    get(doc, dict, key).and_then(|value| value.as_array().ok())
}

/// The name under a key.
pub(super) fn get_name<'a>(
    doc: &'a Document,
    dict: &'a Dictionary,
    key: &[u8],
) -> Option<&'a [u8]> {
    get(doc, dict, key).and_then(|value| value.as_name().ok())
}

/// The integer under a key.
pub(super) fn get_int(doc: &Document, dict: &Dictionary, key: &[u8]) -> Option<i64> {
    get(doc, dict, key).and_then(|value| value.as_i64().ok())
}

/// A dictionary, or the dictionary of a stream.
pub(super) fn as_dict(object: &Object) -> Option<&Dictionary> {
    match object {
        Object::Dictionary(dict) => Some(dict),
        Object::Stream(stream) => Some(&stream.dict),
        _ => None,
    }
}

/// Every dictionary of the document, nested ones included. The parser bounds
/// the nesting of direct objects.
pub(super) fn dictionaries(doc: &Document) -> Vec<&Dictionary> {
    let mut found = Vec::new();
    let mut open: Vec<&Object> = doc.objects.values().collect();
    while let Some(object) = open.pop() {
        if let Object::Array(items) = object {
            open.extend(items);
        }
        if let Some(dict) = as_dict(object) {
            found.push(dict);
            open.extend(dict.iter().map(|(_, value)| value));
        }
    }
    found
}

/// A page with the resources it owns or inherits.
pub(super) struct Page<'a> {
    pub(super) id: ObjectId,
    pub(super) dict: &'a Dictionary,
    pub(super) resources: Option<&'a Dictionary>,
}

/// The pages in order.
///
/// # Errors
/// A page tree that is missing, has cycles, shares nodes, names missing
/// objects or has more than 10 000 pages.
pub(super) fn pages(doc: &Document) -> Result<Vec<Page<'_>>, PdfError> {
    let broken = |what| PdfError::Structure { what };
    let root = doc
        .catalog()
        .and_then(|catalog| catalog.get(b"Pages"))
        .and_then(Object::as_reference)
        .map_err(|_| broken("the catalog names no page tree"))?;
    let mut pages = Vec::new();
    let mut seen = HashSet::new();
    let mut open = vec![(root, None)];
    while let Some((id, inherited)) = open.pop() {
        if !seen.insert(id) {
            return Err(broken("a page tree node occurs twice"));
        }
        let dict = doc
            .get_dictionary(id)
            .map_err(|_| broken("the page tree names an object that is missing"))?;
        let resources = get_dict(doc, dict, b"Resources").or(inherited);
        match get_array(doc, dict, b"Kids") {
            Some(kids) => {
                for kid in kids.iter().rev() {
                    let kid = kid
                        .as_reference()
                        .map_err(|_| broken("a page tree node has a kid that is no reference"))?;
                    open.push((kid, resources));
                }
            }
            None => pages.push(Page {
                id,
                dict,
                resources,
            }),
        }
        if pages.len() > PAGES_MAX || open.len() > PAGES_MAX {
            return Err(broken("the document has more than 10 000 pages"));
        }
    }
    if pages.is_empty() {
        return Err(broken("the document has no page"));
    }
    Ok(pages)
}

/// The annotations of the pages, each once: pages may share their lists, and
/// a list may name the same annotation again and again.
pub(super) fn annotations<'a>(doc: &'a Document, pages: &[Page<'a>]) -> Vec<&'a Object> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for page in pages {
        let Some(list) = get_array(doc, page.dict, b"Annots") else {
            continue;
        };
        if !seen.insert(std::ptr::from_ref(list).cast::<Object>()) {
            continue;
        }
        for annotation in list {
            let annotation = resolve(doc, annotation);
            if seen.insert(std::ptr::from_ref(annotation)) {
                found.push(annotation);
            }
        }
    }
    found
}

/// A named field of the interactive form.
pub(super) struct Field<'a> {
    pub(super) id: ObjectId,
    pub(super) dict: &'a Dictionary,
    /// The full name, partial names joined by dots (ISO 32000-1 §12.7.3.2).
    pub(super) name: String,
    /// `FT`, inherited from the parent when absent.
    pub(super) kind: Option<&'a [u8]>,
}

/// The fields of the interactive form in order, each once. What is no field is
/// passed over, as readers do, and so is what passes the limits.
pub(super) fn fields(doc: &Document) -> Vec<Field<'_>> {
    let mut found: Vec<Field<'_>> = Vec::new();
    let mut seen = HashSet::new();
    let form = doc.catalog().ok();
    let form = form.and_then(|catalog| get_dict(doc, catalog, b"AcroForm"));
    let roots = form.and_then(|form| get_array(doc, form, b"Fields"));
    let mut open: Vec<(&Object, Option<usize>)> = roots
        .into_iter()
        .flatten()
        .rev()
        .map(|field| (field, None))
        .collect();
    while let Some((object, parent)) = open.pop() {
        let Ok((Some(id), object)) = doc.dereference(object) else {
            continue;
        };
        let Some(dict) = as_dict(object).filter(|dict| dict.has(b"T") && seen.insert(id)) else {
            continue;
        };
        let parent = parent.and_then(|index| found.get(index));
        let own = get(doc, dict, b"T").and_then(|name| name.as_str().ok());
        let Some(own) = own.filter(|own| own.len() <= PDF_FIELD_NAME_BYTES_MAX) else {
            continue;
        };
        let own = text(own);
        let name = match parent {
            Some(parent) => format!("{}.{own}", parent.name),
            None => own,
        };
        if name.len() > PDF_FIELD_NAME_BYTES_MAX || found.len() == PDF_FIELDS_MAX {
            continue;
        }
        let kind = get_name(doc, dict, b"FT").or(parent.and_then(|parent| parent.kind));
        let index = found.len();
        found.push(Field {
            id,
            dict,
            name,
            kind,
        });
        let kids = get_array(doc, dict, b"Kids");
        open.extend(
            kids.into_iter()
                .flatten()
                .rev()
                .map(|kid| (kid, Some(index))),
        );
    }
    found
}

/// A text string (ISO 32000-1 §7.9.2.2); what is not Unicode as Latin-1.
pub(super) fn text(string: &[u8]) -> String {
    if let Some(units) = string.strip_prefix(&[0xfe, 0xff]) {
        let units = units.chunks_exact(2);
        let units = units.map(|unit| unit.iter().fold(0, |n, byte| n << 8 | u16::from(*byte)));
        return char::decode_utf16(units)
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect();
    }
    match string.strip_prefix(&[0xef, 0xbb, 0xbf]) {
        Some(utf8) => String::from_utf8_lossy(utf8).into_owned(),
        None => string.iter().copied().map(char::from).collect(),
    }
}

/// Where a chain of references ends.
pub(super) fn final_id(doc: &Document, id: ObjectId) -> ObjectId {
    let reference = Object::Reference(id);
    match doc.dereference(&reference) {
        Ok((Some(last), _)) => last,
        Ok((None, _)) | Err(_) => id,
    }
}

/// Whether a rectangle shows nothing.
pub(super) fn is_empty_rectangle(rect: &[Object]) -> bool {
    let number = |at: usize| rect.get(at).and_then(|n| n.as_float().ok());
    match (number(0), number(1), number(2), number(3)) {
        (Some(left), Some(low), Some(right), Some(high)) => left == right && low == high,
        _ => false,
    }
}
