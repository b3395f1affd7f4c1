//! Sending what is ready and asking about what is uncertain. A submission ends
//! only by a verdict parsed from the receiver's own answer; every other ending
//! is a pause.

use crate::base::hold::Defect;
use crate::forms::{Answer, Environment, Pack, Packs};
use crate::gateway::{FaultClass, Gateway, Message, Outcome, Report};
use crate::outbox::{
    Conclusion, Evidence, Kind, Lease, Outbox, OutboxError, Record, State, Verdict, Wait,
};
use crate::sign::{People, Practitioner};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Pause before a document is tried again that cannot be sent as things are.
const BLOCKED_PAUSE: Duration = Duration::from_secs(300);

/// Sends and asks.
pub struct Delivery {
    packs: Arc<Packs>,
    outbox: Arc<Outbox>,
    gateway: Arc<dyn Gateway>,
    people: Arc<People>,
    environment: Arc<Environment>,
}

/// With what a submission is sent or asked about.
struct Context {
    pack: Arc<Pack>,
    practitioner: Practitioner,
    /// The receiver's name for the operation or, where it is asked about, for
    /// its status service.
    model_id: Option<String>,
}

/// Why a submission can be neither sent nor asked about as things are here.
type Blocked = (&'static str, &'static str);

impl Delivery {
    /// A delivery through `gateway`, which leads to `environment`.
    pub fn new(
        packs: Arc<Packs>,
        outbox: Arc<Outbox>,
        gateway: Arc<dyn Gateway>,
        people: Arc<People>,
        environment: Arc<Environment>,
    ) -> Self {
        Self {
            packs,
            outbox,
            gateway,
            people,
            environment,
        }
    }

    /// Tries the way to the insurer once and logs what came of it, so that a
    /// wrong address or certificate shows before the first document.
    pub fn probe(&self) {
        match self.gateway.probe() {
            Ok(()) => tracing::info!("the insurer's services can be reached"),
            Err(reason) => tracing::warn!(%reason, "the insurer's services cannot be reached now"),
        }
    }

    /// Takes one claimed submission a step on: `Ready` is sent (D3, D4),
    /// `Unknown` is asked about.
    ///
    /// # Errors
    /// [`OutboxError`] when the store fails: then nothing was sent, or the
    /// submission is `Unknown` after a restart.
    pub fn step(&self, lease: Lease) -> Result<Record, OutboxError> {
        let asking = lease.record.state == State::Unknown;
        match self.context(&lease.record) {
            Err((code, text)) => self.pause(lease, asking, code, text),
            Ok(context) if asking => self.ask(lease, &context),
            Ok(context) => self.send(lease, &context),
        }
    }

    fn send(&self, lease: Lease, context: &Context) -> Result<Record, OutboxError> {
        let Some(model_id) = &context.model_id else {
            let text = "Neither the environment nor the form pack has a model id for this document any more.";
            return self.pause(lease, false, "model-missing", text);
        };
        let uuid = lease.record.uuid;
        // Read, and compared with its digest, before the attempt is recorded.
        let document = match self.outbox.body(uuid, Kind::Document) {
            Ok(Some(document)) => document,
            Ok(None) | Err(_) => {
                let text = "The signed document cannot be read back; it will not be sent.";
                return self.pause(lease, false, "body-damaged", text);
            }
        };
        let lease = self.outbox.begin_attempt(lease)?;
        let report = self.gateway.deliver(&Message {
            uuid,
            code_prestataire: context.practitioner.code_prestataire.as_str(),
            ehealth_id: &context.practitioner.ehealth_id,
            model_id,
            payload: &document,
        });
        let conclusion = match &report.outcome {
            Outcome::Answered => verdict(&context.pack, &lease.record, report.answer.as_deref()),
            other => fault(other),
        };
        self.conclude(lease, conclusion, report)
    }

