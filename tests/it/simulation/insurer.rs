//! A model of the insurer: what reaches it, what it does with it, and what gets
//! back to the sender. It outlives the processes that send.

use super::stage::Stage;
use super::trust::{for_ever, trouble};
use super::weather::Weather;
use sceau::base::Uuid4;
use sceau::base::digest::sha256;
use sceau::base::hold::Conductor;
use sceau::gateway::{FaultClass, Gateway, Message, Outcome, Report};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Longest way to the insurer or back, in milliseconds.
const WAY_MS_MAX: u64 = 3_000;

/// What the insurer makes of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Accepted,
    /// In an answer.
    Refused,
    /// As a fault, of which it keeps nothing.
    Fault,
}

/// A document that reached the insurer.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub model: String,
    pub payload: Vec<u8>,
}

/// Everything the insurer knows.
#[derive(Default)]
pub struct Ledger {
    pub arrivals: BTreeMap<Uuid4, Vec<Arrival>>,
    /// How often a document took effect.
    pub effects: BTreeMap<Uuid4, usize>,
    pub verdicts: BTreeMap<Uuid4, Verdict>,
    /// On their way: when they arrive.
    late: Vec<(i64, Uuid4, String, Vec<u8>)>,
    pub questions: u64,
}

impl Ledger {
    /// The verdict is a property of the document, so that it can be foretold.
    fn verdict(uuid: Uuid4) -> Verdict {
        match sha256(uuid.as_bytes())[0] {
            0..32 => Verdict::Refused,
            32..40 => Verdict::Fault,
            40.. => Verdict::Accepted,
        }
    }

    /// A document arrives; `None`: it is known already.
    fn arrive(&mut self, knows: bool, uuid: Uuid4, model: &str, payload: &[u8]) -> Option<Verdict> {
        let is_new = !(knows && self.verdicts.contains_key(&uuid));
        self.arrivals.entry(uuid).or_default().push(Arrival {
            model: model.to_owned(),
            payload: payload.to_vec(),
        });
        if !is_new {
            return None;
        }
        let verdict = Self::verdict(uuid);
        if verdict != Verdict::Fault {
            self.verdicts.insert(uuid, verdict);
        }
        if verdict == Verdict::Accepted {
            *self.effects.entry(uuid).or_default() += 1;
        }
        Some(verdict)
    }

    /// What was on its way until now arrives.
    pub fn settle(&mut self, knows: bool, now: i64) {
        let (there, late) = std::mem::take(&mut self.late)
            .into_iter()
            .partition(|l| l.0 <= now);
        self.late = late;
        let there: Vec<(i64, Uuid4, String, Vec<u8>)> = there;
        for (_, uuid, model, payload) in there {
            self.arrive(knows, uuid, &model, &payload);
        }
    }
}

/// The way of one process to the insurer.
pub struct Line {
    pub stage: Arc<Stage>,
    pub weather: Arc<Weather>,
    pub ledger: Arc<Mutex<Ledger>>,
    pub knows_uuids: bool,
}

impl Line {
    fn way(&self) {
        let pause = self.stage.chance(|chance| chance.millis(WAY_MS_MAX));
        self.stage.sleep(pause);
    }

    fn fails(&self) -> bool {
        let often = self.weather.now().insurer_fails;
        self.stage.chance(|chance| chance.permille(often))
    }

    fn draw(&self, limit: u64) -> u64 {
        self.stage.chance(|chance| chance.below(limit))
    }

    /// What becomes of an answer on its way back.
    fn back(&self, uuid: Uuid4, answer: String) -> Report {
        self.way();
        if !self.fails() {
            return answered(answer);
        }
        match self.draw(4) {
            0 => answered("<x/>".to_owned()),
            1 => answered(answer.replace(&uuid.to_string(), &Uuid4::random().to_string())),
            _ => unknown(FaultClass::Network, "answer-lost"),
        }
    }

    /// The delay is the document's: threads that end with their process draw
    /// nothing, because nobody orders them.
    fn comes_late(&self, message: &Message<'_>) {
        let [_, high, low, ..] = sha256(message.uuid.as_bytes());
        let at = self.stage.now() + 1 + i64::from(u16::from_be_bytes([high, low])) * 2;
        let model = message.model_id.to_owned();
        let late = (at, message.uuid, model, message.payload.to_vec());
        self.ledger.lock().unwrap().late.push(late);
    }

