//! Signing tokens: cards and security modules behind PKCS#11, and a PKCS#12
//! file for demonstrations. A token signs short messages with a key that is
//! named by the SHA-256 fingerprint of its certificate, never by a slot.
//!
//! Digests are made here, not on the token: passing a document through a card
//! costs time and gains nothing.

pub mod pkcs11;
pub mod several;
pub mod soft;

#[cfg(test)]
mod tests;

use crate::base::clock::rfc3339_seconds;
use crate::base::{Secret, hex};
use crate::x509::{Cert, KeyKind, SignatureAlgorithm};
use time::OffsetDateTime;

/// Shortest RSA key that signs, in bits (TS 119 312 v1.5.1 has no shorter one).
const RSA_BITS_MIN: u32 = 2048;

/// A device or file that holds private keys and their certificates.
pub trait Token: Send + Sync {
    /// The certificates whose private key is here, those for signing
    /// (`nonRepudiation`) first. Before a PIN is entered most cards hide their
    /// private keys: then every certificate that is no authority's is listed.
    fn identities(&self) -> Result<Vec<Identity>, TokenError>;
    /// What the token is ready for. Never waits for the token.
    fn status(&self) -> TokenStatus;
    /// Why [`Token::identities`] may lack some: the trouble of one of several
    /// tokens.
    fn trouble(&self) -> Option<TokenError> {
        None
    }
    /// Where the PIN is entered, as far as is known. Never waits for the token.
    fn pin_entry(&self) -> PinEntry;
    /// What is left of the PIN entry that unlocked it, where a person did. Never
    /// waits for the token.
    fn session(&self) -> Option<PinSession> {
        None
    }
    /// Uses the PIN for at most one login and wipes it; without a PIN a token
    /// with [`PinEntry::Reader`] asks its holder, and this waits for that. Does
    /// nothing when the token is unlocked already.
    fn unlock(&self, pin: Option<Secret>, last_try: LastTry) -> Result<(), TokenError>;
    /// Ends the login; when this returns no key can be used without a PIN.
    fn lock(&self);
    /// Signs `message` with the key of the certificate whose SHA-256 is given.
    /// RSA signatures are as RFC 8017 §8 writes them, ECDSA ones DER
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

/// Where a token's PIN is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinEntry {
    /// Into this machine, which passes it on.
    Keyboard,
    /// On the reader or in the driver's own window
    /// (`CKF_PROTECTED_AUTHENTICATION_PATH`): no PIN comes through here.
    Reader,
}

/// What is left of one PIN entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinSession {
    /// Uses of the key until the token locks itself; `None`: not counted.
    pub signatures_left: Option<u32>,
    /// When it locks itself; `None`: at no set time.
    pub ends: Option<OffsetDateTime>,
}

/// How a worker process failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverFault {
    /// It ended, or what it said was no answer.
    Crashed,
    /// It did not answer in time and was killed.
    Hung,
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
    /// Another token than the configured one is plugged in.
    Wrong {
        /// Which is there and which is wanted, in English.
        detail: String,
    },
    /// Present, waiting for a PIN.
    Locked {
        /// What to tell the person before a PIN is entered.
        warning: Option<PinWarning>,
    },
    /// Present and unlocked: `sign` works.
    Ready,
    /// The token has locked its PIN; its issuer must unblock it.
    Blocked,
    /// The worker process failed and will be started again soon.
    Restarting {
        /// How it failed.
        after: DriverFault,
    },
    /// The worker process failed too often and rests for some minutes.
    Quarantined {
        /// How it failed last.
        after: DriverFault,
    },
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
            "{} (SHA-256 {}, until {})",
            self.certificate.subject(),
            hex::encode(&self.certificate.sha256()),
            rfc3339_seconds(self.certificate.not_after())
        )
    }
}

/// Why a token did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not plugged in.
    #[error("the token is not present")]
    Absent,
    /// Pulled while it made a signature.
    #[error("the token was pulled while it signed")]
    Pulled,
    /// Another token than the configured one is plugged in.
    #[error("another token is plugged in: {detail}")]
    Wrong {
        /// Which is there and which is wanted, in English.
        detail: String,
    },
    /// A PIN is needed first.
    #[error("the token is locked: a PIN is needed")]
    Locked,
    /// The PIN is empty or longer than any token takes; it was not tried.
    #[error("the PIN is empty or too long; it was not tried")]
    PinMalformed,
    /// The PIN belongs on the reader; the one given was not sent.
    #[error("enter the PIN on the reader; the one given was not used")]
    PinOnReader,
    /// The holder cancelled on the reader.
    #[error("it was cancelled on the reader")]
    PinCancelled,
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
    /// The algorithm does not fit the key.
    #[error("the algorithm does not fit the key")]
    Algorithm,
    /// RSA with less than 2048 bits.
    #[error("an RSA key of {bits} bits is too short; 2048 bits are needed")]
    KeyTooShort {
        /// Length of the modulus.
        bits: u32,
    },
    /// The token has no mechanism for the algorithm.
    #[error("the token offers no mechanism for {algorithm:?}; another rsa_scheme may do")]
    NotOffered {
        /// What was asked for.
        algorithm: SignatureAlgorithm,
    },
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
            Self::Pulled => "token-pulled",
            Self::Wrong { .. } => "token-wrong",
            Self::Locked => "token-locked",
            Self::PinMalformed => "pin-malformed",
            Self::PinOnReader => "pin-on-reader",
            Self::PinCancelled => "pin-cancelled",
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
            Self::KeyTooShort { .. } => "key-too-short",
            Self::NotOffered { .. } => "algorithm-not-offered",
            Self::Refused { .. } => "token-refused",
            Self::BadSignature => "token-signature-wrong",
            Self::Pkcs12Open => "pkcs12-closed",
            Self::Pkcs12Content => "pkcs12-content",
        }
    }
}

