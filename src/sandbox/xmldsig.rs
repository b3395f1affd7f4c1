//! XML signatures, read strictly and written plainly. The sandbox's own code:
//! the daemon signs and verifies with other code.

use crate::cert::{Cert, CertError, EcdsaForm, Hash, Scheme};
use crate::cms;
use crate::dom::{self, DS, DomError, EXCLUSIVE};
use crate::pki::{Entity, base64};
use roxmltree::Node;
use sceau::base::digest;

/// Enveloped-signature transform.
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
/// SHA-256 digest method.
const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";

/// Why a signature is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DsigError {
    /// The structure is not the expected one.
    #[error("{0}")]
    Structure(#[from] DomError),
    /// An algorithm or transform outside the profile.
    #[error("the algorithm {0} is not allowed here")]
    Algorithm(String),
    /// A digest differs.
    #[error("the digest of {0} differs")]
    Digest(String),
    /// The signature value is wrong.
    #[error("the signature value: {0}")]
    Value(#[from] CertError),
}

/// A step of a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transform<'a> {
    /// Leaves the signature itself out.
    Enveloped,
    /// Exclusive canonicalization with these inclusive prefixes.
    Exclusive(Vec<&'a str>),
}

/// A ds:Reference.
#[derive(Debug, Clone)]
pub struct Reference<'a> {
    /// Its URI.
    pub uri: &'a str,
    /// Its Type.
    pub kind: Option<&'a str>,
    /// Its transforms.
    pub transforms: Vec<Transform<'a>>,
    hash: Hash,
    digest: Vec<u8>,
}

impl Reference<'_> {
    /// Checks the digest over `bytes`.
    ///
    /// # Errors
    /// [`DsigError::Digest`].
    pub fn check(&self, bytes: &[u8]) -> Result<(), DsigError> {
        if cms::hash(self.hash, bytes) == self.digest {
            return Ok(());
        }
        Err(DsigError::Digest(format!("\"{}\"", self.uri)))
    }

    /// The prefixes, when exclusive canonicalization is the one transform.
    pub fn only_exclusive(&self) -> Result<&[&str], DsigError> {
        match self.transforms.as_slice() {
            [Transform::Exclusive(prefixes)] => Ok(prefixes),
            _ => Err(DsigError::Algorithm("of the transforms".to_owned())),
        }
    }

    /// The prefixes, when the transforms are enveloped-signature and then
    /// exclusive canonicalization.
    pub fn enveloped_exclusive(&self) -> Result<&[&str], DsigError> {
        match self.transforms.as_slice() {
            [Transform::Enveloped, Transform::Exclusive(prefixes)] => Ok(prefixes),
            _ => Err(DsigError::Algorithm("of the transforms".to_owned())),
        }
    }
}

/// A ds:Signature.
#[derive(Debug)]
pub struct Signature<'a, 'i> {
    /// The element.
    pub node: Node<'a, 'i>,
    /// ds:SignatureValue.
    pub value_node: Node<'a, 'i>,
    /// Its references.
    pub references: Vec<Reference<'a>>,
    signed_info: Vec<u8>,
    scheme: Scheme,
    value: Vec<u8>,
}

impl<'a, 'i> Signature<'a, 'i> {
    /// Reads a ds:Signature without checking anything yet.
    ///
    /// # Errors
    /// [`DsigError`] for another structure or algorithm than the profile's.
    pub fn read(node: Node<'a, 'i>) -> Result<Self, DsigError> {
        let info = dom::child(node, DS, "SignedInfo")?;
        let prefixes = exclusive(dom::child(info, DS, "CanonicalizationMethod")?)?;
        let method = dom::attribute(dom::child(info, DS, "SignatureMethod")?, "Algorithm")?;
        let scheme =
            Scheme::from_xml(method).map_err(|_| DsigError::Algorithm(method.to_owned()))?;
        let references = dom::children(info, DS, "Reference").map(reference);
        let references = references.collect::<Result<Vec<_>, _>>()?;
        let value_node = dom::child(node, DS, "SignatureValue")?;
        Ok(Self {
            node,
            value_node,
            references,
            signed_info: dom::canonical(info, &prefixes),
            scheme,
            value: dom::base64_of(value_node)?,
        })
    }

    /// Checks the signature value with the key of `cert`.
    ///
    /// # Errors
    /// [`DsigError::Value`].
    pub fn verify(&self, cert: &Cert) -> Result<(), DsigError> {
        Ok(cert.verify(
            self.scheme,
            EcdsaForm::Fixed,
            &self.signed_info,
            &self.value,
        )?)
    }

