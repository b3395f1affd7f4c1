//! What the validator overlooks, watched for while it reads: found beside
//! libxml2 and Python's xmlschema (tests/judges/differential).

use super::wording::{self, Subject};
use super::{Fault, Node, name_of, xpath_of};
use std::cell::RefCell;
use xsd_schema::ids::TypeKey;
use xsd_schema::validation::{AttributeView, ContentType, SchemaInfo};

const INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";
/// The attributes any element may carry (XML Schema Part 1 §2.6).
const INSTANCE_ATTRIBUTES: [&str; 4] =
    ["type", "nil", "schemaLocation", "noNamespaceSchemaLocation"];

/// One violation.
pub(super) struct Overlooked {
    /// Offset of the start tag of the element at fault.
    pub(super) start: usize,
    what: What,
}

enum What {
    /// A character that Unicode takes for a blank and XML does not, where only
    /// elements may stand.
    Text(char),
    /// An attribute of the instance namespace that does not exist, on an
    /// element of a simple type.
    Attribute(String),
}

/// The open elements and what was seen in them.
#[derive(Default)]
pub(super) struct Watch {
    open: RefCell<Vec<Open>>,
    seen: RefCell<Vec<Overlooked>>,
}

struct Open {
    start: usize,
    kind: Option<TypeKey>,
    content: Option<ContentType>,
}

impl Watch {
    pub(super) fn opened(&self, start: usize, info: &SchemaInfo) {
        self.open.borrow_mut().push(Open {
            start,
            kind: info.schema_type,
            content: info.content_type,
        });
    }

    pub(super) fn closed(&self) {
        self.open.borrow_mut().pop();
    }

    pub(super) fn attribute(&self, attribute: &AttributeView<'_>) {
        let open = self.open.borrow();
        let Some(open) = open.last() else { return };
        let simple = open.kind.is_some_and(|kind| kind.as_simple().is_some());
        let known = INSTANCE_ATTRIBUTES.contains(&attribute.local_name);
        if simple && !known && attribute.namespace_uri == INSTANCE {
            let name = attribute.local_name.to_owned();
            self.add(open.start, What::Attribute(name));
        }
    }

    pub(super) fn blank(&self, text: &str) {
        let foreign = text.chars().find(|c| !" \t\r\n".contains(*c));
        let open = self.open.borrow();
        if let (Some(open), Some(foreign)) = (open.last(), foreign)
            && open.content == Some(ContentType::ElementOnly)
        {
            self.add(open.start, What::Text(foreign));
        }
    }

    fn add(&self, start: usize, what: What) {
        let mut seen = self.seen.borrow_mut();
        if seen.len() < super::FAULTS_MAX {
            seen.push(Overlooked { start, what });
        }
    }

    pub(super) fn into_seen(self) -> Vec<Overlooked> {
        self.seen.into_inner()
    }
}

impl Overlooked {
    /// The fault, told like those the validator finds.
    pub(super) fn fault(&self, node: Node<'_, '_>) -> Fault {
        let (constraint, attribute, value) = match &self.what {
            What::Text(foreign) => {
                let value = format!("U+{:04X}", u32::from(*foreign));
                ("cvc-complex-type.2.3", None, value)
            }
            What::Attribute(name) => ("cvc-complex-type.3.2.2", Some(name.as_str()), String::new()),
        };
        let subject = Subject {
            element: name_of(node),
            attribute,
            value: &value,
            namespace: node.tag_name().namespace(),
            parent: node.parent_element().map(name_of),
            unexpected: false,
        };
        let xpath = xpath_of(node);
        Fault {
            constraint: constraint.to_owned(),
            offset: node.range().start,
            xpath: attribute.map_or(xpath.clone(), |name| format!("{xpath}/@{name}")),
            message: wording::sentence(&subject, constraint, "", None),
            expected: Vec::new(),
            incomplete: false,
        }
    }
}
