//! CMS SignedData (RFC 5652), written for the timestamp authority and read to
//! check timestamps and PDF signatures.

use crate::cert::{Cert, CertError, EcdsaForm, Hash, Scheme};
use crate::der::{self, DerError, Reader, Tlv};
use crate::oids;
use crate::pki::Entity;
use aws_lc_rs::digest;

/// Why a SignedData is refused.
#[derive(Debug, thiserror::Error)]
pub enum CmsError {
    /// Not a SignedData.
    #[error("the CMS structure cannot be read: {0}")]
    Read(#[from] DerError),
    /// A certificate inside cannot be read, or the signature is wrong.
    #[error("CMS: {0}")]
    Cert(#[from] CertError),
    /// A rule of the profile is broken.
    #[error("CMS: {0}")]
    Rule(&'static str),
}

/// The AlgorithmIdentifier of SHA-256.
pub fn sha256_identifier() -> Vec<u8> {
    der::seq(&[&der::oid(oids::SHA256), &[5, 0]])
}

/// Makes a SignedData over `content`, signed by `signer`.
pub fn sign(content_type: &[u64], content: &[u8], signer: &Entity, certs: &[&Cert]) -> Vec<u8> {
    let digest = digest::digest(&digest::SHA256, content);
    // ESSCertIDv2 with SHA-256, which is the default and so left out.
    let ess = der::seq(&[&der::seq(&[&der::seq(&[&der::tlv(
        der::OCTET_STRING,
        &signer.cert.sha256(),
    )])])]);
    let attribute =
        |id: &[u64], value: &[u8]| der::seq(&[&der::oid(id), &der::tlv(der::SET, value)]);
    let attributes = der::set_of(vec![
        attribute(oids::CONTENT_TYPE, &der::oid(content_type)),
        attribute(
            oids::MESSAGE_DIGEST,
            &der::tlv(der::OCTET_STRING, digest.as_ref()),
        ),
        attribute(oids::SIGNING_CERTIFICATE_V2, &ess),
    ]);
    let signature = signer.sign(&attributes);
    let mut implicit = attributes;
    implicit[0] = 0xa0;
    let sid = der::seq(&[signer.cert.issuer(), &der::integer(signer.cert.serial())]);
    let info = der::seq(&[
        &der::small(1),
        &sid,
        &sha256_identifier(),
        &implicit,
        &signer.algorithm(),
        &der::tlv(der::OCTET_STRING, &signature),
    ]);
    let wrapped = der::context(0, &der::tlv(der::OCTET_STRING, content));
    let encapsulated = der::seq(&[&der::oid(content_type), &wrapped]);
    let certs: Vec<u8> = certs.iter().flat_map(|c| c.der().to_vec()).collect();
    let certs = match certs.as_slice() {
        [] => Vec::new(),
        certs => der::context(0, certs),
    };
    let signed = der::seq(&[
        &der::small(3),
        &der::tlv(der::SET, &sha256_identifier()),
        &encapsulated,
        &certs,
        &der::tlv(der::SET, &info),
    ]);
    der::seq(&[&der::oid(oids::CMS_SIGNED_DATA), &der::context(0, &signed)])
}

/// A SignedData with exactly one signer.
#[derive(Debug)]
pub struct SignedData<'a> {
    /// The content, when it is not detached.
    pub content: Option<&'a [u8]>,
    /// Certificates carried.
    pub certs: Vec<Cert>,
    content_type: &'a [u8],
    signer: SignerInfo<'a>,
}

#[derive(Debug)]
struct SignerInfo<'a> {
    issuer: &'a [u8],
    serial: &'a [u8],
    digest: Hash,
    attributes: Tlv<'a>,
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> SignedData<'a> {
    /// Reads a ContentInfo.
    ///
    /// # Errors
    /// Anything but a SignedData with one signer that has signed attributes.
    pub fn from_der(bytes: &'a [u8]) -> Result<Self, CmsError> {
        let mut outer = der::only(bytes, der::SEQUENCE)?.inside();
        if outer.take(der::OID)?.content != der::oid_content(oids::CMS_SIGNED_DATA) {
            return Err(CmsError::Rule("is not SignedData"));
        }
        let mut signed = outer.take(0xa0)?.inside().take(der::SEQUENCE)?.inside();
        signed.take(der::INTEGER)?;
        signed.take(der::SET)?;
        let mut encapsulated = signed.take(der::SEQUENCE)?.inside();
        let content_type = encapsulated.take(der::OID)?.content;
        let content = match encapsulated.optional(0xa0)? {
            Some(wrapped) => Some(wrapped.inside().take(der::OCTET_STRING)?.content),
            None => None,
        };
        let mut certs = Vec::new();
        if let Some(list) = signed.optional(0xa0)? {
            for item in list.inside().all()? {
                certs.push(Cert::from_der(item.raw)?);
            }
        }
        signed.optional(0xa1)?;
        let mut infos = signed.take(der::SET)?.inside();
        let signer = SignerInfo::read(infos.take(der::SEQUENCE)?.inside())?;
        if !infos.is_empty() {
            return Err(CmsError::Rule("has more than one signer"));
        }
        Ok(Self {
            content,
            certs,
            content_type,
            signer,
        })
    }

    /// Whether the content type is this one.
    pub fn is_type(&self, content_type: &[u64]) -> bool {
        self.content_type == der::oid_content(content_type)
    }

    /// Checks digest, signed attributes and signature over `content` and
    /// returns the signer's certificate, which is not yet checked itself.
    ///
    /// # Errors
    /// Names the first rule that is broken.
    pub fn verify(&self, content: &[u8]) -> Result<&Cert, CmsError> {
        let info = &self.signer;
        let is_signer = |c: &&Cert| c.issuer() == info.issuer && c.serial() == info.serial;
        let cert = self.certs.iter().find(is_signer);
        let cert = cert.ok_or(CmsError::Rule("the signer's certificate is missing"))?;
        let digest = info.one_value(oids::MESSAGE_DIGEST, der::OCTET_STRING)?;
        if digest.content != hash(info.digest, content) {
            return Err(CmsError::Rule(
                "the message digest differs from the content",
            ));
        }
        let kind = info.one_value(oids::CONTENT_TYPE, der::OID)?;
        if kind.content != self.content_type {
            return Err(CmsError::Rule("the content type attribute differs"));
        }
        let ess = info.one_value(oids::SIGNING_CERTIFICATE_V2, der::SEQUENCE)?;
        if !binds(ess, cert)? {
            return Err(CmsError::Rule(
                "signing-certificate-v2 names another certificate",
            ));
        }
        let scheme = Scheme::from_identifier(info.algorithm, Some(info.digest))?;
        // What is signed is the SET OF form of the attributes (RFC 5652 §5.4).
        let mut message = info.attributes.raw.to_vec();
        message[0] = der::SET;
        cert.verify(scheme, EcdsaForm::Der, &message, info.signature)?;
        Ok(cert)
    }
}

impl<'a> SignerInfo<'a> {
    fn read(mut info: Reader<'a>) -> Result<Self, CmsError> {
        info.take(der::INTEGER)?;
        let mut sid = info.take(der::SEQUENCE)?.inside();
        let issuer = sid.take(der::SEQUENCE)?.raw;
        let serial = sid.take(der::INTEGER)?.unsigned();
        let digest = hash_of(info.take(der::SEQUENCE)?.inside().take(der::OID)?.content)?;
        let attributes = info.optional(0xa0)?;
        let attributes = attributes.ok_or(CmsError::Rule("has no signed attributes"))?;
        let algorithm = info.take(der::SEQUENCE)?.raw;
        let signature = info.take(der::OCTET_STRING)?.content;
        Ok(Self {
            issuer,
            serial,
            digest,
            attributes,
            algorithm,
            signature,
        })
    }

