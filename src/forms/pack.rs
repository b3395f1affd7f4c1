//! A form pack: what `pack.toml` says, read strictly and compiled once.

use super::FormsError;
use crate::x509::Level;
use crate::xml::path::{Name, Namespaces, Path, Slot};
use crate::xml::xsd::Schema;
use crate::xml::{Position, parse, position, without_mark, xpath_of};
use serde::Deserialize;
use std::collections::BTreeMap;

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
    pub(super) schema: Schema,
}

/// A name in three languages.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Title {
    /// French.
    pub fr: String,
    /// German.
    pub de: String,
    /// English.
    pub en: String,
}

/// One operation of a form.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Root element of its documents.
    pub root: Name,
    /// Model under which the receiver's exchange service knows it
    /// (`modelUID`, 1 to 32 of `A-Z a-z 0-9 _ -`).
    pub model_id: String,
    /// Where the signature goes.
    pub signature: SignaturePlace,
    /// Where the PDF goes, for operations that have one.
    pub document: Option<DocumentPlace>,
    pub(super) facts: FactPaths,
    pub(super) sums: Vec<Sum>,
    pub(super) dates: Vec<DateOrder>,
    pub(super) answer: AnswerPaths,
    /// How to ask what became of a document, where the receiver offers it.
    pub status: Option<StatusService>,
}

impl Operation {
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

/// The status service of an operation.
#[derive(Debug, Clone)]
pub struct StatusService {
    /// Model under which the exchange service knows it.
    pub model_id: String,
    pub(super) request: String,
    pub(super) root: Name,
    pub(super) uuid: Path,
    pub(super) known: Path,
    pub(super) answer: Path,
}

#[derive(Debug, Clone)]
pub(super) struct FactPaths {
    pub uuid: Path,
    pub code_prestataire: Path,
    pub matricule: Option<Path>,
    pub patient_nom: Option<Path>,
    pub patient_prenom: Option<Path>,
    pub numero: Option<Path>,
    pub date: Option<Path>,
    pub total: Option<Path>,
    pub devise: Option<Path>,
}

/// How a sum relates to its total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Relation {
    Equal,
    AtMost,
}

#[derive(Debug, Clone)]
pub(super) struct Sum {
    pub name: String,
    pub per: Option<Path>,
    pub plus: Vec<Path>,
    pub minus: Vec<Path>,
    pub relation: Relation,
    pub total: Path,
}

#[derive(Debug, Clone)]
pub(super) struct DateOrder {
    pub name: String,
    pub per: Option<Path>,
    pub earlier: Path,
    pub later: Path,
}

