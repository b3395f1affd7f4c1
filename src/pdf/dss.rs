//! The document security store (ISO 32000-2 §12.8.4.3, EN 319 142-1 §5.4.2):
//! certificates and revocation data for the signatures of a document.

use super::update::Update;
use super::{PdfError, graph, load, precheck};
use crate::base::digest::sha256;
use crate::base::limits::{CRL_BYTES_MAX, PDF_VALIDATION_BYTES_MAX};
use lopdf::{Dictionary, Document, Object, Stream, dictionary};
use std::collections::HashSet;

/// Values read from one store; more than any chain needs.
const VALUES_MAX: usize = 1_000;

/// Validation data, each value in DER; nothing is verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ValidationData {
    /// `Certs`.
    pub certificates: Vec<Vec<u8>>,
    /// `OCSPs`: whole responses.
    pub ocsp: Vec<Vec<u8>>,
    /// `CRLs`.
    pub crls: Vec<Vec<u8>>,
}

const LISTS: [&[u8]; 3] = [b"Certs", b"OCSPs", b"CRLs"];

impl ValidationData {
    fn lists(&self) -> [&Vec<Vec<u8>>; 3] {
        [&self.certificates, &self.ocsp, &self.crls]
    }
}

/// The validation data of a document, each value once. What cannot be read is
/// left out: it is then missing where it is needed. Entries for single
/// signatures (`VRI`) only name what the lists hold.
pub(super) fn read(doc: &Document) -> ValidationData {
    let store = doc
        .catalog()
        .ok()
        .and_then(|catalog| graph::get_dict(doc, catalog, b"DSS"));
    let mut budget = PDF_VALIDATION_BYTES_MAX;
    let mut inflate = |stream: &Stream| {
        let limit = budget.min(CRL_BYTES_MAX);
        let value = stream.get_plain_content_with_limit(limit).ok();
        // An attempt that fails costs as much as it may have taken.
        budget -= value.as_ref().map_or(limit, Vec::len).min(limit);
        value
    };
    let [certificates, ocsp, crls] = LISTS.map(|key| {
        let mut seen = HashSet::new();
        let items = store.and_then(|store| graph::get_array(doc, store, key));
        let items = items.into_iter().flatten().take(VALUES_MAX);
        let streams = items.filter_map(|item| graph::resolve(doc, item).as_stream().ok());
        let streams = streams.filter(|stream| seen.insert(std::ptr::from_ref(*stream)));
        streams.filter_map(&mut inflate).collect()
    });
    ValidationData {
        certificates,
        ocsp,
        crls,
    }
}

/// Appends validation data in an incremental update. A store that is there is
/// kept and gets what it lacks; when it lacks nothing, the file stays as it is.
///
/// # Errors
/// What [`load`] refuses; a file that would become too large.
pub fn append_validation_data(pdf: &[u8], data: &ValidationData) -> Result<Vec<u8>, PdfError> {
    let document = load(pdf)?;
    let present = read(&document);
    // ISO 19005-1 is over PDF 1.4, which knows no developer extensions.
    let extensible = precheck::claimed_part(&document) != Some(1);
    let mut update = Update::new(document, pdf);
    let root = update.root()?;
    let (apart, store) = update.old_dict(root, b"DSS");
    let mut store = store.unwrap_or_else(|| dictionary! { "Type" => "DSS" });
    let mut added = false;
    for ((key, new), old) in LISTS.iter().zip(data.lists()).zip(present.lists()) {
        let mut items = graph::get_array(update.old(), &store, key)
            .cloned()
            .unwrap_or_default();
        let mut known: HashSet<_> = old.iter().map(|value| sha256(value)).collect();
        for value in new.iter().filter(|value| known.insert(sha256(value))) {
            items.push(update.add(value_stream(value))?.into());
            added = true;
        }
        if !items.is_empty() {
            store.set(*key, items);
        }
    }
    if !added {
        return Ok(pdf.to_vec());
    }
    let extensions = extensible.then(|| extensions(&update, root)).flatten();
    match apart {
        Some(id) => update.set(id, store),
        None => {
            let id = update.add(store)?;
            update.own_dict(root)?.set("DSS", id);
        }
    }
    if let Some(extensions) = extensions {
        update.own_dict(root)?.set("Extensions", extensions);
    }
    update.write(b"DSS")
}

fn value_stream(value: &[u8]) -> Stream {
    let mut stream = Stream::new(Dictionary::new(), value.to_vec());
    // Takes effect only when it makes the stream smaller.
    drop(stream.compress());
    stream
}

/// The developer extensions with that of ETSI, which brought the store into
/// PDF 1.7; `None` when it is declared already.
fn extensions(update: &Update, root: lopdf::ObjectId) -> Option<Dictionary> {
    let (_, extensions) = update.old_dict(root, b"Extensions");
    let mut extensions = extensions.unwrap_or_default();
    if extensions.has(b"ESIC") {
        return None;
    }
    let etsi =
        dictionary! { "BaseVersion" => Object::Name(b"1.7".to_vec()), "ExtensionLevel" => 1 };
    extensions.set("ESIC", etsi);
    Some(extensions)
}
