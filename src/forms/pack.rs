//! A form pack: what can be said about a form, as read from `pack.toml`.

use super::environment::EnvironmentKind;
use super::period::Period;
use super::show::Show;
use super::{CodePrestataire, FormsError};
use crate::x509::Level;
use crate::xml::path::{Name, Namespaces, Path, Slot};
use crate::xml::xsd::Schema;
use crate::xml::{Position, XmlError, parse, position, without_mark, xpath_of};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A form in one version: its schema and what can be done with it.
pub struct Pack {
    /// Name of the form, such as `memoire-honoraires`.
    pub form: String,
    /// Version of the form.
    pub version: String,
    /// Namespace of its documents.
    pub namespace: String,
    /// Who receives it, such as `CNS`.
    pub addressee: String,
    /// Name for people.
    pub title: Title,
    /// Prefixes used in the paths of the pack.
    pub namespaces: Namespaces,
    /// What can be done, by name, such as `depot`.
    pub operations: BTreeMap<String, Operation>,
    /// Names this very pack: a SHA-256 over those of `pack.toml` and of every
    /// file it names, in the order it names them.
    pub sha256: [u8; 32],
    pub(super) periods: Vec<Period>,
    pub(super) schema: Schema,
}

/// A text in three languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Title {
    /// French.
    pub fr: String,
    /// German.
    pub de: String,
    /// English.
    pub en: String,
}

/// How a document travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exchange {
    /// When the way is free; nobody waits for the answer.
    Queued,
    /// At once: somebody waits for the answer at the desk.
    Interactive,
}

/// Model ids (`modelUID`, 1 to 32 of `A-Z a-z 0-9 _ -`) by kind of environment.
pub(super) type Models = BTreeMap<EnvironmentKind, String>;

/// One operation of a form.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Name for people.
    pub title: Title,
    /// Root element of its documents.
    pub root: Name,
    /// How it travels.
    pub exchange: Exchange,
    /// What people and programs are shown of a document.
    pub show: Vec<Show>,
    /// Where the signature goes; `None`: it is sent unsigned.
    pub signature: Option<SignaturePlace>,
    /// Where the PDF goes; `None`: it takes none.
    pub document: Option<DocumentPlace>,
    /// Which earlier documents it names.
    pub refers: Vec<Reference>,
    /// How to ask what became of a document, where the receiver offers it.
    pub status: Option<StatusService>,
    /// Where the receiver's answer says what.
    pub answer: AnswerPaths,
    /// The QR code for its print.
    pub qr: Option<QrPlace>,
    /// Copies for others, with less in them.
    pub copies: Vec<CopyRule>,
    pub(super) models: Models,
    pub(super) facts: FactPaths,
    pub(super) checks: Checks,
    /// Every path into a document, with its key.
    pub(super) paths: Vec<(String, Path)>,
}

impl Operation {
    /// Paths that select nothing in any of these documents, each as
    /// `key: path`: a mistyped one makes a rule that never applies.
    pub fn unused_paths(&self, documents: &[Vec<u8>]) -> Vec<String> {
        let trees = documents.iter().map(|xml| parse(without_mark(xml)));
        let trees: Vec<_> = trees.filter_map(Result::ok).collect();
        let is_used = |path: &Path| trees.iter().any(|tree| path.first(tree.root()).is_some());
        let unused = self.paths.iter().filter(|(_, path)| !is_used(path));
        unused.map(|(key, path)| format!("{key}: {path}")).collect()
    }

    /// Model under which the receiver's exchange service knows it in such an
    /// environment; `None`: it is not sent there.
    pub fn model_id(&self, kind: EnvironmentKind) -> Option<&str> {
        self.models.get(&kind).map(String::as_str)
    }

    /// Where the signature goes.
    ///
    /// # Errors
    /// [`FormsError::NoSuchOperation`] when it is sent unsigned.
    pub fn signed(&self) -> Result<&SignaturePlace, FormsError> {
        let place = self.signature.as_ref();
        place.ok_or_else(|| FormsError::NoSuchOperation("signature in this operation".to_owned()))
    }

    /// Who did what a checked document bills, each once.
    pub fn executants(&self, xml: &[u8]) -> Result<Vec<CodePrestataire>, XmlError> {
        let document = parse(without_mark(xml))?;
        let mut all = Vec::new();
        let paths = self.facts.executant.iter();
        for found in paths.flat_map(|path| path.values(document.root())) {
            if let Ok(code) = found.text().parse()
                && !all.contains(&code)
            {
                all.push(code);
            }
        }
        Ok(all)
    }

    /// Where `xml` names its sender, for problems that point there.
    pub fn code_prestataire_place(&self, xml: &[u8]) -> Option<(String, Position)> {
        let xml = without_mark(xml);
        let document = parse(xml).ok()?;
        let node = self.facts.code_prestataire.first(document.root())?.node;
        Some((xpath_of(node), position(xml, node.range().start)))
    }
}

/// Where the XML signature goes.
#[derive(Debug, Clone)]
pub struct SignaturePlace {
    /// Level to reach, as XAdES.
    pub level: Level,
    /// The place.
    pub slot: Slot,
    /// Where an absent wrapper is made: in front of this element, else at the
    /// end of its parent.
    pub(super) before: Option<Path>,
}

/// Where the PDF goes.
#[derive(Debug, Clone)]
pub struct DocumentPlace {
    /// Path of the element, in the prefixes of the pack.
    pub element: String,
    /// Level its signature must reach before it is embedded, as PAdES: B or T.
    pub level: Level,
    /// Whether the operation cannot do without.
    pub required: bool,
    pub(super) path: Path,
}

/// What a reference's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefersBy {
    /// The identifier the insurer gave.
    InsurerId,
    /// The UUID the document was sent under.
    Uuid,
}

