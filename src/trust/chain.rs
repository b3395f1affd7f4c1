//! Chains of certificates (RFC 5280 §6, with the constraints health-care and
//! qualified certificates use; a certificate with any other critical extension
//! is not accepted).

use super::{AIA, Call, Fetch, Trust, TrustError, remember};
use crate::base::limits::{CERTIFICATE_BYTES_MAX, CHAIN_CERTIFICATES_MAX};
use crate::x509::Cert;
use crate::x509::cms::SignedData;
use time::OffsetDateTime;

/// Most issuer certificates fetched for one chain.
const FETCHES_MAX: usize = 4;
/// Most certificates tried as issuers for one chain: crossed certificates must
/// not make the search explode.
const TRIES_MAX: usize = 64;
/// Most issuer certificates remembered.
const ISSUERS_MAX: usize = 64;

impl Trust {
    /// The chain from `leaf` (first) to an anchor (last), valid at `at`. Issuers
    /// are looked for among the anchors, in `pool`, and then where the
    /// certificates say (`caIssuers`). Revocation is not looked at.
    ///
    /// # Errors
    /// [`TrustError::NotValid`] for a certificate outside its validity,
    /// [`TrustError::NotTrusted`] when no chain ends at an anchor, and what
    /// went wrong with a fetch, when one was needed.
    pub fn chain(
        &self,
        leaf: &Cert,
        pool: &[Cert],
        at: OffsetDateTime,
        calls: &mut Vec<Call>,
    ) -> Result<Vec<Cert>, TrustError> {
        check_self(leaf, at)?;
        let mut search = Search {
            trust: self,
            pool: pool.to_vec(),
            at,
            calls,
            fetches_left: FETCHES_MAX,
            tries_left: TRIES_MAX,
            failures: Vec::new(),
        };
        match search.extend(&mut vec![leaf.clone()]) {
            Some(chain) => Ok(chain),
            None => Err(search.failure(leaf)),
        }
    }
}

struct Search<'a> {
    trust: &'a Trust,
    pool: Vec<Cert>,
    at: OffsetDateTime,
    calls: &'a mut Vec<Call>,
    fetches_left: usize,
    tries_left: usize,
    failures: Vec<TrustError>,
}

