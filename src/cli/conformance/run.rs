//! A run: hands the examples in under fresh UUIDs and looks at what becomes of
//! them, case by case.

use super::super::evidence::Service;
use super::examples::{Example, Examples};
use super::said::Said;
use crate::base::Uuid4;
use crate::base::clock::parse_rfc3339;
use crate::forms::{Code, Operation, Pack, RefersBy};
use crate::http::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{Cursor, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use zip::ZipArchive;

/// How often a submission under way is looked at.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Who verifies (DSR 5.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum Verifier {
    /// Signature, timestamp, uniqueness.
    #[serde(rename = "INCERT")]
    Incert,
    /// Document and rules.
    #[serde(rename = "CNS")]
    Cns,
    /// Arrival, identifiers, correlation.
    #[serde(rename = "CISS")]
    Ciss,
    /// Authentication.
    #[serde(rename = "AeS")]
    Aes,
}

/// One thing looked at.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub(super) verifier: Verifier,
    pub(super) what: &'static str,
    pub(super) found: String,
    pub(super) passed: bool,
}

/// What one case showed. No content of a document stands here.
#[derive(Debug, Serialize)]
pub(super) struct Case {
    pub(super) number: usize,
    pub(super) form: String,
    pub(super) version: String,
    pub(super) operation: String,
    pub(super) kind: &'static str,
    pub(super) example: String,
    pub(super) uuid: Option<String>,
    pub(super) insurer_id: Option<String>,
    pub(super) correlation_id: Option<String>,
    pub(super) sent_at: Option<String>,
    pub(super) answered_at: Option<String>,
    pub(super) evidence: Option<String>,
    pub(super) checks: Vec<Check>,
}

impl Case {
    pub(super) fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.passed)
    }

    fn check(
        &mut self,
        verifier: Verifier,
        what: &'static str,
        passed: bool,
        found: impl Into<String>,
    ) {
        let found = found.into();
        self.checks.push(Check {
            verifier,
            what,
            found,
            passed,
        });
    }
}

/// A document of its own, made of an example.
struct Draft {
    uuid: String,
    xml: String,
    pdf: Option<Vec<u8>>,
}

pub(super) struct Run<'a> {
    pub(super) service: &'a Service<'a>,
    /// Stands in for the sender of the examples.
    pub(super) practitioner: &'a str,
    /// Longest wait for an answer.
    pub(super) patience: Duration,
    /// Where archives go.
    pub(super) folder: PathBuf,
    pub(super) cases: Vec<Case>,
}

