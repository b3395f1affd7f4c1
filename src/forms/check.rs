//! The check of a document: structure, root, schema, then what a schema cannot
//! say. Every fault is told, not only the first.

mod rules;

use super::finding::{Code, Finding, Rejected, Severity};
use super::show::{self, Shown};
use super::{Operation, Pack};
use crate::base::{Uuid4, limits};
use crate::xml::gate::GateFault;
use crate::xml::path::{Path, Selected, Slot, text_of};
use crate::xml::xsd::{Fault, XsdError, cut_value};
use crate::xml::{Position, Positions, XmlError, name_of, parse, position, without_mark, xpath_of};
use base64::Engine;
use roxmltree::{Document, Node};
pub(super) use rules::lenient;
use std::fmt;
use std::str::FromStr;

/// The insurer's number of a provider: eight digits, the first not 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CodePrestataire(String);

/// Why a text is no code prestataire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a number of eight digits from 10000000 to 99999999")]
pub struct CodePrestataireError;

impl FromStr for CodePrestataire {
    type Err = CodePrestataireError;

    fn from_str(text: &str) -> Result<Self, CodePrestataireError> {
        let digits = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || text.starts_with('0') {
            return Err(CodePrestataireError);
        }
        Ok(Self(text.to_owned()))
    }
}

impl CodePrestataire {
    /// The eight digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CodePrestataire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the program needs to know of a document. Patient data: never logged,
/// and `Debug` shows the identifier alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Facts {
    /// Identifier of the document and idempotency key.
    pub uuid: Uuid4,
    /// Who bills.
    pub code_prestataire: CodePrestataire,
    /// Who did what is billed, each once.
    pub executants: Vec<CodePrestataire>,
    /// The patient's national number, if the form has it.
    pub matricule: Option<String>,
    /// Earlier documents it names.
    pub references: Vec<Referred>,
    /// What the pack shows of it.
    pub shown: Vec<Shown>,
}

/// An earlier document that a document names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referred {
    /// Which rule, as an index into [`Operation::refers`].
    pub rule: usize,
    /// The name given.
    pub value: String,
    /// The element that gives it.
    pub xpath: String,
    /// Where it begins.
    pub position: Position,
}

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Facts({})", self.uuid)
    }
}

/// A document that passed the check. `Debug` shows nothing of its contents.
#[derive(Clone)]
pub struct Checked {
    /// What it says.
    pub facts: Facts,
    /// What a human should look at.
    pub warnings: Vec<Finding>,
    /// The PDF inside, when the document carries one.
    pub embedded_pdf: Option<Vec<u8>>,
    /// The document as it was given, without a byte order mark.
    pub xml: Vec<u8>,
}

impl fmt::Debug for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let warnings: Vec<Code> = self.warnings.iter().map(|warning| warning.code).collect();
        f.debug_struct("Checked")
            .field("facts", &self.facts)
            .field("warnings", &warnings)
            .finish_non_exhaustive()
    }
}

/// Most findings told for one document.
const FINDINGS_MAX: usize = 100;
/// The namespace of XML signatures, XMLDSIG core §1.3.
const SIGNATURE_NAMESPACE: &str = "http://www.w3.org/2000/09/xmldsig#";

/// What a document without faults gives.
struct Judged {
    facts: Facts,
    warnings: Vec<Finding>,
    embedded_pdf: Option<Vec<u8>>,
}

/// How far a document must have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// From the practice: unsigned, the PDF may still be apart.
    Incoming,
    /// With its PDF put in by us; about to be signed.
    Assembled,
    /// With its PDF inside; signed or about to be.
    Complete,
}

impl Pack {
    /// Checks a document from the practice: not yet signed, its PDF inside or
    /// apart.
    pub fn check(&self, operation: &str, xml: &[u8]) -> Result<Checked, Rejected> {
        self.examine(operation, xml, Stage::Incoming)
    }

    /// Checks a document with its PDF inside, signed or not. A signature is
    /// not verified here.
    pub fn check_complete(&self, operation: &str, xml: &[u8]) -> Result<Checked, Rejected> {
        self.examine(operation, xml, Stage::Complete)
    }

    /// Checks an assembled document that has been parsed.
    pub(super) fn check_assembled(
        &self,
        name: &str,
        xml: &[u8],
        document: &Document<'_>,
    ) -> Result<(), Rejected> {
        self.judge(name, (xml, document), Stage::Assembled)?;
        Ok(())
    }

