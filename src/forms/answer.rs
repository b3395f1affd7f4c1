//! The words of the receiver: its verdict on a document, and how to ask what
//! became of one.

use super::check::lenient;
use super::manifest::UUID_MARK;
use super::pack::AnswerPaths;
use super::show::{self, Shown, ShownValue};
use super::{FormsError, Pack};
use crate::base::Uuid4;
use crate::xml::path::{Name, Path, Selected};
use crate::xml::{name_of, parse};
use roxmltree::{Document, Node};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

/// The receiver's verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The document it is about; the caller compares it with the one sent.
    #[serde(serialize_with = "as_text")]
    pub uuid: Uuid4,
    /// The receiver's own identifier, needed for a later cancellation.
    pub insurer_id: Option<String>,
    /// Whether the document was accepted.
    pub accepted: bool,
    /// What the receiver remarked, word for word.
    pub anomalies: Vec<Anomaly>,
    /// What the pack shows of it.
    pub shown: Vec<Shown>,
}

/// A remark of the receiver, passed on intact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Anomaly {
    /// Its kind, in the receiver's words; empty when it has none.
    pub kind: String,
    /// Its code.
    pub code: String,
    /// Its text, when there is one.
    pub text: Option<String>,
    /// The line of the document it is about, in the receiver's words.
    pub line: Option<String>,
}

/// What the receiver says about a UUID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The UUID asked about.
    pub uuid: Uuid4,
    /// Whether the receiver knows it.
    pub known: bool,
    /// The verdict, repeated, when there is one.
    pub answer: Option<Answer>,
}

fn as_text<S: Serializer>(uuid: &Uuid4, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(uuid)
}

impl Pack {
    /// Reads the answer to a document. Only a clear verdict is one: an answer
    /// with another status word than the pack's two is an error, never a
    /// refusal. The schema is not applied, so that a remark of an unforeseen
    /// form cannot hide an acceptance.
    pub fn answer(&self, operation: &str, xml: &[u8]) -> Result<Answer, FormsError> {
        let paths = &self.operation(operation)?.answer;
        let document = parse(xml).map_err(FormsError::AnswerParse)?;
        read_answer(paths, root(&document, &paths.root)?)
    }

    /// The request that asks what became of a document.
    pub fn status_request(&self, operation: &str, uuid: &Uuid4) -> Result<Vec<u8>, FormsError> {
        let service = self.status_service(operation)?;
        let request = service.request.replace(UUID_MARK, &uuid.to_string());
        Ok(request.into_bytes())
    }

    /// Reads the answer to a status request.
    pub fn status_answer(&self, operation: &str, xml: &[u8]) -> Result<Status, FormsError> {
        let service = self.status_service(operation)?;
        let document = parse(xml).map_err(FormsError::AnswerParse)?;
        let root = root(&document, &service.root)?;
        let known = match required(&service.known, root, "known")?.as_str() {
            "true" | "1" => true,
            "false" | "0" => false,
            other => return Err(FormsError::Answer(format!("`{other}` is no truth value"))),
        };
        let answer = service.answer.first(root);
        let answer = answer
            .map(|found| read_answer(&self.operation(operation)?.answer, found.node))
            .transpose()?;
        Ok(Status {
            uuid: uuid(&service.uuid, root)?,
            known,
            answer,
        })
    }

    /// What is read out of an answer or a status answer, as the file
    /// `<name>.answer.json` beside an example of it has it.
    pub fn read_example(&self, operation: &str, xml: &[u8]) -> Result<Value, FormsError> {
        let document = parse(xml).map_err(FormsError::AnswerParse)?;
        let service = self.operation(operation)?.status.as_ref();
        if !service.is_some_and(|service| service.root.matches(document.root_element())) {
            return Ok(told(&self.answer(operation, xml)?));
        }
        let status = self.status_answer(operation, xml)?;
        Ok(json!({
            "uuid": status.uuid.to_string(),
            "known": status.known,
            "answer": status.answer.as_ref().map(told),
        }))
    }

