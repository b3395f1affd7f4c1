//! What the pauses of submissions say about the world: each is the outcome of a
//! real try, and the next try takes it back.

use super::Scope;
use super::catalogue::*;
use crate::base::{Uuid4, limits};
use crate::outbox::{Event, Record, State, Wait};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use time::OffsetDateTime;

/// A fault that submissions pause for.
#[derive(Debug, Clone)]
pub(super) struct Pause {
    pub(super) kind: &'static Kind,
    pub(super) since: OffsetDateTime,
    /// What the last try said.
    pub(super) detail: String,
    /// Those that met it, with their codes prestataires.
    submissions: HashMap<Uuid4, String>,
}

impl Pause {
    pub(super) fn practitioners(&self) -> BTreeSet<String> {
        self.submissions.values().cloned().collect()
    }
}

/// Faults that submissions pause for, by name and scope.
#[derive(Debug, Default)]
pub(super) struct Pauses(BTreeMap<(&'static str, Scope), Pause>);

impl Pauses {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Scope, &Pause)> {
        self.0.iter().map(|((_, scope), pause)| (scope, pause))
    }

    /// Learns how a step of a submission ended, and what was made in it.
    pub(super) fn learn(&mut self, record: &Record, made: &[Event]) {
        let found = record.wait.as_ref().and_then(|wait| meaning(record, wait));
        let key = found
            .as_ref()
            .map(|(kind, scope)| (kind.name, scope.clone()));
        // One that goes on under the same name began when it began.
        let since = key.as_ref().and_then(|key| self.0.get(key));
        let since = since.map_or(record.updated_at, |pause| pause.since);
        self.0.retain(|(name, scope), pause| {
            pause.submissions.remove(&record.uuid);
            let same = key.as_ref().is_some_and(|(n, s)| (n, s) == (name, scope));
            same || (!pause.submissions.is_empty() && !refutes((record, made), pause.kind, scope))
        });
        if let (Some((kind, _)), Some(key), Some(wait)) = (found, key, &record.wait) {
            let pause = self.0.entry(key).or_insert_with(|| Pause {
                kind,
                since,
                detail: String::new(),
                submissions: HashMap::new(),
            });
            pause.detail.clone_from(&wait.text);
            if pause.submissions.len() < limits::CONDITION_SUBMISSIONS_MAX {
                let code = record.code_prestataire.clone();
                pause.submissions.insert(record.uuid, code);
            }
        }
    }
}

/// Whether the step of one document shows that a fault others had met is over.
fn refutes((record, made): (&Record, &[Event]), kind: &'static Kind, scope: &Scope) -> bool {
    let own = match scope {
        Scope::Signer(id) => record.signer.as_ref() == Some(id),
        Scope::Practitioner(code) => *code == record.code_prestataire,
        Scope::Installation | Scope::Token(_) | Scope::Authority(_) | Scope::Insurer => true,
    };
    let code = record.wait.as_ref().map(|wait| wait.code.as_str());
    let class = record.wait.as_ref().map(|wait| wait.class.as_str());
    // A document that was signed or sealed before says nothing of today.
    let has = |word: &str| made.iter().any(|event| event.word == word);
    // Its own words about the document, not a person's: it works, and lets this one in.
    let answered = !has("settled")
        && (record.state.is_final() || matches!(code, Some("duplicate" | "not-arrived")));
    let about_one_document = [
        &CONFIGURATION_WRONG,
        &DOCUMENT_STUCK,
        &DOCUMENT_DAMAGED,
        &VERDICT_UNKNOWN,
    ];
    if !own || about_one_document.contains(&kind) {
        return false;
    }
    match scope {
        Scope::Insurer if *kind == INSURER_UNREACHABLE => {
            answered || matches!(class, Some("receiver" | "account"))
        }
        Scope::Insurer => answered || class == Some("account"),
        Scope::Installation | Scope::Practitioner(_) => answered,
        // What a signature alone does not show.
        Scope::Signer(_)
            if [&OCSP_DOWN, &REVOCATION_LATE, &CERTIFICATE_REVOKED].contains(&kind) =>
        {
            has("sealed")
        }
        Scope::Signer(_) => has("signed"),
        // Their own health says so.
        Scope::Token(_) | Scope::Authority(_) => false,
    }
}

/// The fault behind a pause; `None` when another part tells it, or when nothing
/// is wrong.
fn meaning(record: &Record, wait: &Wait) -> Option<(&'static Kind, Scope)> {
    match record.state {
        State::Received | State::Signed | State::Stamped => climbing(record, wait),
        State::Ready | State::Sending | State::Unknown => sending(record, wait),
        State::Receipted | State::Rejected => None,
    }
}

fn climbing(record: &Record, wait: &Wait) -> Option<(&'static Kind, Scope)> {
    let practitioner = || Scope::Practitioner(record.code_prestataire.clone());
    let signer = record
        .signer
        .clone()
        .map_or_else(practitioner, Scope::Signer);
    let kind = match (wait.class.as_str(), wait.code.as_str()) {
        ("token", code) => match code {
            "certificate-missing" | "certificate-not-for-signing" | "certificate-ambiguous" => {
                &CERTIFICATE_MISSING
            }
            "algorithm"
            | "key-too-short"
            | "algorithm-not-offered"
            | "token-refused"
            | "token-signature-wrong" => &TOKEN_REFUSES,
            // The token's own status says it.
            _ => return None,
        },
        // The authorities' and the clock's health say it.
        _ if record.state == State::Signed && wait.class != "ours" => return None,
        (_, "clock-skew" | "no-timestamp-authority") => return None,
        (_, "revocation-not-fresh") => &REVOCATION_LATE,
        ("ocsp" | "network", _) if record.state == State::Stamped => &OCSP_DOWN,
        ("ocsp" | "network" | "tsa", _) => return None,
        (_, "certificate-not-valid") => &CERTIFICATE_EXPIRED,
        (_, "certificate-revoked") => &CERTIFICATE_REVOKED,
        (_, "not-trusted" | "algorithm-not-accepted" | "certificate-unknown") => {
            &CERTIFICATE_NOT_TRUSTED
        }
        (
            _,
            "pack-changed"
            | "form-missing"
            | "operation-missing"
            | "practitioner-missing"
            | "delegate-withdrawn"
            | "trust-setup"
            | "no-anchors"
            | "algorithm-policy",
        ) => return Some((&CONFIGURATION_WRONG, practitioner())),
        (_, "store" | "body-missing") => return Some((&DOCUMENT_DAMAGED, practitioner())),
        // Once may be an accident.
        (_, "interrupted") if record.tries < 2 => return None,
        _ => return Some((&DOCUMENT_STUCK, practitioner())),
    };
    Some((kind, signer))
}

fn sending(record: &Record, wait: &Wait) -> Option<(&'static Kind, Scope)> {
    let practitioner = Scope::Practitioner(record.code_prestataire.clone());
    let (class, code) = (wait.class.as_str(), wait.code.as_str());
    Some(match (class, code) {
        (_, "not-arrived" | "duplicate") => return None,
        ("network", _) => (&INSURER_UNREACHABLE, Scope::Insurer),
        ("account", "UNKNOWN_PROVIDER") => (&ACCOUNT_UNKNOWN, practitioner),
        ("account", _) => (&ACCOUNT_BLOCKED, practitioner),
        ("receiver", "question-refused") => (&VERDICT_UNKNOWN, practitioner),
        (
            "receiver",
            "answer-unreadable" | "answer-too-large" | "answer-not-soap" | "answer-not-trusted"
            | "fault-unknown",
        ) => (&INSURER_ANSWER_WRONG, Scope::Insurer),
        ("receiver", _) => (&INSURER_DOWN, Scope::Insurer),
        (_, "clock") => (&CLOCK_WRONG, Scope::Installation),
        (_, "cannot-ask") => (&VERDICT_UNKNOWN, practitioner),
        (_, "body-damaged") => (&DOCUMENT_DAMAGED, practitioner),
        (_, "wst:InvalidSecurityToken" | "wst:ExpiredData" | "wsse:InvalidSecurityToken") => {
            (&SESSION_EXPIRED, practitioner)
        }
        (_, "identity-refused" | "assertion-unusable" | "token-unusable") => {
            (&ACCESS_REFUSED, practitioner)
        }
        (_, code) if code.starts_with("wst:") || code.starts_with("wsse:") => {
            (&ACCESS_REFUSED, practitioner)
        }
        // Once is what a stop of the service leaves.
        (_, "interrupted") if record.tries < 2 => return None,
        (_, "interrupted" | "message" | "soap:Client") => (&DOCUMENT_STUCK, practitioner),
        _ => (&CONFIGURATION_WRONG, practitioner),
    })
}
