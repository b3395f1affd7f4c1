//! The rules a schema cannot express: sums, days, codes, references inside
//! the document, and what a case demands. A value the schema refuses is not
//! looked at again.

use super::{Code, Findings};
use crate::forms::finding::{Finding, Severity};
use crate::forms::matricule;
use crate::forms::pack::{
    Checks, Coded, Condition, CrossReference, DateOrder, Relation, Rule, Sum,
};
use crate::forms::show::ShowKind;
use crate::xml::name_of;
use crate::xml::path::Selected;
use crate::xml::xsd::cut_value;
use roxmltree::Node;
use rust_decimal::Decimal;
use std::collections::BTreeSet;
use time::Date;
use time::macros::format_description;

/// Longest list of codes told whole with a finding.
const CODES_TOLD_MAX: usize = 20;

/// Checks every rule of an operation.
pub(super) fn check(checks: &Checks, root: Node<'_, '_>, findings: &mut Findings) {
    // None: a part is missing or unreadable, which is told by then.
    each(&checks.sums, root, |rule, context| {
        let _ = sum(rule, context, findings);
    });
    each(&checks.dates, root, |rule, context| {
        let _ = dates(rule, context, findings);
    });
    each(&checks.codes, root, |rule, context| {
        codes(rule, context, findings);
    });
    each(&checks.references, root, |rule, context| {
        references(rule, context, findings);
    });
    each(&checks.conditions, root, |rule, context| {
        condition(rule, context, findings);
    });
}

fn each<T>(rules: &[Rule<T>], root: Node<'_, '_>, mut check: impl FnMut(&Rule<T>, Node<'_, '_>)) {
    for rule in rules {
        match &rule.per {
            None => check(rule, root),
            Some(per) => per
                .select(root)
                .into_iter()
                .for_each(|node| check(rule, node)),
        }
    }
}

/// Notes that a rule is broken at `node`.
fn broken<T>(
    rule: &Rule<T>,
    code: Code,
    node: Node<'_, '_>,
    (message, expected): (String, Vec<String>),
    findings: &mut Findings,
) {
    findings.add(node, rule.severity, |xpath| Finding {
        code,
        severity: rule.severity,
        constraint: None,
        xpath: Some(xpath),
        position: None,
        message,
        expected,
        text: rule.text.clone(),
    });
}

fn sum(rule: &Rule<Sum>, context: Node<'_, '_>, findings: &mut Findings) -> Option<()> {
    let (name, demand) = (&rule.name, &rule.demand);
    let total = demand.total.first(context)?;
    let stated = amount(total, findings)?;
    let mut parts = Vec::new();
    let mut computed = Decimal::ZERO;
    for (paths, sign) in [
        (&demand.plus, Decimal::ONE),
        (&demand.minus, Decimal::NEGATIVE_ONE),
    ] {
        for found in paths.iter().flat_map(|path| path.values(context)) {
            let part = amount(found, findings)? * sign;
            let Some(sum_so_far) = computed.checked_add(part) else {
                // Each amount can be read, so their sum is just too large.
                let message = format!("The amounts are too large to add (rule \"{name}\").");
                findings.error(Code::FormSum, total.node, message);
                return None;
            };
            computed = sum_so_far;
            parts.push(found.node);
        }
    }
    // Without any part there is nothing to compare; whether a part may be
    // missing is for the schema to say.
    let first = *parts.first()?;
    let total_name = name_of(total.node);
    match demand.relation {
        Relation::Equal if computed != stated => {
            let mut names: Vec<&str> = parts.iter().map(|node| name_of(*node)).collect();
            names.dedup();
            let names = names.join(", ");
            let message = format!(
                "The element {total_name} says {stated}, but {names} come to {computed} (rule \"{name}\")."
            );
            broken(
                rule,
                Code::FormSum,
                total.node,
                (message, Vec::new()),
                findings,
            );
        }
        Relation::AtMost if computed > stated => {
            let part_name = name_of(first);
            let message = format!(
                "The element {part_name} says {computed}, more than the {stated} of {total_name} (rule \"{name}\")."
            );
            broken(rule, Code::FormSum, first, (message, Vec::new()), findings);
        }
        Relation::Equal | Relation::AtMost => {}
    }
    Some(())
}

