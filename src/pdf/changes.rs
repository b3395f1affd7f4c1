//! What was changed after a signature: the objects of the signed revision are
//! compared with those of the final file. A changed object must have a role
//! that may change, and nobody else in the signed revision may refer to it;
//! everything else is suspicious (shadow updates, ISO 32000-2 §12.8.2.2).

use super::permissions::Permissions;
use super::{dss, graph, is_hybrid, load};
use lopdf::{Dictionary, Document, Object, ObjectId};
use std::collections::{HashMap, HashSet};

/// Allowed changes that are described; more tell nobody more.
const NOTES_MAX: usize = 50;
/// Items of changed lists that are compared.
const LIST_ITEMS_MAX: usize = 1_000_000;

/// What came after a signed revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// Nothing.
    None,
    /// Validation data and document timestamps only.
    ValidationData,
    /// Also what a signer may allow, DocMDP P = 2, and what is allowed where
    /// nobody says otherwise: further signatures and filled-in fields, each
    /// described.
    Allowed(Vec<String>),
    /// Something that cannot be told from a forgery. Changed annotations count
    /// as such also where P = 3 would allow them.
    Suspicious {
        /// The object and what was found.
        what: String,
    },
}

/// Classes the changes after the revision that ends at `end`.
pub(super) fn after(pdf: &[u8], new: &Document, end: Option<usize>) -> Changes {
    if end == Some(pdf.len()) {
        return Changes::None;
    }
    match end.and_then(|end| pdf.split_at_checked(end)) {
        Some((signed, later)) => compare(signed, later, new),
        None => Err("the signature covers more than the file".to_owned()),
    }
    .unwrap_or_else(|what| Changes::Suspicious { what })
}

fn compare(signed: &[u8], later: &[u8], new: &Document) -> Result<Changes, String> {
    // What no cross-reference tells of is found by readers that repair files.
    let content = later.trim_ascii_end();
    let is_revision = new.xref_start >= signed.len() && content.ends_with(b"%%EOF");
    if !content.is_empty() && !is_revision {
        return Err("what follows the signature is no revision of the file".into());
    }
    let old = load(signed).map_err(|error| format!("the signed revision alone: {error}"))?;
    if is_hybrid(later) {
        return Err("the later revisions show different objects to different readers".into());
    }
    let mut comparison = Comparison::new(&old, new)?;
    comparison.objects()?;
    let Comparison { notes, data, .. } = comparison;
    Ok(match (notes.is_empty(), data) {
        (false, _) => Changes::Allowed(notes),
        (true, true) => Changes::ValidationData,
        (true, false) => Changes::Allowed(vec!["nothing that shows was changed".into()]),
    })
}

struct Comparison<'a> {
    old: &'a Document,
    new: &'a Document,
    root: ObjectId,
    /// Who refers to an object of the signed revision; none when several do.
    referrers: HashMap<ObjectId, Option<ObjectId>>,
    permissions: Permissions,
    /// Fields of the signed revision and where in it they are described: by
    /// the field itself or by its widgets.
    fields: HashMap<ObjectId, graph::Field<'a>>,
    pages: HashSet<ObjectId>,
    /// The fields as the form names them now.
    fields_now: HashSet<ObjectId>,
    /// Allowed changes.
    notes: Vec<String>,
    /// Whether there are validation data.
    data: bool,
    /// Items of lists that may still be compared.
    budget: usize,
}

impl<'a> Comparison<'a> {
    fn new(old: &'a Document, new: &'a Document) -> Result<Self, String> {
        let root = |doc: &Document| {
            let root = doc.trailer.get(b"Root").and_then(Object::as_reference);
            root.map_err(|_| "the trailer names no catalog".to_owned())
        };
        let catalog = root(old)?;
        if root(new)? != catalog {
            return Err("the trailer names another catalog".into());
        }
        let pages = graph::pages(old).map_err(|error| error.to_string())?;
        Ok(Self {
            old,
            new,
            root: catalog,
            referrers: referrers(old),
            permissions: Permissions::of(old),
            fields: graph::fields(old)
                .into_iter()
                .map(|field| (field.id, field))
                .collect(),
            pages: pages.into_iter().map(|page| page.id).collect(),
            fields_now: graph::fields(new).iter().map(|field| field.id).collect(),
            notes: Vec::new(),
            data: false,
            budget: LIST_ITEMS_MAX,
        })
    }

