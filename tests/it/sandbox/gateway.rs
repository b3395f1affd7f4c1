//! The daemon's gateway speaks to the sandbox: two programs written apart from
//! the same description of the dialogue.

use super::Sandbox;
use super::client::{Client, DEPOSIT, Flaw, STATUS};
use sceau::base::{Secret, SystemClock, Uuid4};
use sceau::forms::Packs;
use sceau::gateway::mysecu::transport::Transport;
use sceau::gateway::mysecu::{MySecu, Settings};
use sceau::gateway::{Gateway, Message, Outcome, Report};
use sceau::x509::Cert;
use std::time::Duration;

const CODE: &str = "90000001";
const EHEALTH: &str = "9000000001";

/// The gateway as the sandbox's own `environment.toml` configures it.
fn gateway(sandbox: &Sandbox) -> MySecu {
    let text = std::fs::read_to_string(sandbox.dir.join("environment.toml")).unwrap();
    let environment: toml::Table = text.parse().unwrap();
    let value = |name: &str| environment["mysecu"][name].as_str().unwrap().to_owned();
    let file = |name: &str| std::fs::read(value(name)).unwrap();
    let settings = Settings {
        identity_url: value("identity_url"),
        token_url: value("token_url"),
        exchange_url: value("exchange_url"),
        assertion_consumer: value("assertion_consumer"),
        transport: Transport::from_pem(&Secret::new(file("transport"))).unwrap(),
        tls_anchors_pem: file("tls_anchor"),
        answer_anchors: Cert::from_pem_many(&file("answer_anchor")).unwrap(),
        connect_timeout: Duration::from_secs(5),
        timeout: Duration::from_secs(30),
    };
    MySecu::new(settings, SystemClock::shared()).unwrap()
}

fn deliver(gateway: &MySecu, uuid: Uuid4, document: &str) -> Report {
    gateway.deliver(&Message {
        uuid,
        code_prestataire: CODE,
        ehealth_id: EHEALTH,
        model_id: DEPOSIT,
        payload: document.as_bytes(),
    })
}

#[test]
fn the_gateway_delivers_asks_and_understands_every_failure() {
    let scratch = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(scratch.path());
    let (client, gateway) = (Client::new(&sandbox), gateway(&sandbox));
    let packs = Packs::builtin().unwrap();
    let pack = packs.pack("memoire-honoraires", None).unwrap();

    let uuid = Uuid4::random();
    let document = client.document(&uuid.to_string(), CODE, Flaw::None);
    let report = deliver(&gateway, uuid, &document);
    assert_eq!(report.outcome, Outcome::Answered);
    assert!(report.correlation_id.is_some());
    let answer = pack.answer("depot", &report.answer.unwrap()).unwrap();
    assert!(answer.accepted && answer.uuid == uuid);
    assert_eq!(
        deliver(&gateway, uuid, &document).outcome,
        Outcome::Duplicate
    );

    let uuid = Uuid4::random();
    let document = client.document(&uuid.to_string(), CODE, Flaw::None);
    for action in ["drop-before-accept", "unavailable"] {
        sandbox.scenario("exchange", action, None);
        let outcome = deliver(&gateway, uuid, &document).outcome;
        let expected = match outcome {
            Outcome::Unknown { .. } => "drop-before-accept",
            Outcome::Retry { .. } => "unavailable",
            other => panic!("{action}: {other:?}"),
        };
        assert_eq!(action, expected);
    }
    for action in ["bad-answer-signature", "drop-after-accept"] {
        let uuid = Uuid4::random();
        let document = client.document(&uuid.to_string(), CODE, Flaw::None);
        sandbox.scenario("exchange", action, None);
        let outcome = deliver(&gateway, uuid, &document).outcome;
        assert!(
            matches!(outcome, Outcome::Unknown { .. }),
            "{action}: {outcome:?}"
        );
        let question = pack.status_request("depot", &uuid).unwrap();
        let report = gateway.ask(&Message {
            uuid,
            code_prestataire: CODE,
            ehealth_id: EHEALTH,
            model_id: STATUS,
            payload: &question,
        });
        let status = pack
            .status_answer("depot", &report.answer.unwrap())
            .unwrap();
        assert!(status.known && status.answer.is_some_and(|a| a.accepted));
    }
    let flawed = client.document(&uuid.to_string(), CODE, Flaw::OnlyT);
    let outcome = deliver(&gateway, uuid, &flawed).outcome;
    assert!(matches!(&outcome, Outcome::Refused { code, .. } if code == "SIGNATURE_INVALID"));
}
