//! Signing tokens: cards and security modules behind PKCS#11, and a PKCS#12
//! file for demonstrations. A token signs short messages with a key that is
//! named by the SHA-256 fingerprint of its certificate, never by a slot.
//!
//! Digests are made here, not on the token: passing a document through a card
//! costs time and gains nothing.

pub mod pkcs11;
pub mod soft;

#[cfg(test)]
mod tests;

use crate::base::{Secret, hex};
use crate::x509::{Cert, KeyKind, SignatureAlgorithm};
use aws_lc_rs::digest;

/// A device or file that holds private keys and their certificates.
pub trait Token: Send + Sync {
    /// The certificates whose private key is here, those for signing
    /// (`nonRepudiation`) first. Before a PIN is entered most cards hide their
    /// private keys: then every certificate that is no authority's is listed.
    fn identities(&self) -> Result<Vec<Identity>, TokenError>;
    /// What the token is ready for. Never waits for the token.
    fn status(&self) -> TokenStatus;
    /// Uses the PIN for at most one login and wipes it. Does nothing when the
    /// token is unlocked already.
    fn unlock(&self, pin: Secret, last_try: LastTry) -> Result<(), TokenError>;
    /// Ends the login; when this returns no key can be used without a PIN.
    fn lock(&self);
    /// Signs `message` with the key of the certificate whose SHA-256 is given.
    /// RSA signatures are PKCS#1 v1.5 (RFC 8017 §8.2), ECDSA ones DER
    /// (RFC 3279 §2.2.3). The result has been verified with the certificate.
    fn sign(
        &self,
        certificate_sha256: &[u8; 32],
        algorithm: SignatureAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, TokenError>;
}

/// Whether a PIN may be tried when the token says it is the last attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastTry {
    /// Refuse with [`TokenError::FinalTry`] and leave the token alone.
    Refuse,
    /// The holder was told and wants to use the last attempt.
    Confirmed,
}

/// What a token says about the attempts left for its PIN (PKCS#11 §3.2,
/// `CKF_USER_PIN_COUNT_LOW` and `CKF_USER_PIN_FINAL_TRY`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinWarning {
    /// A wrong PIN was entered since the last right one.
    CountLow,
    /// The next wrong PIN locks the token.
    FinalTry,
}

/// What a token is ready for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenStatus {
    /// Not yet looked at.
    Starting,
    /// No such token is plugged in; an ordinary state.
    Absent,
    /// Present, waiting for a PIN.
    Locked {
        /// What to tell the person before a PIN is entered.
        warning: Option<PinWarning>,
    },
    /// Present and unlocked: `sign` works.
    Ready,
    /// The token has locked its PIN; its issuer must unblock it.
    Blocked,
    /// The worker process died or hung and will be started again soon.
    Restarting,
    /// The worker process failed too often and rests for some minutes.
    Quarantined,
    /// Something a person must put right: a module that does not load, or
    /// several tokens of which the configuration names none.
    Unusable {
        /// What is wrong, in English.
        detail: String,
    },
}

/// One certificate with its private key on a token.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: Cert,
    /// Certificates of authorities found on the same token, in no order.
    pub chain: Vec<Cert>,
    /// The token's label, trimmed.
    pub token_label: String,
    /// The token's serial number, trimmed.
    pub token_serial: String,
    /// Whether the key wants the PIN again for each signature
    /// (`CKA_ALWAYS_AUTHENTICATE`). Known only once the token is unlocked.
    pub always_authenticate: bool,
}

impl Identity {
    fn for_signing(&self) -> bool {
        self.certificate
            .key_usage()
            .is_some_and(|usage| usage.non_repudiation)
    }

    fn describe(&self) -> String {
        format!(
            "{} (SHA-256 {})",
            self.certificate.subject(),
            hex::encode(&self.certificate.sha256())
        )
    }
}

