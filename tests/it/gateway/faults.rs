//! One case for each row of the fault table, through the whole gateway.

use super::server::{Assertion, EXCHANGE, IDENTITY, Reply, TOKEN, World, fault, request_id};
use super::{FaultClass, Gateway, Message, MySecu, Outcome, Report, deliver, retry_code};
use FaultClass::{Account, Network, Ours, ReceiverDown};
use sceau::gateway::mysecu::fault::{Source, TABLE};
use std::time::Duration;

/// What a case expects at the exchange, in words short enough to be a table.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Want {
    Refused,
    Duplicate,
    Retry(u64, FaultClass),
    Unknown(FaultClass),
}
use Want::{Duplicate, Refused, Retry, Unknown};

struct Case {
    source: Source,
    /// The row's code.
    row: &'static str,
    /// `faultcode`, and `sync:code` when there is a detail.
    fault: (&'static str, Option<&'static str>),
    reported: &'static str,
    exchange: Want,
    /// Seconds and class when the same fault comes before the exchange.
    before: (u64, FaultClass),
}

const fn case(
    source: Source,
    row: &'static str,
    fault: (&'static str, Option<&'static str>),
    reported: &'static str,
    exchange: Want,
    before: (u64, FaultClass),
) -> Case {
    Case {
        source,
        row,
        fault,
        reported,
        exchange,
        before,
    }
}

#[rustfmt::skip]
const FAULTS: &[Case] = &[
    case(Source::Detail, "SCHEMA_INVALID", ("e:Client", Some("SCHEMA_INVALID")), "SCHEMA_INVALID", Refused, (900, Ours)),
    case(Source::Detail, "SIGNATURE_INVALID", ("e:Client", Some("SIGNATURE_INVALID")), "SIGNATURE_INVALID", Refused, (900, Ours)),
    case(Source::Detail, "TIMESTAMP_INVALID", ("e:Client", Some("TIMESTAMP_INVALID")), "TIMESTAMP_INVALID", Refused, (900, Ours)),
    case(Source::Detail, "UNKNOWN_MODEL", ("e:Client", Some("UNKNOWN_MODEL")), "UNKNOWN_MODEL", Retry(3600, Ours), (3600, Ours)),
    case(Source::Detail, "UNKNOWN_PROVIDER", ("e:Client", Some("UNKNOWN_PROVIDER")), "UNKNOWN_PROVIDER", Retry(3600, Account), (3600, Account)),
    case(Source::Detail, "ACCOUNT_BLOCKED", ("e:Client", Some("ACCOUNT_BLOCKED")), "ACCOUNT_BLOCKED", Retry(3600, Account), (3600, Account)),
    case(Source::Detail, "DUPLICATE_UUID", ("e:Client", Some("DUPLICATE_UUID")), "DUPLICATE_UUID", Duplicate, (900, Ours)),
    case(Source::Detail, "UNAVAILABLE", ("e:Server", Some("UNAVAILABLE")), "UNAVAILABLE", Retry(60, ReceiverDown), (60, ReceiverDown)),
    case(Source::Detail, "MAINTENANCE", ("e:Server", Some("MAINTENANCE")), "MAINTENANCE", Retry(60, ReceiverDown), (60, ReceiverDown)),
    case(Source::Detail, "INTERNAL", ("e:Server", Some("INTERNAL")), "INTERNAL", Unknown(ReceiverDown), (60, ReceiverDown)),
    case(Source::Detail, "*", ("e:Client", Some("NEW_CODE")), "NEW_CODE", Unknown(ReceiverDown), (60, ReceiverDown)),
    case(Source::Wsse, "InvalidSecurityToken", ("wsse:InvalidSecurityToken", None), "wsse:InvalidSecurityToken", Retry(60, Ours), (60, Ours)),
    case(Source::Wsse, "MessageExpired", ("wsse:MessageExpired", None), "clock", Retry(300, Ours), (300, Ours)),
    case(Source::Wsse, "*", ("wsse:FailedAuthentication", None), "wsse:FailedAuthentication", Retry(900, Ours), (900, Ours)),
    case(Source::Wsse, "*", ("wsse:FailedCheck", None), "wsse:FailedCheck", Retry(900, Ours), (900, Ours)),
    case(Source::Wsse, "*", ("wsse:InvalidSecurity", None), "wsse:InvalidSecurity", Retry(900, Ours), (900, Ours)),
    case(Source::Wsse, "*", ("wsse:SecurityTokenUnavailable", None), "wsse:SecurityTokenUnavailable", Retry(900, Ours), (900, Ours)),
    case(Source::Wst, "InvalidSecurityToken", ("wst:InvalidSecurityToken", None), "wst:InvalidSecurityToken", Retry(60, Ours), (60, Ours)),
    case(Source::Wst, "ExpiredData", ("wst:ExpiredData", None), "wst:ExpiredData", Retry(60, Ours), (60, Ours)),
    case(Source::Wst, "*", ("wst:RequestFailed", None), "wst:RequestFailed", Retry(900, Ours), (900, Ours)),
    case(Source::Soap, "VersionMismatch", ("e:VersionMismatch", None), "soap:VersionMismatch", Retry(3600, Ours), (3600, Ours)),
    case(Source::Soap, "MustUnderstand", ("e:MustUnderstand", None), "soap:MustUnderstand", Retry(3600, Ours), (3600, Ours)),
    case(Source::Soap, "Client", ("e:Client.Whatever", None), "soap:Client.Whatever", Unknown(Ours), (60, Ours)),
    case(Source::Soap, "*", ("e:Server", None), "soap:Server", Unknown(ReceiverDown), (60, ReceiverDown)),
    case(Source::Here, "fault-unknown", ("nowhere", None), "fault-unknown", Unknown(ReceiverDown), (60, ReceiverDown)),
];