impl Run<'_> {
    /// All cases of an operation.
    pub(super) fn operation(
        &mut self,
        pack: &Arc<Pack>,
        name: &str,
        examples: &BTreeMap<String, Examples>,
    ) -> Result<(), Box<dyn Error>> {
        let Some(own) = examples.get(name) else {
            return Ok(());
        };
        for example in &own.valid {
            self.accepted(pack, name, example, examples)?;
        }
        match own.valid.first() {
            Some(example) => self.repeated(pack, name, example, examples)?,
            None => {
                let mut case = self.case(pack, name, "accepted", "–");
                case.check(Verifier::Cns, "exemple valide", false, "aucun");
                self.cases.push(case);
            }
        }
        for example in &own.invalid {
            self.refused(pack, name, example)?;
        }
        Ok(())
    }

    fn case(&self, pack: &Pack, operation: &str, kind: &'static str, example: &str) -> Case {
        Case {
            number: self.cases.len() + 1,
            form: pack.form.clone(),
            version: pack.version.clone(),
            operation: operation.to_owned(),
            kind,
            example: example.to_owned(),
            uuid: None,
            insurer_id: None,
            correlation_id: None,
            sent_at: None,
            answered_at: None,
            evidence: None,
            checks: Vec::new(),
        }
    }

    /// A case that begins with a valid example going the whole way; `judge` says
    /// what is looked at then.
    fn whole_way(
        &mut self,
        pack: &Arc<Pack>,
        (operation, kind): (&str, &'static str),
        example: &Example,
        examples: &BTreeMap<String, Examples>,
        judge: impl FnOnce(&Self, &mut Case, Draft, Value) -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        let mut case = self.case(pack, operation, kind, &example.name);
        match self.sent(pack, operation, example, examples) {
            Ok((draft, submission)) => {
                case.uuid = Some(draft.uuid.clone());
                judge(self, &mut case, draft, submission)?;
            }
            Err(error) => case.check(Verifier::Cns, "document accepté", false, error.to_string()),
        }
        self.cases.push(case);
        Ok(())
    }

    /// What is known of an accepted example, and its archive.
    fn accepted(
        &mut self,
        pack: &Arc<Pack>,
        operation: &str,
        example: &Example,
        examples: &BTreeMap<String, Examples>,
    ) -> Result<(), Box<dyn Error>> {
        let way = (operation, "accepted");
        self.whole_way(
            pack,
            way,
            example,
            examples,
            |run, case, draft, submission| {
                let archive = run.save(case, &draft.uuid)?;
                look(case, &submission, &archive, pack.operations.get(operation))
            },
        )
    }

    /// The same again, other bytes under the same UUID, and where the form says
    /// so a second document about the same thing.
    fn repeated(
        &mut self,
        pack: &Arc<Pack>,
        operation: &str,
        example: &Example,
        examples: &BTreeMap<String, Examples>,
    ) -> Result<(), Box<dyn Error>> {
        let way = (operation, "repeated");
        self.whole_way(pack, way, example, examples, |run, case, draft, _| {
            let again = run.hand_in(pack, operation, &draft)?;
            case.check(
                Verifier::Incert,
                "unicité : renvoi identique, un seul document",
                again.status == 200,
                Said::by(&again).to_string(),
            );
            let other = Draft {
                xml: format!("{}\n", draft.xml),
                ..draft
            };
            let conflict = Said::by(&run.hand_in(pack, operation, &other)?);
            case.check(
                Verifier::Incert,
                "unicité : même UUID, autre contenu refusé",
                conflict.is(409, "uuid-conflict"),
                conflict.to_string(),
            );
            let submission = run.submission(&other.uuid)?;
            let sent = count(&submission, "receipted") + count(&submission, "rejected");
            case.check(
                Verifier::Incert,
                "unicité : une seule réponse",
                sent == 1,
                format!("{sent}"),
            );
            run.only_once(case, pack, operation, other)
        })
    }

    fn only_once(
        &self,
        case: &mut Case,
        pack: &Pack,
        operation: &str,
        draft: Draft,
    ) -> Result<(), Box<dyn Error>> {
        let rules = pack
            .operations
            .get(operation)
            .map(|declared| declared.refers.as_slice());
        if !rules
            .unwrap_or_default()
            .iter()
            .any(|rule| rule.once.is_some())
        {
            return Ok(());
        }
        let fresh = Uuid4::random().to_string();
        let second = Draft {
            xml: draft.xml.replace(&draft.uuid, &fresh),
            uuid: fresh,
            pdf: draft.pdf,
        };
        let said = Said::by(&self.hand_in(pack, operation, &second)?);
        case.check(
            Verifier::Cns,
            "corrélation : second document sur le même objet refusé",
            said.refuses_for(Code::FormCorrelation.as_str()),
            said.to_string(),
        );
        Ok(())
    }

    /// An invalid example is refused with its fault and leaves nothing.
    fn refused(
        &mut self,
        pack: &Arc<Pack>,
        operation: &str,
        example: &Example,
    ) -> Result<(), Box<dyn Error>> {
        let mut case = self.case(pack, operation, "refused", &example.name);
        let draft = Draft {
            uuid: String::new(),
            xml: String::from_utf8_lossy(&example.xml).into_owned(),
            pdf: Some(example.pdf.clone()).filter(|_| takes_pdf(pack, operation)),
        };
        let answer = self.hand_in(pack, operation, &draft)?;
        let said = Said::by(&answer);
        case.check(
            Verifier::Cns,
            "document invalide refusé avant signature",
            said.refuses_document(),
            said.to_string(),
        );
        self.cases.push(case);
        Ok(())
    }

    /// Hands an example in as a document of its own and waits for its end.
    fn sent(
        &self,
        pack: &Arc<Pack>,
        operation: &str,
        example: &Example,
        examples: &BTreeMap<String, Examples>,
    ) -> Result<(Draft, Value), Box<dyn Error>> {
        let draft = self.draft(pack, operation, example, examples)?;
        let answer = self.hand_in(pack, operation, &draft)?;
        if !matches!(answer.status, 200 | 202) {
            return Err(Said::by(&answer).to_string().into());
        }
        let started = Instant::now();
        loop {
            let submission = self.submission(&draft.uuid)?;
            match submission["state"].as_str().unwrap_or_default() {
                "receipted" => return Ok((draft, submission)),
                "rejected" => {
                    let codes =
                        event(&submission, "rejected").map(|step| step["detail"]["codes"].clone());
                    return Err(format!(
                        "refusé par le destinataire : {}",
                        codes.unwrap_or_default()
                    )
                    .into());
                }
                state if started.elapsed() > self.patience => {
                    let wait = &submission["waiting"]["code"];
                    return Err(
                        format!("sans réponse après {:?} : {state} {wait}", self.patience).into(),
                    );
                }
                _ => std::thread::sleep(LOOK_PAUSE),
            }
        }
    }

    /// A document of an example: under a UUID and a sender of its own, and about
    /// documents sent before.
    fn draft(
        &self,
        pack: &Arc<Pack>,
        operation: &str,
        example: &Example,
        examples: &BTreeMap<String, Examples>,
    ) -> Result<Draft, Box<dyn Error>> {
        let checked = pack
            .check(operation, &example.xml)
            .map_err(|rejected| format!("{} fautes", rejected.findings.len()))?;
        let facts = &checked.facts;
        let uuid = Uuid4::random().to_string();
        let mut xml = String::from_utf8(example.xml.clone())?;
        for referred in &facts.references {
            let rules = pack
                .operations
                .get(operation)
                .map(|declared| &declared.refers);
            let rule = rules
                .and_then(|rules| rules.get(referred.rule))
                .ok_or("no such reference")?;
            let earlier = rule.operations.first().ok_or("a reference to nothing")?;
            let first = examples
                .get(earlier)
                .and_then(|examples| examples.valid.first());
            let first = first.ok_or_else(|| format!("no example of {earlier}"))?;
            let (sent, submission) = self.sent(pack, earlier, first, examples)?;
            let name = match rule.by {
                RefersBy::Uuid => sent.uuid,
                RefersBy::InsurerId => submission["insurer_id"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
            };
            xml = xml.replace(&referred.value, &name);
        }
        xml = xml.replace(facts.code_prestataire.as_str(), self.practitioner);
        Ok(Draft {
            xml: xml.replace(&facts.uuid.to_string(), &uuid),
            uuid,
            pdf: match checked.embedded_pdf {
                None if takes_pdf(pack, operation) => Some(example.pdf.clone()),
                None | Some(_) => None,
            },
        })
    }

    fn hand_in(
        &self,
        pack: &Pack,
        operation: &str,
        draft: &Draft,
    ) -> Result<Response, Box<dyn Error>> {
        let body =
            json!({ "xml": draft.xml, "pdf": draft.pdf.as_ref().map(|pdf| STANDARD.encode(pdf)) });
        let path = format!(
            "/v1/forms/{}/{operation}?version={}",
            pack.form, pack.version
        );
        self.service.call(&path, Some(&body))
    }

    fn submission(&self, uuid: &str) -> Result<Value, Box<dyn Error>> {
        let answer = self
            .service
            .call(&format!("/v1/submissions/{uuid}"), None)?;
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// Keeps the archive of a document beside the report.
    fn save(&self, case: &mut Case, uuid: &str) -> Result<Vec<u8>, Box<dyn Error>> {
        let answer = self
            .service
            .call(&format!("/v1/submissions/{uuid}/evidence"), None)?;
        if answer.status != 200 {
            return Err(Said::by(&answer).to_string().into());
        }
        let name = format!("{:04}-{uuid}.zip", case.number);
        std::fs::write(self.folder.join(&name), &answer.body)?;
        case.evidence = Some(name);
        Ok(answer.body)
    }
}

fn takes_pdf(pack: &Pack, operation: &str) -> bool {
    let declared = pack.operations.get(operation);
    declared.is_some_and(|declared| declared.document.is_some())
}

fn event<'a>(submission: &'a Value, word: &str) -> Option<&'a Value> {
    let history = submission["history"].as_array()?;
    history.iter().find(|step| step["event"] == word)
}

