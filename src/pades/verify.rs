//! The verifier: one profile, every value recomputed.

use super::{FORMAT, Level, PadesError};
use crate::base::digest::sha256;
use crate::pdf::{Changes, SignatureValue, SignedPdf};
use crate::x509::cms::SignedData;
use crate::x509::crl::Crl;
use crate::x509::ocsp::OcspResponse;
use crate::x509::tsp::TimestampToken;
use crate::x509::{Cert, SignatureAlgorithm, X509Error};
use std::collections::HashSet;
use time::OffsetDateTime;

/// Verifications that tell which level a signature claims; a store of a
/// thousand certificates and lists takes no more.
const VERIFICATIONS_MAX: usize = 64;

/// A verified signature. That the signer may be trusted is not said.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The full name of the signature field.
    pub field: String,
    /// The certificate whose key signed and to which the signature is bound.
    pub signer: Cert,
    /// All certificates the CMS carries, without those of the timestamp.
    pub certificates: Vec<Cert>,
    /// The algorithm of the signature.
    pub algorithm: SignatureAlgorithm,
    /// The time the signer claims.
    pub signing_time: OffsetDateTime,
    /// The level the signature has by what the file contains.
    pub level: Level,
    /// The signature timestamp, from level T; over this signature.
    pub token: Option<TimestampToken>,
    /// The document security store, for all signatures of the file.
    pub dss: Dss,
    /// What came after the signed revision.
    pub changes_after: Changes,
}

/// The readable values of the document security store (EN 319 142-1 §5.4.2).
#[derive(Debug, Clone, Default)]
pub struct Dss {
    /// Certificates.
    pub certificates: Vec<Cert>,
    /// OCSP responses.
    pub ocsp: Vec<OcspResponse>,
    /// Revocation lists.
    pub crls: Vec<Crl>,
}

/// Verifies the last signature of a PDF, document timestamps apart: format,
/// byte range, message digest, signature value, its binding to the signer's
/// certificate, and its timestamp.
///
/// # Errors
/// Names the check that failed. A file with any signature field that cannot be
/// read is refused.
pub fn verify(pdf: &[u8]) -> Result<Verified, PadesError> {
    let document = SignedPdf::open(pdf).map_err(PadesError::VerifyRead)?;
    let values = document
        .signatures()
        .into_iter()
        .collect::<Result<Vec<_>, _>>();
    let values = values.map_err(PadesError::VerifyRead)?;
    let value = values.iter().rfind(|value| !value.timestamp);
    verify_value(
        pdf,
        &document,
        &dss(&document),
        value.ok_or(PadesError::VerifyUnsigned)?,
    )
}

/// Verifies each signature of a PDF, oldest first, document timestamps apart;
/// those that cannot be read come last.
///
/// # Errors
/// Only when the PDF itself cannot be read.
pub fn verify_all(pdf: &[u8]) -> Result<Vec<Result<Verified, PadesError>>, PadesError> {
    let document = SignedPdf::open(pdf).map_err(PadesError::VerifyRead)?;
    let dss = dss(&document);
    let values = document.signatures().into_iter();
    let values = values.filter(|value| !matches!(value, Ok(value) if value.timestamp));
    Ok(values
        .map(|value| {
            let value = value.map_err(PadesError::VerifyRead)?;
            verify_value(pdf, &document, &dss, &value)
        })
        .collect())
}

fn verify_value(
    pdf: &[u8],
    document: &SignedPdf<'_>,
    dss: &Dss,
    value: &SignatureValue,
) -> Result<Verified, PadesError> {
    if value.format != FORMAT {
        return Err(PadesError::VerifyFormat {
            format: value.format.clone(),
        });
    }
    let signing_time = value.signing_time.ok_or(PadesError::VerifyTime)?;
    let signed = value
        .signed(pdf)
        .map_err(|what| PadesError::VerifyRange { what })?;
    let data = SignedData::from_der(cms_of(&value.contents)?).map_err(PadesError::VerifyCms)?;
    let verified = data
        .verify_detached_content(&signed)
        .map_err(PadesError::VerifyCms)?;
    if verified.claims_time {
        return Err(PadesError::VerifyTwoTimes);
    }
    let token = token_of(&data)?;
    let certificates = data.certificates().to_vec();
    let level = match &token {
        None => Level::B,
        Some(_) if dss.tells_of(&verified.signer, &certificates) => Level::LT,
        Some(_) => Level::T,
    };
    Ok(Verified {
        field: value.field.clone(),
        signer: verified.signer,
        certificates,
        algorithm: verified.algorithm,
        signing_time,
        level,
        token,
        dss: dss.clone(),
        changes_after: document.changes_after(value),
    })
}

