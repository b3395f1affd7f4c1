//! Algorithm policy as data: what is accepted until when, asked at the time for
//! which the algorithm's use is proved (EN 319 102-1 §5.2.8, TS 119 312).

use super::TrustError;
use crate::x509::{Cert, KeyKind, SignatureAlgorithm};
use serde::Deserialize;
use std::borrow::Cow;
use std::sync::Arc;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

/// The list as shipped.
const BUILT_IN: &str = include_str!("../../service-config/algorithms.toml");

const PKCS1: &str = "RSASSA-PKCS1-v1_5";
const PSS: &str = "RSASSA-PSS";
const ECDSA: &str = "ECDSA";

/// Which algorithms are accepted until when. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AlgorithmPolicy(Arc<Rows>);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    name: String,
    digest: Vec<DigestRow>,
    signature: Vec<SignatureRow>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DigestRow {
    name: String,
    #[serde(default, deserialize_with = "day")]
    until: Option<Date>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureRow {
    name: String,
    /// Shortest key of the row.
    bits: u32,
    #[serde(default, deserialize_with = "day")]
    until: Option<Date>,
}

fn day<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Option<Date>, D::Error> {
    let text = Cow::<str>::deserialize(input)?;
    let date = Date::parse(&text, format_description!("[year]-[month]-[day]"));
    date.map(Some).map_err(serde::de::Error::custom)
}

/// An algorithm the policy does not accept at the time in question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{algorithm} is not accepted{}", since(until))]
pub struct PolicyFault {
    /// The algorithm, with the key's length in bits where it has one.
    pub algorithm: String,
    /// Since when; `None`: it never was.
    pub until: Option<OffsetDateTime>,
}

fn since(until: &Option<OffsetDateTime>) -> String {
    match until {
        Some(until) => format!(" since {}", until.date()),
        None => String::new(),
    }
}

impl AlgorithmPolicy {
    /// The policy compiled in: TS 119 312 v1.5.1.
    pub fn built_in() -> Self {
        Self::from_toml(BUILT_IN).expect("the list compiled in is compared row by row by a test")
    }

    /// Reads a policy in the form of `service-config/algorithms.toml`.
    ///
    /// # Errors
    /// [`TrustError::Algorithms`].
    pub fn from_toml(text: &str) -> Result<Self, TrustError> {
        let rows = toml::from_str(text).map_err(|e| TrustError::Algorithms {
            reason: e.message().to_owned(),
        })?;
        Ok(Self(Arc::new(rows)))
    }

    /// The policy's name, for reports.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether a digest (`SHA-256`, as TS 119 312 §5.2 names it) is accepted.
    ///
    /// # Errors
    /// [`PolicyFault`].
    pub fn check_digest(&self, name: &str, at: OffsetDateTime) -> Result<(), PolicyFault> {
        let row = self.0.digest.iter().find(|row| row.name == name);
        judge(row.map(|row| row.until), at, || name.to_owned())
    }

    /// Whether signatures of this algorithm with such a key are accepted, digest
    /// included (TS 119 312 §6).
    ///
    /// # Errors
    /// [`PolicyFault`].
    pub fn check_signature(
        &self,
        algorithm: SignatureAlgorithm,
        key: KeyKind,
        at: OffsetDateTime,
    ) -> Result<(), PolicyFault> {
        self.check_digest(algorithm.digest_name(), at)?;
        self.check_scheme(scheme(algorithm), key, at)
    }

    /// Whether keys of this kind are accepted with one scheme at least.
    ///
    /// # Errors
    /// [`PolicyFault`].
    pub fn check_key(&self, key: KeyKind, at: OffsetDateTime) -> Result<(), PolicyFault> {
        match key {
            KeyKind::Rsa { .. } => self
                .check_scheme(PSS, key, at)
                .or_else(|_| self.check_scheme(PKCS1, key, at)),
            KeyKind::P256 | KeyKind::P384 | KeyKind::Other => self.check_scheme(ECDSA, key, at),
        }
    }

    /// Whether every certificate of `chain` but the anchor was signed with what
    /// is accepted. Gives the place of the first that was not.
    ///
    /// # Errors
    /// [`PolicyFault`], and the index in `chain`.
    pub fn check_chain(
        &self,
        chain: &[Cert],
        at: OffsetDateTime,
    ) -> Result<(), (usize, PolicyFault)> {
        for (index, pair) in chain.windows(2).enumerate() {
            let [cert, issuer] = pair else { continue };
            let checked = match cert.signature_algorithm() {
                Some(algorithm) => self.check_signature(algorithm, issuer.key(), at),
                None => Err(PolicyFault {
                    algorithm: "an unknown algorithm".to_owned(),
                    until: None,
                }),
            };
            checked.map_err(|fault| (index, fault))?;
        }
        Ok(())
    }

    fn check_scheme(
        &self,
        scheme: &str,
        key: KeyKind,
        at: OffsetDateTime,
    ) -> Result<(), PolicyFault> {
        let (bits, named) = match key {
            KeyKind::Rsa { bits } => (bits, format!("{scheme} with {bits} bits")),
            KeyKind::P256 => (256, format!("{scheme} with 256 bits")),
            KeyKind::P384 => (384, format!("{scheme} with 384 bits")),
            KeyKind::Other => (0, "this kind of key".to_owned()),
        };
        let rows = self.0.signature.iter();
        let rows = rows.filter(|row| row.name == scheme && row.bits <= bits);
        let row = rows.max_by_key(|row| row.bits);
        judge(row.map(|row| row.until), at, || named)
    }
}

/// `row`: nothing when the list has none, else the end when there is one.
fn judge(
    row: Option<Option<Date>>,
    at: OffsetDateTime,
    algorithm: impl FnOnce() -> String,
) -> Result<(), PolicyFault> {
    let until = match row {
        Some(None) => return Ok(()),
        Some(Some(date)) => Some(date.midnight().assume_utc()),
        None => None,
    };
    match until {
        Some(until) if at < until => Ok(()),
        until => Err(PolicyFault {
            algorithm: algorithm(),
            until,
        }),
    }
}

fn scheme(algorithm: SignatureAlgorithm) -> &'static str {
    use SignatureAlgorithm as A;
    match algorithm {
        A::RsaPkcs1Sha256 | A::RsaPkcs1Sha384 | A::RsaPkcs1Sha512 => PKCS1,
        A::RsaPssSha256 | A::RsaPssSha384 | A::RsaPssSha512 => PSS,
        A::EcdsaSha256 | A::EcdsaSha384 | A::EcdsaSha512 => ECDSA,
    }
}

#[cfg(test)]
impl AlgorithmPolicy {
    /// Every row: name, bits (0: a digest), end.
    pub(super) fn rows(&self) -> Vec<(String, u32, Option<String>)> {
        let text = |until: Option<Date>| until.map(|date| date.to_string());
        let digests = self.0.digest.iter();
        let digests = digests.map(|row| (row.name.clone(), 0, text(row.until)));
        let signatures = self.0.signature.iter();
        let signatures = signatures.map(|row| (row.name.clone(), row.bits, text(row.until)));
        digests.chain(signatures).collect()
    }
}
