//! Reads a TOML table key by key and collects every fault, so that whoever wrote
//! the file mends it in one pass.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::LazyLock;
use time::{Date, Month};
use toml::{Table, Value};

/// One thing wrong with a file of settings.
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
pub struct Faults {
    found: RefCell<BTreeSet<Fault>>,
    #[cfg(test)]
    asked: RefCell<BTreeSet<String>>,
}

impl Faults {
    /// Adds a fault.
    pub fn note(&self, key: impl Into<String>, reason: impl Into<String>) {
        self.found.borrow_mut().insert(Fault {
            key: key.into(),
            reason: reason.into(),
        });
    }

    /// Whether there is none so far.
    pub fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }

    /// All of them, in the order of their keys.
    pub fn into_list(self) -> Vec<Fault> {
        self.found.into_inner().into_iter().collect()
    }

    /// Every key that was looked for, there or not.
    #[cfg(test)]
    pub fn asked(&self) -> BTreeSet<String> {
        self.asked.borrow().clone()
    }
}

/// One table under reading. Keys nobody asked for are faults when it is dropped.
pub struct Section<'a> {
    path: String,
    table: &'a Table,
    asked: RefCell<BTreeSet<&'a str>>,
    faults: &'a Faults,
}

impl<'a> Section<'a> {
    /// The table at a dotted path; the root has the empty one.
    pub fn new(path: &str, table: &'a Table, faults: &'a Faults) -> Self {
        Self {
            path: path.to_owned(),
            table,
            asked: RefCell::default(),
            faults,
        }
    }

    /// The dotted path of a key of this table.
    pub fn key(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Notes a fault of a key of this table.
    pub fn fault(&self, key: &str, reason: impl Into<String>) {
        self.faults.note(self.key(key), reason);
    }

    /// A table that the defaults always hold.
    pub fn section(&self, key: &str) -> Section<'a> {
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

    /// Whether the key is there.
    pub fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// A table that may be absent.
    pub fn some_section(&self, key: &str) -> Option<Section<'a>> {
        self.has(key).then(|| self.section(key))
    }

    /// The tables in a table whose keys are free, by name.
    pub fn named(&self, key: &str) -> Vec<(&'a str, Section<'a>)> {
        let section = self.section(key);
        let names = section.names().into_iter();
        names.map(|name| (name, section.section(name))).collect()
    }

    /// The keys of this table.
    pub fn names(&self) -> Vec<&'a str> {
        self.table.keys().map(String::as_str).collect()
    }

    /// A list of tables; absent is an empty one.
    pub fn tables(&self, key: &str) -> Vec<Section<'a>> {
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

    /// A text; absent is a fault.
    pub fn text(&self, key: &str) -> String {
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
    pub fn optional(&self, key: &str) -> Option<String> {
        self.value(key)?;
        Some(self.text(key)).filter(|text| !text.is_empty())
    }

    /// A path that may be absent or empty.
    pub fn path(&self, key: &str) -> Option<PathBuf> {
        self.optional(key).map(PathBuf::from)
    }

    /// A list of texts; absent is an empty one.
    pub fn texts(&self, key: &str) -> Vec<String> {
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
    pub fn number(&self, key: &str, range: std::ops::RangeInclusive<u64>) -> u64 {
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

    /// A number, whole or not, within `range`.
    pub fn decimal(&self, key: &str, range: std::ops::RangeInclusive<f64>) -> f64 {
        let number = match self.value(key) {
            Some(Value::Integer(number)) => Some(*number as f64),
            Some(Value::Float(number)) => Some(*number),
            _ => None,
        };
        match number.filter(|number| range.contains(number)) {
            Some(number) => number,
            None => {
                let reason = format!("must be a number from {} to {}", range.start(), range.end());
                self.fault(key, reason);
                *range.start()
            }
        }
    }

    /// A whole number within `range`, which may be negative; absent is `None`.
    pub fn some_whole(&self, key: &str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let number = match self.value(key)? {
            Value::Integer(number) => Some(*number),
            _ => None,
        };
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let (from, to) = (range.start(), range.end());
            self.fault(key, format!("must be a whole number from {from} to {to}"));
        }
        number
    }

    /// `true` or `false`; absent is `None`.
    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.value(key)? {
            Value::Boolean(flag) => Some(*flag),
            other => {
                self.fault(
                    key,
                    format!("must be true or false, not {}", other.type_str()),
                );
                None
            }
        }
    }

    /// A day without a time; absent is `None`.
    pub fn day(&self, key: &str) -> Option<Date> {
        let value = self.value(key)?;
        let day = match value {
            Value::Datetime(toml::value::Datetime {
                date: Some(date),
                time: None,
                offset: None,
            }) => Month::try_from(date.month)
                .and_then(|month| Date::from_calendar_date(date.year.into(), month, date.day))
                .ok(),
            _ => None,
        };
        if day.is_none() {
            self.fault(key, "must be a day such as 2026-01-31, without quotes");
        }
        day
    }

    /// One of a few words, the first when it is absent.
    pub fn word_or_first<'w>(&self, key: &str, words: &[&'w str]) -> &'w str {
        match self.value(key) {
            Some(_) => self.word(key, words),
            None => words[0],
        }
    }

    /// One of a few words.
    pub fn word<'w>(&self, key: &str, words: &[&'w str]) -> &'w str {
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
        #[cfg(test)]
        self.faults.asked.borrow_mut().insert(self.key(key));
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