    /// The certificates in KeyInfo/X509Data.
    ///
    /// # Errors
    /// None, or one that cannot be read.
    pub fn key_info_certs(&self) -> Result<Vec<Cert>, DsigError> {
        let data = dom::descend(self.node, DS, &["KeyInfo", "X509Data"])?;
        let certs = dom::children(data, DS, "X509Certificate");
        let read = |node| Ok::<_, DsigError>(Cert::from_der(&dom::base64_of(node)?)?);
        let certs = certs.map(read).collect::<Result<Vec<_>, _>>()?;
        if certs.is_empty() {
            return Err(DomError("X509Data holds no certificate".to_owned()).into());
        }
        Ok(certs)
    }
}

fn reference<'a>(node: Node<'a, '_>) -> Result<Reference<'a>, DsigError> {
    let method = dom::attribute(dom::child(node, DS, "DigestMethod")?, "Algorithm")?;
    let hash = match method {
        SHA256 => Hash::Sha256,
        "http://www.w3.org/2001/04/xmldsig-more#sha384" => Hash::Sha384,
        "http://www.w3.org/2001/04/xmlenc#sha512" => Hash::Sha512,
        other => return Err(DsigError::Algorithm(other.to_owned())),
    };
    let list = dom::child(node, DS, "Transforms")?;
    let transforms = dom::children(list, DS, "Transform").map(|transform| {
        match dom::attribute(transform, "Algorithm")? {
            ENVELOPED => Ok(Transform::Enveloped),
            _ => exclusive(transform).map(Transform::Exclusive),
        }
    });
    Ok(Reference {
        uri: dom::attribute(node, "URI")?,
        kind: node.attribute("Type"),
        transforms: transforms.collect::<Result<_, DsigError>>()?,
        hash,
        digest: dom::base64_of(dom::child(node, DS, "DigestValue")?)?,
    })
}

/// The inclusive prefixes of an exclusive canonicalization method.
fn exclusive<'a>(method: Node<'a, '_>) -> Result<Vec<&'a str>, DsigError> {
    let algorithm = dom::attribute(method, "Algorithm")?;
    if algorithm != EXCLUSIVE {
        return Err(DsigError::Algorithm(algorithm.to_owned()));
    }
    let list = dom::optional(method, EXCLUSIVE, "InclusiveNamespaces")?;
    let list = list.and_then(|n| n.attribute("PrefixList"));
    Ok(list.unwrap_or_default().split_ascii_whitespace().collect())
}

/// What a new signature refers to.
pub struct Target<'a> {
    /// Id of the element.
    pub id: &'a str,
    /// Its canonical form.
    pub bytes: &'a [u8],
    /// Whether the signature stands inside it.
    pub enveloped: bool,
}

/// Writes a ds:Signature over `targets` with this KeyInfo content. With
/// `spoil` the value is wrong, for the scenario.
pub fn sign(signer: &Entity, targets: &[Target<'_>], key_info: &str, spoil: bool) -> String {
    let mut references = String::new();
    for target in targets {
        let enveloped = match target.enveloped {
            true => format!("<ds:Transform Algorithm=\"{ENVELOPED}\"></ds:Transform>"),
            false => String::new(),
        };
        references.push_str(&format!(
            "<ds:Reference URI=\"#{}\"><ds:Transforms>{enveloped}\
             <ds:Transform Algorithm=\"{EXCLUSIVE}\"></ds:Transform></ds:Transforms>\
             <ds:DigestMethod Algorithm=\"{SHA256}\"></ds:DigestMethod>\
             <ds:DigestValue>{}</ds:DigestValue></ds:Reference>",
            target.id,
            base64(&digest::sha256(target.bytes)),
        ));
    }
    // Written in canonical form, so that these bytes are what is signed: the
    // one namespace in use, no empty-element tags, no blanks.
    let content = format!(
        "<ds:CanonicalizationMethod Algorithm=\"{EXCLUSIVE}\"></ds:CanonicalizationMethod>\
         <ds:SignatureMethod Algorithm=\"{}\"></ds:SignatureMethod>{references}",
        signer.xml_method()
    );
    let signed = format!("<ds:SignedInfo xmlns:ds=\"{DS}\">{content}</ds:SignedInfo>");
    let mut value = signer.sign_xml(signed.as_bytes());
    if spoil && let Some(last) = value.last_mut() {
        *last ^= 1;
    }
    format!(
        "<ds:Signature xmlns:ds=\"{DS}\"><ds:SignedInfo>{content}</ds:SignedInfo>\
         <ds:SignatureValue>{}</ds:SignatureValue><ds:KeyInfo>{key_info}</ds:KeyInfo>\
         </ds:Signature>",
        base64(&value)
    )
}
