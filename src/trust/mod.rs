//! Whom to believe: chains to the configured anchors, timestamps from the
//! configured authorities, and evidence that nobody in a chain is revoked.
//! Knows certificates and evidence, not the document formats they go into.

mod budget;
mod chain;
mod evidence;
mod health;
mod memory;
mod policy;
mod revocation;
mod statements;
#[cfg(test)]
mod tests;
mod timestamp;
mod witness;

pub use budget::Budget;
pub use chain::build_chain;
pub use evidence::{
    Evidence, EvidenceError, Finding, Freshness, Judgement, Question, Standing, judge,
};
pub use health::{AuthorityHealth, ClockReading, Failure, FailureKind, Health};
pub use policy::{AlgorithmPolicy, PolicyFault};
pub use witness::{Commitment, Witness, Witnessed};

use crate::base::Clock;
use crate::http::{self, HttpError, Transport};
use crate::x509::Cert;
use crate::x509::ocsp::CertIdDigest;
use crate::x509::tsp::TspError;
use memory::Memory;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use time::OffsetDateTime;

/// What the administrator trusts and where to ask.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where chains may end. Themselves need no evidence.
    pub anchors: Vec<Cert>,
    /// Timestamp authorities, asked in this order until one answers well.
    pub timestamp_authorities: Vec<TsaSettings>,
    /// How long others are asked before an authority that failed or was slow.
    pub authority_pause: Duration,
    /// From how long on an authority is slow.
    pub authority_slow: Duration,
    /// How far an authority's time may be from this machine's.
    pub clock_tolerance: Duration,
    /// By how much evidence may be older than the time it has to cover; zero
    /// demands evidence issued at or after that time.
    pub revocation_skew: Duration,
    /// Digest in OCSP requests' `CertID`; the other one is tried when a
    /// responder does not understand it.
    pub ocsp_cert_id: CertIdDigest,
    /// Whether OCSP requests have a nonce (RFC 9654).
    pub ocsp_nonce: bool,
    /// Which algorithms are accepted until when.
    pub algorithms: AlgorithmPolicy,
    /// Folder of the last good answers; `None`: kept in memory alone.
    pub cache_folder: Option<PathBuf>,
    /// Trust and times of the HTTP client for all these calls.
    pub http: http::Settings,
}

/// One timestamp authority.
#[derive(Debug, Clone)]
pub struct TsaSettings {
    /// Its name in messages.
    pub name: String,
    /// Where it takes requests (RFC 3161 §3.4).
    pub url: String,
    /// The policy to ask for and to insist on, a dotted OID.
    pub policy: Option<String>,
    /// How new evidence on its certificate must be.
    pub evidence: TsaEvidence,
}

/// How new evidence on a timestamp authority's certificate must be.
///
/// Nothing but the token itself proves when it was made, so evidence from before
/// it leaves open whether the authority was revoked in between (EN 319 102-1
/// §5.4 and §5.6.2.2): the first is the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TsaEvidence {
    /// Issued at or after the timestamp.
    IssuedSince,
    /// The same, or within its `nextUpdate` at the timestamp: for an authority
    /// with only a list that appears every few weeks.
    Current,
}

/// One call to the outside, or what was remembered instead of one: kept so that
/// "why did it take so long" and "why did it fail" have answers.
#[derive(Debug, Clone)]
pub struct Call {
    /// `timestamp`, `ocsp`, `crl` or `aia`.
    pub purpose: &'static str,
    /// The address asked.
    pub url: String,
    /// When the call began.
    pub at: OffsetDateTime,
    /// How long it took, in milliseconds.
    pub millis: u64,
    /// What came of it, for a human.
    pub result: String,
    /// Answered from memory, without a call.
    pub from_cache: bool,
}