    fn examine(&self, name: &str, xml: &[u8], stage: Stage) -> Result<Checked, Rejected> {
        let xml = without_mark(xml);
        let document = parse(xml).map_err(|error| Rejected::unreadable(&error))?;
        let judged = self.judge(name, (xml, &document), stage)?;
        Ok(Checked {
            facts: judged.facts,
            warnings: judged.warnings,
            embedded_pdf: judged.embedded_pdf,
            xml: xml.to_vec(),
        })
    }

    /// Facts, warnings and the PDF inside, or all faults.
    fn judge(
        &self,
        name: &str,
        (xml, document): (&[u8], &Document<'_>),
        stage: Stage,
    ) -> Result<Judged, Rejected> {
        let Some(operation) = self.operations.get(name) else {
            let message = format!(
                "The form {} has no operation \"{}\".",
                self.form,
                cut_value(name)
            );
            return Err(alone(Code::FormOperation, message));
        };
        let root = document.root_element();
        let mut findings = Findings::new();
        if !operation.root.matches(root) {
            findings.error(Code::FormRoot, root, wrong_root(operation, root));
            return Err(findings.rejected(xml));
        }
        match self.schema.validate(xml) {
            Ok(mut faults) => {
                if stage != Stage::Complete {
                    // A schema may demand the signature that is still to come.
                    let awaits = open_slot(operation, document);
                    faults
                        .retain(|fault| !fault.incomplete || Some(&fault.xpath) != awaits.as_ref());
                }
                findings.schema(operation, document, faults);
            }
            Err(XsdError::Document(error)) => return Err(Rejected::unreadable(&error)),
            Err(XsdError::Compile { reason, .. } | XsdError::Unfinished(reason)) => {
                let message = format!("The document could not be validated: {reason}.");
                findings.error(Code::FormUnvalidated, root, message);
            }
        }
        if stage != Stage::Complete {
            unsigned(operation, document, &mut findings);
        }
        let facts = facts(operation, (xml, root), &mut findings);
        rules::check(&operation.checks, root, &mut findings);
        let embedded_pdf = match stage {
            Stage::Incoming | Stage::Complete => embedded(operation, root, stage, &mut findings),
            Stage::Assembled => None,
        };
        match facts {
            Some(facts) if findings.none_is_error() => Ok(Judged {
                facts,
                warnings: findings.located(xml),
                embedded_pdf,
            }),
            _ => Err(findings.rejected(xml)),
        }
    }
}

/// The findings of one document, each with the offset of its element.
pub(super) struct Findings {
    found: Vec<(usize, Finding)>,
}

impl Findings {
    fn new() -> Self {
        Self { found: Vec::new() }
    }

    fn error(&mut self, code: Code, node: Node<'_, '_>, message: String) {
        self.push(code, Severity::Error, node, message);
    }

    fn push(&mut self, code: Code, severity: Severity, node: Node<'_, '_>, message: String) {
        self.add(node, severity, |xpath| Finding {
            code,
            severity,
            constraint: None,
            xpath: Some(xpath),
            position: None,
            message,
            expected: Vec::new(),
            text: None,
        });
    }

    /// Takes a finding up to a limit for each severity: warnings must not hide an
    /// error.
    fn add(
        &mut self,
        node: Node<'_, '_>,
        severity: Severity,
        finding: impl FnOnce(String) -> Finding,
    ) {
        let like = |(_, known): &&(usize, Finding)| known.severity == severity;
        if self.found.iter().filter(like).count() < FINDINGS_MAX {
            let finding = finding(xpath_of(node));
            self.found.push((node.range().start, finding));
        }
    }

    /// Takes over the faults of the schema. A fault of an identifier gets the
    /// identifier's own code, because it has a clearer text.
    fn schema(&mut self, operation: &Operation, document: &Document<'_>, faults: Vec<Fault>) {
        let of = |path: &Path| {
            path.first(document.root())
                .map(|found| xpath_of(found.node))
        };
        let uuid = of(&operation.facts.uuid);
        let code_prestataire = of(&operation.facts.code_prestataire);
        for fault in faults {
            let at = Some(&fault.xpath);
            let code = if at == uuid.as_ref() {
                Code::FormUuidNotV4
            } else if at == code_prestataire.as_ref() {
                Code::FormCodePrestataire
            } else {
                Code::FormSchema
            };
            let finding = Finding {
                code,
                severity: Severity::Error,
                constraint: Some(fault.constraint),
                xpath: Some(fault.xpath),
                position: None,
                message: fault.message,
                expected: fault.expected,
                text: None,
            };
            self.found.push((fault.offset, finding));
        }
    }

    /// Whether something is wrong with this very element already.
    fn knows(&self, node: Node<'_, '_>) -> bool {
        let start = node.range().start;
        self.found.iter().any(|(offset, _)| *offset == start)
    }

