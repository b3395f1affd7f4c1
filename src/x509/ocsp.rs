//! OCSP requests and responses (RFC 6960).

use super::algorithm::Digest;
use super::certificate::extension;
use super::tlv::{self, Fault, Reader, Tlv, place, tag};
use super::{Cert, CertStatus, SignatureAlgorithm, X509Error, verify};
use crate::base::limits;
use const_oid::ObjectIdentifier;
use std::ops::Range;
use time::OffsetDateTime;

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

const BASIC: ObjectIdentifier = oid("1.3.6.1.5.5.7.48.1.1");
/// The purpose of a delegated responder's certificate (RFC 6960 §4.2.2.2).
pub(crate) const OCSP_SIGNING: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.9");
const NONCE: ObjectIdentifier = oid("1.3.6.1.5.5.7.48.1.2");
/// Most certificates tried as the responder's.
const RESPONDERS_MAX: usize = 8;

/// What is wrong with an OCSP response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OcspError {
    /// Not the ASN.1 structure it should be.
    #[error("malformed OCSP response: {0}")]
    Malformed(&'static str),
    /// The responder refused to answer.
    #[error("the OCSP responder refused: {0}")]
    Refused(&'static str),
    /// The response says nothing about this certificate.
    #[error("the OCSP response is about other certificates")]
    OtherCertificate,
    /// A critical extension that is not understood.
    #[error("the OCSP response has the critical extension {0}, which is not understood")]
    CriticalExtension(String),
    /// Nobody entitled signed the response: neither the issuer nor a responder
    /// the issuer itself has certified for OCSP (RFC 6960 §4.2.2.2).
    #[error("the OCSP response is not by an entitled responder: {0}")]
    Responder(&'static str),
    /// The response's signature cannot be accepted.
    #[error("the OCSP response's signature cannot be accepted")]
    Signature(#[source] X509Error),
}

impl From<Fault> for OcspError {
    fn from(fault: Fault) -> Self {
        Self::Malformed(fault.0)
    }
}

/// The digest inside a request's `CertID` (RFC 6960 §4.1.1). It identifies and
/// protects nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertIdDigest {
    /// What every responder knows (RFC 5019 §2.1.1).
    Sha1,
    /// What some responders demand.
    Sha256,
}

impl CertIdDigest {
    /// The one to try when a responder does not understand this one.
    pub fn other(self) -> Self {
        match self {
            Self::Sha1 => Self::Sha256,
            Self::Sha256 => Self::Sha1,
        }
    }
}

/// A request for one certificate (RFC 6960 §4.1). Without `nonce`, responses
/// made in advance serve; with one, a responder that knows nonces repeats it
/// (RFC 9654).
pub fn request(cert: &Cert, issuer: &Cert, digest: CertIdDigest, nonce: Option<&[u8]>) -> Vec<u8> {
    let digest = match digest {
        CertIdDigest::Sha1 => Digest::Sha1,
        CertIdDigest::Sha256 => Digest::Sha256,
    };
    let cert_id = tlv::element(
        tag::SEQUENCE,
        &[
            &digest.identifier_der(),
            &tlv::element(tag::OCTET_STRING, &[&digest.compute(issuer.subject_der())]),
            &tlv::element(
                tag::OCTET_STRING,
                &[&digest.compute(issuer.public_key_bits())],
            ),
            &tlv::element(tag::INTEGER, &[cert.serial()]),
        ],
    );
    let request = tlv::element(tag::SEQUENCE, &[&cert_id]);
    let list = tlv::element(tag::SEQUENCE, &[&request]);
    let extensions = nonce.map(|nonce| {
        let value = tlv::element(tag::OCTET_STRING, &[nonce]);
        let value = tlv::element(tag::OCTET_STRING, &[&value]);
        let extension = tlv::element(tag::SEQUENCE, &[&tlv::oid(NONCE), &value]);
        let extensions = tlv::element(tag::SEQUENCE, &[&extension]);
        tlv::element(tag::context(2), &[&extensions])
    });
    let tbs = tlv::element(tag::SEQUENCE, &[&list, &extensions.unwrap_or_default()]);
    tlv::element(tag::SEQUENCE, &[&tbs])
}

/// A successful response that was read; [`Self::check`] says whether to believe
/// it.
#[derive(Debug, Clone)]
pub struct OcspResponse {
    der: Vec<u8>,
    tbs: Range<usize>,
    responses: Range<usize>,
    responder: ResponderId,
    produced_at: OffsetDateTime,
    nonce: Option<Vec<u8>>,
    algorithm: Vec<u8>,
    signature: Vec<u8>,
    certificates: Vec<Cert>,
}

#[derive(Debug, Clone)]
enum ResponderId {
    Name(Vec<u8>),
    KeySha1(Vec<u8>),
}

/// What a response says about one certificate.
#[derive(Debug, Clone)]
pub struct OcspFinding {
    /// The status.
    pub status: CertStatus,
    /// When the status was known to be right.
    pub this_update: OffsetDateTime,
    /// By when newer information will be there; `None`: always.
    pub next_update: Option<OffsetDateTime>,
    /// Who signed: the issuer, or a responder it certified.
    pub responder: Cert,
    /// What it signed with.
    pub algorithm: SignatureAlgorithm,
}

impl OcspResponse {
    /// Reads an `OCSPResponse`.
    ///
    /// # Errors
    /// [`OcspError::Refused`] for every status but `successful`,
    /// [`OcspError::Malformed`], [`OcspError::CriticalExtension`].
    pub fn from_der(der: &[u8]) -> Result<Self, OcspError> {
        if der.len() > limits::RESPONSE_BYTES_MAX {
            return Err(OcspError::Malformed("too large"));
        }
        let mut outer = Tlv::only_of(der, tag::SEQUENCE)?.reader();
        let status = outer.expect(tag::ENUMERATED)?.small()?;
        if status != 0 {
            return Err(OcspError::Refused(refusal(status)));
        }
        let bytes = outer.expect(tag::context(0))?;
        let mut bytes = Tlv::only_of(bytes.content, tag::SEQUENCE)?.reader();
        if bytes.read()?.oid()? != BASIC {
            return Err(OcspError::Malformed("unknown response type"));
        }
        let basic = bytes.expect(tag::OCTET_STRING)?.content;
        let mut fields = Tlv::only_of(basic, tag::SEQUENCE)?.reader();
        let tbs = fields.expect(tag::SEQUENCE)?;
        let algorithm = fields.expect(tag::SEQUENCE)?.raw.to_vec();
        let signature = fields.read()?.bit_string_bytes()?.to_vec();
        let mut certificates = Vec::new();
        if let Some(list) = fields.optional(tag::context(0))? {
            for cert in Tlv::only_of(list.content, tag::SEQUENCE)?.reader() {
                certificates.extend(Cert::from_der(cert?.raw).ok());
            }
        }
        fields.end()?;

        let mut data = tbs.reader();
        data.optional(tag::context(0))?;
        let responder = ResponderId::read(data.read()?)?;
        let produced_at = data.read()?.time()?;
        let responses = data.expect(tag::SEQUENCE)?;
        let nonce = read_extensions(data.optional(tag::context(1))?)?;
        data.end()?;
        Ok(Self {
            tbs: place(der, tbs.raw),
            responses: place(der, responses.content),
            responder,
            produced_at,
            nonce,
            algorithm,
            signature,
            certificates,
            der: der.to_vec(),
        })
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.der.get(range.clone()).unwrap_or_default()
    }

    /// The whole `OCSPResponse` as it arrived.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// When the responder signed the response; to be believed like the rest
    /// after [`Self::check`].
    pub fn produced_at(&self) -> OffsetDateTime {
        self.produced_at
    }

    /// The request's nonce, when the responder repeats it.
    pub fn nonce(&self) -> Option<&[u8]> {
        self.nonce.as_deref()
    }

    /// The certificates inside.
    pub fn certificates(&self) -> &[Cert] {
        &self.certificates
    }

    /// Finds what the response says about `cert` and checks who says it. How
    /// fresh it is, and whether a delegated responder is itself revoked, is
    /// `trust`'s to judge.
    ///
    /// # Errors
    /// Names the check that failed; see [`OcspError`].
    pub fn check(&self, cert: &Cert, issuer: &Cert) -> Result<OcspFinding, OcspError> {
        for single in Reader::new(self.slice(&self.responses)) {
            let mut fields = single?.expect_tag(tag::SEQUENCE)?.reader();
            if !is_about(fields.expect(tag::SEQUENCE)?, cert, issuer)? {
                continue;
            }
            let status = read_status(fields.read()?)?;
            let this_update = fields.read()?.time()?;
            let next_update = match fields.optional(tag::context(0))? {
                Some(wrapped) => Some(Tlv::only(wrapped.content)?.time()?),
                None => None,
            };
            read_extensions(fields.optional(tag::context(1))?)?;
            fields.end()?;
            // Last, because it costs most.
            let algorithm = SignatureAlgorithm::from_identifier_der(&self.algorithm)
                .ok_or_else(|| OcspError::Signature(X509Error::algorithm(&self.algorithm)))?;
            let responder = self.responder_for(issuer, algorithm)?;
            return Ok(OcspFinding {
                status,
                this_update,
                next_update,
                responder,
                algorithm,
            });
        }
        Err(OcspError::OtherCertificate)
    }

    /// Whether the response names the certificate; nothing is verified.
    pub fn is_about(&self, cert: &Cert, issuer: &Cert) -> bool {
        Reader::new(self.slice(&self.responses)).any(|single| {
            let about = || {
                let mut fields = single?.expect_tag(tag::SEQUENCE)?.reader();
                is_about(fields.expect(tag::SEQUENCE)?, cert, issuer)
            };
            about().unwrap_or(false)
        })
    }

    /// The certificate of the responder the response names, once it is known
    /// to be entitled and to have signed. Several may bear the name: each is
    /// tried, and the last one's failure is told.
    fn responder_for(
        &self,
        issuer: &Cert,
        algorithm: SignatureAlgorithm,
    ) -> Result<Cert, OcspError> {
        let candidates = std::iter::once(issuer).chain(&self.certificates);
        let named = candidates.filter(|cert| self.responder.names(cert));
        let mut failure = OcspError::Responder("its certificate is missing");
        for cert in named.take(RESPONDERS_MAX) {
            // Another certificate of the issuer's own key is the issuer.
            let (cert, entitled) = if cert.spki_der() == issuer.spki_der() {
                (issuer, Ok(()))
            } else {
                (cert, self.check_delegated(cert, issuer))
            };
            let signed = entitled.and_then(|()| {
                let tbs = self.slice(&self.tbs);
                verify(cert, algorithm, tbs, &self.signature).map_err(OcspError::Signature)
            });
            match signed {
                Ok(()) => return Ok(cert.clone()),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Whether `issuer` itself has certified `responder` for OCSP.
    fn check_delegated(&self, responder: &Cert, issuer: &Cert) -> Result<(), OcspError> {
        let purposes = responder.extended_key_usage();
        if !purposes.is_some_and(|(_, purposes)| purposes.contains(&OCSP_SIGNING)) {
            return Err(OcspError::Responder("its certificate is not for OCSP"));
        }
        let usage = responder.key_usage();
        if usage.is_some_and(|u| !u.digital_signature && !u.non_repudiation) {
            return Err(OcspError::Responder(
                "its key usage does not allow signatures",
            ));
        }
        if responder.verify_issued_by(issuer).is_err() {
            return Err(OcspError::Responder("it is certified by somebody else"));
        }
        if responder.unknown_critical_extension().is_some() {
            return Err(OcspError::Responder("an unknown critical extension"));
        }
        if !responder.is_valid_at(self.produced_at) {
            return Err(OcspError::Responder("its certificate was not valid"));
        }
        Ok(())
    }
}

impl ResponderId {
    fn read(element: Tlv<'_>) -> Result<Self, Fault> {
        if element.tag == tag::context(1) {
            let name = Tlv::only_of(element.content, tag::SEQUENCE)?;
            return Ok(Self::Name(name.raw.to_vec()));
        }
        let element = element.expect_tag(tag::context(2))?;
        let hash = Tlv::only_of(element.content, tag::OCTET_STRING)?;
        Ok(Self::KeySha1(hash.content.to_vec()))
    }

    fn names(&self, cert: &Cert) -> bool {
        match self {
            Self::Name(name) => name == cert.subject_der(),
            Self::KeySha1(hash) => *hash == Digest::Sha1.compute(cert.public_key_bits()),
        }
    }
}

/// `OCSPResponseStatus` (RFC 6960 §4.2.1).
fn refusal(status: u32) -> &'static str {
    match status {
        1 => "malformedRequest",
        2 => "internalError",
        3 => "tryLater",
        5 => "sigRequired",
        6 => "unauthorized",
        _ => "unknown status",
    }
}

/// The nonce among extensions; any other critical one is refused.
fn read_extensions(wrapped: Option<Tlv<'_>>) -> Result<Option<Vec<u8>>, OcspError> {
    let mut nonce = None;
    let Some(wrapped) = wrapped else {
        return Ok(nonce);
    };
    for element in Tlv::only_of(wrapped.content, tag::SEQUENCE)?.reader() {
        let extension = extension(element?)?;
        if extension.oid == Some(NONCE) {
            let value = Tlv::only_of(extension.value, tag::OCTET_STRING)?;
            nonce = Some(value.content.to_vec());
        } else if extension.critical {
            return Err(OcspError::CriticalExtension(extension.name));
        }
    }
    Ok(nonce)
}

/// Compares a `CertID`; serial numbers as numbers, because responders
/// normalise them.
fn is_about(cert_id: Tlv<'_>, cert: &Cert, issuer: &Cert) -> Result<bool, Fault> {
    let mut fields = cert_id.reader();
    let digest = Digest::from_identifier(fields.expect(tag::SEQUENCE)?);
    let name_hash = fields.expect(tag::OCTET_STRING)?.content;
    let key_hash = fields.expect(tag::OCTET_STRING)?.content;
    let serial = fields.expect(tag::INTEGER)?.content;
    Ok(digest.is_some_and(|digest| {
        tlv::same_integer(serial, cert.serial())
            && name_hash == digest.compute(issuer.subject_der())
            && key_hash == digest.compute(issuer.public_key_bits())
    }))
}

/// `CertStatus`: `[0]` good, `[1]` revoked, `[2]` unknown, all IMPLICIT.
fn read_status(element: Tlv<'_>) -> Result<CertStatus, Fault> {
    const GOOD: u8 = tag::context_primitive(0);
    const REVOKED: u8 = tag::context(1);
    const UNKNOWN: u8 = tag::context_primitive(2);
    match element.tag {
        GOOD => Ok(CertStatus::Good),
        UNKNOWN => Ok(CertStatus::Unknown),
        REVOKED => {
            let mut fields = element.reader();
            let at = fields.read()?.time()?;
            let reason = match fields.optional(tag::context(0))? {
                Some(wrapped) => {
                    let reason = Tlv::only_of(wrapped.content, tag::ENUMERATED)?.small()?;
                    u8::try_from(reason).ok()
                }
                None => None,
            };
            Ok(CertStatus::Revoked { at, reason })
        }
        _ => Err(Fault("unknown certificate status")),
    }
}
