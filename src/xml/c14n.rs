//! Canonical XML over a read-only tree: the exact bytes a signature covers.
//!
//! Canonical XML 1.0 (W3C REC-xml-c14n-20010315), 1.1 (REC-xml-c14n11-20080502)
//! and Exclusive XML Canonicalization 1.0 (REC-xml-exc-c14n-20020718). We sign
//! with the exclusive form only, because all implementations agree on it; the
//! inclusive forms exist to verify what others have signed.
//!
//! The input is a node set given by an apex and a visibility rule: an
//! element's attributes and namespaces are in the set when the element is. The
//! document must have no DTD (the gate refuses them), so that every source
//! range of the tree points at what the author wrote; prefixes are read there
//! because the tree keeps only namespace names.

mod base_uri;
#[cfg(test)]
mod tests;

use super::name_of;
use crate::base::digest::Sha256;
use roxmltree::{Document, Node, NodeType};
use std::borrow::Cow;

const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";

/// Which of the three recommendations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Exclusive XML Canonicalization 1.0.
    Exclusive,
    /// Canonical XML 1.0.
    Inclusive10,
    /// Canonical XML 1.1.
    Inclusive11,
}

/// The parameters of a canonicalization method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options<'p> {
    /// The recommendation to follow.
    pub mode: Mode,
    /// Whether comments are kept ("#WithComments").
    pub comments: bool,
    /// `InclusiveNamespaces/@PrefixList`, split at blanks; `#default` means the
    /// default namespace. Only meaningful in exclusive mode.
    pub prefixes: &'p [&'p str],
}

impl Options<'static> {
    /// `http://www.w3.org/2001/10/xml-exc-c14n#` without parameters.
    pub const EXCLUSIVE: Self = Self {
        mode: Mode::Exclusive,
        comments: false,
        prefixes: &[],
    };
}

/// The canonical form of the visible nodes in the subtree of `apex`, in UTF-8.
///
/// `apex` is an element or the document's root node. `visible` is asked once
/// for each node of the subtree and for the parents of visible elements; what
/// lies outside the subtree of `apex` is never in the node set.
pub fn canonicalize<'a, 'i>(
    doc: &'a Document<'i>,
    apex: Node<'a, 'i>,
    visible: impl Fn(Node<'a, 'i>) -> bool,
    options: &Options<'_>,
) -> Vec<u8> {
    let out = Vec::with_capacity(apex.range().len());
    write(doc, apex, visible, options, out)
}

/// The SHA-256 of what [`canonicalize`] gives, without holding it.
pub fn sha256<'a, 'i>(
    doc: &'a Document<'i>,
    apex: Node<'a, 'i>,
    visible: impl Fn(Node<'a, 'i>) -> bool,
    options: &Options<'_>,
) -> [u8; 32] {
    write(doc, apex, visible, options, Sha256::new()).finish()
}

/// Where the canonical form goes, piece by piece.
trait Output {
    fn write(&mut self, piece: &[u8]);
}

impl Output for Vec<u8> {
    fn write(&mut self, piece: &[u8]) {
        self.extend_from_slice(piece);
    }
}

impl Output for Sha256 {
    fn write(&mut self, piece: &[u8]) {
        self.update(piece);
    }
}

fn write<'a, 'i, O: Output>(
    doc: &'a Document<'i>,
    apex: Node<'a, 'i>,
    visible: impl Fn(Node<'a, 'i>) -> bool,
    options: &Options<'_>,
    out: O,
) -> O {
    let mut writer = Writer {
        source: doc.input_text(),
        apex,
        visible,
        options,
        out,
        rendered: Vec::new(),
        marks: Vec::new(),
    };
    writer.walk();
    writer.out
}

/// An attribute about to be written. Sorted by namespace name, then local
/// name; unqualified attributes have the empty namespace name and come first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Attribute<'a> {
    uri: &'a str,
    local: &'a str,
    qname: &'a str,
    value: Cow<'a, str>,
}

struct Writer<'a, 'i, 'o, V, O> {
    source: &'a str,
    apex: Node<'a, 'i>,
    visible: V,
    options: &'o Options<'o>,
    out: O,
    /// Namespaces (prefix, name) written by the open output elements, oldest
    /// first; the last entry of a prefix is the one in force.
    rendered: Vec<(&'a str, &'a str)>,
    /// Length of `rendered` when each open output element began.
    marks: Vec<usize>,
}

