//! PAdES baseline signatures of level B-B (EN 319 142-1 §6.3): prepared here,
//! signed elsewhere, put together here, and verified by the same fixed profile.
//!
//! The certificate's trust, validity and revocation are not looked at: that is
//! the business of `trust`.

use crate::pdf::{self, PdfError, SignatureValue, Slot};
use crate::x509::cms::{self, SignedData};
use crate::x509::{Cert, SignatureAlgorithm, X509Error};
use time::OffsetDateTime;

/// The format of every PAdES baseline signature.
const FORMAT: &str = "ETSI.CAdES.detached";

/// Why a PDF cannot be signed, or its signature is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum PadesError {
    #[error("prepare: the PDF cannot take a signature")]
    Prepare(#[source] PdfError),
    #[error("finish: the signature does not fit into the PDF")]
    Finish(#[source] PdfError),
    #[error("verify: the PDF cannot be read")]
    VerifyRead(#[source] PdfError),
    #[error("verify: the PDF bears no signature")]
    VerifyUnsigned,
    #[error("verify: the signature has the format {format:?} instead of {FORMAT}")]
    VerifyFormat { format: String },
    #[error("verify: the signature states no time")]
    VerifyTime,
    #[error("verify: the byte range does not leave out exactly the signature: {what}")]
    VerifyRange { what: &'static str },
    #[error("verify: the CMS signature is not accepted")]
    VerifyCms(#[source] X509Error),
}

/// A PDF that waits for its signature.
#[derive(Debug)]
pub struct Prepared {
    slot: Slot,
    signed_attributes: Vec<u8>,
    signer: Cert,
    chain: Vec<Cert>,
    algorithm: SignatureAlgorithm,
}

/// Appends an empty, invisible signature to a PDF, whose bytes stay unchanged.
///
/// `chain` are the certificates to embed beside the signer's; `signing_time`
/// becomes the claimed time `/M`. Whether the file is plausible PDF/A is asked
/// before, with [`pdf::precheck`].
///
/// # Errors
/// [`PadesError::Prepare`]: damaged, encrypted, or certified against changes.
pub fn prepare(
    pdf: &[u8],
    signer: &Cert,
    chain: &[Cert],
    algorithm: SignatureAlgorithm,
    signing_time: OffsetDateTime,
) -> Result<Prepared, PadesError> {
    let slot = pdf::append_signature(pdf, signing_time).map_err(PadesError::Prepare)?;
    let digest = algorithm.content_digest(&slot.signed());
    Ok(Prepared {
        signed_attributes: cms::signed_attributes(&digest, signer),
        slot,
        signer: signer.clone(),
        chain: chain.to_vec(),
        algorithm,
    })
}

impl Prepared {
    /// The bytes to be signed: the signed attributes in DER.
    pub fn to_be_signed(&self) -> &[u8] {
        &self.signed_attributes
    }

    /// Puts the signature value in: PKCS#1, or the DER form for ECDSA.
    ///
    /// # Errors
    /// [`PadesError::Finish`] when signature and certificates exceed
    /// [`crate::base::limits::PDF_CMS_BYTES`].
    pub fn finish(self, signature: &[u8]) -> Result<Vec<u8>, PadesError> {
        let cms = cms::assemble(
            &self.signer,
            &self.chain,
            &self.signed_attributes,
            self.algorithm,
            signature,
        );
        self.slot.fill(&cms).map_err(PadesError::Finish)
    }
}

/// A verified signature. That the signer may be trusted is not said.
#[derive(Debug, Clone)]
pub struct Signature {
    /// The certificate whose key signed and to which the signature is bound.
    pub signer: Cert,
    /// All certificates the signature carries.
    pub certificates: Vec<Cert>,
    /// The time the signer claims.
    pub signing_time: OffsetDateTime,
    /// Whether nothing follows what was signed. Earlier signatures of a file
    /// need not cover what was appended later; the last one must.
    pub covers_whole_file: bool,
}

/// Verifies the last signature of a PDF: format, byte range, message digest,
/// signature value and its binding to the signer's certificate.
///
/// # Errors
/// Names the check that failed.
pub fn verify(pdf: &[u8]) -> Result<Signature, PadesError> {
    let values = pdf::signatures(pdf).map_err(PadesError::VerifyRead)?;
    let value = values.last().ok_or(PadesError::VerifyUnsigned)?;
    if value.format != FORMAT {
        return Err(PadesError::VerifyFormat {
            format: value.format.clone(),
        });
    }
    let signing_time = value.signing_time.ok_or(PadesError::VerifyTime)?;
    let signed = signed_pieces(pdf, value)?;
    let data = SignedData::from_der(cms_of(&value.contents)?).map_err(PadesError::VerifyCms)?;
    let verified = data
        .verify_detached_content(&signed)
        .map_err(PadesError::VerifyCms)?;
    Ok(Signature {
        signer: verified.signer,
        certificates: data.certificates().to_vec(),
        signing_time,
        covers_whole_file: value.end() == Some(pdf.len()),
    })
}

/// The two signed pieces, which begin with the file and leave out nothing but
/// the hexadecimal string of the contents: a wider gap could hide anything.
fn signed_pieces<'a>(pdf: &'a [u8], value: &SignatureValue) -> Result<[&'a [u8]; 2], PadesError> {
    let bad = |what| PadesError::VerifyRange { what };
    let [start, ..] = value.byte_range;
    if start != 0 {
        return Err(bad("it does not begin with the file"));
    }
    let (gap, end) = value
        .gap()
        .zip(value.end())
        .ok_or_else(|| bad("its pieces overlap"))?;
    let (Some(before), Some(hole), Some(after)) = (
        pdf.get(..gap.start),
        pdf.get(gap.clone()),
        pdf.get(gap.end..end),
    ) else {
        return Err(bad("it reaches beyond the file"));
    };
    let digits = hole
        .strip_prefix(b"<")
        .and_then(|rest| rest.strip_suffix(b">"))
        .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .ok_or_else(|| bad("its gap is no hexadecimal string"))?;
    if crate::base::hex::decode(digits).as_deref() != Some(value.contents.as_slice()) {
        return Err(bad("its gap is not the signature's contents"));
    }
    Ok([before, after])
}

/// The CMS, which is DER (EN 319 142-1 §5.3), without the zero bytes that fill
/// its place.
fn cms_of(contents: &[u8]) -> Result<&[u8], PadesError> {
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
