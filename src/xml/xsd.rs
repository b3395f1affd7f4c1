//! XSD 1.0 validation behind one function, so that the validator can be
//! exchanged. The validator reports W3C constraint codes and positional paths;
//! this module adds the line, the column, the XPath with the document's own
//! prefixes, one plain sentence and what would have been allowed.

mod overlooked;
mod size;
mod wording;

use super::path::text_of;
use super::{XmlError, name_of, parse, position, without_mark, xpath_of};
use crate::base::limits;
use base64::Engine;
use overlooked::{Overlooked, Watch};
use roxmltree::{Document, Node};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use xsd_schema::ids::TypeKey;
use xsd_schema::parser::resolver::SchemaLoader;
use xsd_schema::validation::{
    AttributeView, DriveWithError, ElementStartView, EndElementInfo, PathStep, SchemaValidator,
    SchemaValidity, TextKind, ValidationError, ValidationEventHandler, ValidationFlags,
    ValidationSink, ValidationWarning, drive_quick_xml_with,
};
use xsd_schema::xml::ParseLimits;
use xsd_schema::{SchemaSet, SchemaSetBuilder};

/// Most faults reported for one document: a reader mends a few at a time.
pub const FAULTS_MAX: usize = 100;
/// Most faults of structure for which the allowed elements are told: each
/// costs a further run.
const EXPECTED_TOLD_MAX: usize = 5;
/// Compiled sets kept for the next document, one for each thread that
/// validated at the same time.
const SETS_KEPT_MAX: usize = 4;
/// The validator keeps every name it ever met; a set that met more than this
/// many bytes of them is thrown away.
const NAMES_BYTES_MAX: usize = 4 << 20;

/// Why a schema could not be used.
#[derive(Debug, thiserror::Error)]
pub enum XsdError {
    /// A schema file is not a valid schema, or names a file that is not there.
    #[error("the schema {entry} could not be compiled: {reason}")]
    Compile {
        /// The entry schema.
        entry: String,
        /// What the compiler found.
        reason: String,
    },
    /// The document is not well-formed.
    #[error("the document could not be read for validation")]
    Document(#[from] XmlError),
    /// The validator stopped before a verdict.
    #[error("the validation was not finished: {0}")]
    Unfinished(String),
}

/// One violation of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The violated constraint as W3C names it, such as `cvc-pattern-valid`
    /// (XML Schema Part 1 appendix B, Part 2 §4).
    pub constraint: String,
    /// Byte offset of the element at fault, a byte order mark not counted;
    /// [`super::Positions`] turns it into line and column.
    pub offset: usize,
    /// The element or attribute at fault.
    pub xpath: String,
    /// One sentence for a developer, naming the element and the value (cut at
    /// [`VALUE_CHARACTERS_MAX`]).
    pub message: String,
    /// What would have been allowed there: elements for faults of structure,
    /// values for an enumeration. Empty when that is not known or endless.
    pub expected: Vec<String>,
    /// Whether the element ends before all it must contain has come.
    pub incomplete: bool,
}

pub use wording::{VALUE_CHARACTERS_MAX, cut_value};

/// A compiled schema. The compiled form may be used by one thread at a time,
/// so a few are kept and lent out.
pub struct Schema {
    source: Source,
    sets: Mutex<Vec<SchemaSet>>,
}

struct Source {
    files: Arc<BTreeMap<String, String>>,
    entry: String,
}

impl Schema {
    /// Compiles `entry` and the files it includes or imports; every file must
    /// be among `files`, nothing is read from disk or network.
    pub fn compile(files: &[(String, Vec<u8>)], entry: &str) -> Result<Self, XsdError> {
        let mut texts = BTreeMap::new();
        for (name, bytes) in files {
            let text = str::from_utf8(without_mark(bytes)).map_err(|_| XsdError::Compile {
                entry: entry.to_owned(),
                reason: format!("{name} is not encoded in UTF-8"),
            })?;
            texts.insert(name.clone(), text.to_owned());
        }
        size::check(texts.values()).map_err(|reason| XsdError::Compile {
            entry: entry.to_owned(),
            reason,
        })?;
        let source = Source {
            files: Arc::new(texts),
            entry: entry.to_owned(),
        };
        let first = source.compile()?;
        Ok(Self {
            source,
            sets: Mutex::new(vec![first]),
        })
    }