#[derive(Debug, Clone)]
pub(super) struct AnswerPaths {
    pub root: Name,
    pub uuid: Path,
    pub insurer_id: Path,
    pub status: Path,
    pub accepted: String,
    pub refused: String,
    pub anomaly: Path,
    pub anomaly_kind: Path,
    pub anomaly_code: Path,
    pub anomaly_text: Path,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PackFile {
    format: u32,
    form: String,
    version: String,
    namespace: String,
    addressee: String,
    title: Title,
    schemas: Vec<String>,
    namespaces: Namespaces,
    operations: BTreeMap<String, OperationFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OperationFile {
    root: String,
    model_id: String,
    facts: FactsFile,
    #[serde(default)]
    sums: Vec<SumFile>,
    #[serde(default)]
    dates: Vec<DateFile>,
    signature: SignatureFile,
    document: Option<DocumentFile>,
    answer: AnswerFile,
    status: Option<StatusFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FactsFile {
    uuid: String,
    code_prestataire: String,
    matricule: Option<String>,
    patient_nom: Option<String>,
    patient_prenom: Option<String>,
    numero: Option<String>,
    date: Option<String>,
    total: Option<String>,
    devise: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SumFile {
    name: String,
    per: Option<String>,
    plus: Vec<String>,
    #[serde(default)]
    minus: Vec<String>,
    relation: Relation,
    total: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DateFile {
    name: String,
    per: Option<String>,
    earlier: String,
    later: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureFile {
    level: String,
    slot: String,
    before: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentFile {
    element: String,
    level: String,
    required: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerFile {
    root: String,
    uuid: String,
    insurer_id: String,
    status: String,
    accepted: String,
    refused: String,
    anomaly: String,
    anomaly_kind: String,
    anomaly_code: String,
    anomaly_text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusFile {
    model_id: String,
    request: String,
    root: String,
    uuid: String,
    known: String,
    answer: String,
}

/// The format of `pack.toml` this program reads.
const FORMAT: u32 = 1;

impl Pack {
    /// Reads and compiles a pack. `source` names it in errors; `file` gives
    /// the bytes of a schema file by name.
    pub(super) fn compile(
        source: &str,
        manifest: &str,
        file: impl Fn(&str) -> Result<Vec<u8>, FormsError>,
    ) -> Result<Self, FormsError> {
        let read: PackFile = toml::from_str(manifest).map_err(|error| FormsError::Manifest {
            pack: source.to_owned(),
            reason: error.message().to_owned(),
        })?;
        let fail = |reason: String| FormsError::Manifest {
            pack: source.to_owned(),
            reason,
        };
        if read.format != FORMAT {
            let found = read.format;
            return Err(fail(format!(
                "format {found} is not {FORMAT}, the one this program reads"
            )));
        }
        for (what, text) in [("form", &read.form), ("version", &read.version)] {
            if !is_slug(text) {
                return Err(fail(format!(
                    "{what} `{text}` is not made of a-z, 0-9, `.` and `-`"
                )));
            }
        }
        let entry = read
            .schemas
            .first()
            .ok_or_else(|| fail("no schemas".to_owned()))?;
        let mut files = Vec::new();
        for name in &read.schemas {
            files.push((name.clone(), file(name)?));
        }
        let schema = Schema::compile(&files, entry).map_err(|error| FormsError::Schema {
            pack: source.to_owned(),
            source: error,
        })?;
        let reader = Reader {
            namespaces: &read.namespaces,
            source,
        };
        let mut operations = BTreeMap::new();
        for (name, operation) in read.operations {
            operations.insert(name, reader.operation(operation)?);
        }
        Ok(Self {
            form: read.form,
            version: read.version,
            namespace: read.namespace,
            addressee: read.addressee,
            title: read.title,
            namespaces: read.namespaces,
            operations,
            schema,
        })
    }
}

/// Form and version become parts of file paths and of addresses.
fn is_slug(text: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    !text.is_empty() && !text.starts_with('.') && text.bytes().all(allowed)
}

struct Reader<'a> {
    namespaces: &'a Namespaces,
    source: &'a str,
}

impl Reader<'_> {
    fn fail(&self, reason: String) -> FormsError {
        FormsError::Manifest {
            pack: self.source.to_owned(),
            reason,
        }
    }

    fn path(&self, text: &str) -> Result<Path, FormsError> {
        Path::parse(text, self.namespaces).map_err(|error| self.fail(error.to_string()))
    }

    fn paths(&self, texts: &[String]) -> Result<Vec<Path>, FormsError> {
        texts.iter().map(|text| self.path(text)).collect()
    }

    fn some(&self, text: Option<String>) -> Result<Option<Path>, FormsError> {
        text.map(|text| self.path(&text)).transpose()
    }

    fn name(&self, text: &str) -> Result<Name, FormsError> {
        Name::parse(text, self.namespaces).map_err(|error| self.fail(error.to_string()))
    }

    fn model_id(&self, text: String) -> Result<String, FormsError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if text.is_empty() || text.len() > 32 || !text.bytes().all(allowed) {
            return Err(self.fail(format!("`{text}` is no model id")));
        }
        Ok(text)
    }

    fn operation(&self, read: OperationFile) -> Result<Operation, FormsError> {
        let mut sums = Vec::new();
        for sum in read.sums {
            sums.push(Sum {
                per: self.some(sum.per)?,
                plus: self.paths(&sum.plus)?,
                minus: self.paths(&sum.minus)?,
                relation: sum.relation,
                total: self.path(&sum.total)?,
                name: sum.name,
            });
        }
        let mut dates = Vec::new();
        for order in read.dates {
            dates.push(DateOrder {
                per: self.some(order.per)?,
                earlier: self.path(&order.earlier)?,
                later: self.path(&order.later)?,
                name: order.name,
            });
        }
        Ok(Operation {
            root: self.name(&read.root)?,
            model_id: self.model_id(read.model_id)?,
            signature: SignaturePlace {
                level: self.level("XAdES", &read.signature.level)?,
                slot: Slot::parse(&read.signature.slot, self.namespaces)
                    .map_err(|error| self.fail(error.to_string()))?,
                before: self.some(read.signature.before)?,
            },
            document: read
                .document
                .map(|place| self.document(place))
                .transpose()?,
            facts: self.facts(read.facts)?,
            sums,
            dates,
            answer: self.answer(read.answer)?,
            status: read.status.map(|status| self.status(status)).transpose()?,
        })
    }

    /// Reads a level such as `XAdES-B-LT`.
    fn level(&self, format: &str, text: &str) -> Result<Level, FormsError> {
        let name = text
            .strip_prefix(format)
            .and_then(|rest| rest.strip_prefix('-'));
        name.and_then(Level::parse)
            .ok_or_else(|| self.fail(format!("`{text}` is no level of {format}")))
    }

    fn document(&self, read: DocumentFile) -> Result<DocumentPlace, FormsError> {
        let level = self.level("PAdES", &read.level)?;
        if level == Level::LT {
            let reason = "an embedded PDF reaches PAdES-B-T at most: its validation data would                  be as old as the document's own";
            return Err(self.fail(reason.to_owned()));
        }
        Ok(DocumentPlace {
            path: self.path(&read.element)?,
            element: read.element,
            level,
            required: read.required,
        })
    }

    fn facts(&self, read: FactsFile) -> Result<FactPaths, FormsError> {
        Ok(FactPaths {
            uuid: self.path(&read.uuid)?,
            code_prestataire: self.path(&read.code_prestataire)?,
            matricule: self.some(read.matricule)?,
            patient_nom: self.some(read.patient_nom)?,
            patient_prenom: self.some(read.patient_prenom)?,
            numero: self.some(read.numero)?,
            date: self.some(read.date)?,
            total: self.some(read.total)?,
            devise: self.some(read.devise)?,
        })
    }

    fn answer(&self, read: AnswerFile) -> Result<AnswerPaths, FormsError> {
        Ok(AnswerPaths {
            root: self.name(&read.root)?,
            uuid: self.path(&read.uuid)?,
            insurer_id: self.path(&read.insurer_id)?,
            status: self.path(&read.status)?,
            accepted: read.accepted,
            refused: read.refused,
            anomaly: self.path(&read.anomaly)?,
            anomaly_kind: self.path(&read.anomaly_kind)?,
            anomaly_code: self.path(&read.anomaly_code)?,
            anomaly_text: self.path(&read.anomaly_text)?,
        })
    }

    fn status(&self, read: StatusFile) -> Result<StatusService, FormsError> {
        if !read.request.contains(super::answer::UUID_MARK) {
            return Err(self.fail("the status request has no place for the UUID".to_owned()));
        }
        Ok(StatusService {
            model_id: self.model_id(read.model_id)?,
            request: read.request,
            root: self.name(&read.root)?,
            uuid: self.path(&read.uuid)?,
            known: self.path(&read.known)?,
            answer: self.path(&read.answer)?,
        })
    }
}
