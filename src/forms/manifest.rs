//! Reads `pack.toml` whole: every fault is told with its key, and no key is
//! passed over.

mod answer;
mod checks;

use super::environment::{EnvironmentKind, kept_from_production};
use super::pack::{
    CopyRule, DocumentPlace, Exchange, FactPaths, Models, Operation, Pack, QrPlace, Reference,
    RefersBy, SignaturePlace, StatusService, Title, Unknown,
};
use super::period::Period;
use super::show::{Show, ShowKind, ShowWhat};
use crate::base::digest;
use crate::base::settings::{Fault, Faults, Section};
use crate::x509::Level;
use crate::xml::path::{Name, Namespaces, Path, Slot};
use crate::xml::xsd::Schema;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use toml::Table;

/// The format of `pack.toml` this program reads.
const FORMAT: u64 = 1;
/// Longest fault told, in characters.
const FAULT_CHARACTERS_MAX: usize = 400;
/// Where the UUID goes in a status request.
pub(super) const UUID_MARK: &str = "{uuid}";
/// Longest side and farthest place of a QR code: the height of an A4 page.
const PAGE_MM_MAX: f64 = 297.0;
/// What stands in braces in a QR code's text beside the names of `show`.
const QR_WORDS: [&str; 4] = ["uuid", "insurer_id", "form", "operation"];

/// Gives the bytes of a file of the pack by its name, or why not.
pub(super) type Files<'f> = dyn Fn(&str) -> Result<Vec<u8>, String> + 'f;

/// Coded lists by name.
pub(super) type Lists = BTreeMap<String, Arc<BTreeSet<String>>>;

/// Reads and compiles a pack.
///
/// # Errors
/// Every fault as `key: reason`.
pub(super) fn compile(manifest: &[u8], file: &Files<'_>) -> Result<Pack, Vec<String>> {
    let faults = Faults::default();
    let digests = RefCell::new(digest::sha256(manifest).to_vec());
    let digested = |name: &str| {
        let bytes = file(name)?;
        digests.borrow_mut().extend(digest::sha256(&bytes));
        Ok(bytes)
    };
    let pack = read(manifest, &digested, &faults).map(|mut pack| {
        pack.sha256 = digest::sha256(&digests.borrow());
        pack
    });
    let told = |faults: Faults| faults.into_list().iter().map(cut).collect();
    match pack {
        Some(pack) if faults.is_empty() => Ok(pack),
        _ => Err(told(faults)),
    }
}

