//! What the sources named in certificates say, unjudged: for a validation, which
//! has to see a revocation with its time instead of an error.

use super::{CRL, Call, Evidence, Fetch, OCSP, Trust, unusable};
use crate::base::limits;
use crate::x509::Cert;
use crate::x509::crl::Crl;
use crate::x509::ocsp::{self, CertIdDigest, OcspResponse};

/// Most sources asked about one certificate.
const SOURCES_MAX: usize = 4;

impl Trust {
    /// For every certificate of a chain below its anchor, what the first source
    /// that answers with something by an entitled authority says; the same about
    /// a delegated responder. Nothing is remembered, failures are in the calls.
    pub fn statements(&self, chain: &[Cert], calls: &mut Vec<Call>) -> Vec<Evidence> {
        let mut out = Vec::new();
        for pair in chain.windows(2) {
            let [cert, issuer] = pair else { continue };
            let Some((evidence, signer)) = self.statement(cert, issuer, calls) else {
                continue;
            };
            out.push(evidence);
            if let Some(responder) = signer {
                let about = self.statement(&responder, issuer, calls);
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
    ) -> Option<(Evidence, Option<Cert>)> {
        let by_ocsp = cert.ocsp_urls().iter().map(|url| (OCSP, url));
        let by_list = cert.crl_urls().iter().map(|url| (CRL, url));
        let mut sources = by_ocsp.chain(by_list).take(SOURCES_MAX);
        sources.find_map(|(purpose, url)| {
            let fetch = Fetch {
                purpose,
                url,
                body: (purpose == OCSP).then(|| {
                    (
                        "application/ocsp-request",
                        ocsp::request(cert, issuer, CertIdDigest::Sha1, None),
                    )
                }),
                answer_bytes_max: match purpose {
                    OCSP => limits::RESPONSE_BYTES_MAX,
                    _ => limits::CRL_BYTES_MAX,
                },
            };
            let stated = self.fetch(fetch, calls, |body| {
                let unusable = unusable(purpose, url);
                let evidence = if purpose == OCSP {
                    Evidence::Ocsp(OcspResponse::from_der(&body).map_err(|e| unusable(&e))?)
                } else {
                    Evidence::Crl(Crl::from_der(&body).map_err(|e| unusable(&e))?)
                };
                let finding = evidence.examine(cert, issuer).map_err(|e| unusable(&e))?;
                let needed = finding.needs_evidence_on_signer(issuer);
                Ok((evidence, needed.then_some(finding.signer)))
            });
            stated.ok()
        })
    }
}
