//! CMS `SignedData` (RFC 5652) with the signed attributes of CAdES baseline
//! signatures (EN 319 122-1 §5.2): content type, message digest and ESS signing
//! certificate, no signing time; and the signature timestamp as its unsigned
//! attribute (§5.3).

use super::algorithm::Digest;
use super::tlv::{self, Fault, Tlv, tag};
use super::{Cert, SignatureAlgorithm, X509Error, issuer_and_serial, verify};
use crate::base::limits;
use const_oid::ObjectIdentifier;

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

const DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.1");
const SIGNED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.2");
const CONTENT_TYPE: ObjectIdentifier = oid("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = oid("1.2.840.113549.1.9.4");
const SIGNING_TIME: ObjectIdentifier = oid("1.2.840.113549.1.9.5");
const SIGNING_CERTIFICATE: ObjectIdentifier = oid("1.2.840.113549.1.9.16.2.12");
const SIGNING_CERTIFICATE_V2: ObjectIdentifier = oid("1.2.840.113549.1.9.16.2.47");
/// `id-aa-signatureTimeStampToken` (RFC 3161 Appendix A).
const SIGNATURE_TIMESTAMP: ObjectIdentifier = oid("1.2.840.113549.1.9.16.2.14");

/// The signed attributes of a detached signature over `id-data` content, as the
/// DER SET OF whose bytes are signed (RFC 5652 §5.4): content type, message
/// digest, ESS signing-certificate-v2 with SHA-256 (RFC 5035 §3). The message
/// digest is [`SignatureAlgorithm::content_digest`] of the content.
pub fn signed_attributes(message_digest: &[u8], signer: &Cert) -> Vec<u8> {
    let hash = tlv::element(tag::OCTET_STRING, &[&signer.sha256()]);
    // ESSCertIDv2 with the default hash algorithm, in its list, in its SEQUENCE.
    let mut binding = hash;
    for _ in 0..3 {
        binding = tlv::element(tag::SEQUENCE, &[&binding]);
    }
    let digest = tlv::element(tag::OCTET_STRING, &[message_digest]);
    tlv::set_of(vec![
        attribute(CONTENT_TYPE, &tlv::oid(DATA)),
        attribute(MESSAGE_DIGEST, &digest),
        attribute(SIGNING_CERTIFICATE_V2, &binding),
    ])
}

fn attribute(kind: ObjectIdentifier, value: &[u8]) -> Vec<u8> {
    let values = tlv::element(tag::SET, &[value]);
    tlv::element(tag::SEQUENCE, &[&tlv::oid(kind), &values])
}

/// Puts a detached signature together as `ContentInfo`. `signed_attributes` are
/// the bytes that were signed, `signature` is PKCS#1 or, for ECDSA, DER. The
/// certificates are embedded byte for byte.
pub fn assemble(
    signer: &Cert,
    chain: &[Cert],
    signed_attributes: &[u8],
    algorithm: SignatureAlgorithm,
    signature: &[u8],
) -> Vec<u8> {
    let version = tlv::integer(&[1]);
    let digest = algorithm.digest().identifier_der();
    // [0] IMPLICIT: the SET's tag is replaced, the rest is what was signed.
    let mut attributes = signed_attributes.to_vec();
    if let Some(first) = attributes.first_mut() {
        *first = tag::context(0);
    }
    let signer_info = tlv::element(
        tag::SEQUENCE,
        &[
            &version,
            &issuer_and_serial(signer),
            &digest,
            &attributes,
            &algorithm.identifier_der(),
            &tlv::element(tag::OCTET_STRING, &[signature]),
        ],
    );
    let mut certificates: Vec<&[u8]> = chain.iter().map(Cert::der).collect();
    certificates.push(signer.der());
    certificates.sort_unstable();
    certificates.dedup();
    let signed_data = tlv::element(
        tag::SEQUENCE,
        &[
            &version,
            &tlv::element(tag::SET, &[&digest]),
            &tlv::element(tag::SEQUENCE, &[&tlv::oid(DATA)]),
            &tlv::element(tag::context(0), &certificates),
            &tlv::element(tag::SET, &[&signer_info]),
        ],
    );
    let wrapped = tlv::element(tag::context(0), &[&signed_data]);
    tlv::element(tag::SEQUENCE, &[&tlv::oid(SIGNED_DATA), &wrapped])
}

/// Puts a timestamp token, a `ContentInfo`, into the unsigned attributes of the
/// one signer (EN 319 122-1 §5.3). Everything else stays byte for byte, also
/// unsigned attributes that are there already.
///
/// # Errors
/// [`X509Error::Malformed`], [`X509Error::SignerCount`].
pub fn with_signature_timestamp(cms: &[u8], token: &[u8]) -> Result<Vec<u8>, X509Error> {
    let malformed = X509Error::malformed("CMS signature");
    let read = || {
        let mut info = Tlv::only_of(cms, tag::SEQUENCE)?.reader();
        let kind = info.read()?.raw;
        let wrapped = info.expect(tag::context(0))?;
        info.end()?;
        let fields = Tlv::only_of(wrapped.content, tag::SEQUENCE)?.reader();
        let fields = fields.map(|field| Ok(field?.raw));
        Ok((kind, fields.collect::<Result<Vec<_>, _>>()?))
    };
    let (kind, mut fields) = read().map_err(&malformed)?;
    let signers = fields.pop().unwrap_or_default();
    let signers = Tlv::only_of(signers, tag::SET)
        .map_err(&malformed)?
        .reader();
    let signers: Vec<_> = signers.collect::<Result<_, _>>().map_err(&malformed)?;
    let [signer] = signers.as_slice() else {
        let count = signers.len();
        return Err(X509Error::SignerCount { count });
    };
    let extended = || {
        let mut unsigned = vec![attribute(SIGNATURE_TIMESTAMP, token)];
        let mut parts = Vec::new();
        for part in signer.expect_tag(tag::SEQUENCE)?.reader() {
            let part = part?;
            // [0] before it are the signed attributes.
            if part.tag == tag::context(1) {
                for old in part.reader() {
                    unsigned.push(old?.raw.to_vec());
                }
            } else {
                parts.push(part.raw);
            }
        }
        let mut unsigned = tlv::set_of(unsigned);
        if let Some(first) = unsigned.first_mut() {
            *first = tag::context(1);
        }
        parts.push(&unsigned);
        Ok(tlv::element(tag::SEQUENCE, &parts))
    };
    let signers = tlv::element(tag::SET, &[&extended().map_err(&malformed)?]);
    fields.push(&signers);
    let signed_data = tlv::element(tag::SEQUENCE, &fields);
    let wrapped = tlv::element(tag::context(0), &[&signed_data]);
    Ok(tlv::element(tag::SEQUENCE, &[kind, &wrapped]))
}

/// A `SignedData` that was read, not yet verified.
#[derive(Debug, Clone)]
pub struct SignedData {
    content_type: ObjectIdentifier,
    content: Option<Vec<u8>>,
    certificates: Vec<Cert>,
    signers: Vec<SignerInfo>,
}

/// One `SignerInfo` (RFC 5652 §5.3).
#[derive(Debug, Clone)]
struct SignerInfo {
    /// `IssuerAndSerialNumber`, or `[0]` with the subject key identifier.
    identifier: Vec<u8>,
    digest_algorithm: Vec<u8>,
    /// With the SET tag, as it is signed.
    attributes: Option<Vec<u8>>,
    signature_algorithm: Vec<u8>,
    signature: Vec<u8>,
    /// With the SET tag.
    unsigned: Option<Vec<u8>>,
}

/// What a CMS verification established. The signer's chain has still to be
/// checked.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The certificate whose key signed and to which the signature is bound.
    pub signer: Cert,
    /// The signature's algorithm.
    pub algorithm: SignatureAlgorithm,
    /// Whether a signing-time attribute is signed (RFC 5652 §11.3).
    pub claims_time: bool,
}