    /// All violations in a document, in document order, at most
    /// [`FAULTS_MAX`]. Of several faults of structure inside one element only
    /// the first is told, because the others follow from it.
    pub fn validate(&self, bytes: &[u8]) -> Result<Vec<Fault>, XsdError> {
        let lent = self
            .sets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let set = match lent {
            Some(set) => set,
            None => self.source.compile()?,
        };
        let result = validate(&set, bytes);
        if set.name_table.heap_bytes() <= NAMES_BYTES_MAX {
            let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
            if sets.len() < SETS_KEPT_MAX {
                sets.push(set);
            }
        }
        result
    }

    /// Memory the kept sets hold for names, in bytes.
    #[cfg(test)]
    pub(super) fn names_kept_bytes(&self) -> usize {
        let sets = self.sets.lock().unwrap();
        sets.iter().map(|set| set.name_table.heap_bytes()).sum()
    }
}

impl Source {
    fn compile(&self) -> Result<SchemaSet, XsdError> {
        let fail = |reason: String| XsdError::Compile {
            entry: self.entry.clone(),
            reason,
        };
        let loader = Files(Arc::clone(&self.files));
        let compiled = SchemaSetBuilder::with_loader(Box::new(loader))
            .add("", &format!("{SCHEME}{}", self.entry))
            .and_then(SchemaSetBuilder::compile)
            .map_err(|error| fail(error.to_string()))?;
        // A file that is not there is no error to the compiler by itself.
        if let Some(failure) = compiled.directive_failures().first() {
            return Err(fail(format!("{failure:?}")));
        }
        Ok(compiled.into_schema_set())
    }
}

/// Gives every file an absolute address, so that nothing is ever looked for
/// relative to the working directory.
const SCHEME: &str = "pack:///";

#[derive(Debug)]
struct Files(Arc<BTreeMap<String, String>>);

impl SchemaLoader for Files {
    fn load(&self, location: &str) -> xsd_schema::SchemaResult<String> {
        let name = location.strip_prefix(SCHEME).unwrap_or(location);
        self.0.get(name).cloned().ok_or_else(|| {
            xsd_schema::SchemaError::resolution(format!("{name} is not among the schema files"))
        })
    }

    fn can_load(&self, _location: &str) -> bool {
        true
    }
}

/// What the validator reported, with the place it had reached.
struct Raw {
    error: ValidationError,
    /// Offset of the last start tag.
    start: usize,
    /// Whether that tag was being matched against its parent's content.
    opening: bool,
    /// The type of that element.
    kind: Option<TypeKey>,
}

/// The place the reader has reached, shared by the event hooks and the sink.
#[derive(Default)]
struct Reached {
    start: Cell<usize>,
    opening: Cell<bool>,
    kind: Cell<Option<TypeKey>>,
    watch: Watch,
}

struct Sink<'r> {
    reached: &'r Reached,
    raw: Vec<Raw>,
    /// Refusals of base64 in lines that were overruled.
    overruled: usize,
}

impl ValidationSink for &mut Sink<'_> {
    fn on_error(&mut self, error: ValidationError) {
        if is_wrapped_base64(&error) {
            self.overruled += 1;
            return;
        }
        // Cascades are dropped later, hence the reserve.
        if self.raw.len() < 4 * FAULTS_MAX {
            self.raw.push(Raw {
                error,
                start: self.reached.start.get(),
                opening: self.reached.opening.get(),
                kind: self.reached.kind.get(),
            });
        }
    }

    fn on_warning(&mut self, _warning: ValidationWarning) {}
}

