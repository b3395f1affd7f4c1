//! Prescriptions (eOrdonnance).

use super::Case;
use crate::anomaly::Rule;
use crate::dom::{self, DomError};
use crate::ledger::{Decision, Status};

/// Longest validity, in days.
const VALID_DAYS_MAX: i64 = 365;

/// Takes a prescription.
pub fn deposit(case: &Case<'_, '_>) -> Result<Decision, DomError> {
    let mut decision = Decision {
        ahead: vec![Status::Sent],
        ..Decision::default()
    };
    if case.optional(case.root, "dateFinValidite")?.is_some() {
        let issued = case.day(case.root, "dateEtablissement")?;
        let until = case.day(case.root, "dateFinValidite")?;
        if (until - issued).whole_days() > VALID_DAYS_MAX {
            decision.anomalies.push(Rule::ValidTooLong.anomaly(None));
        }
    }
    let medicines = dom::optional(case.root, case.namespace, "medicaments")?;
    for medicine in medicines
        .into_iter()
        .flat_map(|m| case.list(m, "medicament"))
    {
        let narcotic = matches!(case.optional(medicine, "stupefiant")?, Some("true" | "1"));
        if narcotic && case.optional(medicine, "renouvellements")?.is_some() {
            let line = case.text(medicine, "numeroLigne")?;
            decision
                .anomalies
                .push(Rule::NarcoticRenewed.anomaly(Some(line)));
        }
    }
    Ok(decision)
}
