//! The gate before every parser: one linear pass without a tree that refuses
//! what no form needs and what makes parsers slow or dangerous. After it,
//! depth, attributes, namespaces and node counts are bounded.

use super::{Position, position, without_mark};
use crate::base::limits;
use quick_xml::Reader;
use quick_xml::events::{BytesDecl, BytesStart, Event};
use quick_xml::name::PrefixDeclaration;

/// What the gate lets through.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Size of the document, in bytes.
    pub bytes: usize,
    /// Nesting of elements.
    pub depth: usize,
    /// Attributes on one element, namespace declarations included.
    pub attributes: usize,
    /// Attributes in the document, namespace declarations included.
    pub attributes_total: usize,
    /// Elements, comments, CDATA sections and references together.
    pub nodes: usize,
    /// Namespace declarations in scope at one element.
    pub namespaces: usize,
    /// Length of an element or attribute name, in bytes.
    pub name_bytes: usize,
    /// Length of one run of text, in bytes.
    pub text_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: limits::XML_BYTES_MAX,
            depth: limits::XML_DEPTH_MAX,
            attributes: limits::XML_ATTRIBUTES_MAX,
            attributes_total: limits::XML_ATTRIBUTES_TOTAL_MAX,
            nodes: limits::XML_ELEMENTS_MAX,
            namespaces: limits::XML_NAMESPACES_MAX,
            name_bytes: limits::XML_NAME_BYTES_MAX,
            text_bytes: limits::XML_TEXT_BYTES_MAX,
        }
    }
}

/// Why the gate refused a document, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct GateError {
    /// What was refused.
    pub kind: GateFault,
    /// Where it stands.
    pub position: Position,
}

/// What the gate refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GateFault {
    /// The bytes are not UTF-8, or the document declares another encoding.
    #[error("the document is not encoded in UTF-8: {0}")]
    Encoding(String),
    /// Another XML version than 1.0.
    #[error("the document is not XML 1.0 but declares version {0}")]
    Version(String),
    /// A document type declaration: never needed, and the home of entity attacks.
    #[error("the document carries a document type declaration (<!DOCTYPE), which is not allowed")]
    Doctype,
    /// A processing instruction: verifiers disagree on what it means for a signature.
    #[error("the document carries the processing instruction <?{0}?>, which is not allowed")]
    ProcessingInstruction(String),
    /// A limit of the program was passed.
    #[error("the document passes the limit of {max} for {what}")]
    Limit {
        /// The thing that is limited, with its unit.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// Not well-formed, as far as this pass can tell.
    #[error("the document is not well-formed: {0}")]
    Malformed(String),
}

/// Checks the structure of untrusted bytes and returns them as text, without
/// a byte order mark. Well-formedness is left to the parser that follows, but
/// for what this pass notices by itself.
pub fn check<'a>(bytes: &'a [u8], limits: &Limits) -> Result<&'a str, GateError> {
    let text = decode(bytes, limits)?;
    let mark = bytes.len() - text.len();
    let mut reader = Reader::from_str(text);
    let mut pass = Pass::new(limits);
    loop {
        let start = offset(reader.buffer_position());
        let event = match reader.read_event() {
            Ok(Event::Eof) => break,
            Ok(event) => event,
            Err(error) => {
                let at = offset(reader.error_position());
                return Err(fault(bytes, mark + at, malformed(&error)));
            }
        };
        pass.event(&event)
            .map_err(|kind| fault(bytes, mark + start, kind))?;
    }
    if pass.open.is_empty() {
        Ok(text)
    } else {
        let kind = GateFault::Malformed("the document ends inside an element".to_owned());
        Err(fault(bytes, bytes.len(), kind))
    }
}

fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

fn fault(bytes: &[u8], at: usize, kind: GateFault) -> GateError {
    GateError {
        kind,
        position: position(bytes, at),
    }
}

fn malformed(error: &dyn std::fmt::Display) -> GateFault {
    let text = error.to_string();
    let reason = text.strip_prefix("ill-formed document: ").unwrap_or(&text);
    GateFault::Malformed(reason.to_owned())
}

fn decode<'a>(bytes: &'a [u8], limits: &Limits) -> Result<&'a str, GateError> {
    if bytes.len() > limits.bytes {
        let kind = GateFault::Limit {
            what: "its size in bytes",
            max: limits.bytes,
        };
        return Err(fault(&[], 0, kind));
    }
    if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        let kind = GateFault::Encoding("it begins with the byte order mark of UTF-16".to_owned());
        return Err(fault(&[], 0, kind));
    }
    str::from_utf8(without_mark(bytes)).map_err(|error| {
        let mark = bytes.len() - without_mark(bytes).len();
        let at = mark + error.valid_up_to();
        let byte = bytes.get(at).copied().unwrap_or_default();
        let kind = GateFault::Encoding(format!(
            "the byte 0x{byte:02X} does not belong to a UTF-8 character"
        ));
        fault(bytes, at, kind)
    })
}