/// `xs:base64Binary` allows a blank between any two characters, so that
/// encoders may break lines (XML Schema Part 2 §3.2.16); the validator refuses
/// blanks inside. Its refusal stands only if the value is wrong without them.
fn is_wrapped_base64(error: &ValidationError) -> bool {
    let value = error
        .message
        .strip_prefix("Invalid base64Binary value '")
        .and_then(|rest| rest.rsplit_once("': "));
    value.is_some_and(|(value, _)| {
        let solid: String = value.split_ascii_whitespace().collect();
        base64::engine::general_purpose::STANDARD
            .decode(solid)
            .is_ok()
    })
}

struct Hooks<'r>(&'r Reached);

impl ValidationEventHandler for Hooks<'_> {
    type Error = std::convert::Infallible;

    fn on_element_start_offset(&mut self, offset: usize) -> Result<(), Self::Error> {
        self.0.start.set(offset);
        self.0.opening.set(true);
        self.0.kind.set(None);
        Ok(())
    }

    fn after_element(
        &mut self,
        _view: ElementStartView<'_>,
        info: &xsd_schema::validation::SchemaInfo,
    ) -> Result<(), Self::Error> {
        self.0.opening.set(false);
        self.0.kind.set(info.schema_type);
        self.0.watch.opened(self.0.start.get(), info);
        Ok(())
    }

    fn before_attribute(&mut self, attribute: AttributeView<'_>) -> Result<(), Self::Error> {
        self.0.watch.attribute(&attribute);
        Ok(())
    }

    fn on_text(&mut self, kind: TextKind, text: &str) -> Result<(), Self::Error> {
        if matches!(kind, TextKind::Whitespace) {
            self.0.watch.blank(text);
        }
        Ok(())
    }

    fn after_end_element(
        &mut self,
        _info: &EndElementInfo,
        _depth: usize,
    ) -> Result<(), Self::Error> {
        self.0.watch.closed();
        Ok(())
    }
}

fn parse_limits() -> ParseLimits {
    ParseLimits::none()
        .with_max_depth(limits::XML_DEPTH_MAX)
        .with_max_name_bytes(limits::XML_NAME_BYTES_MAX)
        .with_max_attributes(limits::XML_ATTRIBUTES_MAX)
}

fn validate(set: &SchemaSet, bytes: &[u8]) -> Result<Vec<Fault>, XsdError> {
    let bytes = without_mark(bytes);
    let flags = ValidationFlags::default() - ValidationFlags::BUILD_PSVI_TYPED_VALUES;
    let validator = SchemaValidator::new(set, flags);
    let reached = Reached::default();
    let mut sink = Sink {
        reached: &reached,
        raw: Vec::new(),
        overruled: 0,
    };
    let mut run = validator.start_run(&mut sink);
    run.set_parse_limits(parse_limits());
    let driven = drive_quick_xml_with(bytes, &mut run, set, &mut Hooks(&reached));
    let outcome = match driven {
        Ok(outcome) => outcome,
        Err(DriveWithError::NotWellFormed(error)) => {
            // The tree parser says it better, unless it is too lenient.
            parse(bytes)?;
            let offset = usize::try_from(error.position()).unwrap_or(usize::MAX);
            return Err(XsdError::Document(XmlError::Malformed {
                reason: error.message().to_owned(),
                position: position(bytes, offset),
            }));
        }
        Err(error) => return Err(XsdError::Unfinished(error.to_string())),
    };
    let ended = run.end_validation();
    drop(run);
    let (raw, overruled) = (sink.raw, sink.overruled);
    let overlooked = reached.watch.into_seen();
    if raw.is_empty() && overlooked.is_empty() {
        ended.map_err(|error| XsdError::Unfinished(error.to_string()))?;
        return match outcome.root_validity {
            Some(SchemaValidity::Valid) => Ok(Vec::new()),
            Some(SchemaValidity::Invalid) if overruled > 0 => Ok(Vec::new()),
            // Never take "no error reported" for "valid".
            _ => Err(XsdError::Unfinished("the root has no verdict".to_owned())),
        };
    }
    let document = parse(bytes)?;
    Ok(Report::new(set, bytes, &document).faults(&raw, &overlooked))
}

