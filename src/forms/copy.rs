//! Copies with less in them, such as the employer's copy of a certificate.

use super::embed::{Edit, apply};
use super::{FormsError, Pack};
use crate::xml::path::{Path, Slot};
use crate::xml::{parse, without_mark};
use roxmltree::Node;
use std::ops::Range;

/// The namespace of XML signatures, XMLDSIG core §1.3.
const SIGNATURE_NAMESPACE: &str = "http://www.w3.org/2000/09/xmldsig#";

impl Pack {
    /// A copy of a document that leaves out what the pack hides in this copy,
    /// signature and PDF, and every comment: none of them can be told to be
    /// silent about what is hidden.
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
        let root = document.root();
        let mut ranges: Vec<Range<usize>> = root
            .descendants()
            .filter(|node| node.is_comment() || is_signature(*node))
            .chain(hidden.iter().flat_map(|path| path.select(root)))
            .map(|node| node.range())
            .collect();
        ranges.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
        let mut edits: Vec<Edit> = Vec::new();
        for range in ranges {
            // What lies inside another goes with it.
            if edits
                .last()
                .is_none_or(|last| last.range.end <= range.start)
            {
                let text = String::new();
                edits.push(Edit { range, text });
            }
        }
        let copy = apply(xml, &edits);
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

fn is_signature(node: Node<'_, '_>) -> bool {
    let tag = node.tag_name();
    node.is_element() && tag.name() == "Signature" && tag.namespace() == Some(SIGNATURE_NAMESPACE)
}
