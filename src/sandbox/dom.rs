//! Strict look-ups in a parsed document: what is not exactly as expected is
//! an error, never a default.

use base64::Engine;
use roxmltree::Node;
use sceau::xml::c14n::{self, Options};

/// XML Signature (W3C REC xmldsig-core1).
pub const DS: &str = "http://www.w3.org/2000/09/xmldsig#";
/// XAdES (EN 319 132-1 §4.2).
pub const XADES: &str = "http://uri.etsi.org/01903/v1.3.2#";
/// SOAP 1.1.
pub const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";
/// WS-Security 1.0.
pub const WSSE: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
/// WS-Security utility.
pub const WSU: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
/// SAML 2.0 assertions.
pub const SAML: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
/// SAML 2.0 protocol.
pub const SAMLP: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
/// WS-Trust 1.3.
pub const WST: &str = "http://docs.oasis-open.org/ws-sx/ws-trust/200512";
/// WS-Policy.
pub const WSP: &str = "http://schemas.xmlsoap.org/ws/2004/09/policy";
/// WS-Addressing.
pub const WSA: &str = "http://www.w3.org/2005/08/addressing";
/// WS-Federation authorization claims.
pub const AUTH: &str = "http://docs.oasis-open.org/wsfed/authorization/200706";
/// The exchange. Ours, not the insurer's.
pub const SYNC: &str = "urn:sceau:mysecu:exchange:1";
/// Exclusive canonicalization.
pub const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";

/// What is missing or too much.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DomError(pub String);

/// Whether `node` is this element.
pub fn is(node: Node<'_, '_>, namespace: &str, name: &str) -> bool {
    node.is_element()
        && node.tag_name().namespace() == Some(namespace)
        && node.tag_name().name() == name
}

/// The child elements of this name.
pub fn children<'a, 'i>(
    parent: Node<'a, 'i>,
    namespace: &'a str,
    name: &'a str,
) -> impl Iterator<Item = Node<'a, 'i>> {
    parent.children().filter(move |n| is(*n, namespace, name))
}

/// The child element of this name, of which there must be exactly one.
///
/// # Errors
/// None, or several.
pub fn child<'a, 'i>(
    parent: Node<'a, 'i>,
    namespace: &'a str,
    name: &'a str,
) -> Result<Node<'a, 'i>, DomError> {
    optional(parent, namespace, name)?
        .ok_or_else(|| DomError(format!("{name} is missing in {}", parent.tag_name().name())))
}

/// The child element of this name, of which there may be at most one.
///
/// # Errors
/// Several.
pub fn optional<'a, 'i>(
    parent: Node<'a, 'i>,
    namespace: &'a str,
    name: &'a str,
) -> Result<Option<Node<'a, 'i>>, DomError> {
    let mut found = children(parent, namespace, name);
    let first = found.next();
    match found.next() {
        None => Ok(first),
        Some(_) => Err(DomError(format!("{name} occurs more than once"))),
    }
}

/// Follows single children of one namespace.
///
/// # Errors
/// A step is missing or ambiguous.
pub fn descend<'a, 'i>(
    from: Node<'a, 'i>,
    namespace: &'a str,
    names: &[&'a str],
) -> Result<Node<'a, 'i>, DomError> {
    names
        .iter()
        .try_fold(from, |node, name| child(node, namespace, name))
}

/// The one child element, whatever its name.
///
/// # Errors
/// None, or several.
pub fn sole_element<'a, 'i>(parent: Node<'a, 'i>) -> Result<Node<'a, 'i>, DomError> {
    let mut elements = parent.children().filter(Node::is_element);
    match (elements.next(), elements.next()) {
        (Some(only), None) => Ok(only),
        (_, _) => Err(DomError(format!(
            "{} must hold exactly one element",
            parent.tag_name().name()
        ))),
    }
}

/// An attribute without namespace.
///
/// # Errors
/// It is missing.
pub fn attribute<'a>(node: Node<'a, '_>, name: &str) -> Result<&'a str, DomError> {
    node.attribute(name).ok_or_else(|| {
        DomError(format!(
            "{} has no attribute {name}",
            node.tag_name().name()
        ))
    })
}

/// The text of an element, trimmed. Comments inside split text in ways that
/// have been used for attacks, so only pure text is taken.
///
/// # Errors
/// Anything but text inside.
pub fn text<'a>(node: Node<'a, '_>) -> Result<&'a str, DomError> {
    let mut inside = node.children();
    match (inside.next(), inside.next()) {
        (None, _) => Ok(""),
        (Some(only), None) if only.is_text() => Ok(only.text().unwrap_or_default().trim()),
        (Some(_), _) => Err(DomError(format!(
            "{} must hold text only",
            node.tag_name().name()
        ))),
    }
}

/// The decoded base64 text of an element; blanks are allowed.
///
/// # Errors
/// Not base64.
pub fn base64_of(node: Node<'_, '_>) -> Result<Vec<u8>, DomError> {
    let compact: String = text(node)?.split_ascii_whitespace().collect();
    base64::engine::general_purpose::STANDARD
        .decode(compact)
        .map_err(|_| DomError(format!("{} is not base64", node.tag_name().name())))
}

/// The element with this id (`Id`, `ID`, `wsu:Id`), which must be unique.
///
/// # Errors
/// None, or several.
pub fn by_id<'a, 'i>(root: Node<'a, 'i>, id: &str) -> Result<Node<'a, 'i>, DomError> {
    let mut found = root.descendants().filter(|n| {
        let has = |name: &str| n.attribute(name) == Some(id);
        has("Id") || has("ID") || has("id") || n.attribute((WSU, "Id")) == Some(id)
    });
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        (_, _) => Err(DomError(format!("the id {id} is not that of one element"))),
    }
}

/// Whether two elements say the same: names, attributes, children and text,
/// whatever their prefixes and the blanks around text.
pub fn same(a: Node<'_, '_>, b: Node<'_, '_>) -> bool {
    let own = |n: Node<'_, '_>| -> String {
        let texts = n.children().filter(Node::is_text);
        texts.filter_map(|t| t.text()).map(str::trim).collect()
    };
    let attributes = |n: Node<'_, '_>| {
        let all = n.attributes();
        let mut all: Vec<_> = all
            .map(|a| {
                (
                    a.namespace().map(str::to_owned),
                    a.name().to_owned(),
                    a.value().to_owned(),
                )
            })
            .collect();
        all.sort();
        all
    };
    let elements = |n: Node<'_, '_>| n.children().filter(Node::is_element).count();
    a.tag_name() == b.tag_name()
        && own(a) == own(b)
        && attributes(a) == attributes(b)
        && elements(a) == elements(b)
        && a.children()
            .filter(Node::is_element)
            .zip(b.children().filter(Node::is_element))
            .all(|(a, b)| same(a, b))
}

/// The exclusive canonical form of an element.
pub fn canonical(node: Node<'_, '_>, prefixes: &[&str]) -> Vec<u8> {
    let options = Options {
        prefixes,
        ..Options::EXCLUSIVE
    };
    c14n::canonicalize(node.document(), node, |_| true, &options)
}