/// Turns what the validator reported into faults.
struct Report<'a> {
    set: &'a SchemaSet,
    bytes: &'a [u8],
    document: &'a Document<'a>,
    expected_told: usize,
}

impl<'a> Report<'a> {
    fn new(set: &'a SchemaSet, bytes: &'a [u8], document: &'a Document<'a>) -> Self {
        Self {
            set,
            bytes,
            document,
            expected_told: 0,
        }
    }

    fn faults(mut self, raw: &[Raw], overlooked: &[Overlooked]) -> Vec<Fault> {
        let starts = self.starts(raw, overlooked);
        let mut structure_told = Vec::new();
        let mut located = Vec::new();
        for raw in raw {
            let (subject, attribute) = self.subject(&raw.error);
            if raw.error.constraint != STRUCTURE {
                // What stands in the wrong place is unknown in that place.
                let follows = [UNDECLARED, FIELD_CONTENT].contains(&raw.error.constraint)
                    && subject
                        .ancestors()
                        .skip(1)
                        .any(|node| structure_told.contains(&node));
                if follows {
                    continue;
                }
                located.push((subject, attribute, raw, false));
                continue;
            }
            if structure_told.contains(&subject) {
                continue;
            }
            structure_told.push(subject);
            let child = raw.opening.then(|| starts.get(&raw.start)).flatten();
            located.push((
                child.copied().unwrap_or(subject),
                None,
                raw,
                child.is_some(),
            ));
        }
        located.sort_by_key(|(node, ..)| node.range().start);
        let seen = overlooked
            .iter()
            .filter_map(|seen| Some(seen.fault(*starts.get(&seen.start)?)));
        let mut faults: Vec<Fault> = seen.collect();
        for (node, attribute, raw, unexpected) in located {
            let fault = self.fault(node, attribute.as_deref(), raw, unexpected);
            let told = |other: &Fault| other.xpath == fault.xpath && other.message == fault.message;
            if !faults.iter().any(told) {
                faults.push(fault);
            }
            if faults.len() >= FAULTS_MAX {
                break;
            }
        }
        faults.sort_by_key(|fault| fault.offset);
        faults
    }

    /// The elements at the offsets the reports name.
    fn starts(&self, raw: &[Raw], overlooked: &[Overlooked]) -> BTreeMap<usize, Node<'a, 'a>> {
        let overlooked = overlooked.iter().map(|seen| seen.start);
        let wanted: BTreeSet<usize> = raw.iter().map(|raw| raw.start).chain(overlooked).collect();
        let elements = self.document.descendants().filter(Node::is_element);
        elements
            .map(|node| (node.range().start, node))
            .filter(|(start, _)| wanted.contains(start))
            .collect()
    }

    /// Follows the validator's positional path; what it does not find (a
    /// report about the document as a whole) is told about the root.
    fn subject(&self, error: &ValidationError) -> (Node<'a, 'a>, Option<String>) {
        let root = self.document.root_element();
        let Some(path) = error.instance_path() else {
            return (root, None);
        };
        let mut node = self.document.root();
        for step in path.steps() {
            let name = step.name();
            match step {
                PathStep::Attribute { .. } => return (node, Some(name.local_name().to_owned())),
                PathStep::Element { position, .. } => {
                    let same = node.children().filter(|child| {
                        let tag = child.tag_name();
                        child.is_element()
                            && tag.name() == name.local_name()
                            && tag.namespace().unwrap_or_default() == name.namespace_uri()
                    });
                    match same.into_iter().nth(position.saturating_sub(1)) {
                        Some(child) => node = child,
                        None => return (root, None),
                    }
                }
                _ => return (root, None),
            }
        }
        (if node.is_element() { node } else { root }, None)
    }

