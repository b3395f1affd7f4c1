use super::pauses::Pauses;
use super::*;
use crate::base::Uuid4;
use crate::forms::EnvironmentKind;
use crate::gateway::FaultClass;
use crate::gateway::mysecu::fault::{Source, TABLE, Verdict};
use crate::outbox::{State, Wait};
use time::Duration;

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::seconds(seconds)
}

/// A document as a step left it, of a practitioner who signs it.
fn record(uuid: Uuid4, code: &str, state: State, wait: Option<(&str, &str)>) -> Record {
    Record {
        uuid,
        form: "memoire-honoraires".into(),
        version: "2".into(),
        operation: "depot".into(),
        code_prestataire: code.into(),
        client: "test".into(),
        environment: "sandbox".into(),
        environment_kind: EnvironmentKind::Sandbox,
        signer: Some(code.into()),
        state,
        wait: wait.map(|(class, code)| Wait {
            class: class.into(),
            code: code.into(),
            text: format!("{class} {code}."),
        }),
        due_at: None,
        tries: 2,
        insurer_id: None,
        correlation_id: None,
        received_at: at(0),
        updated_at: at(0),
        request_sha256: [0; 32],
    }
}

/// What intake makes in a step.
fn made(words: &[&'static str]) -> Vec<Event> {
    let event = |word: &&'static str| Event {
        word,
        at: at(0),
        detail: serde_json::Value::Null,
    };
    words.iter().map(event).collect()
}

fn names(pauses: &Pauses) -> Vec<(&'static str, Option<String>)> {
    let name = |(scope, pause): (&Scope, &pauses::Pause)| {
        (pause.kind.name, scope.parts().1.map(str::to_owned))
    };
    pauses.iter().map(name).collect()
}

const A: &str = "90000001";
const B: &str = "90000002";

#[test]
fn a_fault_begins_once_and_ends_with_the_first_that_gets_through() {
    let mut pauses = Pauses::default();
    let (first, second) = (Uuid4::random(), Uuid4::random());
    let down = Some(("receiver", "UNAVAILABLE"));
    for (seconds, uuid) in [(1, first), (2, second), (3, first)] {
        pauses.learn(
            &Record {
                updated_at: at(seconds),
                ..record(uuid, A, State::Ready, down)
            },
            &[],
        );
    }
    assert_eq!(names(&pauses), [("insurer-down", None)]);
    assert_eq!(pauses.iter().next().unwrap().1.since, at(1));
    // Another fault of another document says nothing of this one.
    let blocked = Some(("account", "ACCOUNT_BLOCKED"));
    let third = Uuid4::random();
    pauses.learn(
        &record(third, A, State::Received, Some(("token", "token-locked"))),
        &[],
    );
    assert_eq!(names(&pauses), [("insurer-down", None)]);
    // The insurer knows who it does not want: it is up.
    pauses.learn(&record(third, B, State::Ready, blocked), &[]);
    assert_eq!(names(&pauses), [("account-blocked", Some(B.to_owned()))]);
    // A's receipt says nothing of B's account, B's own does.
    pauses.learn(&record(first, A, State::Receipted, None), &[]);
    assert_eq!(names(&pauses).len(), 1);
    pauses.learn(&record(Uuid4::random(), B, State::Rejected, None), &[]);
    assert_eq!(names(&pauses), []);
}

#[test]
fn what_a_person_settles_says_nothing_of_the_insurer() {
    let mut pauses = Pauses::default();
    let down = Some(("receiver", "UNAVAILABLE"));
    let settled = Uuid4::random();
    for uuid in [settled, Uuid4::random()] {
        pauses.learn(&record(uuid, A, State::Unknown, down), &[]);
    }
    let told = Event {
        word: "settled",
        at: at(1),
        detail: serde_json::Value::Null,
    };
    pauses.learn(&record(settled, A, State::Receipted, None), &[told]);
    assert_eq!(names(&pauses), [("insurer-down", None)]);
}

#[test]
fn what_is_wrong_with_one_document_ends_with_that_document() {
    for (state, wait, name) in [
        (
            State::Received,
            ("ours", "form-missing"),
            "configuration-wrong",
        ),
        (State::Received, ("ours", "embedding"), "document-stuck"),
        (State::Signed, ("ours", "store"), "document-damaged"),
        (State::Ready, ("ours", "body-damaged"), "document-damaged"),
        (State::Unknown, ("ours", "cannot-ask"), "verdict-unknown"),
        (State::Unknown, ("ours", "interrupted"), "document-stuck"),
    ] {
        let mut pauses = Pauses::default();
        let (bad, good) = (Uuid4::random(), Uuid4::random());
        pauses.learn(&record(bad, A, state, Some(wait)), &[]);
        pauses.learn(&record(good, A, State::Ready, None), &[]);
        pauses.learn(&record(good, A, State::Receipted, None), &[]);
        assert_eq!(names(&pauses), [(name, Some(A.to_owned()))], "{wait:?}");
        pauses.learn(&record(bad, A, State::Ready, None), &[]);
        pauses.learn(&record(bad, A, State::Receipted, None), &[]);
        assert_eq!(names(&pauses), [], "{wait:?}");
    }
}

