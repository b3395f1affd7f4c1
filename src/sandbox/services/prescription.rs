//! Prescriptions (eOrdonnance).

use super::Case;
use crate::anomaly::Rule;
use crate::dom::{self, DomError};
use crate::ledger::{Decision, Status};
use std::collections::BTreeSet;

/// Takes a prescription.
pub fn deposit(case: &Case<'_, '_>) -> Result<Decision, DomError> {
    let mut decision = Decision {
        ahead: vec![Status::Sent],
        ..Decision::default()
    };
    let medicines = dom::optional(case.root, case.namespace, "medicaments")?;
    let mut seen = BTreeSet::new();
    for medicine in medicines
        .into_iter()
        .flat_map(|m| case.list(m, "medicament"))
    {
        let line = case.text(medicine, "numeroLigne")?;
        let mut remark = |rule: Rule| decision.anomalies.push(rule.anomaly(Some(line)));
        let narcotic = matches!(case.optional(medicine, "stupefiant")?, Some("true" | "1"));
        if narcotic && case.optional(medicine, "renouvellements")?.is_some() {
            remark(Rule::NarcoticRenewed);
        }
        let what = ["denomination", "forme", "dosage"].map(|name| case.text(medicine, name));
        let [name, form, strength] = what;
        if !seen.insert((name?, form?, strength?)) {
            remark(Rule::MedicineTwice);
        }
    }
    Ok(decision)
}