    fn objects(&mut self) -> Result<(), String> {
        for id in self.new.objects.keys() {
            if !self.existed(*id) && self.referrers.contains_key(id) {
                return Err(format!("{} fills a reference that led nowhere", shown(*id)));
            }
        }
        let before: HashSet<Vec<u8>> = all_values(dss::read(self.old));
        let after: HashSet<Vec<u8>> = all_values(dss::read(self.new));
        if !before.is_subset(&after) {
            return Err("validation data were taken away".into());
        }
        self.data |= before != after;
        let changed: Vec<_> = self
            .old
            .objects
            .iter()
            .filter(|(id, old)| {
                !is_cross_reference(old)
                    && !self.new.objects.get(id).is_some_and(|new| same(old, new))
            })
            .collect();
        for (id, old) in changed {
            match self.new.objects.get(id) {
                Some(new) => self.changed(*id, old, new)?,
                None => return Err(format!("{} was taken away", shown(*id))),
            }
        }
        Ok(())
    }

    fn existed(&self, id: ObjectId) -> bool {
        self.old
            .objects
            .get(&id)
            .is_some_and(|old| !is_cross_reference(old))
    }

    /// Judges an object that is not what it was.
    fn changed(&mut self, id: ObjectId, old: &'a Object, new: &'a Object) -> Result<(), String> {
        match (old, new) {
            (Object::Dictionary(old), Object::Dictionary(new)) if id == self.root => {
                return self.catalog(old, new);
            }
            (Object::Dictionary(old), Object::Dictionary(new)) if self.pages.contains(&id) => {
                return self.page(id, old, new);
            }
            _ => {}
        }
        if self.is_description(id) || self.is_store(id) {
            return Ok(());
        }
        if let (Object::Dictionary(old), Object::Dictionary(new)) = (old, new) {
            if self.only_under(id, self.root, b"AcroForm") {
                return self.form(Some(old), new);
            }
            if let Some(field) = self.field_of(id) {
                return self.field(field, id, old, new);
            }
        }
        if let (Object::Array(old), Object::Array(new)) = (old, new)
            && let Some(owner) = self.only_referrer(id)
            && self.holds_lists(owner)
        {
            return self.list(id, Some(old), Some(new));
        }
        if let Some(field) = self
            .only_referrer(id)
            .filter(|owner| self.is_value_or_looks(id, *owner))
            .and_then(|owner| self.field_of(owner))
        {
            return self.filled(field);
        }
        Err(format!("{} was redefined", self.named(id, old)))
    }

    /// The document information and metadata, which say nothing of the content
    /// and which signers' programs renew.
    fn is_description(&self, id: ObjectId) -> bool {
        let information = self.old.trailer.get(b"Info").and_then(Object::as_reference);
        information.ok() == Some(id) && !self.referrers.contains_key(&id)
            || self.only_under(id, self.root, b"Metadata")
    }

    /// A dictionary or list of the validation data, which nobody else uses.
    fn is_store(&self, id: ObjectId) -> bool {
        let mut at = id;
        for _ in 0..8 {
            if matches!(self.old.objects.get(&at), Some(Object::Stream(_))) {
                return false;
            }
            if self.only_under(at, self.root, b"DSS") {
                return true;
            }
            match self.only_referrer(at) {
                Some(owner) => at = owner,
                None => return false,
            }
        }
        false
    }

