//! The verifier: what EN 319 102-1 says about the signatures of a document.
//!
//! The strict verifiers of `xades` and `pades` answer for form and cryptography;
//! here their answers become the standard's building blocks, and certificates,
//! revocation data, timestamps and algorithms are judged for the time at which
//! the signature is proved to have existed. Nothing is fetched: evidence is in
//! the document or in the [`Context`], where [`online`] may have put it.

mod certificates;
mod document;
mod errors;
mod etsi;
mod indication;
mod online;
mod report;
mod signature;
#[cfg(test)]
mod tests;

pub use indication::{Indication, SubIndication};
pub use online::{offline, online};
pub use report::{
    Block, BlockKind, Certificate, Chain, Facts, Object, Report, Revocation, SignatureReport,
    Timestamp,
};

use crate::base::hex;
use crate::pades::{self, PadesError};
use crate::trust::{self, AlgorithmPolicy, Evidence};
use crate::x509::Cert;
use crate::xades::{self, Slot};
use crate::xml;
use signature::Found;
use std::time::Duration;
use time::OffsetDateTime;

/// What is validated against: the constraints of EN 319 102-1 §5.2.4 and what
/// is at hand beside the document.
#[derive(Debug, Clone)]
pub struct Context {
    /// The time of validation.
    pub now: OffsetDateTime,
    /// Where chains may end.
    pub anchors: Vec<Cert>,
    /// Which algorithms are accepted until when.
    pub algorithms: AlgorithmPolicy,
    /// By how much clocks may differ.
    pub clock_tolerance: Duration,
    /// By how much evidence may be older than the time it has to cover.
    pub revocation_skew: Duration,
    /// Certificates of timestamp authorities for which evidence that is current
    /// at the timestamp suffices ([`trust::TsaEvidence::Current`]).
    pub current_evidence: Vec<Cert>,
    /// More certificates for chains.
    pub certificates: Vec<Cert>,
    /// More OCSP responses and revocation lists.
    pub evidence: Vec<Evidence>,
}

impl Context {
    /// What the settings say, at a time.
    pub fn new(settings: &trust::Settings, now: OffsetDateTime) -> Self {
        Self {
            now,
            anchors: settings.anchors.clone(),
            algorithms: settings.algorithms.clone(),
            clock_tolerance: settings.clock_tolerance,
            revocation_skew: settings.revocation_skew,
            current_evidence: Vec::new(),
            certificates: Vec::new(),
            evidence: Vec::new(),
        }
    }
}

/// Why a document of our own is not delivered.
#[derive(Debug, thiserror::Error)]
pub enum ValidationError {
    /// The verdict is not TOTAL-PASSED.
    #[error("self-check: {} ({}): {text}", indication.as_str(), sub_indication.map_or("", SubIndication::as_str))]
    SelfCheckVerdict {
        /// The verdict.
        indication: Indication,
        /// Its reason.
        sub_indication: Option<SubIndication>,
        /// The reason in a sentence.
        text: String,
    },
    /// The signature is of another level than the one asked for.
    #[error("self-check: the signature is of level {reached}, not {wanted}")]
    SelfCheckLevel {
        /// As it is.
        reached: String,
        /// As it should be.
        wanted: String,
    },
    /// The signature is by another certificate than the one it was made with.
    #[error("self-check: the signature is by another certificate")]
    SelfCheckSigner,
    /// More than validation data follows the signature of a PDF.
    #[error("self-check: more than validation data follows the signature")]
    SelfCheckChanges,
}

/// The check before delivery: the last signature of the report, which is ours,
/// is TOTAL-PASSED, of the level wanted, such as `XAdES-B-LT`, by the certificate
/// it was made with, and nothing but validation data follows it.
///
/// # Errors
/// [`ValidationError`].
pub fn self_check(report: &Report, wanted: &str, signer: &Cert) -> Result<(), ValidationError> {
    let own = report.signatures.last();
    let facts = own.filter(|own| own.indication == Indication::TotalPassed);
    let Some(facts) = facts.and_then(|own| own.facts.as_ref()) else {
        return Err(ValidationError::SelfCheckVerdict {
            indication: own.map_or(report.indication, |own| own.indication),
            sub_indication: own.and_then(|own| own.sub_indication),
            text: own.map_or(&report.text, |own| &own.text).clone(),
        });
    };
    if facts.level != wanted {
        return Err(ValidationError::SelfCheckLevel {
            reached: facts.level.clone(),
            wanted: wanted.to_owned(),
        });
    }
    let found = facts.signer.0.first().map(|found| found.sha256.as_str());
    if found != Some(hex::encode(&signer.sha256()).as_str()) {
        return Err(ValidationError::SelfCheckSigner);
    }
    match facts.is_last_word {
        true => Ok(()),
        false => Err(ValidationError::SelfCheckChanges),
    }
}

