//! The rules a schema cannot express: sums and the order of days.

use super::{Code, Findings};
use crate::forms::Operation;
use crate::forms::pack::{Relation, Sum};
use crate::xml::name_of;
use crate::xml::path::{Path, Selected};
use crate::xml::xsd::cut_value;
use roxmltree::Node;
use rust_decimal::Decimal;
use time::Date;
use time::macros::format_description;

/// Checks every sum rule of an operation.
pub(super) fn sums(operation: &Operation, root: Node<'_, '_>, findings: &mut Findings) {
    for sum in &operation.sums {
        for context in contexts(sum.per.as_ref(), root) {
            // None: a part is missing or unreadable, which is told by then.
            let _ = check_sum(sum, context, findings);
        }
    }
}

fn contexts<'a, 'i>(per: Option<&Path>, root: Node<'a, 'i>) -> Vec<Node<'a, 'i>> {
    per.map_or_else(|| vec![root], |path| path.select(root))
}

fn check_sum(sum: &Sum, context: Node<'_, '_>, findings: &mut Findings) -> Option<()> {
    let total = sum.total.first(context)?;
    let stated = amount(total, findings)?;
    let mut parts = Vec::new();
    let mut computed = Decimal::ZERO;
    for (paths, sign) in [
        (&sum.plus, Decimal::ONE),
        (&sum.minus, Decimal::NEGATIVE_ONE),
    ] {
        for found in paths.iter().flat_map(|path| path.values(context)) {
            let part = amount(found, findings)? * sign;
            let Some(sum_so_far) = computed.checked_add(part) else {
                // Each amount can be read, so their sum is just too large.
                let message = format!("The amounts are too large to add (rule \"{}\").", sum.name);
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
    let name = &sum.name;
    let total_name = name_of(total.node);
    match sum.relation {
        Relation::Equal if computed != stated => {
            let mut names: Vec<&str> = parts.iter().map(|node| name_of(*node)).collect();
            names.dedup();
            let names = names.join(", ");
            let message = format!(
                "The element {total_name} says {stated}, but {names} come to {computed} (rule \"{name}\")."
            );
            findings.error(Code::FormSum, total.node, message);
        }
        Relation::AtMost if computed > stated => {
            let part_name = name_of(first);
            let message = format!(
                "The element {part_name} says {computed}, more than the {stated} of {total_name} (rule \"{name}\")."
            );
            findings.error(Code::FormSum, first, message);
        }
        Relation::Equal | Relation::AtMost => {}
    }
    Some(())
}

/// Checks the order of days of an operation.
pub(super) fn dates(operation: &Operation, root: Node<'_, '_>, findings: &mut Findings) {
    for order in &operation.dates {
        for context in contexts(order.per.as_ref(), root) {
            let Some(later) = order.later.first(context) else {
                continue;
            };
            let Some(last) = day(later, findings) else {
                continue;
            };
            for earlier in order.earlier.values(context) {
                let Some(first) = day(earlier, findings).filter(|first| *first > last) else {
                    continue;
                };
                let message = format!(
                    "The day {first} in {} lies after the day {last} in {} (rule \"{}\").",
                    name_of(earlier.node),
                    name_of(later.node),
                    order.name
                );
                findings.error(Code::FormDate, earlier.node, message);
            }
        }
    }
}

/// An `xs:decimal` as an exact number. What cannot be read is told once; what
/// the schema refuses has been told.
pub(super) fn amount(found: Selected<'_, '_>, findings: &mut Findings) -> Option<Decimal> {
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
pub(super) fn day(found: Selected<'_, '_>, findings: &mut Findings) -> Option<Date> {
    if findings.schema_refuses(found.node) {
        return None;
    }
    let text = found.text();
    let head = text.get(..10).unwrap_or_default();
    let read = Date::parse(head, format_description!("[year]-[month]-[day]")).ok();
    if read.is_none() && !findings.knows(found.node) {
        let shown = cut_value(&text);
        let name = name_of(found.node);
        let message = format!("The day \"{shown}\" in {name} cannot be read.");
        findings.error(Code::FormDate, found.node, message);
    }
    read
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