    /// The catalog with a form inside, the form, or a page.
    fn holds_lists(&self, owner: ObjectId) -> bool {
        let form = owner == self.root || self.only_under(owner, self.root, b"AcroForm");
        form || self.pages.contains(&owner)
    }

    fn only_referrer(&self, id: ObjectId) -> Option<ObjectId> {
        *self.referrers.get(&id)?
    }

    /// Whether the object stands under this key of the owner and nowhere else.
    fn only_under(&self, id: ObjectId, owner: ObjectId, key: &[u8]) -> bool {
        let owned = self.old.get_dictionary(owner);
        let owned = owned.and_then(|dict| dict.get(key)?.as_reference());
        owned.ok() == Some(id) && self.only_referrer(id) == Some(owner)
    }

    fn catalog(&mut self, old: &'a Dictionary, new: &'a Dictionary) -> Result<(), String> {
        for key in keys(old, new) {
            match key {
                _ if old.get(key).ok() == new.get(key).ok() => {}
                // These say nothing of the content; the store was compared.
                b"DSS" | b"Extensions" | b"Metadata" | b"Version" => {}
                b"AcroForm" => {
                    let before = graph::get_dict(self.old, old, key);
                    let after = graph::get_dict(self.new, new, key);
                    let after = after.ok_or("the form was taken away")?;
                    self.form(before, after)?;
                }
                _ => return Err(format!("/{} of the catalog was changed", name(key))),
            }
        }
        Ok(())
    }

    fn form(&mut self, old: Option<&'a Dictionary>, new: &'a Dictionary) -> Result<(), String> {
        let none = Dictionary::new();
        for key in keys(old.unwrap_or(&none), new) {
            let before = old.and_then(|old| old.get(key).ok());
            match key {
                _ if before == new.get(key).ok() => {}
                b"SigFlags" => {}
                b"DA" | b"DR" if old.is_none() => {}
                b"Fields" => {
                    let before = old.and_then(|old| graph::get_array(self.old, old, key));
                    let after = graph::get_array(self.new, new, key);
                    self.list(self.root, before, after)?;
                }
                _ => return Err(format!("/{} of the form was changed", name(key))),
            }
        }
        Ok(())
    }

    /// A page may only get annotations, and only those of new signatures.
    fn page(
        &mut self,
        id: ObjectId,
        old: &'a Dictionary,
        new: &'a Dictionary,
    ) -> Result<(), String> {
        for key in keys(old, new) {
            match key {
                _ if old.get(key).ok() == new.get(key).ok() => {}
                b"Annots" => {
                    let before = graph::get_array(self.old, old, key);
                    self.list(id, before, graph::get_array(self.new, new, key))?;
                }
                _ => {
                    return Err(format!(
                        "/{} of the page, {}, was changed",
                        name(key),
                        shown(id)
                    ));
                }
            }
        }
        Ok(())
    }

    /// Annotations or fields: what was there stays, and what is added is the
    /// field of a new signature.
    fn list(
        &mut self,
        owner: ObjectId,
        old: Option<&Vec<Object>>,
        new: Option<&Vec<Object>>,
    ) -> Result<(), String> {
        let (old, new) = (
            old.map_or(&[][..], Vec::as_slice),
            new.map_or(&[][..], Vec::as_slice),
        );
        let items = old.len() + new.len();
        let budget = self.budget.checked_sub(items);
        self.budget = budget.ok_or("there are too many changes to compare")?;
        let Some(added) = new.strip_prefix(old) else {
            let what = "annotations or fields were taken away or reordered";
            return Err(format!("{what}: {}", shown(owner)));
        };
        for item in added {
            let id = item
                .as_reference()
                .map_err(|_| "a field or annotation was added directly")?;
            let field = self
                .new
                .get_dictionary(id)
                .ok()
                .filter(|_| !self.existed(id));
            let field = field.filter(|field| {
                let is = |key, value: &[u8]| graph::get_name(self.new, field, key) == Some(value);
                is(b"FT", b"Sig")
                    && (is(b"Subtype", b"Widget") || !field.has(b"Subtype"))
                    && !field.has(b"Kids")
                    && !field.has(b"AA")
                    && !field.has(b"A")
                    && self.fields_now.contains(&id)
            });
            let field =
                field.ok_or_else(|| format!("{} was added to a page or the form", shown(id)))?;
            let partial = graph::get(self.new, field, b"T").and_then(|name| name.as_str().ok());
            let name = graph::text(partial.unwrap_or_default());
            // Nobody who signed before has agreed to what it would cover.
            if !self.is_invisible(field) {
                return Err(format!("the added signature field {name} is visible"));
            }
            self.signed(&name, field)?;
        }
        Ok(())
    }