fn count(submission: &Value, word: &str) -> usize {
    let history = submission["history"].as_array();
    let steps = history.map(Vec::as_slice).unwrap_or_default().iter();
    steps.filter(|step| step["event"] == word).count()
}

/// What the archive and the submission show of a document that was accepted.
fn look(
    case: &mut Case,
    submission: &Value,
    archive: &[u8],
    declared: Option<&Operation>,
) -> Result<(), Box<dyn Error>> {
    let mut archive = ZipArchive::new(Cursor::new(archive))?;
    let mut json = |name: &str| -> Result<Value, Box<dyn Error>> {
        let mut text = String::new();
        archive.by_name(name)?.read_to_string(&mut text)?;
        Ok(serde_json::from_str(&text)?)
    };
    if declared.is_some_and(|declared| declared.signature.is_some()) {
        let report = json("validation-xml.json")?;
        judged(case, "signature XML (EN 319 102-1)", &report);
        stamped(case, &report["signatures"][0]["timestamp"]);
    }
    if declared.is_some_and(|declared| declared.document.is_some()) {
        let report = json("validation-pdf.json")?;
        judged(case, "signature PDF (EN 319 102-1)", &report);
    }
    let manifest = json("manifest.json")?;
    let files = manifest["files"].as_array().map(Vec::as_slice);
    let held = |name: &str| {
        let mut files = files.unwrap_or_default().iter();
        files.any(|file| file["name"] == name)
    };
    let is_held = held("answer.xml") && held("envelope.xml");
    let names = "answer.xml, envelope.xml";
    case.check(
        Verifier::Ciss,
        "accusé de réception signé conservé",
        is_held,
        names,
    );
    exchanged(case, submission, declared);
    Ok(())
}