/// Validates the signature of an XML document. It must stand in the slot when
/// one is given; else where it stands is reported.
pub fn xml(xml: &[u8], slot: Option<&Slot>, context: &Context) -> Report {
    let signature = match read_xml(xml, slot, context) {
        Ok(found) => signature::validate(found, context),
        Err(fault) => SignatureReport::refused(fault),
    };
    Report::new(vec![signature], context)
}

fn read_xml(bytes: &[u8], slot: Option<&Slot>, context: &Context) -> Result<Found, report::Fault> {
    let parsed =
        xml::parse(bytes).map_err(|error| errors::xades(&xades::XadesError::Parse(error)))?;
    document::inspect(&parsed, context)?;
    let slot = match slot {
        Some(slot) => slot.clone(),
        None => xades::slot_of(&parsed).map_err(|error| errors::xades(&error))?,
    };
    let verified = xades::verify_parsed(&parsed, &slot).map_err(|error| errors::xades(&error))?;
    let ocsp = verified.ocsp.into_iter().map(Evidence::Ocsp);
    let crls = verified.crls.into_iter().map(Evidence::Crl);
    Ok(Found {
        format: "XAdES",
        level: verified.level,
        place: slot.to_string(),
        signer: verified.signer,
        algorithm: verified.algorithm,
        claimed: verified.signing_time,
        token: verified.token,
        changes: None,
        certificates: verified.certificates,
        evidence: ocsp.chain(crls).collect(),
    })
}

/// Validates every signature of a PDF, oldest first.
pub fn pdf(pdf: &[u8], context: &Context) -> Report {
    let signatures = match pades::verify_all(pdf) {
        Ok(found) if found.is_empty() => vec![Err(PadesError::VerifyUnsigned)],
        Ok(found) => found,
        Err(error) => vec![Err(error)],
    };
    let signatures = signatures.into_iter().map(|verified| match verified {
        Ok(verified) => read_pdf(verified, context),
        Err(error) => SignatureReport::refused(errors::pades(&error)),
    });
    Report::new(signatures.collect(), context)
}

fn read_pdf(verified: pades::Verified, context: &Context) -> SignatureReport {
    let place = format!("field {}", verified.field);
    let ocsp = verified.dss.ocsp.into_iter().map(Evidence::Ocsp);
    let crls = verified.dss.crls.into_iter().map(Evidence::Crl);
    let mut certificates = verified.certificates;
    certificates.extend(verified.dss.certificates);
    let found = Found {
        format: "PAdES",
        level: verified.level,
        place,
        signer: verified.signer,
        algorithm: verified.algorithm,
        claimed: verified.signing_time,
        token: verified.token,
        changes: Some(verified.changes_after),
        certificates,
        evidence: ocsp.chain(crls).collect(),
    };
    signature::validate(found, context)
}

impl Report {
    /// The report as XML of TS 119 102-2 v1.4.1, unsigned.
    pub fn to_etsi_xml(&self) -> String {
        etsi::document(self)
    }

    fn new(signatures: Vec<SignatureReport>, context: &Context) -> Self {
        let worst = signatures.iter().max_by_key(|report| report.indication);
        let (indication, sub_indication, text) = worst
            .map_or((Indication::TotalFailed, None, String::new()), |worst| {
                (worst.indication, worst.sub_indication, worst.text.clone())
            });
        Self {
            indication,
            sub_indication,
            text,
            validation_time: context.now,
            algorithm_policy: context.algorithms.name().to_owned(),
            signatures,
            calls: Vec::new(),
        }
    }
}
