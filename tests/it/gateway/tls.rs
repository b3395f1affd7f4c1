//! The gateway against the sandbox: another implementation of the dialogue,
//! over TLS with a client certificate.

use super::{FaultClass, MySecu, Outcome, Report, retry_code, unknown_code};
use crate::sandbox::Sandbox;
use sceau::base::{Secret, SystemClock, Uuid4};
use sceau::gateway::mysecu::Settings;
use sceau::gateway::mysecu::transport::Transport;
use sceau::gateway::{Gateway, Message};
use sceau::x509::Cert;
use std::fs;
use std::time::Duration;

fn settings(sandbox: &Sandbox) -> Settings {
    let root = fs::read(sandbox.pki("root.pem")).unwrap();
    let transport = Secret::new(fs::read(sandbox.pki("transport.pem")).unwrap());
    Settings {
        identity_url: format!("{}/esante/authentication", sandbox.tls),
        token_url: format!("{}/ws/soap/trust", sandbox.tls),
        exchange_url: format!("{}/ws/soap/espinst/syncexchange", sandbox.tls),
        assertion_consumer: environment(sandbox, "assertion_consumer"),
        transport: Transport::from_pem(&transport).unwrap(),
        answer_anchors: Cert::from_pem_many(&root).unwrap(),
        tls_anchors_pem: root,
        connect_timeout: Duration::from_secs(10),
        timeout: Duration::from_secs(30),
    }
}

fn environment(sandbox: &Sandbox, key: &str) -> String {
    let text = fs::read_to_string(sandbox.dir.join("environment.toml")).unwrap();
    let table: toml::Table = text.parse().unwrap();
    table["mysecu"][key].as_str().unwrap().to_owned()
}

fn gateway(settings: Settings) -> MySecu {
    MySecu::new(settings, SystemClock::shared()).unwrap()
}

fn deliver(gateway: &MySecu, code_prestataire: &str, model_id: &str) -> Report {
    deliver_as(gateway, "9000000001", code_prestataire, model_id)
}

fn deliver_as(
    gateway: &MySecu,
    ehealth_id: &str,
    code_prestataire: &str,
    model_id: &str,
) -> Report {
    gateway.deliver(&Message {
        uuid: Uuid4::random(),
        code_prestataire,
        ehealth_id,
        model_id,
        payload: b"<?xml version=\"1.0\"?>\n<other xmlns=\"urn:test:other\"/>",
    })
}

fn ask(gateway: &MySecu) -> Report {
    let uuid = Uuid4::random();
    let request = format!(
        "<mh:etatDemande xmlns:mh=\"urn:sceau:forms:memoire-honoraires:2\">\
         <mh:uuidPrestataire>{uuid}</mh:uuidPrestataire></mh:etatDemande>"
    );
    gateway.ask(&Message {
        uuid,
        code_prestataire: "90000001",
        ehealth_id: "9000000001",
        model_id: "SCEAU-MEMHON-STATUS-2",
        payload: request.as_bytes(),
    })
}

#[test]
fn a_question_crosses_all_three_steps() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(folder.path());
    let gateway = gateway(settings(&sandbox));
    assert_eq!(gateway.probe(), Ok(()));
    let report = ask(&gateway);
    assert_eq!(report.outcome, Outcome::Answered);
    assert!(report.correlation_id.is_some());
    let answer = String::from_utf8(report.answer.unwrap()).unwrap();
    assert!(answer.contains("connu>false<"), "{answer}");
}

#[test]
fn the_sandboxs_faults_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(folder.path());
    let gateway = gateway(settings(&sandbox));
    let depot = "SCEAU-MEMHON-DEPOT-2";
    let report = deliver(&gateway, "90000001", depot);
    assert!(
        matches!(&report.outcome, Outcome::Refused { code, .. } if code == "SCHEMA_INVALID"),
        "{report:?}"
    );
    let model = deliver(&gateway, "90000001", "UNHEARD-OF");
    assert_eq!(retry_code(&model), "UNKNOWN_MODEL");
    let blocked = deliver_as(&gateway, "9000000009", "90000009", depot);
    assert_eq!(retry_code(&blocked), "ACCOUNT_BLOCKED");
    let foreign = deliver(&gateway, "90000002", depot);
    assert_eq!(retry_code(&foreign), "UNKNOWN_PROVIDER");
    let stranger = deliver_as(&gateway, "9000000777", "90000001", depot);
    assert_eq!(retry_code(&stranger), "wsse:FailedAuthentication");
}

#[test]
fn the_sandboxs_bad_answers_are_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(folder.path());
    let gateway = gateway(settings(&sandbox));
    sandbox.scenario("status", "bad-answer-signature", None);
    assert_eq!(unknown_code(&ask(&gateway)), "answer-not-trusted");
    sandbox.scenario("status", "drop-after-accept", None);
    assert_eq!(unknown_code(&ask(&gateway)), "answer-lost");
    sandbox.scenario("exchange", "drop-before-accept", None);
    let lost = deliver(&gateway, "90000001", "SCEAU-MEMHON-DEPOT-2");
    assert_eq!(unknown_code(&lost), "answer-lost");
    for step in ["identity", "token"] {
        let fresh = MySecu::new(settings(&sandbox), SystemClock::shared()).unwrap();
        for action in ["bad-answer-signature", "drop-after-accept"] {
            sandbox.scenario(step, action, None);
            let report = deliver(&fresh, "90000001", "SCEAU-MEMHON-DEPOT-2");
            assert!(
                retry_code(&report).starts_with("answer-"),
                "{step} {action}"
            );
        }
    }
    assert_eq!(ask(&gateway).outcome, Outcome::Answered);
}

#[test]
fn a_server_under_another_authority_gets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(folder.path());
    let mut changed = settings(&sandbox);
    changed.tls_anchors_pem = super::parties().root.cert.to_pem().into_bytes();
    let report = deliver(&gateway(changed), "90000001", "SCEAU-MEMHON-DEPOT-2");
    let Outcome::Retry { class, code, .. } = report.outcome else {
        panic!("{report:?}");
    };
    assert_eq!((class, code.as_str()), (FaultClass::Network, "connect"));
}
