//! An incremental update: bytes before it never change (ISO 32000-1 §7.5.6),
//! objects it needs are copied from the earlier revisions.

use super::{PdfError, graph};
use crate::base::digest::sha256_parts;
use crate::base::limits::PDF_BYTES_MAX;
use lopdf::{Dictionary, Document, IncrementalDocument, Object, ObjectId, StringFormat};

/// So much of the end of a file, where its trailer stands, tells it apart from
/// others of its size.
const TRAILER_BYTES: usize = 1024;

/// A document with objects that will be appended to it.
pub(super) struct Update {
    document: IncrementalDocument,
}

impl Update {
    /// An empty update of a document that was loaded from `pdf`.
    pub(super) fn new(document: Document, pdf: &[u8]) -> Self {
        Self {
            document: IncrementalDocument::create_from(pdf.to_vec(), document),
        }
    }

    /// The document before the update.
    pub(super) fn old(&self) -> &Document {
        self.document.get_prev_documents()
    }

    /// Adds an object. The writer orders objects by number, so what is added
    /// last stands last.
    pub(super) fn add(&mut self, object: impl Into<Object>) -> Result<ObjectId, PdfError> {
        let new = &mut self.document.new_document;
        new.try_add_object(object).map_err(PdfError::AppendNumbers)
    }

    /// Replaces an object.
    pub(super) fn set(&mut self, id: ObjectId, object: impl Into<Object>) {
        self.document.new_document.set_object(id, object);
    }

    /// The object in the update, copied from the earlier revision when needed.
    pub(super) fn own(&mut self, id: ObjectId) -> Result<&mut Object, PdfError> {
        let missing = |_| PdfError::Structure {
            what: "an object the update needs is missing",
        };
        self.document
            .opt_clone_object_to_new_document(id)
            .map_err(missing)?;
        self.document
            .new_document
            .get_object_mut(id)
            .map_err(missing)
    }

    /// As [`Self::own`], of a dictionary.
    pub(super) fn own_dict(&mut self, id: ObjectId) -> Result<&mut Dictionary, PdfError> {
        self.own(id)?
            .as_dict_mut()
            .map_err(|_| PdfError::Structure {
                what: "an object the update needs is no dictionary",
            })
    }

    /// The number of the catalog.
    pub(super) fn root(&self) -> Result<ObjectId, PdfError> {
        let old = self.old();
        old.trailer
            .get(b"Root")
            .and_then(Object::as_reference)
            .map(|root| graph::final_id(old, root))
            .map_err(|_| PdfError::Structure {
                what: "the trailer names no catalog",
            })
    }

    /// The dictionary under `key` of the object `owner`, as it was before; and
    /// its number when it is an object of its own.
    pub(super) fn old_dict(
        &self,
        owner: ObjectId,
        key: &[u8],
    ) -> (Option<ObjectId>, Option<Dictionary>) {
        let old = self.old();
        let Ok(dict) = old.get_dictionary(owner) else {
            return (None, None);
        };
        let apart = dict.get(key).and_then(Object::as_reference).ok();
        let apart = apart.map(|id| graph::final_id(old, id));
        let found = graph::get_dict(old, dict, key).cloned();
        (apart.filter(|id| old.has_object(*id)), found)
    }

    /// Appends a reference to an array that is direct, indirect or absent
    /// under `key` of the object `owner`.
    pub(super) fn push_reference(
        &mut self,
        owner: ObjectId,
        key: &[u8],
        item: ObjectId,
    ) -> Result<(), PdfError> {
        let dict = self.own_dict(owner)?;
        let apart = dict.get(key).and_then(Object::as_reference).ok();
        match apart.filter(|id| self.old().has_object(*id)) {
            Some(id) => self.push_apart(graph::final_id(self.old(), id), item),
            None => push_direct(self.own_dict(owner)?, key, item),
        }
    }

    /// Appends a reference to an array that is an object of its own.
    pub(super) fn push_apart(&mut self, array: ObjectId, item: ObjectId) -> Result<(), PdfError> {
        self.own(array)?
            .as_array_mut()
            .map(|items| items.push(item.into()))
            .map_err(|_| NO_ARRAY)
    }

    /// The file with the update, and a new file identifier made of `seed`.
    ///
    /// # Errors
    /// [`PdfError::AppendTooLarge`], [`PdfError::AppendWrite`].
    pub(super) fn write(mut self, seed: &[u8]) -> Result<Vec<u8>, PdfError> {
        self.renew_id(seed);
        let mut bytes = Vec::with_capacity(self.document.get_prev_documents_bytes().len());
        self.document
            .save_to(&mut bytes)
            .map_err(PdfError::AppendWrite)?;
        // The end of line belongs to the file a signature covers: a validator
        // takes it as part of the revision (ISO 19005-2 6.4.3).
        bytes.push(b'\n');
        if bytes.len() > PDF_BYTES_MAX {
            return Err(PdfError::AppendTooLarge { bytes: bytes.len() });
        }
        Ok(bytes)
    }

    /// Renews the second file identifier and keeps the first, which names the
    /// document through all its revisions (ISO 32000-1 §14.4).
    fn renew_id(&mut self, seed: &[u8]) {
        let pdf = self.document.get_prev_documents_bytes();
        let end = pdf.len().saturating_sub(TRAILER_BYTES);
        let end = pdf.get(end..).unwrap_or_default();
        let mut fresh = sha256_parts(&[&pdf.len().to_be_bytes(), end, seed]).to_vec();
        fresh.truncate(16);
        let fresh = Object::String(fresh, StringFormat::Hexadecimal);
        let trailer = &self.document.new_document.trailer;
        let first = graph::get_array(self.old(), trailer, b"ID")
            .and_then(|ids| ids.first())
            .filter(|id| matches!(id, Object::String(..)))
            .cloned()
            .unwrap_or_else(|| fresh.clone());
        let trailer = &mut self.document.new_document.trailer;
        trailer.set("ID", vec![first, fresh]);
    }
}

const NO_ARRAY: PdfError = PdfError::Structure {
    what: "a list of annotations or fields is no array",
};

/// Appends a reference to an array that is direct or absent in `dict`.
pub(super) fn push_direct(
    dict: &mut Dictionary,
    key: &[u8],
    item: ObjectId,
) -> Result<(), PdfError> {
    match dict.get_mut(key) {
        Ok(Object::Array(items)) => items.push(item.into()),
        Ok(Object::Null | Object::Reference(_)) | Err(_) => dict.set(key, vec![item.into()]),
        Ok(_) => return Err(NO_ARRAY),
    }
    Ok(())
}
