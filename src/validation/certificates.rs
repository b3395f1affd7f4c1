//! One certificate: a chain to an anchor, its use, its validity and its
//! revocation, for the time at which its signature is known to have existed
//! (EN 319 102-1 §5.2.5, §5.2.6, and the comparison of times of §5.5.4).

use super::Context;
use super::indication::SubIndication as Sub;
use super::report::{BlockKind, Certificate, Chain, Fault, Object, Revocation};
use crate::base::limits::CHAIN_CERTIFICATES_MAX;
use crate::trust::{
    self, AlgorithmPolicy, Evidence, Finding, Freshness, Judgement, PolicyFault, Question,
    Standing, TrustError, TsaEvidence,
};
use crate::x509::Cert;
use crate::x509::ocsp::OCSP_SIGNING;
use crate::x509::tsp::TIME_STAMPING;
use std::collections::BTreeSet;
use time::OffsetDateTime;

/// `certificateHold` (RFC 5280 §5.3.1).
const HOLD: u8 = 6;

/// What is asked about a certificate.
pub(super) struct Subject<'a> {
    /// The certificate that signed.
    pub(super) cert: &'a Cert,
    /// What it has to be for, in a word.
    pub(super) usage: Usage,
    /// The time evidence on it has to reach: that of the timestamp. `None`:
    /// evidence has to be current.
    pub(super) covers: Option<OffsetDateTime>,
    /// Whether such evidence may be older, while current at that time.
    pub(super) rule: TsaEvidence,
    /// When its signature is proved to have existed; `None`: now.
    pub(super) existed: Option<OffsetDateTime>,
    /// Other certificates at hand.
    pub(super) pool: &'a [Cert],
    /// OCSP responses and lists at hand.
    pub(super) evidence: &'a [Evidence],
}

/// What the certificate did.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Usage {
    /// Signed the document.
    Signature,
    /// Signed a timestamp: its purpose was checked with the token.
    Timestamp,
}

/// What was found.
pub(super) struct Certified {
    pub(super) chain: Chain,
    pub(super) objects: Vec<Object>,
    pub(super) fault: Option<Fault>,
}

/// Validates the certificate.
pub(super) fn validate(subject: &Subject<'_>, context: &Context) -> Certified {
    let mut certified = Certified {
        chain: Chain(vec![Certificate::new(subject.cert, false)]),
        objects: vec![Object::Certificate(subject.cert.clone())],
        fault: None,
    };
    let chain = match find_chain(subject, context) {
        Ok(chain) => chain,
        Err(fault) => {
            certified.fault = Some(fault);
            return certified;
        }
    };
    let judged: Vec<Judgement> = chain
        .windows(2)
        .enumerate()
        .filter_map(|(index, pair)| match pair {
            [cert, issuer] => Some(judge(subject, context, index, cert, issuer)),
            _ => None,
        })
        .collect();
    certified.chain = describe(&chain, &judged, subject.evidence);
    certified.objects = objects(&chain, &judged, subject.evidence);
    certified.fault = usage(subject)
        .or_else(|| standing(subject, context, &chain, &judged))
        .or_else(|| strength(subject, context, &chain, &judged));
    certified
}

/// A chain that is valid now; else one that was when the signature existed;
/// else one at a time when the certificate itself was: what is out of bounds
/// is told apart from what is unknown.
fn find_chain(subject: &Subject<'_>, context: &Context) -> Result<Vec<Cert>, Fault> {
    let Subject { cert, pool, .. } = *subject;
    let within = context.now.max(cert.not_before()).min(cert.not_after());
    let mut failure = None;
    for at in [Some(context.now), subject.existed, Some(within)] {
        let Some(at) = at else { continue };
        match trust::build_chain(cert, pool, &context.anchors, at) {
            Ok(chain) => return Ok(chain),
            Err(error) => failure = Some(error),
        }
    }
    if let Some(fault) = weak_link(subject, context) {
        return Err(fault);
    }
    Err(match failure {
        Some(error @ TrustError::NotValid { .. }) => {
            Fault::new(BlockKind::X509, Sub::OutOfBoundsNoPoe, error.to_string())
        }
        Some(error) => Fault::new(
            BlockKind::X509,
            Sub::NoCertificateChainFound,
            error.to_string(),
        ),
        None => Fault::new(BlockKind::X509, Sub::NoCertificateChainFound, "no chain"),
    })
}

