//! Judging evidence without I/O: what OCSP responses and revocation lists at
//! hand say about a certificate (EN 319 102-1 §5.2.5 and §5.2.6).

use crate::x509::crl::{Crl, CrlError};
use crate::x509::ocsp::{OcspError, OcspResponse};
use crate::x509::{Cert, CertStatus, SignatureAlgorithm};
use std::time::Duration;
use time::OffsetDateTime;

/// Most pieces of evidence looked at for one certificate: each costs a
/// signature to check, and documents may carry many.
const EVIDENCE_MAX: usize = 64;

/// What an authority states about the standing of certificates.
#[derive(Debug, Clone)]
pub enum Evidence {
    /// By an OCSP responder.
    Ocsp(OcspResponse),
    /// By a revocation list.
    Crl(Crl),
}

/// Why a piece of evidence cannot be used for a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// The OCSP response.
    #[error(transparent)]
    Ocsp(OcspError),
    /// The revocation list.
    #[error(transparent)]
    Crl(CrlError),
}

impl Evidence {
    /// Reads an `OCSPResponse` or a `CertificateList` in DER.
    ///
    /// # Errors
    /// The list's, when it is neither.
    pub fn from_der(der: &[u8]) -> Result<Self, EvidenceError> {
        match OcspResponse::from_der(der) {
            Ok(response) => Ok(Self::Ocsp(response)),
            Err(_) => Crl::from_der(der)
                .map(Self::Crl)
                .map_err(EvidenceError::Crl),
        }
    }

    /// The response or list as it arrived.
    pub fn der(&self) -> &[u8] {
        match self {
            Self::Ocsp(response) => response.der(),
            Self::Crl(list) => list.der(),
        }
    }

    /// What it says about `cert`, once it is known to be by somebody entitled:
    /// the issuer, or for OCSP a responder the issuer certified. Age, and a
    /// delegated responder's own standing, are not looked at.
    ///
    /// # Errors
    /// The check that failed.
    pub fn examine(&self, cert: &Cert, issuer: &Cert) -> Result<Finding, EvidenceError> {
        match self {
            Self::Ocsp(response) => {
                let found = response.check(cert, issuer).map_err(EvidenceError::Ocsp)?;
                Ok(Finding {
                    status: found.status,
                    this_update: found.this_update,
                    next_update: found.next_update,
                    algorithm: found.algorithm,
                    signer: found.responder,
                })
            }
            Self::Crl(list) => {
                let algorithm = list.verify(issuer).map_err(EvidenceError::Crl)?;
                Ok(Finding {
                    status: list.status(cert).map_err(EvidenceError::Crl)?,
                    this_update: list.this_update(),
                    next_update: list.next_update(),
                    algorithm,
                    signer: issuer.clone(),
                })
            }
        }
    }
}

/// What one piece of evidence says about one certificate.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The status.
    pub status: CertStatus,
    /// When it was known to be right.
    pub this_update: OffsetDateTime,
    /// By when there will be something newer; `None`: not stated.
    pub next_update: Option<OffsetDateTime>,
    /// What it is signed with.
    pub algorithm: SignatureAlgorithm,
    /// Who signed it: the issuer, or a responder it certified.
    pub signer: Cert,
}

impl Finding {
    /// Whether the signer needs evidence of its own: a delegated responder whose
    /// certificate does not say otherwise (RFC 6960 §4.2.2.2.1).
    pub fn needs_evidence_on_signer(&self, issuer: &Cert) -> bool {
        self.signer != *issuer && !self.signer.ocsp_no_check()
    }
}

/// How new evidence must be to cover a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Issued at or after the time: for the certificate that signed.
    IssuedSince(OffsetDateTime),
    /// The same, or the time lies before its `nextUpdate`: for authorities,
    /// whose lists appear every few months, so that waiting for one issued after
    /// the signature would mean never to finish.
    IssuedSinceOrCurrent(OffsetDateTime),
}

impl Freshness {
    /// The time to be covered.
    pub fn wanted(self) -> OffsetDateTime {
        match self {
            Self::IssuedSince(wanted) | Self::IssuedSinceOrCurrent(wanted) => wanted,
        }
    }

    /// Whether evidence of these times is new enough.
    pub fn is_met(self, this_update: OffsetDateTime, next_update: Option<OffsetDateTime>) -> bool {
        match self {
            Self::IssuedSince(wanted) => this_update >= wanted,
            Self::IssuedSinceOrCurrent(wanted) => {
                this_update >= wanted || next_update.is_some_and(|next| next >= wanted)
            }
        }
    }
}

