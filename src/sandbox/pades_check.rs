//! Judges the PAdES B-B signature of an embedded PDF (EN 319 142-1) from its
//! bytes alone: no PDF library, hence nothing shared with the daemon.

use crate::cms::{CmsError, SignedData};
use crate::oids;
use crate::xades_check::{Judge, XadesFault};
use sceau::base::hex;
use time::OffsetDateTime;

/// Why a PDF is refused.
#[derive(Debug, thiserror::Error)]
pub enum PadesFault {
    /// Not signed, or not as the profile says.
    #[error("the PDF {0}")]
    Rule(&'static str),
    /// The CMS inside is wrong.
    #[error("the PDF's signature: {0}")]
    Cms(#[from] CmsError),
    /// The signer's certificate is wrong.
    #[error("the PDF's signer: {0}")]
    Signer(#[from] XadesFault),
}

/// Judges the last signature of `pdf`, which must cover the whole file. `at`
/// is when the file existed for certain.
///
/// # Errors
/// The first fault found.
pub fn judge(judge: Judge<'_>, pdf: &[u8], at: OffsetDateTime) -> Result<(), PadesFault> {
    if !pdf.starts_with(b"%PDF-") {
        return Err(PadesFault::Rule("does not begin with %PDF-"));
    }
    let range = byte_range(pdf)?;
    let gap = pdf.get(range.gap_start..range.gap_end);
    let gap = gap.ok_or(PadesFault::Rule("has a ByteRange outside the file"))?;
    let digits = gap.strip_prefix(b"<").and_then(|g| g.strip_suffix(b">"));
    let digits = digits.ok_or(PadesFault::Rule("has a gap that is not the signature"))?;
    if !named(pdf, b"/SubFilter", b"/ETSI.CAdES.detached") {
        return Err(PadesFault::Rule(
            "has no signature of type ETSI.CAdES.detached",
        ));
    }
    let text = std::str::from_utf8(digits).ok();
    let padded = text
        .and_then(hex::decode)
        .ok_or(PadesFault::Rule("has a malformed signature"))?;
    let cms = unpadded(&padded)?;
    let signed = SignedData::from_der(cms)?;
    if signed.content.is_some() || !signed.is_type(oids::CMS_DATA) {
        return Err(PadesFault::Rule("has a signature that is not detached"));
    }
    let covered = [
        pdf.get(..range.gap_start).unwrap_or_default(),
        pdf.get(range.gap_end..).unwrap_or_default(),
    ];
    let signer = signed.verify(&covered.concat())?;
    if !signer.non_repudiation() {
        return Err(PadesFault::Rule(
            "is signed with a certificate for other uses",
        ));
    }
    Ok(judge.certificate(signer, at)?)
}

struct Range {
    gap_start: usize,
    gap_end: usize,
}

/// The last `/ByteRange [0 a b c]`, which must reach the end of the file.
fn byte_range(pdf: &[u8]) -> Result<Range, PadesFault> {
    const KEY: &[u8] = b"/ByteRange";
    let fault = PadesFault::Rule("has no usable ByteRange");
    let Some(start) = pdf.windows(KEY.len()).rposition(|w| w == KEY) else {
        return Err(PadesFault::Rule("is not signed"));
    };
    let rest = pdf.get(start + KEY.len()..).unwrap_or_default();
    let rest = &rest[..rest.len().min(200)];
    let (Some(open), Some(close)) = (
        rest.iter().position(|b| *b == b'['),
        rest.iter().position(|b| *b == b']'),
    ) else {
        return Err(fault);
    };
    let text = rest
        .get(open + 1..close)
        .and_then(|t| std::str::from_utf8(t).ok());
    let numbers: Option<Vec<usize>> = text
        .unwrap_or_default()
        .split_ascii_whitespace()
        .map(|n| n.parse().ok())
        .collect();
    match numbers.as_deref() {
        Some(&[0, gap_start, gap_end, length])
            if gap_start < gap_end && gap_end.checked_add(length) == Some(pdf.len()) =>
        {
            Ok(Range { gap_start, gap_end })
        }
        Some(&[0, _, _, _]) => Err(PadesFault::Rule("is not signed as a whole")),
        Some(_) | None => Err(fault),
    }
}

/// Whether the last `key` in the file is followed by `value`.
fn named(pdf: &[u8], key: &[u8], value: &[u8]) -> bool {
    let start = pdf.windows(key.len()).rposition(|w| w == key);
    let rest = start
        .and_then(|s| pdf.get(s + key.len()..))
        .unwrap_or_default();
    rest.trim_ascii_start().starts_with(value)
}

/// The CMS without the zeros that fill the reserved space.
fn unpadded(padded: &[u8]) -> Result<&[u8], PadesFault> {
    let fault = |_| PadesFault::Rule("has a malformed signature");
    let whole = crate::der::Reader(padded).any().map_err(fault)?.raw;
    let rest = padded.get(whole.len()..).unwrap_or_default();
    if rest.iter().any(|b| *b != 0) {
        return Err(PadesFault::Rule("hides bytes behind its signature"));
    }
    Ok(whole)
}
