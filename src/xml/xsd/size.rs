//! How large the content models of schemas become once their groups are put
//! in. A few lines of groups that name groups make a model no machine holds,
//! so this is counted before a schema is compiled.

use crate::base::limits;
use roxmltree::{Document, Node, ParsingOptions};
use std::collections::BTreeMap;

const XSD: &str = "http://www.w3.org/2001/XMLSchema";
/// Deepest nesting of groups and types, as the compiler has it.
const DEPTH_MAX: usize = 128;
/// What stands in a content model, or among the attributes of a type.
const PARTS: [&str; 8] = [
    "element",
    "any",
    "sequence",
    "choice",
    "all",
    "attribute",
    "anyAttribute",
    "group",
];

/// Something with a content model or attributes of its own.
#[derive(Default)]
struct Owner {
    /// Its parts without those of others.
    parts: usize,
    /// What it takes the parts of.
    takes: Vec<Key>,
}

/// Kind and local name; names of different namespaces count as one, which makes
/// the count larger, never smaller.
type Key = (&'static str, String);

/// Whether all content models stay within the limits; else why not. What
/// cannot be parsed is left to the compiler.
pub(super) fn check<'t>(texts: impl Iterator<Item = &'t String>) -> Result<(), String> {
    let options = || ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    let mut owners = Vec::new();
    let mut named: BTreeMap<Key, Vec<usize>> = BTreeMap::new();
    for text in texts {
        if let Ok(document) = Document::parse_with_options(text, options()) {
            collect(&document, &mut owners, &mut named);
        }
    }
    let mut sizes = Sizes {
        owners: &owners,
        named: &named,
        known: vec![None; owners.len()],
    };
    let mut total = 0_usize;
    for index in 0..owners.len() {
        let size = sizes.of(index, 0);
        if size == usize::MAX {
            return Err("a group or type contains itself, or nests without end".to_owned());
        }
        if size > limits::XSD_MODEL_PARTS_MAX {
            let most = limits::XSD_MODEL_PARTS_MAX;
            return Err(format!("a content model has more than {most} parts"));
        }
        total += size;
    }
    if total > limits::XSD_PARTS_MAX {
        let most = limits::XSD_PARTS_MAX;
        return Err(format!("the content models have more than {most} parts"));
    }
    Ok(())
}

fn collect(
    document: &Document<'_>,
    owners: &mut Vec<Owner>,
    named: &mut BTreeMap<Key, Vec<usize>>,
) {
    // No recursion: nothing bounds the depth here.
    let mut open: Vec<(Node<'_, '_>, Option<usize>)> = vec![(document.root(), None)];
    while let Some((node, mut owner)) = open.pop() {
        let tag = node.tag_name();
        if tag.namespace() == Some(XSD) {
            let local = tag.name();
            let owns = ["complexType", "group", "attributeGroup"];
            let kind = owns.into_iter().find(|kind| *kind == local);
            if let Some(kind) = kind.filter(|_| !node.has_attribute("ref")) {
                if let Some(name) = node.attribute("name") {
                    let key = (kind, name.to_owned());
                    named.entry(key).or_default().push(owners.len());
                }
                owner = Some(owners.len());
                owners.push(Owner::default());
            }
            if let Some(owner) = owner.and_then(|owner| owners.get_mut(owner)) {
                owner.parts += usize::from(PARTS.contains(&local));
                owner.takes.extend(taken(node, local));
            }
        }
        open.extend(node.children().map(|child| (child, owner)));
    }
}

/// What an element of a schema puts in of another definition.
fn taken(node: Node<'_, '_>, local: &str) -> Option<Key> {
    let (kind, attribute) = match local {
        "group" => ("group", "ref"),
        "attributeGroup" => ("attributeGroup", "ref"),
        "extension" => ("complexType", "base"),
        _ => return None,
    };
    let name = node.attribute(attribute)?;
    let local = name.rsplit(':').next().unwrap_or(name);
    Some((kind, local.to_owned()))
}

struct Sizes<'o> {
    owners: &'o [Owner],
    named: &'o BTreeMap<Key, Vec<usize>>,
    known: Vec<Option<usize>>,
}

impl Sizes<'_> {
    /// Parts of an owner with those it takes; more than any limit for one that
    /// takes itself or nests too deep.
    fn of(&mut self, index: usize, depth: usize) -> usize {
        let known = self.known.get(index).copied().flatten();
        let Some(owner) = self.owners.get(index).filter(|_| known.is_none()) else {
            return known.unwrap_or_default();
        };
        if depth > DEPTH_MAX {
            return usize::MAX;
        }
        let mut size = owner.parts;
        for key in &owner.takes {
            let named = self.named;
            for other in named.get(key).into_iter().flatten() {
                size = size.saturating_add(self.of(*other, depth + 1));
            }
        }
        if let Some(known) = self.known.get_mut(index) {
            *known = Some(size);
        }
        size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(inside: &str) -> Result<(), String> {
        let text = format!("<xs:schema xmlns:xs=\"{XSD}\">{inside}</xs:schema>");
        check(std::iter::once(&text))
    }

    /// `levels` groups, each with the next `times` over.
    fn nested(kind: &str, (levels, times): (usize, usize), last: &str) -> String {
        let mut out = String::new();
        for level in 0..levels {
            let refs = format!("<xs:{kind} ref=\"g{}\"/>", level + 1).repeat(times);
            out += &format!("<xs:{kind} name=\"g{level}\">{refs}</xs:{kind}>");
        }
        out + &format!("<xs:{kind} name=\"g{levels}\">{last}</xs:{kind}>")
    }

    #[test]
    fn groups_that_multiply_are_counted_and_refused() {
        assert_eq!(schema(&nested("group", (2, 10), "<xs:element/>")), Ok(()));
        assert!(schema(&nested("group", (12, 10), "<xs:element/>")).is_err());
        let attributes = nested("attributeGroup", (12, 10), "<xs:attribute/>");
        assert!(schema(&attributes).is_err());
        // One more part than allowed, and just as many.
        let model = |parts: usize| {
            let parts = "<xs:element/>".repeat(parts);
            schema(&format!(
                "<xs:complexType name=\"t\">{parts}</xs:complexType>"
            ))
        };
        assert_eq!(model(limits::XSD_MODEL_PARTS_MAX), Ok(()));
        assert!(model(limits::XSD_MODEL_PARTS_MAX + 1).is_err());
    }

    #[test]
    fn what_names_itself_or_nests_without_end_is_refused() {
        let one = "<xs:group name=\"g\"><xs:group ref=\"g\"/></xs:group>";
        assert!(schema(one).is_err());
        assert!(schema(&nested("group", (5_000, 1), "<xs:element/>")).is_err());
    }

    #[test]
    fn many_models_have_a_limit_together() {
        let model = "<xs:element/>".repeat(limits::XSD_MODEL_PARTS_MAX);
        let model = format!("<xs:complexType>{model}</xs:complexType>");
        let most = limits::XSD_PARTS_MAX / limits::XSD_MODEL_PARTS_MAX;
        assert_eq!(schema(&model.repeat(most)), Ok(()));
        assert!(schema(&model.repeat(most + 1)).is_err());
    }
}
