//! Keys, signature algorithms and the one function that verifies.

use super::tlv::{self, Fault, Tlv, small_integer, tag, unsigned};
use super::{Cert, X509Error};
use aws_lc_rs::signature::{UnparsedPublicKey, VerificationAlgorithm};
use const_oid::ObjectIdentifier;
use std::fmt;

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

const RSA: ObjectIdentifier = oid("1.2.840.113549.1.1.1");
const MGF1: ObjectIdentifier = oid("1.2.840.113549.1.1.8");
const RSA_PSS: ObjectIdentifier = oid("1.2.840.113549.1.1.10");
const RSA_SHA256: ObjectIdentifier = oid("1.2.840.113549.1.1.11");
const RSA_SHA384: ObjectIdentifier = oid("1.2.840.113549.1.1.12");
const RSA_SHA512: ObjectIdentifier = oid("1.2.840.113549.1.1.13");
const EC: ObjectIdentifier = oid("1.2.840.10045.2.1");
const P256: ObjectIdentifier = oid("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = oid("1.3.132.0.34");
const ECDSA_SHA256: ObjectIdentifier = oid("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = oid("1.2.840.10045.4.3.3");
const ECDSA_SHA512: ObjectIdentifier = oid("1.2.840.10045.4.3.4");
const SHA1: ObjectIdentifier = oid("1.3.14.3.2.26");
const SHA256: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.3");

/// A public key's kind, as far as signing cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA.
    Rsa {
        /// Length of the modulus.
        bits: u32,
    },
    /// ECDSA on NIST P-256.
    P256,
    /// ECDSA on NIST P-384.
    P384,
    /// A key this product neither signs with nor trusts.
    Other,
}

impl KeyKind {
    /// Reads the kind from a `SubjectPublicKeyInfo`'s two parts.
    pub(super) fn read(algorithm: Tlv<'_>, public_key: &[u8]) -> Result<Self, Fault> {
        let mut fields = algorithm.reader();
        let kind = fields.read()?.known_oid()?;
        if kind == Some(RSA) {
            let mut key = Tlv::only_of(public_key, tag::SEQUENCE)?.reader();
            let modulus = unsigned(key.expect(tag::INTEGER)?.content);
            let unused = modulus.first().map_or(0, |b| b.leading_zeros() as usize);
            let bits = u32::try_from(modulus.len() * 8 - unused).unwrap_or(u32::MAX);
            return Ok(Self::Rsa { bits });
        }
        let curve = fields.optional(tag::OID)?.map(Tlv::known_oid).transpose()?;
        Ok(match (kind, curve) {
            (Some(EC), Some(Some(P256))) => Self::P256,
            (Some(EC), Some(Some(P384))) => Self::P384,
            _ => Self::Other,
        })
    }
}

/// In words for messages: `RSA with 3072 bits`.
impl fmt::Display for KeyKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa { bits } => write!(out, "RSA with {bits} bits"),
            Self::P256 => out.write_str("EC on P-256"),
            Self::P384 => out.write_str("EC on P-384"),
            Self::Other => out.write_str("of an unknown kind"),
        }
    }
}

/// How RSA keys sign (RFC 8017 §8). PKCS#1 v1.5 is accepted everywhere, but only
/// until 2028 (TS 119 312 v1.5.1); PSS has no end date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RsaScheme {
    /// RSASSA-PKCS1-v1_5, `pkcs1-v1_5` in the configuration.
    Pkcs1V15,
    /// RSASSA-PSS, MGF1 with the same digest, salt as long as the digest;
    /// `pss` in the configuration.
    Pss,
}

/// A digest algorithm, to recognise and to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Digest {
    /// Only to compute identifiers (OCSP `CertID`, `ESSCertID`), never for
    /// signatures.
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Digest {
    fn of_oid(oid: ObjectIdentifier) -> Option<Self> {
        match oid {
            SHA1 => Some(Self::Sha1),
            SHA256 => Some(Self::Sha256),
            SHA384 => Some(Self::Sha384),
            SHA512 => Some(Self::Sha512),
            _ => None,
        }
    }

    fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Sha1 => SHA1,
            Self::Sha256 => SHA256,
            Self::Sha384 => SHA384,
            Self::Sha512 => SHA512,
        }
    }

    /// From an `AlgorithmIdentifier`; parameters absent or NULL.
    pub(super) fn from_identifier(identifier: Tlv<'_>) -> Option<Self> {
        let (oid, parameters) = identifier_parts(identifier).ok()?;
        match parameters {
            None => Self::of_oid(oid),
            Some(null) if null.tag == tag::NULL => Self::of_oid(oid),
            Some(_) => None,
        }
    }

    /// An `AlgorithmIdentifier` without parameters for SHA-2 (RFC 5754 §2),
    /// with NULL for SHA-1, as OCSP responders compare it.
    pub(super) fn identifier_der(self) -> Vec<u8> {
        let null: &[u8] = if self == Self::Sha1 {
            &[tag::NULL, 0]
        } else {
            &[]
        };
        tlv::element(tag::SEQUENCE, &[&tlv::oid(self.oid()), null])
    }

    pub(super) fn compute(self, bytes: &[u8]) -> Vec<u8> {
        self.compute_parts(&[bytes])
    }

    /// Over several pieces in order, without joining them.
    pub(super) fn compute_parts(self, parts: &[&[u8]]) -> Vec<u8> {
        use aws_lc_rs::digest;
        let algorithm = match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        };
        let mut context = digest::Context::new(algorithm);
        for part in parts {
            context.update(part);
        }
        context.finish().as_ref().to_vec()
    }
}