/// A fault as text; a schema's own words may be as long as the schema.
fn cut(fault: &Fault) -> String {
    let text = fault.to_string();
    match text.char_indices().nth(FAULT_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}\u{2026}", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

pub(super) fn read(manifest: &[u8], file: &Files<'_>, faults: &Faults) -> Option<Pack> {
    let table = match str::from_utf8(manifest) {
        Ok(text) => toml::from_str::<Table>(text).map_err(|error| error.message().to_owned()),
        Err(_) => Err("not encoded in UTF-8".to_owned()),
    };
    match table {
        Ok(table) => pack(&Section::new("", &table, faults), file),
        Err(reason) => {
            faults.note("pack.toml", reason);
            None
        }
    }
}

fn pack(root: &Section<'_>, file: &Files<'_>) -> Option<Pack> {
    // Another format may mean anything: nothing else is looked at then.
    if root.number("format", FORMAT..=FORMAT) != FORMAT {
        return None;
    }
    let prefixes = root.section("namespaces");
    let names = prefixes.names().into_iter();
    let namespaces: Namespaces = names
        .map(|prefix| (prefix.to_owned(), prefixes.text(prefix)))
        .collect();
    let lists = lists(&root.section("lists"), file);
    let slugs = ["form", "version"].map(|key| slug(root, key));
    let schema = schema(root, file);
    let mut operations = BTreeMap::new();
    let sections = root.named("operations");
    if sections.is_empty() {
        root.fault("operations", "has none");
    }
    let known: Vec<&str> = sections.iter().map(|(name, _)| *name).collect();
    let mut is_whole = true;
    for (name, section) in &sections {
        if !is_slug(name) {
            section.fault("", NO_SLUG);
        }
        let reader = Reader {
            namespaces: &namespaces,
            lists: &lists,
            operations: &known,
            section,
            paths: RefCell::default(),
            per: RefCell::default(),
        };
        match reader.operation() {
            Some(operation) => drop(operations.insert((*name).to_owned(), operation)),
            None => is_whole = false,
        }
    }
    distinct_models(root, &operations);
    let periods = root.tables("periods");
    let periods = periods.iter().map(|one| period(one, &known)).collect();
    let (namespace, addressee) = (root.text("namespace"), root.text("addressee"));
    let title = title(root, "title");
    let [form, version] = slugs;
    Some(Pack {
        form: form?,
        version: version?,
        namespace,
        addressee,
        title: title?,
        namespaces,
        operations: is_whole.then_some(operations)?,
        // Known once every file was read, see `compile`.
        sha256: [0; 32],
        periods,
        schema: schema?,
    })
}

/// An operation is known to the receiver by its model id: two under one would be
/// one to it, and a slip in copying a table would send one as the other. Status
/// services may be one: what they tell of stands in their answer.
fn distinct_models(root: &Section<'_>, operations: &BTreeMap<String, Operation>) {
    let fault = |key: String, kind: EnvironmentKind, other: &str| {
        let reason = format!("has the {} model of the operation {other}", kind.as_str());
        root.fault(&key, reason);
    };
    let mut known: BTreeMap<(EnvironmentKind, &str), &str> = BTreeMap::new();
    for (name, operation) in operations {
        for (kind, model) in &operation.models {
            if let Some(other) = known.insert((*kind, model), name) {
                fault(format!("operations.{name}.model_id"), *kind, other);
            }
        }
    }
    for (name, operation) in operations {
        for (kind, model) in operation.status.iter().flat_map(|service| &service.models) {
            if let Some(other) = known.get(&(*kind, model.as_str())) {
                fault(format!("operations.{name}.status.model_id"), *kind, other);
            }
        }
    }
}

/// Form and version become parts of file paths and of addresses.
const NO_SLUG: &str = "must be made of a-z, 0-9, `.` and `-`";

fn is_slug(text: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    !text.is_empty() && !text.starts_with('.') && text.bytes().all(allowed)
}

fn slug(section: &Section<'_>, key: &str) -> Option<String> {
    let text = section.text(key);
    if !is_slug(&text) {
        section.fault(key, NO_SLUG);
        return None;
    }
    Some(text)
}

fn title(section: &Section<'_>, key: &str) -> Option<Title> {
    let Some(texts) = section.some_section(key) else {
        section.fault(key, "is missing");
        return None;
    };
    let [fr, de, en] = ["fr", "de", "en"].map(|language| texts.text(language));
    Some(Title { fr, de, en })
}

fn schema(root: &Section<'_>, file: &Files<'_>) -> Option<Schema> {
    let names = root.texts("schemas");
    let Some(entry) = names.first() else {
        root.fault("schemas", "names no file");
        return None;
    };
    let mut files = Vec::new();
    for name in &names {
        match file(name) {
            Ok(bytes) => files.push((name.clone(), bytes)),
            Err(reason) => root.fault("schemas", format!("{name}: {reason}")),
        }
    }
    if files.len() < names.len() {
        return None;
    }
    let compiled = Schema::compile(&files, entry);
    compiled
        .map_err(|error| root.fault("schemas", error.to_string()))
        .ok()
}

/// Reads coded lists: one code a line, a text after the first `;`, comments
/// behind `#` at the beginning of a line.
fn lists(section: &Section<'_>, file: &Files<'_>) -> Lists {
    let mut lists = Lists::new();
    for name in section.names() {
        let source = section.text(name);
        let text = file(&source).and_then(|bytes| {
            String::from_utf8(bytes).map_err(|_| "is not encoded in UTF-8".to_owned())
        });
        let mut codes = BTreeSet::new();
        match text {
            Ok(text) => {
                let lines = text.lines().filter(|line| !line.starts_with('#'));
                let code =
                    |line: &str| line.split(';').next().unwrap_or_default().trim().to_owned();
                codes.extend(lines.map(code).filter(|code| !code.is_empty()));
                if codes.is_empty() {
                    section.fault(name, format!("{source} has no code"));
                }
            }
            Err(reason) => section.fault(name, format!("{source}: {reason}")),
        }
        // Also an unreadable one is declared: it is not told a second time.
        lists.insert(name.to_owned(), Arc::new(codes));
    }
    lists
}

fn period(section: &Section<'_>, known: &[&str]) -> Period {
    let words = EnvironmentKind::ALL.map(EnvironmentKind::as_str);
    let mut environments = Vec::new();
    for word in section.texts("environments") {
        match EnvironmentKind::parse(&word) {
            Some(kind) => environments.push(kind),
            None => section.fault(
                "environments",
                format!("has \"{word}\"; must be of {}", words.join(", ")),
            ),
        }
    }
    let operations = section.texts("operations");
    known_only(section, "operations", &operations, known);
    let (from, until) = (section.day("from"), section.day("until"));
    if from.is_some() && until.is_some() && from > until {
        section.fault("until", "lies before `from`");
    }
    Period {
        environments,
        operations,
        from,
        until,
        rule: section.optional("rule"),
    }
}

fn known_only(section: &Section<'_>, key: &str, names: &[String], known: &[&str]) {
    for name in names {
        if !known.contains(&name.as_str()) {
            section.fault(key, format!("has \"{name}\", which is no operation here"));
        }
    }
}

/// Where a path begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// At the document: it must be absolute and begin with the root element.
    Document,
    /// At an element the pack selects otherwise: it must be relative.
    Element,
    /// Either.
    Any,
}

