//! Chains of certificates (RFC 5280 §6, with the constraints health-care and
//! qualified certificates use; a certificate with any other critical extension
//! is not accepted).

use super::memory::{Item, Kind};
use super::{AIA, Budget, Call, Fetch, Trust, TrustError};
use crate::base::digest;
use crate::base::limits::{CERTIFICATE_BYTES_MAX, CHAIN_CERTIFICATES_MAX};
use crate::x509::Cert;
use crate::x509::cms::SignedData;
use time::OffsetDateTime;

/// Most issuer certificates fetched for one chain.
const FETCHES_MAX: usize = 4;
/// Most certificates tried as issuers for one chain: crossed certificates must
/// not make the search explode.
const TRIES_MAX: usize = 256;

/// The chain from `leaf` (first) to one of `anchors` (last), valid at `at`, with
/// issuers from `pool` alone: no I/O. Revocation and algorithm policy are not
/// looked at. The work is bounded: each certificate is reached once, by the
/// shortest way, and few are tried.
///
/// # Errors
/// [`TrustError::NotValid`] for a certificate outside its validity,
/// [`TrustError::NotTrusted`] when no chain ends at an anchor.
pub fn build_chain(
    leaf: &Cert,
    pool: &[Cert],
    anchors: &[Cert],
    at: OffsetDateTime,
) -> Result<Vec<Cert>, TrustError> {
    check_self(leaf, at)?;
    let mut search = Search::new(leaf, anchors, at);
    match search.run(pool) {
        Some(chain) => Ok(chain),
        None => Err(search.failure(leaf)),
    }
}

impl Trust {
    /// As [`build_chain`] with the configured anchors, and issuers that `pool`
    /// lacks fetched from where the certificates say (`caIssuers`). Every
    /// certificate is signed with what the algorithm policy accepts at `at`.
    ///
    /// # Errors
    /// Those of [`build_chain`], [`TrustError::Algorithm`], and what went wrong
    /// with a fetch, when one was needed.
    pub fn chain(
        &self,
        leaf: &Cert,
        pool: &[Cert],
        at: OffsetDateTime,
        calls: &mut Vec<Call>,
    ) -> Result<Vec<Cert>, TrustError> {
        self.chain_within(leaf, pool, at, calls, None)
    }

    /// The same for a stranger's certificate: within a budget, and nothing is
    /// fetched from addresses inside.
    ///
    /// # Errors
    /// As [`Self::chain`], and [`TrustError::NotAsked`].
    pub fn strangers_chain(
        &self,
        leaf: &Cert,
        pool: &[Cert],
        at: OffsetDateTime,
        calls: &mut Vec<Call>,
        budget: &mut Budget,
    ) -> Result<Vec<Cert>, TrustError> {
        self.chain_within(leaf, pool, at, calls, Some(budget))
    }

    fn chain_within(
        &self,
        leaf: &Cert,
        pool: &[Cert],
        at: OffsetDateTime,
        calls: &mut Vec<Call>,
        mut budget: Option<&mut Budget>,
    ) -> Result<Vec<Cert>, TrustError> {
        check_self(leaf, at)?;
        let mut search = Search::new(leaf, &self.settings.anchors, at);
        let mut found = search.run(pool);
        let mut fetches_left = FETCHES_MAX;
        // The deepest first: the issuers of the others are mostly known.
        while let (None, Some((index, end))) = (&found, search.next_open()) {
            let budget = budget.as_deref_mut();
            let failures = &mut search.failures;
            let fetched = self.fetch_issuer(&end, &mut fetches_left, calls, budget, failures);
            if let Some(issuer) = fetched {
                let pool: Vec<Cert> = pool.iter().cloned().chain([issuer]).collect();
                found = search.retry(index, &pool);
            }
        }
        let Some(chain) = found else {
            return Err(search.failure(leaf));
        };
        let checked = self.settings.algorithms.check_chain(&chain, at);
        checked.map_err(|(index, source)| TrustError::Algorithm {
            subject: chain.get(index).map(Cert::subject).unwrap_or_default(),
            source,
        })?;
        Ok(chain)
    }

    /// The issuer of `cert` from where it says it is, checked to be that.
    fn fetch_issuer(
        &self,
        cert: &Cert,
        fetches_left: &mut usize,
        calls: &mut Vec<Call>,
        mut budget: Option<&mut Budget>,
        failures: &mut Vec<TrustError>,
    ) -> Option<Cert> {
        for url in cert.ca_issuers_urls() {
            let key = (Kind::Issuer, digest::sha256(url.as_bytes()));
            let kept = self.memory.recall(key);
            if let Some(Item::Certificate(issuer)) = kept.map(|kept| kept.item)
                && cert.verify_issued_by(&issuer).is_ok()
            {
                self.note_remembered(AIA, url, calls);
                return Some(issuer);
            }
            if *fetches_left == 0 {
                return None;
            }
            *fetches_left -= 1;
            let end = match self.permit(AIA, url, budget.as_deref_mut(), calls) {
                Ok(end) => end,
                Err(failure) => {
                    failures.push(failure);
                    continue;
                }
            };
            let fetch = Fetch {
                purpose: AIA,
                url,
                body: None,
                answer_bytes_max: CERTIFICATE_BYTES_MAX,
                end,
            };
            let issuer = self.fetch(fetch, calls, |body| {
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
                    let item = Item::Certificate(issuer.clone());
                    self.memory.keep(key, item, self.clock.now(), true);
                    return Some(issuer);
                }
                Err(failure) => failures.push(failure),
            }
        }
        None
    }
}

