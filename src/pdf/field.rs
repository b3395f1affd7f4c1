//! Which signature field is signed: the first empty one that may be, or a new,
//! invisible one. What earlier signers locked is left alone, what the author of
//! an empty field asks for is done or refused.

use super::permissions::Permissions;
use super::update::{Update, push_direct};
use super::{PdfError, Request, graph};
use lopdf::{Dictionary, Document, Object, ObjectId, Stream, dictionary};
use std::collections::{BTreeSet, HashSet};

/// Annotation flags Print and Locked: visible in print, so that PDF/A allows
/// the annotation (ISO 19005-1 6.5.3, 19005-2 6.3.2), and not to be moved.
const WIDGET_FLAGS: i64 = 132;
/// `SignaturesExist` and `AppendOnly` (ISO 32000-1 Table 219).
const SIGNATURE_FLAGS: i64 = 3;
/// Field flag `ReadOnly` (ISO 32000-1 Table 221).
const READ_ONLY: i64 = 1;
/// Names tried for a new field, and their longest form, in UTF-16.
const NAMES_MAX: usize = 10_000;
const NAME_BYTES_MAX: usize = 64;
/// Empty fields looked at.
const EMPTY_MAX: usize = 100;

/// The field to be signed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// An empty one that is there.
    Empty(ObjectId),
    /// A new one of this name.
    New(String),
}

/// Chooses the field.
///
/// # Errors
/// [`PdfError::AppendForbidden`], [`PdfError::AppendLocked`],
/// [`PdfError::AppendSeed`].
pub(super) fn choose(doc: &Document, request: Request<'_>) -> Result<Choice, PdfError> {
    let permissions = Permissions::of(doc);
    if permissions.no_changes {
        return Err(PdfError::AppendForbidden);
    }
    let mut refusal = None;
    let empty = graph::fields(doc)
        .into_iter()
        .filter(|field| field.kind == Some(b"Sig") && graph::get(doc, field.dict, b"V").is_none());
    for field in empty.take(EMPTY_MAX) {
        let flags = graph::get_int(doc, field.dict, b"Ff").unwrap_or(0);
        if flags & READ_ONLY != 0 || permissions.locked(&field.name) {
            continue;
        }
        match unmet(doc, field.dict, request) {
            None => return Ok(Choice::Empty(field.id)),
            Some(what) => refusal = refusal.or(Some((field.name, what))),
        }
    }
    if let Some((field, what)) = refusal {
        return Err(PdfError::AppendSeed { field, what });
    }
    let taken: HashSet<String> = graph::dictionaries(doc)
        .into_iter()
        .filter_map(|dict| graph::get(doc, dict, b"T")?.as_str().ok())
        .filter(|name| name.len() <= NAME_BYTES_MAX)
        .map(graph::text)
        .collect();
    (1..NAMES_MAX)
        .map(|n| format!("Signature{n}"))
        .find(|name| !taken.contains(name) && !permissions.locked(name))
        .map(Choice::New)
        .ok_or(PdfError::AppendLocked)
}

/// The first demand of a seed value dictionary (ISO 32000-1 Tables 234 and
/// 235) that this signature does not meet. Wishes that are no demands are
/// passed over.
fn unmet(doc: &Document, field: &Dictionary, request: Request<'_>) -> Option<String> {
    let seed = Seed {
        doc,
        dict: graph::get_dict(doc, field, b"SV")?,
    };
    let found = seed
        .unmet_value(request)
        .or_else(|| seed.unmet_dictionary());
    found.map(str::to_owned)
}

/// A seed value dictionary.
struct Seed<'a> {
    doc: &'a Document,
    dict: &'a Dictionary,
}