/// Whether a chain by names alone ends at an anchor over a signature or key that
/// is too weak to be verified.
fn weak_link(subject: &Subject<'_>, context: &Context) -> Option<Fault> {
    let mut cert = subject.cert;
    for _ in 0..CHAIN_CERTIFICATES_MAX {
        let known = context.anchors.iter().chain(subject.pool);
        let issuer = known
            .clone()
            .find(|other| other.subject_der() == cert.issuer_der())?;
        let weak = context.algorithms.check_key(issuer.key(), context.now);
        let weak = match (cert.signature_algorithm(), weak) {
            (None, _) => "is signed with an algorithm that is not accepted".to_owned(),
            (Some(_), Err(fault)) => format!("has an issuer whose key is weak: {fault}"),
            (Some(_), Ok(())) if context.anchors.contains(issuer) => return None,
            (Some(_), Ok(())) => {
                cert = issuer;
                continue;
            }
        };
        let text = format!("the certificate of {} {weak}", cert.subject());
        return Some(Fault::new(
            BlockKind::X509,
            Sub::CryptoConstraintsFailureNoPoe,
            text,
        ));
    }
    None
}

fn judge(
    subject: &Subject<'_>,
    context: &Context,
    index: usize,
    cert: &Cert,
    issuer: &Cert,
) -> Judgement {
    let freshness = match (index, subject.covers) {
        // Evidence states whole seconds.
        (0, Some(at)) if subject.rule == TsaEvidence::IssuedSince => {
            let at = at.replace_nanosecond(0).unwrap_or(at);
            Freshness::IssuedSince(at - context.revocation_skew)
        }
        (_, at) => {
            Freshness::IssuedSinceOrCurrent(at.unwrap_or(context.now) - context.clock_tolerance)
        }
    };
    let question = Question {
        cert,
        issuer,
        freshness,
        now: context.now,
        tolerance: context.clock_tolerance,
    };
    trust::judge(question, subject.evidence)
}

fn describe(chain: &[Cert], judged: &[Judgement], evidence: &[Evidence]) -> Chain {
    let described = chain.iter().enumerate().map(|(index, cert)| {
        let judgement = judged.get(index);
        let basis = judgement.and_then(|judgement| judgement.basis.as_ref());
        let revocation = basis.and_then(|(at, finding)| {
            let evidence = evidence.get(*at)?;
            Some(Revocation::new(evidence, finding))
        });
        Certificate {
            revocation,
            ..Certificate::new(cert, judgement.is_none())
        }
    });
    Chain(described.collect())
}

fn objects(chain: &[Cert], judged: &[Judgement], evidence: &[Evidence]) -> Vec<Object> {
    let certificates = chain.iter().cloned().map(Object::Certificate);
    let bases = judged.iter().filter_map(|judgement| {
        let (at, finding) = judgement.basis.as_ref()?;
        Some((evidence.get(*at)?, finding))
    });
    let used = bases.flat_map(|(evidence, finding)| {
        let signer = Object::Certificate(finding.signer.clone());
        [Object::Evidence(evidence.clone()), signer]
    });
    certificates.chain(used).collect()
}

