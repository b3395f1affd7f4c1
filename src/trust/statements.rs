//! What the sources named in certificates say, unjudged: for a validation, which
//! has to see a revocation with its time instead of an error.

use super::{Budget, CRL, Call, Evidence, Fetch, OCSP, Trust, TrustError, unusable};
use crate::base::limits;
use crate::x509::crl::Crl;
use crate::x509::{Cert, CertStatus};

/// Most sources asked about one certificate.
const SOURCES_MAX: usize = 4;

impl Trust {
    /// For every certificate of a chain below its anchor, what the first source
    /// that answers with something by an entitled authority says ("unknown" only
    /// when no other says more); the same about a delegated responder. Nothing is
    /// remembered, failures are in the calls.
    pub fn statements(
        &self,
        chain: &[Cert],
        calls: &mut Vec<Call>,
        budget: &mut Budget,
    ) -> Vec<Evidence> {
        let mut out = Vec::new();
        for pair in chain.windows(2) {
            let [cert, issuer] = pair else { continue };
            let Some((evidence, signer)) = self.statement(cert, issuer, calls, budget) else {
                continue;
            };
            out.push(evidence);
            if let Some(responder) = signer {
                let about = self.statement(&responder, issuer, calls, budget);
                out.extend(about.map(|(evidence, _)| evidence));
            }
        }
        out
    }

    /// The evidence, and its signer when that needs evidence of its own.
    fn statement(
        &self,
        cert: &Cert,
        issuer: &Cert,
        calls: &mut Vec<Call>,
        budget: &mut Budget,
    ) -> Option<(Evidence, Option<Cert>)> {
        let by_ocsp = cert.ocsp_urls().iter().map(|url| (OCSP, url));
        let by_list = cert.crl_urls().iter().map(|url| (CRL, url));
        let mut unknown = None;
        for (purpose, url) in by_ocsp.chain(by_list).take(SOURCES_MAX) {
            let examine = |evidence: Evidence| {
                let finding = evidence.examine(cert, issuer);
                let finding = finding.map_err(|e| unusable(purpose, url)(&e))?;
                Ok((evidence, finding))
            };
            let stated = if purpose == OCSP {
                let about = (cert, issuer);
                self.ask_ocsp(about, url, calls, Some(&mut *budget), |answer| {
                    examine(answer.into_evidence())
                })
            } else {
                self.ask_list(url, calls, budget, examine)
            };
            let Ok((evidence, finding)) = stated else {
                continue;
            };
            let needed = finding.needs_evidence_on_signer(issuer);
            let status = finding.status;
            let found = (evidence, needed.then_some(finding.signer));
            match status {
                CertStatus::Good | CertStatus::Revoked { .. } => return Some(found),
                CertStatus::Unknown => unknown = unknown.or(Some(found)),
            }
        }
        unknown
    }

    fn ask_list<T>(
        &self,
        url: &str,
        calls: &mut Vec<Call>,
        budget: &mut Budget,
        examine: impl Fn(Evidence) -> Result<T, TrustError>,
    ) -> Result<T, TrustError> {
        let end = self.permit(CRL, url, Some(budget), calls)?;
        let fetch = Fetch {
            purpose: CRL,
            url,
            body: None,
            answer_bytes_max: limits::CRL_BYTES_MAX,
            end,
        };
        self.fetch(fetch, calls, |body| {
            let list = Crl::from_der(&body).map_err(|e| unusable(CRL, url)(&e))?;
            examine(Evidence::Crl(list))
        })
    }
}
