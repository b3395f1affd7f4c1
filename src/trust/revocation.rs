//! Evidence that nobody in a chain is revoked: OCSP first, revocation list
//! second, fresh enough to be worth embedding.

use super::evidence::{Evidence, Freshness};
use super::{CRL, Call, Fetch, OCSP, Trust, TrustError, remember, unusable};
use crate::base::{digest, limits};
use crate::x509::crl::Crl;
use crate::x509::ocsp::{self, OcspResponse};
use crate::x509::{Cert, CertStatus};
use time::OffsetDateTime;

/// Most OCSP responses remembered (a few KiB each).
const RESPONSES_MAX: usize = 256;
/// Most revocation lists remembered (up to 10 MiB each).
const LISTS_MAX: usize = 8;

/// One question, and whose evidence it is about: a responder's own evidence must
/// not need evidence in turn.
#[derive(Clone, Copy)]
struct Asked<'a> {
    cert: &'a Cert,
    issuer: &'a Cert,
    freshness: Freshness,
    depth: Depth,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Chain,
    Responder,
}

impl Trust {
    /// Evidence for every certificate of `chain` below its anchor. For the first
    /// one, the signer's, it was issued at or after `not_before`, less the
    /// configured skew; for authorities, that or still current. Evidence states
    /// whole seconds, so `not_before` is cut to its second.
    ///
    /// # Errors
    /// [`TrustError::Revoked`] as soon as one is; [`TrustError::NotYetFresh`]
    /// when newer evidence is still to be issued; [`TrustError::NoEvidence`].
    pub fn revocation(
        &self,
        chain: &[Cert],
        not_before: OffsetDateTime,
        calls: &mut Vec<Call>,
    ) -> Result<Vec<Evidence>, TrustError> {
        let wanted = not_before.replace_nanosecond(0).unwrap_or(not_before);
        let wanted = wanted - self.settings.revocation_skew;
        let mut out = Vec::new();
        for (index, pair) in chain.windows(2).enumerate() {
            let [cert, issuer] = pair else { continue };
            let freshness = match index {
                0 => Freshness::IssuedSince(wanted),
                _ => Freshness::IssuedSinceOrCurrent(wanted),
            };
            let question = Asked {
                cert,
                issuer,
                freshness,
                depth: Depth::Chain,
            };
            for evidence in self.evidence(question, calls)? {
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
        question: Asked<'_>,
        calls: &mut Vec<Call>,
    ) -> Result<Vec<Evidence>, TrustError> {
        let mut failures = Vec::new();
        for url in question.cert.ocsp_urls() {
            match self.by_ocsp(question, url, calls) {
                Err(failure) if !is_verdict(&failure) => failures.push(failure),
                verdict => return verdict,
            }
        }
        for url in question.cert.crl_urls() {
            match self.by_list(question, url, calls) {
                Err(failure) if !is_verdict(&failure) => failures.push(failure),
                verdict => return verdict,
            }
        }
        // "Wait" says more than "the second source failed too".
        let waiting = |f: &TrustError| matches!(f, TrustError::NotYetFresh { .. });
        match failures.iter().position(waiting) {
            Some(index) => Err(failures.swap_remove(index)),
            None => Err(TrustError::NoEvidence {
                subject: question.cert.subject(),
                failures,
            }),
        }
    }

    fn by_ocsp(
        &self,
        question: Asked<'_>,
        url: &str,
        calls: &mut Vec<Call>,
    ) -> Result<Vec<Evidence>, TrustError> {
        let Asked { cert, issuer, .. } = question;
        let key = (digest::sha256(issuer.spki_der()), cert.serial().to_vec());
        let remembered = self.memory().ocsp.get(&key).cloned();
        let remembered = remembered.and_then(|response| {
            let responder = self.judge_ocsp(question, url, &response).ok()?;
            Some((response, responder))
        });
        let (response, responder) = match remembered {
            Some(found) => {
                self.note_remembered(OCSP, url, calls);
                found
            }
            None => {
                let fetch = Fetch {
                    purpose: OCSP,
                    url,
                    body: Some(("application/ocsp-request", ocsp::request(cert, issuer))),
                    answer_bytes_max: limits::RESPONSE_BYTES_MAX,
                };
                let fetched = self.fetch(fetch, calls, |body| {
                    let response = OcspResponse::from_der(&body);
                    let response = response.map_err(|e| unusable(OCSP, url)(&e))?;
                    let responder = self.judge_ocsp(question, url, &response)?;
                    Ok((response, responder))
                })?;
                remember(
                    &mut self.memory().ocsp,
                    RESPONSES_MAX,
                    key,
                    fetched.0.clone(),
                );
                fetched
            }
        };
        let mut out = vec![Evidence::Ocsp(response)];
        if responder != *issuer && !responder.ocsp_no_check() {
            out.extend(self.for_responder(question, &responder, url, calls)?);
        }
        Ok(out)
    }

    /// A delegated responder may itself be revoked unless its certificate says
    /// not to ask (RFC 6960 §4.2.2.2.1).
    fn for_responder(
        &self,
        question: Asked<'_>,
        responder: &Cert,
        url: &str,
        calls: &mut Vec<Call>,
    ) -> Result<Vec<Evidence>, TrustError> {
        if question.depth == Depth::Responder {
            return Err(TrustError::Answer {
                purpose: OCSP,
                url: url.to_owned(),
                reason: "the responder vouches for itself".to_owned(),
            });
        }
        let wanted = question.freshness.wanted();
        let question = Asked {
            cert: responder,
            freshness: Freshness::IssuedSinceOrCurrent(wanted),
            depth: Depth::Responder,
            ..question
        };
        // A revoked responder spoils its answer, not the certificate asked about.
        self.evidence(question, calls)
            .map_err(|failure| match failure {
                TrustError::Revoked { .. } => unusable(OCSP, url)(&failure),
                other => other,
            })
    }

    /// Whether the response is good evidence; who signed it.
    fn judge_ocsp(
        &self,
        question: Asked<'_>,
        url: &str,
        response: &OcspResponse,
    ) -> Result<Cert, TrustError> {
        let finding = response.check(question.cert, question.issuer);
        let finding = finding.map_err(|e| unusable(OCSP, url)(&e))?;
        judge_status(question.cert, finding.status)?;
        self.judge_freshness(question, finding.this_update, finding.next_update)?;
        Ok(finding.responder)
    }

    fn by_list(
        &self,
        question: Asked<'_>,
        url: &str,
        calls: &mut Vec<Call>,
    ) -> Result<Vec<Evidence>, TrustError> {
        let remembered = self.memory().lists.get(url).cloned();
        if let Some(list) = remembered
            && self.judge_list(question, url, &list).is_ok()
        {
            self.note_remembered(CRL, url, calls);
            return Ok(vec![Evidence::Crl(list)]);
        }
        let fetch = Fetch {
            purpose: CRL,
            url,
            body: None,
            answer_bytes_max: limits::CRL_BYTES_MAX,
        };
        let list = self.fetch(fetch, calls, |body| {
            let list = Crl::from_der(&body).map_err(|e| unusable(CRL, url)(&e))?;
            self.judge_list(question, url, &list)?;
            Ok(list)
        })?;
        remember(
            &mut self.memory().lists,
            LISTS_MAX,
            url.to_owned(),
            list.clone(),
        );
        Ok(vec![Evidence::Crl(list)])
    }

    fn judge_list(&self, question: Asked<'_>, url: &str, list: &Crl) -> Result<(), TrustError> {
        let unusable = unusable(CRL, url);
        list.verify(question.issuer).map_err(|e| unusable(&e))?;
        let status = list.status(question.cert).map_err(|e| unusable(&e))?;
        judge_status(question.cert, status)?;
        self.judge_freshness(question, list.this_update(), list.next_update())
    }

    fn judge_freshness(
        &self,
        question: Asked<'_>,
        this_update: OffsetDateTime,
        next_update: Option<OffsetDateTime>,
    ) -> Result<(), TrustError> {
        let now = self.clock.now();
        let stale = |wanted| TrustError::NotYetFresh {
            subject: question.cert.subject(),
            this_update,
            wanted,
        };
        let tolerance = self.settings.clock_tolerance;
        if this_update > now + tolerance {
            return Err(TrustError::ClockSkew {
                authority: question.issuer.subject(),
                seconds: (this_update - now).whole_seconds(),
            });
        }
        // Nothing is added to times from outside: 9999 is one of them.
        if next_update.is_some_and(|next| next < now - tolerance) {
            return Err(stale(now));
        }
        if question.freshness.is_met(this_update, next_update) {
            Ok(())
        } else {
            Err(stale(question.freshness.wanted()))
        }
    }
}

/// Whether no other source needs to be asked.
fn is_verdict(failure: &TrustError) -> bool {
    matches!(failure, TrustError::Revoked { .. })
}

fn judge_status(cert: &Cert, status: CertStatus) -> Result<(), TrustError> {
    let subject = cert.subject();
    match status {
        CertStatus::Good => Ok(()),
        CertStatus::Revoked { at, .. } => Err(TrustError::Revoked { subject, at }),
        CertStatus::Unknown => Err(TrustError::Unknown { subject }),
    }
}
