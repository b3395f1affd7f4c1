//! The names of the dialogue (see `proto/mysecu/README.md` for which are
//! official and which are ours) and the reading of elements by name.

use roxmltree::Node;

/// SOAP 1.1 §4.
pub const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";
/// WS-Security 1.0.
pub const WSSE: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
/// WS-Security utility 1.0.
pub const WSU: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
/// Value type of an X.509 certificate (WSS X.509 token profile 1.0 §3.1.1).
pub const X509_V3: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509v3";
/// Value type of a certificate with its issuers (X.509 token profile 1.0 §3.1.2).
pub const PKI_PATH: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509PKIPathv1";
/// Encoding type of a binary token (WSS 1.0 §6.3).
pub const BASE64: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary";
/// XML signatures.
pub const DS: &str = "http://www.w3.org/2000/09/xmldsig#";
/// Exclusive XML canonicalization 1.0 without comments.
pub const EXC_C14N: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
/// SHA-256 as a digest method.
pub const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";
/// SAML 2.0 assertions.
pub const SAML: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
/// SAML 2.0 protocol.
pub const SAMLP: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
/// SAML 2.0 core §3.2.2.2.
pub const SAML_SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";
/// WS-Trust 1.3.
pub const WST: &str = "http://docs.oasis-open.org/ws-sx/ws-trust/200512";
/// WS-Policy.
pub const WSP: &str = "http://schemas.xmlsoap.org/ws/2004/09/policy";
/// WS-Addressing 1.0.
pub const WSA: &str = "http://www.w3.org/2005/08/addressing";
/// WS-Federation 1.2, common claim dialect.
pub const AUTH: &str = "http://docs.oasis-open.org/wsfed/authorization/200706";
/// The token type of mySecu, and the value type of its token.
pub const MYSECU_TOKEN: &str = "http://ws.mySecu.lu/trust/token/bst";
/// The claim that names the code prestataire.
pub const MYSECU_CLAIM: &str = "http://ws.mysecu.lu/trust/prodo/espaceid";
/// The exchange; ours.
pub const SYNC: &str = "urn:sceau:mysecu:exchange:1";

/// The element children of a node.
pub fn elements<'a, 'i>(node: Node<'a, 'i>) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(Node::is_element)
}

/// The only child element of that name; none when there are several.
pub fn child<'a, 'i>(
    node: Node<'a, 'i>,
    namespace: Option<&str>,
    name: &str,
) -> Option<Node<'a, 'i>> {
    let mut found = elements(node)
        .filter(|n| n.tag_name().name() == name && n.tag_name().namespace() == namespace);
    let first = found.next();
    if found.next().is_some() { None } else { first }
}

/// Walks down by [`child`].
pub fn descend<'a, 'i>(node: Node<'a, 'i>, steps: &[(&str, &str)]) -> Option<Node<'a, 'i>> {
    steps.iter().try_fold(node, |at, (namespace, name)| {
        child(at, Some(namespace), name)
    })
}

/// True for an element of that name.
pub fn is(node: Node<'_, '_>, namespace: &str, name: &str) -> bool {
    node.is_element()
        && node.tag_name().name() == name
        && node.tag_name().namespace() == Some(namespace)
}

/// The whole text of an element, trimmed. All text nodes are joined, because a
/// comment in the middle must not cut a value short.
pub fn text(node: Node<'_, '_>) -> String {
    let texts = node.descendants().filter(Node::is_text);
    let whole: String = texts.filter_map(|n| n.text()).collect();
    whole.trim().to_owned()
}
