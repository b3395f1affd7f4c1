//! Revocation lists (RFC 5280 §5), made anew at every request, and their check.

use crate::cert::{Cert, CertError, EcdsaForm, Scheme};
use crate::der;
use crate::ocsp::Good;
use crate::oids;
use crate::pki::Entity;
use crate::registry::Registry;
use time::{Duration, OffsetDateTime};

/// Makes the list of `ca` as of now. The issuing CA's list holds the
/// registry's revocations; the root has revoked nothing.
pub fn make(ca: &Entity, registry: Option<&Registry>, now: OffsetDateTime) -> Vec<u8> {
    let mut entries = Vec::new();
    for (serial, at, reason) in registry.map(Registry::revoked).unwrap_or_default() {
        let reason = extension(oids::CRL_REASON, &der::tlv(der::ENUMERATED, &[reason]));
        let reason = der::seq(&[&reason]);
        entries.extend(der::seq(&[&der::integer(&serial), &der::time(at), &reason]));
    }
    let entries = match entries.as_slice() {
        [] => Vec::new(),
        list => der::tlv(der::SEQUENCE, list),
    };
    let key_id = der::tlv(0x80, ca.cert.key_id().unwrap_or_default());
    let number = der::small(sceau::base::clock::unix_ms(now).unsigned_abs());
    let extensions = der::seq(&[
        &extension(oids::AUTHORITY_KEY_ID, &der::seq(&[&key_id])),
        &extension(oids::CRL_NUMBER, &number),
    ]);
    let tbs = der::seq(&[
        &der::small(1),
        &ca.algorithm(),
        ca.cert.subject(),
        &der::time(now),
        &der::time(now + Duration::hours(1)),
        &entries,
        &der::context(0, &extensions),
    ]);
    let signature = der::bit_string(&ca.sign(&tbs));
    der::seq(&[&tbs, &ca.algorithm(), &signature])
}

fn extension(id: &[u64], value: &[u8]) -> Vec<u8> {
    der::seq(&[&der::oid(id), &der::tlv(der::OCTET_STRING, value)])
}

/// The period of a correctly signed list of `issuer` that does not name
/// `cert`; `None` when the list is another issuer's or names it.
///
/// # Errors
/// [`CertError`] when the list cannot be read or its signature is wrong.
pub fn good_for(list: &[u8], cert: &Cert, issuer: &Cert) -> Result<Option<Good>, CertError> {
    let mut outer = der::only(list, der::SEQUENCE)?.inside();
    let tbs = outer.take(der::SEQUENCE)?;
    let algorithm = outer.take(der::SEQUENCE)?.raw;
    let signature = outer.take(der::BIT_STRING)?.bits()?;
    let mut fields = tbs.inside();
    fields.optional(der::INTEGER)?;
    fields.take(der::SEQUENCE)?;
    if fields.take(der::SEQUENCE)?.raw != issuer.subject() {
        return Ok(None);
    }
    let since = fields.any()?.time()?;
    let until = match fields.peek() {
        Some(der::UTC_TIME | der::GENERALIZED_TIME) => Some(fields.any()?.time()?),
        Some(_) | None => None,
    };
    let entries = match fields.optional(der::SEQUENCE)? {
        Some(entries) => entries.inside().all()?,
        None => Vec::new(),
    };
    for entry in entries {
        if entry.inside().take(der::INTEGER)?.unsigned() == cert.serial() {
            return Ok(None);
        }
    }
    let scheme = Scheme::from_identifier(algorithm, None)?;
    issuer.verify(scheme, EcdsaForm::Der, tbs.raw, signature)?;
    Ok(Some(Good { since, until }))
}