impl<'a, 'i, V: Fn(Node<'a, 'i>) -> bool, O: Output> Writer<'a, 'i, '_, V, O> {
    /// Visits the subtree in document order without recursion: the depth of a
    /// document is the sender's choice, our stack is not.
    fn walk(&mut self) {
        let mut node = self.apex;
        loop {
            let shown = self.enter(node);
            if let Some(child) = node.first_child() {
                node = child;
                continue;
            }
            if shown {
                self.leave(node);
            }
            loop {
                if node == self.apex {
                    return;
                }
                if let Some(next) = node.next_sibling() {
                    node = next;
                    break;
                }
                let Some(parent) = node.parent() else { return };
                node = parent;
                if (self.visible)(node) {
                    self.leave(node);
                }
            }
        }
    }

    fn enter(&mut self, node: Node<'a, 'i>) -> bool {
        if !(self.visible)(node) {
            return false;
        }
        match node.node_type() {
            NodeType::Root => {}
            NodeType::Element => self.start_tag(node),
            NodeType::Text => {
                if let Some(text) = node.text() {
                    push_escaped(&mut self.out, text, &TEXT_REFERENCES);
                }
            }
            NodeType::Comment => {
                if self.options.comments {
                    let text = line_ends(node.text().unwrap_or_default());
                    self.beside_root(node, &["<!--", &text, "-->"]);
                }
            }
            NodeType::PI => {
                // The tree takes an XML declaration with a line end behind
                // `<?xml` for an instruction; no instruction may have that name.
                if let Some(pi) = node.pi().filter(|pi| pi.target != "xml") {
                    match pi.value {
                        Some(value) => {
                            let value = line_ends(value);
                            self.beside_root(node, &["<?", pi.target, " ", &value, "?>"]);
                        }
                        None => self.beside_root(node, &["<?", pi.target, "?>"]),
                    }
                }
            }
        }
        true
    }

    fn leave(&mut self, node: Node<'a, 'i>) {
        if node.is_element() {
            self.push("</");
            self.push(name_of(node));
            self.push(">");
            if let Some(mark) = self.marks.pop() {
                self.rendered.truncate(mark);
            }
        }
    }

    fn push(&mut self, text: &str) {
        self.out.write(text.as_bytes());
    }

    /// Writes a comment or processing instruction; outside the document
    /// element a line feed separates it from that element.
    fn beside_root(&mut self, node: Node<'a, 'i>, parts: &[&str]) {
        let top = node.parent().is_some_and(|parent| parent.is_root());
        let after = top && node.prev_siblings().skip(1).any(|n| n.is_element());
        if after {
            self.push("\n");
        }
        for part in parts {
            self.push(part);
        }
        if top && !after {
            self.push("\n");
        }
    }

    fn start_tag(&mut self, node: Node<'a, 'i>) {
        let name = name_of(node);
        let mut attributes: Vec<Attribute<'a>> = node
            .attributes()
            .map(|a| Attribute {
                uri: a.namespace().unwrap_or_default(),
                local: a.name(),
                qname: &self.source[a.range_qname()],
                value: Cow::Borrowed(a.value()),
            })
            .collect();
        let mut namespaces = match self.options.mode {
            Mode::Exclusive => self.utilized_namespaces(node, name, &attributes),
            Mode::Inclusive10 | Mode::Inclusive11 => {
                self.inherit_xml_attributes(node, &mut attributes);
                self.scope(node)
            }
        };
        namespaces.retain(|(prefix, uri)| self.in_force(prefix) != *uri);
        namespaces.sort_unstable();
        attributes.sort_unstable();

        self.push("<");
        self.push(name);
        for (prefix, uri) in &namespaces {
            match *prefix {
                "" => self.push(" xmlns"),
                prefix => {
                    self.push(" xmlns:");
                    self.push(prefix);
                }
            }
            self.push_value(uri);
        }
        for attribute in &attributes {
            self.push(" ");
            self.push(attribute.qname);
            self.push_value(&attribute.value);
        }
        self.push(">");
        self.marks.push(self.rendered.len());
        self.rendered.extend_from_slice(&namespaces);
    }

    fn push_value(&mut self, value: &str) {
        self.push("=\"");
        push_escaped(&mut self.out, value, &ATTRIBUTE_REFERENCES);
        self.push("\"");
    }

    /// The namespace name that the output so far binds to `prefix`; empty when
    /// none, which is also what an undeclared default namespace means.
    fn in_force(&self, prefix: &str) -> &'a str {
        let last = self.rendered.iter().rev().find(|(p, _)| *p == prefix);
        last.map_or("", |(_, uri)| uri)
    }

    /// All namespaces in scope, an absent default namespace as `("", "")`, so
    /// that it is undeclared when an output ancestor had declared one.
    fn scope(&self, node: Node<'a, 'i>) -> Vec<(&'a str, &'a str)> {
        let mut all: Vec<_> = node
            .namespaces()
            .map(|n| (n.name().unwrap_or_default(), n.uri()))
            .filter(|(prefix, _)| *prefix != "xml")
            .collect();
        if !all.iter().any(|(prefix, _)| prefix.is_empty()) {
            all.push(("", ""));
        }
        all
    }

    /// The namespaces that the element or its attributes use (exc-c14n §3),
    /// and those of the PrefixList, which are treated as Canonical XML does.
    fn utilized_namespaces(
        &self,
        node: Node<'a, 'i>,
        name: &str,
        attributes: &[Attribute<'a>],
    ) -> Vec<(&'a str, &'a str)> {
        let own = prefix_of(name);
        let mut all = self.scope(node);
        all.retain(|(prefix, _)| {
            *prefix == own
                || (!prefix.is_empty() && attributes.iter().any(|a| prefix_of(a.qname) == *prefix))
                || self.options.prefixes.iter().any(|listed| match *listed {
                    "#default" => prefix.is_empty(),
                    listed => listed == *prefix,
                })
        });
        all
    }

    /// Attributes of the xml namespace that an element whose parent is not in
    /// the node set takes over from its ancestors (Canonical XML 1.0 §2.4 and
    /// 1.1 §2.4: 1.1 leaves `xml:id` behind and joins `xml:base`).
    fn inherit_xml_attributes(&self, node: Node<'a, 'i>, attributes: &mut Vec<Attribute<'a>>) {
        if node.parent_element().is_none_or(|p| self.is_shown(p)) {
            return;
        }
        let version11 = self.options.mode == Mode::Inclusive11;
        for ancestor in node.ancestors().skip(1) {
            for a in ancestor.attributes() {
                let heritable = !version11 || matches!(a.name(), "lang" | "space");
                if a.namespace() == Some(XML_NAMESPACE)
                    && heritable
                    && !attributes
                        .iter()
                        .any(|b| b.uri == XML_NAMESPACE && b.local == a.name())
                {
                    attributes.push(Attribute {
                        uri: XML_NAMESPACE,
                        local: a.name(),
                        qname: &self.source[a.range_qname()],
                        value: Cow::Borrowed(a.value()),
                    });
                }
            }
        }
        if version11 {
            self.fix_base(node, attributes);
        }
    }

    /// `xml:base` fixup (Canonical XML 1.1 §2.4): the omitted ancestors right
    /// above the element, joined from the outermost to the element itself.
    fn fix_base(&self, node: Node<'a, 'i>, attributes: &mut Vec<Attribute<'a>>) {
        let mut bases: Vec<&str> = node
            .ancestors()
            .skip(1)
            .take_while(|n| n.is_element() && !self.is_shown(*n))
            .filter_map(|n| n.attribute((XML_NAMESPACE, "base")))
            .collect();
        if bases.is_empty() {
            return;
        }
        bases.reverse();
        bases.extend(node.attribute((XML_NAMESPACE, "base")));
        let mut bases = bases.into_iter();
        let first = bases.next().unwrap_or_default().to_owned();
        let joined = bases.fold(first, |base, next| base_uri::join(&base, next));
        attributes.retain(|a| !(a.uri == XML_NAMESPACE && a.local == "base"));
        if !joined.is_empty() {
            attributes.push(Attribute {
                uri: XML_NAMESPACE,
                local: "base",
                qname: "xml:base",
                value: Cow::Owned(joined),
            });
        }
    }

    fn is_shown(&self, node: Node<'a, 'i>) -> bool {
        node.ancestors().any(|n| n == self.apex) && (self.visible)(node)
    }
}

