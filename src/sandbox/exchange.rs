//! The exchange: finds form and operation by their model, judges the document,
//! has the service of the form decide, keeps it, answers; and says what became
//! of one.

use crate::Sandbox;
use crate::anomaly::{Anomaly, Rule};
use crate::answer::{self, Tree};
use crate::dialogue;
use crate::dom::{self, DomError, SYNC};
use crate::environment::{ASSOCIATION, MEMBERS};
use crate::ledger::{Arrival, Decision, Entry, Received, Verdict};
use crate::pades_check;
use crate::reply::Reply;
use crate::scenario::{Blow, Fault as Blown, Point};
use crate::services::{self, Case, Service};
use crate::soap::{Code, Fault};
use crate::sts;
use crate::wss::Verified;
use crate::xades_check::Judge;
use base64::Engine;
use roxmltree::{Document, Node};
use sceau::base::{Uuid4, hold};
use sceau::forms::{CodePrestataire, EnvironmentKind, Facts, Operation, Pack};
use sceau::xml::path::{Name, Path};
use sceau::xml::{self, escape_attribute};
use std::sync::Arc;

/// Anomaly code of a refusal by scenario that names none.
const REFUSED: &str = "SBX-999";

impl From<std::io::Error> for Fault {
    fn from(fault: std::io::Error) -> Self {
        Self::Business(Code::Internal, fault.to_string())
    }
}

/// Handles a request whose message signature is good.
pub fn handle(sandbox: &Sandbox, request: &Verified<'_, '_>) -> Reply {
    match route(sandbox, request) {
        Ok(reply) => reply,
        Err(fault) => fault.reply(),
    }
}

fn route(sandbox: &Sandbox, request: &Verified<'_, '_>) -> Result<Reply, Fault> {
    let token = request.carried.ok_or_else(|| {
        Fault::Security(
            "SecurityTokenUnavailable",
            "the token is missing".to_owned(),
        )
    })?;
    let code = sts::check(sandbox, token, &request.sender)?;
    if sandbox.is_blocked(&code) {
        return Err(Fault::blocked());
    }
    let info = request.payload;
    if !dom::is(info, SYNC, "RequestInfo") {
        return Err(Fault::Client("expected a RequestInfo".to_owned()));
    }
    let model = dom::attribute(info, "modelUID").map_err(client)?;
    let payload = dom::sole_element(info).map_err(client)?;
    // The bytes as they were sent: a signature covers them as they are.
    let source = payload.document().input_text();
    let bytes = source.get(payload.range()).unwrap_or_default().as_bytes();
    let packs = sandbox.packs();
    let kind = EnvironmentKind::Sandbox;
    for (pack, name, operation) in packs.iter().flat_map(operations) {
        let exchange = Exchange {
            sandbox,
            pack,
            name,
            operation,
            model,
            code: &code,
        };
        if operation.model_id(kind) == Some(model) {
            return exchange.document(bytes);
        }
        let status = operation.status.as_ref();
        if status.is_some_and(|s| s.model_id(kind) == Some(model)) {
            return exchange.status(bytes);
        }
    }
    let text = format!("no model {model}");
    Err(Fault::Business(Code::UnknownModel, text))
}

fn operations(pack: &Arc<Pack>) -> impl Iterator<Item = (&Pack, &str, &Operation)> {
    let all = pack.operations.iter();
    all.map(move |(name, operation)| (&**pack, name.as_str(), operation))
}

fn client(fault: DomError) -> Fault {
    Fault::Client(fault.0)
}

fn invalid(text: impl Into<String>) -> Fault {
    Fault::Business(Code::SchemaInvalid, text.into())
}

/// A refusal in place of what a service decided.
fn refusal(anomalies: Vec<Anomaly>, decision: Decision) -> Decision {
    Decision {
        anomalies,
        refers_to: decision.refers_to,
        ..Decision::default()
    }
}

/// One call of a known model by the holder of a token.
struct Exchange<'a> {
    sandbox: &'a Sandbox,
    pack: &'a Pack,
    name: &'a str,
    operation: &'a Operation,
    model: &'a str,
    code: &'a str,
}

