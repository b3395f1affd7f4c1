//! The exchange: judges a deposited document, keeps it, answers; and says what
//! became of one.

use crate::Sandbox;
use crate::dialogue;
use crate::dom::{self, DomError, SYNC};
use crate::ledger::{Arrival, Entry, Received, Verdict};
use crate::pades_check;
use crate::reply::Reply;
use crate::scenario::{Blow, Fault as Blown, Point};
use crate::soap::{Code, Fault};
use crate::sts;
use crate::wss::Verified;
use crate::xades_check::Judge;
use base64::Engine;
use roxmltree::{Document, Node};
use sceau::base::{Uuid4, hold};
use sceau::forms::{EnvironmentKind, Operation, Pack};
use sceau::xml::path::Path;
use sceau::xml::{self, escape_text};

/// The form whose answers the sandbox can write.
const FORM: &str = "memoire-honoraires";
/// Its deposit.
const DEPOSIT: &str = "depot";
/// Anomaly code of a refusal by scenario that names none.
const REFUSED: &str = "SANDBOX_REFUSED";

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
    let info = request.payload;
    if !dom::is(info, SYNC, "RequestInfo") {
        return Err(Fault::Client("expected a RequestInfo".to_owned()));
    }
    let model = dom::attribute(info, "modelUID").map_err(client)?;
    let payload = dom::sole_element(info).map_err(client)?;
    // The bytes as they were sent: a signature covers them as they are.
    let source = payload.document().input_text();
    let bytes = source.get(payload.range()).unwrap_or_default().as_bytes();
    let packs = sandbox.packs.offered();
    for pack in packs.iter().filter(|p| p.form == FORM) {
        let Some(operation) = pack.operations.get(DEPOSIT) else {
            continue;
        };
        let exchange = Exchange {
            sandbox,
            pack,
            operation,
            model,
            code: &code,
        };
        if operation.model_id(EnvironmentKind::Sandbox) == Some(model) {
            return exchange.deposit(bytes);
        }
        if operation
            .status
            .as_ref()
            .is_some_and(|s| s.model_id(EnvironmentKind::Sandbox) == Some(model))
        {
            return exchange.status(payload);
        }
    }
    let text = format!("no model {model}");
    Err(Fault::Business(Code::UnknownModel, text))
}

fn client(fault: DomError) -> Fault {
    Fault::Client(fault.0)
}

/// One call of a known model by the holder of a token.
struct Exchange<'a> {
    sandbox: &'a Sandbox,
    pack: &'a Pack,
    operation: &'a Operation,
    model: &'a str,
    code: &'a str,
}