fn identifier_parts(identifier: Tlv<'_>) -> Result<(ObjectIdentifier, Option<Tlv<'_>>), Fault> {
    let mut fields = identifier.expect_tag(tag::SEQUENCE)?.reader();
    let oid = fields.read()?.oid()?;
    let parameters = if fields.is_empty() {
        None
    } else {
        Some(fields.read()?)
    };
    fields.end()?;
    Ok((oid, parameters))
}

/// A signature algorithm this product makes or accepts. Nothing with SHA-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RsaPkcs1Sha256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RsaPkcs1Sha384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RsaPkcs1Sha512,
    /// ECDSA with SHA-256.
    EcdsaSha256,
    /// ECDSA with SHA-384.
    EcdsaSha384,
    /// RSASSA-PSS with SHA-256 and a 32-byte salt.
    RsaPssSha256,
    /// RSASSA-PSS with SHA-384 and a 48-byte salt.
    RsaPssSha384,
    /// RSASSA-PSS with SHA-512 and a 64-byte salt.
    RsaPssSha512,
    /// ECDSA with SHA-512; verified, not made.
    EcdsaSha512,
}

/// XML names (RFC 6931 §2.3) of the algorithms that are written into XML.
const XML_URIS: &[(SignatureAlgorithm, &str)] = &[
    (
        SignatureAlgorithm::RsaPkcs1Sha256,
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    ),
    (
        SignatureAlgorithm::RsaPkcs1Sha384,
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384",
    ),
    (
        SignatureAlgorithm::RsaPkcs1Sha512,
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",
    ),
    (
        SignatureAlgorithm::EcdsaSha256,
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
    ),
    (
        SignatureAlgorithm::EcdsaSha384,
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384",
    ),
    (
        SignatureAlgorithm::EcdsaSha512,
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512",
    ),
    (
        SignatureAlgorithm::RsaPssSha256,
        "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1",
    ),
    (
        SignatureAlgorithm::RsaPssSha384,
        "http://www.w3.org/2007/05/xmldsig-more#sha384-rsa-MGF1",
    ),
    (
        SignatureAlgorithm::RsaPssSha512,
        "http://www.w3.org/2007/05/xmldsig-more#sha512-rsa-MGF1",
    ),
];

impl SignatureAlgorithm {
    /// The algorithm to sign with, given the key and how RSA keys are to sign;
    /// `None` when we cannot, as with RSA of less than 2048 bits.
    pub fn for_key(key: KeyKind, scheme: RsaScheme) -> Option<Self> {
        match key {
            KeyKind::Rsa { bits: 2048.. } => Some(match scheme {
                RsaScheme::Pkcs1V15 => Self::RsaPkcs1Sha256,
                RsaScheme::Pss => Self::RsaPssSha256,
            }),
            KeyKind::Rsa { .. } | KeyKind::Other => None,
            KeyKind::P256 => Some(Self::EcdsaSha256),
            KeyKind::P384 => Some(Self::EcdsaSha384),
        }
    }

    /// The digest a CMS signature of this algorithm states of its content,
    /// given in pieces: with the same SHA-2 the algorithm itself uses.
    pub fn content_digest(self, parts: &[&[u8]]) -> Vec<u8> {
        self.digest().compute_parts(parts)
    }