impl Exchange<'_> {
    fn document(&self, bytes: &[u8]) -> Result<Reply, Fault> {
        let blow = self.sandbox.scenarios.strike(Point::Exchange);
        if let Some(reply) = dialogue::before(blow.as_ref()) {
            return Ok(reply);
        }
        let service = services::of(&self.pack.namespace, self.name);
        if service.engine && self.sandbox.scenarios.strike(Point::RulesEngine).is_some() {
            let text = "the rules engine is down".to_owned();
            return Err(Fault::Business(Code::Unavailable, text));
        }
        let facts = self.judge(bytes)?;
        let matricule = facts.matricule.as_deref();
        let consent = !service.consent || self.sandbox.has_consent(matricule);
        let arrival = Arrival {
            uuid: facts.uuid.to_string(),
            code_prestataire: self.code.to_owned(),
            form: self.pack.form.clone(),
            operation: self.name.to_owned(),
            model: self.model.to_owned(),
            bytes,
        };
        let doc = xml::parse(bytes).map_err(|e| invalid(e.to_string()))?;
        let now = self.sandbox.now();
        let received = self.sandbox.ledger.receive(&arrival, now, |book, secu_id| {
            let case = Case {
                root: doc.root_element(),
                namespace: &self.pack.namespace,
                form: &self.pack.form,
                code: self.code,
                secu_id,
                book,
                consent,
            };
            let mut decision = (service.decide)(&case).map_err(|e| invalid(e.0))?;
            if self.is_of_strangers(&facts) {
                decision = refusal(vec![Rule::NotAMember.anomaly(None)], decision);
            }
            Ok::<_, Fault>(self.by_scenario(decision, blow.as_ref()))
        });
        hold::point("insurer-accepted");
        match received? {
            Received::Before => {
                let text = format!("{} was received before", facts.uuid);
                Err(Fault::Business(Code::DuplicateUuid, text))
            }
            Received::New(entry) => {
                let verdict = self.verdict(service, self.operation, &entry);
                Ok(self.answer(&verdict, blow.as_ref()))
            }
        }
    }

    /// Everything that is checked before a service sees a document.
    fn judge(&self, bytes: &[u8]) -> Result<Facts, Fault> {
        let checked = self.pack.check_complete(self.name, bytes);
        let checked = checked.map_err(|rejected| {
            let lines = rejected.findings.iter().map(|f| f.message.as_str());
            invalid(lines.collect::<Vec<_>>().join("; "))
        })?;
        if checked.facts.code_prestataire.to_string() != self.code {
            let text = "the document is another practitioner's".to_owned();
            return Err(Fault::Business(Code::UnknownProvider, text));
        }
        let wrong = |text: String| Fault::Business(Code::SignatureInvalid, text);
        let doc = xml::parse(bytes).map_err(|e| invalid(e.to_string()))?;
        let judge = Judge {
            pki: &self.sandbox.pki,
            registry: &self.sandbox.registry,
            now: self.sandbox.now(),
        };
        let stamped = self.operation.signature.as_ref().map(|place| {
            let judged = judge.document(&doc, &place.slot);
            judged.map_err(|e| match e.is_timestamp() {
                true => Fault::Business(Code::TimestampInvalid, e.to_string()),
                false => wrong(e.to_string()),
            })
        });
        // A PDF in an unsigned document existed when it came, no earlier.
        let at = stamped.transpose()?.unwrap_or(judge.now);
        if let Some(pdf) = self.pdf(&doc)? {
            pades_check::judge(judge, &pdf, at).map_err(|e| wrong(e.to_string()))?;
        }
        Ok(checked.facts)
    }

    /// The embedded PDF, which must be there when the form requires it.
    fn pdf(&self, doc: &Document<'_>) -> Result<Option<Vec<u8>>, Fault> {
        let Some(place) = &self.operation.document else {
            return Ok(None);
        };
        let Some(node) = self.find(doc, &place.element) else {
            if place.required {
                return Err(invalid("the PDF is missing"));
            }
            return Ok(None);
        };
        let text = node.text().unwrap_or_default();
        let compact: String = text.split_ascii_whitespace().collect();
        let pdf = base64::engine::general_purpose::STANDARD.decode(compact);
        pdf.map(Some).map_err(|_| invalid("the PDF is not base64"))
    }

    /// The first element a path of the pack selects.
    fn find<'a>(&self, doc: &'a Document<'a>, path: &str) -> Option<Node<'a, 'a>> {
        let path = Path::parse(path, &self.pack.namespaces).ok()?;
        path.first(doc.root_element()).map(|found| found.node)
    }

    /// A scenario's refusal with codes that are no faults is the insurer's
    /// verdict, whatever the service found. A form whose answers have no word
    /// of refusal cannot be refused so.
    fn by_scenario(&self, decision: Decision, blow: Option<&Blow>) -> Decision {
        let struck = blow.filter(|blow| blow.fault == Blown::Refuse);
        let words = &self.operation.answer;
        let (Some(blow), Some(_)) = (struck, words.refused.first()) else {
            return decision;
        };
        let codes = blow.code.as_deref().unwrap_or(REFUSED);
        let anomalies = codes.split_ascii_whitespace().map(Anomaly::by_scenario);
        refusal(anomalies.collect(), decision)
    }

    /// Whether the association bills acts of somebody who is no member of it.
    fn is_of_strangers(&self, facts: &Facts) -> bool {
        let is_member = |code: &CodePrestataire| MEMBERS.contains(&code.as_str());
        let refuses = !self.operation.answer.refused.is_empty();
        refuses && self.code == ASSOCIATION.0 && !facts.executants.iter().all(is_member)
    }

    /// Answers the question what became of a document of this form.
    fn status(&self, bytes: &[u8]) -> Result<Reply, Fault> {
        let blow = self.sandbox.scenarios.strike(Point::Status);
        if let Some(reply) = dialogue::before(blow.as_ref()) {
            return Ok(reply);
        }
        let uuid = self.question(bytes)?;
        let known = self.sandbox.ledger.find(&uuid.to_string());
        // Another practitioner's documents are nobody else's business.
        let known = known.filter(|e| e.code_prestataire == self.code && e.form == self.pack.form);
        let asked = known.as_ref().and_then(|entry| {
            let operation = self.pack.operations.get(&entry.operation)?;
            Some((entry, operation))
        });
        let operation = asked.map_or(self.operation, |(_, operation)| operation);
        let places = operation.status.as_ref().or(self.operation.status.as_ref());
        let Some(places) = places else {
            return Err(invalid("there is no status service"));
        };
        let mut tree = self.tree(&places.root);
        tree.put(&places.uuid.to_string(), &uuid.to_string());
        let truth = if asked.is_some() { "true" } else { "false" };
        tree.put(&places.known.to_string(), truth);
        if let Some((entry, operation)) = asked {
            let service = services::of(&self.pack.namespace, &entry.operation);
            let verdict = self.verdict(service, operation, entry);
            tree.graft(&places.answer.to_string(), verdict);
        }
        Ok(self.answer(&tree.xml(), blow.as_ref()))
    }

    /// The UUID a status question is about. The question must be the pack's,
    /// whatever its prefixes.
    fn question(&self, bytes: &[u8]) -> Result<Uuid4, Fault> {
        let doc = xml::parse(bytes).map_err(|e| invalid(e.to_string()))?;
        let root = doc.root_element();
        let texts = root.descendants().filter_map(|n| n.text());
        let values = root.descendants().flat_map(|n| n.attributes());
        let all = texts.chain(values.map(|a| a.value()));
        let fits = |uuid: &Uuid4| {
            let Ok(question) = self.pack.status_request(self.name, uuid) else {
                return false;
            };
            xml::parse(&question).is_ok_and(|doc| dom::same(doc.root_element(), root))
        };
        let mut uuids = all.filter_map(|text| text.trim().parse::<Uuid4>().ok());
        let found = uuids.find(fits);
        found.ok_or_else(|| invalid("not the status question of this form"))
    }

    /// The verdict on a document as its form says it.
    fn verdict(&self, service: Service, operation: &Operation, entry: &Entry) -> String {
        if let Some(shape) = service.shape {
            return answer::known(shape, &self.pack.namespace, entry);
        }
        let places = &operation.answer;
        let mut tree = self.tree(&places.root);
        tree.put(&places.uuid.to_string(), &entry.uuid);
        let accepted = entry.verdict == Verdict::Accepted;
        if let Some(place) = places.insurer_id.as_ref().filter(|_| accepted) {
            tree.put(&place.to_string(), &entry.secu_id);
        }
        let words = if accepted {
            &places.accepted
        } else {
            &places.refused
        };
        if let (Some(place), Some(word)) = (&places.status, words.first()) {
            tree.put(&place.to_string(), word);
        }
        let Some(remarks) = &places.anomaly else {
            return tree.xml();
        };
        for anomaly in &entry.anomalies {
            let item = tree.element(&remarks.each.to_string());
            let parts = [
                (remarks.kind.as_ref(), Some(&*anomaly.kind)),
                (Some(&remarks.code), Some(&*anomaly.code)),
                (remarks.text.as_ref(), Some(&*anomaly.text)),
                (remarks.line.as_ref(), anomaly.line.as_deref()),
            ];
            for part in parts {
                if let (Some(place), Some(text)) = part {
                    item.put(&place.to_string(), text);
                }
            }
        }
        tree.xml()
    }

    /// An empty answer of this pack.
    fn tree(&self, root: &Name) -> Tree {
        let namespaces = &self.pack.namespaces;
        let same = |uri: &String| Some(uri.as_str()) == root.namespace.as_deref();
        let prefix = namespaces.iter().find(|(_, uri)| same(uri));
        let mut tree = match prefix {
            Some((prefix, _)) => Tree::new(&format!("{prefix}:{}", root.local)),
            None => Tree::new(&root.local),
        };
        tree.declare(namespaces);
        tree
    }

    /// Wraps an answer of this model and sends it.
    fn answer(&self, content: &str, blow: Option<&Blow>) -> Reply {
        let body = format!(
            "<sync:ResponseInfo xmlns:sync=\"{SYNC}\" modelUID=\"{}\">{content}\
             </sync:ResponseInfo>",
            escape_attribute(self.model)
        );
        let comment = format!("Correlation-ID: {}", Uuid4::random());
        dialogue::finish(self.sandbox, &body, Some(&comment), blow)
    }
}