    fn ask(&self, lease: Lease, context: &Context) -> Result<Record, OutboxError> {
        let uuid = lease.record.uuid;
        let request = context.pack.status_request(&lease.record.operation, &uuid);
        let (Some(model_id), Ok(payload)) = (&context.model_id, request) else {
            let text =
                "This form has no way to ask what became of a document; a person has to find out.";
            return self.pause(lease, true, "cannot-ask", text);
        };
        let report = self.gateway.ask(&Message {
            uuid,
            code_prestataire: context.practitioner.code_prestataire.as_str(),
            ehealth_id: &context.practitioner.ehealth_id,
            model_id,
            payload: &payload,
        });
        let conclusion = match &report.outcome {
            Outcome::Answered => status(&context.pack, &lease.record, report.answer.as_deref()),
            // The question was not answered: the document is as uncertain as before.
            other => match fault(other) {
                Conclusion::Retry { wait, .. } | Conclusion::Unknown { wait } => {
                    Conclusion::Unknown { wait }
                }
                Conclusion::Rejected(_) | Conclusion::Receipted(_) => Conclusion::Unknown {
                    wait: Wait {
                        class: "receiver".into(),
                        code: "question-refused".into(),
                        text: "The receiver refused the question about this document.".into(),
                    },
                },
            },
        };
        self.conclude(lease, conclusion, report)
    }

    fn conclude(
        &self,
        lease: Lease,
        conclusion: Conclusion,
        report: Report,
    ) -> Result<Record, OutboxError> {
        // Only a verdict's answer is the receipt: "not known here" is not.
        let verdict = match conclusion {
            Conclusion::Receipted(_) | Conclusion::Rejected(_) => true,
            Conclusion::Retry { .. } | Conclusion::Unknown { .. } => false,
        };
        let evidence = Evidence {
            correlation_id: report.correlation_id,
            answer: report.answer.filter(|_| verdict),
            envelope: report.envelope.filter(|_| verdict),
        };
        let record = self.outbox.conclude(lease, conclusion, evidence)?;
        tracing::info!(uuid = %record.uuid, state = record.state.word(), tries = record.tries, "delivery step");
        Ok(record)
    }

    /// Nothing can be sent or asked as things are here; a person may mend it.
    fn pause(
        &self,
        lease: Lease,
        asking: bool,
        code: &str,
        text: &str,
    ) -> Result<Record, OutboxError> {
        let wait = gateway_wait(FaultClass::Ours, code, text);
        let conclusion = if asking {
            Conclusion::Unknown { wait }
        } else {
            Conclusion::Retry {
                after: BLOCKED_PAUSE,
                wait,
            }
        };
        self.outbox.blocked(lease, conclusion)
    }

    fn context(&self, record: &Record) -> Result<Context, Blocked> {
        if !record.is_for(&self.environment.name, self.environment.kind) {
            let text = "This document was accepted for another environment than the one configured now; it is sent to no other.";
            return Err(("other-environment", text));
        }
        let missing =
            "The form pack or the practitioner of this document is not configured any more.";
        let configuration = ("configuration", missing);
        let pack = self.packs.pack(&record.form, Some(&record.version));
        let pack = pack.ok_or(configuration)?;
        let sender = self.people.sender(&record.code_prestataire);
        let practitioner = sender.ok_or(configuration)?.clone();
        if !pack.operations.contains_key(&record.operation) {
            let text = "The form pack has no such operation any more.";
            return Err(("configuration", text));
        }
        let model_id = if record.state == State::Unknown {
            self.environment.status_model_id(&pack, &record.operation)
        } else {
            self.environment.model_id(&pack, &record.operation)
        };
        Ok(Context {
            pack,
            practitioner,
            model_id,
        })
    }
}