impl<'a> Seed<'a> {
    fn unmet_value(&self, request: Request<'_>) -> Option<&'static str> {
        let flags = graph::get_int(self.doc, self.dict, b"Ff").unwrap_or(0);
        let filter = graph::get_name(self.doc, self.dict, b"Filter");
        let version = self.get(b"V").and_then(|version| version.as_float().ok());
        let revocation = self.get(b"AddRevInfo").and_then(|add| add.as_bool().ok());
        // A name; some write a boolean.
        let lock = match self.get(b"LockDocument") {
            Some(Object::Name(name)) => name == b"true",
            Some(Object::Boolean(lock)) => *lock,
            Some(_) | None => false,
        };
        // In the order of their flags.
        let demands = [
            (
                filter.is_some_and(|name| name != b"Adobe.PPKLite"),
                "another signature handler (/Filter)",
            ),
            (
                !self.lists(b"SubFilter", b"ETSI.CAdES.detached"),
                "another signature format (/SubFilter)",
            ),
            (
                version.is_some_and(|version| version > 3.0),
                "a newer signature handler (/V)",
            ),
            // A point alone: no reason at all.
            (
                self.get(b"Reasons").is_some() && !self.lists(b"Reasons", b"."),
                "a reason of the signer (/Reasons)",
            ),
            (true, "a legal attestation (/LegalAttestation)"),
            (
                revocation == Some(true),
                "revocation data among the signed attributes (/AddRevInfo)",
            ),
            (
                !self.lists(b"DigestMethod", request.digest.as_bytes()),
                "another digest (/DigestMethod)",
            ),
            (lock, "locking the whole document (/LockDocument)"),
            (true, "an appearance (/AppearanceFilter)"),
        ];
        let mut demanded = demands.iter().enumerate();
        let unmet = demanded.find(|(bit, (unmet, _))| flags & 1 << bit != 0 && *unmet);
        unmet.map(|(_, (_, what))| *what)
    }

    /// What dictionaries inside demand by a number other than 0.
    fn unmet_dictionary(&self) -> Option<&'static str> {
        let demands: [(&[u8], &[u8], i64, _); 3] = [
            (b"MDP", b"P", !0, "a certification signature (/MDP)"),
            (b"Cert", b"Ff", !0, "a certain certificate (/Cert)"),
            (
                b"TimeStamp",
                b"Ff",
                1,
                "a certain timestamp authority (/TimeStamp)",
            ),
        ];
        let mut demands = demands.into_iter();
        let unmet = demands.find(|(dict, key, bits, _)| {
            let dict = graph::get_dict(self.doc, self.dict, dict);
            let number = dict.and_then(|dict| graph::get_int(self.doc, dict, key));
            number.unwrap_or(0) & bits != 0
        });
        unmet.map(|(_, _, _, what)| what)
    }

    fn get(&self, key: &[u8]) -> Option<&'a Object> {
        graph::get(self.doc, self.dict, key)
    }

    /// Whether a list of names or strings has this one.
    fn lists(&self, key: &[u8], wanted: &[u8]) -> bool {
        let list = graph::get_array(self.doc, self.dict, key);
        list.into_iter()
            .flatten()
            .any(|item| match graph::resolve(self.doc, item) {
                Object::Name(text) | Object::String(text, _) => text == wanted,
                _ => false,
            })
    }
}

/// The lock of an empty field as the transformation its signature must state
/// (ISO 32000-1 §12.7.4.5, §12.8.2.4). A level of permissions (ISO 32000-2
/// Table 236) goes into its parameters, as Acrobat does.
pub(super) fn lock_reference(doc: &Document, field: ObjectId) -> Option<Object> {
    let field = doc.get_dictionary(field).ok()?;
    let lock = graph::get_dict(doc, field, b"Lock")?;
    let mut params = dictionary! {
        "Type" => "TransformParams", "V" => Object::Name(b"1.2".to_vec()),
    };
    for key in [b"Action".as_slice(), b"Fields", b"P"] {
        if let Some(value) = graph::get(doc, lock, key) {
            params.set(key, value.clone());
        }
    }
    let root = doc.trailer.get(b"Root").ok()?.clone();
    let reference = dictionary! {
        "Type" => "SigRef", "TransformMethod" => "FieldMDP",
        "Data" => root, "TransformParams" => params,
    };
    Some(vec![reference.into()].into())
}