/// Reads one operation.
struct Reader<'r, 'a> {
    namespaces: &'r Namespaces,
    lists: &'r Lists,
    operations: &'r [&'r str],
    section: &'r Section<'a>,
    /// Every path into a document, with its key.
    paths: RefCell<Vec<(String, Path)>>,
    /// Where relative paths start just now.
    per: RefCell<Option<Path>>,
}

impl Reader<'_, '_> {
    fn operation(&self) -> Option<Operation> {
        let section = self.section;
        let root = self.name(section, "root");
        let exchange = match section.word_or_first("exchange", &["queued", "interactive"]) {
            "interactive" => Exchange::Interactive,
            _ => Exchange::Queued,
        };
        let title = title(section, "title");
        let models = models(section);
        let facts = self.facts(&section.section("facts"));
        let show = self.shows(section, From::Document);
        let signature = section.some_section("signature");
        let signature = signature.map(|section| self.signature(&section));
        let document = section.some_section("document");
        let document = document.map(|section| self.document(&section));
        let answer = self.answer(&section.section("answer"));
        let status = section.some_section("status");
        let status = status.map(|section| self.status(&section));
        let qr = section.some_section("qr");
        let qr = qr.map(|section| qr_place(&section, &show));
        let refers = all(section, "refers", |section| self.refers(section));
        let mut names = BTreeSet::new();
        let copies = all(section, "copies", |section| self.copy(section, &mut names));
        let checks = self.checks();
        Some(Operation {
            title: title?,
            root: root?,
            exchange,
            show,
            signature: whole(signature)?,
            document: whole(document)?,
            refers: refers?,
            status: whole(status)?,
            answer: answer?,
            qr: whole(qr)?,
            copies: copies?,
            models,
            facts: facts?,
            checks: checks?,
            paths: self.paths.take(),
        })
    }