    /// What keeps a document from arriving; `None`: it arrives.
    fn on_the_way(&self, message: &Message<'_>) -> Option<Report> {
        if !self.fails() {
            return None;
        }
        match self.draw(8) {
            0 => Some(retry(FaultClass::Network, 0)),
            1 => Some(retry(FaultClass::ReceiverDown, 30)),
            2 => Some(retry(FaultClass::Account, 60)),
            3 => Some(retry(FaultClass::Ours, 0)),
            4 => Some(unknown(FaultClass::Network, "request-lost")),
            5 if self.knows_uuids => {
                self.comes_late(message);
                Some(unknown(FaultClass::Network, "timeout"))
            }
            _ => None,
        }
    }
}

/// A document on the wire. When the process dies meanwhile it may still arrive,
/// after the next process has asked about it.
struct OnTheWire<'a> {
    line: &'a Line,
    message: &'a Message<'a>,
}

impl Drop for OnTheWire<'_> {
    fn drop(&mut self) {
        if self.line.knows_uuids && self.line.stage.is_over() {
            self.line.comes_late(self.message);
        }
    }
}

impl Gateway for Line {
    fn deliver(&self, message: &Message<'_>) -> Report {
        self.stage.reached("sent");
        trouble(&self.stage, &self.weather);
        let wire = OnTheWire {
            line: self,
            message,
        };
        self.way();
        drop(wire);
        if let Some(report) = self.on_the_way(message) {
            return report;
        }
        let uuid = message.uuid;
        let verdict = {
            let mut ledger = self.ledger.lock().unwrap();
            ledger.settle(self.knows_uuids, self.stage.now());
            ledger.arrive(self.knows_uuids, uuid, message.model_id, message.payload)
        };
        self.stage.reached("arrived");
        trouble(&self.stage, &self.weather);
        match verdict {
            None => report(Outcome::Duplicate),
            Some(Verdict::Fault) => report(Outcome::Refused {
                code: "S-1".to_owned(),
                text: "simulated".to_owned(),
            }),
            Some(verdict) => self.back(uuid, words(uuid, verdict)),
        }
    }

    fn ask(&self, message: &Message<'_>) -> Report {
        self.stage.reached("asked");
        for_ever(&self.stage, &self.weather);
        trouble(&self.stage, &self.weather);
        self.way();
        if self.fails() {
            return match self.draw(2) {
                0 => unknown(FaultClass::Network, "unreachable"),
                _ => unknown(FaultClass::ReceiverDown, "down"),
            };
        }
        let uuid = message.uuid;
        let verdict = {
            let mut ledger = self.ledger.lock().unwrap();
            ledger.settle(self.knows_uuids, self.stage.now());
            ledger.questions += 1;
            ledger.verdicts.get(&uuid).copied()
        };
        let answer = verdict
            .map(|verdict| words(uuid, verdict))
            .unwrap_or_default();
        let known = verdict.is_some();
        let answer = format!(
            "<s:etat {NAMESPACE}><s:uuid>{uuid}</s:uuid><s:connu>{known}</s:connu>{answer}</s:etat>"
        );
        self.back(uuid, answer)
    }

    fn probe(&self) -> Result<(), String> {
        Ok(())
    }
}

const NAMESPACE: &str = "xmlns:s=\"urn:sceau:test:simulation:1\"";

fn words(uuid: Uuid4, verdict: Verdict) -> String {
    let status = match verdict {
        Verdict::Accepted => "accepte",
        Verdict::Refused | Verdict::Fault => "refuse",
    };
    format!(
        "<s:reponse {NAMESPACE}><s:uuid>{uuid}</s:uuid><s:numero>N-{uuid}</s:numero><s:statut>{status}</s:statut></s:reponse>"
    )
}

fn report(outcome: Outcome) -> Report {
    Report {
        outcome,
        correlation_id: None,
        answer: None,
        envelope: None,
    }
}

fn answered(answer: String) -> Report {
    Report {
        answer: Some(answer.clone().into_bytes()),
        envelope: Some(answer.into_bytes()),
        ..report(Outcome::Answered)
    }
}

fn unknown(class: FaultClass, code: &str) -> Report {
    report(Outcome::Unknown {
        class,
        code: code.to_owned(),
        text: "simulated".to_owned(),
    })
}

fn retry(class: FaultClass, seconds: u64) -> Report {
    report(Outcome::Retry {
        after: Duration::from_secs(seconds),
        class,
        code: "not-accepted".to_owned(),
        text: "simulated".to_owned(),
    })
}