    /// An operation by name.
    pub fn operation(&self, name: &str) -> Result<&super::Operation, FormsError> {
        let found = self.operations.get(name);
        found.ok_or_else(|| FormsError::NoSuchOperation(format!("operation {name}")))
    }

    fn status_service(&self, name: &str) -> Result<&super::StatusService, FormsError> {
        let service = self.operation(name)?.status.as_ref();
        service.ok_or_else(|| FormsError::NoSuchOperation(format!("status service for {name}")))
    }
}

fn told(answer: &Answer) -> Value {
    json!({
        "uuid": answer.uuid.to_string(),
        "accepted": answer.accepted,
        "insurer_id": answer.insurer_id,
        "anomalies": answer.anomalies,
        "shown": by_name(&answer.shown),
    })
}

/// What is shown by name, for people to read.
fn by_name(values: &[Shown]) -> Value {
    let value = |one: &Shown| match &one.value {
        ShownValue::Text(text) => json!(text),
        ShownValue::List(rows) => rows.iter().map(|row| by_name(row)).collect(),
    };
    let named = values.iter().map(|one| (one.name.clone(), value(one)));
    Value::Object(named.collect())
}

fn root<'a>(document: &'a Document<'a>, name: &Name) -> Result<Node<'a, 'a>, FormsError> {
    let root = document.root_element();
    if !name.matches(root) {
        let found: String = name_of(root).chars().take(60).collect();
        let reason = format!("its root is {found}, not {}", name.local);
        return Err(FormsError::Answer(reason));
    }
    Ok(root)
}

fn read_answer(paths: &AnswerPaths, root: Node<'_, '_>) -> Result<Answer, FormsError> {
    let accepted = match &paths.status {
        None => true,
        Some(status) => verdict(paths, &required(status, root, "status")?)?,
    };
    let mut anomalies = Vec::new();
    if let Some(paths) = &paths.anomaly {
        for node in paths.each.select(root) {
            let text = |path: &Option<Path>| some(path.as_ref(), node);
            anomalies.push(Anomaly {
                kind: text(&paths.kind).unwrap_or_default(),
                code: some(Some(&paths.code), node).unwrap_or_default(),
                text: text(&paths.text),
                line: text(&paths.line),
            });
        }
    }
    Ok(Answer {
        uuid: uuid(&paths.uuid, root)?,
        insurer_id: some(paths.insurer_id.as_ref(), root),
        accepted,
        anomalies,
        shown: show::shown(&paths.show, root, &mut lenient),
    })
}

fn verdict(paths: &AnswerPaths, status: &str) -> Result<bool, FormsError> {
    let is_of = |words: &[String]| words.iter().any(|word| word == status);
    if is_of(&paths.accepted) {
        return Ok(true);
    }
    if is_of(&paths.refused) {
        return Ok(false);
    }
    let shown = crate::xml::xsd::cut_value(status);
    Err(FormsError::Answer(format!("`{shown}` is no known verdict")))
}

/// A text that may be absent; an empty one says nothing.
fn some(path: Option<&Path>, node: Node<'_, '_>) -> Option<String> {
    let found = path?.first(node)?;
    Some(found.text()).filter(|text| !text.is_empty())
}

fn required(path: &Path, root: Node<'_, '_>, what: &str) -> Result<String, FormsError> {
    let found = path.first(root).as_ref().map(Selected::text);
    found
        .filter(|text| !text.is_empty())
        .ok_or_else(|| FormsError::Answer(format!("it has no {what}")))
}

fn uuid(path: &Path, root: Node<'_, '_>) -> Result<Uuid4, FormsError> {
    let text = required(path, root, "UUID")?;
    text.parse()
        .map_err(|error| FormsError::Answer(format!("its UUID {error}")))
}