    fn name(&self, section: &Section<'_>, key: &str) -> Option<Name> {
        let text = section.text(key);
        let name = Name::parse(&text, self.namespaces);
        // An absent text is a fault already.
        let told = |error: &dyn std::fmt::Display| {
            if !text.is_empty() {
                section.fault(key, error.to_string());
            }
        };
        name.map_err(|error| told(&error)).ok()
    }

    /// A path that must be there.
    fn path(&self, section: &Section<'_>, key: &str, from: From) -> Option<Path> {
        let text = section.text(key);
        if text.is_empty() {
            return None;
        }
        self.parsed(section, key, (&text, from))
    }

    /// A path that may be absent; `None` when it is wrong.
    fn some_path(&self, section: &Section<'_>, key: &str, from: From) -> Option<Option<Path>> {
        match section.optional(key) {
            Some(text) => self.parsed(section, key, (&text, from)).map(Some),
            None => Some(None),
        }
    }

    fn paths(&self, section: &Section<'_>, key: &str, from: From) -> Option<Vec<Path>> {
        let texts = section.texts(key);
        let parsed: Vec<_> = texts
            .iter()
            .map(|text| self.parsed(section, key, (text, from)))
            .collect();
        parsed.into_iter().collect()
    }

    fn parsed(&self, section: &Section<'_>, key: &str, (text, from): (&str, From)) -> Option<Path> {
        let path = match Path::parse(text, self.namespaces) {
            Ok(path) => path,
            Err(error) => {
                section.fault(key, error.to_string());
                return None;
            }
        };
        let is_absolute = text.starts_with('/');
        let wrong = match from {
            From::Document => !is_absolute,
            From::Element => is_absolute,
            From::Any => false,
        };
        if wrong {
            let must = if is_absolute { "must not" } else { "must" };
            section.fault(key, format!("the path `{text}` {must} begin with `/`"));
            return None;
        }
        // What does not begin with the root element selects nothing, ever.
        let root = self.section.optional("root");
        let root = root.and_then(|root| Name::parse(&root, self.namespaces).ok());
        if is_absolute && root.is_some_and(|root| path.steps().first() != Some(&root)) {
            let reason = format!("the path `{text}` does not begin with the root element");
            section.fault(key, reason);
            return None;
        }
        let whole = match self.per.borrow().as_ref() {
            Some(per) if !is_absolute => Path::parse(&format!("{per}/{text}"), self.namespaces),
            Some(_) | None => Ok(path.clone()),
        };
        if let Some(whole) = whole.ok().filter(Path::is_absolute) {
            self.paths.borrow_mut().push((section.key(key), whole));
        }
        Some(path)
    }

    fn facts(&self, section: &Section<'_>) -> Option<FactPaths> {
        let path = |key| self.path(section, key, From::Document);
        let some = |key| self.some_path(section, key, From::Document);
        let (uuid, code_prestataire) = (path("uuid"), path("code_prestataire"));
        let (matricule, executant) = (some("matricule"), some("executant"));
        Some(FactPaths {
            uuid: uuid?,
            code_prestataire: code_prestataire?,
            matricule: matricule?,
            executant: executant?,
        })
    }

    /// The list `show` of a table. Faulty ones are told and left out.
    fn shows(&self, section: &Section<'_>, from: From) -> Vec<Show> {
        let sections = section.tables("show");
        let mut names = BTreeSet::new();
        let read = sections.iter().filter_map(|section| {
            let show = self.show(section, from)?;
            if !names.insert(show.name.clone()) {
                section.fault("name", format!("\"{}\" is there twice", show.name));
            }
            Some(show)
        });
        read.collect()
    }

    fn show(&self, section: &Section<'_>, from: From) -> Option<Show> {
        let personal = section.flag("personal").unwrap_or(true);
        let (name, label) = shown_name(section);
        let what = match self.some_path(section, "per", from)? {
            Some(per) => self.rows(section, per, personal),
            None => self.value(section, from),
        };
        Some(Show {
            name: name?,
            label: label?,
            personal,
            what: what?,
        })
    }