/// Why there is no trust (yet).
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The HTTP client cannot be made.
    #[error("cannot set up the client for timestamps and revocation")]
    Setup(#[source] HttpError),
    /// No trust anchor is configured.
    #[error("no trust anchor is configured")]
    NoAnchors,
    /// No timestamp authority is configured.
    #[error("no timestamp authority is configured")]
    NoAuthority,
    /// A call that was not made: validating a stranger's document, for which too
    /// much was asked already, or an address inside.
    #[error("not asked: {reason}")]
    NotAsked {
        /// Why not.
        reason: &'static str,
    },
    /// No answer at all.
    #[error("no {purpose} answer from {url}")]
    Unreachable {
        /// As in [`Call`].
        purpose: &'static str,
        /// The address asked.
        url: String,
        /// What happened.
        #[source]
        source: HttpError,
    },
    /// An answer that cannot be used: an HTTP status, damaged, forged, about
    /// something else.
    #[error("unusable {purpose} answer from {url}: {reason}")]
    Answer {
        /// As in [`Call`].
        purpose: &'static str,
        /// The address asked.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The timestamp authority refused.
    #[error("the timestamp authority {authority} refused")]
    Refused {
        /// Its configured name.
        authority: String,
        /// Its reasons.
        #[source]
        source: TspError,
    },
    /// The timestamp must not be used.
    #[error("the timestamp from {authority} must not be used")]
    Token {
        /// The authority's configured name.
        authority: String,
        /// The check that failed.
        #[source]
        source: TspError,
    },
    /// The timestamp is under another policy than the one asked for.
    #[error("the timestamp from {authority} is under policy {found}, not {wanted}")]
    Policy {
        /// The authority's configured name.
        authority: String,
        /// The configured policy.
        wanted: String,
        /// The token's policy.
        found: String,
    },
    /// The authority hardly knows the time itself.
    #[error(
        "the time of {authority} may be wrong by {} s, more than the {} s allowed",
        accuracy.as_secs_f64(),
        allowed.as_secs_f64()
    )]
    Inaccurate {
        /// The authority's configured name.
        authority: String,
        /// What the token states.
        accuracy: Duration,
        /// The configured tolerance.
        allowed: Duration,
    },
    /// This machine's clock and the authority's are apart.
    #[error("the clock of {authority} and this machine's are {seconds} s apart")]
    ClockSkew {
        /// The authority's configured name.
        authority: String,
        /// Authority minus machine.
        seconds: i64,
    },
    /// Every timestamp authority failed.
    #[error("every timestamp authority failed: {}", join(failures))]
    AllAuthorities {
        /// In the order they were asked.
        failures: Vec<TrustError>,
    },
    /// No chain to an anchor.
    #[error("{subject} is not trusted: {reason}")]
    NotTrusted {
        /// The certificate at which the search ended.
        subject: String,
        /// Why.
        reason: String,
    },
    /// The list of algorithms cannot be read.
    #[error("the algorithm policy is malformed: {reason}")]
    Algorithms {
        /// What is wrong with it.
        reason: String,
    },
    /// A certificate, or a timestamp by it, is signed with what is not accepted
    /// any more.
    #[error("a signature by or on the certificate of {subject} is too weak")]
    Algorithm {
        /// Whose certificate.
        subject: String,
        /// What is not accepted.
        #[source]
        source: PolicyFault,
    },
    /// A certificate was not valid at the time in question.
    #[error("the certificate of {subject} was not valid on {at}")]
    NotValid {
        /// Whose certificate.
        subject: String,
        /// The time in question.
        at: OffsetDateTime,
    },
    /// A certificate is revoked or on hold.
    #[error("the certificate of {subject} was revoked on {at}")]
    Revoked {
        /// Whose certificate.
        subject: String,
        /// Since when.
        at: OffsetDateTime,
    },
    /// The responder does not know the certificate.
    #[error("the OCSP responder does not know the certificate of {subject}")]
    Unknown {
        /// Whose certificate.
        subject: String,
    },
    /// The newest evidence there is does not cover the time yet, or has lapsed.
    #[error("the newest evidence on {subject} is of {this_update}, needed is {wanted}")]
    NotYetFresh {
        /// Whose certificate.
        subject: String,
        /// The evidence's `thisUpdate`.
        this_update: OffsetDateTime,
        /// The time it must reach.
        wanted: OffsetDateTime,
    },
    /// Neither OCSP nor a list gave evidence.
    #[error("no evidence that {subject} is not revoked: {}", join(failures))]
    NoEvidence {
        /// Whose certificate.
        subject: String,
        /// In the order they were asked; empty when the certificate names no
        /// source.
        failures: Vec<TrustError>,
    },
}

fn join(failures: &[TrustError]) -> String {
    if failures.is_empty() {
        return "the certificate names no source".to_owned();
    }
    let failures: Vec<String> = failures.iter().map(ToString::to_string).collect();
    failures.join("; ")
}

