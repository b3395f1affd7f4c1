//! PAdES baseline signatures (EN 319 142-1 §6.3) of one fixed profile. B-B is
//! [`prepare`] and [`Prepared::finish`], B-T is [`extend_t`], B-LT is
//! [`extend_lt`]; [`verify`] accepts this profile and nothing else.
//!
//! Sans-IO: key, timestamp and revocation data come from the caller. The
//! certificates' trust, validity and revocation are not looked at: that is the
//! business of `trust`.

mod extend;
mod signing;
#[cfg(test)]
mod tests;
mod verify;

pub use crate::pdf::Changes;
pub use crate::x509::Level;
pub use extend::{extend_lt, extend_t, timestamp_input};
pub use signing::{Prepared, prepare};
pub use verify::{Dss, Verified, verify, verify_all};

use crate::pdf::PdfError;
use crate::x509::X509Error;
use crate::x509::tsp::TspError;

/// The format of every PAdES baseline signature.
const FORMAT: &str = "ETSI.CAdES.detached";

/// Why a PDF cannot be signed or extended, or its signature is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum PadesError {
    /// Damaged, encrypted, or closed to signatures by its author or signers.
    #[error("prepare: the PDF cannot take a signature")]
    Prepare(#[source] PdfError),
    /// The CMS is larger than its place.
    #[error("finish: the signature does not fit into the PDF")]
    Finish(#[source] PdfError),
    /// The timestamp or the validation data do not go in.
    #[error("extend: the PDF cannot take more validation data")]
    Extend(#[source] PdfError),
    /// The CMS that should get the timestamp cannot be read.
    #[error("extend: the CMS signature cannot take a timestamp")]
    ExtendCms(#[source] X509Error),
    /// A later signature or document timestamp covers the one to be extended
    /// and would be voided.
    #[error("extend: a later signature or document timestamp covers the signature")]
    ExtendCovered,
    /// Level LT is about revocation data.
    #[error("extend: level LT needs revocation data")]
    ExtendNothing,
    /// The signature is not of the level from which this step starts.
    #[error("extend: the signature is of level {have:?}, this step needs level {wanted:?}")]
    ExtendLevel {
        /// The level found.
        have: Level,
        /// The level needed.
        wanted: Level,
    },
    /// The PDF, or one of its signature fields.
    #[error("verify: the PDF cannot be read")]
    VerifyRead(#[source] PdfError),
    /// No field of the form bears a signature.
    #[error("verify: the PDF bears no signature")]
    VerifyUnsigned,
    /// Another `SubFilter`.
    #[error("verify: the signature has the format {format:?} instead of {FORMAT}")]
    VerifyFormat {
        /// As the file names it.
        format: String,
    },
    /// No readable `M`.
    #[error("verify: the signature states no time")]
    VerifyTime,
    /// The CMS claims a time, which only `M` may (EN 319 142-1 §6.3).
    #[error("verify: the signature states a second time")]
    VerifyTwoTimes,
    /// Something beside the contents is not covered.
    #[error("verify: the byte range does not leave out exactly the signature: {what}")]
    VerifyRange {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The CMS, its digest, its signature value or its certificate binding.
    #[error("verify: the CMS signature is not accepted")]
    VerifyCms(#[source] X509Error),
    /// The timestamp token cannot be read, or is not one over this signature.
    #[error("verify: the signature timestamp is not valid for this signature")]
    VerifyTimestamp(#[source] TspError),
}
