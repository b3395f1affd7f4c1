//! Deposit of a mémoire d'honoraires: consent, and the mock of the rules
//! engine on the acts it has in its list. Other acts are not priced.

use super::Case;
use crate::anomaly::Rule;
use crate::dom::{self, DomError};
use crate::engine::{self, Line};
use crate::ledger::{Decision, Status};
use roxmltree::Node;
use rust_decimal::Decimal;

/// Takes a mémoire.
pub fn deposit(case: &Case<'_, '_>) -> Result<Decision, DomError> {
    let heading = case.node(&["entete"])?;
    let patient = case.node(&["entete", "patient"])?;
    let matricule = case.optional(patient, "matricule")?;
    let billed = case.day(heading, "dateMemoireHonoraires")?;
    let mut lines = Vec::new();
    for node in case.list(case.root, "prestation") {
        let act = case.text(dom::child(node, case.namespace, "acte")?, "codeActe")?;
        if engine::knows(act) {
            lines.push((line(case, node)?, personal_share(case, node)?));
        }
    }
    let acts: Vec<Line<'_>> = lines.iter().map(|(line, _)| line.clone()).collect();
    let ruling = engine::price(matricule, &acts, billed);
    let mut anomalies = ruling.anomalies;
    if !case.consent {
        anomalies.push(Rule::ConsentMissing.anomaly(None));
    }
    for (line, personal) in &lines {
        let priced = ruling.lines.iter().find(|p| p.id == line.id);
        let Some(priced) = priced.filter(|p| p.count > 0) else {
            continue;
        };
        if !priced.non_opposable.is_zero() && !priced.opposable.is_zero() {
            anomalies.push(Rule::AmountExceeded.anomaly(Some(line.id)));
        } else if personal.is_some_and(|told| told != priced.patient_pays()) {
            anomalies.push(Rule::ShareDiffers.anomaly(Some(line.id)));
        }
    }
    Ok(Decision {
        anomalies,
        ahead: vec![Status::Sent, Status::ReimbursementAsked, Status::Paid],
        ..Decision::default()
    })
}

fn line<'a>(case: &Case<'a, '_>, node: Node<'a, '_>) -> Result<Line<'a>, DomError> {
    let period = dom::child(node, case.namespace, "periode")?;
    let act = dom::child(node, case.namespace, "acte")?;
    let suffixes: Result<Vec<_>, _> = case.list(act, "suffixeActe").map(dom::text).collect();
    Ok(Line {
        id: case.text(node, "numeroLigne")?,
        day: case.day(period, "dateDebut")?,
        has_hour: case.optional(period, "heureDebut")?.is_some(),
        act: case.text(act, "codeActe")?,
        suffixes: suffixes?,
        count: super::count(case.text(node, "nombre")?)?,
        asked: Some(super::amount(case.text(node, "montantBrut")?)?),
    })
}

fn personal_share(case: &Case<'_, '_>, node: Node<'_, '_>) -> Result<Option<Decimal>, DomError> {
    let told = dom::optional(node, case.namespace, "partPersonnelle")?;
    told.map(|told| super::amount(dom::text(told)?)).transpose()
}
