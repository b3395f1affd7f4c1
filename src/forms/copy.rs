//! Copies with less in them, such as the employer's copy of a certificate.

use super::embed::{Edit, apply};
use super::{FormsError, Pack};
use crate::xml::path::{Path, Slot};
use crate::xml::{name_of, parse, without_mark};
use roxmltree::{Document, Node};
use std::ops::Range;

/// The namespace of XML signatures, XMLDSIG core §1.3.
const SIGNATURE_NAMESPACE: &str = "http://www.w3.org/2000/09/xmldsig#";
/// The namespace of the attributes that every schema allows anywhere, XML
/// Schema 1.0 part 1 §2.6.
const INSTANCE_NAMESPACE: &str = "http://www.w3.org/2001/XMLSchema-instance";

impl Pack {
    /// A copy of a document that leaves out what the pack hides in this copy,
    /// signature and PDF, and whatever no schema looks into: comments,
    /// attributes of [`INSTANCE_NAMESPACE`] and unused namespace declarations.
    /// None of them can be told to be silent about what is hidden.
    ///
    /// # Errors
    /// [`FormsError::NoSuchOperation`] for a copy the pack does not know,
    /// [`FormsError::EmbedParse`] for what is no XML, [`FormsError::Embed`]
    /// when what is hidden would still be there.
    pub fn copy(&self, operation: &str, name: &str, xml: &[u8]) -> Result<Vec<u8>, FormsError> {
        let operation = self.operation(operation)?;
        let rule = operation.copies.iter().find(|rule| rule.name == name);
        let rule = rule.ok_or_else(|| FormsError::NoSuchOperation(format!("copy {name}")))?;
        let mut hidden: Vec<&Path> = rule.hide.iter().collect();
        hidden.extend(operation.document.as_ref().map(|place| &place.path));
        if let Some(Slot::Wrapper(path)) = operation.signature.as_ref().map(|place| &place.slot) {
            hidden.push(path);
        }
        let xml = without_mark(xml);
        let document = parse(xml).map_err(FormsError::EmbedParse)?;
        let mut cuts = nodes(&document, &hidden);
        cuts.extend(attributes(&document, &cuts));
        cuts.sort_by_key(|range| range.start);
        let text = String::new;
        let edits = cuts.into_iter().map(|range| Edit {
            range,
            text: text(),
        });
        let copy = apply(xml, &Vec::from_iter(edits));
        let left = parse(&copy).map_err(FormsError::EmbedParse)?;
        if hidden
            .iter()
            .any(|path| !path.select(left.root()).is_empty())
        {
            let reason = "the copy would show what it must hide";
            return Err(FormsError::Embed(reason.to_owned()));
        }
        Ok(copy)
    }
}

/// The places of what is hidden, of signatures and comments, in their order;
/// what lies inside another goes with it.
fn nodes(document: &Document<'_>, hidden: &[&Path]) -> Vec<Range<usize>> {
    let root = document.root();
    let mut all: Vec<Range<usize>> = root
        .descendants()
        .filter(|node| node.is_comment() || is_signature(*node))
        .chain(hidden.iter().flat_map(|path| path.select(root)))
        .map(|node| node.range())
        .collect();
    all.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
    let mut outer: Vec<Range<usize>> = Vec::new();
    for range in all {
        if outer.last().is_none_or(|last| last.end <= range.start) {
            outer.push(range);
        }
    }
    outer
}

/// The places of attributes and namespace declarations that a copy without
/// `cuts` does not need.
fn attributes(document: &Document<'_>, cuts: &[Range<usize>]) -> Vec<Range<usize>> {
    let is_left = |node: &Node<'_, '_>| {
        let at = node.range().start;
        let before = cuts.partition_point(|cut| cut.start <= at);
        let cut = before.checked_sub(1).and_then(|last| cuts.get(last));
        node.is_element() && cut.is_none_or(|cut| cut.end <= at)
    };
    let left = document.descendants().filter(is_left);
    let spare = left.flat_map(|element| {
        let written = written(element).into_iter();
        let spare = written.filter(move |(name, _)| match prefix_declared(name) {
            Some(prefix) => {
                let uri = uri_of(element, prefix);
                let mut inside = element.descendants().filter(is_left);
                !inside.any(|user| uses(user, prefix, uri))
            }
            None => is_instance(element, name),
        });
        spare.map(|(_, range)| range)
    });
    spare.collect()
}

/// Name and place, with the blanks in front of it, of everything that a start
/// tag has after its name. The document was parsed: it is well-formed.
fn written<'a>(element: Node<'a, '_>) -> Vec<(&'a str, Range<usize>)> {
    let source = element.document().input_text();
    let mut at = element.range().start + 1 + name_of(element).len();
    let mut found = Vec::new();
    while let Some(rest) = source.get(at..).map(str::trim_ascii_start)
        && !rest.starts_with(['>', '/'])
        && let Some((name, value)) = rest.split_once('=')
        && let Some(value) = value.trim_ascii_start().strip_prefix(['"', '\''])
        && let Some(open) = source.len().checked_sub(value.len() + 1)
        && let Some(quote) = source.get(open..=open)
        && let Some(length) = value.find(quote)
    {
        let end = open + length + 2;
        found.push((name.trim_ascii_end(), at..end));
        at = end;
    }
    found
}

/// The prefix that an attribute of this name declares; none is the default
/// namespace (Namespaces in XML 1.0 §3).
fn prefix_declared(name: &str) -> Option<Option<&str>> {
    match name.strip_prefix("xmlns") {
        Some("") => Some(None),
        rest => rest?.strip_prefix(':').map(Some),
    }
}

fn prefix_of(name: &str) -> Option<&str> {
    name.split_once(':').map(|(prefix, _)| prefix)
}

/// The namespace of a prefix at an element; empty for none.
fn uri_of<'a>(element: Node<'a, '_>, prefix: Option<&str>) -> &'a str {
    element.lookup_namespace_uri(prefix).unwrap_or_default()
}

fn is_instance(element: Node<'_, '_>, attribute: &str) -> bool {
    let prefix = prefix_of(attribute);
    prefix.is_some() && uri_of(element, prefix) == INSTANCE_NAMESPACE
}

/// Whether an element, or an attribute that the copy keeps, is in the namespace
/// by this prefix.
fn uses(element: Node<'_, '_>, prefix: Option<&str>, uri: &str) -> bool {
    let kept = |name: &str| prefix_declared(name).is_none() && !is_instance(element, name);
    let attribute = |name: &str| prefix.is_some() && prefix_of(name) == prefix && kept(name);
    uri_of(element, prefix) == uri
        && (prefix_of(name_of(element)) == prefix
            || written(element).iter().any(|(name, _)| attribute(name)))
}

fn is_signature(node: Node<'_, '_>) -> bool {
    let tag = node.tag_name();
    node.is_element() && tag.name() == "Signature" && tag.namespace() == Some(SIGNATURE_NAMESPACE)
}