/// The key usage (RFC 5280 §4.2.1.3) must allow signatures on documents, and the
/// certificate must not be one for timestamps or OCSP responses (§4.2.1.12).
fn usage(subject: &Subject<'_>) -> Option<Fault> {
    let allowed = subject
        .cert
        .key_usage()
        .is_none_or(|usage| usage.digital_signature || usage.non_repudiation);
    let purposes = subject.cert.extended_key_usage();
    let service = purposes.is_some_and(|(_, purposes)| {
        purposes.contains(&TIME_STAMPING) || purposes.contains(&OCSP_SIGNING)
    });
    let why = match (allowed, service) {
        (false, _) => "not for signatures",
        (true, true) => "for timestamps or OCSP responses",
        (true, false) => return None,
    };
    (subject.usage == Usage::Signature).then(|| {
        let text = format!("the certificate of {} is {why}", subject.cert.subject());
        Fault::new(BlockKind::X509, Sub::ChainConstraintsFailure, text)
    })
}

/// Validity and revocation against the time at which the signature existed.
fn standing(
    subject: &Subject<'_>,
    context: &Context,
    chain: &[Cert],
    judged: &[Judgement],
) -> Option<Fault> {
    let cert = subject.cert;
    let existed = subject.existed.unwrap_or(context.now);
    if existed < cert.not_before() {
        let text = format!(
            "the signature existed on {existed}, before the certificate of {} became valid",
            cert.subject()
        );
        return Some(Fault::new(BlockKind::Times, Sub::NotYetValid, text));
    }
    let pairs = || chain.iter().zip(judged).enumerate();
    let revoked = pairs().find_map(|(index, (cert, judgement))| {
        let Standing::Revoked { at, reason } = judgement.standing else {
            return None;
        };
        if proved_before(subject, at) && (index == 0 || independent(judged, at)) {
            return None;
        }
        let subject = cert.subject();
        Some(match (index, reason) {
            (_, Some(HOLD)) => Fault::new(
                BlockKind::X509,
                Sub::TryLater,
                format!("the certificate of {subject} is on hold since {at}"),
            ),
            (0, _) => Fault::new(
                BlockKind::X509,
                Sub::RevokedNoPoe,
                format!(
                    "the certificate of {subject} was revoked on {at}, and nothing proves that \
                     the signature is older"
                ),
            ),
            _ => Fault::new(
                BlockKind::X509,
                Sub::RevokedCaNoPoe,
                format!("the authority's certificate of {subject} was revoked on {at}"),
            ),
        })
    });
    revoked
        .or_else(|| bounds(subject, context, chain, judged))
        .or_else(|| pairs().find_map(|(_, (cert, judgement))| evidence(cert, judgement)))
}

/// The signature is proved to be older than `at`.
fn proved_before(subject: &Subject<'_>, at: OffsetDateTime) -> bool {
    subject.existed.is_some_and(|existed| existed < at)
}

/// Whether what is said about the signer was said before `at`, when an authority
/// above was revoked: from then on its word is worth nothing.
fn independent(judged: &[Judgement], at: OffsetDateTime) -> bool {
    let basis = judged.first().and_then(|first| first.basis.as_ref());
    basis.is_some_and(|(_, finding)| finding.this_update <= at)
}

fn bounds(
    subject: &Subject<'_>,
    context: &Context,
    chain: &[Cert],
    judged: &[Judgement],
) -> Option<Fault> {
    let cert = subject.cert;
    if context.now > cert.not_after() {
        let known_good = judged.first().is_some_and(|first| match first.standing {
            Standing::Good { .. } | Standing::Revoked { .. } => true,
            Standing::Stale { .. } | Standing::Unknown | Standing::NoEvidence { .. } => false,
        });
        let proved = subject.existed.is_some_and(|at| at <= cert.not_after());
        if !(known_good && proved) {
            let sub = if known_good {
                Sub::OutOfBoundsNotRevoked
            } else {
                Sub::OutOfBoundsNoPoe
            };
            let text = format!(
                "the certificate of {} expired on {}, and nothing proves that the signature is \
                 older",
                cert.subject(),
                cert.not_after()
            );
            return Some(Fault::new(BlockKind::X509, sub, text));
        }
    }
    // Authorities: nothing but an archive timestamp proves anything about their
    // signatures. The anchor is trusted as it is.
    let authorities = chain.iter().take(judged.len()).skip(1);
    let mut expired = authorities.filter(|cert| !cert.is_valid_at(context.now));
    let cert = expired.next()?;
    let text = format!(
        "the authority's certificate of {} is not valid on {}",
        cert.subject(),
        context.now
    );
    Some(Fault::new(BlockKind::X509, Sub::OutOfBoundsNoPoe, text))
}

