//! The services behind the exchange: what the sandbox, as insurer, decides
//! about a document that is in order. A form nobody here has seen is accepted.

mod cancellation;
mod certificate;
mod memoire;
mod pid;
mod prescription;

use crate::dom::{self, DomError};
use crate::ledger::{Book, Decision, Entry, Status};
use roxmltree::Node;
use rust_decimal::Decimal;
use time::{Date, Month};

/// How the answers of a form known here look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Prefix of the form's elements.
    pub prefix: &'static str,
    /// Root element of the answer.
    pub root: &'static str,
}

/// Who decides about the documents of one operation.
#[derive(Clone, Copy)]
pub struct Service {
    /// How it answers; `None`: as the pack says.
    pub shape: Option<Shape>,
    /// Whether it asks the rules engine.
    pub engine: bool,
    /// Whether the patient must have agreed.
    pub consent: bool,
    /// Decides.
    pub decide: fn(&Case<'_, '_>) -> Result<Decision, DomError>,
}

/// A document that is in order: of its pack, of the sender, signed where it
/// must be.
pub struct Case<'a, 'i> {
    /// Root element.
    pub root: Node<'a, 'i>,
    /// Namespace of the form.
    pub namespace: &'a str,
    /// Form.
    pub form: &'a str,
    /// Code prestataire of the sender.
    pub code: &'a str,
    /// The identifier it gets.
    pub secu_id: &'a str,
    /// All that was received before.
    pub book: &'a Book,
    /// Whether the patient has agreed to digital documents.
    pub consent: bool,
}

/// Namespaces of the forms known here.
const MEMOIRE: &str = "urn:sceau:forms:memoire-honoraires:2";
const PID: &str = "urn:sceau:forms:pid:2";
const ECIT: &str = "urn:sceau:forms:ecit:1";
const EORDONNANCE: &str = "urn:sceau:forms:eordonnance:1";

/// The service of an operation, by the namespace of its form.
pub fn of(namespace: &str, operation: &str) -> Service {
    let plain = |prefix, root, decide| Service {
        shape: Some(Shape { prefix, root }),
        engine: false,
        consent: false,
        decide,
    };
    match (namespace, operation) {
        (MEMOIRE, "depot") => Service {
            engine: true,
            consent: true,
            ..plain("mh", "memoireHonorairesRetour", memoire::deposit)
        },
        (MEMOIRE, "annulation") => plain(
            "mh",
            "annulationMemoireHonorairesRetour",
            cancellation::memoire,
        ),
        (PID, "simulation") => Service {
            engine: true,
            ..plain("pid", "simulationRetour", pid::simulation)
        },
        (PID, "validation") => plain("pid", "validationRetour", pid::validation),
        (PID, "contestation") => plain("pid", "contestationRetour", pid::contestation),
        (ECIT, "depot") => plain("ecit", "certificatIncapaciteRetour", certificate::deposit),
        (ECIT, "annulation") => plain(
            "ecit",
            "annulationCertificatRetour",
            cancellation::certificate,
        ),
        (EORDONNANCE, "depot") => plain("eo", "ordonnanceRetour", prescription::deposit),
        (EORDONNANCE, "annulation") => plain(
            "eo",
            "annulationOrdonnanceRetour",
            cancellation::prescription,
        ),
        (_, _) => Service {
            shape: None,
            engine: false,
            consent: false,
            decide: accept,
        },
    }
}

/// What the sandbox does with a form it does not know.
fn accept(_: &Case<'_, '_>) -> Result<Decision, DomError> {
    Ok(Decision {
        ahead: vec![Status::Sent],
        ..Decision::default()
    })
}

impl<'a, 'i> Case<'a, 'i> {
    /// The single descendant at a path of child elements.
    fn node(&self, names: &[&'a str]) -> Result<Node<'a, 'i>, DomError> {
        dom::descend(self.root, self.namespace, names)
    }

    /// The child elements of this name.
    fn list(&self, parent: Node<'a, 'i>, name: &'a str) -> impl Iterator<Item = Node<'a, 'i>> {
        dom::children(parent, self.namespace, name)
    }

    /// The text of a child element.
    fn text(&self, parent: Node<'a, 'i>, name: &'a str) -> Result<&'a str, DomError> {
        dom::text(dom::child(parent, self.namespace, name)?)
    }

    /// The text of a child element that may be missing.
    fn optional(&self, parent: Node<'a, 'i>, name: &'a str) -> Result<Option<&'a str>, DomError> {
        let found = dom::optional(parent, self.namespace, name)?;
        found.map(dom::text).transpose()
    }

    /// The day in a child element.
    fn day(&self, parent: Node<'a, 'i>, name: &'a str) -> Result<Date, DomError> {
        let text = self.text(parent, name)?;
        let mut parts = text.splitn(3, '-');
        let mut next = || parts.next().unwrap_or_default();
        let (year, month, day) = (next(), next(), next());
        let date = || {
            let month = Month::try_from(month.parse::<u8>().ok()?).ok()?;
            Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok()
        };
        date().ok_or_else(|| DomError(format!("{name} is not a day")))
    }

    /// The truth value in a child element (`xs:boolean`).
    fn flag(&self, parent: Node<'a, 'i>, name: &'a str) -> Result<bool, DomError> {
        Ok(matches!(self.text(parent, name)?, "true" | "1"))
    }

    /// A received document of this form and an operation, by the identifier
    /// the sandbox gave it.
    fn earlier(&self, operation: &str, secu_id: &str) -> Option<&'a Entry> {
        let found = self.book.by_secu_id(secu_id)?;
        (found.form == self.form && found.operation == operation).then_some(found)
    }
}

/// How often.
fn count(text: &str) -> Result<u32, DomError> {
    let wrong = |_| DomError(format!("`{text}` is not a count"));
    text.parse().map_err(wrong)
}

/// An amount in euro.
fn amount(text: &str) -> Result<Decimal, DomError> {
    let wrong = |_| DomError(format!("`{text}` is not an amount"));
    text.parse().map_err(wrong)
}

/// Whether a document was taken back.
fn is_withdrawn(entry: &Entry) -> bool {
    matches!(entry.status(), Status::Cancelled | Status::Replaced)
}

#[cfg(test)]
mod tests;
