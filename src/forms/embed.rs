//! Embedding at the level of bytes: the PDF goes into its element, the wrapper
//! for the signature in front of it, and every other byte stays the client's.

use super::{FormsError, Pack, SignaturePlace};
use crate::xml::path::{Name, Path, Slot};
use crate::xml::{escape_attribute, name_of, parse, without_mark};
use base64::Engine;
use roxmltree::{Document, Node};
use std::ops::Range;

/// Text to put in the place of some bytes.
pub(super) struct Edit {
    pub range: Range<usize>,
    pub text: String,
}

impl Pack {
    /// Puts a PDF into a checked document and checks the whole.
    pub fn embed(&self, operation: &str, xml: &[u8], pdf: &[u8]) -> Result<Vec<u8>, FormsError> {
        let whole = self.assemble(operation, xml, Some(pdf))?;
        self.read_whole(operation, &whole)?;
        Ok(whole)
    }

    /// Puts what is missing into a checked document: a PDF fills or replaces
    /// the content of the document element, or that element is appended to its
    /// parent; an absent wrapper for the signature is created in front of the
    /// element the pack names. A byte order mark is dropped. What comes of it
    /// is not checked.
    pub fn assemble(
        &self,
        name: &str,
        xml: &[u8],
        pdf: Option<&[u8]>,
    ) -> Result<Vec<u8>, FormsError> {
        let operation = self.operation(name)?;
        let xml = without_mark(xml);
        let document = parse(xml).map_err(FormsError::EmbedParse)?;
        let place = operation.document.as_ref();
        let mut edits = Vec::new();
        if let Some(pdf) = pdf {
            let none = || FormsError::NoSuchOperation(format!("document to embed in {name}"));
            let place = place.ok_or_else(none)?;
            if !pdf.starts_with(b"%PDF-") {
                return Err(FormsError::Embed("it is not a PDF".to_owned()));
            }
            let coded = base64::engine::general_purpose::STANDARD.encode(pdf);
            edits.push(fill(xml, &document, &place.path, &coded)?);
        }
        if let Some(signature) = &operation.signature
            && let Some(made) = wrapper(xml, &document, signature)?
        {
            // Both may go to the end of one element.
            let first = signature.before.as_ref() == place.map(|place| &place.path);
            edits.insert(if first { 0 } else { edits.len() }, made);
        }
        edits.sort_by_key(|edit| edit.range.start);
        Ok(apply(xml, &edits))
    }

    /// Reads and checks an assembled document; its PDF is not looked at again.
    pub fn read_whole<'x>(&self, name: &str, xml: &'x [u8]) -> Result<Document<'x>, FormsError> {
        let document = parse(xml).map_err(FormsError::EmbedParse)?;
        self.check_assembled(name, xml, &document)
            .map_err(FormsError::EmbedRejected)?;
        Ok(document)
    }

    /// Makes the place for the signature in a document that gets no PDF from
    /// us: as [`Pack::assemble`] does, checked as [`Pack::check`] does.
    pub fn open_slot(&self, name: &str, xml: &[u8]) -> Result<Vec<u8>, FormsError> {
        let opened = self.assemble(name, xml, None)?;
        self.check(name, &opened)
            .map_err(FormsError::EmbedRejected)?;
        Ok(opened)
    }
}

/// Puts `text` into the element at `path`.
fn fill(xml: &[u8], document: &Document<'_>, path: &Path, text: &str) -> Result<Edit, FormsError> {
    let Some(element) = path.select(document.root()).into_iter().next() else {
        let (parent, name) = parent(document, path)?;
        let (open, close) = tags(parent, name);
        let at = content(xml, parent)?.end;
        return Ok(Edit {
            range: at..at,
            text: [&open, text, &close].concat(),
        });
    };
    let end = element.range().end;
    if xml.get(..end).is_some_and(|head| head.ends_with(b"/>")) {
        return Ok(Edit {
            range: end - 2..end,
            text: [">", text, "</", name_of(element), ">"].concat(),
        });
    }
    Ok(Edit {
        range: content(xml, element)?,
        text: text.to_owned(),
    })
}

/// Creates the wrapper of a signature unless it is there or none is needed.
fn wrapper(
    xml: &[u8],
    document: &Document<'_>,
    signature: &SignaturePlace,
) -> Result<Option<Edit>, FormsError> {
    let Slot::Wrapper(path) = &signature.slot else {
        return Ok(None);
    };
    if !path.select(document.root()).is_empty() {
        return Ok(None);
    }
    let (parent, name) = parent(document, path)?;
    let before = signature.before.as_ref();
    let next = before.and_then(|path| path.select(document.root()).into_iter().next());
    let at = match next {
        Some(next) => next.range().start,
        None => content(xml, parent)?.end,
    };
    let (open, close) = tags(parent, name);
    Ok(Some(Edit {
        range: at..at,
        text: open + &close,
    }))
}

/// The element that must contain the last step of `path`, and that step.
fn parent<'a, 'p>(
    document: &'a Document<'a>,
    path: &'p Path,
) -> Result<(Node<'a, 'a>, &'p Name), FormsError> {
    let fail = || FormsError::Embed("the place for it does not exist".to_owned());
    let (last, parents) = path.steps().split_last().ok_or_else(fail)?;
    let mut node = document.root();
    for step in parents {
        let child = node.children().find(|child| step.matches(*child));
        node = child.ok_or_else(fail)?;
    }
    if !node.is_element() {
        return Err(fail());
    }
    Ok((node, last))
}

/// Start and end tag of a new child: with the parent's prefix where they share
/// the namespace, else with a declaration of its own.
fn tags(parent: Node<'_, '_>, name: &Name) -> (String, String) {
    let namespace = name.namespace.as_deref();
    if parent.tag_name().namespace() == namespace {
        let qname = match name_of(parent).split_once(':') {
            Some((prefix, _)) => format!("{prefix}:{}", name.local),
            None => name.local.clone(),
        };
        return (format!("<{qname}>"), format!("</{qname}>"));
    }
    let uri = escape_attribute(namespace.unwrap_or_default()).into_owned();
    let local = &name.local;
    (format!("<{local} xmlns=\"{uri}\">"), format!("</{local}>"))
}

/// The bytes between the tags of an element that has both.
fn content(xml: &[u8], element: Node<'_, '_>) -> Result<Range<usize>, FormsError> {
    let range = element.range();
    let source = xml.get(range.clone()).unwrap_or_default();
    // The last `</` of an element is its own end tag: neither text nor an
    // attribute value can contain one after it.
    let end = source.windows(2).rposition(|pair| pair == b"</");
    let end = end.ok_or_else(|| {
        FormsError::Embed(format!("the element {} has no end tag", name_of(element)))
    })?;
    let start = element.first_child().map(|child| child.range().start);
    let end = range.start + end;
    Ok(start.unwrap_or(end)..end)
}

/// `xml` with edits that follow one another made.
pub(super) fn apply(xml: &[u8], edits: &[Edit]) -> Vec<u8> {
    let added: usize = edits.iter().map(|edit| edit.text.len()).sum();
    let mut out = Vec::with_capacity(xml.len() + added);
    let mut done = 0;
    for edit in edits {
        out.extend_from_slice(xml.get(done..edit.range.start).unwrap_or_default());
        out.extend_from_slice(edit.text.as_bytes());
        done = edit.range.end;
    }
    out.extend_from_slice(xml.get(done..).unwrap_or_default());
    out
}
