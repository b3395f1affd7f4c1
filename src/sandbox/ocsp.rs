//! The OCSP responder (RFC 6960) and the check of its answers.

use crate::cert::{Cert, CertError, EcdsaForm, Scheme};
use crate::der::{self, DerError, Tlv};
use crate::oids;
use crate::pki::Pki;
use crate::registry::{Registry, Standing};
use crate::scenario::Fault;
use aws_lc_rs::digest;
use time::{Duration, OffsetDateTime};

/// OCSPResponseStatus: the request is malformed.
const MALFORMED: u8 = 1;
/// OCSPResponseStatus: try later.
const TRY_LATER: u8 = 3;
/// OCSPResponseStatus: not authorised (RFC 6960 §2.3).
const UNAUTHORIZED: u8 = 6;

/// How long an answer holds.
const VALIDITY: Duration = Duration::hours(1);

/// Answers an OCSPRequest.
pub fn respond(
    pki: &Pki,
    registry: &Registry,
    request: &[u8],
    now: OffsetDateTime,
    fault: Option<Fault>,
) -> Vec<u8> {
    if fault == Some(Fault::Refuse) {
        return error(TRY_LATER);
    }
    let Ok((ids, nonce)) = read(request) else {
        return error(MALFORMED);
    };
    let at = match fault {
        Some(Fault::Stale) => now - Duration::days(2),
        _ => now,
    };
    let mut singles = Vec::new();
    for id in &ids {
        match single(pki, registry, id, at) {
            Ok(Some(answer)) => singles.extend(answer),
            Ok(None) => return error(UNAUTHORIZED),
            Err(_) => return error(MALFORMED),
        }
    }
    let signer = match fault {
        Some(Fault::ExpiredCertificate) => &pki.ocsp_expired,
        _ => &pki.ocsp,
    };
    let nonce = match nonce {
        Some(raw) => der::context(1, &der::seq(&[raw])),
        None => Vec::new(),
    };
    let data = der::seq(&[
        &der::context(
            2,
            &der::tlv(der::OCTET_STRING, &sha1(signer.cert.key_bits())),
        ),
        &der::generalized_time(at),
        &der::tlv(der::SEQUENCE, &singles),
        &nonce,
    ]);
    let mut signature = signer.sign(&data);
    if fault == Some(Fault::BadAnswerSignature)
        && let Some(last) = signature.last_mut()
    {
        *last ^= 1;
    }
    let certs = der::context(0, &der::seq(&[signer.cert.der()]));
    let basic = der::seq(&[
        &data,
        &signer.algorithm(),
        &der::bit_string(&signature),
        &certs,
    ]);
    let bytes = der::seq(&[
        &der::oid(oids::OCSP_BASIC),
        &der::tlv(der::OCTET_STRING, &basic),
    ]);
    der::seq(&[&der::tlv(der::ENUMERATED, &[0]), &der::context(0, &bytes)])
}

fn error(status: u8) -> Vec<u8> {
    der::seq(&[&der::tlv(der::ENUMERATED, &[status])])
}

/// The CertIDs asked for and the nonce extension as it came.
fn read(request: &[u8]) -> Result<(Vec<Tlv<'_>>, Option<&[u8]>), DerError> {
    let mut outer = der::only(request, der::SEQUENCE)?.inside();
    let mut fields = outer.take(der::SEQUENCE)?.inside();
    fields.optional(0xa0)?;
    fields.optional(0xa1)?;
    let mut ids = Vec::new();
    for item in fields.take(der::SEQUENCE)?.inside().all()? {
        ids.push(item.inside().take(der::SEQUENCE)?);
    }
    let mut nonce = None;
    if let Some(list) = fields.optional(0xa2)? {
        for extension in list.inside().take(der::SEQUENCE)?.inside().all()? {
            if extension.inside().take(der::OID)?.content == der::oid_content(oids::OCSP_NONCE) {
                nonce = Some(extension.raw);
            }
        }
    }
    Ok((ids, nonce))
}

/// A SingleResponse, or nothing when the issuer is not ours.
fn single(
    pki: &Pki,
    registry: &Registry,
    id: &Tlv<'_>,
    at: OffsetDateTime,
) -> Result<Option<Vec<u8>>, DerError> {
    if !names_issuer(id, &pki.issuing.cert)? {
        return Ok(None);
    }
    let status = match registry.standing(serial(id)?) {
        Standing::Good => der::tlv(0x80, &[]),
        Standing::Unknown => der::tlv(0x82, &[]),
        Standing::Revoked { at, reason } => {
            let reason = der::context(0, &der::tlv(der::ENUMERATED, &[reason]));
            der::context(1, &[der::generalized_time(at), reason].concat())
        }
    };
    let next = der::context(0, &der::generalized_time(at + VALIDITY));
    Ok(Some(der::seq(&[
        id.raw,
        &status,
        &der::generalized_time(at),
        &next,
    ])))
}