/// Why a token did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not plugged in.
    #[error("the token is not present")]
    Absent,
    /// A PIN is needed first.
    #[error("the token is locked: a PIN is needed")]
    Locked,
    /// The PIN is empty or longer than any token takes; it was not tried.
    #[error("the PIN is empty or too long; it was not tried")]
    PinMalformed,
    /// The token refused the PIN; one attempt is gone.
    #[error("the PIN is not right")]
    PinIncorrect,
    /// The token accepts no PIN any more.
    #[error("the PIN is locked; the token's issuer must unblock it")]
    PinLocked,
    /// One attempt is left and its use was not confirmed; nothing was tried.
    #[error("one PIN attempt is left; confirm before it is used")]
    FinalTry,
    /// The login broke off: the attempt may or may not have been counted.
    #[error("the login broke off: the PIN may have been used up; a person must decide")]
    PinPossiblyUsed,
    /// No answer within the deadline; the worker was killed.
    #[error("the token did not answer in time ({operation})")]
    Hung {
        /// What was being done.
        operation: &'static str,
    },
    /// The worker process died.
    #[error("the token's driver crashed ({operation})")]
    WorkerDied {
        /// What was being done.
        operation: &'static str,
    },
    /// The worker process is about to be started again.
    #[error("the token's driver is being restarted")]
    Restarting,
    /// The worker process crashed too often and rests.
    #[error("the token's driver crashed too often and rests for some minutes")]
    Quarantined,
    /// A person must put something right.
    #[error("the token cannot be used: {detail}")]
    Unusable {
        /// What is wrong, in English.
        detail: String,
    },
    /// The token has no key for the certificate asked for.
    #[error("the token has no key for this certificate")]
    NoSuchCertificate,
    /// No certificate for signing.
    #[error("no certificate with the nonRepudiation key usage: {candidates}")]
    NotForSigning {
        /// The certificates that were found.
        candidates: String,
    },
    /// Several certificates for signing and no fingerprint to choose by.
    #[error("several signing certificates; configure one fingerprint: {candidates}")]
    Ambiguous {
        /// The certificates that were found.
        candidates: String,
    },
    /// The algorithm does not fit the key, or cannot be made by a token.
    #[error("the algorithm does not fit the key")]
    Algorithm,
    /// The token refused; its return code is named.
    #[error("the token refused {operation}: {code}")]
    Refused {
        /// What was being done.
        operation: &'static str,
        /// The PKCS#11 return code.
        code: String,
    },
    /// The token's signature does not verify with the certificate.
    #[error("the token's signature does not match the certificate")]
    BadSignature,
    /// The PKCS#12 file's password is wrong or its content is damaged.
    #[error("the PKCS#12 file cannot be opened: wrong password or damaged")]
    Pkcs12Open,
    /// The PKCS#12 file holds no usable key with its certificate.
    #[error("the PKCS#12 file holds no usable key with its certificate")]
    Pkcs12Content,
}

impl TokenError {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Absent => "token-absent",
            Self::Locked => "token-locked",
            Self::PinMalformed => "pin-malformed",
            Self::PinIncorrect => "pin-incorrect",
            Self::PinLocked => "pin-locked",
            Self::FinalTry => "pin-final-try",
            Self::PinPossiblyUsed => "pin-possibly-used",
            Self::Hung { .. } => "token-hung",
            Self::WorkerDied { .. } => "token-driver-crashed",
            Self::Restarting => "token-restarting",
            Self::Quarantined => "token-quarantined",
            Self::Unusable { .. } => "token-unusable",
            Self::NoSuchCertificate => "certificate-missing",
            Self::NotForSigning { .. } => "certificate-not-for-signing",
            Self::Ambiguous { .. } => "certificate-ambiguous",
            Self::Algorithm => "algorithm",
            Self::Refused { .. } => "token-refused",
            Self::BadSignature => "token-signature-wrong",
            Self::Pkcs12Open => "pkcs12-closed",
            Self::Pkcs12Content => "pkcs12-content",
        }
    }
}