/// What follows when nothing of that name was sent from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// A warning: another workstation may have sent it.
    Warn,
    /// The document is refused.
    Refuse,
}

/// A rule about the earlier document of the same form and code prestataire
/// that a document names.
#[derive(Debug, Clone)]
pub struct Reference {
    /// Operations the earlier document may be of.
    pub operations: Vec<String>,
    /// What the value is.
    pub by: RefersBy,
    /// What follows when it is not known here.
    pub unknown: Unknown,
    /// Of all documents with this word only one may stand that names the same;
    /// those the insurer refused do not count.
    pub once: Option<String>,
    pub(super) path: Path,
}

/// The status service of an operation.
#[derive(Debug, Clone)]
pub struct StatusService {
    /// Root element of its answer.
    pub root: Name,
    /// The UUID asked about; this and the following start at the root.
    pub uuid: Path,
    /// Whether the receiver knows it.
    pub known: Path,
    /// Where the operation's answer is repeated.
    pub answer: Path,
    pub(super) models: Models,
    pub(super) request: String,
}

impl StatusService {
    /// Model under which the exchange service knows it in such an environment.
    pub fn model_id(&self, kind: EnvironmentKind) -> Option<&str> {
        self.models.get(&kind).map(String::as_str)
    }
}

#[derive(Debug, Clone)]
pub(super) struct FactPaths {
    pub uuid: Path,
    pub code_prestataire: Path,
    pub matricule: Option<Path>,
    pub executant: Option<Path>,
}

/// Checks beyond the schema.
#[derive(Debug, Clone)]
pub(super) struct Checks {
    pub sums: Vec<Rule<Sum>>,
    pub dates: Vec<Rule<DateOrder>>,
    pub codes: Vec<Rule<Coded>>,
    pub references: Vec<Rule<CrossReference>>,
    pub conditions: Vec<Rule<Condition>>,
}

/// What every check has beside what it demands.
#[derive(Debug, Clone)]
pub(super) struct Rule<T> {
    /// Named in the finding.
    pub name: String,
    /// Elements for each of which it holds; relative paths start there.
    pub per: Option<Path>,
    pub severity: super::Severity,
    /// What to tell the doctor, instead of the code's own text.
    pub text: Option<Arc<Title>>,
    pub demand: T,
}

/// How a sum relates to its total.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    AtMost,
}

#[derive(Debug, Clone)]
pub(super) struct Sum {
    pub plus: Vec<Path>,
    pub minus: Vec<Path>,
    pub relation: Relation,
    pub total: Path,
}

#[derive(Debug, Clone)]
pub(super) struct DateOrder {
    pub earlier: Path,
    pub later: Path,
    /// Most days between them.
    pub days_max: Option<i64>,
}

/// Every value stands in a list.
#[derive(Debug, Clone)]
pub(super) struct Coded {
    pub path: Path,
    pub list: String,
    pub codes: Arc<BTreeSet<String>>,
}

/// Every value of one path is a value of another.
#[derive(Debug, Clone)]
pub(super) struct CrossReference {
    pub from: Path,
    pub to: Path,
}

/// What must, and must not, be there in a case.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    pub when: Path,
    /// Values that make the case; none: that it is there and not empty.
    pub is: Vec<String>,
    pub require: Vec<Path>,
    pub forbid: Vec<Path>,
}

/// Where an answer says what. Paths start at its root element.
#[derive(Debug, Clone)]
pub struct AnswerPaths {
    /// Its root element.
    pub root: Name,
    /// The UUID of the document answered.
    pub uuid: Path,
    /// The insurer's identifier of it.
    pub insurer_id: Option<Path>,
    /// The verdict; without it an answer is an acceptance.
    pub status: Option<Path>,
    /// Words of acceptance.
    pub accepted: Vec<String>,
    /// Words of refusal.
    pub refused: Vec<String>,
    /// The remarks.
    pub anomaly: Option<AnomalyPaths>,
    /// What people and programs are shown of it.
    pub show: Vec<Show>,
}

/// Where an answer's remarks say what. All but `each` start at the remark.
#[derive(Debug, Clone)]
pub struct AnomalyPaths {
    /// Selects the remarks.
    pub each: Path,
    /// Code.
    pub code: Path,
    /// Kind, in the receiver's words.
    pub kind: Option<Path>,
    /// Text.
    pub text: Option<Path>,
    /// The line of the document it is about.
    pub line: Option<Path>,
}

/// The QR code for an operation's print.
#[derive(Debug, Clone, PartialEq)]
pub struct QrPlace {
    /// Text with places in braces.
    pub(super) template: String,
    /// Page it stands on, from 1; negative: from the end.
    pub page: i64,
    /// Left edge, in millimetres from the page's left.
    pub x_mm: f64,
    /// Lower edge, in millimetres from the page's lower edge.
    pub y_mm: f64,
    /// Side, in millimetres.
    pub size_mm: f64,
}

impl QrPlace {
    /// The text of the code. `value` gives what stands in braces; `None` when
    /// it has not all of it (yet).
    pub fn fill(&self, value: impl Fn(&str) -> Option<String>) -> Option<String> {
        let mut out = String::new();
        let mut rest = self.template.as_str();
        while let Some((head, tail)) = rest.split_once('{') {
            let (name, tail) = tail.split_once('}')?;
            out.push_str(head);
            out.push_str(&value(name)?);
            rest = tail;
        }
        out.push_str(rest);
        Some(out)
    }
}

/// A copy of the XML with less in it, such as the employer's.
#[derive(Debug, Clone)]
pub struct CopyRule {
    /// Its name.
    pub name: String,
    /// Name for people.
    pub title: Title,
    /// What it leaves out.
    pub(super) hide: Vec<Path>,
}