    /// The digest's name as TS 119 312 §5.2 writes it.
    pub fn digest_name(self) -> &'static str {
        match self.digest() {
            Digest::Sha1 => "SHA-1",
            Digest::Sha256 => "SHA-256",
            Digest::Sha384 => "SHA-384",
            Digest::Sha512 => "SHA-512",
        }
    }

    /// The digest inside, and whether the algorithm is PSS.
    pub(super) fn digest(self) -> Digest {
        match self {
            Self::RsaPkcs1Sha256 | Self::RsaPssSha256 | Self::EcdsaSha256 => Digest::Sha256,
            Self::RsaPkcs1Sha384 | Self::RsaPssSha384 | Self::EcdsaSha384 => Digest::Sha384,
            Self::RsaPkcs1Sha512 | Self::RsaPssSha512 | Self::EcdsaSha512 => Digest::Sha512,
        }
    }

    /// The `AlgorithmIdentifier` (RFC 4055, RFC 5758).
    pub fn identifier_der(self) -> Vec<u8> {
        let (oid, parameters) = match self {
            Self::RsaPkcs1Sha256 => (RSA_SHA256, vec![tag::NULL, 0]),
            Self::RsaPkcs1Sha384 => (RSA_SHA384, vec![tag::NULL, 0]),
            Self::RsaPkcs1Sha512 => (RSA_SHA512, vec![tag::NULL, 0]),
            Self::EcdsaSha256 => (ECDSA_SHA256, Vec::new()),
            Self::EcdsaSha384 => (ECDSA_SHA384, Vec::new()),
            Self::EcdsaSha512 => (ECDSA_SHA512, Vec::new()),
            Self::RsaPssSha256 | Self::RsaPssSha384 | Self::RsaPssSha512 => {
                (RSA_PSS, pss_parameters(self.digest()))
            }
        };
        tlv::element(tag::SEQUENCE, &[&tlv::oid(oid), &parameters])
    }

    /// Recognises an `AlgorithmIdentifier`; `None` for every other algorithm.
    pub fn from_identifier_der(identifier: &[u8]) -> Option<Self> {
        let (oid, parameters) = identifier_parts(Tlv::only(identifier).ok()?).ok()?;
        if oid == RSA_PSS {
            return match read_pss_parameters(parameters?)? {
                Digest::Sha1 => None,
                Digest::Sha256 => Some(Self::RsaPssSha256),
                Digest::Sha384 => Some(Self::RsaPssSha384),
                Digest::Sha512 => Some(Self::RsaPssSha512),
            };
        }
        if parameters.is_some_and(|p| p.tag != tag::NULL) {
            return None;
        }
        match oid {
            RSA_SHA256 => Some(Self::RsaPkcs1Sha256),
            RSA_SHA384 => Some(Self::RsaPkcs1Sha384),
            RSA_SHA512 => Some(Self::RsaPkcs1Sha512),
            ECDSA_SHA256 => Some(Self::EcdsaSha256),
            ECDSA_SHA384 => Some(Self::EcdsaSha384),
            ECDSA_SHA512 => Some(Self::EcdsaSha512),
            _ => None,
        }
    }

    /// As [`Self::from_identifier_der`], and also plain `rsaEncryption`, which
    /// CMS lets stand for PKCS#1 v1.5 with the separate digest (RFC 3370 §3.2).
    pub(super) fn in_cms(identifier: &[u8], digest: Digest) -> Option<Self> {
        let (oid, _) = identifier_parts(Tlv::only(identifier).ok()?).ok()?;
        if oid != RSA {
            return Self::from_identifier_der(identifier).filter(|a| a.digest() == digest);
        }
        match digest {
            Digest::Sha1 => None,
            Digest::Sha256 => Some(Self::RsaPkcs1Sha256),
            Digest::Sha384 => Some(Self::RsaPkcs1Sha384),
            Digest::Sha512 => Some(Self::RsaPkcs1Sha512),
        }
    }

    /// The algorithm's name in XML signatures.
    pub fn xml_uri(self) -> Option<&'static str> {
        let row = XML_URIS.iter().find(|(algorithm, _)| *algorithm == self);
        row.map(|(_, uri)| *uri)
    }

    /// The algorithm with this name in XML signatures.
    pub fn from_xml_uri(uri: &str) -> Option<Self> {
        let row = XML_URIS.iter().find(|(_, known)| *known == uri);
        row.map(|(algorithm, _)| *algorithm)
    }
}

/// `RSASSA-PSS-params` with MGF1 over the same digest and a salt of its length.
/// Here the digests carry NULL (RFC 4055 §2.1), and some readers compare bytes.
fn pss_parameters(digest: Digest) -> Vec<u8> {
    let null = [tag::NULL, 0];
    let hash = tlv::element(tag::SEQUENCE, &[&tlv::oid(digest.oid()), &null]);
    let mgf = tlv::element(tag::SEQUENCE, &[&tlv::oid(MGF1), &hash]);
    let salt = tlv::integer(&[digest.compute(&[]).len() as u8]);
    let hash = tlv::element(tag::context(0), &[&hash]);
    let mgf = tlv::element(tag::context(1), &[&mgf]);
    let salt = tlv::element(tag::context(2), &[&salt]);
    tlv::element(tag::SEQUENCE, &[&hash, &mgf, &salt])
}

