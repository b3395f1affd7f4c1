//! XAdES: enveloped signatures inside a form, of one fixed profile.
//!
//! EN 319 132-1 baseline: exclusive canonicalization, SHA-256, exactly two
//! references (the document, `URI=""`, and the signed properties), the
//! signer's certificate in `KeyInfo` and bound by `SigningCertificateV2`. Where
//! the signature stands is for the form to say: a [`Slot`].
//! B-B is [`prepare`] and [`Prepared::finish`], T is [`Envelope::extend_t`],
//! LT is [`Envelope::extend_lt`]; [`verify`] accepts this profile and nothing else, which is
//! what keeps signature wrapping out.
//!
//! Sans-IO: the private key, the timestamp and the revocation data come from
//! the caller. Nothing is ever serialised anew: every step inserts bytes into
//! the document it was given, and all that stands outside the signature slot
//! stays as its author wrote it.

mod envelope;
mod profile;
mod signing;
#[cfg(test)]
mod tests;
mod verify;

pub use envelope::Envelope;
pub use signing::{Prepared, prepare, prepare_parsed};
pub use verify::{Verified, slot_of, verify, verify_parsed};

pub use crate::x509::Level;
pub use crate::xml::path::Slot;

use crate::x509::X509Error;
use crate::x509::crl::CrlError;
use crate::x509::ocsp::OcspError;
use crate::x509::tsp::TspError;
use crate::xml::XmlError;

/// A signed thing, named in errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// The document without its signature.
    Document,
    /// The signed properties.
    Properties,
}

/// Why a signature could not be made, extended or accepted.
#[derive(Debug, thiserror::Error)]
pub enum XadesError {
    /// The document is not XML we accept.
    #[error("the document could not be read")]
    Parse(#[source] XmlError),
    /// The slot is not there exactly once, is not empty when signing, or holds
    /// more than the signature.
    #[error("the signature does not fit its slot: {found}")]
    Slot {
        /// What was found instead.
        found: String,
    },
    /// A document to be signed already holds a `ds:Signature`.
    #[error("the document already carries a signature")]
    AlreadySigned,
    /// The algorithm has no XML-DSig identifier.
    #[error("the signature algorithm cannot be used in XML signatures")]
    Algorithm,
    /// The signature value was not made with the signer certificate's key.
    #[error("the signature value does not match the signer's certificate")]
    SignatureValue(#[source] Option<X509Error>),
    /// The signature does not have the form that the profile prescribes.
    #[error("the signature does not follow the profile: {0}")]
    Profile(String),
    /// What was signed has been changed.
    #[error("the digest of the signed {} differs", match .0 {
        Signed::Document => "document",
        Signed::Properties => "properties",
    })]
    Digest(Signed),
    /// `SigningCertificateV2` names another certificate than `KeyInfo` holds.
    #[error("the signature was made for another certificate than the one it carries")]
    SigningCertificate,
    /// A certificate inside the signature cannot be read.
    #[error("a certificate in the signature could not be read")]
    Certificate(#[source] X509Error),
    /// The timestamp token cannot be read, or is not one over this signature.
    #[error("the signature timestamp is not valid for this signature")]
    Timestamp(#[source] TspError),
    /// An OCSP response inside the signature cannot be read.
    #[error("an OCSP response in the signature could not be read")]
    Ocsp(#[source] OcspError),
    /// A revocation list inside the signature cannot be read.
    #[error("a revocation list in the signature could not be read")]
    Crl(#[source] CrlError),
    /// The signature is not of the level from which this step starts.
    #[error("the signature is of level {have:?}, this step needs level {wanted:?}")]
    Level {
        /// The level found.
        have: Level,
        /// The level needed.
        wanted: Level,
    },
}
