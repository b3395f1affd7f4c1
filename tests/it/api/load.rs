//! Batches, a program's share, and a full outbox.

use super::{DEPOT, Service, pair, raw};
use crate::daemon::{self, Setup};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::{Read, Write};

const JSON: &str = "application/json";

/// A document of a batch.
fn document(xml: &[u8], pdf: &[u8]) -> Value {
    json!({
        "form": "memoire-honoraires", "operation": "depot",
        "xml": String::from_utf8_lossy(xml), "pdf": STANDARD.encode(pdf),
    })
}

fn batch(documents: &[Value]) -> Vec<u8> {
    json!({ "documents": documents }).to_string().into_bytes()
}

/// Configuration without an insurer: what is accepted waits.
fn nowhere(table: &str) -> Setup {
    let nothing = "identity_url = \"\"\ntoken_url = \"\"\nexchange_url = \"\"\n\
                   assertion_consumer = \"\"\ntls_anchor = \"\"\nanswer_anchor = \"\"\ntransport = \"\"";
    Setup {
        layer: format!("{table}\n[mysecu]\n{nothing}"),
        ..Setup::default()
    }
}

#[test]
fn each_document_of_a_batch_is_taken_or_refused_on_its_own() {
    let service = Service::start(&Setup::default());
    let pdf = daemon::pdf("memoire-gs-a2b.pdf");
    let [(first, one), (second, two)] = [(); 2].map(|()| daemon::example("une-ligne.xml"));
    let good = document(&one, &pdf);
    let mut not_base64 = document(&two, &pdf);
    not_base64["pdf"] = "?".into();
    let mut unknown = good.clone();
    unknown["form"] = "ordonnance".into();
    let documents = [
        good.clone(),
        document(b"<a/>", &pdf),
        not_base64,
        good,
        unknown,
        document(&two, &pdf),
    ];
    let asked = batch(&documents);
    let taken = |answer: super::Answer| -> Vec<(u64, String)> {
        assert_eq!(answer.status, 200, "{answer:?}");
        let shown = answer.json();
        let items = shown["documents"].as_array().unwrap().iter();
        let what = |item: &Value| {
            let what = match item["submission"]["uuid"].as_str() {
                Some(uuid) => uuid,
                None => item["problem"]["code"].as_str().unwrap(),
            };
            (item["status"].as_u64().unwrap(), what.to_owned())
        };
        items.map(what).collect()
    };
    let refused = [
        (422, "document-invalid".to_owned()),
        (400, "body-malformed".to_owned()),
        (404, "form-unknown".to_owned()),
    ];
    let expected = |status| {
        let [invalid, malformed, unknown] = refused.clone();
        let again = (200, first.clone());
        let (one, two) = ((status, first.clone()), (status, second.clone()));
        vec![one, invalid, malformed, again, unknown, two]
    };
    let answer = service.post("/v1/batches", JSON, &asked);
    assert_eq!(taken(answer), expected(202));
    let answer = service.post("/v1/batches", JSON, &asked);
    assert_eq!(taken(answer), expected(200));
    for uuid in [&first, &second] {
        service.daemon.wait_for(uuid, &["receipted"]);
    }
    assert_eq!(service.sandbox.documents().len(), 2);

    let too_many = vec![json!({"form": "", "operation": "", "xml": ""}); 501];
    for bad in [batch(&[]), batch(&too_many), b"[]".to_vec(), b"{".to_vec()] {
        let answer = service.post("/v1/batches", JSON, &bad);
        assert_eq!((answer.status, &*answer.problem()), (400, "body-malformed"));
    }
    let answer = service.post("/v1/batches", "application/xml", &one);
    assert_eq!(answer.status, 415);
}

#[test]
fn a_program_that_runs_wild_is_slowed_and_no_other() {
    let setup = nowhere("[api]\nrequests_per_second = 1\nrequests_at_once = 20");
    let service = Service::start(&setup);
    let calm = pair(&service.daemon, "calm");
    let (_, xml) = daemon::example("une-ligne.xml");
    let pdf = daemon::pdf("memoire-gs-a2b.pdf");
    // A batch counts as many requests as it has documents, repeats too.
    let documents = vec![document(&xml, &pdf); 60];
    // One that was let in before takes no more, once the share is used up.
    let beside = batch(&documents);
    let mut stream = raw::connect(service.port);
    let (port, program, length) = (service.port, &service.program, beside.len());
    let head = format!(
        "POST /v1/batches HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {program}\r\n\
         Content-Type: {JSON}\r\nContent-Length: {length}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    let answer = service.post("/v1/batches", JSON, &batch(&documents));
    assert_eq!(answer.status, 200);
    stream.write_all(&beside).unwrap();
    let answer = raw::read(&mut stream).unwrap();
    assert_eq!(
        (answer.status, &*answer.problem()),
        (429, "too-many-requests")
    );
    let answer = service.hand_in(DEPOT, &xml, Some(&pdf));
    assert_eq!(
        (answer.status, &*answer.problem()),
        (429, "too-many-requests")
    );
    let pause: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=42).contains(&pause), "{pause}");
    assert_eq!(answer.json()["retry_after"], pause);
    let answer = service.ask_with(&calm, "GET", "/v1/submissions", &[], b"");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json().as_array().unwrap().len(), 1);
}

#[test]
fn a_full_outbox_refuses_new_documents_and_still_answers_repeats() {
    let setup = nowhere("[outbox]\nopen_documents_max = 2");
    let service = Service::start(&setup);
    let pdf = daemon::pdf("memoire-gs-a2b.pdf");
    let [first, second, third] = [(); 3].map(|()| daemon::example("une-ligne.xml").1);
    let hand_in = |xml: &[u8]| service.hand_in(DEPOT, xml, Some(&pdf));
    assert_eq!(hand_in(&first).status, 202);
    assert_eq!(hand_in(&second).status, 202);
    let answer = hand_in(&third);
    assert_eq!((answer.status, &*answer.problem()), (503, "queue-full"));
    assert_eq!(answer.header("retry-after"), Some("30"));
    assert_eq!(hand_in(&first).status, 200);
    let answer = service.post("/v1/batches", JSON, &batch(&[document(&third, &pdf)]));
    let item = answer.json()["documents"][0].clone();
    assert_eq!(item["status"], 503);
    assert_eq!(item["problem"]["retry_after"], 30);
    let listed = service.get("/v1/submissions").json();
    assert_eq!(listed.as_array().unwrap().len(), 2);
}
