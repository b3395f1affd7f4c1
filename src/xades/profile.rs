//! The one form our signatures have: its names, and the strict way through
//! the tree. A signature with a part too many, too few or elsewhere has no
//! [`Parts`], so nothing later can look at the wrong element.

use super::{Level, XadesError};
use crate::x509::{KeyKind, SignatureAlgorithm};
use crate::xml::c14n;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use roxmltree::{Document, Node};

pub(super) const DS: &str = "http://www.w3.org/2000/09/xmldsig#";
pub(super) const XADES: &str = "http://uri.etsi.org/01903/v1.3.2#";
pub(super) const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";
/// The encoding of a value that is not DER (EN 319 132-1 §5.1.3).
pub(super) const BER: &str = "http://uri.etsi.org/01903/v1.2.2#BER";
pub(super) const EXC_C14N: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
pub(super) const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
pub(super) const SIGNED_PROPERTIES: &str = "http://uri.etsi.org/01903#SignedProperties";
/// The end of the unsigned properties as we write them.
pub(super) const UNSIGNED_END: &str =
    "</xades:UnsignedSignatureProperties></xades:UnsignedProperties>";
/// What we sign, as `DataObjectFormat` says it.
pub(super) const MIME_TYPE: &str = "text/xml";

/// The parts of a signature of our profile.
pub(super) struct Parts<'a, 'i> {
    pub(super) signature: Node<'a, 'i>,
    pub(super) signed_info: Node<'a, 'i>,
    pub(super) signature_method: Node<'a, 'i>,
    pub(super) document_reference: Node<'a, 'i>,
    pub(super) properties_reference: Node<'a, 'i>,
    pub(super) signature_value: Node<'a, 'i>,
    pub(super) certificate: Node<'a, 'i>,
    pub(super) qualifying: Node<'a, 'i>,
    pub(super) signed_properties: Node<'a, 'i>,
    pub(super) unsigned: Unsigned<'a, 'i>,
}

/// The unsigned properties of each level.
pub(super) enum Unsigned<'a, 'i> {
    B,
    T {
        timestamp: Node<'a, 'i>,
    },
    Lt {
        timestamp: Node<'a, 'i>,
        certificates: Node<'a, 'i>,
        revocations: Node<'a, 'i>,
    },
}

impl<'a, 'i> Parts<'a, 'i> {
    /// Finds the only signature of the document and takes it apart.
    pub(super) fn find(doc: &'a Document<'i>) -> Result<Self, XadesError> {
        let mut all = doc.descendants().filter(|n| is(*n, DS, "Signature"));
        let (Some(signature), None) = (all.next(), all.next()) else {
            return fault("the document must hold exactly one ds:Signature");
        };
        // A comment could split a digest or value into pieces that programs
        // put together differently.
        if signature
            .descendants()
            .any(|n| !n.is_element() && !n.is_text())
        {
            return fault("the signature must hold elements and text only");
        }
        let [signed_info, signature_value, key_info, object] = children(
            signature,
            [
                (DS, "SignedInfo"),
                (DS, "SignatureValue"),
                (DS, "KeyInfo"),
                (DS, "Object"),
            ],
        )?;
        let [
            method,
            signature_method,
            document_reference,
            properties_reference,
        ] = children(
            signed_info,
            [
                (DS, "CanonicalizationMethod"),
                (DS, "SignatureMethod"),
                (DS, "Reference"),
                (DS, "Reference"),
            ],
        )?;
        algorithm(method, EXC_C14N)?;
        let [x509_data] = children(key_info, [(DS, "X509Data")])?;
        let [certificate] = children(x509_data, [(DS, "X509Certificate")])?;
        let [qualifying] = children(object, [(XADES, "QualifyingProperties")])?;
        let properties = elements(qualifying)?;
        let (signed_properties, unsigned) = match properties.as_slice() {
            [signed] => (*signed, Unsigned::B),
            [signed, unsigned] => (*signed, Unsigned::read(*unsigned)?),
            _ => return fault("QualifyingProperties has too many or too few parts"),
        };
        expect(signed_properties, XADES, "SignedProperties")?;
        Ok(Self {
            signature,
            signed_info,
            signature_method,
            document_reference,
            properties_reference,
            signature_value,
            certificate,
            qualifying,
            signed_properties,
            unsigned,
        })
    }

    pub(super) fn level(&self) -> Level {
        match self.unsigned {
            Unsigned::B => Level::B,
            Unsigned::T { .. } => Level::T,
            Unsigned::Lt { .. } => Level::LT,
        }
    }
}

impl<'a, 'i> Unsigned<'a, 'i> {
    fn read(properties: Node<'a, 'i>) -> Result<Self, XadesError> {
        expect(properties, XADES, "UnsignedProperties")?;
        let [properties] = children(properties, [(XADES, "UnsignedSignatureProperties")])?;
        let parts = elements(properties)?;
        let this = match parts.as_slice() {
            [timestamp] => Self::T {
                timestamp: *timestamp,
            },
            [timestamp, certificates, revocations] => {
                expect(*certificates, XADES, "CertificateValues")?;
                expect(*revocations, XADES, "RevocationValues")?;
                let lists = elements(*revocations)?;
                if lists
                    .iter()
                    .all(|list| list.first_element_child().is_none())
                {
                    return fault("RevocationValues is empty: that is not level LT");
                }
                Self::Lt {
                    timestamp: *timestamp,
                    certificates: *certificates,
                    revocations: *revocations,
                }
            }
            _ => return fault("the unsigned properties are those of no level"),
        };
        if let Some(timestamp) = parts.first() {
            expect(*timestamp, XADES, "SignatureTimeStamp")?;
        }
        Ok(this)
    }
}