/// Rows met without a fault; each has its own test below or in `answers`.
const WITHOUT_FAULT: &[&str] = &[
    "connect",
    "answer-lost",
    "answer-too-large",
    "answer-not-soap",
    "answer-not-trusted",
    "identity-refused",
    "assertion-unusable",
    "token-unusable",
    "message",
];

fn check(report: &Report, code: &str, want: Want) {
    let (got_code, got) = match &report.outcome {
        Outcome::Answered => panic!("{code} was taken for an answer"),
        Outcome::Refused { code, .. } => (code.as_str(), Refused),
        Outcome::Duplicate => (code, Duplicate),
        Outcome::Retry {
            after, class, code, ..
        } => (code.as_str(), Retry(after.as_secs(), *class)),
        Outcome::Unknown { class, code, .. } => (code.as_str(), Unknown(*class)),
    };
    assert_eq!((got_code, got), (code, want));
}

/// The only outcome that may repeat the receiver's words is its verdict.
fn check_words(report: &Report) {
    let shown = match &report.outcome {
        Outcome::Answered | Outcome::Duplicate => return,
        Outcome::Refused { text, .. } => {
            assert_eq!(text, "said of 1900010112345");
            return;
        }
        Outcome::Retry { text, .. } | Outcome::Unknown { text, .. } => text,
    };
    assert!(!shown.contains("1900010112345"), "{shown}");
}

#[test]
fn every_row_of_the_table_has_a_case() {
    for row in TABLE {
        let by_fault = FAULTS
            .iter()
            .any(|c| c.source == row.source && c.row == row.code);
        let without = row.source == Source::Here && WITHOUT_FAULT.contains(&row.code);
        assert!(by_fault != without, "{:?} {}", row.source, row.code);
    }
    assert!(FAULTS.iter().all(|c| {
        TABLE
            .iter()
            .any(|r| r.source == c.source && r.code == c.row)
    }));
}

