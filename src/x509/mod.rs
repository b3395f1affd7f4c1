//! Certificates, CMS signatures, timestamp tokens, OCSP responses and CRLs:
//! read, checked and made. Pure: no I/O, no clock; whoever asks brings the time.
//!
//! Everything is sliced from the bytes it arrived in and embedded unchanged:
//! what has been signed is never encoded anew.

mod algorithm;
mod certificate;
pub mod cms;
pub mod crl;
mod name;
pub mod ocsp;
#[cfg(any(test, debug_assertions))]
pub mod testing;
#[cfg(test)]
mod tests;
mod tlv;
pub mod tsp;

pub use algorithm::{
    KeyKind, RsaScheme, SignatureAlgorithm, ecdsa_der_to_fixed, ecdsa_fixed_to_der, verify,
};
pub use certificate::{Cert, KeyUsage, issuer_and_serial, issuer_serial};
pub use const_oid::ObjectIdentifier;

use crate::base::hex;
use time::OffsetDateTime;

/// Baseline level of an AdES signature: how much of what a later validator
/// needs is inside it (EN 319 132-1 §6, EN 319 142-1 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// B-B: the signature itself.
    B,
    /// B-T: with a signature timestamp.
    T,
    /// B-LT: with certificates and revocation data.
    LT,
}

impl Level {
    /// The level's name without the format: `B-B`, `B-T`, `B-LT`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::B => "B-B",
            Self::T => "B-T",
            Self::LT => "B-LT",
        }
    }

    /// The level of such a name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::B, Self::T, Self::LT]
            .into_iter()
            .find(|level| level.as_str() == text)
    }
}

/// What an authority says about a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertStatus {
    /// Not revoked.
    Good,
    /// Revoked, or on hold.
    Revoked {
        /// Since when.
        at: OffsetDateTime,
        /// `CRLReason` (RFC 5280 §5.3.1).
        reason: Option<u8>,
    },
    /// The authority does not know it.
    Unknown,
}

/// What is wrong with a certificate or a CMS signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum X509Error {
    /// Larger than the limit.
    #[error("the {what} exceeds {limit_bytes} bytes")]
    TooLarge {
        /// What was read.
        what: &'static str,
        /// The limit.
        limit_bytes: usize,
    },
    /// Not the ASN.1 structure it should be.
    #[error("malformed {what}: {reason}")]
    Malformed {
        /// What was read.
        what: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A signature or digest algorithm that is unknown or too weak.
    #[error("the algorithm {identifier} is not accepted")]
    AlgorithmRefused {
        /// Its `AlgorithmIdentifier` in hexadecimal.
        identifier: String,
    },
    /// The key cannot make such signatures, or is too short.
    #[error("{algorithm:?} signatures with the key {key:?} are not accepted")]
    KeyMismatch {
        /// The algorithm stated.
        algorithm: SignatureAlgorithm,
        /// The key at hand.
        key: KeyKind,
    },
    /// The signature is not by this key over these bytes.
    #[error("the signature is wrong")]
    SignatureInvalid,
    /// The certificate names another issuer.
    #[error("the issuer's name is another one")]
    WrongIssuer,
    /// A CMS signature must have exactly one signer.
    #[error("{count} signers instead of one")]
    SignerCount {
        /// How many there are.
        count: usize,
    },
    /// The signer's certificate is not in the CMS signature.
    #[error("the signer's certificate is missing")]
    SignerMissing,
    /// An attribute is missing or occurs twice.
    #[error("the attribute {0} must occur exactly once")]
    Attribute(&'static str),
    /// The content type is another one.
    #[error("the content type is wrong")]
    ContentType,
    /// The message digest is of other content.
    #[error("the message digest belongs to other content")]
    MessageDigest,
    /// The signing certificate attribute names another certificate.
    #[error("the signature is bound to another certificate")]
    CertificateBinding,
}

impl X509Error {
    fn malformed(what: &'static str) -> impl Fn(tlv::Fault) -> Self {
        move |fault| Self::Malformed {
            what,
            reason: fault.0,
        }
    }

    fn algorithm(identifier: &[u8]) -> Self {
        let shown = identifier.get(..64).unwrap_or(identifier);
        Self::AlgorithmRefused {
            identifier: hex::encode(shown),
        }
    }
}