    fn fault(
        &mut self,
        node: Node<'a, 'a>,
        attribute: Option<&str>,
        raw: &Raw,
        unexpected: bool,
    ) -> Fault {
        let expected = if raw.error.constraint == ENUMERATION && raw.start == node.range().start {
            Some(enumeration(self.set, raw.kind))
        } else if raw.error.constraint != STRUCTURE {
            None
        } else if unexpected {
            self.expected(node.range().start, node)
        } else {
            self.expected(end_tag(self.bytes, node), node)
        };
        let (xpath, value) = match attribute {
            None => (xpath_of(node), text_of(node)),
            Some(name) => {
                let found = node.attributes().find(|a| a.name() == name);
                let value = found.map(|a| a.value().to_owned()).unwrap_or_default();
                (format!("{}/@{name}", xpath_of(node)), value)
            }
        };
        let subject = wording::Subject {
            element: name_of(node),
            attribute,
            value: &value,
            namespace: node.tag_name().namespace(),
            parent: node.parent_element().map(name_of),
            unexpected,
        };
        Fault {
            constraint: raw.error.constraint.to_owned(),
            offset: node.range().start,
            xpath,
            message: wording::sentence(
                &subject,
                raw.error.constraint,
                &raw.error.message,
                expected.as_deref(),
            ),
            expected: expected.unwrap_or_default(),
            incomplete: raw.error.constraint == STRUCTURE && !unexpected,
        }
    }

    /// The elements allowed at an offset, asked of a second run that is fed
    /// the document up to there: the hooks of a run cannot ask the run itself.
    fn expected(&mut self, offset: usize, scope: Node<'_, '_>) -> Option<Vec<String>> {
        self.expected_told += 1;
        let before = self.bytes.get(..offset).unwrap_or_default();
        if self.expected_told > EXPECTED_TOLD_MAX {
            return None;
        }
        let flags = ValidationFlags::default() - ValidationFlags::BUILD_PSVI_TYPED_VALUES;
        let validator = SchemaValidator::new(self.set, flags);
        let reached = Reached::default();
        let mut sink = Sink {
            reached: &reached,
            raw: Vec::new(),
            overruled: 0,
        };
        let mut run = validator.start_run(&mut sink);
        run.set_parse_limits(parse_limits());
        // It ends in the middle of the document, so an error is what we want.
        let _ = drive_quick_xml_with(before, &mut run, self.set, &mut Hooks(&reached));
        let mut names: Vec<String> = Vec::new();
        for element in run.get_expected_elements() {
            let table = &self.set.name_table;
            let namespace = element.namespace.map(|id| table.resolve(id).to_string());
            let prefix = namespace.and_then(|uri| scope.lookup_prefix(&uri).map(str::to_owned));
            let local = table.resolve(element.local_name);
            let name = match prefix {
                Some(prefix) => format!("{prefix}:{local}"),
                None => local.to_string(),
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Some(names)
    }
}

/// The constraint on which child elements stand where.
const STRUCTURE: &str = "cvc-complex-type.2.4";

/// An element nothing declares.
const UNDECLARED: &str = "cvc-elt.1";
/// A field of an identity constraint selects what has no simple type; so has
/// what is unknown.
const FIELD_CONTENT: &str = "cvc-identity-constraint.4";
/// A value that is not among those listed.
const ENUMERATION: &str = "cvc-enumeration-valid";

/// The values an enumerated type allows, sorted; it may have inherited them.
fn enumeration(set: &SchemaSet, kind: Option<TypeKey>) -> Vec<String> {
    let mut next = kind.and_then(|kind| kind.as_simple());
    // The chain of base types ends at xs:anySimpleType; schemas are compiled,
    // so it has no loop.
    while let Some(data) = next.and_then(|key| set.arenas.simple_types.get(key)) {
        if let Some(facet) = &data.facets.enumeration {
            let mut values: Vec<String> = facet.values.iter().cloned().collect();
            values.sort();
            return values;
        }
        next = data.resolved_base_type.and_then(|base| base.as_simple());
    }
    Vec::new()
}

/// Offset of the end tag of an element, or of the end of an empty-element tag.
fn end_tag(bytes: &[u8], node: Node<'_, '_>) -> usize {
    let range = node.range();
    let source = bytes.get(range.clone()).unwrap_or_default();
    let in_element = source.windows(2).rposition(|pair| pair == b"</");
    range.start + in_element.unwrap_or(source.len())
}
