//! Evidence that nobody in a chain is revoked: OCSP first, revocation list
//! second, fresh enough to be worth embedding.

use super::evidence::{Evidence, Finding, Freshness};
use super::health::CLOCK_ALARM;
use super::memory::{Item, Key, Kind};
use super::{Budget, CRL, Call, Fetch, OCSP, Trust, TrustError, TsaEvidence, unusable};
use crate::base::{digest, limits, random};
use crate::x509::crl::Crl;
use crate::x509::ocsp::{self, CertIdDigest, OcspError, OcspResponse};
use crate::x509::tsp::TimestampToken;
use crate::x509::{Cert, CertStatus};
use time::{Duration, OffsetDateTime};

/// For how long an answer is used without asking whether there is a newer one,
/// however far its `nextUpdate` is.
const REFRESH: Duration = Duration::hours(1);

/// One question, and whose evidence it is about: a responder's own evidence must
/// not need evidence in turn.
#[derive(Clone, Copy)]
struct Asked<'a> {
    cert: &'a Cert,
    issuer: &'a Cert,
    freshness: Freshness,
    /// When the certificate's use is proved for, by somebody else's timestamp: a
    /// later revocation does not touch it (EN 319 102-1 §5.6.2).
    proved_at: Option<OffsetDateTime>,
    depth: Depth,
}

/// A responder's answer.
pub(super) struct OcspAnswer {
    response: OcspResponse,
    /// It repeats our nonce: it was made for this request.
    live: bool,
    asked_at: OffsetDateTime,
}

impl OcspAnswer {
    pub(super) fn into_evidence(self) -> Evidence {
        Evidence::Ocsp(self.response)
    }
}