/// Which ESS attribute may bind the signer's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Binding {
    /// signing-certificate-v2 only (EN 319 122-1 §5.2.2.3).
    V2,
    /// Also the older signing-certificate with SHA-1, which timestamp
    /// authorities still write (RFC 3161 §2.4.2, RFC 5816).
    Any,
}

impl SignedData {
    /// Reads a `ContentInfo` holding `SignedData`. BER is accepted.
    ///
    /// # Errors
    /// [`X509Error::TooLarge`] and [`X509Error::Malformed`].
    pub fn from_der(bytes: &[u8]) -> Result<Self, X509Error> {
        if bytes.len() > limits::RESPONSE_BYTES_MAX {
            return Err(X509Error::TooLarge {
                what: "CMS signature",
                limit_bytes: limits::RESPONSE_BYTES_MAX,
            });
        }
        let read = || Self::read(&tlv::definite(bytes)?);
        read().map_err(X509Error::malformed("CMS signature"))
    }

    fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let mut info = Tlv::only_of(bytes, tag::SEQUENCE)?.reader();
        if info.read()?.oid()? != SIGNED_DATA {
            return Err(Fault("it is not SignedData"));
        }
        let wrapped = info.expect(tag::context(0))?;
        info.end()?;
        let mut fields = Tlv::only_of(wrapped.content, tag::SEQUENCE)?.reader();
        fields.expect(tag::INTEGER)?;
        fields.expect(tag::SET)?;
        let mut encapsulated = fields.expect(tag::SEQUENCE)?.reader();
        let content_type = encapsulated.read()?.oid()?;
        let content = match encapsulated.optional(tag::context(0))? {
            Some(wrapped) => {
                let octets = Tlv::only_of(wrapped.content, tag::OCTET_STRING)?;
                Some(octets.content.to_vec())
            }
            None => None,
        };
        let mut certificates = Vec::new();
        if let Some(list) = fields.optional(tag::context(0))? {
            for choice in list.reader() {
                // A certificate beside the point must not spoil the signature;
                // when it was the signer's, the signer will be missing.
                certificates.extend(Cert::from_der(choice?.raw).ok());
            }
        }
        fields.optional(tag::context(1))?; // revocation lists
        let signers = fields.expect(tag::SET)?.reader();
        let signers = signers.map(|s| SignerInfo::read(s?));
        let signers = signers.collect::<Result<_, _>>()?;
        fields.end()?;
        Ok(Self {
            content_type,
            content,
            certificates,
            signers,
        })
    }

    /// The type of the signed content.
    pub fn content_type(&self) -> ObjectIdentifier {
        self.content_type
    }

    /// The signed content, when it is inside.
    pub fn content(&self) -> Option<&[u8]> {
        self.content.as_deref()
    }

    /// The certificates inside, in their order.
    pub fn certificates(&self) -> &[Cert] {
        &self.certificates
    }

    /// The certificate of the one signer, found by its identifier alone.
    ///
    /// # Errors
    /// [`X509Error::SignerCount`], [`X509Error::SignerMissing`].
    pub fn signer(&self) -> Result<&Cert, X509Error> {
        let info = self.one_signer()?;
        let named = |cert: &&Cert| info.names(cert);
        let found = self.certificates.iter().find(named);
        found.ok_or(X509Error::SignerMissing)
    }

    /// The signature value of the one signer: what its signature timestamp is
    /// over (RFC 3161 Appendix A).
    ///
    /// # Errors
    /// [`X509Error::SignerCount`].
    pub fn signature_value(&self) -> Result<&[u8], X509Error> {
        Ok(&self.one_signer()?.signature)
    }

    /// The signature timestamp of the one signer, a `ContentInfo`.
    ///
    /// # Errors
    /// [`X509Error::SignerCount`]; [`X509Error::Attribute`] when there are
    /// several.
    pub fn signature_timestamp(&self) -> Result<Option<Vec<u8>>, X509Error> {
        match &self.one_signer()?.unsigned {
            Some(unsigned) => optional_value(unsigned, SIGNATURE_TIMESTAMP, "signature-time-stamp"),
            None => Ok(None),
        }
    }

    fn one_signer(&self) -> Result<&SignerInfo, X509Error> {
        match self.signers.as_slice() {
            [one] => Ok(one),
            other => Err(X509Error::SignerCount { count: other.len() }),
        }
    }

    /// Verifies a detached signature over `id-data` content, given in pieces:
    /// one signer, content type, message digest, signing-certificate-v2 and
    /// signature.
    ///
    /// # Errors
    /// Names the check that failed; see [`X509Error`].
    pub fn verify_detached_content(&self, parts: &[&[u8]]) -> Result<Verified, X509Error> {
        if self.content_type != DATA || self.content.is_some() {
            return Err(X509Error::ContentType);
        }
        self.verify_with(parts, Binding::V2)
    }

    /// Verifies a signature over the content inside, as in timestamp tokens.
    ///
    /// # Errors
    /// Names the check that failed; see [`X509Error`].
    pub fn verify_encapsulated(&self) -> Result<Verified, X509Error> {
        let content = self.content.as_deref().ok_or(X509Error::ContentType)?;
        self.verify_with(&[content], Binding::Any)
    }

    fn verify_with(&self, content: &[&[u8]], binding: Binding) -> Result<Verified, X509Error> {
        let info = self.one_signer()?;
        let signer = self.signer()?;
        let stated = Tlv::only(&info.digest_algorithm).ok();
        let digest = stated
            .and_then(Digest::from_identifier)
            .filter(|digest| *digest != Digest::Sha1)
            .ok_or_else(|| X509Error::algorithm(&info.digest_algorithm))?;
        let expected = digest.compute_parts(content);

        let attributes = info.attributes.as_deref();
        let attributes = attributes.ok_or(X509Error::Attribute("content-type"))?;
        let content_type = value_of(attributes, CONTENT_TYPE, "content-type")?;
        if Tlv::only(&content_type).and_then(Tlv::oid) != Ok(self.content_type) {
            return Err(X509Error::ContentType);
        }
        let stated = value_of(attributes, MESSAGE_DIGEST, "message-digest")?;
        if stated != tlv::element(tag::OCTET_STRING, &[&expected]) {
            return Err(X509Error::MessageDigest);
        }
        check_binding(attributes, signer, binding)?;
        let algorithm = SignatureAlgorithm::in_cms(&info.signature_algorithm, digest)
            .ok_or_else(|| X509Error::algorithm(&info.signature_algorithm))?;
        verify(signer, algorithm, attributes, &info.signature)?;
        let claims_time = optional_value(attributes, SIGNING_TIME, "signing-time")?.is_some();
        Ok(Verified {
            signer: signer.clone(),
            algorithm,
            claims_time,
        })
    }
}

