//! Reads a configuration table key by key and collects every fault, so that an
//! administrator mends a file in one pass.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::LazyLock;
use toml::{Table, Value};

/// One thing wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Dotted path of the key, such as `api.listen`, or a file.
    pub key: String,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.reason)
    }
}

/// The faults found so far.
#[derive(Debug, Default)]
pub(super) struct Faults(RefCell<BTreeSet<Fault>>);

impl Faults {
    pub(super) fn note(&self, key: impl Into<String>, reason: impl Into<String>) {
        self.0.borrow_mut().insert(Fault {
            key: key.into(),
            reason: reason.into(),
        });
    }

    pub(super) fn into_list(self) -> Vec<Fault> {
        self.0.into_inner().into_iter().collect()
    }
}

/// One table under reading. Keys nobody asked for are faults when it is dropped.
pub(super) struct Section<'a> {
    path: String,
    table: &'a Table,
    asked: RefCell<BTreeSet<&'a str>>,
    faults: &'a Faults,
}

impl<'a> Section<'a> {
    pub(super) fn new(path: &str, table: &'a Table, faults: &'a Faults) -> Self {
        Self {
            path: path.to_owned(),
            table,
            asked: RefCell::default(),
            faults,
        }
    }

    pub(super) fn key(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    pub(super) fn fault(&self, key: &str, reason: impl Into<String>) {
        self.faults.note(self.key(key), reason);
    }

    /// A table that the defaults always hold.
    pub(super) fn section(&self, key: &str) -> Section<'a> {
        static EMPTY: LazyLock<Table> = LazyLock::new(Table::new);
        let table = match self.value(key) {
            Some(Value::Table(table)) => table,
            Some(other) => {
                self.fault(key, format!("must be a table, not {}", other.type_str()));
                &EMPTY
            }
            None => &EMPTY,
        };
        Section::new(&self.key(key), table, self.faults)
    }

    pub(super) fn tables(&self, key: &str) -> Vec<Section<'a>> {
        let mut out = Vec::new();
        for (n, value) in self.list(key).iter().enumerate() {
            let name = format!("{}[{n}]", self.key(key));
            match value {
                Value::Table(table) => out.push(Section::new(&name, table, self.faults)),
                other => self
                    .faults
                    .note(name, format!("must be a table, not {}", other.type_str())),
            }
        }
        out
    }

    /// A text; absent (only possible in a list of tables) is a fault.
    pub(super) fn text(&self, key: &str) -> String {
        match self.value(key) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => {
                self.fault(key, format!("must be a text, not {}", other.type_str()));
                String::new()
            }
            None => {
                self.fault(key, "is missing");
                String::new()
            }
        }
    }

    /// A text that may be absent or empty.
    pub(super) fn optional(&self, key: &str) -> Option<String> {
        self.value(key)?;
        Some(self.text(key)).filter(|text| !text.is_empty())
    }

    pub(super) fn path(&self, key: &str) -> Option<PathBuf> {
        self.optional(key).map(PathBuf::from)
    }

    pub(super) fn texts(&self, key: &str) -> Vec<String> {
        let mut out = Vec::new();
        for value in self.list(key) {
            match value {
                Value::String(text) => out.push(text.clone()),
                other => self.fault(key, format!("must list texts, not {}", other.type_str())),
            }
        }
        out
    }

    /// A whole number within `range`.
    pub(super) fn number(&self, key: &str, range: std::ops::RangeInclusive<u64>) -> u64 {
        let number = match self.value(key) {
            Some(Value::Integer(number)) => u64::try_from(*number).ok(),
            _ => None,
        };
        match number.filter(|number| range.contains(number)) {
            Some(number) => number,
            None => {
                let reason = format!(
                    "must be a whole number from {} to {}",
                    range.start(),
                    range.end()
                );
                self.fault(key, reason);
                *range.start()
            }
        }
    }

    /// One of a few words.
    pub(super) fn word<'w>(&self, key: &str, words: &[&'w str]) -> &'w str {
        let text = self.text(key);
        match words.iter().find(|word| **word == text) {
            Some(word) => word,
            None => {
                self.fault(
                    key,
                    format!("is \"{text}\"; must be one of {}", words.join(", ")),
                );
                words[0]
            }
        }
    }

    fn list(&self, key: &str) -> &'a [Value] {
        match self.value(key) {
            Some(Value::Array(list)) => list,
            Some(other) => {
                self.fault(key, format!("must be a list, not {}", other.type_str()));
                &[]
            }
            None => &[],
        }
    }

    fn value(&self, key: &str) -> Option<&'a Value> {
        let (key, value) = self.table.get_key_value(key)?;
        self.asked.borrow_mut().insert(key);
        Some(value)
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        let asked = self.asked.borrow();
        for key in self.table.keys() {
            if !asked.contains(key.as_str()) {
                self.fault(key, "is not a known key");
            }
        }
    }
}
