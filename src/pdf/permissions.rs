//! What the signers of a document allow to be changed: certification (DocMDP),
//! field locks (FieldMDP, SigFieldLock), ISO 32000-1 §12.8.2, ISO 32000-2
//! §12.7.5.5.

use super::graph;
use crate::base::limits::PDF_FIELD_NAME_BYTES_MAX;
use lopdf::{Dictionary, Document};

/// The permissions of all signatures of a document taken together.
#[derive(Debug, Default)]
pub(super) struct Permissions {
    /// P = 1: no change at all. P = 2 and 3 allow signatures and form filling.
    pub(super) no_changes: bool,
    locks: Vec<Lock>,
    /// Names read so far.
    names: usize,
}

/// Names of locked fields that are read; beyond, everything is locked.
const NAMES_MAX: usize = 10_000;

/// Which fields a signature locks, by full name; a name stands for all below it.
#[derive(Debug)]
enum Lock {
    All,
    Include(Vec<String>),
    Exclude(Vec<String>),
}

impl Permissions {
    /// Collects what is said anywhere: a certification that is not reached the
    /// regular way is respected too.
    pub(super) fn of(doc: &Document) -> Self {
        let mut found = Self::default();
        for dict in graph::dictionaries(doc) {
            let params = graph::get_dict(doc, dict, b"TransformParams");
            match graph::get_name(doc, dict, b"TransformMethod") {
                Some(b"DocMDP") => found.level(doc, params),
                Some(b"FieldMDP") => {
                    // Not in the standard, but where Acrobat writes it.
                    found.level(doc, params);
                    found.lock(doc, params);
                }
                Some(_) | None => {}
            }
            // A lock binds once its field is signed.
            if graph::get_name(doc, dict, b"FT") == Some(b"Sig")
                && graph::get_dict(doc, dict, b"V").is_some()
            {
                let lock = graph::get_dict(doc, dict, b"Lock");
                found.level(doc, lock);
                found.lock(doc, lock.filter(|lock| lock.has(b"Action")));
            }
        }
        found
    }

    /// Whether the field of this full name may not be added, signed or filled.
    pub(super) fn locked(&self, field: &str) -> bool {
        let names = |list: &[String]| {
            list.iter().any(|name| {
                let rest = field.strip_prefix(name.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        };
        self.locks.iter().any(|lock| match lock {
            Lock::All => true,
            Lock::Include(list) => names(list),
            Lock::Exclude(list) => !names(list),
        })
    }

    fn level(&mut self, doc: &Document, params: Option<&Dictionary>) {
        let level = params.and_then(|params| graph::get_int(doc, params, b"P"));
        self.no_changes |= level == Some(1);
    }

    fn lock(&mut self, doc: &Document, params: Option<&Dictionary>) {
        let Some(params) = params else { return };
        let list = graph::get_array(doc, params, b"Fields");
        let list = list.map(Vec::as_slice).unwrap_or_default();
        self.names = self.names.saturating_add(list.len() + 1);
        let names = || {
            let names = list.iter().map(|name| graph::resolve(doc, name));
            let names = names.filter_map(|name| name.as_str().ok());
            let names = names.filter(|name| name.len() <= PDF_FIELD_NAME_BYTES_MAX);
            names.map(graph::text).collect()
        };
        match graph::get_name(doc, params, b"Action") {
            _ if self.names > NAMES_MAX => self.locks = vec![Lock::All],
            Some(b"Include") => self.locks.push(Lock::Include(names())),
            Some(b"Exclude") => self.locks.push(Lock::Exclude(names())),
            // What is not understood locks everything.
            Some(_) | None => self.locks.push(Lock::All),
        }
    }
}