impl SignerInfo {
    fn read(element: Tlv<'_>) -> Result<Self, Fault> {
        let mut fields = element.expect_tag(tag::SEQUENCE)?.reader();
        fields.expect(tag::INTEGER)?;
        let identifier = fields.read()?;
        let digest_algorithm = fields.expect(tag::SEQUENCE)?;
        let attributes = fields.optional(tag::context(0))?;
        let signature_algorithm = fields.expect(tag::SEQUENCE)?;
        let signature = fields.expect(tag::OCTET_STRING)?;
        let unsigned = fields.optional(tag::context(1))?;
        fields.end()?;
        let with_set_tag = |attributes: Tlv<'_>| {
            let mut raw = attributes.raw.to_vec();
            if let Some(first) = raw.first_mut() {
                *first = tag::SET;
            }
            raw
        };
        Ok(Self {
            identifier: identifier.raw.to_vec(),
            digest_algorithm: digest_algorithm.raw.to_vec(),
            attributes: attributes.map(with_set_tag),
            signature_algorithm: signature_algorithm.raw.to_vec(),
            signature: signature.content.to_vec(),
            unsigned: unsigned.map(with_set_tag),
        })
    }

    /// Whether the signer identifier names this certificate.
    fn names(&self, cert: &Cert) -> bool {
        match Tlv::only(&self.identifier) {
            Ok(id) if id.tag == tag::context_primitive(0) => {
                cert.subject_key_id() == Some(id.content)
            }
            Ok(id) => id.raw == issuer_and_serial(cert),
            Err(_) => false,
        }
    }
}

