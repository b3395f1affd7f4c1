//! What people and programs are shown of a document or an answer, as the pack
//! says.

use super::Title;
use crate::xml::path::{Path, Selected};
use roxmltree::Node;
use serde::{Deserialize, Serialize};

/// What a shown value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShowKind {
    /// A text, as it stands there.
    Text,
    /// A day, as `2026-01-31`.
    Date,
    /// Money, as a decimal.
    Amount,
    /// A decimal.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A patient's national number.
    Matricule,
}

impl ShowKind {
    /// The words of a pack, and their kinds.
    pub(super) const WORDS: [(&str, Self); 6] = [
        ("text", Self::Text),
        ("date", Self::Date),
        ("amount", Self::Amount),
        ("number", Self::Number),
        ("boolean", Self::Boolean),
        ("matricule", Self::Matricule),
    ];
}

/// Something to show.
#[derive(Debug, Clone)]
pub struct Show {
    /// Name for programs, `[a-z][a-z0-9_]*`.
    pub name: String,
    /// Name for people.
    pub label: Title,
    /// Whether it is personal data.
    pub personal: bool,
    /// What it is.
    pub what: ShowWhat,
}

/// One value or a list.
#[derive(Debug, Clone)]
pub enum ShowWhat {
    /// One value.
    Value {
        /// Where it stands.
        path: Path,
        /// What it is.
        kind: ShowKind,
    },
    /// A list of rows.
    List {
        /// Selects the rows.
        per: Path,
        /// What each row has; their paths start at the row.
        fields: Vec<Show>,
    },
}

/// A value shown. May be patient data: `Debug` shows its name alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Name for programs.
    pub name: String,
    /// Name for people.
    pub label: Title,
    /// Whether it is personal data.
    pub personal: bool,
    /// The value.
    pub value: ShownValue,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shown({})", self.name)
    }
}

/// One value or a list of rows.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ShownValue {
    /// One value.
    Text(String),
    /// Rows, each with the fields it has.
    List(Vec<Vec<Shown>>),
}

/// What `show` selects from `root`. What is absent or empty is left out. `read`
/// gives the text of a value of a kind.
pub(super) fn shown(
    show: &[Show],
    root: Node<'_, '_>,
    read: &mut dyn FnMut(ShowKind, Selected<'_, '_>) -> String,
) -> Vec<Shown> {
    let mut out = Vec::new();
    for one in show {
        let value = match &one.what {
            ShowWhat::Value { path, kind } => {
                let text = path.first(root).map(|found| read(*kind, found));
                text.filter(|text| !text.is_empty()).map(ShownValue::Text)
            }
            ShowWhat::List { per, fields } => {
                let rows = per.select(root).into_iter();
                let rows: Vec<_> = rows.map(|row| shown(fields, row, read)).collect();
                (!rows.is_empty()).then_some(ShownValue::List(rows))
            }
        };
        if let Some(value) = value {
            out.push(Shown {
                name: one.name.clone(),
                label: one.label.clone(),
                personal: one.personal,
                value,
            });
        }
    }
    out
}
