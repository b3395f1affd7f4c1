//! Reading certificates and checking signatures made with their keys.

use crate::cms;
use crate::der::{self, DerError, Reader};
use crate::oids;
use aws_lc_rs::signature::{self, UnparsedPublicKey};
use sceau::base::digest;
use std::fmt;
use std::sync::Arc;
use time::OffsetDateTime;

/// Why a certificate or a signature is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertError {
    /// Not a certificate.
    #[error("the certificate cannot be read: {0}")]
    Read(#[from] DerError),
    /// Not PEM.
    #[error("the certificate is not PEM")]
    Pem,
    /// A key or signature algorithm outside the sandbox's list.
    #[error("the algorithm is not supported")]
    Algorithm,
    /// The signature does not verify.
    #[error("the signature does not verify")]
    Signature,
    /// The certificate does not lead to the sandbox's root.
    #[error("the certificate does not lead to the sandbox's root")]
    NoChain,
    /// The certificate is outside its validity.
    #[error("the certificate is not valid at {0}")]
    Validity(OffsetDateTime),
}

/// The hash of a signature scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// How an ECDSA signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EcdsaForm {
    /// SEQUENCE of r and s.
    Der,
    /// `r || s`, as XML signatures have it.
    Fixed,
}

/// A signature scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// RSASSA-PKCS1-v1_5.
    Rsa(Hash),
    /// RSASSA-PSS, MGF1 with the same digest, salt as long as the digest.
    Pss(Hash),
    /// ECDSA on the key's curve.
    Ecdsa(Hash),
}

impl Scheme {
    /// From an X.509 or CMS AlgorithmIdentifier; `digest` serves CMS signers
    /// that name the bare key algorithm (RFC 3370 §3.2).
    pub fn from_identifier(raw: &[u8], digest: Option<Hash>) -> Result<Self, CertError> {
        let id = der::only(raw, der::SEQUENCE)?.inside().take(der::OID)?;
        let is = |arcs| id.content == der::oid_content(arcs);
        Ok(match digest {
            _ if is(oids::RSA_SHA256) => Self::Rsa(Hash::Sha256),
            _ if is(oids::RSA_SHA384) => Self::Rsa(Hash::Sha384),
            _ if is(oids::RSA_SHA512) => Self::Rsa(Hash::Sha512),
            _ if is(oids::ECDSA_SHA256) => Self::Ecdsa(Hash::Sha256),
            _ if is(oids::ECDSA_SHA384) => Self::Ecdsa(Hash::Sha384),
            Some(hash) if is(oids::RSA) => Self::Rsa(hash),
            _ if is(oids::RSA_PSS) => Self::Pss(pss_hash(raw)?),
            _ => return Err(CertError::Algorithm),
        })
    }

    /// From an XML signature method (RFC 9231 §2.3).
    pub fn from_xml(uri: &str) -> Result<Self, CertError> {
        let name = uri.strip_prefix("http://www.w3.org/2001/04/xmldsig-more#");
        let newer = uri.strip_prefix("http://www.w3.org/2007/05/xmldsig-more#");
        Ok(match name.or(newer) {
            Some("sha256-rsa-MGF1") => Self::Pss(Hash::Sha256),
            Some("sha384-rsa-MGF1") => Self::Pss(Hash::Sha384),
            Some("sha512-rsa-MGF1") => Self::Pss(Hash::Sha512),
            Some("rsa-sha256") => Self::Rsa(Hash::Sha256),
            Some("rsa-sha384") => Self::Rsa(Hash::Sha384),
            Some("rsa-sha512") => Self::Rsa(Hash::Sha512),
            Some("ecdsa-sha256") => Self::Ecdsa(Hash::Sha256),
            Some("ecdsa-sha384") => Self::Ecdsa(Hash::Sha384),
            Some(_) | None => return Err(CertError::Algorithm),
        })
    }
}

/// The kind of a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA.
    Rsa,
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
}

/// A certificate, with its bytes kept as they came.
#[derive(Clone, PartialEq, Eq)]
pub struct Cert(Arc<Parts>);