/// Where to ask.
#[derive(Clone, Copy)]
enum Source<'a> {
    Ocsp(&'a str),
    List(&'a str),
}

impl<'a> Source<'a> {
    fn of(cert: &'a Cert) -> impl Iterator<Item = Self> {
        let responders = cert.ocsp_urls().iter().map(|url| Self::Ocsp(url));
        responders.chain(cert.crl_urls().iter().map(|url| Self::List(url)))
    }

    fn named(self) -> (&'static str, &'a str) {
        match self {
            Self::Ocsp(url) => (OCSP, url),
            Self::List(url) => (CRL, url),
        }
    }

    fn key(self, asked: Asked<'_>) -> Key {
        match self {
            Self::Ocsp(_) => {
                let parts = [asked.issuer.spki_der(), asked.cert.serial()];
                (Kind::Ocsp, digest::sha256_parts(&parts))
            }
            Self::List(url) => (Kind::List, digest::sha256(url.as_bytes())),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Chain,
    Responder,
}

impl Trust {
    /// Evidence for every certificate of a signer's `chain` below its anchor. For
    /// the first one, the signer's, it was issued at or after `proved_at`, the
    /// time of the timestamp, less the configured skew; for authorities, that or
    /// still current. Evidence states whole seconds, so the time is cut to its
    /// second. A signer revoked after `proved_at` passes: the timestamp proves the
    /// signature older (EN 319 102-1 §5.6.2); a revoked authority does not.
    ///
    /// # Errors
    /// [`TrustError::Revoked`] as soon as one is; [`TrustError::NotYetFresh`]
    /// when newer evidence is still to be issued; [`TrustError::NoEvidence`].
    pub fn revocation(
        &self,
        chain: &[Cert],
        proved_at: OffsetDateTime,
        calls: &mut Vec<Call>,
    ) -> Result<Vec<Evidence>, TrustError> {
        let first = Freshness::IssuedSince(self.covered(proved_at));
        self.for_chain(chain, first, Some(proved_at), calls)
    }

    /// The same for the chain of the authority that signed `token`, with evidence
    /// on its own certificate as [`TsaEvidence`] says. Nobody else proves the
    /// token's time, so any revocation counts.
    ///
    /// # Errors
    /// As [`Self::revocation`].
    pub fn timestamp_revocation(
        &self,
        token: &TimestampToken,
        chain: &[Cert],
        calls: &mut Vec<Call>,
    ) -> Result<Vec<Evidence>, TrustError> {
        let wanted = self.covered(token.gen_time());
        let first = match self.evidence_on_signer(token.signer()) {
            TsaEvidence::IssuedSince => Freshness::IssuedSince(wanted),
            TsaEvidence::Current => Freshness::IssuedSinceOrCurrent(wanted),
        };
        self.for_chain(chain, first, None, calls)
    }

    fn covered(&self, at: OffsetDateTime) -> OffsetDateTime {
        at.replace_nanosecond(0).unwrap_or(at) - self.settings.revocation_skew
    }

    fn for_chain(
        &self,
        chain: &[Cert],
        first: Freshness,
        proved_at: Option<OffsetDateTime>,
        calls: &mut Vec<Call>,
    ) -> Result<Vec<Evidence>, TrustError> {
        let mut out = Vec::new();
        for (index, pair) in chain.windows(2).enumerate() {
            let [cert, issuer] = pair else { continue };
            let (freshness, proved_at) = match index {
                0 => (first, proved_at),
                _ => (Freshness::IssuedSinceOrCurrent(first.wanted()), None),
            };
            let asked = Asked {
                cert,
                issuer,
                freshness,
                proved_at,
                depth: Depth::Chain,
            };
            for evidence in self.evidence(asked, calls)? {
                let der = evidence.der();
                if !out.iter().any(|known: &Evidence| known.der() == der) {
                    out.push(evidence);
                }
            }
        }
        Ok(out)
    }

    fn evidence(
        &self,
        asked: Asked<'_>,
        calls: &mut Vec<Call>,
    ) -> Result<Vec<Evidence>, TrustError> {
        let mut sources: Vec<Source<'_>> = Source::of(asked.cert).collect();
        sources.sort_by_key(|source| self.is_paused(*source));
        for source in &sources {
            // One that failed just now is not asked again for a newer answer.
            let age = (!self.is_paused(*source)).then_some(REFRESH);
            if let Some(found) = self.recall_evidence(asked, *source, age, calls) {
                return Ok(found);
            }
        }
        let mut failures = Vec::new();
        for source in &sources {
            match self.ask_source(asked, *source, calls) {
                Err(failure) if !is_verdict(&failure) => {
                    if is_outage(&failure) {
                        let until = self.clock.now() + self.settings.authority_pause;
                        self.memory.pause(source.named().1, until);
                    }
                    failures.push(failure);
                }
                verdict => return verdict,
            }
        }
        // Only when nobody answers: an answer says more than an older one.
        if failures.iter().all(is_outage) {
            for source in &sources {
                if let Some(found) = self.recall_evidence(asked, *source, None, calls) {
                    return Ok(found);
                }
            }
        }
        // "Wait" says more than "the second source failed too".
        let waiting = |f: &TrustError| matches!(f, TrustError::NotYetFresh { .. });
        match failures.iter().position(waiting) {
            Some(index) => Err(failures.swap_remove(index)),
            None => Err(TrustError::NoEvidence {
                subject: asked.cert.subject(),
                failures,
            }),
        }
    }

    fn ask_source(
        &self,
        asked: Asked<'_>,
        source: Source<'_>,
        calls: &mut Vec<Call>,
    ) -> Result<Vec<Evidence>, TrustError> {
        let (evidence, finding) = match source {
            Source::Ocsp(url) => self.ask_responder(asked, url, calls)?,
            Source::List(url) => self.fetch_list(asked, url, calls)?,
        };
        let item = Item::Evidence(evidence.clone());
        let found = self.with_responder(asked, evidence, &finding, source, calls)?;
        // What was asked about a signer serves no other document for long.
        let lasting = matches!(asked.freshness, Freshness::IssuedSinceOrCurrent(_));
        let now = self.clock.now();
        self.memory.keep(source.key(asked), item, now, lasting);
        Ok(found)
    }

    fn is_paused(&self, source: Source<'_>) -> bool {
        let until = self.memory.paused_until(source.named().1);
        until.is_some_and(|until| self.is_ahead(until, self.settings.authority_pause))
    }

    /// What is kept, when it would do and was fetched within `age`.
    fn recall_evidence(
        &self,
        asked: Asked<'_>,
        source: Source<'_>,
        age: Option<Duration>,
        calls: &mut Vec<Call>,
    ) -> Option<Vec<Evidence>> {
        let kept = self.memory.recall(source.key(asked))?;
        let young = |most| {
            let fetched = kept.fetched_at;
            fetched.is_some_and(|at| self.clock.now() - at < most)
        };
        if !age.is_none_or(young) {
            return None;
        }
        let Item::Evidence(evidence) = kept.item else {
            return None;
        };
        let (purpose, url) = source.named();
        let finding = self.examine(asked, purpose, url, &evidence).ok()?;
        self.judge_finding(asked, &finding).ok()?;
        self.note_remembered(purpose, url, calls);
        self.with_responder(asked, evidence, &finding, source, calls)
            .ok()
    }

    fn ask_responder(
        &self,
        asked: Asked<'_>,
        url: &str,
        calls: &mut Vec<Call>,
    ) -> Result<(Evidence, Finding), TrustError> {
        let (cert, issuer) = (asked.cert, asked.issuer);
        self.ask_ocsp((cert, issuer), url, calls, None, |answer| {
            let off = self.off(answer.response.produced_at(), answer.asked_at);
            let evidence = Evidence::Ocsp(answer.response);
            let finding = self.examine(asked, OCSP, url, &evidence)?;
            // An older response may have been made in advance; one from the
            // future cannot.
            if answer.live || off > CLOCK_ALARM {
                self.note_clock(url, off);
            }
            self.judge_finding(asked, &finding)?;
            Ok((evidence, finding))
        })
    }

    /// Asks a responder about a certificate of an issuer, with one digest, and
    /// with the other when it seems not to know the first.
    pub(super) fn ask_ocsp<T>(
        &self,
        about: (&Cert, &Cert),
        url: &str,
        calls: &mut Vec<Call>,
        mut budget: Option<&mut Budget>,
        judge: impl Fn(OcspAnswer) -> Result<T, TrustError>,
    ) -> Result<T, TrustError> {
        let (cert, issuer) = about;
        let mut ask = |digest: CertIdDigest, not_understood: &mut bool| {
            let end = self.permit(OCSP, url, budget.as_deref_mut(), calls)?;
            let nonce = self.settings.ocsp_nonce.then(random::bytes::<32>);
            let nonce = nonce.as_ref().map(|nonce| nonce.as_slice());
            let fetch = Fetch {
                purpose: OCSP,
                url,
                body: Some((
                    "application/ocsp-request",
                    ocsp::request(cert, issuer, digest, nonce),
                )),
                answer_bytes_max: limits::RESPONSE_BYTES_MAX,
                end,
            };
            let asked_at = self.clock.now();
            self.fetch(fetch, calls, |body| {
                let response = OcspResponse::from_der(&body).map_err(|error| {
                    *not_understood = matches!(
                        error,
                        OcspError::Refused("unauthorized" | "malformedRequest")
                    );
                    unusable(OCSP, url)(&error)
                })?;
                // One that knows no nonces leaves it out (RFC 9654 §2.1).
                if nonce.is_some() && response.nonce().is_some_and(|found| Some(found) != nonce) {
                    return Err(TrustError::Answer {
                        purpose: OCSP,
                        url: url.to_owned(),
                        reason: "it answers another request".to_owned(),
                    });
                }
                judge(OcspAnswer {
                    live: nonce.is_some() && response.nonce() == nonce,
                    asked_at,
                    response,
                })
            })
        };
        let digest = self.settings.ocsp_cert_id;
        let mut not_understood = false;
        let first = ask(digest, &mut not_understood);
        if not_understood {
            return ask(digest.other(), &mut not_understood);
        }
        first
    }

    fn fetch_list(
        &self,
        asked: Asked<'_>,
        url: &str,
        calls: &mut Vec<Call>,
    ) -> Result<(Evidence, Finding), TrustError> {
        let fetch = Fetch {
            purpose: CRL,
            url,
            body: None,
            answer_bytes_max: limits::CRL_BYTES_MAX,
            end: None,
        };
        self.fetch(fetch, calls, |body| {
            let list = Crl::from_der(&body).map_err(|e| unusable(CRL, url)(&e))?;
            let evidence = Evidence::Crl(list);
            let finding = self.examine(asked, CRL, url, &evidence)?;
            self.judge_finding(asked, &finding)?;
            Ok((evidence, finding))
        })
    }

    /// A delegated responder may itself be revoked unless its certificate says
    /// not to ask (RFC 6960 §4.2.2.2.1): its evidence goes along.
    fn with_responder(
        &self,
        asked: Asked<'_>,
        evidence: Evidence,
        finding: &Finding,
        source: Source<'_>,
        calls: &mut Vec<Call>,
    ) -> Result<Vec<Evidence>, TrustError> {
        let mut out = vec![evidence];
        if !finding.needs_evidence_on_signer(asked.issuer) {
            return Ok(out);
        }
        let (purpose, url) = source.named();
        if asked.depth == Depth::Responder {
            return Err(TrustError::Answer {
                purpose,
                url: url.to_owned(),
                reason: "the responder vouches for itself".to_owned(),
            });
        }
        let about_responder = Asked {
            cert: &finding.signer,
            freshness: Freshness::IssuedSinceOrCurrent(asked.freshness.wanted()),
            proved_at: None,
            depth: Depth::Responder,
            ..asked
        };
        let found = self.evidence(about_responder, calls);
        // A revoked responder spoils its answer, not the certificate asked about.
        out.extend(found.map_err(|failure| match failure {
            TrustError::Revoked { .. } => unusable(purpose, url)(&failure),
            other => other,
        })?);
        Ok(out)
    }

    /// What the evidence says, once it is known who says it and that it is
    /// signed with what is accepted.
    fn examine(
        &self,
        asked: Asked<'_>,
        purpose: &'static str,
        url: &str,
        evidence: &Evidence,
    ) -> Result<Finding, TrustError> {
        let unusable = unusable(purpose, url);
        let finding = evidence.examine(asked.cert, asked.issuer);
        let finding = finding.map_err(|e| unusable(&e))?;
        let (key, now) = (finding.signer.key(), self.clock.now());
        let accepted = &self.settings.algorithms;
        let accepted = accepted.check_signature(finding.algorithm, key, now);
        accepted.map_err(|e| unusable(&e))?;
        Ok(finding)
    }

    fn judge_finding(&self, asked: Asked<'_>, finding: &Finding) -> Result<(), TrustError> {
        let subject = asked.cert.subject();
        match finding.status {
            CertStatus::Revoked { at, .. } if asked.proved_at.is_none_or(|proved| at <= proved) => {
                return Err(TrustError::Revoked { subject, at });
            }
            CertStatus::Unknown => return Err(TrustError::Unknown { subject }),
            CertStatus::Good | CertStatus::Revoked { .. } => {}
        }
        self.judge_freshness(asked, finding.this_update, finding.next_update)
    }

    fn judge_freshness(
        &self,
        asked: Asked<'_>,
        this_update: OffsetDateTime,
        next_update: Option<OffsetDateTime>,
    ) -> Result<(), TrustError> {
        let now = self.clock.now();
        let stale = |wanted| TrustError::NotYetFresh {
            subject: asked.cert.subject(),
            this_update,
            wanted,
        };
        let tolerance = self.settings.clock_tolerance;
        if this_update > now + tolerance {
            return Err(TrustError::ClockSkew {
                authority: asked.issuer.subject(),
                seconds: (this_update - now).whole_seconds(),
            });
        }
        // Nothing is added to times from outside: 9999 is one of them.
        if next_update.is_some_and(|next| next < now - tolerance) {
            return Err(stale(now));
        }
        if asked.freshness.is_met(this_update, next_update) {
            Ok(())
        } else {
            Err(stale(asked.freshness.wanted()))
        }
    }
}

/// Whether no other source needs to be asked.
fn is_verdict(failure: &TrustError) -> bool {
    matches!(failure, TrustError::Revoked { .. })
}

/// Whether nobody, or nobody sane, answered.
fn is_outage(failure: &TrustError) -> bool {
    matches!(
        failure,
        TrustError::Unreachable { .. } | TrustError::Answer { .. }
    )
}