/// Breadth first from the leaf: the shortest chain is found first, and crossed
/// certificates cannot make the search explode, because none is reached twice.
struct Search<'a> {
    anchors: &'a [Cert],
    at: OffsetDateTime,
    /// Every certificate reached, and the place here of the one it issued.
    reached: Vec<(Cert, Option<usize>)>,
    /// Places of those from which no anchor was reached, deepest last.
    open: Vec<usize>,
    tries_left: usize,
    failures: Vec<TrustError>,
}

impl<'a> Search<'a> {
    fn new(leaf: &Cert, anchors: &'a [Cert], at: OffsetDateTime) -> Self {
        Self {
            anchors,
            at,
            reached: vec![(leaf.clone(), None)],
            open: Vec::new(),
            tries_left: TRIES_MAX,
            failures: Vec::new(),
        }
    }

    fn run(&mut self, pool: &[Cert]) -> Option<Vec<Cert>> {
        self.reach_anchor(0).or_else(|| self.run_from(0, pool))
    }

    /// The next certificate to fetch an issuer for, and its place.
    fn next_open(&mut self) -> Option<(usize, Cert)> {
        let index = self.open.pop()?;
        let (cert, _) = self.reached.get(index)?;
        Some((index, cert.clone()))
    }

    /// Goes on from the certificate at `index`, now that `pool` has more.
    fn retry(&mut self, index: usize, pool: &[Cert]) -> Option<Vec<Cert>> {
        let from = self.reached.len();
        self.extend(index, pool)
            .or_else(|| self.run_from(from, pool))
    }

    fn run_from(&mut self, mut index: usize, pool: &[Cert]) -> Option<Vec<Cert>> {
        while index < self.reached.len() {
            if let Some(chain) = self.extend(index, pool) {
                return Some(chain);
            }
            self.open.push(index);
            index += 1;
        }
        None
    }

    /// Reaches the issuers in `pool` of the certificate at `index`; the chain when
    /// one of them is an anchor or issued by one.
    fn extend(&mut self, index: usize, pool: &[Cert]) -> Option<Vec<Cert>> {
        let path = self.path(index);
        let last = path.last()?;
        if path.len() >= CHAIN_CERTIFICATES_MAX {
            self.failures
                .push(not_trusted(last, "the chain is too long"));
            return None;
        }
        for issuer in pool {
            let known = self.reached.iter().any(|(cert, _)| cert == issuer);
            if !known && self.is_issuer(&path, issuer) {
                self.reached.push((issuer.clone(), Some(index)));
                let chain = self.reach_anchor(self.reached.len() - 1);
                if chain.is_some() {
                    return chain;
                }
            }
        }
        None
    }

    /// The chain when the certificate at `index` is an anchor or issued by one.
    fn reach_anchor(&mut self, index: usize) -> Option<Vec<Cert>> {
        let mut path = self.path(index);
        if path.last().is_some_and(|last| self.anchors.contains(last)) {
            return Some(path);
        }
        if path.len() >= CHAIN_CERTIFICATES_MAX {
            return None;
        }
        let anchors = self.anchors;
        let anchor = anchors.iter().find(|anchor| self.is_issuer(&path, anchor));
        path.push(anchor?.clone());
        Some(path)
    }

    /// Whether `issuer` bears the right name and may and did issue the last of
    /// `path`; writes down why not.
    fn is_issuer(&mut self, path: &[Cert], issuer: &Cert) -> bool {
        let named = |last: &Cert| issuer.subject_der() == last.issuer_der();
        if !path.last().is_some_and(named) || self.tries_left == 0 {
            return false;
        }
        self.tries_left -= 1;
        match check_issuer(path, issuer, self.at) {
            Ok(()) => true,
            Err(failure) => {
                self.failures.push(failure);
                false
            }
        }
    }

    /// From the leaf to the certificate at `index`.
    fn path(&self, index: usize) -> Vec<Cert> {
        let mut path = Vec::new();
        let mut next = Some(index);
        while let Some((cert, issued)) = next.and_then(|index| self.reached.get(index)) {
            path.push(cert.clone());
            next = *issued;
        }
        path.reverse();
        path
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
            None if self.tries_left == 0 => {
                not_trusted(leaf, "no chain among the first authorities tried")
            }
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

/// As [`build_chain`], with the number of certificates tried as issuers.
#[cfg(test)]
pub(super) fn counted(
    leaf: &Cert,
    pool: &[Cert],
    anchors: &[Cert],
    at: OffsetDateTime,
) -> (Result<Vec<Cert>, TrustError>, usize) {
    let mut search = Search::new(leaf, anchors, at);
    let found = search.run(pool);
    let tries = TRIES_MAX - search.tries_left;
    (found.ok_or_else(|| search.failure(leaf)), tries)
}
