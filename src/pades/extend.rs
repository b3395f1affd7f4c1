//! From B to T to LT. The timestamp goes into the place that was reserved for
//! it, the validation data into an incremental update: no signed byte changes.

use super::verify::{cms_of, token_of};
use super::{Level, PadesError};
use crate::pdf::{self, SignatureValue, SignedPdf, ValidationData};
use crate::x509::Cert;
use crate::x509::cms::{self, SignedData};

/// The bytes that the signature timestamp of the last signature covers: its
/// signature value (RFC 3161 Appendix A, EN 319 122-1 §5.3).
///
/// # Errors
/// No signature that can be read.
pub fn timestamp_input(pdf: &[u8]) -> Result<Vec<u8>, PadesError> {
    let (_, data) = last(pdf)?;
    let value = data.signature_value().map_err(PadesError::VerifyCms)?;
    Ok(value.to_vec())
}

/// Puts the DER of a timestamp token into the last signature, of level B, as
/// unsigned attribute signature-time-stamp (EN 319 122-1 §5.3). One that was
/// made over something else is refused.
///
/// # Errors
/// Another level; a later signature over this one; a token that is not over
/// this signature, or for which the place is too small.
pub fn extend_t(pdf: &[u8], token: &[u8]) -> Result<Vec<u8>, PadesError> {
    let (value, data) = last(pdf)?;
    if token_of(&data)?.is_some() {
        return Err(PadesError::ExtendLevel {
            have: Level::T,
            wanted: Level::B,
        });
    }
    let cms = cms::with_signature_timestamp(cms_of(&value.contents)?, token)
        .map_err(PadesError::ExtendCms)?;
    token_of(&SignedData::from_der(&cms).map_err(PadesError::ExtendCms)?)?;
    let mut extended = pdf.to_vec();
    pdf::fill(&mut extended, &value.place, &cms).map_err(PadesError::Extend)?;
    Ok(extended)
}

/// Adds the validation data of the last signature, of level T, to the document
/// security store: `certificates` are those of the signer's, the timestamp
/// authority's and the OCSP responders' chains, `ocsp` whole `OCSPResponse`s and
/// `crls` `CertificateList`s, all in DER. What the store holds already is not
/// added again.
///
/// # Errors
/// Another level; no revocation data; a file that would become too large.
pub fn extend_lt(
    pdf: &[u8],
    certificates: &[Cert],
    ocsp: &[Vec<u8>],
    crls: &[Vec<u8>],
) -> Result<Vec<u8>, PadesError> {
    if ocsp.is_empty() && crls.is_empty() {
        return Err(PadesError::ExtendNothing);
    }
    let (_, data) = last(pdf)?;
    if token_of(&data)?.is_none() {
        return Err(PadesError::ExtendLevel {
            have: Level::B,
            wanted: Level::T,
        });
    }
    let data = ValidationData {
        certificates: certificates.iter().map(|c| c.der().to_vec()).collect(),
        ocsp: ocsp.to_vec(),
        crls: crls.to_vec(),
    };
    pdf::append_validation_data(pdf, &data).map_err(PadesError::Extend)
}

/// The last signature value, which nothing later covers, and its CMS.
fn last(pdf: &[u8]) -> Result<(SignatureValue, SignedData), PadesError> {
    let values = SignedPdf::open(pdf)
        .map_err(PadesError::VerifyRead)?
        .signatures();
    let value = values
        .into_iter()
        .next_back()
        .ok_or(PadesError::VerifyUnsigned)?;
    let value = value.map_err(PadesError::VerifyRead)?;
    if value.timestamp {
        return Err(PadesError::ExtendCovered);
    }
    let data = SignedData::from_der(cms_of(&value.contents)?).map_err(PadesError::VerifyCms)?;
    Ok((value, data))
}