impl TrustError {
    /// Whether the same thing may succeed later without anybody changing the
    /// configuration or the card.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NotAsked { .. }
            | Self::Unreachable { .. }
            | Self::Answer { .. }
            | Self::Refused { .. }
            | Self::Token { .. }
            | Self::Inaccurate { .. }
            | Self::ClockSkew { .. }
            | Self::Unknown { .. }
            | Self::NotYetFresh { .. } => true,
            Self::AllAuthorities { failures } | Self::NoEvidence { failures, .. } => {
                failures.iter().any(Self::is_transient)
            }
            Self::Setup(_)
            | Self::NoAnchors
            | Self::NoAuthority
            | Self::Policy { .. }
            | Self::NotTrusted { .. }
            | Self::Algorithms { .. }
            | Self::Algorithm { .. }
            | Self::NotValid { .. }
            | Self::Revoked { .. } => false,
        }
    }

    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Setup(_) => "trust-setup",
            Self::NoAnchors => "no-anchors",
            Self::NoAuthority => "no-timestamp-authority",
            Self::NotAsked { .. } => "not-asked",
            Self::Unreachable { .. } => "unreachable",
            Self::Answer { .. } => "answer-unusable",
            Self::Refused { .. } => "timestamp-refused",
            Self::Token { .. } | Self::Policy { .. } | Self::Inaccurate { .. } => {
                "timestamp-unusable"
            }
            Self::ClockSkew { .. } => "clock-skew",
            Self::AllAuthorities { .. } => "timestamp-authorities-failed",
            Self::NotTrusted { .. } => "not-trusted",
            Self::Algorithms { .. } => "algorithm-policy",
            Self::Algorithm { .. } => "algorithm-not-accepted",
            Self::NotValid { .. } => "certificate-not-valid",
            Self::Revoked { .. } => "certificate-revoked",
            Self::Unknown { .. } => "certificate-unknown",
            Self::NotYetFresh { .. } => "revocation-not-fresh",
            Self::NoEvidence { .. } => "no-revocation-data",
        }
    }

    /// Whose fault it is: `tsa`, `ocsp` (revocation lists too), `network`, or
    /// `ours` (configuration, clock, card).
    pub fn class(&self) -> &'static str {
        match self {
            Self::NotAsked { .. } | Self::Unreachable { .. } => "network",
            Self::Answer { purpose, .. } if *purpose == TIMESTAMP => "tsa",
            Self::Answer { .. } | Self::Unknown { .. } | Self::NotYetFresh { .. } => "ocsp",
            Self::Refused { .. }
            | Self::Token { .. }
            | Self::Policy { .. }
            | Self::Inaccurate { .. } => "tsa",
            Self::AllAuthorities { failures } => common_class(failures, "tsa"),
            Self::NoEvidence { failures, .. } => common_class(failures, "ocsp"),
            Self::Setup(_)
            | Self::NoAnchors
            | Self::NoAuthority
            | Self::ClockSkew { .. }
            | Self::NotTrusted { .. }
            | Self::Algorithms { .. }
            | Self::Algorithm { .. }
            | Self::NotValid { .. }
            | Self::Revoked { .. } => "ours",
        }
    }
}

