//! Validation with a running service's [`Trust`]: its settings, and, when the
//! caller wants it, evidence for signatures that do not carry it (levels B and
//! T), asked for through `trust` and bounded as everything there. The only part
//! of the verifier that reaches out.

use super::{Context, Facts, Object, Report};
use crate::base::hex;
use crate::trust::{Budget, Call, Trust, TsaEvidence};
use crate::x509::Cert;
use time::OffsetDateTime;

/// Validates by a service's own settings, with nothing but what the document
/// carries.
pub fn offline(
    trust: &Trust,
    now: OffsetDateTime,
    validate: impl Fn(&Context) -> Report,
) -> Report {
    let mut context = Context::new(trust.settings(), now);
    let first = validate(&context);
    authorities(trust, &first, &mut context);
    match context.current_evidence.is_empty() {
        true => first,
        false => validate(&context),
    }
}

/// Validates, fetches what signatures below level LT lack, and validates again
/// when there is more to go by. The calls stand in the report; all its signatures share one budget.
pub fn online(
    trust: &Trust,
    mut context: Context,
    validate: impl Fn(&Context) -> Report,
) -> Report {
    let first = validate(&context);
    let at_hand = pieces(&context);
    authorities(trust, &first, &mut context);
    let mut calls = Vec::new();
    let mut budget = Budget::of_report();
    for facts in facts(&first).filter(|facts| !facts.level.ends_with("-LT")) {
        if budget.is_exceeded() {
            break;
        }
        gather(trust, facts, &mut context, &mut calls, &mut budget);
    }
    let mut report = match pieces(&context) == at_hand {
        true => first,
        false => validate(&context),
    };
    report.calls = calls;
    report
}

/// How much a context holds that no document brought.
fn pieces(context: &Context) -> usize {
    context.certificates.len() + context.evidence.len() + context.current_evidence.len()
}

fn facts(report: &Report) -> impl Iterator<Item = &Facts> {
    report.signatures.iter().filter_map(|s| s.facts.as_ref())
}

/// What is configured about the authorities of the report's timestamps.
fn authorities(trust: &Trust, report: &Report, context: &mut Context) {
    for object in facts(report).flat_map(|facts| &facts.objects) {
        if let Object::Timestamp(token) = object
            && trust.evidence_on_signer(token.signer()) == TsaEvidence::Current
        {
            context.current_evidence.push(token.signer().clone());
        }
    }
}

fn gather(
    trust: &Trust,
    facts: &Facts,
    context: &mut Context,
    calls: &mut Vec<Call>,
    budget: &mut Budget,
) {
    let mut pool = context.certificates.clone();
    for object in &facts.objects {
        match object {
            Object::Certificate(cert) => pool.push(cert.clone()),
            Object::Timestamp(token) => pool.extend(token.certificates().iter().cloned()),
            Object::Evidence(_) => {}
        }
    }
    let authority = facts.timestamp.as_ref().map(|stamp| &stamp.authority);
    let leaves = std::iter::once(&facts.signer).chain(authority);
    let leaves: Vec<Cert> = leaves
        .filter_map(|chain| {
            let leaf = chain.0.first()?;
            let is_it = |cert: &&Cert| hex::encode(&cert.sha256()) == leaf.sha256;
            pool.iter().find(is_it).cloned()
        })
        .collect();
    for leaf in leaves {
        // An expired certificate has a chain too: at a time when it was valid.
        let at = context.now.max(leaf.not_before()).min(leaf.not_after());
        if let Ok(chain) = trust.strangers_chain(&leaf, &pool, at, calls, budget) {
            context
                .evidence
                .extend(trust.statements(&chain, calls, budget));
            context.certificates.extend(chain);
        }
    }
}
