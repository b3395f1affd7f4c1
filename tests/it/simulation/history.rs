//! The judge. It knows nothing of how the service works: it looks at what
//! callers handed in and were told, at what reached the insurer and took effect
//! there, and at what the API's reading side says in the end.

use super::insurer::{Arrival, Ledger, Verdict};
use super::weather::is_interactive;
use sceau::base::Uuid4;
use sceau::outbox::{Kind, Outbox, State};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

/// A rule of the product that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A document takes effect at most once.
    EffectTwice,
    /// What was acknowledged is there.
    Lost,
    /// The final state is what the insurer decided.
    FinalState,
    /// A document that is open in the end can be seen as such.
    Unseen,
    /// Everything comes to rest when faults cease.
    Rest,
    /// Every attempt has the same bytes, those that are kept.
    Bytes,
    /// Nothing reaches the insurer below its level.
    Level,
    /// Of documents that answer an earlier one only once, one stands.
    Once,
    /// A caller is told the truth.
    Told,
    /// What somebody waits for goes first.
    InteractiveFirst,
    /// No worker naps while there is work for it.
    Idle,
    /// The audit log has no gap.
    Audit,
    /// A part of the program failed where nothing was planted.
    Failed,
}

/// Where and how a rule was broken.
#[derive(Debug, Clone)]
pub struct Violation {
    pub rule: Rule,
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.detail)
    }
}

/// What a caller was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// 202.
    Accepted,
    /// 200: the same bytes were accepted before.
    Already,
    /// 409.
    Taken,
    /// 422.
    Refused,
}

/// One document and its life as seen from outside.
#[derive(Debug, Clone)]
pub struct Document {
    pub uuid: Uuid4,
    pub operation: &'static str,
    /// Code prestataire of who sends it.
    pub code: &'static str,
    /// The earlier document it answers.
    pub answers: Option<Uuid4>,
    pub xml: Vec<u8>,
    pub told: Vec<Told>,
    /// What was told about other bytes under the same UUID.
    pub told_of_others: Vec<Told>,
}

impl Document {
    /// Whether a caller may rely on it.
    pub fn is_acknowledged(&self) -> bool {
        let acknowledged = |told: &Told| [Told::Accepted, Told::Already].contains(told);
        self.told.iter().any(acknowledged)
    }
}

/// What happened in one simulation, across all its processes.
#[derive(Default)]
pub struct History {
    pub documents: Mutex<Vec<Document>>,
    violations: Mutex<Vec<Violation>>,
}

impl History {
    pub fn violate(&self, rule: Rule, detail: String) {
        self.violations
            .lock()
            .unwrap()
            .push(Violation { rule, detail });
    }

    pub fn violations(&self) -> Vec<Violation> {
        self.violations.lock().unwrap().clone()
    }

    /// The judgement at the end, over the last process's reading side.
    pub fn judge(&self, ledger: &Ledger, outbox: &Outbox) {
        let documents = self.documents.lock().unwrap();
        for document in &*documents {
            if let Err((rule, detail)) = judge(document, ledger, outbox) {
                self.violate(
                    rule,
                    format!("{} {}: {detail}", document.operation, document.uuid),
                );
            }
        }
        let known = |uuid: &Uuid4| documents.iter().any(|d| d.uuid == *uuid);
        if let Some(stranger) = ledger.arrivals.keys().find(|uuid| !known(uuid)) {
            self.violate(Rule::Bytes, format!("nobody handed {stranger} in"));
        }
        let mut standing = BTreeMap::new();
        for document in documents.iter().filter(|d| d.answers.is_some()) {
            let effects = ledger.effects.get(&document.uuid).copied().unwrap_or(0);
            let by = (document.answers, document.code);
            *standing.entry(by).or_insert(0) += effects;
        }
        // An answer of another practitioner is another answer.
        if let Some((earlier, effects)) = standing.iter().find(|(_, effects)| **effects > 1) {
            self.violate(
                Rule::Once,
                format!("{earlier:?} was answered {effects} times"),
            );
        }
    }
}