#[test]
fn every_fault_has_its_outcome_at_the_exchange() {
    let world = World::start();
    let gateway = world.gateway();
    for case in FAULTS {
        let (faultcode, detail) = case.fault;
        // Twice, for the faults that are tried once more.
        for _ in 0..2 {
            world.plan(EXCHANGE, move |_, _| {
                Reply::Status(500, "", fault(faultcode, detail))
            });
        }
        let report = deliver(&gateway);
        check(&report, case.reported, case.exchange);
        check_words(&report);
        assert_eq!(report.correlation_id.as_deref(), Some("fault-1"));
        let kept = report.envelope.expect("a fault is evidence");
        assert_eq!(kept, fault(faultcode, detail).into_bytes());
        // Leave no plan behind for the next case.
        while deliver(&gateway).outcome != Outcome::Answered {}
    }
}

#[test]
fn a_fault_before_the_exchange_never_leaves_the_document_in_doubt() {
    for step in [IDENTITY, TOKEN] {
        for case in FAULTS {
            let world = World::start();
            let (faultcode, detail) = case.fault;
            for _ in 0..2 {
                world.plan(step, move |_, _| {
                    Reply::Status(500, "", fault(faultcode, detail))
                });
            }
            let report = deliver(&world.gateway());
            let (seconds, class) = case.before;
            check(&report, case.reported, Retry(seconds, class));
            check_words(&report);
            assert!(!world.paths().contains(&EXCHANGE.to_owned()));
        }
    }
}

#[test]
fn the_receiver_may_ask_for_a_longer_pause_within_reason() {
    let world = World::start();
    let gateway = world.gateway();
    let pause = |seconds: &'static str, code: &'static str| {
        world.plan(EXCHANGE, move |_, _| {
            Reply::Status(500, seconds, fault("e:Server", Some(code)))
        });
        match deliver(&gateway).outcome {
            Outcome::Retry { after, .. } => after,
            other => panic!("{other:?}"),
        }
    };
    let of = Duration::from_secs;
    assert_eq!(pause("Retry-After: 7\r\n", "MAINTENANCE"), of(7));
    assert_eq!(
        pause("Retry-After: 99999999\r\n", "UNAVAILABLE"),
        of(86_400)
    );
    assert_eq!(pause("Retry-After: 7\r\n", "ACCOUNT_BLOCKED"), of(3600));
}

fn unreachable(change: impl FnOnce(&mut sceau::gateway::mysecu::Settings)) -> Report {
    let world = World::start();
    let mut settings = world.settings();
    change(&mut settings);
    deliver(&MySecu::new(settings, world.clock.clone()).unwrap())
}

#[test]
fn nothing_is_sent_without_a_connection() {
    let nowhere = || "http://127.0.0.1:1/".to_owned();
    let want = Retry(60, Network);
    check(
        &unreachable(|s| s.identity_url = nowhere()),
        "connect",
        want,
    );
    check(&unreachable(|s| s.token_url = nowhere()), "connect", want);
    check(
        &unreachable(|s| s.exchange_url = nowhere()),
        "connect",
        want,
    );
}

type Make = fn(&World, &str) -> Reply;

#[test]
fn broken_answers_leave_doubt_only_at_the_exchange() {
    let cases: [(&str, Make, FaultClass); 5] = [
        ("answer-lost", |_, _| Reply::Drop, Network),
        ("answer-too-large", |_, _| Reply::Huge, ReceiverDown),
        (
            "answer-not-soap",
            |_, _| Reply::Status(503, "", "<html/>".to_owned()),
            ReceiverDown,
        ),
        (
            "answer-not-soap",
            |_, _| Reply::Soap(String::new()),
            ReceiverDown,
        ),
        (
            "answer-not-trusted",
            |w, r| {
                let mut answer = w.good(EXCHANGE, r);
                answer.signed.clear();
                Reply::Soap(answer.build())
            },
            ReceiverDown,
        ),
    ];
    for (code, make, class) in cases {
        for step in [IDENTITY, TOKEN, EXCHANGE] {
            let world = World::start();
            world.plan(step, make);
            let want = match step {
                EXCHANGE => Unknown(class),
                _ => Retry(60, class),
            };
            check(&deliver(&world.gateway()), code, want);
        }
    }
}

