//! PDF files: strict loading, a structural PDF/A plausibility check, the
//! incremental updates that carry a signature and its validation data, and what
//! changed after a signature. Pure: bytes in, bytes out.
//!
//! `lopdf` reads and serialises objects; everything that decides what may be
//! in a file or where a signature goes is here.

mod budget;
mod changes;
mod copy;
mod dss;
mod field;
mod graph;
mod painted;
mod permissions;
mod precheck;
mod raw;
mod signatures;
mod slot;
mod update;

pub use changes::Changes;
pub use copy::{Overlay, print_copy};
pub use dss::{ValidationData, append_validation_data};
pub use precheck::{PdfaClaim, Precheck, Violation, precheck};
pub use signatures::{SignatureValue, SignedPdf};
pub use slot::{Request, Slot, append_signature, fill};

use crate::base::limits::{PDF_BYTES_MAX, PDF_CMS_BYTES_MAX, PDF_INFLATED_BYTES_MAX};
use lopdf::{Document, LoadOptions};

/// A stream may always inflate to this many bytes while a file is loaded,
/// however many streams share the budget.
const STREAM_BYTES_MIN: usize = 1 << 20;

/// Why a PDF cannot be read or extended.
#[derive(Debug, thiserror::Error)]
pub enum PdfError {
    #[error("load: the PDF has {bytes} bytes, more than the limit of {PDF_BYTES_MAX}")]
    LoadTooLarge { bytes: usize },
    #[error("load: the file does not begin with %PDF-1.")]
    LoadHeader,
    #[error("load: the file is damaged or not a PDF")]
    Load(#[source] lopdf::Error),
    #[error("load: the cross-reference data needed repair")]
    LoadRepaired,
    #[error("load: the PDF has too many {what}")]
    LoadCostly { what: &'static str },
    #[error("load: the PDF is encrypted")]
    LoadEncrypted,
    #[error("read the structure: {what}")]
    Structure { what: &'static str },
    #[error(
        "append a signature: the document is certified and its author allows no change \
         (DocMDP or signature lock, P = 1); a further signature would void the certification"
    )]
    AppendForbidden,
    #[error(
        "append an update: the PDF would have {bytes} bytes, more than the limit of \
         {PDF_BYTES_MAX}"
    )]
    AppendTooLarge { bytes: usize },
    #[error(
        "append a signature: an earlier signer locked every field that could be signed or added \
         (FieldMDP); a further signature would void that one"
    )]
    AppendLocked,
    #[error("append a signature: the author of the empty field {field} demands {what}")]
    AppendSeed { field: String, what: String },
    #[error(
        "append a signature: {room} bytes would be needed for it, more than the limit of \
         {PDF_CMS_BYTES_MAX}"
    )]
    AppendRoom { room: usize },
    #[error("append an update: the object numbers of the PDF are used up")]
    AppendNumbers(#[source] lopdf::Error),
    #[error("append an update: it could not be written")]
    AppendWrite(#[source] std::io::Error),
    #[error("append a signature: the reserved place was not found exactly once")]
    AppendPlace,
    #[error("write a copy: there is no page {page} in a PDF of {pages} pages")]
    CopyPage { page: i64, pages: usize },
    #[error("write a copy: it could not be written")]
    CopyWrite(#[source] std::io::Error),
    #[error("fill the signature: {needed} bytes do not fit into the {room} bytes reserved")]
    FillTooLarge { needed: usize, room: usize },
}

impl PdfError {
    fn of_load(error: lopdf::Error) -> Self {
        match error {
            lopdf::Error::InvalidPassword
            | lopdf::Error::Decryption(_)
            | lopdf::Error::UnsupportedSecurityHandler(_) => Self::LoadEncrypted,
            other => Self::Load(other),
        }
    }
}

/// Reads a PDF as it is written: nothing is repaired, nothing is decrypted.
///
/// # Errors
/// Refuses what is larger than [`PDF_BYTES_MAX`], does not begin with its
/// header, is damaged, inflates beyond [`PDF_INFLATED_BYTES_MAX`], costs more
/// than its budget or is encrypted (also with an empty password, which the parser would apply).
pub fn load(bytes: &[u8]) -> Result<Document, PdfError> {
    if bytes.len() > PDF_BYTES_MAX {
        return Err(PdfError::LoadTooLarge { bytes: bytes.len() });
    }
    // The parser skips leading junk, and then every offset it reports is off.
    if !bytes.starts_with(b"%PDF-1.") {
        return Err(PdfError::LoadHeader);
    }
    // The parser's limit is per stream; the keyword cannot be disguised, so
    // its count shares the budget of the whole file out.
    let streams = find_all(bytes, b"endstream").count().max(1);
    let options = LoadOptions {
        strict: true,
        max_decompressed_size: Some((PDF_INFLATED_BYTES_MAX / streams).max(STREAM_BYTES_MIN)),
        ..LoadOptions::default()
    };
    let document = budget::parse(bytes, options)?;
    if document.is_encrypted() || document.was_encrypted() || document.trailer.has(b"Encrypt") {
        return Err(PdfError::LoadEncrypted);
    }
    if document.xref_recovery.is_some() {
        return Err(PdfError::LoadRepaired);
    }
    Ok(document)
}

/// Whether a file has a hybrid-reference section (ISO 32000-1 §7.5.8.4): a
/// cross-reference table that names a stream with further objects, which
/// readers that do not know such streams will not see.
pub fn is_hybrid(pdf: &[u8]) -> bool {
    const TRAILER: &[u8] = b"trailer";
    // No honest file has as many; they would take their time.
    const TRAILERS_MAX: usize = 1_000;
    let names_stream = |at| {
        let trailer = raw::trailer_entries(pdf, at + TRAILER.len());
        trailer.is_some_and(|trailer| trailer.iter().any(|(key, _)| key == b"XRefStm"))
    };
    let mut trailers = find_all(pdf, TRAILER).enumerate();
    trailers.any(|(count, at)| count >= TRAILERS_MAX || names_stream(at))
}

/// Offsets at which `needle` occurs.
fn find_all<'a>(haystack: &'a [u8], needle: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    memchr::memmem::find_iter(haystack, needle)
}

#[cfg(test)]
mod tests;