fn judge(document: &Document, ledger: &Ledger, outbox: &Outbox) -> Result<(), (Rule, String)> {
    let uuid = document.uuid;
    let fails = |rule| move |error| (rule, format!("{error}"));
    let effects = ledger.effects.get(&uuid).copied().unwrap_or(0);
    if effects > 1 {
        return Err((Rule::EffectTwice, format!("{effects} effects")));
    }
    told_the_truth(document)?;
    let Some(record) = outbox.find(uuid).map_err(fails(Rule::Lost))? else {
        return match (document.is_acknowledged(), ledger.arrivals.get(&uuid)) {
            (true, _) => Err((Rule::Lost, format!("was told {:?}", document.told))),
            (false, Some(_)) => Err((Rule::Lost, "arrived, but is not on record".to_owned())),
            (false, None) => Ok(()),
        };
    };
    let kept = outbox
        .body(uuid, Kind::RequestXml)
        .map_err(fails(Rule::Lost))?;
    if kept.as_ref() != Some(&document.xml) {
        return Err((Rule::Lost, "is kept with other bytes".to_owned()));
    }
    if let Some(arrivals) = ledger.arrivals.get(&uuid) {
        let kept = outbox
            .body(uuid, Kind::Document)
            .map_err(fails(Rule::Bytes))?;
        arrived(document, arrivals, &kept.unwrap_or_default())?;
    }
    let verdict = ledger.verdicts.get(&uuid).copied();
    let fault = || ledger.arrivals.contains_key(&uuid) && verdict.is_none();
    match record.state {
        State::Receipted if effects == 1 && verdict == Some(Verdict::Accepted) => Ok(()),
        State::Rejected if effects == 0 && (verdict == Some(Verdict::Refused) || fault()) => Ok(()),
        State::Receipted | State::Rejected => {
            let detail = format!("{:?} with {effects} effects, {verdict:?}", record.state);
            Err((Rule::FinalState, detail))
        }
        State::Unknown if document.operation == "muet" && record.wait.is_some() => Ok(()),
        State::Unknown if document.operation == "muet" => {
            Err((Rule::Unseen, "nobody is told what it waits for".to_owned()))
        }
        open => Err((
            Rule::Rest,
            format!("still {open:?}, waiting: {:?}", record.wait),
        )),
    }
}

/// All that a caller was told of one document fits together.
fn told_the_truth(document: &Document) -> Result<(), (Rule, String)> {
    let fresh = document
        .told
        .iter()
        .filter(|told| **told == Told::Accepted)
        .count();
    if fresh > 1 {
        return Err((Rule::Told, "was accepted as new twice".to_owned()));
    }
    if document.told.contains(&Told::Taken) {
        return Err((Rule::Told, "its own bytes were called others".to_owned()));
    }
    let mut acknowledged = document
        .told
        .iter()
        .skip_while(|told| **told == Told::Refused);
    if acknowledged.any(|told| *told == Told::Refused) {
        return Err((Rule::Told, "was refused after it was accepted".to_owned()));
    }
    // What may not be sent now is refused before its UUID is looked at.
    let others = [Told::Taken, Told::Refused];
    let not_taken = |told: &Told| !others.contains(told);
    if document.told_of_others.iter().any(not_taken) {
        let told = &document.told_of_others;
        return Err((
            Rule::Told,
            format!("of other bytes under its UUID: {told:?}"),
        ));
    }
    Ok(())
}

/// What reached the insurer is, each time, the one document that is kept, and
/// whole.
fn arrived(document: &Document, arrivals: &[Arrival], kept: &[u8]) -> Result<(), (Rule, String)> {
    let wanted: &[&str] = match document.operation {
        "simple" => &["SignatureValue>"],
        "horodate" => &["SignatureValue>", "SignatureTimeStamp>"],
        "complet" => &[
            "SignatureValue>",
            "SignatureTimeStamp>",
            "RevocationValues>",
        ],
        _ => &[],
    };
    for arrival in arrivals {
        if arrival.payload != kept {
            return Err((
                Rule::Bytes,
                "arrived with other bytes than are kept".to_owned(),
            ));
        }
        if arrival.model != format!("SCEAU-TEST-{}", document.operation.to_uppercase()) {
            return Err((Rule::Bytes, format!("arrived as {}", arrival.model)));
        }
        let text = String::from_utf8_lossy(&arrival.payload);
        if !text.contains(&document.uuid.to_string()) {
            return Err((Rule::Bytes, "another document arrived".to_owned()));
        }
        if let Some(missing) = wanted.iter().find(|part| !text.contains(**part)) {
            return Err((Rule::Level, format!("arrived without {missing}")));
        }
    }
    Ok(())
}

/// Whether a worker that took on `operation` passed over one that waits.
pub fn passed_over(operation: &str, interactive_waiting: i64) -> bool {
    !is_interactive(operation) && interactive_waiting > 0
}