#[test]
fn what_a_signer_meets_ends_when_that_signer_gets_further() {
    let missing = Some(("token", "certificate-missing"));
    let waits = |class| Some((class, "no-revocation-data"));
    let learn = |pauses: &mut Pauses, code, state, wait, words: &[&'static str]| {
        let record = record(Uuid4::random(), code, state, wait);
        pauses.learn(&record, &made(words));
    };
    let mut pauses = Pauses::default();
    learn(&mut pauses, A, State::Received, missing, &[]);
    // Signed long ago, and tried once more: no signature was made.
    learn(&mut pauses, A, State::Signed, Some(("tsa", "down")), &[]);
    learn(&mut pauses, A, State::Stamped, waits("ocsp"), &[]);
    learn(&mut pauses, A, State::Ready, None, &["completed"]);
    let both = ["certificate-missing", "ocsp-down"].map(|name| (name, Some(A.to_owned())));
    assert_eq!(names(&pauses), both);
    learn(&mut pauses, B, State::Ready, None, &["signed", "sealed"]);
    assert_eq!(names(&pauses), both, "another's card and list are others");
    learn(
        &mut pauses,
        A,
        State::Stamped,
        waits("network"),
        &["signed", "stamped"],
    );
    assert_eq!(names(&pauses), both[1..]);
    // A revoked certificate signs as before.
    let revoked = Some(("ours", "certificate-revoked"));
    learn(&mut pauses, A, State::Stamped, revoked, &[]);
    learn(
        &mut pauses,
        A,
        State::Signed,
        Some(("tsa", "down")),
        &["signed"],
    );
    assert_eq!(names(&pauses)[0].0, "certificate-revoked");
    learn(&mut pauses, A, State::Ready, None, &["sealed"]);
    assert_eq!(names(&pauses), []);
}

#[test]
fn a_program_hears_of_what_its_documents_met_whoever_signs_them() {
    let mut pauses = Pauses::default();
    let missing = Some(("token", "certificate-missing"));
    let own = Uuid4::random();
    let of = |uuid, code, wait| Record {
        signer: Some("secretary-1".into()),
        ..record(uuid, code, State::Received, wait)
    };
    let heard = |pauses: &Pauses| {
        let condition = |(scope, pause): (&Scope, &pauses::Pause)| Condition {
            kind: pause.kind,
            scope: scope.clone(),
            since: pause.since,
            holds_up: true,
            detail: None,
            practitioners: pause.practitioners(),
        };
        let all: Vec<Condition> = pauses.iter().map(condition).collect();
        let bound = |code: &str| Client {
            name: "bound".into(),
            paired_at: at(0),
            practitioners: vec![code.parse().unwrap()],
        };
        [A, B].map(|code| all.iter().any(|c| c.is_for(&bound(code))))
    };
    pauses.learn(&of(own, A, missing), &[]);
    assert_eq!(heard(&pauses), [true, false]);
    pauses.learn(&of(Uuid4::random(), B, missing), &[]);
    assert_eq!(heard(&pauses), [true, true]);
    // The last of its own has moved on.
    pauses.learn(&of(own, A, None), &[]);
    assert_eq!(heard(&pauses), [false, true]);
}

#[test]
fn every_fault_of_the_gateway_has_a_name() {
    for row in TABLE {
        let prefix = match row.source {
            Source::Wsse => "wsse:",
            Source::Wst => "wst:",
            Source::Soap => "soap:",
            Source::Detail | Source::Here => "",
        };
        let code = match row.code {
            "MessageExpired" => "clock".to_owned(),
            code => format!("{prefix}{code}"),
        };
        let class = match row.verdict {
            Verdict::Retry(_, class) | Verdict::Renew(_, class) | Verdict::Unknown(class) => class,
            // Ends the document, or is asked about at once.
            Verdict::Refused | Verdict::Duplicate => continue,
        };
        let expected = match (class, row.code) {
            (FaultClass::Network, _) => "insurer-unreachable",
            (FaultClass::Account, "UNKNOWN_PROVIDER") => "account-unknown",
            (FaultClass::Account, _) => "account-blocked",
            (FaultClass::ReceiverDown, code) if code.starts_with("answer-") => {
                "insurer-answer-wrong"
            }
            (FaultClass::ReceiverDown, "fault-unknown") => "insurer-answer-wrong",
            (FaultClass::ReceiverDown, _) => "insurer-down",
            (FaultClass::Ours, "InvalidSecurityToken" | "ExpiredData") => "session-expired",
            (FaultClass::Ours, "MessageExpired") => "clock-wrong",
            (FaultClass::Ours, "Client" | "message") => "document-stuck",
            (FaultClass::Ours, "UNKNOWN_MODEL" | "VersionMismatch" | "MustUnderstand") => {
                "configuration-wrong"
            }
            (FaultClass::Ours, _) => "access-refused",
        };
        let class = match class {
            FaultClass::Ours => "ours",
            FaultClass::Network => "network",
            FaultClass::ReceiverDown => "receiver",
            FaultClass::Account => "account",
        };
        let mut pauses = Pauses::default();
        let wait = Some((class, code.as_str()));
        pauses.learn(&record(Uuid4::random(), A, State::Ready, wait), &[]);
        let found: Vec<&str> = names(&pauses).into_iter().map(|(name, _)| name).collect();
        assert_eq!(found, [expected], "{code}");
    }
}

#[test]
fn names_are_unique_and_every_text_is_there() {
    let mut seen = HashSet::new();
    for kind in KINDS {
        assert!(seen.insert(kind.name), "{} stands twice", kind.name);
        assert!(
            kind.cause
                .iter()
                .chain(&kind.next_step)
                .all(|t| t.len() > 10)
        );
    }
}