fn prefix_of(qname: &str) -> &str {
    qname.split_once(':').map_or("", |(prefix, _)| prefix)
}

/// Line ends as a parser must report them (XML 1.0 §2.11); the tree does it
/// for text and attributes but not for comments and processing instructions.
fn line_ends(text: &str) -> Cow<'_, str> {
    if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    }
}

/// What stands for a character in text (Canonical XML 1.0 §1.1, §2.3).
const TEXT_REFERENCES: [(u8, &str); 4] = [
    (b'&', "&amp;"),
    (b'<', "&lt;"),
    (b'>', "&gt;"),
    (b'\r', "&#xD;"),
];
/// What stands for a character in an attribute value.
const ATTRIBUTE_REFERENCES: [(u8, &str); 6] = [
    (b'&', "&amp;"),
    (b'<', "&lt;"),
    (b'"', "&quot;"),
    (b'\t', "&#x9;"),
    (b'\n', "&#xA;"),
    (b'\r', "&#xD;"),
];
/// Bytes looked at together: a PDF in base64 has nothing to replace, and a
/// search without branches costs a tenth of one that stops at each byte.
const BLOCK_BYTES: usize = 256;

fn push_escaped<const N: usize>(out: &mut impl Output, text: &str, references: &[(u8, &str); N]) {
    let bytes = text.as_bytes();
    let mut done = 0;
    for (index, block) in bytes.chunks(BLOCK_BYTES).enumerate() {
        let is_found = block.iter().fold(false, |found, byte| {
            references
                .iter()
                .fold(found, |found, (c, _)| found | (c == byte))
        });
        if !is_found {
            continue;
        }
        for (offset, byte) in block.iter().enumerate() {
            if let Some((_, reference)) = references.iter().find(|(c, _)| c == byte) {
                let at = index * BLOCK_BYTES + offset;
                out.write(bytes.get(done..at).unwrap_or_default());
                out.write(reference.as_bytes());
                done = at + 1;
            }
        }
    }
    out.write(bytes.get(done..).unwrap_or_default());
}