impl Dss {
    /// Whether there are revocation data about a certificate: the store may
    /// hold those of an earlier signature only. The newest come last.
    pub(super) fn tells_of(&self, signer: &Cert, more: &[Cert]) -> bool {
        let mut left = VERIFICATIONS_MAX;
        let mut may = || {
            let may = left > 0;
            left = usize::saturating_sub(left, 1);
            may
        };
        let mut seen = HashSet::new();
        let issuers = more.iter().chain(&self.certificates);
        let issuers = issuers.filter(|issuer| issuer.subject_der() == signer.issuer_der());
        for issuer in issuers.filter(|issuer| seen.insert(issuer.der())) {
            if !may() || signer.verify_issued_by(issuer).is_err() {
                continue;
            }
            // Most are about other certificates, which costs nothing.
            let mut answers = self.ocsp.iter().rev();
            if answers.any(|ocsp| {
                ocsp.is_about(signer, issuer) && may() && ocsp.check(signer, issuer).is_ok()
            }) {
                return true;
            }
            let mut lists = self.crls.iter().rev();
            if lists.any(|crl| {
                crl.issuer_der() == signer.issuer_der() && may() && crl.verify(issuer).is_ok()
            }) {
                return true;
            }
        }
        false
    }
}

fn dss(document: &SignedPdf<'_>) -> Dss {
    let data = document.validation_data();
    Dss {
        certificates: data
            .certificates
            .iter()
            .filter_map(|der| Cert::from_der(der).ok())
            .collect(),
        ocsp: data
            .ocsp
            .iter()
            .filter_map(|der| OcspResponse::from_der(der).ok())
            .collect(),
        crls: data
            .crls
            .iter()
            .filter_map(|der| Crl::from_der(der).ok())
            .collect(),
    }
}

/// The signature timestamp, which must be one over this signature value.
pub(super) fn token_of(data: &SignedData) -> Result<Option<TimestampToken>, PadesError> {
    let Some(token) = data.signature_timestamp().map_err(PadesError::VerifyCms)? else {
        return Ok(None);
    };
    let token = TimestampToken::from_der(&token).map_err(PadesError::VerifyTimestamp)?;
    let value = data.signature_value().map_err(PadesError::VerifyCms)?;
    token
        .verify(&sha256(value), None)
        .map_err(PadesError::VerifyTimestamp)?;
    Ok(Some(token))
}

/// The CMS, which is DER (EN 319 142-1 §5.3), without the zero bytes that fill
/// its place.
pub(super) fn cms_of(contents: &[u8]) -> Result<&[u8], PadesError> {
    der_length(contents)
        .and_then(|length| contents.split_at_checked(length))
        .filter(|(_, fill)| fill.iter().all(|byte| *byte == 0))
        .map(|(cms, _)| cms)
        .ok_or(PadesError::VerifyCms(X509Error::Malformed {
            what: "CMS signature",
            reason: "its length does not fit its place",
        }))
}

/// Length of the first DER element, header included.
fn der_length(bytes: &[u8]) -> Option<usize> {
    let short = *bytes.get(1)?;
    if short < 0x80 {
        return Some(2 + usize::from(short));
    }
    let count = usize::from(short & 0x7f);
    if count == 0 || count > 4 {
        return None;
    }
    let length = bytes
        .get(2..2 + count)?
        .iter()
        .fold(0usize, |length, byte| length << 8 | usize::from(*byte));
    length.checked_add(2 + count)
}
