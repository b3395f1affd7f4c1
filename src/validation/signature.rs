//! One signature that keeps to the profile: its timestamp, its signer, and the
//! comparison of their times (EN 319 102-1 §5.3, §5.4, §5.5).

use super::certificates::{self, Certified, Subject, Usage};
use super::indication::{Indication, SubIndication as Sub};
use super::report::{Block, BlockKind, Facts, Fault, Object, SignatureReport, Timestamp};
use super::{Context, errors};
use crate::base::hex;
use crate::pades::Changes;
use crate::trust::{Evidence, TsaEvidence};
use crate::x509::tsp::TimestampToken;
use crate::x509::{Cert, Level, SignatureAlgorithm};
use time::OffsetDateTime;

/// What the verifiers of the formats give: format, signing certificate and
/// cryptography are in order.
pub(super) struct Found {
    /// `XAdES` or `PAdES`.
    pub(super) format: &'static str,
    pub(super) level: Level,
    pub(super) place: String,
    pub(super) signer: Cert,
    pub(super) algorithm: SignatureAlgorithm,
    pub(super) claimed: OffsetDateTime,
    pub(super) token: Option<TimestampToken>,
    /// What came after the signed revision of a PDF.
    pub(super) changes: Option<Changes>,
    pub(super) certificates: Vec<Cert>,
    pub(super) evidence: Vec<Evidence>,
}

struct Stamped {
    facts: Timestamp,
    objects: Vec<Object>,
    fault: Option<Fault>,
}

/// Validates a signature whose form is in order.
pub(super) fn validate(found: Found, context: &Context) -> SignatureReport {
    // What the caller vouches for comes first: only so much is looked at, and a
    // document must not crowd it out.
    let mut pool = context.certificates.clone();
    pool.extend(found.certificates.iter().cloned());
    if let Some(token) = &found.token {
        pool.extend(token.certificates().iter().cloned());
    }
    let mut evidence = context.evidence.clone();
    evidence.extend(found.evidence.iter().cloned());

    let stamped = found.token.as_ref();
    let stamped = stamped.map(|token| timestamp(token, &pool, &evidence, context));
    let stamp = stamped.as_ref().filter(|stamped| stamped.fault.is_none());
    let existed = stamp.map(|stamped| stamped.facts.gen_time);
    let subject = Subject {
        cert: &found.signer,
        usage: Usage::Signature,
        covers: existed,
        rule: TsaEvidence::IssuedSince,
        existed,
        pool: &pool,
        evidence: &evidence,
    };
    let certified = certificates::validate(&subject, context);
    let fault = changes(&found)
        .or_else(|| certified.fault.clone())
        .or_else(|| times(&found, existed, context))
        .or_else(|| acceptance(&found, existed, context));
    conclude(found, stamped, certified, fault, context)
}

/// What was appended to a PDF must be what a signer has to expect
/// (EN 319 142-1 §5.4, ISO 32000-2 §12.8.2.2): else what is shown may not be
/// what was signed.
fn changes(found: &Found) -> Option<Fault> {
    match found.changes.as_ref()? {
        Changes::None | Changes::ValidationData | Changes::Allowed(_) => None,
        Changes::Suspicious { what } => {
            let text = format!("changed after signing: {what}");
            Some(Fault::new(BlockKind::Format, Sub::FormatFailure, text))
        }
    }
}

/// Validates a timestamp whose token was verified against the signature
/// (§5.4). That it existed is known only now: no archive timestamp covers it.
fn timestamp(
    token: &TimestampToken,
    pool: &[Cert],
    evidence: &[Evidence],
    context: &Context,
) -> Stamped {
    let gen_time = token.gen_time();
    let rule = match context.current_evidence.contains(token.signer()) {
        true => TsaEvidence::Current,
        false => TsaEvidence::IssuedSince,
    };
    let subject = Subject {
        cert: token.signer(),
        usage: Usage::Timestamp,
        covers: Some(gen_time),
        rule,
        existed: None,
        pool,
        evidence,
    };
    let certified = certificates::validate(&subject, context);
    let future = (gen_time > context.now + context.clock_tolerance).then(|| {
        let text = format!("it is of {gen_time}, after the time of validation");
        Fault::new(BlockKind::Timestamp, Sub::TimestampOrderFailure, text)
    });
    let fault = future.or(certified.fault).or_else(|| {
        let algorithm = match token.algorithm() {
            Ok(algorithm) => algorithm,
            Err(error) => return Some(errors::timestamp(&error)),
        };
        let policy = &context.algorithms;
        let checked = policy.check_signature(algorithm, token.signer().key(), context.now);
        checked
            .err()
            .map(|fault| certificates::weak(BlockKind::Timestamp, &fault, "its signature"))
    });
    let fault = fault.map(|fault| Fault {
        block: BlockKind::Timestamp,
        text: format!("timestamp: {}", fault.text),
        ..fault
    });
    let mut objects = vec![Object::Timestamp(token.clone())];
    objects.extend(certified.objects);
    Stamped {
        facts: Timestamp {
            indication: fault
                .as_ref()
                .map_or(Indication::TotalPassed, |fault| fault.sub.indication()),
            sub_indication: fault.as_ref().map(|fault| fault.sub),
            gen_time,
            policy: token.policy(),
            serial: hex::encode(token.serial()),
            authority: certified.chain,
        },
        objects,
        fault,
    }
}

