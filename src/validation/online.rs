//! Evidence for signatures that do not carry it (levels B and T), asked for
//! through `trust`, bounded as everything there. The only part of the verifier
//! that reaches out, and only when its caller wants it.

use super::{Context, Facts, Object, Report};
use crate::base::hex;
use crate::trust::{Call, Trust};
use crate::x509::Cert;

/// Validates, fetches what signatures below level LT lack, and validates again
/// with it. The calls stand in the report.
pub fn online(
    trust: &Trust,
    mut context: Context,
    validate: impl Fn(&Context) -> Report,
) -> Report {
    let first = validate(&context);
    let mut calls = Vec::new();
    let facts = first.signatures.iter().filter_map(|s| s.facts.as_ref());
    for facts in facts.filter(|facts| !facts.level.ends_with("-LT")) {
        gather(trust, facts, &mut context, &mut calls);
    }
    let mut report = validate(&context);
    report.calls = calls;
    report
}

fn gather(trust: &Trust, facts: &Facts, context: &mut Context, calls: &mut Vec<Call>) {
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
        if let Ok(chain) = trust.chain(&leaf, &pool, at, calls) {
            context.evidence.extend(trust.statements(&chain, calls));
            context.certificates.extend(chain);
        }
    }
}