/// Whether there is evidence, and new enough.
fn evidence(cert: &Cert, judgement: &Judgement) -> Option<Fault> {
    let subject = cert.subject();
    let general = |text| Fault::new(BlockKind::X509, Sub::CertificateChainGeneralFailure, text);
    match &judgement.standing {
        Standing::Good { .. } | Standing::Revoked { .. } => None,
        Standing::Stale { this_update } => Some(Fault::new(
            BlockKind::Freshness,
            Sub::TryLater,
            format!("the newest evidence on {subject} is of {this_update}: too old"),
        )),
        Standing::Unknown => Some(general(format!(
            "the responder does not know the certificate of {subject}"
        ))),
        Standing::NoEvidence { reasons } => {
            let reasons: BTreeSet<&str> = reasons.iter().map(String::as_str).collect();
            let reasons: Vec<&str> = reasons.into_iter().collect();
            Some(general(match reasons.as_slice() {
                [] => format!("nothing says whether {subject} is revoked"),
                reasons => format!(
                    "nothing usable says whether {subject} is revoked: {}",
                    reasons.join("; ")
                ),
            }))
        }
    }
}

/// The algorithms of the certificates and of the evidence. The signer's
/// certificate is as old as the signature it is bound by; everything else is
/// only known to exist now (§5.5.4, step 10).
fn strength(
    subject: &Subject<'_>,
    context: &Context,
    chain: &[Cert],
    judged: &[Judgement],
) -> Option<Fault> {
    let policy = &context.algorithms;
    let existed = subject.existed.unwrap_or(context.now);
    let own = chain.get(..2).unwrap_or_default();
    let above = chain.get(1..).unwrap_or_default();
    let mut bases = judged.iter().filter_map(|judged| judged.basis.as_ref());
    let checked = policy
        .check_chain(own, existed)
        .and_then(|()| policy.check_chain(above, context.now))
        .map_err(|(_, fault)| fault)
        .and_then(|()| {
            bases.try_for_each(|(_, finding)| evidence_strength(policy, finding, context.now))
        });
    checked.err().map(|fault| {
        weak(
            BlockKind::Acceptance,
            &fault,
            "a certificate or its evidence",
        )
    })
}

fn evidence_strength(
    policy: &AlgorithmPolicy,
    finding: &Finding,
    at: OffsetDateTime,
) -> Result<(), PolicyFault> {
    policy.check_signature(finding.algorithm, finding.signer.key(), at)
}

/// An algorithm that is not accepted: one that never was cannot be saved by any
/// proof of existence.
pub(super) fn weak(block: BlockKind, fault: &PolicyFault, what: &str) -> Fault {
    let sub = match fault.until {
        Some(_) => Sub::CryptoConstraintsFailureNoPoe,
        None => Sub::CryptoConstraintsFailure,
    };
    Fault::new(block, sub, format!("{what}: {fault}"))
}

/// What the policy says about a key that was too short already when its
/// certificate became valid: nothing made with it can be older.
pub(super) fn weak_key(context: &Context, signer: &Cert) -> Option<Fault> {
    let checked = context
        .algorithms
        .check_key(signer.key(), signer.not_before());
    checked
        .err()
        .map(|fault| weak(BlockKind::Acceptance, &fault, "the signer's key"))
}