#[derive(PartialEq, Eq)]
struct Parts {
    der: Vec<u8>,
    tbs: Vec<u8>,
    serial: Vec<u8>,
    issuer: Vec<u8>,
    subject: Vec<u8>,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    key: KeyKind,
    key_bits: Vec<u8>,
    algorithm: Vec<u8>,
    signature: Vec<u8>,
    is_ca: bool,
    key_usage: u8,
    purposes: Vec<Vec<u8>>,
    key_id: Option<Vec<u8>>,
}

impl fmt::Debug for Cert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cert({})", self.serial_hex())
    }
}

impl Cert {
    /// Reads one DER certificate.
    ///
    /// # Errors
    /// Anything that is not a certificate with a supported key.
    pub fn from_der(bytes: &[u8]) -> Result<Self, CertError> {
        let mut outer = der::only(bytes, der::SEQUENCE)?.inside();
        let tbs = outer.take(der::SEQUENCE)?;
        let algorithm = outer.take(der::SEQUENCE)?;
        let signature = outer.take(der::BIT_STRING)?.bits()?;
        let mut fields = tbs.inside();
        fields.optional(0xa0)?;
        let serial = fields.take(der::INTEGER)?.unsigned().to_vec();
        fields.take(der::SEQUENCE)?;
        let issuer = fields.take(der::SEQUENCE)?.raw.to_vec();
        let mut validity = fields.take(der::SEQUENCE)?.inside();
        let (not_before, not_after) = (validity.any()?.time()?, validity.any()?.time()?);
        let subject = fields.take(der::SEQUENCE)?.raw.to_vec();
        let mut spki = fields.take(der::SEQUENCE)?.inside();
        let key = key_kind(spki.take(der::SEQUENCE)?.inside())?;
        let key_bits = spki.take(der::BIT_STRING)?.bits()?.to_vec();
        let mut parts = Parts {
            der: bytes.to_vec(),
            tbs: tbs.raw.to_vec(),
            serial,
            issuer,
            subject,
            not_before,
            not_after,
            key,
            key_bits,
            algorithm: algorithm.raw.to_vec(),
            signature: signature.to_vec(),
            is_ca: false,
            key_usage: 0,
            purposes: Vec::new(),
            key_id: None,
        };
        for field in fields.all()? {
            if field.tag == 0xa3 {
                let list = der::only(field.content, der::SEQUENCE)?;
                for extension in list.inside().all()? {
                    parts.read_extension(extension.inside())?;
                }
            }
        }
        Ok(Self(Arc::new(parts)))
    }

    /// Reads the first certificate of a PEM text.
    ///
    /// # Errors
    /// As [`Self::from_der`], and when there is none.
    pub fn from_pem(text: &[u8]) -> Result<Self, CertError> {
        use rustls_pki_types::pem::PemObject;
        let der = rustls_pki_types::CertificateDer::from_pem_slice(text);
        Self::from_der(&der.map_err(|_| CertError::Pem)?)
    }

    /// The bytes.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// The certificate as PEM.
    pub fn to_pem(&self) -> String {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD.encode(self.der());
        let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
        for line in text.as_bytes().chunks(64) {
            out.push_str(&String::from_utf8_lossy(line));
            out.push('\n');
        }
        out + "-----END CERTIFICATE-----\n"
    }

    /// SHA-256 of the bytes.
    pub fn sha256(&self) -> [u8; 32] {
        digest::sha256(self.der())
    }

    /// The serial number's magnitude.
    pub fn serial(&self) -> &[u8] {
        &self.0.serial
    }

    /// The serial number in lower-case hexadecimal, without leading zeros.
    pub fn serial_hex(&self) -> String {
        sceau::base::hex::encode(&self.0.serial)
    }

    /// The issuer's name, DER.
    pub fn issuer(&self) -> &[u8] {
        &self.0.issuer
    }

    /// The subject's name, DER.
    pub fn subject(&self) -> &[u8] {
        &self.0.subject
    }

    /// The content of the public key's BIT STRING.
    pub fn key_bits(&self) -> &[u8] {
        &self.0.key_bits
    }

