//! What the strict verifiers refuse, in the words of EN 319 102-1. A broken
//! structure is a FORMAT_FAILURE; a signature that is well-formed but not of the
//! profile breaks a constraint of ours, which is no proof that it is wrong.

use super::indication::SubIndication as Sub;
use super::report::{BlockKind, Fault};
use super::signature::of_signature;
use crate::base::causes;
use crate::pades::PadesError;
use crate::x509::X509Error;
use crate::x509::tsp::TspError;
use crate::xades::XadesError;

/// Why an XML signature was refused.
pub(super) fn xades(error: &XadesError) -> Fault {
    let (block, sub) = match error {
        XadesError::Parse(_) => (BlockKind::Format, Sub::FormatFailure),
        XadesError::Slot { .. }
        | XadesError::AlreadySigned
        | XadesError::Profile(_)
        | XadesError::Level { .. }
        | XadesError::Certificate(_)
        | XadesError::Ocsp(_)
        | XadesError::Crl(_) => (BlockKind::Acceptance, Sub::SigConstraintsFailure),
        XadesError::Algorithm => (BlockKind::Acceptance, Sub::CryptoConstraintsFailure),
        XadesError::SignatureValue(Some(X509Error::KeyMismatch { .. })) => {
            (BlockKind::Acceptance, Sub::CryptoConstraintsFailure)
        }
        XadesError::SignatureValue(_) => (BlockKind::Cryptographic, Sub::SigCryptoFailure),
        XadesError::Digest(_) => (BlockKind::Cryptographic, Sub::HashFailure),
        XadesError::SigningCertificate => (
            BlockKind::SigningCertificate,
            Sub::NoSigningCertificateFound,
        ),
        XadesError::Timestamp(source) => return of_signature(timestamp(source)),
    };
    Fault::new(block, sub, causes(error))
}

/// Why a PDF signature was refused.
pub(super) fn pades(error: &PadesError) -> Fault {
    let (block, sub) = match error {
        PadesError::VerifyRead(_) | PadesError::VerifyUnsigned | PadesError::VerifyRange { .. } => {
            (BlockKind::Format, Sub::FormatFailure)
        }
        PadesError::VerifyFormat { .. }
        | PadesError::VerifyTime
        | PadesError::VerifyTwoTimes
        | PadesError::Prepare(_)
        | PadesError::Finish(_)
        | PadesError::Extend(_)
        | PadesError::ExtendCms(_)
        | PadesError::ExtendCovered
        | PadesError::ExtendNothing
        | PadesError::ExtendLevel { .. } => (BlockKind::Acceptance, Sub::SigConstraintsFailure),
        PadesError::VerifyCms(source) => cms(source),
        PadesError::VerifyTimestamp(source) => return of_signature(timestamp(source)),
    };
    Fault::new(block, sub, causes(error))
}

/// Why a timestamp was refused, by itself.
pub(super) fn timestamp(error: &TspError) -> Fault {
    let sub = match error {
        TspError::Malformed { .. } | TspError::Refused { .. } => Sub::FormatFailure,
        TspError::Signature(source) => cms(source).1,
        TspError::Imprint => Sub::HashFailure,
        TspError::Nonce => Sub::SigConstraintsFailure,
        TspError::Purpose(_) => Sub::ChainConstraintsFailure,
        TspError::SignerNotValid => Sub::OutOfBoundsNoPoe,
    };
    Fault::new(BlockKind::Timestamp, sub, causes(error))
}

/// Why a CMS signature was refused.
fn cms(error: &X509Error) -> (BlockKind, Sub) {
    match error {
        X509Error::TooLarge { .. }
        | X509Error::Malformed { .. }
        | X509Error::SignerCount { .. }
        | X509Error::ContentType => (BlockKind::Format, Sub::FormatFailure),
        X509Error::AlgorithmRefused { .. } | X509Error::KeyMismatch { .. } => {
            (BlockKind::Acceptance, Sub::CryptoConstraintsFailure)
        }
        X509Error::SignatureInvalid => (BlockKind::Cryptographic, Sub::SigCryptoFailure),
        X509Error::MessageDigest => (BlockKind::Cryptographic, Sub::HashFailure),
        X509Error::SignerMissing | X509Error::CertificateBinding | X509Error::WrongIssuer => (
            BlockKind::SigningCertificate,
            Sub::NoSigningCertificateFound,
        ),
        X509Error::Attribute(_) => (BlockKind::Acceptance, Sub::SigConstraintsFailure),
    }
}