    /// The single value of a signed attribute.
    fn one_value(&self, id: &[u64], tag: u8) -> Result<Tlv<'a>, CmsError> {
        let id = der::oid_content(id);
        let mut found = None;
        for attribute in self.attributes.inside().all()? {
            let mut parts = attribute.inside();
            if parts.take(der::OID)?.content != id {
                continue;
            }
            let values = parts.take(der::SET)?.content;
            if found.replace(der::only(values, tag)?).is_some() {
                return Err(CmsError::Rule("a signed attribute occurs twice"));
            }
        }
        found.ok_or(CmsError::Rule("a required signed attribute is missing"))
    }
}

/// Whether the first ESSCertIDv2 is the hash of `cert` (RFC 5035 §3).
fn binds(signing_certificate: Tlv<'_>, cert: &Cert) -> Result<bool, CmsError> {
    let mut certs = signing_certificate.inside().take(der::SEQUENCE)?.inside();
    let mut first = certs.take(der::SEQUENCE)?.inside();
    let kind = match first.optional(der::SEQUENCE)? {
        Some(identifier) => hash_of(identifier.inside().take(der::OID)?.content)?,
        None => Hash::Sha256,
    };
    let stated = first.take(der::OCTET_STRING)?.content;
    Ok(stated == hash(kind, cert.der()))
}

/// The hash with this object identifier.
pub fn hash_of(id: &[u8]) -> Result<Hash, CertError> {
    let is = |arcs| id == der::oid_content(arcs);
    match () {
        () if is(oids::SHA256) => Ok(Hash::Sha256),
        () if is(oids::SHA384) => Ok(Hash::Sha384),
        () if is(oids::SHA512) => Ok(Hash::Sha512),
        () => Err(CertError::Algorithm),
    }
}

/// Digests `bytes`.
pub fn hash(kind: Hash, bytes: &[u8]) -> Vec<u8> {
    let algorithm = match kind {
        Hash::Sha256 => &digest::SHA256,
        Hash::Sha384 => &digest::SHA384,
        Hash::Sha512 => &digest::SHA512,
    };
    digest::digest(algorithm, bytes).as_ref().to_vec()
}