impl Exchange<'_> {
    fn deposit(&self, bytes: &[u8]) -> Result<Reply, Fault> {
        let blow = self.sandbox.scenarios.strike(Point::Exchange);
        if let Some(reply) = dialogue::before(blow.as_ref()) {
            return Ok(reply);
        }
        let uuid = self.judge(bytes)?;
        let arrival = Arrival {
            uuid: uuid.to_string(),
            code_prestataire: self.code.to_owned(),
            model: self.model.to_owned(),
            bytes,
            verdict: verdict(blow.as_ref()),
        };
        let received = self.sandbox.ledger.receive(&arrival, self.sandbox.now());
        hold::point("insurer-accepted");
        let internal = |e: std::io::Error| Fault::Business(Code::Internal, e.to_string());
        match received.map_err(internal)? {
            Received::Before => {
                let text = format!("{uuid} was received before");
                Err(Fault::Business(Code::DuplicateUuid, text))
            }
            Received::New(entry) => Ok(self.answer(&self.verdict_xml(&entry), blow.as_ref())),
        }
    }

    /// Everything that is checked before a document is taken.
    fn judge(&self, bytes: &[u8]) -> Result<Uuid4, Fault> {
        let fault = |code, text: String| Fault::Business(code, text);
        let checked = self.pack.check_complete(DEPOSIT, bytes);
        let checked = checked.map_err(|rejected| {
            let lines = rejected.findings.iter().map(|f| f.message.as_str());
            fault(Code::SchemaInvalid, lines.collect::<Vec<_>>().join("; "))
        })?;
        if checked.facts.code_prestataire.to_string() != self.code {
            let text = "the document is another practitioner's".to_owned();
            return Err(fault(Code::UnknownProvider, text));
        }
        let doc = xml::parse(bytes).map_err(|e| fault(Code::SchemaInvalid, e.to_string()))?;
        let slot = self.operation.signed();
        let slot = &slot
            .map_err(|e| fault(Code::SignatureInvalid, e.to_string()))?
            .slot;
        let judge = Judge {
            pki: &self.sandbox.pki,
            registry: &self.sandbox.registry,
            now: self.sandbox.now(),
        };
        let at = judge.document(&doc, slot).map_err(|e| {
            let code = match e.is_timestamp() {
                true => Code::TimestampInvalid,
                false => Code::SignatureInvalid,
            };
            fault(code, e.to_string())
        })?;
        if let Some(pdf) = self.pdf(&doc)? {
            let judged = pades_check::judge(judge, &pdf, at);
            judged.map_err(|e| fault(Code::SignatureInvalid, e.to_string()))?;
        }
        Ok(checked.facts.uuid)
    }

    /// The embedded PDF, which must be there when the form requires it.
    fn pdf(&self, doc: &Document<'_>) -> Result<Option<Vec<u8>>, Fault> {
        let Some(place) = &self.operation.document else {
            return Ok(None);
        };
        let invalid = |text: &str| Fault::Business(Code::SchemaInvalid, text.to_owned());
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

    fn status(&self, payload: Node<'_, '_>) -> Result<Reply, Fault> {
        let blow = self.sandbox.scenarios.strike(Point::Status);
        if let Some(reply) = dialogue::before(blow.as_ref()) {
            return Ok(reply);
        }
        let namespace = self.pack.namespace.as_str();
        let invalid = |e: DomError| Fault::Business(Code::SchemaInvalid, e.0);
        if !dom::is(payload, namespace, "etatDemande") {
            return Err(invalid(DomError("expected etatDemande".to_owned())));
        }
        let uuid = dom::child(payload, namespace, "uuidPrestataire").map_err(invalid)?;
        let uuid = dom::text(uuid).map_err(invalid)?;
        let known = self.sandbox.ledger.find(uuid);
        // Another practitioner's documents are nobody else's business.
        let known = known.filter(|e| e.code_prestataire == self.code);
        let inside = known
            .as_ref()
            .map(|e| self.verdict_xml(e))
            .unwrap_or_default();
        let body = format!(
            "<mh:etatRetour xmlns:mh=\"{namespace}\"><mh:uuidPrestataire>{}</mh:uuidPrestataire>\
             <mh:connu>{}</mh:connu>{inside}</mh:etatRetour>",
            escape_text(uuid),
            known.is_some(),
        );
        Ok(self.answer(&body, blow.as_ref()))
    }

    fn verdict_xml(&self, entry: &Entry) -> String {
        let (word, secu_id, anomalies) = match &entry.verdict {
            Verdict::Accepted => {
                let id = format!("<mh:uuidSecu>{}</mh:uuidSecu>", entry.secu_id);
                ("accepte", id, String::new())
            }
            Verdict::Refused(code) => {
                let anomaly = format!(
                    "<mh:anomalies><mh:anomalie><mh:type>bloquante</mh:type><mh:code>{}</mh:code>\
                     <mh:motif>refused by scenario</mh:motif></mh:anomalie></mh:anomalies>",
                    escape_text(code)
                );
                ("refuse", String::new(), anomaly)
            }
        };
        format!(
            "<mh:memoireHonorairesRetour xmlns:mh=\"{}\"><mh:uuidPrestataire>{}\
             </mh:uuidPrestataire>{secu_id}<mh:statut>{word}</mh:statut><mh:dateReception>{}\
             </mh:dateReception>{anomalies}</mh:memoireHonorairesRetour>",
            self.pack.namespace, entry.uuid, entry.received_at,
        )
    }

    /// Wraps an answer of this model and sends it.
    fn answer(&self, content: &str, blow: Option<&Blow>) -> Reply {
        let body = format!(
            "<sync:ResponseInfo xmlns:sync=\"{SYNC}\" modelUID=\"{}\">{content}\
             </sync:ResponseInfo>",
            self.model
        );
        let comment = format!("Correlation-ID: {}", Uuid4::random());
        dialogue::finish(self.sandbox, &body, Some(&comment), blow)
    }
}

/// A scenario's refusal with a code that is no fault is the insurer's verdict.
fn verdict(blow: Option<&Blow>) -> Verdict {
    match blow {
        Some(blow) if blow.fault == Blown::Refuse => {
            Verdict::Refused(blow.code.clone().unwrap_or_else(|| REFUSED.to_owned()))
        }
        Some(_) | None => Verdict::Accepted,
    }
}