pub(super) fn fault<T>(what: impl Into<String>) -> Result<T, XadesError> {
    Err(XadesError::Profile(what.into()))
}

pub(super) fn is(node: Node<'_, '_>, namespace: &str, local: &str) -> bool {
    node.is_element()
        && node.tag_name().name() == local
        && node.tag_name().namespace() == Some(namespace)
}

fn expect(node: Node<'_, '_>, namespace: &str, local: &str) -> Result<(), XadesError> {
    if is(node, namespace, local) {
        return Ok(());
    }
    let found = node.tag_name().name();
    fault(format!("{local} was expected where {found} stands"))
}

/// The child elements of a node between which only blanks may stand.
pub(super) fn elements<'a, 'i>(parent: Node<'a, 'i>) -> Result<Vec<Node<'a, 'i>>, XadesError> {
    let mut found = Vec::new();
    for child in parent.children() {
        if child.is_element() {
            found.push(child);
        } else if child.text().is_none_or(|text| !text.trim().is_empty()) {
            return fault(format!(
                "{} must hold elements only",
                parent.tag_name().name()
            ));
        }
    }
    Ok(found)
}

/// Exactly these child elements, in this order.
pub(super) fn children<'a, 'i, const N: usize>(
    parent: Node<'a, 'i>,
    names: [(&str, &str); N],
) -> Result<[Node<'a, 'i>; N], XadesError> {
    let found = elements(parent)?;
    let count = found.len();
    let Ok(found) = <[Node<'a, 'i>; N]>::try_from(found) else {
        let name = parent.tag_name().name();
        return fault(format!("{name} must have {N} parts, it has {count}"));
    };
    for (node, (namespace, local)) in found.iter().zip(names) {
        expect(*node, namespace, local)?;
    }
    Ok(found)
}

pub(super) fn attribute<'a>(node: Node<'a, '_>, name: &str) -> Result<&'a str, XadesError> {
    match node.attribute(name) {
        Some(value) => Ok(value),
        None => fault(format!("{} lacks {name}", node.tag_name().name())),
    }
}

/// An algorithm element: this identifier and no parameters.
pub(super) fn algorithm(node: Node<'_, '_>, uri: &str) -> Result<(), XadesError> {
    if attribute(node, "Algorithm")? == uri && node.first_child().is_none() {
        return Ok(());
    }
    let name = node.tag_name().name();
    fault(format!("{name} must be {uri} without parameters"))
}

/// The text of an element that may hold nothing else.
pub(super) fn text<'a>(node: Node<'a, '_>) -> Result<&'a str, XadesError> {
    let mut pieces = node.children();
    match (pieces.next(), pieces.next()) {
        (Some(only), None) if only.is_text() => Ok(only.text().unwrap_or_default()),
        _ => fault(format!("{} must hold text", node.tag_name().name())),
    }
}

pub(super) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Decodes `xs:base64Binary`, which may be broken over lines.
pub(super) fn decode(node: Node<'_, '_>) -> Result<Vec<u8>, XadesError> {
    let compact: String = text(node)?
        .chars()
        .filter(|c| !c.is_ascii_whitespace())
        .collect();
    STANDARD
        .decode(compact)
        .or_else(|_| fault(format!("{} is not base64", node.tag_name().name())))
}

/// The exclusive canonical form of an element.
pub(super) fn canonical(node: Node<'_, '_>) -> Vec<u8> {
    c14n::canonicalize(node.document(), node, |_| true, &c14n::Options::EXCLUSIVE)
}

/// The length of r and of s in bytes for ECDSA, `None` for RSA; XML signatures
/// carry the two side by side (RFC 6931 §2.3.6).
pub(super) fn ecdsa_size(
    algorithm: SignatureAlgorithm,
    key: KeyKind,
) -> Result<Option<usize>, XadesError> {
    match algorithm {
        SignatureAlgorithm::RsaPkcs1Sha256
        | SignatureAlgorithm::RsaPkcs1Sha384
        | SignatureAlgorithm::RsaPkcs1Sha512
        | SignatureAlgorithm::RsaPssSha256
        | SignatureAlgorithm::RsaPssSha384
        | SignatureAlgorithm::RsaPssSha512 => Ok(None),
        SignatureAlgorithm::EcdsaSha256
        | SignatureAlgorithm::EcdsaSha384
        | SignatureAlgorithm::EcdsaSha512 => match key {
            KeyKind::P256 => Ok(Some(32)),
            KeyKind::P384 => Ok(Some(48)),
            KeyKind::Rsa { .. } | KeyKind::Other => Err(XadesError::Algorithm),
        },
    }
}