/// Gives an empty field its value. Field, widget and page stay as they are; a
/// widget without appearance gets an empty one, which part 1 of PDF/A wants.
pub(super) fn sign_empty(
    update: &mut Update,
    field: ObjectId,
    value: ObjectId,
) -> Result<(), PdfError> {
    update.own_dict(field)?.set("V", value);
    let old = update.old();
    let dict = old.get_dictionary(field).ok();
    let kids = dict.and_then(|dict| graph::get_array(old, dict, b"Kids"));
    let kids = kids.into_iter().flatten();
    let kids = kids.filter_map(|kid| kid.as_reference().ok());
    let widgets: BTreeSet<_> = kids.chain([field]).collect();
    for id in widgets {
        let old = update.old();
        let bare = old.get_dictionary(id).ok().filter(|widget| {
            graph::get_name(old, widget, b"Subtype") == Some(b"Widget") && !widget.has(b"AP")
        });
        if let Some(widget) = bare {
            let rect = graph::get_array(old, widget, b"Rect");
            let appearance = empty_appearance(rect.map(Vec::as_slice).unwrap_or_default());
            let appearance = update.add(appearance)?;
            let looks = dictionary! { "N" => appearance };
            update.own_dict(id)?.set("AP", looks);
        }
    }
    register(update, None)
}

/// Makes a new, invisible field with its value on the first page.
pub(super) fn sign_new(
    update: &mut Update,
    name: String,
    field: ObjectId,
    value: ObjectId,
) -> Result<(), PdfError> {
    let pages = graph::pages(update.old())?;
    let page = pages.first().map(|page| page.id);
    let page = page.ok_or(PdfError::Structure {
        what: "the document has no page",
    })?;
    let appearance = update.add(empty_appearance(&[]))?;
    let widget = dictionary! {
        "Type" => "Annot", "Subtype" => "Widget", "FT" => "Sig",
        "T" => Object::string_literal(name),
        "F" => WIDGET_FLAGS,
        "Rect" => vec![0.into(), 0.into(), 0.into(), 0.into()],
        "P" => page,
        "V" => value,
        // Part 1 wants an appearance of every widget, even of an empty one.
        "AP" => dictionary! { "N" => appearance },
    };
    update.set(field, widget);
    update.push_reference(page, b"Annots", field)?;
    register(update, Some(field))
}

/// Nothing, as large as the rectangle.
fn empty_appearance(rect: &[Object]) -> Stream {
    let corner = |at: usize| rect.get(at).and_then(|n| n.as_float().ok()).unwrap_or(0.0);
    let side = |from, to| Object::Real((corner(to) - corner(from)).abs());
    let sides = match rect {
        [] => vec![0.into(), 0.into()],
        [..] => vec![side(0, 2), side(1, 3)],
    };
    let corner: Vec<Object> = vec![0.into(), 0.into()];
    let dict = dictionary! {
        "Type" => "XObject", "Subtype" => "Form",
        "BBox" => [corner, sides].concat(),
        "Resources" => Dictionary::new(),
    };
    Stream::new(dict, Vec::new())
}

/// Enters a field in the interactive form, which is made when absent, direct
/// in the catalog or an object of its own; and says that there are signatures.
fn register(update: &mut Update, field: Option<ObjectId>) -> Result<(), PdfError> {
    let root = update.root()?;
    let (apart, form) = update.old_dict(root, b"AcroForm");
    let old = update.old();
    let before = form.unwrap_or_default();
    let mut form = before.clone();
    let flags = graph::get_int(old, &form, b"SigFlags").unwrap_or(0);
    let fields = form.get(b"Fields").and_then(Object::as_reference).ok();
    let fields = fields
        .map(|id| graph::final_id(old, id))
        .filter(|id| old.has_object(*id));
    form.set("SigFlags", flags | SIGNATURE_FLAGS);
    match (field, fields) {
        (Some(field), Some(list)) => update.push_apart(list, field)?,
        (Some(field), None) => push_direct(&mut form, b"Fields", field)?,
        (None, _) => {}
    }
    match apart {
        _ if form == before => {}
        Some(id) => update.set(id, form),
        None => update.own_dict(root)?.set("AcroForm", form),
    }
    Ok(())
}
