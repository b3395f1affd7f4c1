//! Certificates of incapacity for work (eCIT).

use super::{Case, is_withdrawn};
use crate::anomaly::Rule;
use crate::dom::{self, DomError};
use crate::ledger::{Decision, Status};

/// Longest certificate, in days.
const DAYS_MAX: i64 = 180;

/// Takes a certificate.
pub fn deposit(case: &Case<'_, '_>) -> Result<Decision, DomError> {
    let incapacity = case.node(&["incapacite"])?;
    let mut decision = Decision {
        ahead: vec![Status::Sent],
        ..Decision::default()
    };
    let prolonged = dom::optional(incapacity, case.namespace, "prolongation")?;
    let period = match prolonged {
        Some(period) => period,
        None => dom::child(incapacity, case.namespace, "initial")?,
    };
    let (from, until) = (case.day(period, "dateDebut")?, case.day(period, "dateFin")?);
    // Both days count.
    if (until - from).whole_days() >= DAYS_MAX {
        decision.anomalies.push(Rule::CertificateLong.anomaly(None));
    }
    let named = prolonged.map(|p| case.optional(p, "identifiantCertificatPrecedent"));
    if let Some(secu_id) = named.transpose()?.flatten() {
        let earlier = case.earlier("depot", secu_id);
        match earlier.filter(|entry| entry.code_prestataire == case.code) {
            None => decision.anomalies.push(Rule::ProlongsUnknown.anomaly(None)),
            Some(entry) => {
                if is_withdrawn(entry) {
                    decision
                        .anomalies
                        .push(Rule::ProlongsCancelled.anomaly(None));
                }
                decision.refers_to.push(entry.uuid.clone());
            }
        }
    }
    Ok(decision)
}