fn dates(rule: &Rule<DateOrder>, context: Node<'_, '_>, findings: &mut Findings) -> Option<()> {
    let (name, demand) = (&rule.name, &rule.demand);
    let later = demand.later.first(context)?;
    let last = day(later, findings)?;
    let last_name = name_of(later.node);
    for earlier in demand.earlier.values(context) {
        let Some(first) = day(earlier, findings) else {
            continue;
        };
        let first_name = name_of(earlier.node);
        let message = if first > last {
            format!(
                "The day {first} in {first_name} lies after the day {last} in {last_name} (rule \"{name}\")."
            )
        } else if let Some(most) = demand
            .days_max
            .filter(|most| (last - first).whole_days() > *most)
        {
            format!(
                "The day {last} in {last_name} lies more than {most} days after the day {first} in {first_name} (rule \"{name}\")."
            )
        } else {
            continue;
        };
        broken(
            rule,
            Code::FormDate,
            earlier.node,
            (message, Vec::new()),
            findings,
        );
    }
    Some(())
}

fn codes(rule: &Rule<Coded>, context: Node<'_, '_>, findings: &mut Findings) {
    let (name, demand) = (&rule.name, &rule.demand);
    for found in demand.path.values(context) {
        let value = found.text();
        if demand.codes.contains(&value) || findings.schema_refuses(found.node) {
            continue;
        }
        let (shown, element, list) = (cut_value(&value), name_of(found.node), &demand.list);
        let message = format!(
            "The code \"{shown}\" in {element} is not in the list \"{list}\" (rule \"{name}\")."
        );
        let told = if demand.codes.len() > CODES_TOLD_MAX {
            Vec::new()
        } else {
            demand.codes.iter().cloned().collect()
        };
        broken(rule, Code::FormCode, found.node, (message, told), findings);
    }
}

fn references(rule: &Rule<CrossReference>, context: Node<'_, '_>, findings: &mut Findings) {
    let from = rule.demand.from.values(context);
    if from.is_empty() {
        return;
    }
    let named = rule.demand.to.values(context);
    let named: BTreeSet<String> = named.iter().map(Selected::text).collect();
    for found in from {
        let value = found.text();
        if named.contains(&value) || findings.schema_refuses(found.node) {
            continue;
        }
        let (shown, element) = (cut_value(&value), name_of(found.node));
        let (to, name) = (&rule.demand.to, &rule.name);
        let message = format!(
            "The value \"{shown}\" in {element} is none of those at {to} (rule \"{name}\")."
        );
        broken(
            rule,
            Code::FormReference,
            found.node,
            (message, Vec::new()),
            findings,
        );
    }
}

fn condition(rule: &Rule<Condition>, context: Node<'_, '_>, findings: &mut Findings) {
    let (name, demand) = (&rule.name, &rule.demand);
    let makes_the_case = |found: &Selected<'_, '_>| {
        if demand.is.is_empty() {
            says_something(found)
        } else {
            demand.is.contains(&found.text())
        }
    };
    let whens = demand.when.values(context);
    let Some(when) = whens.into_iter().find(makes_the_case) else {
        return;
    };
    if findings.schema_refuses(when.node) {
        return;
    }
    let when_name = name_of(when.node);
    let case = match demand.is.is_empty() {
        true => format!("{when_name} is there"),
        false => format!("{when_name} is \"{}\"", cut_value(&when.text())),
    };
    for path in &demand.require {
        if !path.values(context).iter().any(says_something) {
            let message = format!("As {case}, {path} must be there (rule \"{name}\").");
            broken(
                rule,
                Code::FormCondition,
                when.node,
                (message, Vec::new()),
                findings,
            );
        }
    }
    for found in demand.forbid.iter().flat_map(|path| path.values(context)) {
        let element = name_of(found.node);
        let message = format!("As {case}, {element} must not be there (rule \"{name}\").");
        broken(
            rule,
            Code::FormCondition,
            found.node,
            (message, Vec::new()),
            findings,
        );
    }
}

/// Whether there is a text, or an element inside.
fn says_something(found: &Selected<'_, '_>) -> bool {
    !found.text().is_empty()
        || (!found.is_attribute() && found.node.first_element_child().is_some())
}

/// A matricule; a doubtful one is a warning.
pub(super) fn matricule(found: Selected<'_, '_>, findings: &mut Findings) -> String {
    let value = found.text();
    if let Err(fault) = matricule::check(&value)
        && !findings.knows(found.node)
    {
        let message = format!(
            "The matricule \"{}\" in {} {fault}.",
            cut_value(&value),
            name_of(found.node)
        );
        findings.push(Code::FormMatricule, Severity::Warning, found.node, message);
    }
    value
}