    /// Whether a field of the final file takes no room on a page, or is hidden
    /// (annotation flag 2, ISO 32000-1 Table 165).
    fn is_invisible(&self, field: &Dictionary) -> bool {
        let empty = match graph::get(self.new, field, b"Rect") {
            None => true,
            Some(rect) => rect.as_array().is_ok_and(|r| graph::is_empty_rectangle(r)),
        };
        empty || graph::get_int(self.new, field, b"F").is_some_and(|flags| flags & 2 != 0)
    }

    /// A signature field that is new or got its value, which is looked at as a
    /// signature of its own; one without could show anything.
    fn signed(&mut self, name: &str, field: &Dictionary) -> Result<(), String> {
        let value = graph::get_dict(self.new, field, b"V");
        let value = value.filter(|value| graph::get_array(self.new, value, b"ByteRange").is_some());
        let value = value.ok_or_else(|| {
            format!("signature field {name} was added or changed but bears no signature")
        })?;
        if graph::get_name(self.new, value, b"Type") == Some(b"DocTimeStamp") {
            if !self.is_invisible(field) {
                return Err(format!("the document timestamp {name} is visible"));
            }
            self.data = true;
            return Ok(());
        }
        self.permitted(name)?;
        self.note(format!("signature field {name} was signed"));
        Ok(())
    }

    fn permitted(&self, field: &str) -> Result<(), String> {
        if self.permissions.no_changes {
            return Err(format!("field {field}: the signer allowed no change"));
        }
        if self.permissions.locked(field) {
            return Err(format!("field {field} was locked by a signer"));
        }
        Ok(())
    }