/// The consequence of an outcome that carries no answer.
fn fault(outcome: &Outcome) -> Conclusion {
    match outcome {
        Outcome::Refused { code, text } => {
            let anomalies = json!([{ "kind": "fault", "code": code, "text": text, "line": null }]);
            Conclusion::Rejected(Verdict {
                insurer_id: None,
                codes: vec![code.clone()],
                reading: reading(false, None, anomalies, json!([])),
            })
        }
        Outcome::Duplicate => Conclusion::Unknown {
            wait: Wait {
                class: "receiver".into(),
                code: "duplicate".into(),
                text: "The receiver knows this UUID already; it is being asked what it holds."
                    .into(),
            },
        },
        Outcome::Retry {
            after,
            class,
            code,
            text,
        } => Conclusion::Retry {
            after: *after,
            wait: gateway_wait(*class, code, text),
        },
        Outcome::Unknown { class, code, text } if Defect::BlindResend.is_planted() => {
            Conclusion::Retry {
                after: Duration::ZERO,
                wait: gateway_wait(*class, code, text),
            }
        }
        Outcome::Unknown { class, code, text } => Conclusion::Unknown {
            wait: gateway_wait(*class, code, text),
        },
        Outcome::Answered => unreadable(),
    }
}

fn gateway_wait(class: FaultClass, code: &str, text: &str) -> Wait {
    let class = match class {
        FaultClass::Ours => "ours",
        FaultClass::Network => "network",
        FaultClass::ReceiverDown => "receiver",
        FaultClass::Account => "account",
    };
    Wait {
        class: class.into(),
        code: code.into(),
        text: text.into(),
    }
}

fn verdict(pack: &Pack, record: &Record, answer: Option<&[u8]>) -> Conclusion {
    let Some(answer) = answer else {
        return unreadable();
    };
    match pack.answer(&record.operation, answer) {
        // An answer about another document is no answer.
        Ok(answer) if answer.uuid == record.uuid => concluded(answer),
        Ok(_) | Err(_) => unreadable(),
    }
}

fn status(pack: &Pack, record: &Record, answer: Option<&[u8]>) -> Conclusion {
    let Some(answer) = answer else {
        return unreadable();
    };
    match pack.status_answer(&record.operation, answer) {
        Ok(status) if status.uuid != record.uuid => unreadable(),
        Ok(status) => match (status.known, status.answer) {
            (true, Some(answer)) if answer.uuid == record.uuid => concluded(answer),
            (true, _) => unreadable(),
            // The receiver says it holds nothing: the same bytes may go again.
            (false, _) => Conclusion::Retry {
                after: Duration::ZERO,
                wait: Wait {
                    class: "network".into(),
                    code: "not-arrived".into(),
                    text: "The receiver has not got the document; it is being sent again.".into(),
                },
            },
        },
        Err(_) => unreadable(),
    }
}

fn concluded(answer: Answer) -> Conclusion {
    let anomalies = answer
        .anomalies
        .iter()
        .map(|a| json!({ "kind": a.kind, "code": a.code, "text": a.text, "line": a.line }));
    let anomalies = Value::Array(anomalies.collect());
    let id = answer.insurer_id.as_deref();
    let verdict = Verdict {
        codes: answer.anomalies.iter().map(|a| a.code.clone()).collect(),
        reading: reading(answer.accepted, id, anomalies, json!(answer.shown)),
        insurer_id: answer.insurer_id,
    };
    if answer.accepted {
        Conclusion::Receipted(verdict)
    } else {
        Conclusion::Rejected(verdict)
    }
}

/// What is kept of a verdict for those who ask later.
fn reading(accepted: bool, insurer_id: Option<&str>, anomalies: Value, facts: Value) -> Value {
    json!({ "accepted": accepted, "insurer_id": insurer_id, "anomalies": anomalies, "facts": facts })
}

fn unreadable() -> Conclusion {
    Conclusion::Unknown {
        wait: Wait {
            class: "receiver".into(),
            code: "answer-unreadable".into(),
            text: "The receiver's answer cannot be understood; it is being asked again.".into(),
        },
    }
}
