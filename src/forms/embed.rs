//! Embedding at the level of bytes: the PDF goes into its element, the wrapper
//! for the signature in front of it, and every other byte stays the client's.

use super::{FormsError, Pack};
use crate::xml::path::{Name, Path, Slot};
use crate::xml::{escape_attribute, name_of, parse, without_mark};
use base64::Engine;
use roxmltree::{Document, Node};
use std::ops::Range;

impl Pack {
    /// Puts a PDF into a checked document: fills or replaces the content of
    /// the document element, or appends that element to its parent; an absent
    /// wrapper for the signature is created in front of the element the pack
    /// names. The result is checked as a whole. A byte order mark is dropped.
    pub fn embed(&self, operation: &str, xml: &[u8], pdf: &[u8]) -> Result<Vec<u8>, FormsError> {
        let place = self.operation(operation)?.document.as_ref();
        let place = place.ok_or_else(|| {
            FormsError::NoSuchOperation(format!("document to embed in {operation}"))
        })?;
        let coded = base64::engine::general_purpose::STANDARD.encode(pdf);
        let filled = fill(without_mark(xml), &place.path, &coded)?;
        let complete = self.with_wrapper(operation, filled)?;
        self.check_complete(operation, &complete)
            .map_err(FormsError::EmbedRejected)?;
        Ok(complete)
    }

    /// Makes the place for the signature in a document that gets no PDF from
    /// us: as [`Pack::embed`] does, checked as [`Pack::check`] does.
    pub fn open_slot(&self, operation: &str, xml: &[u8]) -> Result<Vec<u8>, FormsError> {
        let opened = self.with_wrapper(operation, without_mark(xml).to_vec())?;
        self.check(operation, &opened)
            .map_err(FormsError::EmbedRejected)?;
        Ok(opened)
    }

    fn with_wrapper(&self, operation: &str, xml: Vec<u8>) -> Result<Vec<u8>, FormsError> {
        let signature = &self.operation(operation)?.signature;
        match &signature.slot {
            Slot::EndOfRoot => Ok(xml),
            Slot::Wrapper(path) => wrapper(xml, path, signature.before.as_ref()),
        }
    }
}

/// Puts `text` into the element at `path`.
fn fill(xml: &[u8], path: &Path, text: &str) -> Result<Vec<u8>, FormsError> {
    let document = parse(xml).map_err(FormsError::EmbedParse)?;
    let Some(element) = path.select(document.root()).into_iter().next() else {
        let (parent, name) = parent(&document, path)?;
        let (open, close) = tags(parent, name);
        let at = content(xml, parent)?.end;
        return Ok(splice(xml, at..at, &format!("{open}{text}{close}")));
    };
    let range = element.range();
    if xml
        .get(..range.end)
        .is_some_and(|head| head.ends_with(b"/>"))
    {
        let end = format!(">{text}</{}>", name_of(element));
        return Ok(splice(xml, range.end - 2..range.end, &end));
    }
    Ok(splice(xml, content(xml, element)?, text))
}

/// Creates the wrapper at `path` unless it is there.
fn wrapper(xml: Vec<u8>, path: &Path, before: Option<&Path>) -> Result<Vec<u8>, FormsError> {
    let document = parse(&xml).map_err(FormsError::EmbedParse)?;
    if !path.select(document.root()).is_empty() {
        drop(document);
        return Ok(xml);
    }
    let (parent, name) = parent(&document, path)?;
    let next = before.and_then(|path| path.select(document.root()).into_iter().next());
    let at = match next {
        Some(next) => next.range().start,
        None => content(&xml, parent)?.end,
    };
    let (open, close) = tags(parent, name);
    Ok(splice(&xml, at..at, &format!("{open}{close}")))
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

fn splice(xml: &[u8], range: Range<usize>, text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(xml.len() + text.len());
    out.extend_from_slice(xml.get(..range.start).unwrap_or_default());
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(xml.get(range.end..).unwrap_or_default());
    out
}