    fn note(&mut self, note: String) {
        if self.notes.len() < NOTES_MAX && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// The field an object describes: the field itself, or its widget.
    fn field_of(&self, id: ObjectId) -> Option<ObjectId> {
        if self.fields.contains_key(&id) {
            return Some(id);
        }
        let widget = self.old.get_dictionary(id).ok()?;
        let parent = widget.get(b"Parent").and_then(Object::as_reference).ok()?;
        let is_widget = graph::get_name(self.old, widget, b"Subtype") == Some(b"Widget");
        (is_widget && self.fields.contains_key(&parent)).then_some(parent)
    }

    /// Whether its only owner refers to an object as its value or its looks,
    /// not, say, as its action.
    fn is_value_or_looks(&self, id: ObjectId, owner: ObjectId) -> bool {
        let Ok(owner) = self.old.get_dictionary(owner) else {
            return false;
        };
        let others = owner.iter();
        let mut others = others.filter(|(key, _)| !matches!(key.as_slice(), b"V" | b"AP" | b"MK"));
        others.all(|(_, value)| !references(value).contains(&id))
    }

    /// A field or widget may get a value and the looks that go with it.
    fn field(
        &mut self,
        field: ObjectId,
        id: ObjectId,
        old: &Dictionary,
        new: &Dictionary,
    ) -> Result<(), String> {
        for key in keys(old, new) {
            let looks = matches!(key, b"V" | b"AS" | b"AP" | b"MK" | b"M");
            if !looks && old.get(key).ok() != new.get(key).ok() {
                return Err(format!(
                    "/{} of the field, {}, was changed",
                    name(key),
                    shown(id)
                ));
            }
        }
        let signature = self.fields.get(&field).filter(|f| f.kind == Some(b"Sig"));
        match signature.map(|f| (f.name.clone(), graph::get(self.old, f.dict, b"V").is_some())) {
            Some((name, true)) => Err(format!("the signed field {name} was changed")),
            Some((name, false)) => {
                let now = self
                    .new
                    .get_dictionary(field)
                    .map_err(|_| "a field is missing")?;
                self.signed(&name, now)
            }
            None => self.filled(field),
        }
    }

    /// A field looks different: only because its value does.
    fn filled(&mut self, id: ObjectId) -> Result<(), String> {
        let Some(field) = self.fields.get(&id) else {
            return Err(format!("{} was redefined", shown(id)));
        };
        let name = field.name.clone();
        let before = graph::get(self.old, field.dict, b"V");
        let after = self.new.get_dictionary(id).ok();
        let after = after.and_then(|field| graph::get(self.new, field, b"V"));
        let changed = match (before, after) {
            (Some(before), Some(after)) => !same(before, after),
            (before, after) => before.is_some() != after.is_some(),
        };
        if field.kind == Some(b"Sig") || !changed {
            return Err(format!(
                "field {name}, {}, looks different but has the same value",
                shown(id)
            ));
        }
        self.permitted(&name)?;
        self.note(format!("field {name} was filled in"));
        Ok(())
    }

    fn named(&self, id: ObjectId, object: &Object) -> String {
        let dict = graph::as_dict(object);
        let kind = dict.and_then(|dict| {
            graph::get_name(self.old, dict, b"Type").or(graph::get_name(self.old, dict, b"Subtype"))
        });
        match kind {
            Some(kind) => format!("{} ({})", shown(id), name(kind)),
            None => shown(id),
        }
    }
}

fn shown((number, generation): ObjectId) -> String {
    format!("object {number} {generation}")
}

fn name(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

fn keys<'d>(old: &'d Dictionary, new: &'d Dictionary) -> Vec<&'d [u8]> {
    let added = new.iter().filter(|(key, _)| !old.has(key));
    old.iter()
        .chain(added)
        .map(|(key, _)| key.as_slice())
        .collect()
}

/// Where in the file a stream stands is no part of it.
fn same(old: &Object, new: &Object) -> bool {
    match (old, new) {
        (Object::Stream(old), Object::Stream(new)) => {
            old.dict == new.dict && old.content == new.content
        }
        (old, new) => old == new,
    }
}

/// Cross-reference streams belong to the file, not to the document.
fn is_cross_reference(object: &Object) -> bool {
    let kind = object
        .as_stream()
        .and_then(|stream| stream.dict.get(b"Type"));
    kind.and_then(Object::as_name)
        .is_ok_and(|kind| kind == b"XRef")
}

fn all_values(data: dss::ValidationData) -> HashSet<Vec<u8>> {
    [data.certificates, data.ocsp, data.crls]
        .into_iter()
        .flatten()
        .collect()
}

/// Which objects refer to an object.
fn referrers(doc: &Document) -> HashMap<ObjectId, Option<ObjectId>> {
    let mut found = HashMap::new();
    for (owner, object) in doc
        .objects
        .iter()
        .filter(|(_, object)| !is_cross_reference(object))
    {
        for id in references(object) {
            let known = found.entry(id).or_insert(Some(*owner));
            *known = known.filter(|known| known == owner);
        }
    }
    found
}

/// The references in an object, at any depth.
fn references(object: &Object) -> Vec<ObjectId> {
    let mut found = Vec::new();
    let mut open = vec![object];
    while let Some(object) = open.pop() {
        match object {
            Object::Reference(id) => found.push(*id),
            Object::Array(items) => open.extend(items),
            other => {
                let values = graph::as_dict(other).into_iter().flat_map(Dictionary::iter);
                open.extend(values.map(|(_, value)| value));
            }
        }
    }
    found
}
