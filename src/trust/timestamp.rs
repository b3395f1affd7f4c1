//! Timestamps from the configured authorities, in order.

use super::{Call, Fetch, TIMESTAMP, Trust, TrustError, TsaSettings};
use crate::base::{digest, limits, random};
use crate::x509::tsp::{self, TimestampToken, TspError};
use time::OffsetDateTime;

impl Trust {
    /// A timestamp over `message` (SHA-256), completely checked: the token, the
    /// policy, the authority's chain, and its time against this machine's clock.
    /// The first authority that answers well wins.
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
        for authority in &self.settings.timestamp_authorities {
            match self.ask_authority(authority, &imprint, calls) {
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
        let nonce = random::bytes::<16>();
        let request = tsp::request(imprint, &nonce, authority.policy.as_deref());
        let asked_at = self.clock.now();
        let fetch = Fetch {
            purpose: TIMESTAMP,
            url: &authority.url,
            body: Some(("application/timestamp-query", request)),
            answer_bytes_max: limits::RESPONSE_BYTES_MAX,
        };
        let token = self.fetch(fetch, calls, |body| {
            let failed = |source| failed(authority, source);
            let token = TimestampToken::from_response(&body).map_err(failed)?;
            token.verify(imprint, Some(&nonce)).map_err(failed)?;
            check_policy(authority, &token)?;
            self.check_clock(authority, &token, asked_at)?;
            Ok(token)
        })?;
        let pool = token.certificates();
        self.chain(token.signer(), pool, token.gen_time(), calls)?;
        Ok(token)
    }

    /// The stated time must lie between question and answer, give or take the
    /// tolerance and the authority's own accuracy, which the tolerance bounds:
    /// otherwise an authority could state any time with a large one.
    fn check_clock(
        &self,
        authority: &TsaSettings,
        token: &TimestampToken,
        asked_at: OffsetDateTime,
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
        let slack = tolerance + accuracy;
        let stated = token.gen_time();
        let off = if stated < asked_at {
            stated - asked_at
        } else {
            (stated - self.clock.now()).max(time::Duration::ZERO)
        };
        if off.unsigned_abs() <= slack {
            return Ok(());
        }
        Err(TrustError::ClockSkew {
            authority: authority.name.clone(),
            seconds: off.whole_seconds(),
        })
    }
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