    /// The kind of key.
    pub fn key(&self) -> KeyKind {
        self.0.key
    }

    /// The subject key identifier.
    pub fn key_id(&self) -> Option<&[u8]> {
        self.0.key_id.as_deref()
    }

    /// Whether keyUsage has nonRepudiation.
    pub fn non_repudiation(&self) -> bool {
        self.0.key_usage & 0x40 != 0
    }

    /// Whether timeStamping is the one extended key usage.
    pub fn only_for(&self, purpose: &[u64]) -> bool {
        self.0.purposes == [der::oid_content(purpose)]
    }

    /// The subject in RFC 4514 form (the common attributes by name).
    pub fn subject_text(&self) -> String {
        name_text(&self.0.subject).unwrap_or_default()
    }

    /// Whether `at` lies in the validity.
    pub fn valid_at(&self, at: OffsetDateTime) -> bool {
        self.0.not_before <= at && at <= self.0.not_after
    }

    /// Checks that `issuer` signed this certificate.
    ///
    /// # Errors
    /// [`CertError::NoChain`] for another name or a certificate that may not
    /// sign certificates, [`CertError::Signature`] for a bad signature.
    pub fn issued_by(&self, issuer: &Self) -> Result<(), CertError> {
        if self.issuer() != issuer.subject() || !issuer.0.is_ca || issuer.0.key_usage & 0x04 == 0 {
            return Err(CertError::NoChain);
        }
        let scheme = Scheme::from_identifier(&self.0.algorithm, None)?;
        issuer.verify(scheme, EcdsaForm::Der, &self.0.tbs, &self.0.signature)
    }

    /// Checks a signature made with this certificate's key.
    ///
    /// # Errors
    /// [`CertError::Algorithm`] when key and scheme do not fit,
    /// [`CertError::Signature`] when the signature is wrong.
    pub fn verify(
        &self,
        scheme: Scheme,
        form: EcdsaForm,
        message: &[u8],
        value: &[u8],
    ) -> Result<(), CertError> {
        use EcdsaForm::{Der, Fixed};
        let algorithm: &dyn signature::VerificationAlgorithm = match (self.key(), scheme, form) {
            (KeyKind::Rsa, Scheme::Rsa(Hash::Sha256), _) => &signature::RSA_PKCS1_2048_8192_SHA256,
            (KeyKind::Rsa, Scheme::Rsa(Hash::Sha384), _) => &signature::RSA_PKCS1_2048_8192_SHA384,
            (KeyKind::Rsa, Scheme::Rsa(Hash::Sha512), _) => &signature::RSA_PKCS1_2048_8192_SHA512,
            (KeyKind::Rsa, Scheme::Pss(Hash::Sha256), _) => &signature::RSA_PSS_2048_8192_SHA256,
            (KeyKind::Rsa, Scheme::Pss(Hash::Sha384), _) => &signature::RSA_PSS_2048_8192_SHA384,
            (KeyKind::Rsa, Scheme::Pss(Hash::Sha512), _) => &signature::RSA_PSS_2048_8192_SHA512,
            (KeyKind::P256, Scheme::Ecdsa(Hash::Sha256), Der) => &signature::ECDSA_P256_SHA256_ASN1,
            (KeyKind::P256, Scheme::Ecdsa(Hash::Sha256), Fixed) => {
                &signature::ECDSA_P256_SHA256_FIXED
            }
            (KeyKind::P384, Scheme::Ecdsa(Hash::Sha384), Der) => &signature::ECDSA_P384_SHA384_ASN1,
            (KeyKind::P384, Scheme::Ecdsa(Hash::Sha384), Fixed) => {
                &signature::ECDSA_P384_SHA384_FIXED
            }
            (KeyKind::Rsa, Scheme::Ecdsa(_), _) | (KeyKind::P256 | KeyKind::P384, _, _) => {
                return Err(CertError::Algorithm);
            }
        };
        UnparsedPublicKey::new(algorithm, self.key_bits())
            .verify(message, value)
            .map_err(|_| CertError::Signature)
    }
}