/// What the submission says of its exchange.
fn exchanged(case: &mut Case, submission: &Value, declared: Option<&Operation>) {
    let text = |key: &str| submission[key].as_str().map(str::to_owned);
    let at = |word: &str| {
        let at = event(submission, word)?["at"].as_str()?;
        Some(at.to_owned())
    };
    let state = text("state").unwrap_or_default();
    let accepted = state == "receipted";
    case.check(Verifier::Cns, "document accepté", accepted, state);
    let insurer_id = text("insurer_id");
    if declared.is_none_or(|declared| declared.answer.insurer_id.is_some()) {
        let found = insurer_id.clone().unwrap_or_default();
        case.check(
            Verifier::Ciss,
            "identifiant du destinataire",
            insurer_id.is_some(),
            found,
        );
    }
    let correlation_id = text("correlation_id");
    let found = correlation_id.clone().unwrap_or_default();
    case.check(
        Verifier::Ciss,
        "identifiant de corrélation",
        correlation_id.is_some(),
        found,
    );
    let (sent, answered) = (at("sending"), at("receipted"));
    let or_none = |at: &Option<String>| at.clone().unwrap_or_else(|| "–".to_owned());
    let times = format!("{} → {}", or_none(&sent), or_none(&answered));
    let is_whole = sent.is_some() && answered.is_some();
    case.check(
        Verifier::Aes,
        "authentification acceptée, échange abouti",
        is_whole,
        times,
    );
    (case.insurer_id, case.correlation_id) = (insurer_id, correlation_id);
    (case.sent_at, case.answered_at) = (sent, answered);
}

fn stamped(case: &mut Case, stamp: &Value) {
    let time = stamp["gen_time"].as_str().unwrap_or_default();
    let by = stamp["authority"][0]["subject"].as_str();
    let passed = stamp["indication"] == "PASSED" && parse_rfc3339(time).is_some();
    let found = format!("{time} {}", by.unwrap_or_default());
    case.check(Verifier::Incert, "horodatage (RFC 3161)", passed, found);
}

fn judged(case: &mut Case, what: &'static str, report: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let level = text(&report["signatures"][0]["level"]);
    let signer = text(&report["signatures"][0]["signer"][0]["sha256"]);
    let signer: String = signer.chars().take(16).collect();
    let verdict = text(&report["indication"]);
    let found = format!("{verdict} {level}, certificat {signer}…");
    case.check(Verifier::Incert, what, verdict == "TOTAL-PASSED", found);
}