/// The times must not contradict each other (§5.5.4, step 4 e).
fn times(found: &Found, existed: Option<OffsetDateTime>, context: &Context) -> Option<Fault> {
    let claimed = found.claimed;
    let limit = existed.unwrap_or(context.now) + context.clock_tolerance;
    if claimed <= limit {
        return None;
    }
    Some(match existed {
        Some(gen_time) => Fault::new(
            BlockKind::Times,
            Sub::TimestampOrderFailure,
            format!("the signer claims {claimed}, after the timestamp of {gen_time}"),
        ),
        None => Fault::new(
            BlockKind::Acceptance,
            Sub::SigConstraintsFailure,
            format!("the signer claims {claimed}, which lies in the future"),
        ),
    })
}

/// The algorithm of the signature at the time it is proved to have existed
/// (§5.2.8).
fn acceptance(found: &Found, existed: Option<OffsetDateTime>, context: &Context) -> Option<Fault> {
    let at = existed.unwrap_or(context.now);
    let policy = &context.algorithms;
    let checked = policy.check_signature(found.algorithm, found.signer.key(), at);
    checked
        .err()
        .map(|fault| certificates::weak(BlockKind::Acceptance, &fault, "the signature"))
}

fn conclude(
    found: Found,
    stamped: Option<Stamped>,
    certified: Certified,
    fault: Option<Fault>,
    context: &Context,
) -> SignatureReport {
    let stamp_fault = stamped.as_ref().and_then(|stamped| stamped.fault.clone());
    let blocks = blocks(&found, stamped.as_ref(), fault.as_ref(), context);
    let verdict = match (fault, stamp_fault) {
        // Evidence is too old for now because nothing proves an earlier time.
        (Some(fault), Some(stamp)) if fault.sub == Sub::TryLater => Some(of_signature(stamp)),
        (Some(fault), _) => Some(fault),
        // A timestamp that is there must be good: to leave it out of account
        // would be to lower the level in silence.
        (None, Some(stamp)) => Some(of_signature(stamp)),
        (None, None) => None,
    };
    let mut objects = certified.objects;
    let timestamp = stamped.map(|stamped| {
        objects.extend(stamped.objects);
        stamped.facts
    });
    let proved = timestamp
        .as_ref()
        .filter(|stamp| stamp.indication == Indication::TotalPassed);
    let facts = Facts {
        level: format!("{}-{}", found.format, found.level.as_str()),
        place: found.place,
        is_last_word: match &found.changes {
            None | Some(Changes::None | Changes::ValidationData) => true,
            Some(Changes::Allowed(_) | Changes::Suspicious { .. }) => false,
        },
        changes_after: found.changes.map(|changes| match changes {
            Changes::None => Vec::new(),
            Changes::ValidationData => vec!["validation data or a document timestamp".to_owned()],
            Changes::Allowed(changes) => changes,
            Changes::Suspicious { what } => vec![what],
        }),
        algorithm: found.algorithm.xml_uri().unwrap_or_default().to_owned(),
        claimed_signing_time: found.claimed,
        best_signature_time: proved.map_or(context.now, |stamp| stamp.gen_time),
        signer: certified.chain,
        timestamp,
        objects,
    };
    SignatureReport::new(verdict, Some(facts), blocks)
}

/// A timestamp that FAILED does not make the signature wrong: it breaks the
/// constraint that a timestamp has to be good.
pub(super) fn of_signature(fault: Fault) -> Fault {
    match fault.sub.indication() {
        Indication::TotalFailed => Fault {
            sub: Sub::SigConstraintsFailure,
            ..fault
        },
        Indication::Indeterminate | Indication::TotalPassed => fault,
    }
}

fn blocks(
    found: &Found,
    stamped: Option<&Stamped>,
    fault: Option<&Fault>,
    context: &Context,
) -> Vec<Block> {
    let signer = found.signer.subject();
    let anchors = context.anchors.len();
    let policy = context.algorithms.name();
    if let Some(fault) = fault.filter(|fault| fault.block == BlockKind::Format) {
        return vec![fault.into()];
    }
    let mut blocks = vec![
        Block::passed(
            BlockKind::Format,
            format!(
                "{} baseline, at {}: {}",
                found.format,
                found.place,
                found.level.as_str()
            ),
        ),
        Block::passed(
            BlockKind::SigningCertificate,
            format!("{signer}, bound by its digest"),
        ),
        Block::passed(
            BlockKind::Context,
            format!("{anchors} trust anchors, algorithms of {policy}"),
        ),
        Block::passed(
            BlockKind::Cryptographic,
            "every digest and the signature value are right",
        ),
    ];
    if let Some(stamped) = stamped {
        blocks.push(match &stamped.fault {
            Some(fault) => fault.into(),
            None => Block::passed(
                BlockKind::Timestamp,
                format!("the signature existed on {}", stamped.facts.gen_time),
            ),
        });
    }
    let rest = [
        (
            BlockKind::X509,
            "a chain to an anchor, nobody in it revoked",
        ),
        (BlockKind::Freshness, "the revocation data is new enough"),
        (BlockKind::Times, "the times do not contradict each other"),
        (BlockKind::Acceptance, "the algorithms are accepted"),
    ];
    for (block, text) in rest {
        match fault {
            Some(fault) if fault.block == block => {
                blocks.push(fault.into());
                break;
            }
            Some(_) | None => blocks.push(Block::passed(block, text)),
        }
    }
    blocks
}
