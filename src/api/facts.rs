//! What is shown of documents and answers, as the form's pack says.

use super::problem::Texts;
use crate::forms::{Shown, ShownValue, Title};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Something a document or an answer says.
#[derive(Debug, Serialize, ToSchema)]
pub struct Fact {
    /// Name for programs.
    name: String,
    /// Name for people.
    label: Texts,
    /// Whether it is personal data.
    personal: bool,
    /// The value.
    value: FactValue,
}

/// One value as text, or a list of rows.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum FactValue {
    /// One value: a text, a decimal, a day as `2026-01-31`, `true` or `false`.
    Text(String),
    /// Rows, each with the fields it has.
    #[schema(no_recursion)]
    List(Vec<Vec<Fact>>),
}

impl From<Title> for Texts {
    fn from(Title { fr, de, en }: Title) -> Self {
        Self { fr, de, en }
    }
}

impl From<Shown> for Fact {
    fn from(shown: Shown) -> Self {
        Self {
            name: shown.name,
            label: shown.label.into(),
            personal: shown.personal,
            value: match shown.value {
                ShownValue::Text(text) => FactValue::Text(text),
                ShownValue::List(rows) => {
                    let row = |row: Vec<Shown>| row.into_iter().map(Fact::from).collect();
                    FactValue::List(rows.into_iter().map(row).collect())
                }
            },
        }
    }
}

/// Facts as they were kept; a damaged body must not hide the rest.
pub(super) fn read(kept: Option<Vec<u8>>) -> Vec<Fact> {
    let shown = serde_json::from_slice(&kept.unwrap_or_default());
    let shown: Vec<Shown> = shown.unwrap_or_default();
    shown.into_iter().map(Fact::from).collect()
}

/// What the receiver's verdict says.
#[derive(Debug, Serialize, ToSchema)]
pub struct Answer {
    /// Whether it accepted the document.
    accepted: bool,
    /// Its id of the document.
    #[serde(skip_serializing_if = "Option::is_none")]
    insurer_id: Option<String>,
    /// What it objects to or notes, in its own words.
    anomalies: Vec<Anomaly>,
    /// What else it says, as the form's pack shows it.
    facts: Vec<Fact>,
}

/// Something the receiver objects to or notes.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Anomaly {
    /// Its kind, as the receiver calls it; `fault` for a refusal by a fault.
    kind: String,
    /// The receiver's code.
    code: String,
    /// The receiver's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The line of the document it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<String>,
}

#[derive(Deserialize)]
struct Reading {
    accepted: bool,
    insurer_id: Option<String>,
    anomalies: Vec<Anomaly>,
    facts: Vec<Shown>,
}

/// A verdict as it was kept.
pub(super) fn read_answer(kept: Option<Vec<u8>>) -> Option<Answer> {
    let reading: Reading = serde_json::from_slice(&kept?).ok()?;
    Some(Answer {
        accepted: reading.accepted,
        insurer_id: reading.insurer_id,
        anomalies: reading.anomalies,
        facts: reading.facts.into_iter().map(Fact::from).collect(),
    })
}
