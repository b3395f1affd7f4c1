//! Cancellations: of a mémoire, simple or with another in its place, of a
//! certificate, of a prescription.

use super::{Case, is_withdrawn};
use crate::anomaly::{Anomaly, Rule};
use crate::dom::DomError;
use crate::ledger::{Decision, Entry, Status};

/// `typeAnnulation` of a cancellation with another document in its place.
const REPLACED: &str = "2";

/// Cancels a mémoire.
pub fn memoire(case: &Case<'_, '_>) -> Result<Decision, DomError> {
    let id = case.text(case.root, "uuidDocumentAnnule")?;
    if case.text(case.root, "typeAnnulation")? != REPLACED {
        return Ok(cancel(case, id));
    }
    let replacement = case.text(case.root, "uuidDocumentRemplacant")?;
    let replacement = replacement.to_ascii_lowercase();
    let mut decision = cancel(case, id);
    for (target, status) in &mut decision.effects {
        *status = Status::Replaced;
        if *target == replacement {
            decision
                .anomalies
                .push(Rule::ReplacedByItself.anomaly(None));
        }
    }
    if case.book.find(&replacement).is_none() {
        decision
            .anomalies
            .push(Rule::ReplacementAwaited.anomaly(None));
    }
    decision.refers_to.push(replacement);
    Ok(decision)
}

/// Cancels a certificate.
pub fn certificate(case: &Case<'_, '_>) -> Result<Decision, DomError> {
    Ok(cancel(case, case.text(case.root, "identifiantCertificat")?))
}

/// Cancels a prescription.
pub fn prescription(case: &Case<'_, '_>) -> Result<Decision, DomError> {
    Ok(cancel(case, case.text(case.root, "identifiantOrdonnance")?))
}

fn cancel(case: &Case<'_, '_>, secu_id: &str) -> Decision {
    let target = case.earlier("depot", secu_id);
    let anomalies: Vec<Anomaly> = obstacle(case, target)
        .map(|rule| rule.anomaly(None))
        .into_iter()
        .collect();
    let uuid = target.map(|entry| entry.uuid.clone());
    Decision {
        anomalies,
        refers_to: uuid.iter().cloned().collect(),
        effects: uuid.into_iter().map(|u| (u, Status::Cancelled)).collect(),
        ..Decision::default()
    }
}

/// Why the document cannot be cancelled.
fn obstacle(case: &Case<'_, '_>, target: Option<&Entry>) -> Option<Rule> {
    let Some(entry) = target else {
        return Some(Rule::TargetUnknown);
    };
    if entry.code_prestataire != case.code {
        return Some(Rule::TargetForeign);
    }
    match entry.status() {
        Status::Refused => Some(Rule::TargetRefused),
        Status::Paid => Some(Rule::TargetPaid),
        _ if is_withdrawn(entry) => Some(Rule::TargetCancelled),
        _ => None,
    }
}