/// The class all failures share, or `mixed` when they differ.
fn common_class(failures: &[TrustError], mixed: &'static str) -> &'static str {
    let mut classes = failures.iter().map(TrustError::class);
    match classes.next() {
        Some(first) if classes.all(|class| class == first) => first,
        Some(_) | None => mixed,
    }
}

const TIMESTAMP: &str = "timestamp";
const OCSP: &str = "ocsp";
const CRL: &str = "crl";
const AIA: &str = "aia";

/// The one place that decides on trust. Shared by worker threads.
pub struct Trust {
    settings: Settings,
    clock: Arc<dyn Clock>,
    client: Arc<dyn Transport>,
    memory: Memory,
    health: Mutex<Health>,
    witness: Option<Arc<dyn Witness>>,
}

/// An outside call to make.
struct Fetch<'a> {
    purpose: &'static str,
    url: &'a str,
    /// Content type and body of a POST.
    body: Option<(&'static str, Vec<u8>)>,
    answer_bytes_max: usize,
    /// By when the answer has to be there; `None`: as the client is set up.
    end: Option<Instant>,
}

impl Trust {
    /// Sets up trust.
    ///
    /// # Errors
    /// [`TrustError::NoAnchors`], [`TrustError::Setup`].
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, TrustError> {
        let client = http::Client::new(&settings.http).map_err(TrustError::Setup)?;
        Self::over(settings, clock, Arc::new(client))
    }

    /// The same over a way to the outside of the caller's own.
    ///
    /// # Errors
    /// [`TrustError::NoAnchors`].
    pub fn over(
        settings: Settings,
        clock: Arc<dyn Clock>,
        client: Arc<dyn Transport>,
    ) -> Result<Self, TrustError> {
        if settings.anchors.is_empty() {
            return Err(TrustError::NoAnchors);
        }
        Ok(Self {
            memory: Memory::new(settings.cache_folder.clone()),
            health: Mutex::new(Health::new(&settings.timestamp_authorities)),
            settings,
            clock,
            client,
            witness: None,
        })
    }

    /// The same with somebody whose commitments timestamp requests carry.
    #[must_use]
    pub fn witnessing(mut self, witness: Arc<dyn Witness>) -> Self {
        self.witness = Some(witness);
        self
    }

    /// What this was set up with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Makes one call and writes it down, with what `judge` makes of the body.
    fn fetch<T>(
        &self,
        fetch: Fetch<'_>,
        calls: &mut Vec<Call>,
        judge: impl FnOnce(Vec<u8>) -> Result<T, TrustError>,
    ) -> Result<T, TrustError> {
        let Fetch { purpose, url, .. } = fetch;
        let at = self.clock.now();
        let start = Instant::now();
        let answer = self.send(fetch);
        let millis = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let judged = answer.and_then(judge);
        calls.push(Call {
            purpose,
            url: url.to_owned(),
            at,
            millis,
            result: match &judged {
                Ok(_) => "ok".to_owned(),
                Err(error) => error.to_string(),
            },
            from_cache: false,
        });
        judged
    }

    fn send(&self, fetch: Fetch<'_>) -> Result<Vec<u8>, TrustError> {
        let Fetch { purpose, url, .. } = fetch;
        let (headers, body) = match fetch.body {
            Some((kind, body)) => (vec![("content-type", kind)], Some(body)),
            None => (Vec::new(), None),
        };
        let request = http::Request {
            url,
            headers: &headers,
            body,
            answer_bytes_max: fetch.answer_bytes_max,
        };
        let url = url.to_owned();
        match self.client.send_until(request, fetch.end) {
            Ok(answer) if answer.status == 200 => Ok(answer.body),
            Ok(answer) => Err(TrustError::Answer {
                purpose,
                url,
                reason: format!("HTTP status {}", answer.status),
            }),
            Err(source) => Err(TrustError::Unreachable {
                purpose,
                url,
                source,
            }),
        }
    }

    /// By when a call has to end; without budget, as the client is set up.
    /// Writes down when it must not be made.
    fn permit(
        &self,
        purpose: &'static str,
        url: &str,
        budget: Option<&mut Budget>,
        calls: &mut Vec<Call>,
    ) -> Result<Option<Instant>, TrustError> {
        let Some(budget) = budget else {
            return Ok(None);
        };
        let told = budget.is_exceeded();
        let reason = match budget.take() {
            None => "the limit of calls for one report is reached",
            Some(_) if purpose == AIA && !self.may_ask(url) => "an address of our own network",
            Some(end) => return Ok(Some(end)),
        };
        let refused = TrustError::NotAsked { reason };
        if !told {
            self.note(purpose, url, refused.to_string(), false, calls);
        }
        Err(refused)
    }

    /// Writes down that an answer was remembered.
    fn note_remembered(&self, purpose: &'static str, url: &str, calls: &mut Vec<Call>) {
        self.note(purpose, url, "ok".to_owned(), true, calls);
    }

    fn note(
        &self,
        purpose: &'static str,
        url: &str,
        result: String,
        from_cache: bool,
        calls: &mut Vec<Call>,
    ) {
        calls.push(Call {
            purpose,
            url: url.to_owned(),
            at: self.clock.now(),
            millis: 0,
            result,
            from_cache,
        });
    }
}

/// An [`TrustError::Answer`] with the error's own words and those of its causes.
fn unusable(
    purpose: &'static str,
    url: &str,
) -> impl Fn(&(dyn std::error::Error + 'static)) -> TrustError {
    move |error| {
        let mut reason = error.to_string();
        if let Some(cause) = error.source() {
            reason = format!("{reason}: {cause}");
        }
        TrustError::Answer {
            purpose,
            url: url.to_owned(),
            reason,
        }
    }
}