/// Whether a CertID's hashes are those of this issuer (SHA-1 or SHA-256).
fn names_issuer(id: &Tlv<'_>, issuer: &Cert) -> Result<bool, DerError> {
    let mut fields = id.inside();
    let algorithm = fields.take(der::SEQUENCE)?.inside().take(der::OID)?.content;
    let hash = match () {
        () if algorithm == der::oid_content(oids::SHA1) => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        () if algorithm == der::oid_content(oids::SHA256) => &digest::SHA256,
        () => return Ok(false),
    };
    let name = fields.take(der::OCTET_STRING)?.content;
    let key = fields.take(der::OCTET_STRING)?.content;
    Ok(name == digest::digest(hash, issuer.subject()).as_ref()
        && key == digest::digest(hash, issuer.key_bits()).as_ref())
}

fn serial<'a>(id: &Tlv<'a>) -> Result<&'a [u8], DerError> {
    let mut fields = id.inside();
    fields.take(der::SEQUENCE)?;
    fields.take(der::OCTET_STRING)?;
    fields.take(der::OCTET_STRING)?;
    Ok(fields.take(der::INTEGER)?.unsigned())
}

fn sha1(bytes: &[u8]) -> Vec<u8> {
    let algorithm = &digest::SHA1_FOR_LEGACY_USE_ONLY;
    digest::digest(algorithm, bytes).as_ref().to_vec()
}

/// The period a "not revoked" speaks of: thisUpdate and nextUpdate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Good {
    pub since: OffsetDateTime,
    pub until: Option<OffsetDateTime>,
}

/// The period of a correctly signed "good" for `cert` in an OCSPResponse; an
/// answer about other certificates is `None`.
///
/// # Errors
/// [`CertError`] when the answer cannot be read or its signature or responder
/// is wrong.
pub fn good_for(answer: &[u8], cert: &Cert, issuer: &Cert) -> Result<Option<Good>, CertError> {
    let mut outer = der::only(answer, der::SEQUENCE)?.inside();
    outer.take(der::ENUMERATED)?;
    let mut bytes = outer.take(0xa0)?.inside().take(der::SEQUENCE)?.inside();
    bytes.take(der::OID)?;
    let basic = bytes.take(der::OCTET_STRING)?.content;
    let mut basic = der::only(basic, der::SEQUENCE)?.inside();
    let data = basic.take(der::SEQUENCE)?;
    let algorithm = basic.take(der::SEQUENCE)?.raw;
    let signature = basic.take(der::BIT_STRING)?.bits()?;
    let mut responders = vec![issuer.clone()];
    if let Some(list) = basic.optional(0xa0)? {
        for item in list.inside().take(der::SEQUENCE)?.inside().all()? {
            responders.push(Cert::from_der(item.raw)?);
        }
    }
    let Some(good) = good_in(data, cert, issuer)? else {
        return Ok(None);
    };
    let scheme = Scheme::from_identifier(algorithm, None)?;
    let may_answer = |c: &Cert| {
        c == issuer
            || (c.only_for(oids::KP_OCSP_SIGNING)
                && c.valid_at(good.since)
                && c.issued_by(issuer).is_ok())
    };
    let signed = |c: &&Cert| {
        may_answer(c)
            && c.verify(scheme, EcdsaForm::Der, data.raw, signature)
                .is_ok()
    };
    if responders.iter().any(|c| signed(&c)) {
        return Ok(Some(good));
    }
    Err(CertError::Signature)
}

/// The period of the "good" for `cert` in a ResponseData.
fn good_in(data: Tlv<'_>, cert: &Cert, issuer: &Cert) -> Result<Option<Good>, DerError> {
    let mut fields = data.inside();
    fields.optional(0xa0)?;
    fields.any()?;
    fields.take(der::GENERALIZED_TIME)?;
    for item in fields.take(der::SEQUENCE)?.inside().all()? {
        let mut single = item.inside();
        let id = single.take(der::SEQUENCE)?;
        let status = single.any()?;
        let since = single.take(der::GENERALIZED_TIME)?.time()?;
        let next = single.optional(0xa0)?.map(|next| next.inside());
        let next = next.map(|mut next| next.take(der::GENERALIZED_TIME)?.time());
        let until = next.transpose()?;
        if status.tag == 0x80 && serial(&id)? == cert.serial() && names_issuer(&id, issuer)? {
            return Ok(Some(Good { since, until }));
        }
    }
    Ok(None)
}