/// The attribute's one value; `None` when there is no such attribute.
fn optional_value(
    attributes: &[u8],
    wanted: ObjectIdentifier,
    name: &'static str,
) -> Result<Option<Vec<u8>>, X509Error> {
    let read = || {
        let mut found = Vec::new();
        for attribute in Tlv::only_of(attributes, tag::SET)?.reader() {
            let mut fields = attribute?.expect_tag(tag::SEQUENCE)?.reader();
            if fields.read()?.known_oid()? == Some(wanted) {
                for value in fields.expect(tag::SET)?.reader() {
                    found.push(value?.raw.to_vec());
                }
            }
        }
        Ok(found)
    };
    let mut found = read().map_err(X509Error::malformed("attributes of a signer"))?;
    match found.len() {
        0 | 1 => Ok(found.pop()),
        _ => Err(X509Error::Attribute(name)),
    }
}

fn value_of(
    attributes: &[u8],
    wanted: ObjectIdentifier,
    name: &'static str,
) -> Result<Vec<u8>, X509Error> {
    optional_value(attributes, wanted, name)?.ok_or(X509Error::Attribute(name))
}

/// The first certificate the ESS attribute names must be the signer's
/// (RFC 5035 §5): otherwise the signature could be claimed for another
/// certificate of the same key.
fn check_binding(attributes: &[u8], signer: &Cert, binding: Binding) -> Result<(), X509Error> {
    const NAME: &str = "signing-certificate-v2";
    let v2 = optional_value(attributes, SIGNING_CERTIFICATE_V2, NAME)?;
    let (value, default) = match (v2, binding) {
        (Some(value), Binding::V2 | Binding::Any) => (value, Digest::Sha256),
        (None, Binding::V2) => return Err(X509Error::Attribute(NAME)),
        (None, Binding::Any) => (
            value_of(attributes, SIGNING_CERTIFICATE, NAME)?,
            Digest::Sha1,
        ),
    };
    let read = || {
        let list = Tlv::only_of(&value, tag::SEQUENCE)?
            .reader()
            .expect(tag::SEQUENCE)?;
        let mut first = list.reader().expect(tag::SEQUENCE)?.reader();
        let algorithm = first.optional(tag::SEQUENCE)?;
        let hash = first.expect(tag::OCTET_STRING)?.content;
        Ok((algorithm, hash))
    };
    let (algorithm, hash) = read().map_err(X509Error::malformed(NAME))?;
    let digest = match algorithm {
        // SHA-1 only where the attribute knows nothing else.
        Some(stated) => Digest::from_identifier(stated)
            .filter(|d| *d != Digest::Sha1)
            .ok_or_else(|| X509Error::algorithm(stated.raw))?,
        None => default,
    };
    if digest.compute(signer.der()) == hash {
        Ok(())
    } else {
        Err(X509Error::CertificateBinding)
    }
}
