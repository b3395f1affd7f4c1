//! Timestamps from the configured authorities, in order.

use super::health::FailureKind;
use super::memory::{Item, Key, Kind};
use super::{Call, Fetch, TIMESTAMP, Trust, TrustError, TsaEvidence, TsaSettings};
use crate::base::{causes, digest, limits, random};
use crate::x509::Cert;
use crate::x509::tsp::{self, TimestampToken, TspError};
use std::time::Instant;
use time::OffsetDateTime;

impl Trust {
    /// A timestamp over `message` (SHA-256), completely checked: the token, the
    /// policy, the authority's chain, and its time against this machine's clock.
    /// The first authority that answers well wins; one that failed or was slow is
    /// asked last for a while.
    ///
    /// # Errors
    /// [`TrustError::NoAuthority`]; the failure of the only authority, or
    /// [`TrustError::AllAuthorities`].
    pub fn timestamp(
        &self,
        message: &[u8],
        calls: &mut Vec<Call>,
    ) -> Result<TimestampToken, TrustError> {
        let imprint = digest::sha256(message);
        let mut failures = Vec::new();
        for place in self.authorities_in_turn() {
            let Some(authority) = self.settings.timestamp_authorities.get(place) else {
                continue;
            };
            let start = Instant::now();
            let asked = self.ask_authority(authority, &imprint, calls);
            let failure = asked.as_ref().err();
            let failure = failure.map(|error| (FailureKind::of(error), causes(error)));
            self.note_authority(place, start.elapsed(), failure);
            match asked {
                Ok(token) => return Ok(token),
                Err(failure) => failures.push(failure),
            }
        }
        match failures.len() {
            0 => Err(TrustError::NoAuthority),
            1 => Err(failures.swap_remove(0)),
            _ => Err(TrustError::AllAuthorities { failures }),
        }
    }

    fn ask_authority(
        &self,
        authority: &TsaSettings,
        imprint: &[u8; 32],
        calls: &mut Vec<Call>,
    ) -> Result<TimestampToken, TrustError> {
        let commitment = self.witness.as_ref().and_then(|who| who.commitment());
        let chosen = commitment.as_ref().map(|commitment| commitment.nonce);
        let nonce = chosen.unwrap_or_else(random::bytes::<16>);
        let request = tsp::request(imprint, &nonce, authority.policy.as_deref());
        let asked_at = self.clock.now();
        let fetch = Fetch {
            purpose: TIMESTAMP,
            url: &authority.url,
            body: Some(("application/timestamp-query", request)),
            answer_bytes_max: limits::RESPONSE_BYTES_MAX,
            end: None,
        };
        let call = calls.len();
        let token = self.fetch(fetch, calls, |body| {
            let failed = |source| failed(authority, source);
            let token = TimestampToken::from_response(&body).map_err(failed)?;
            let algorithm = token.verify(imprint, Some(&nonce)).map_err(failed)?;
            check_policy(authority, &token)?;
            let (key, at) = (token.signer().key(), token.gen_time());
            let accepted = self.settings.algorithms.check_signature(algorithm, key, at);
            accepted.map_err(|source| TrustError::Algorithm {
                subject: token.signer().subject(),
                source,
            })?;
            Ok(token)
        })?;
        let off = self.off(token.gen_time(), asked_at);
        let accepted = self.accept(authority, &token, off, calls);
        if let (Err(failure), Some(call)) = (&accepted, calls.get_mut(call)) {
            call.result = failure.to_string();
        }
        let chain = accepted?;
        if let Some(commitment) = commitment {
            (commitment.witnessed)(&token, &chain);
        }
        Ok(token)
    }

    /// Judges authority and time of a token that is good in itself, and gives its
    /// chain. What a trusted one says about this machine's clock counts, refused or not.
    fn accept(
        &self,
        authority: &TsaSettings,
        token: &TimestampToken,
        off: time::Duration,
        calls: &mut Vec<Call>,
    ) -> Result<Vec<Cert>, TrustError> {
        let pool = token.certificates();
        let chain = self.chain(token.signer(), pool, token.gen_time(), calls)?;
        self.note_clock(&authority.name, off);
        self.check_clock(authority, token, off)?;
        self.note_signer(authority, token.signer());
        Ok(chain)
    }

    /// How far a signed time lies outside of the time since `asked_at`.
    pub(super) fn off(&self, signed: OffsetDateTime, asked_at: OffsetDateTime) -> time::Duration {
        if signed < asked_at {
            signed - asked_at
        } else {
            (signed - self.clock.now()).max(time::Duration::ZERO)
        }
    }

    /// Remembers whose certificate it is, for [`Self::evidence_on_signer`].
    fn note_signer(&self, authority: &TsaSettings, signer: &Cert) {
        let key = signer_key(authority, signer);
        if self.memory.recall(key).is_none() {
            let item = Item::Certificate(signer.clone());
            self.memory.keep(key, item, self.clock.now(), true);
        }
    }

    /// How new evidence on the certificate that signed a timestamp must be: as
    /// configured for the authority that used it here; strictly for any other.
    pub fn evidence_on_signer(&self, signer: &Cert) -> TsaEvidence {
        let known = |authority: &&TsaSettings| {
            let key = signer_key(authority, signer);
            self.memory.recall(key).is_some()
        };
        let authority = self.settings.timestamp_authorities.iter().find(known);
        authority.map_or(TsaEvidence::IssuedSince, |authority| authority.evidence)
    }

    /// The stated time must lie between question and answer, give or take the
    /// tolerance, which bounds the authority's own accuracy too: a signature
    /// further off would not pass validation.
    fn check_clock(
        &self,
        authority: &TsaSettings,
        token: &TimestampToken,
        off: time::Duration,
    ) -> Result<(), TrustError> {
        let tolerance = self.settings.clock_tolerance;
        let accuracy = token.accuracy().unwrap_or_default();
        if accuracy > tolerance {
            return Err(TrustError::Inaccurate {
                authority: authority.name.clone(),
                accuracy,
                allowed: tolerance,
            });
        }
        if off.unsigned_abs() <= tolerance {
            return Ok(());
        }
        Err(TrustError::ClockSkew {
            authority: authority.name.clone(),
            seconds: off.whole_seconds(),
        })
    }
}

fn signer_key(authority: &TsaSettings, signer: &Cert) -> Key {
    let parts = [&signer.sha256()[..], authority.url.as_bytes()];
    (Kind::Authority, digest::sha256_parts(&parts))
}

fn failed(authority: &TsaSettings, source: TspError) -> TrustError {
    let authority = authority.name.clone();
    match source {
        TspError::Refused { .. } => TrustError::Refused { authority, source },
        TspError::Malformed { .. }
        | TspError::Signature(_)
        | TspError::Imprint
        | TspError::Nonce
        | TspError::Purpose(_)
        | TspError::SignerNotValid => TrustError::Token { authority, source },
    }
}

fn check_policy(authority: &TsaSettings, token: &TimestampToken) -> Result<(), TrustError> {
    match &authority.policy {
        Some(wanted) if *wanted != token.policy() => Err(TrustError::Policy {
            authority: authority.name.clone(),
            wanted: wanted.clone(),
            found: token.policy(),
        }),
        Some(_) | None => Ok(()),
    }
}