#[test]
fn an_answer_of_another_kind_is_not_an_answer() {
    let world = World::start();
    world.plan(EXCHANGE, |w, r| {
        let mut answer = w.good(EXCHANGE, r);
        answer.content = "<other xmlns=\"urn:test:other\"></other>".to_owned();
        Reply::Soap(answer.build())
    });
    check(
        &deliver(&world.gateway()),
        "answer-not-soap",
        Unknown(ReceiverDown),
    );
}

type Bend = fn(&World, &mut Assertion, &mut String);

#[test]
fn an_assertion_must_answer_our_request_and_be_valid() {
    let minutes = time::Duration::minutes;
    let cases: [(&str, Bend); 7] = [
        ("assertion-unusable", |_, _, id| *id = "another".to_owned()),
        ("assertion-unusable", |w, a, _| {
            a.not_on_or_after = w.now() - time::Duration::minutes(5)
        }),
        ("assertion-unusable", |w, a, _| {
            a.not_before = w.now() + time::Duration::minutes(6)
        }),
        ("assertion-unusable", |_, a, _| {
            a.audience = "https://other.invalid"
        }),
        ("assertion-unusable", |_, a, _| a.ehealth_id = "9000000002"),
        // A comment in the middle must not cut the value to the one expected.
        ("assertion-unusable", |_, a, _| {
            a.ehealth_id = "9000000001<!-- -->2"
        }),
        ("identity-refused", |_, a, _| {
            a.status = "urn:oasis:names:tc:SAML:2.0:status:Responder"
        }),
    ];
    for (code, bend) in cases {
        let world = World::start();
        world.plan(IDENTITY, move |w, request| {
            let (mut assertion, mut id) = (Assertion::new(w.now()), request_id(request));
            bend(w, &mut assertion, &mut id);
            let mut answer = w.good(IDENTITY, request);
            answer.content = w.response(&id, &assertion);
            // Comments are not part of what is signed.
            let bare = answer.content.replace("<!-- -->", "");
            let commented = std::mem::replace(&mut answer.content, bare.clone());
            Reply::Soap(answer.build().replace(&bare, &commented))
        });
        let report = deliver(&world.gateway());
        check(&report, code, Retry(900, Ours));
        assert_eq!(world.paths(), [IDENTITY]);
    }
    // The near miss: four minutes are within the tolerance of two clocks.
    let world = World::start();
    world.plan(IDENTITY, move |w, request| {
        let mut assertion = Assertion::new(w.now());
        assertion.not_before = w.now() + minutes(4);
        let mut answer = w.good(IDENTITY, request);
        answer.content = w.response(&request_id(request), &assertion);
        Reply::Soap(answer.build())
    });
    assert_eq!(deliver(&world.gateway()).outcome, Outcome::Answered);
}

#[test]
fn a_token_must_be_one_and_be_valid() {
    let world = World::start();
    let gateway = world.gateway();
    world.plan(TOKEN, |w, request| {
        let mut answer = w.good(TOKEN, request);
        answer.content = w.collection(w.now() - time::Duration::minutes(5));
        Reply::Soap(answer.build())
    });
    assert_eq!(retry_code(&deliver(&gateway)), "token-unusable");
    world.plan(TOKEN, |w, request| {
        let mut answer = w.good(TOKEN, request);
        answer.content = answer.content.replace("token/bst\">", "token/other\">");
        Reply::Soap(answer.build())
    });
    assert_eq!(retry_code(&deliver(&gateway)), "token-unusable");
    assert_eq!(deliver(&gateway).outcome, Outcome::Answered);
}

#[test]
fn a_delivery_is_only_sent_once_when_its_answer_is_lost() {
    let world = World::start();
    world.plan(EXCHANGE, |_, _| Reply::Drop);
    let gateway = world.gateway();
    let report = gateway.deliver(&Message {
        uuid: sceau::base::Uuid4::random(),
        code_prestataire: "90000001",
        ehealth_id: super::EHEALTH_ID,
        model_id: "TEST-1",
        payload: b"<a/>",
    });
    check(&report, "answer-lost", Unknown(Network));
    assert_eq!(world.paths(), [IDENTITY, TOKEN, EXCHANGE]);
}
