//! The sentences of schema faults: what is wrong, with which element and which
//! value, without the validator's vocabulary.

/// A value in a message is cut after this many characters.
pub const VALUE_CHARACTERS_MAX: usize = 60;

/// A value fit for a message: white space joined, cut at
/// [`VALUE_CHARACTERS_MAX`] with an ellipsis.
pub fn cut_value(value: &str) -> String {
    // Cut first: a value may be a document of many megabytes.
    let head: String = value.chars().take(4 * VALUE_CHARACTERS_MAX).collect();
    let joined = head.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown: String = joined.chars().take(VALUE_CHARACTERS_MAX).collect();
    if shown.len() < joined.len() || head.len() < value.len() {
        format!("{shown}\u{2026}")
    } else {
        shown
    }
}

/// What a sentence is about.
pub(super) struct Subject<'a> {
    /// The element as the document writes its name.
    pub element: &'a str,
    /// The attribute, when it is at fault.
    pub attribute: Option<&'a str>,
    /// The value at fault.
    pub value: &'a str,
    /// Its namespace name.
    pub namespace: Option<&'a str>,
    /// The parent of the element.
    pub parent: Option<&'a str>,
    /// Whether the element itself stands where it may not.
    pub unexpected: bool,
}

/// One plain sentence for a fault; `detail` is what the validator said.
pub(super) fn sentence(
    subject: &Subject<'_>,
    constraint: &str,
    detail: &str,
    expected: Option<&[String]>,
) -> String {
    let element = subject.element;
    match constraint {
        "cvc-complex-type.2.4" => structure(subject, expected),
        "cvc-elt.1" => format!("The element {element} is not declared in the schema."),
        "cvc-complex-type.2.3" => format!(
            "The element {element} may contain only elements, but contains the text \"{}\".",
            cut_value(subject.value)
        ),
        "cvc-complex-type.3.2.2" => format!(
            "The attribute {} is not allowed on the element {element}.",
            subject.attribute.unwrap_or_default()
        ),
        "cvc-identity-constraint.4.2.2" | "cvc-identity-constraint.4.1" => format!(
            "The element {element} repeats a value that must be unique (rule {}).",
            quoted(detail)
        ),
        constraint => {
            let allowed = expected.unwrap_or_default();
            value(subject, constraint, detail, allowed)
        }
    }
}

fn structure(subject: &Subject<'_>, expected: Option<&[String]>) -> String {
    let element = subject.element;
    let wanted = match expected {
        None => "see the schema for what is allowed there".to_owned(),
        Some([]) => "no further element is allowed there".to_owned(),
        Some([one]) => format!("expected is {one}"),
        Some(many) => format!("expected is one of {}", many.join(", ")),
    };
    if !subject.unexpected {
        return format!("The element {element} ends too early; {wanted}.");
    }
    let parent = subject.parent.unwrap_or("the document");
    let local = |name: &str| name.rsplit(':').next().unwrap_or_default().to_owned();
    let known = expected.unwrap_or_default();
    let other_namespace = known.iter().any(|name| local(name) == local(element));
    let namespace = match subject.namespace.filter(|name| !name.is_empty()) {
        _ if !other_namespace => String::new(),
        Some(name) => format!(" (it stands in the namespace \"{}\")", cut_value(name)),
        None => " (it stands in no namespace)".to_owned(),
    };
    format!("The element {element} is not allowed at this place in {parent}{namespace}; {wanted}.")
}

fn value(subject: &Subject<'_>, constraint: &str, detail: &str, expected: &[String]) -> String {
    let what = match subject.attribute {
        None => format!("The element {}", subject.element),
        Some(name) => format!("The attribute {name} of the element {}", subject.element),
    };
    let shown = cut_value(subject.value);
    format!(
        "{what} has the value \"{shown}\", which {}.",
        reason(constraint, detail, expected)
    )
}

/// What is wrong with a value. The limits are read from the validator's own
/// text, behind the last of the words that introduce them, because a value
/// quoted earlier may contain anything.
fn reason(constraint: &str, detail: &str, expected: &[String]) -> String {
    let after = |words: &str| {
        let found = detail.rsplit_once(words).map(|(_, rest)| rest);
        found.unwrap_or_default().trim_matches('\'').to_owned()
    };
    match constraint {
        "cvc-pattern-valid" => format!("does not match the pattern {}", after("match pattern ")),
        "cvc-minLength-valid" => format!("has fewer than {} characters", after("than minimum ")),
        "cvc-maxLength-valid" => format!("has more than {} characters", after("exceeds maximum ")),
        "cvc-length-valid" => "does not have the required length".to_owned(),
        "cvc-minInclusive-valid" => format!("is less than {}", after("than minimum ")),
        "cvc-maxInclusive-valid" => format!("is greater than {}", after("than maximum ")),
        "cvc-minExclusive-valid" => format!("is not greater than {}", after("greater than ")),
        "cvc-maxExclusive-valid" => format!("is not less than {}", after("less than ")),
        "cvc-totalDigits-valid" => format!("has more than {} digits", after("maximum is ")),
        "cvc-fractionDigits-valid" => format!("has more than {} decimals", after("maximum is ")),
        "cvc-enumeration-valid" if expected.is_empty() => "is not an allowed value".to_owned(),
        "cvc-enumeration-valid" => format!("is not one of {}", expected.join(", ")),
        "cvc-datatype-valid" => {
            let kind = detail
                .strip_prefix("Invalid ")
                .and_then(|rest| rest.split_once(" value '"));
            let kind = kind.map_or("value of its type", |(kind, _)| kind);
            format!("is not a valid {kind}")
        }
        other => format!("violates the schema constraint {other}"),
    }
}

/// The first name in single quotes.
fn quoted(detail: &str) -> &str {
    detail.split('\'').nth(1).unwrap_or_default()
}
