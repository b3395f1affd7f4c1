//! XML: the gate in front of the parser, the read-only tree, positions and
//! XPaths for findings, canonicalization and XSD validation. Pure: no I/O, no clock.

pub mod c14n;
pub mod gate;
pub mod path;
pub mod xsd;

use roxmltree::{Document, Node};
use std::borrow::Cow;
use std::fmt;

/// Why bytes could not be parsed as XML.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// The structural gate refused the bytes.
    #[error(transparent)]
    Gate(#[from] gate::GateError),
    /// The document is not well-formed (XML 1.0, Namespaces in XML 1.0).
    #[error("the document is not well-formed: {reason}")]
    Malformed {
        /// What the parser found, without a position.
        reason: String,
        /// Where.
        position: Position,
    },
}

impl XmlError {
    /// Where in the document the fault stands.
    pub fn position(&self) -> Position {
        match self {
            Self::Gate(error) => error.position,
            Self::Malformed { position, .. } => *position,
        }
    }
}

/// A place in a document as an editor shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line, counted from 1.
    pub line: u32,
    /// Column, counted from 1, in characters (not bytes). A byte order mark
    /// is not counted.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// The UTF-8 byte order mark: allowed before a document, no part of it.
pub const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The document without its byte order mark, if it has one.
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes)
}

/// Line and column of a byte offset. For many offsets in one document use
/// [`Positions`], which does not start anew each time.
pub fn position(bytes: &[u8], offset: usize) -> Position {
    Positions::new(bytes).at(offset)
}

/// Turns byte offsets into positions; ascending offsets cost one pass over
/// the document together.
pub struct Positions<'a> {
    bytes: &'a [u8],
    offset: usize,
    found: Position,
}

impl<'a> Positions<'a> {
    /// Starts at the beginning of the document.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            offset: bytes.len() - without_mark(bytes).len(),
            found: Position { line: 1, column: 1 },
        }
    }

    /// The position of `offset`, which is cut to the length of the document.
    pub fn at(&mut self, offset: usize) -> Position {
        if offset < self.offset {
            *self = Self::new(self.bytes);
        }
        let end = offset.min(self.bytes.len());
        for &byte in self.bytes.get(self.offset..end).unwrap_or_default() {
            if byte == b'\n' {
                self.found.line = self.found.line.saturating_add(1);
                self.found.column = 1;
            } else if byte & 0xC0 != 0x80 {
                // Continuation bytes of UTF-8 do not start a character.
                self.found.column = self.found.column.saturating_add(1);
            }
        }
        self.offset = self.offset.max(end);
        self.found
    }
}

/// Parses a document: the gate first, then a tree without DTD support.
pub fn parse(bytes: &[u8]) -> Result<Document<'_>, XmlError> {
    let text = gate::check(bytes, &gate::Limits::default())?;
    let options = roxmltree::ParsingOptions {
        allow_dtd: false,
        ..Default::default()
    };
    Document::parse_with_options(text, options).map_err(|error| {
        let at = error.pos();
        let full = error.to_string();
        // roxmltree appends " at row:column"; the position is a field here.
        let reason = full
            .strip_suffix(&format!(" at {at}"))
            .unwrap_or(&full)
            .to_owned();
        XmlError::Malformed {
            reason,
            position: Position {
                line: at.row,
                column: at.col,
            },
        }
    })
}

/// The name of an element as the document writes it, prefix included.
pub fn name_of<'a>(node: Node<'a, '_>) -> &'a str {
    let source = node.document().input_text();
    let tag = source.get(node.range().start + 1..).unwrap_or_default();
    let end = tag
        .find(|c: char| c.is_ascii_whitespace() || c == '>' || c == '/')
        .unwrap_or(tag.len());
    tag.get(..end).unwrap_or_default()
}

/// The XPath of an element, with the document's own prefixes; an index stands
/// only where siblings of the same name exist.
pub fn xpath_of(node: Node<'_, '_>) -> String {
    let mut steps: Vec<String> = node
        .ancestors()
        .filter(Node::is_element)
        .map(|element| {
            let same = |other: &Node| other.is_element() && other.tag_name() == element.tag_name();
            let before = element.prev_siblings().skip(1).filter(same).count();
            let alone = before == 0 && !element.next_siblings().skip(1).any(|other| same(&other));
            if alone {
                format!("/{}", name_of(element))
            } else {
                format!("/{}[{}]", name_of(element), before + 1)
            }
        })
        .collect();
    steps.reverse();
    steps.concat()
}

/// Escapes character data (XML 1.0 §2.4). A carriage return is written as a
/// reference, because a parser would otherwise turn it into a line feed.
pub fn escape_text(text: &str) -> Cow<'_, str> {
    escape(text, |c| match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '\r' => Some("&#xD;"),
        _ => None,
    })
}

/// Escapes the value of an attribute in double quotes (XML 1.0 §3.3.3).
pub fn escape_attribute(text: &str) -> Cow<'_, str> {
    escape(text, |c| match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '"' => Some("&quot;"),
        '\t' => Some("&#x9;"),
        '\n' => Some("&#xA;"),
        '\r' => Some("&#xD;"),
        _ => None,
    })
}

fn escape(text: &str, reference: impl Fn(char) -> Option<&'static str>) -> Cow<'_, str> {
    if !text.contains(|c| reference(c).is_some()) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match reference(c) {
            Some(escaped) => out.push_str(escaped),
            None => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests;