/// The text of a shown value in the one form of its kind. What is not of its
/// kind is told.
pub(super) fn canonical(
    kind: ShowKind,
    found: Selected<'_, '_>,
    findings: &mut Findings,
) -> String {
    let text = found.text();
    if text.is_empty() {
        return text;
    }
    let read = match kind {
        ShowKind::Text => return text,
        ShowKind::Matricule => return matricule(found, findings),
        ShowKind::Date => day(found, findings).map(|day| day.to_string()),
        ShowKind::Amount | ShowKind::Number => {
            amount(found, findings).map(|amount| amount.to_string())
        }
        ShowKind::Boolean => {
            let read = boolean(&text);
            if read.is_none() && !findings.knows(found.node) {
                let (shown, name) = (cut_value(&text), name_of(found.node));
                let message = format!("The value \"{shown}\" in {name} is neither true nor false.");
                findings.error(Code::FormFact, found.node, message);
            }
            read.map(|flag| flag.to_string())
        }
    };
    read.unwrap_or(text)
}

/// The text of a value of an answer in the one form of its kind, or as it came.
pub(in crate::forms) fn lenient(kind: ShowKind, found: Selected<'_, '_>) -> String {
    let text = found.text();
    let read = match kind {
        ShowKind::Text | ShowKind::Matricule => None,
        ShowKind::Date => date(&text).map(|day| day.to_string()),
        ShowKind::Amount | ShowKind::Number => decimal(&text).map(|amount| amount.to_string()),
        ShowKind::Boolean => boolean(&text).map(|flag| flag.to_string()),
    };
    read.unwrap_or(text)
}

/// Reads an `xs:boolean`.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// An `xs:decimal` as an exact number. What cannot be read is told once; what
/// the schema refuses has been told.
fn amount(found: Selected<'_, '_>, findings: &mut Findings) -> Option<Decimal> {
    if findings.schema_refuses(found.node) {
        return None;
    }
    let text = found.text();
    let read = decimal(&text);
    if read.is_none() && !findings.knows(found.node) {
        let shown = cut_value(&text);
        let name = name_of(found.node);
        let message = format!("The amount \"{shown}\" in {name} cannot be read.");
        findings.error(Code::FormSum, found.node, message);
    }
    read
}

/// Reads the lexical forms of `xs:decimal` (XML Schema Part 2 §3.2.3): an
/// optional sign, and a point that may stand first or last.
fn decimal(text: &str) -> Option<Decimal> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = unsigned.bytes().filter(u8::is_ascii_digit).count();
    let points = unsigned.bytes().filter(|byte| *byte == b'.').count();
    if digits == 0 || points > 1 || digits + points != unsigned.len() {
        return None;
    }
    let solid = unsigned.trim_start_matches('0').trim_end_matches('.');
    let solid = if solid.starts_with('.') || solid.is_empty() {
        format!("0{solid}")
    } else {
        solid.to_owned()
    };
    let read = Decimal::from_str_exact(&solid).ok()?;
    Some(if text.starts_with('-') { -read } else { read })
}

/// An `xs:date` as a day; a time zone, where a schema allows one, is left out.
fn day(found: Selected<'_, '_>, findings: &mut Findings) -> Option<Date> {
    if findings.schema_refuses(found.node) {
        return None;
    }
    let text = found.text();
    let read = date(&text);
    if read.is_none() && !findings.knows(found.node) {
        let shown = cut_value(&text);
        let name = name_of(found.node);
        let message = format!("The day \"{shown}\" in {name} cannot be read.");
        findings.error(Code::FormDate, found.node, message);
    }
    read
}

fn date(text: &str) -> Option<Date> {
    let head = text.get(..10).unwrap_or_default();
    Date::parse(head, format_description!("[year]-[month]-[day]")).ok()
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn decimals_in_all_lexical_forms() {
        for (text, value) in [
            ("62.60", "62.60"),
            ("+7.5", "7.5"),
            ("-7.5", "-7.5"),
            (".5", "0.5"),
            ("5.", "5"),
            ("0", "0"),
            ("000000000000000000000000000000000012.30", "12.30"),
        ] {
            assert_eq!(decimal(text).unwrap().to_string(), value, "{text}");
        }
        for text in ["", ".", "-", "1e3", "1_0", "7,5", "--1", "1.2.3", "NaN"] {
            assert_eq!(decimal(text), None, "{text}");
        }
    }
}