    /// Whether the schema refuses this very element: its value is then not
    /// looked at again.
    fn schema_refuses(&self, node: Node<'_, '_>) -> bool {
        let start = node.range().start;
        let refused =
            |(offset, finding): &(usize, Finding)| *offset == start && finding.constraint.is_some();
        self.found.iter().any(refused)
    }

    fn none_is_error(&self) -> bool {
        let is_error = |finding: &Finding| finding.severity == Severity::Error;
        !self.found.iter().any(|(_, finding)| is_error(finding))
    }

    /// The findings in document order, with their lines and columns.
    fn located(mut self, xml: &[u8]) -> Vec<Finding> {
        self.found
            .sort_by_key(|(offset, finding)| (finding.severity != Severity::Error, *offset));
        self.found.truncate(FINDINGS_MAX);
        self.found.sort_by_key(|(offset, _)| *offset);
        let mut positions = Positions::new(xml);
        let located = self.found.into_iter().map(|(offset, finding)| Finding {
            position: Some(positions.at(offset)),
            ..finding
        });
        located.collect()
    }

    fn rejected(self, xml: &[u8]) -> Rejected {
        Rejected {
            findings: self.located(xml),
        }
    }
}

/// A refusal with one finding that is about no element.
fn alone(code: Code, message: String) -> Rejected {
    let finding = Finding {
        code,
        severity: Severity::Error,
        constraint: None,
        xpath: None,
        position: None,
        message,
        expected: Vec::new(),
        text: None,
    };
    Rejected {
        findings: vec![finding],
    }
}

impl Rejected {
    /// The refusal of bytes that are no XML document we take.
    pub fn unreadable(error: &XmlError) -> Self {
        let code = match error {
            XmlError::Malformed { .. } => Code::XmlMalformed,
            XmlError::Gate(gate) => match &gate.kind {
                GateFault::Encoding(_) => Code::XmlEncoding,
                GateFault::Version(_) | GateFault::Malformed(_) => Code::XmlMalformed,
                GateFault::Doctype => Code::XmlDoctype,
                GateFault::ProcessingInstruction(_) => Code::XmlProcessingInstruction,
                GateFault::Limit { .. } => Code::XmlLimit,
            },
        };
        let text = error.to_string();
        let mut letters = text.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        let message = format!("{}{}.", first.unwrap_or_default(), letters.as_str());
        let mut rejected = alone(code, message);
        for finding in &mut rejected.findings {
            finding.position = Some(error.position());
        }
        rejected
    }
}

fn wrong_root(operation: &Operation, root: Node<'_, '_>) -> String {
    let tag = root.tag_name();
    format!(
        "The root element is {} in the namespace \"{}\"; expected is {} in the namespace \"{}\".",
        cut_value(tag.name()),
        cut_value(tag.namespace().unwrap_or_default()),
        operation.root.local,
        operation.root.namespace.as_deref().unwrap_or_default(),
    )
}

fn unsigned(operation: &Operation, document: &Document<'_>, findings: &mut Findings) {
    let is_signature = |node: &Node| {
        let tag = node.tag_name();
        node.is_element()
            && tag.name() == "Signature"
            && tag.namespace() == Some(SIGNATURE_NAMESPACE)
    };
    if let Some(signature) = document.descendants().find(is_signature) {
        let message = format!(
            "The document carries the signature {} already; it must come unsigned.",
            name_of(signature)
        );
        findings.error(Code::FormSignaturePresent, signature, message);
        return;
    }
    let Some(Slot::Wrapper(path)) = operation.signature.as_ref().map(|place| &place.slot) else {
        return;
    };
    let taken = path
        .select(document.root())
        .into_iter()
        .find(|slot| slot.first_element_child().is_some());
    if let Some(slot) = taken {
        let message = format!(
            "The element {} is the place for the signature and must be empty.",
            name_of(slot)
        );
        findings.error(Code::FormSignaturePresent, slot, message);
    }
}

/// The wrapper that is there for the signature and has none yet.
fn open_slot(operation: &Operation, document: &Document<'_>) -> Option<String> {
    let Slot::Wrapper(path) = &operation.signature.as_ref()?.slot else {
        return None;
    };
    let slot = path.select(document.root()).into_iter().next()?;
    (!slot.has_children()).then(|| xpath_of(slot))
}

fn facts(
    operation: &Operation,
    (xml, root): (&[u8], Node<'_, '_>),
    findings: &mut Findings,
) -> Option<Facts> {
    let paths = &operation.facts;
    let uuid = fact(&paths.uuid, "UUID", Code::FormUuidNotV4, root, findings);
    let code = Code::FormCodePrestataire;
    let provider = fact(
        &paths.code_prestataire,
        "code prestataire",
        code,
        root,
        findings,
    );
    let mut executants: Vec<CodePrestataire> = Vec::new();
    let found = paths.executant.iter().flat_map(|path| path.values(root));
    for executant in found {
        if let Some(code) = parsed(executant, "code prestataire", code, findings)
            && !executants.contains(&code)
        {
            executants.push(code);
        }
    }
    let matricule = paths.matricule.as_ref().and_then(|path| path.first(root));
    let matricule = matricule.map(|found| rules::matricule(found, findings));
    let shown = show::shown(&operation.show, root, &mut |kind, found| {
        rules::canonical(kind, found, findings)
    });
    Some(Facts {
        uuid: uuid?,
        code_prestataire: provider?,
        executants,
        matricule,
        references: referred(operation, (xml, root)),
        shown,
    })
}

/// The earlier documents a document names.
fn referred(operation: &Operation, (xml, root): (&[u8], Node<'_, '_>)) -> Vec<Referred> {
    let mut out = Vec::new();
    for (rule, reference) in operation.refers.iter().enumerate() {
        for found in reference.path.values(root) {
            let value = found.text();
            if !value.is_empty() {
                out.push(Referred {
                    rule,
                    value,
                    xpath: xpath_of(found.node),
                    position: position(xml, found.node.range().start),
                });
            }
        }
    }
    out
}

/// Reads a fact the program cannot do without.
fn fact<T: FromStr<Err: fmt::Display>>(
    path: &Path,
    what: &str,
    code: Code,
    root: Node<'_, '_>,
    findings: &mut Findings,
) -> Option<T> {
    let Some(found) = path.first(root) else {
        // A schema that demands it has said so already, at its own place.
        if findings.none_is_error() {
            let message = format!("The document has no {what}.");
            findings.error(Code::FormFact, root, message);
        }
        return None;
    };
    parsed(found, what, code, findings)
}

/// Reads a fact; what cannot be read is told once.
fn parsed<T: FromStr<Err: fmt::Display>>(
    found: Selected<'_, '_>,
    what: &str,
    code: Code,
    findings: &mut Findings,
) -> Option<T> {
    let value = found.text();
    match value.parse() {
        Ok(fact) => Some(fact),
        Err(error) => {
            if !findings.knows(found.node) {
                let element = name_of(found.node);
                let shown = cut_value(&value);
                let message = format!("The {what} \"{shown}\" in {element} {error}.");
                findings.error(code, found.node, message);
            }
            None
        }
    }
}

/// The embedded PDF, decoded. Whether it is one worth signing is for the PDF
/// check; here only what is plainly none is refused.
fn embedded(
    operation: &Operation,
    root: Node<'_, '_>,
    stage: Stage,
    findings: &mut Findings,
) -> Option<Vec<u8>> {
    let place = operation.document.as_ref()?;
    let element = place.path.select(root).into_iter().next();
    let text = element.map(text_of).filter(|text| !text.is_empty());
    let (Some(element), Some(text)) = (element, text) else {
        if stage == Stage::Complete && place.required {
            let message = "The document carries no embedded PDF.".to_owned();
            findings.error(Code::FormDocumentMissing, element.unwrap_or(root), message);
        }
        return None;
    };
    if findings.knows(element) {
        return None;
    }
    let solid: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let name = name_of(element);
    let refusal = match base64::engine::general_purpose::STANDARD.decode(solid) {
        Err(_) => format!("The content of {name} is not base64."),
        Ok(pdf) if pdf.len() > limits::PDF_BYTES_MAX => format!(
            "The PDF in {name} has {} bytes, more than the limit of {}.",
            pdf.len(),
            limits::PDF_BYTES_MAX
        ),
        Ok(pdf) if !pdf.starts_with(b"%PDF-") => {
            format!("The content of {name} is not a PDF: it does not begin with %PDF-.")
        }
        Ok(pdf) => return Some(pdf),
    };
    findings.error(Code::FormDocumentNotPdf, element, refusal);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_hide_no_error() {
        let document = Document::parse("<a/>").unwrap();
        let root = document.root_element();
        let mut findings = Findings::new();
        for _ in 0..2 * FINDINGS_MAX {
            findings.push(Code::FormDate, Severity::Warning, root, String::new());
        }
        findings.error(Code::FormSum, root, String::new());
        assert!(!findings.none_is_error());
        let told = findings.located(b"<a/>");
        assert_eq!(told.len(), FINDINGS_MAX);
        assert!(told.iter().any(|finding| finding.code == Code::FormSum));
    }
}