/// One question: is `cert`, issued by `issuer`, revoked?
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The certificate in question.
    pub cert: &'a Cert,
    /// Its issuer.
    pub issuer: &'a Cert,
    /// How new the evidence must be.
    pub freshness: Freshness,
    /// The time of the judgement: evidence from after it is not believed.
    pub now: OffsetDateTime,
    /// By how much clocks may differ.
    pub tolerance: Duration,
}

/// How a certificate stands, by the evidence at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Not revoked, by evidence new enough.
    Good {
        /// Of the newest evidence.
        this_update: OffsetDateTime,
    },
    /// Revoked or on hold, by evidence of any age. Whether that was before or
    /// after the time in question is the caller's to compare.
    Revoked {
        /// Since when.
        at: OffsetDateTime,
        /// `CRLReason` (RFC 5280 §5.3.1).
        reason: Option<u8>,
    },
    /// Not revoked, but by evidence too old for the time in question
    /// (`TRY_LATER`, EN 319 102-1 §5.2.5).
    Stale {
        /// Of the newest evidence.
        this_update: OffsetDateTime,
    },
    /// A responder entitled to know does not know the certificate.
    Unknown,
    /// No evidence that can be used.
    NoEvidence {
        /// Why each piece at hand cannot be used.
        reasons: Vec<String>,
    },
}

/// A standing and what it rests on.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// The standing.
    pub standing: Standing,
    /// The finding it rests on, and its place in the evidence given; `None` for
    /// [`Standing::NoEvidence`].
    pub basis: Option<(usize, Finding)>,
}

/// Judges a certificate by the evidence at hand alone. A revocation counts
/// whatever the age of its evidence; otherwise the newest evidence decides. What
/// a delegated responder says counts only when the same evidence shows it good.
pub fn judge(question: Question<'_>, evidence: &[Evidence]) -> Judgement {
    judge_one(question, evidence, true)
}

fn judge_one(question: Question<'_>, evidence: &[Evidence], delegation: bool) -> Judgement {
    let mut reasons = Vec::new();
    let mut best: Option<(u8, usize, Finding)> = None;
    for (index, item) in evidence.iter().take(EVIDENCE_MAX).enumerate() {
        let finding = match usable(question, item, evidence, delegation) {
            Ok(finding) => finding,
            Err(reason) => {
                reasons.push(reason);
                continue;
            }
        };
        let rank = match finding.status {
            CertStatus::Revoked { .. } => 2,
            CertStatus::Good => 1,
            CertStatus::Unknown => 0,
        };
        let newer = best.as_ref().is_none_or(|(best_rank, _, known)| {
            (rank, finding.this_update) > (*best_rank, known.this_update)
        });
        if newer {
            best = Some((rank, index, finding));
        }
    }
    let Some((_, index, finding)) = best else {
        let standing = Standing::NoEvidence { reasons };
        return Judgement {
            standing,
            basis: None,
        };
    };
    let Finding {
        this_update,
        next_update,
        ..
    } = finding;
    let standing = match finding.status {
        CertStatus::Revoked { at, reason } => Standing::Revoked { at, reason },
        CertStatus::Unknown => Standing::Unknown,
        CertStatus::Good if question.freshness.is_met(this_update, next_update) => {
            Standing::Good { this_update }
        }
        CertStatus::Good => Standing::Stale { this_update },
    };
    Judgement {
        standing,
        basis: Some((index, finding)),
    }
}

/// The finding of one piece, or why it cannot be used.
fn usable(
    question: Question<'_>,
    item: &Evidence,
    evidence: &[Evidence],
    delegation: bool,
) -> Result<Finding, String> {
    let Question { cert, issuer, .. } = question;
    let finding = item.examine(cert, issuer).map_err(|e| e.to_string())?;
    if finding.this_update > question.now + question.tolerance {
        return Err(format!("it is from the future, {}", finding.this_update));
    }
    if !finding.needs_evidence_on_signer(issuer) {
        return Ok(finding);
    }
    let about_responder = Question {
        cert: &finding.signer,
        freshness: Freshness::IssuedSinceOrCurrent(question.freshness.wanted()),
        ..question
    };
    let subject = finding.signer.subject();
    if !delegation {
        return Err(format!("the responder {subject} vouches for itself"));
    }
    match judge_one(about_responder, evidence, false).standing {
        Standing::Good { .. } => Ok(finding),
        Standing::Revoked { at, .. } => Err(format!("the responder {subject} was revoked on {at}")),
        Standing::Stale { .. } | Standing::Unknown | Standing::NoEvidence { .. } => Err(format!(
            "nothing says that the responder {subject} is not revoked"
        )),
    }
}