impl Search<'_> {
    /// Depth first: `path` continued to an anchor, or `None`. As deep as a
    /// chain may be long.
    fn extend(&mut self, path: &mut Vec<Cert>) -> Option<Vec<Cert>> {
        let last = path.last()?.clone();
        if self.trust.settings.anchors.contains(&last) {
            return Some(path.clone());
        }
        if path.len() >= CHAIN_CERTIFICATES_MAX {
            self.failures
                .push(not_trusted(&last, "the chain is too long"));
            return None;
        }
        let named = |cert: &&Cert| cert.subject_der() == last.issuer_der();
        let anchors = self.trust.settings.anchors.iter().filter(named);
        let pool = self.pool.iter().filter(named);
        let known: Vec<Cert> = anchors.chain(pool).cloned().collect();
        if let Some(chain) = self.try_issuers(path, &known) {
            return Some(chain);
        }
        let fetched = self.fetch_issuers(&last);
        self.try_issuers(path, &fetched)
    }

    fn try_issuers(&mut self, path: &mut Vec<Cert>, issuers: &[Cert]) -> Option<Vec<Cert>> {
        for issuer in issuers {
            if path.contains(issuer) || self.tries_left == 0 {
                continue;
            }
            self.tries_left -= 1;
            if let Err(failure) = check_issuer(path, issuer, self.at) {
                self.failures.push(failure);
                continue;
            }
            path.push(issuer.clone());
            let chain = self.extend(path);
            path.pop();
            if chain.is_some() {
                return chain;
            }
        }
        None
    }

    /// Issuers of `cert` from where it says they are, checked to be its issuers.
    fn fetch_issuers(&mut self, cert: &Cert) -> Vec<Cert> {
        let mut found = Vec::new();
        for url in cert.ca_issuers_urls() {
            let remembered = self.trust.memory().issuers.get(url).cloned();
            if let Some(issuer) = remembered.filter(|i| cert.verify_issued_by(i).is_ok()) {
                self.trust.note_remembered(AIA, url, self.calls);
                return vec![issuer];
            }
            if self.fetches_left == 0 {
                break;
            }
            self.fetches_left -= 1;
            let fetch = Fetch {
                purpose: AIA,
                url,
                body: None,
                answer_bytes_max: CERTIFICATE_BYTES_MAX,
            };
            let issuer = self.trust.fetch(fetch, self.calls, |body| {
                let certs = read_issuers(&body);
                let issuer = certs.into_iter().find(|i| cert.verify_issued_by(i).is_ok());
                issuer.ok_or_else(|| TrustError::Answer {
                    purpose: AIA,
                    url: url.clone(),
                    reason: "not the issuer's certificate".to_owned(),
                })
            });
            match issuer {
                Ok(issuer) => {
                    let issuers = &mut self.trust.memory().issuers;
                    remember(issuers, ISSUERS_MAX, url.clone(), issuer.clone());
                    found.push(issuer);
                    break;
                }
                Err(failure) => self.failures.push(failure),
            }
        }
        found
    }

    /// The most telling of the failures: what to wait for or what to renew
    /// before "not trusted".
    fn failure(self, leaf: &Cert) -> TrustError {
        let telling = |failure: &TrustError| {
            failure.is_transient() || matches!(failure, TrustError::NotValid { .. })
        };
        let mut failures = self.failures;
        match failures.iter().position(telling) {
            Some(index) => failures.swap_remove(index),
            None => match failures.pop() {
                Some(last) => last,
                None => not_trusted(leaf, &format!("its issuer {} is unknown", leaf.issuer())),
            },
        }
    }
}

/// A `caIssuers` answer: a certificate in DER or PEM, or a bag of them.
fn read_issuers(body: &[u8]) -> Vec<Cert> {
    if let Ok(cert) = Cert::from_der(body) {
        return vec![cert];
    }
    if let Ok(bag) = SignedData::from_der(body) {
        return bag.certificates().to_vec();
    }
    Cert::from_pem_many(body).unwrap_or_default()
}

fn not_trusted(cert: &Cert, reason: &str) -> TrustError {
    TrustError::NotTrusted {
        subject: cert.subject(),
        reason: reason.to_owned(),
    }
}

fn check_self(cert: &Cert, at: OffsetDateTime) -> Result<(), TrustError> {
    if let Some(oid) = cert.unknown_critical_extension() {
        let reason = format!("its critical extension {oid} is not understood");
        return Err(not_trusted(cert, &reason));
    }
    if cert.is_valid_at(at) {
        Ok(())
    } else {
        let subject = cert.subject();
        Err(TrustError::NotValid { subject, at })
    }
}

/// Whether `issuer` may and did issue the last certificate of `path`.
fn check_issuer(path: &[Cert], issuer: &Cert, at: OffsetDateTime) -> Result<(), TrustError> {
    check_self(issuer, at)?;
    if !issuer.is_ca() {
        return Err(not_trusted(issuer, "it is no certificate authority"));
    }
    if issuer.key_usage().is_some_and(|usage| !usage.key_cert_sign) {
        return Err(not_trusted(issuer, "it may not sign certificates"));
    }
    // Below the issuer, without the leaf; self-issued ones do not count
    // (RFC 5280 §6.1.4 l).
    let below = path.iter().skip(1).filter(|cert| !cert.is_self_issued());
    let below = below.count();
    if issuer
        .path_len()
        .is_some_and(|most| below > usize::from(most))
    {
        return Err(not_trusted(
            issuer,
            "there are more authorities below it than it allows",
        ));
    }
    let Some(last) = path.last() else {
        return Ok(());
    };
    last.verify_issued_by(issuer)
        .map_err(|e| not_trusted(last, &format!("issued by {}: {e}", issuer.subject())))
}