/// Chooses the identity that signs: the one with the fingerprint, or the only
/// one when none is given. Either must have the `nonRepudiation` key usage,
/// because cards carry an authentication certificate as well.
pub fn choose(
    identities: &[Identity],
    fingerprint: Option<&[u8; 32]>,
) -> Result<Identity, TokenError> {
    let wanted: Vec<&Identity> = match fingerprint {
        Some(sha256) => identities
            .iter()
            .filter(|identity| identity.certificate.sha256() == *sha256)
            .collect(),
        None => identities.iter().collect(),
    };
    let signing: Vec<&Identity> = wanted.iter().copied().filter(|i| i.for_signing()).collect();
    let names = |list: &[&Identity]| {
        let names: Vec<String> = list.iter().map(|i| i.describe()).collect();
        names.join("; ")
    };
    match (signing.as_slice(), wanted.is_empty()) {
        ([only], _) => Ok((*only).clone()),
        ([first, ..], _) if fingerprint.is_some() => Ok((*first).clone()),
        ([], true) if fingerprint.is_some() => Err(TokenError::NoSuchCertificate),
        ([], _) => Err(TokenError::NotForSigning {
            candidates: names(&wanted),
        }),
        (several, _) => Err(TokenError::Ambiguous {
            candidates: names(several),
        }),
    }
}

/// Signing certificates first; the order is otherwise kept.
fn signing_first(identities: &mut [Identity]) {
    identities.sort_by_key(|identity| !identity.for_signing());
}

/// How a token is asked for an algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    /// RSA PKCS#1 v1.5 over a DigestInfo.
    Rsa,
    /// ECDSA over a bare digest.
    Ecdsa,
}

/// The digest to be signed, as the token wants it: a DigestInfo for RSA
/// (RFC 8017 §9.2 note 1), the bare digest for ECDSA.
fn digest_for(
    algorithm: SignatureAlgorithm,
    key: KeyKind,
    message: &[u8],
) -> Result<(Scheme, Vec<u8>), TokenError> {
    // id-sha256, id-sha384 and id-sha512 differ in their last arc.
    let (scheme, hash, last_arc) = match algorithm {
        SignatureAlgorithm::RsaPkcs1Sha256 => (Scheme::Rsa, &digest::SHA256, 1),
        SignatureAlgorithm::RsaPkcs1Sha384 => (Scheme::Rsa, &digest::SHA384, 2),
        SignatureAlgorithm::RsaPkcs1Sha512 => (Scheme::Rsa, &digest::SHA512, 3),
        SignatureAlgorithm::EcdsaSha256 => (Scheme::Ecdsa, &digest::SHA256, 1),
        SignatureAlgorithm::EcdsaSha384 => (Scheme::Ecdsa, &digest::SHA384, 2),
        SignatureAlgorithm::RsaPssSha256
        | SignatureAlgorithm::RsaPssSha384
        | SignatureAlgorithm::RsaPssSha512
        | SignatureAlgorithm::EcdsaSha512 => return Err(TokenError::Algorithm),
    };
    let fits = match key {
        KeyKind::Rsa { .. } => scheme == Scheme::Rsa,
        KeyKind::P256 => algorithm == SignatureAlgorithm::EcdsaSha256,
        KeyKind::P384 => algorithm == SignatureAlgorithm::EcdsaSha384,
        KeyKind::Other => false,
    };
    if !fits {
        return Err(TokenError::Algorithm);
    }
    let value = digest::digest(hash, message);
    if scheme == Scheme::Ecdsa {
        return Ok((scheme, value.as_ref().to_vec()));
    }
    let size = value.as_ref().len() as u8;
    let mut info = vec![
        0x30,
        17 + size,
        0x30,
        13,
        0x06,
        9,
        0x60,
        0x86,
        0x48,
        0x01,
        0x65,
        0x03,
        0x04,
        0x02,
        last_arc,
        0x05,
        0,
        0x04,
        size,
    ];
    info.extend_from_slice(value.as_ref());
    Ok((scheme, info))
}