    fn value(&self, section: &Section<'_>, from: From) -> Option<ShowWhat> {
        let words = ShowKind::WORDS.map(|(word, _)| word);
        let word = section.word("kind", &words);
        let kind = ShowKind::WORDS.into_iter().find(|(own, _)| *own == word)?.1;
        let path = self.path(section, "path", from)?;
        Some(ShowWhat::Value { path, kind })
    }

    fn rows(&self, section: &Section<'_>, per: Path, personal: bool) -> Option<ShowWhat> {
        let sections = section.tables("fields");
        if sections.is_empty() {
            section.fault("fields", "has none");
        }
        self.per.replace(Some(per.clone()));
        let mut names = BTreeSet::new();
        let mut fields = Vec::new();
        for section in &sections {
            let (name, label) = shown_name(section);
            let what = self.value(section, From::Element);
            let (Some(name), Some(label), Some(what)) = (name, label, what) else {
                continue;
            };
            if !names.insert(name.clone()) {
                section.fault("name", format!("\"{name}\" is there twice"));
            }
            fields.push(Show {
                name,
                label,
                personal,
                what,
            });
        }
        self.per.take();
        Some(ShowWhat::List { per, fields })
    }

    fn signature(&self, section: &Section<'_>) -> Option<SignaturePlace> {
        let level = level(section, "XAdES");
        let slot = section.text("slot");
        let slot = if slot == Slot::END_OF_ROOT {
            Some(Slot::EndOfRoot)
        } else {
            self.parsed(section, "slot", (&slot, From::Document))
                .and_then(|_| {
                    Slot::parse(&slot, self.namespaces)
                        .map_err(|error| section.fault("slot", error.to_string()))
                        .ok()
                })
        };
        let before = self.some_path(section, "before", From::Document);
        Some(SignaturePlace {
            level: level?,
            slot: slot?,
            before: before?,
        })
    }

    fn document(&self, section: &Section<'_>) -> Option<DocumentPlace> {
        let level = level(section, "PAdES");
        if level == Some(Level::LT) {
            section.fault(
                "level",
                "an embedded PDF reaches PAdES-B-T at most: its validation data would be as old as the document's own",
            );
        }
        let path = self.path(section, "element", From::Document);
        let required = section.flag("required");
        if required.is_none() {
            section.fault("required", "is missing");
        }
        let path = path?;
        Some(DocumentPlace {
            element: path.to_string(),
            path,
            level: level?,
            required: required?,
        })
    }

    fn refers(&self, section: &Section<'_>) -> Option<Reference> {
        let path = self.path(section, "path", From::Document);
        let operations = section.texts("operations");
        if operations.is_empty() {
            section.fault("operations", "has none");
        }
        known_only(section, "operations", &operations, self.operations);
        let by = match section.word("by", &["insurer-id", "uuid"]) {
            "uuid" => RefersBy::Uuid,
            _ => RefersBy::InsurerId,
        };
        let unknown = match section.word("unknown", &["warn", "refuse"]) {
            "refuse" => Unknown::Refuse,
            _ => Unknown::Warn,
        };
        let once = section.optional("once");
        if once.as_ref().is_some_and(|word| !is_slug(word)) {
            section.fault("once", NO_SLUG);
        }
        Some(Reference {
            operations,
            by,
            unknown,
            once,
            path: path?,
        })
    }

    fn copy(&self, section: &Section<'_>, names: &mut BTreeSet<String>) -> Option<CopyRule> {
        let name = slug(section, "name");
        if let Some(name) = name.clone().filter(|name| !names.insert(name.clone())) {
            section.fault("name", format!("\"{name}\" is there twice"));
        }
        let title = title(section, "title");
        let hide = self.paths(section, "hide", From::Document);
        match &hide {
            Some(hide) if hide.is_empty() => section.fault("hide", "names nothing"),
            Some(hide)
                if hide
                    .iter()
                    .any(|path| path.is_attribute() || path.steps().len() < 2) =>
            {
                section.fault(
                    "hide",
                    "can leave out elements inside the root, nothing else",
                );
            }
            Some(_) | None => {}
        }
        Some(CopyRule {
            name: name?,
            title: title?,
            hide: hide?,
        })
    }