struct Pass<'l> {
    limits: &'l Limits,
    /// Namespace declarations on each open element.
    open: Vec<usize>,
    namespaces: usize,
    nodes: usize,
    attributes: usize,
    root_seen: bool,
}

impl<'l> Pass<'l> {
    fn new(limits: &'l Limits) -> Self {
        Self {
            limits,
            open: Vec::new(),
            namespaces: 0,
            nodes: 0,
            attributes: 0,
            root_seen: false,
        }
    }

    fn event(&mut self, event: &Event<'_>) -> Result<(), GateFault> {
        match event {
            Event::Start(tag) => self.element(tag, true),
            Event::Empty(tag) => self.element(tag, false),
            Event::End(_) => {
                self.namespaces -= self.open.pop().unwrap_or_default();
                Ok(())
            }
            Event::Text(text) => self.text(text.len()),
            Event::CData(text) => {
                self.node()?;
                self.text(text.len())
            }
            Event::Comment(text) => {
                self.node()?;
                self.text(text.len())
            }
            Event::Decl(declaration) => xml_declaration(declaration),
            Event::PI(instruction) => {
                Err(GateFault::ProcessingInstruction(cut(instruction.target())))
            }
            Event::DocType(_) => Err(GateFault::Doctype),
            Event::GeneralRef(_) => self.node(),
            Event::Eof => Ok(()),
        }
    }

    fn element(&mut self, tag: &BytesStart<'_>, stays_open: bool) -> Result<(), GateFault> {
        self.node()?;
        if self.open.is_empty() && self.root_seen {
            return Err(GateFault::Malformed(
                "it has a second root element".to_owned(),
            ));
        }
        self.root_seen = true;
        under(self.open.len() + 1, self.limits.depth, "nested elements")?;
        self.name(tag.name().as_ref().len())?;
        let mut declared = 0;
        let mut default_declared = false;
        let mut attributes = 0;
        for attribute in tag.attributes().with_checks(false) {
            let attribute = attribute.map_err(|error| malformed(&error))?;
            attributes += 1;
            let most = self.limits.attributes;
            under(attributes, most, "attributes on one element")?;
            self.name(attribute.key.as_ref().len())?;
            match attribute.key.as_namespace_binding() {
                None => {}
                Some(PrefixDeclaration::Default) if default_declared => {
                    // XML 1.0 §3.1; the parser notices it of prefixes only.
                    let reason = "the default namespace is declared twice on one element";
                    return Err(GateFault::Malformed(reason.to_owned()));
                }
                Some(PrefixDeclaration::Default) => {
                    default_declared = true;
                    declared += 1;
                }
                Some(PrefixDeclaration::Named(prefix)) if attribute.value.is_empty() => {
                    // Namespaces in XML 1.0 §2.2; the parser would let it pass.
                    let reason = format!("the prefix {} is bound to nothing", cut(prefix));
                    return Err(GateFault::Malformed(reason));
                }
                Some(PrefixDeclaration::Named(_)) => declared += 1,
            }
        }
        self.attributes += attributes;
        let most = self.limits.attributes_total;
        under(self.attributes, most, "attributes")?;
        let in_scope = self.namespaces + declared;
        under(in_scope, self.limits.namespaces, "namespaces in scope")?;
        if stays_open {
            self.open.push(declared);
            self.namespaces = in_scope;
        }
        Ok(())
    }

    fn node(&mut self) -> Result<(), GateFault> {
        self.nodes += 1;
        under(
            self.nodes,
            self.limits.nodes,
            "elements, comments and references",
        )
    }

    fn name(&self, length: usize) -> Result<(), GateFault> {
        under(
            length,
            self.limits.name_bytes,
            "the length of a name in bytes",
        )
    }

    fn text(&self, length: usize) -> Result<(), GateFault> {
        under(
            length,
            self.limits.text_bytes,
            "the length of a text in bytes",
        )
    }
}

fn under(found: usize, max: usize, what: &'static str) -> Result<(), GateFault> {
    if found > max {
        return Err(GateFault::Limit { what, max });
    }
    Ok(())
}

fn xml_declaration(declaration: &BytesDecl<'_>) -> Result<(), GateFault> {
    let version = declaration.version().map_err(|error| malformed(&error))?;
    if version != "1.0" {
        return Err(GateFault::Version(cut(&version)));
    }
    if let Some(encoding) = declaration.encoding() {
        let encoding = encoding.map_err(|error| malformed(&error))?;
        if !encoding.eq_ignore_ascii_case("utf-8") {
            let declared = format!("it declares {}", cut(&encoding));
            return Err(GateFault::Encoding(declared));
        }
    }
    Ok(())
}

/// A foreign word for a message, at most 60 characters of it.
fn cut(text: &str) -> String {
    text.chars().take(60).collect()
}