impl Parts {
    fn read_extension(&mut self, mut extension: Reader<'_>) -> Result<(), CertError> {
        let id = extension.take(der::OID)?.content;
        extension.optional(der::BOOLEAN)?;
        let value = extension.take(der::OCTET_STRING)?.content;
        let is = |arcs| id == der::oid_content(arcs);
        if is(oids::BASIC_CONSTRAINTS) {
            let mut inside = der::only(value, der::SEQUENCE)?.inside();
            self.is_ca = inside
                .optional(der::BOOLEAN)?
                .is_some_and(|b| b.content != [0]);
        } else if is(oids::KEY_USAGE) {
            let bits = der::only(value, der::BIT_STRING)?.content;
            self.key_usage = bits.get(1).copied().unwrap_or_default();
        } else if is(oids::EXTENDED_KEY_USAGE) {
            let list = der::only(value, der::SEQUENCE)?.inside().all()?;
            self.purposes = list.iter().map(|p| p.content.to_vec()).collect();
        } else if is(oids::SUBJECT_KEY_ID) {
            self.key_id = Some(der::only(value, der::OCTET_STRING)?.content.to_vec());
        }
        Ok(())
    }
}

/// The digest of `RSASSA-PSS-params` (RFC 4055 §3.1), every field stated, as
/// no default is good enough today.
fn pss_hash(identifier: &[u8]) -> Result<Hash, CertError> {
    let mut fields = der::only(identifier, der::SEQUENCE)?.inside();
    fields.take(der::OID)?;
    let mut fields = fields.take(der::SEQUENCE)?.inside();
    let hash_of = |identifier: &[u8]| {
        let id = der::only(identifier, der::SEQUENCE)?
            .inside()
            .take(der::OID)?;
        cms::hash_of(id.content)
    };
    let hash = hash_of(fields.take(0xa0)?.content)?;
    let mut mask = der::only(fields.take(0xa1)?.content, der::SEQUENCE)?.inside();
    let is_mgf1 = mask.take(der::OID)?.content == der::oid_content(oids::MGF1);
    let same = is_mgf1 && hash_of(mask.any()?.raw)? == hash;
    let salt = der::only(fields.take(0xa2)?.content, der::INTEGER)?;
    let length = match hash {
        Hash::Sha256 => 32,
        Hash::Sha384 => 48,
        Hash::Sha512 => 64,
    };
    if same && salt.content == [length] {
        Ok(hash)
    } else {
        Err(CertError::Algorithm)
    }
}

fn key_kind(mut identifier: Reader<'_>) -> Result<KeyKind, CertError> {
    let id = identifier.take(der::OID)?.content;
    if id == der::oid_content(oids::RSA) {
        return Ok(KeyKind::Rsa);
    }
    if id == der::oid_content(oids::EC) {
        let curve = identifier.take(der::OID)?.content;
        if curve == der::oid_content(oids::P256) {
            return Ok(KeyKind::P256);
        }
        if curve == der::oid_content(oids::P384) {
            return Ok(KeyKind::P384);
        }
    }
    Err(CertError::Algorithm)
}

/// A Name as text, last attribute first (RFC 4514 §2.1).
fn name_text(name: &[u8]) -> Result<String, DerError> {
    let mut parts = Vec::new();
    for set in der::only(name, der::SEQUENCE)?.inside().all()? {
        let mut attribute = set.inside().take(der::SEQUENCE)?.inside();
        let id = attribute.take(der::OID)?.content;
        let label = match id {
            [0x55, 4, 3] => "CN",
            [0x55, 4, 4] => "SN",
            [0x55, 4, 5] => "serialNumber",
            [0x55, 4, 6] => "C",
            [0x55, 4, 10] => "O",
            [0x55, 4, 11] => "OU",
            [0x55, 4, 42] => "GN",
            _ => "OID",
        };
        let text = String::from_utf8_lossy(attribute.any()?.content).into_owned();
        let text = text.replace('\\', "\\\\").replace(',', "\\,");
        parts.push(format!("{label}={text}"));
    }
    parts.reverse();
    Ok(parts.join(","))
}