    fn status(&self, section: &Section<'_>) -> Option<StatusService> {
        let request = section.text("request");
        if !request.contains(UUID_MARK) {
            section.fault("request", "has no place {uuid} for the UUID");
        }
        let root = self.name(section, "root");
        let [uuid, known, answer] =
            ["uuid", "known", "answer"].map(|key| self.path(section, key, From::Element));
        Some(StatusService {
            models: models(section),
            request,
            root: root?,
            uuid: uuid?,
            known: known?,
            answer: answer?,
        })
    }
}

fn shown_name(section: &Section<'_>) -> (Option<String>, Option<Title>) {
    let name = section.text("name");
    let mut bytes = name.bytes();
    let is_name = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase())
        && bytes.all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    if !is_name && !name.is_empty() {
        section.fault("name", format!("\"{name}\" must be made of a-z, 0-9 and _"));
    }
    (is_name.then_some(name), title(section, "label"))
}

fn models(section: &Section<'_>) -> Models {
    let ids = section.section("model_id");
    let mut models = Models::new();
    for kind in EnvironmentKind::ALL {
        let Some(id) = ids.optional(kind.as_str()) else {
            continue;
        };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if id.len() > 32 || !id.bytes().all(allowed) {
            let reason = format!("`{id}` is no model id: 1 to 32 of A-Z a-z 0-9 _ -");
            ids.fault(kind.as_str(), reason);
        }
        if kind == EnvironmentKind::Production
            && let Some(why) = kept_from_production(&id)
        {
            let reason = format!("`{id}` is {why}; it must not reach production");
            ids.fault(kind.as_str(), reason);
        }
        models.insert(kind, id);
    }
    models
}

/// Reads a level such as `XAdES-B-LT`.
fn level(section: &Section<'_>, format: &str) -> Option<Level> {
    let text = section.text("level");
    let name = text
        .strip_prefix(format)
        .and_then(|rest| rest.strip_prefix('-'));
    let level = name.and_then(Level::parse);
    if level.is_none() && !text.is_empty() {
        section.fault("level", format!("`{text}` is no level of {format}"));
    }
    level
}

fn qr_place(section: &Section<'_>, show: &[Show]) -> Option<QrPlace> {
    let template = section.text("text");
    let places = template.split('{').skip(1);
    for place in places {
        let name = place.split_once('}').map_or("", |(name, _)| name);
        let shown = show.iter().any(|one| {
            one.name == name && !one.personal && matches!(one.what, ShowWhat::Value { .. })
        });
        if !shown && !QR_WORDS.contains(&name) {
            section.fault(
                "text",
                format!(
                    "{{{name}}} is none of {} and no shown value that is not personal",
                    QR_WORDS.join(", ")
                ),
            );
        }
    }
    let page = section.some_whole("page", -1000..=1000);
    if page.is_none_or(|page| page == 0) {
        section.fault("page", "must be a page from 1, or from -1 from the end");
    }
    let mm = |key, least| section.decimal(key, least..=PAGE_MM_MAX);
    let (x_mm, y_mm, size_mm) = (mm("x_mm", 0.0), mm("y_mm", 0.0), mm("size_mm", 5.0));
    Some(QrPlace {
        template,
        page: page?,
        x_mm,
        y_mm,
        size_mm,
    })
}

/// Reads every table of a list, so that each tells its faults.
fn all<T>(
    section: &Section<'_>,
    key: &str,
    read: impl FnMut(&Section<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let read: Vec<Option<T>> = section.tables(key).iter().map(read).collect();
    read.into_iter().collect()
}

/// A part that may be absent but not wrong.
fn whole<T>(part: Option<Option<T>>) -> Option<Option<T>> {
    part.map_or(Some(None), |read| read.map(Some))
}
