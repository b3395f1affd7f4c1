//! The earlier documents a document names: whether they are there, whose they
//! are, what became of them, and whether they were answered already.

use super::Intake;
use crate::base::{Uuid4, digest, hex};
use crate::forms::{
    Facts, Finding, Operation, Reference, Referred, RefersBy, Rejected, Severity, Unknown,
};
use crate::outbox::{Link, Name, OutboxError, Record, Scope, State};
use serde_json::{Value, json};

/// What a document names.
#[derive(Default)]
pub(super) struct Correlated {
    /// One for each of `facts.references`.
    pub(super) links: Vec<Link>,
    /// The same for the audit log.
    pub(super) named: Vec<Value>,
    /// What is wrong or odd about them.
    pub(super) findings: Vec<Finding>,
}

impl Intake {
    /// The earlier documents that a document names.
    pub(super) fn correlate(
        &self,
        operation: &Operation,
        facts: &Facts,
        scope: Scope<'_>,
    ) -> Result<Correlated, OutboxError> {
        let mut correlated = Correlated::default();
        for referred in &facts.references {
            let Some(rule) = operation.refers.get(referred.rule) else {
                continue;
            };
            let link = link(rule, referred);
            let named = self.outbox.named(scope, &link.name)?;
            let mut faults = Vec::from_iter(fault(rule, scope, &named));
            if let Some(by) = self.outbox.standing(scope, facts.uuid, &link)? {
                faults.push((Severity::Error, answered(rule, by)));
            }
            for (severity, message) in faults {
                let finding = Finding::correlation(referred, severity, message);
                correlated.findings.push(finding);
            }
            let is_known = !named.is_empty();
            correlated.named.push(in_audit(&link.name, is_known));
            correlated.links.push(link);
        }
        Ok(correlated)
    }
}

/// A name as the audit log keeps it for ever: what is no id of ours and no UUID
/// may be any text of the document's, of which the log has the digest only.
fn in_audit(name: &Name, is_known: bool) -> Value {
    let (by, value) = (name.by(), name.value());
    if is_known || value.parse::<Uuid4>().is_ok() {
        return json!({ "by": by, "value": value });
    }
    let sha256 = hex::encode(&digest::sha256(value.as_bytes()));
    json!({ "by": by, "value_sha256": sha256 })
}

/// The refusal of a document that another one preceded.
pub(super) fn standing(operation: &Operation, facts: &Facts, link: usize, by: Uuid4) -> Rejected {
    let named = facts.references.iter().filter_map(|referred| {
        let rule = operation.refers.get(referred.rule)?;
        Some((rule, referred))
    });
    let finding = named.skip(link).take(1).map(|(rule, referred)| {
        Finding::correlation(referred, Severity::Error, answered(rule, by))
    });
    Rejected {
        findings: finding.collect(),
    }
}

fn link(rule: &Reference, referred: &Referred) -> Link {
    Link {
        name: match rule.by {
            RefersBy::InsurerId => Name::insurer_id(&referred.value),
            RefersBy::Uuid => Name::uuid(&referred.value),
        },
        once: rule.once.clone(),
    }
}

/// What is wrong with the document named, of those there are.
fn fault(rule: &Reference, scope: Scope<'_>, named: &[Record]) -> Option<(Severity, String)> {
    // What is only missing here, or not yet at the insurer, is as certain as
    // the pack says.
    let doubt = match rule.unknown {
        Unknown::Warn => Severity::Warning,
        Unknown::Refuse => Severity::Error,
    };
    let own = |record: &&Record| record.code_prestataire == scope.code_prestataire;
    let fits = |record: &&Record| rule.operations.contains(&record.operation);
    let mine = || named.iter().filter(own);
    let Some(record) = mine().find(fits).or_else(|| mine().next()) else {
        return Some(if named.is_empty() {
            (doubt, "No document of that name was sent from here.".into())
        } else {
            let text = "The document of that name is another practitioner's.";
            (Severity::Error, text.into())
        });
    };
    let uuid = record.uuid;
    if !fits(&record) {
        let (is, wanted) = (&record.operation, rule.operations.join(" or "));
        let text = format!("The document named ({uuid}) is a {is}, not a {wanted}.");
        return Some((Severity::Error, text));
    }
    match record.state {
        State::Receipted => None,
        State::Rejected => {
            let text = format!("The document named ({uuid}) was refused by the insurer.");
            Some((Severity::Error, text))
        }
        State::Received
        | State::Signed
        | State::Stamped
        | State::Ready
        | State::Sending
        | State::Unknown => {
            let text = format!("The document named ({uuid}) has no receipt of the insurer yet.");
            Some((doubt, text))
        }
    }
}

fn answered(rule: &Reference, by: Uuid4) -> String {
    let word = rule.once.as_deref().unwrap_or_default();
    format!("{by} names the same document already, and only one {word} of it may stand.")
}
