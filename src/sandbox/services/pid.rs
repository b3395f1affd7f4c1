//! Immediate direct payment (PID): simulation by the mock of the rules engine,
//! then one validation or contestation of it, once.

use super::Case;
use crate::anomaly::{Anomaly, Rule};
use crate::dom::{self, DomError};
use crate::engine::{self, Line, Priced};
use crate::ledger::{Decision, Entry, Status, Totals};
use roxmltree::Node;
use rust_decimal::Decimal;

/// Prices what is to be paid. A line that breaks a rule is not covered, which
/// can be contested; refused is only what cannot be priced at all.
pub fn simulation(case: &Case<'_, '_>) -> Result<Decision, DomError> {
    let billed = case.day(case.root, "dateEtablissementMemoireHonoraires")?;
    let matricule = case.text(case.root, "matricule")?;
    let list = case.node(&["lignes"])?;
    let lines: Result<Vec<_>, _> = case.list(list, "ligne").map(|n| line(case, n)).collect();
    let lines = lines?;
    let ruling = engine::price(Some(matricule), &lines, billed);
    if !lines.iter().any(|line| engine::knows(line.act)) {
        return Ok(Decision {
            anomalies: ruling.anomalies,
            ..Decision::default()
        });
    }
    let sum = |of: fn(&Priced<'_>) -> Decimal| {
        let mut sum: Decimal = ruling.lines.iter().map(of).sum();
        sum.rescale(2);
        sum
    };
    let (statutory, personal) = (sum(|p| p.statutory), sum(|p| p.patient_pays()));
    let lines: String = ruling.lines.iter().map(line_xml).collect();
    let content = format!(
        "<pid:identifiantReponseSimulation>{}</pid:identifiantReponseSimulation>\
         <pid:totalPartStatutaire>{statutory}</pid:totalPartStatutaire>\
         <pid:totalParticipationPersonnelle>{personal}</pid:totalParticipationPersonnelle>\
         <pid:sommeTotale>{}</pid:sommeTotale><pid:lignes>{lines}</pid:lignes>",
        case.secu_id,
        statutory + personal,
    );
    let anomalies = ruling.anomalies.into_iter();
    Ok(Decision {
        anomalies: anomalies.map(Anomaly::of_line_only).collect(),
        content,
        totals: Some(Totals {
            statutory: statutory.to_string(),
            personal: personal.to_string(),
        }),
        ..Decision::default()
    })
}

fn line<'a>(case: &Case<'a, '_>, node: Node<'a, '_>) -> Result<Line<'a>, DomError> {
    let act = dom::child(node, case.namespace, "acte")?;
    let suffixes: Result<Vec<_>, _> = case.list(act, "suffixeActe").map(dom::text).collect();
    let asked = dom::optional(node, case.namespace, "montantBrut")?;
    Ok(Line {
        id: case.text(node, "identifiantExternePrestation")?,
        day: case.day(node, "dateDebutPrestation")?,
        // A simulation has no place for the hour.
        has_hour: true,
        act: case.text(act, "codeActe")?,
        suffixes: suffixes?,
        count: super::count(case.text(act, "nombre")?)?,
        asked: asked.map(|a| super::amount(dom::text(a)?)).transpose()?,
    })
}

fn line_xml(line: &Priced<'_>) -> String {
    // Texts of a document that is valid by its schema: nothing to escape.
    format!(
        "<pid:ligne><pid:identifiantPrestation>{}</pid:identifiantPrestation>\
         <pid:codeActe>{}</pid:codeActe><pid:nombre>{}</pid:nombre>\
         <pid:montantOpposable>{}</pid:montantOpposable>\
         <pid:montantNonOpposable>{}</pid:montantNonOpposable>\
         <pid:partStatutaire>{}</pid:partStatutaire>\
         <pid:participationPersonnelle>{}</pid:participationPersonnelle></pid:ligne>",
        line.id,
        line.act,
        line.count,
        line.opposable,
        line.non_opposable,
        line.statutory,
        line.patient_pays(),
    )
}

/// The simulation a document names, and why it cannot be answered.
fn named<'a>(case: &Case<'a, '_>) -> Result<(Option<&'a Entry>, Option<Rule>), DomError> {
    let id = case.text(case.root, "identifiantReponseSimulation")?;
    // The answer to a refused one gave no identifier.
    let simulation = case.earlier("simulation", id);
    let simulation = simulation.filter(|entry| entry.status() != Status::Refused);
    let obstacle = match simulation {
        None => Some(Rule::SimulationUnknown),
        Some(entry) if entry.code_prestataire != case.code => Some(Rule::SimulationForeign),
        Some(entry) if matches!(entry.status(), Status::Validated | Status::Contested) => {
            Some(Rule::SimulationAnswered)
        }
        Some(_) => None,
    };
    Ok((simulation, obstacle))
}

/// Takes the result as it is, and pays.
pub fn validation(case: &Case<'_, '_>) -> Result<Decision, DomError> {
    let (simulation, obstacle) = named(case)?;
    let mut anomalies: Vec<_> = obstacle.iter().map(|rule| rule.anomaly(None)).collect();
    let flag = |name| case.flag(case.root, name);
    let agreed =
        flag("indicateurValidationMedecin")? && flag("indicateurValidationPersonneProtegee")?;
    if !agreed {
        anomalies.push(Rule::NotAgreed.anomaly(None));
    }
    if !flag("indicateurAcquittementParticipationPersonnelle")? {
        anomalies.push(Rule::ShareUnpaid.anomaly(None));
    }
    let paid = simulation.and_then(|entry| entry.totals.as_ref());
    let content = match paid {
        Some(totals) if !anomalies.iter().any(|a| a.blocks()) => format!(
            "<pid:montantPartStatutaire>{paid}</pid:montantPartStatutaire>\
             <pid:montantPaye>{paid}</pid:montantPaye>\
             <pid:identifiantInitiationPaiement>{}</pid:identifiantInitiationPaiement>",
            case.secu_id,
            paid = totals.statutory,
        ),
        Some(_) | None => String::new(),
    };
    Ok(Decision {
        anomalies,
        content,
        ahead: vec![Status::Sent, Status::Paid],
        ..answer(simulation, Status::Validated)
    })
}

/// Does not agree with the result.
pub fn contestation(case: &Case<'_, '_>) -> Result<Decision, DomError> {
    let (simulation, obstacle) = named(case)?;
    let mut anomalies: Vec<_> = obstacle.iter().map(|rule| rule.anomaly(None)).collect();
    for contested in case.list(case.root, "contestationAnomalie") {
        let code = case.text(contested, "codeAnomalie")?;
        let stands = |entry: &Entry| entry.anomalies.iter().any(|a| a.code == code);
        if !simulation.is_some_and(stands) {
            let line = case.optional(contested, "ligne")?;
            anomalies.push(Rule::ContestedUnknown.anomaly(line));
        }
    }
    if obstacle.is_none() {
        anomalies.push(Rule::MemoireFollows.anomaly(None));
    }
    Ok(Decision {
        anomalies,
        ..answer(simulation, Status::Contested)
    })
}

fn answer(simulation: Option<&Entry>, status: Status) -> Decision {
    let uuid = simulation.map(|entry| entry.uuid.clone());
    Decision {
        refers_to: uuid.iter().cloned().collect(),
        effects: uuid.into_iter().map(|uuid| (uuid, status)).collect(),
        ..Decision::default()
    }
}