/// Whether an identity is the one to sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fitness {
    /// It can sign now.
    Fits,
    /// It lacks the key usage `nonRepudiation`: cards carry an authentication
    /// certificate as well.
    NotForSigning,
    /// RSA with less than 2048 bits, or a kind of key that is not supported.
    WeakKey,
    /// Its validity has not begun.
    NotYetValid,
    /// Its validity has ended.
    Expired,
    /// Another certificate of the same subject and key lasts longer.
    Renewed,
}

impl Fitness {
    /// A stable word, `fits` or why not.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fits => "fits",
            Self::NotForSigning => "not-for-signing",
            Self::WeakKey => "weak-key",
            Self::NotYetValid => "not-yet-valid",
            Self::Expired => "expired",
            Self::Renewed => "renewed",
        }
    }
}

/// How fit each identity is at a time, in their order.
pub fn fitness(identities: &[Identity], at: OffsetDateTime) -> Vec<Fitness> {
    let alone = |identity: &Identity| {
        let certificate = &identity.certificate;
        if !identity.for_signing() {
            Fitness::NotForSigning
        } else if !strong(certificate.key()) {
            Fitness::WeakKey
        } else if at < certificate.not_before() {
            Fitness::NotYetValid
        } else if at > certificate.not_after() {
            Fitness::Expired
        } else {
            Fitness::Fits
        }
    };
    let renewed = |old: &Cert| {
        identities.iter().any(|other| {
            let new = &other.certificate;
            alone(other) == Fitness::Fits
                && (new.spki_der(), new.subject_der()) == (old.spki_der(), old.subject_der())
                && (new.not_after(), new.not_before()) > (old.not_after(), old.not_before())
        })
    };
    let among = |identity: &Identity| match alone(identity) {
        Fitness::Fits if renewed(&identity.certificate) => Fitness::Renewed,
        other => other,
    };
    identities.iter().map(among).collect()
}

fn strong(key: KeyKind) -> bool {
    match key {
        KeyKind::Rsa { bits } => bits >= RSA_BITS_MIN,
        KeyKind::P256 | KeyKind::P384 => true,
        KeyKind::Other => false,
    }
}

/// Chooses the identity that signs: the one with the fingerprint, or the only
/// one that [`Fitness::Fits`]. Either must have the `nonRepudiation` key usage.
/// When no signing certificate fits, it is the one that lasts longest, so that
/// the refusal names what is wrong with that one. Whom it passed over and why
/// is logged.
pub fn choose(
    identities: &[Identity],
    fingerprint: Option<&[u8; 32]>,
    at: OffsetDateTime,
) -> Result<Identity, TokenError> {
    if let Some(sha256) = fingerprint {
        let named = identities
            .iter()
            .find(|i| i.certificate.sha256() == *sha256);
        let named = named.ok_or(TokenError::NoSuchCertificate)?;
        return if named.for_signing() {
            Ok(named.clone())
        } else {
            Err(TokenError::NotForSigning {
                candidates: named.describe(),
            })
        };
    }
    let judged = || identities.iter().zip(fitness(identities, at));
    let fitting: Vec<&Identity> = judged()
        .filter(|(_, fitness)| *fitness == Fitness::Fits)
        .map(|(identity, _)| identity)
        .collect();
    let candidates = || {
        let each = judged().map(|(i, fitness)| format!("{}: {}", i.describe(), fitness.word()));
        each.collect::<Vec<String>>().join("; ")
    };
    match fitting.as_slice() {
        [only] => {
            if identities.iter().filter(|i| i.for_signing()).count() > 1 {
                let chosen = only.describe();
                tracing::info!(chosen, of = candidates(), "signing certificate chosen");
            }
            Ok((*only).clone())
        }
        [] => {
            let signing = identities.iter().filter(|i| i.for_signing());
            let latest = signing.max_by_key(|i| i.certificate.not_after()).cloned();
            latest.ok_or_else(|| TokenError::NotForSigning {
                candidates: candidates(),
            })
        }
        _ => Err(TokenError::Ambiguous {
            candidates: candidates(),
        }),
    }
}

/// Signing certificates first; the order is otherwise kept.
fn signing_first(identities: &mut [Identity]) {
    identities.sort_by_key(|identity| !identity.for_signing());
}

/// Whether a key can make such signatures here. EC keys sign with the digest of
/// their curve's size.
fn fits(algorithm: SignatureAlgorithm, key: KeyKind) -> Result<(), TokenError> {
    use SignatureAlgorithm as A;
    let fits = match (key, algorithm) {
        (KeyKind::Rsa { bits }, _) if bits < RSA_BITS_MIN => {
            return Err(TokenError::KeyTooShort { bits });
        }
        (KeyKind::Rsa { .. }, A::EcdsaSha256 | A::EcdsaSha384 | A::EcdsaSha512) => false,
        (KeyKind::Rsa { .. }, _) => true,
        (KeyKind::P256, algorithm) => algorithm == A::EcdsaSha256,
        (KeyKind::P384, algorithm) => algorithm == A::EcdsaSha384,
        (KeyKind::Other, _) => false,
    };
    if fits {
        Ok(())
    } else {
        Err(TokenError::Algorithm)
    }
}