/// The digest of PSS parameters of exactly that shape; anything else is `None`.
fn read_pss_parameters(parameters: Tlv<'_>) -> Option<Digest> {
    let mut fields = parameters.expect_tag(tag::SEQUENCE).ok()?.reader();
    let hash = Tlv::only(fields.expect(tag::context(0)).ok()?.content).ok()?;
    let digest = Digest::from_identifier(hash)?;
    let mgf = Tlv::only(fields.expect(tag::context(1)).ok()?.content).ok()?;
    let (mgf, mgf_hash) = identifier_parts(mgf).ok()?;
    let salt = Tlv::only_of(fields.expect(tag::context(2)).ok()?.content, tag::INTEGER).ok()?;
    let salt = small_integer(salt.content).ok()?;
    if let Some(trailer) = fields.optional(tag::context(3)).ok()? {
        let trailer = Tlv::only_of(trailer.content, tag::INTEGER).ok()?;
        small_integer(trailer.content).ok().filter(|n| *n == 1)?;
    }
    let same = mgf == MGF1
        && Digest::from_identifier(mgf_hash?) == Some(digest)
        && salt as usize == digest.compute(&[]).len();
    same.then_some(digest)
}

/// Verifies `signature` over `message` with the certificate's key. ECDSA
/// signatures are in DER form. RSA keys have 2048 to 8192 bits.
///
/// # Errors
/// [`X509Error::KeyMismatch`] when the key cannot have made such a signature,
/// [`X509Error::SignatureInvalid`] when it did not.
pub fn verify(
    key: &Cert,
    algorithm: SignatureAlgorithm,
    message: &[u8],
    signature: &[u8],
) -> Result<(), X509Error> {
    use SignatureAlgorithm as A;
    use aws_lc_rs::signature as s;
    let verifier: &'static dyn VerificationAlgorithm = match (algorithm, key.key()) {
        (A::RsaPkcs1Sha256, KeyKind::Rsa { bits: 2048.. }) => &s::RSA_PKCS1_2048_8192_SHA256,
        (A::RsaPkcs1Sha384, KeyKind::Rsa { bits: 2048.. }) => &s::RSA_PKCS1_2048_8192_SHA384,
        (A::RsaPkcs1Sha512, KeyKind::Rsa { bits: 2048.. }) => &s::RSA_PKCS1_2048_8192_SHA512,
        (A::RsaPssSha256, KeyKind::Rsa { bits: 2048.. }) => &s::RSA_PSS_2048_8192_SHA256,
        (A::RsaPssSha384, KeyKind::Rsa { bits: 2048.. }) => &s::RSA_PSS_2048_8192_SHA384,
        (A::RsaPssSha512, KeyKind::Rsa { bits: 2048.. }) => &s::RSA_PSS_2048_8192_SHA512,
        (A::EcdsaSha256, KeyKind::P256) => &s::ECDSA_P256_SHA256_ASN1,
        (A::EcdsaSha384, KeyKind::P256) => &s::ECDSA_P256_SHA384_ASN1,
        (A::EcdsaSha512, KeyKind::P256) => &s::ECDSA_P256_SHA512_ASN1,
        (A::EcdsaSha256, KeyKind::P384) => &s::ECDSA_P384_SHA256_ASN1,
        (A::EcdsaSha384, KeyKind::P384) => &s::ECDSA_P384_SHA384_ASN1,
        (A::EcdsaSha512, KeyKind::P384) => &s::ECDSA_P384_SHA512_ASN1,
        (algorithm, key) => return Err(X509Error::KeyMismatch { algorithm, key }),
    };
    UnparsedPublicKey::new(verifier, key.public_key_bits())
        .verify(message, signature)
        .map_err(|_| X509Error::SignatureInvalid)
}

/// An ECDSA signature from DER to the fixed `r || s` of XML signatures, `size`
/// bytes each (32 for P-256). `None` when it is not DER or does not fit.
pub fn ecdsa_der_to_fixed(signature: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut fields = Tlv::only_of(signature, tag::SEQUENCE).ok()?.reader();
    let mut out = Vec::with_capacity(size * 2);
    for _ in 0..2 {
        let content = fields.expect(tag::INTEGER).ok()?.content;
        let digits = unsigned(content);
        let negative = content.first().is_none_or(|b| b & 0x80 != 0);
        let padded = matches!(content, [0, next, ..] if next & 0x80 == 0);
        let padding = size.checked_sub(digits.len());
        let padding = padding.filter(|_| !negative && !padded)?;
        out.resize(out.len() + padding, 0);
        out.extend_from_slice(digits);
    }
    fields.end().ok().map(|()| out)
}

/// An ECDSA signature from `r || s`, halves of equal size, to DER.
pub fn ecdsa_fixed_to_der(signature: &[u8]) -> Vec<u8> {
    let (r, s) = signature.split_at(signature.len() / 2);
    tlv::element(tag::SEQUENCE, &[&tlv::integer(r), &tlv::integer(s)])
}
