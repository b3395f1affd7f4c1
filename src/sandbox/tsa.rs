//! The timestamp authority (RFC 3161) and the check of its tokens.

use crate::cert::Hash;
use crate::cms::{self, CmsError, SignedData};
use crate::der::{self, DerError, Tlv};
use crate::oids;
use crate::pki::Pki;
use crate::scenario::Fault;
use sceau::base::random;
use time::{Duration, OffsetDateTime};

/// PKIFailureInfo bit: unrecognised algorithm.
const BAD_ALGORITHM: u8 = 0;
/// PKIFailureInfo bit: request not permitted.
const BAD_REQUEST: u8 = 2;
/// PKIFailureInfo bit: the request has the wrong form.
const BAD_FORMAT: u8 = 5;
/// PKIFailureInfo bit: policy not supported.
const UNACCEPTED_POLICY: u8 = 15;

struct Request<'a> {
    imprint: Tlv<'a>,
    hash: Option<Hash>,
    digest: &'a [u8],
    policy: Option<&'a [u8]>,
    nonce: Option<&'a [u8]>,
    wants_certificates: bool,
}

/// Answers a TimeStampReq with a TimeStampResp.
pub fn respond(pki: &Pki, request: &[u8], now: OffsetDateTime, fault: Option<Fault>) -> Vec<u8> {
    let Ok(request) = read(request) else {
        return rejection(BAD_FORMAT, "the request cannot be read");
    };
    let length = match request.hash {
        Some(Hash::Sha256) => 32,
        Some(Hash::Sha384) => 48,
        Some(Hash::Sha512) => 64,
        None => return rejection(BAD_ALGORITHM, "only SHA-256, SHA-384 and SHA-512"),
    };
    if request.digest.len() != length {
        return rejection(BAD_FORMAT, "the imprint has the wrong length");
    }
    let ours = der::oid_content(oids::TIMESTAMP_POLICY);
    if request.policy.is_some_and(|p| p != ours) {
        return rejection(UNACCEPTED_POLICY, "this policy is not offered");
    }
    if fault == Some(Fault::Refuse) {
        return rejection(BAD_REQUEST, "refused by scenario");
    }
    let token = token(pki, &request, now, fault);
    der::seq(&[&der::seq(&[&der::small(0)]), &token])
}

fn read(bytes: &[u8]) -> Result<Request<'_>, DerError> {
    let mut fields = der::only(bytes, der::SEQUENCE)?.inside();
    fields.take(der::INTEGER)?;
    let imprint = fields.take(der::SEQUENCE)?;
    let mut parts = imprint.inside();
    let algorithm = parts.take(der::SEQUENCE)?.inside().take(der::OID)?.content;
    let digest = parts.take(der::OCTET_STRING)?.content;
    let policy = fields.optional(der::OID)?.map(|p| p.content);
    let nonce = fields.optional(der::INTEGER)?.map(|n| n.content);
    let wants = fields.optional(der::BOOLEAN)?;
    Ok(Request {
        imprint,
        hash: cms::hash_of(algorithm).ok(),
        digest,
        policy,
        nonce,
        wants_certificates: wants.is_some_and(|b| b.content != [0]),
    })
}

fn token(pki: &Pki, request: &Request<'_>, now: OffsetDateTime, fault: Option<Fault>) -> Vec<u8> {
    let mut imprint = request.imprint.raw.to_vec();
    if fault == Some(Fault::WrongImprint)
        && let Some(last) = imprint.last_mut()
    {
        *last ^= 1;
    }
    let nonce = match (request.nonce, fault) {
        (Some(_), Some(Fault::WrongNonce)) => der::integer(&random::bytes::<16>()),
        (Some(nonce), _) => der::tlv(der::INTEGER, nonce),
        (None, _) => Vec::new(),
    };
    let at = match fault {
        Some(Fault::Stale) => now - Duration::hours(1),
        _ => now,
    };
    let info = der::seq(&[
        &der::small(1),
        &der::oid(oids::TIMESTAMP_POLICY),
        &imprint,
        &der::integer(&random::bytes::<16>()),
        &der::generalized_time(at),
        // The time is cut to whole seconds: accurate to one second.
        &der::seq(&[&der::small(1)]),
        &nonce,
    ]);
    let signer = match fault {
        Some(Fault::ExpiredCertificate) => &pki.tsa_expired,
        _ => &pki.tsa,
    };
    let chain = [&signer.cert, &pki.issuing.cert];
    let certs: &[_] = if request.wants_certificates {
        &chain
    } else {
        &[]
    };
    let mut token = cms::sign(oids::TST_INFO, &info, signer, certs);
    if fault == Some(Fault::BadAnswerSignature)
        && let Some(last) = token.last_mut()
    {
        // The signature value is the last field of the structure.
        *last ^= 1;
    }
    token
}

/// A rejection (RFC 3161 §2.4.2) with one failure bit and a text.
fn rejection(bit: u8, text: &str) -> Vec<u8> {
    let mut bits = vec![0; usize::from(bit / 8) + 2];
    bits[0] = 7 - bit % 8;
    if let Some(last) = bits.last_mut() {
        *last = 0x80 >> (bit % 8);
    }
    let status = der::seq(&[
        &der::small(2),
        &der::seq(&[&der::tlv(0x0c, text.as_bytes())]),
        &der::tlv(der::BIT_STRING, &bits),
    ]);
    der::seq(&[&status])
}

/// What a checked token says.
#[derive(Debug)]
pub struct Stamp {
    /// The time it attests.
    pub at: OffsetDateTime,
    /// The authority's certificate.
    pub signer: crate::cert::Cert,
    /// Certificates in the token.
    pub certs: Vec<crate::cert::Cert>,
}

/// Checks that `token` is a timestamp over `message`: imprint, signature and
/// purpose of the certificate. The chain is the caller's to check.
///
/// # Errors
/// Names the first rule that is broken.
pub fn check(token: &[u8], message: &[u8]) -> Result<Stamp, CmsError> {
    let signed = SignedData::from_der(token)?;
    if !signed.is_type(oids::TST_INFO) {
        return Err(CmsError::Rule("the timestamp holds no TSTInfo"));
    }
    let content = signed
        .content
        .ok_or(CmsError::Rule("the timestamp is empty"))?;
    let signer = signed.verify(content)?.clone();
    if !signer.only_for(oids::KP_TIME_STAMPING) {
        return Err(CmsError::Rule(
            "the certificate is not for timestamps alone",
        ));
    }
    let mut info = der::only(content, der::SEQUENCE)?.inside();
    info.take(der::INTEGER)?;
    info.take(der::OID)?;
    let mut imprint = info.take(der::SEQUENCE)?.inside();
    let algorithm = imprint
        .take(der::SEQUENCE)?
        .inside()
        .take(der::OID)?
        .content;
    let digest = imprint.take(der::OCTET_STRING)?.content;
    if digest != cms::hash(cms::hash_of(algorithm)?, message) {
        return Err(CmsError::Rule("the timestamp is over other bytes"));
    }
    info.take(der::INTEGER)?;
    let at = info.take(der::GENERALIZED_TIME)?.time()?;
    if !signer.valid_at(at) {
        return Err(CmsError::Rule(
            "the authority's certificate was not valid then",
        ));
    }
    Ok(Stamp {
        at,
        signer,
        certs: signed.certs,
    })
}
