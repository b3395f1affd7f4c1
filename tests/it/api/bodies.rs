//! What may be sent: media types, multipart and JSON in all their oddities,
//! dry runs, queries, pages.

use super::raw::Answer;
use super::{DEPOT, DRY_RUN, Service, example, files};
use crate::daemon::{self, Setup};
use serde_json::Value;
use std::collections::BTreeSet;

const BOUNDARY: &str = "frontiere";
const MULTIPART: &str = "multipart/form-data; boundary=frontiere";

/// A multipart body of these parts: headers after the name, content.
fn multipart(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, content) in parts {
        let head =
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

#[track_caller]
fn detail(answer: &Answer, code: &str) -> String {
    assert_eq!(answer.problem(), code);
    answer.json()["detail"].as_str().unwrap().to_owned()
}

#[test]
fn a_body_is_one_of_three_kinds_and_whole() {
    let service = Service::start(&Setup::default());
    media_types(&service);
    multiparts(&service);
    json(&service);
    assert_eq!(service.get("/v1/submissions").json(), serde_json::json!([]));
    addresses(&service);
}

fn media_types(service: &Service) {
    let (xml, pdf) = (
        example("valid", "une-ligne.xml"),
        daemon::pdf("memoire-gs-a2b.pdf"),
    );
    let refused = [
        "",
        "text/plain",
        "text/html",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "multipart/mixed; boundary=frontiere",
    ];
    for kind in refused {
        let answer = service.post(DRY_RUN, kind, &xml);
        assert_eq!(answer.status, 415, "{kind}");
        assert!(detail(&answer, "media-type-refused").contains(kind.split(';').next().unwrap()));
    }
    let parts = multipart(&[("xml", &xml), ("pdf", &pdf)]);
    let packs = sceau::forms::Packs::builtin().unwrap();
    let pack = packs.pack("memoire-honoraires", None).unwrap();
    let within = pack.embed("depot", &xml, &pdf).unwrap();
    for (kind, body) in [
        (MULTIPART, &parts),
        ("Multipart/Form-Data; boundary=\"frontiere\"", &parts),
        ("application/xml", &within),
        ("text/xml; charset=utf-8", &within),
    ] {
        let answer = service.post(DRY_RUN, kind, body);
        assert_eq!(answer.status, 200, "{kind}: {answer:?}");
    }
    let answer = service.hand_in(DRY_RUN, &xml, Some(&pdf));
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn multiparts(service: &Service) {
    let (xml, pdf) = (
        example("valid", "une-ligne.xml"),
        daemon::pdf("memoire-gs-a2b.pdf"),
    );
    let whole = multipart(&[("xml", &xml), ("pdf", &pdf)]);
    let cut = &whole[..whole.len() - 10];
    let cases: [(&str, &str, Vec<u8>); 8] = [
        ("\"xml\" is missing", MULTIPART, multipart(&[("pdf", &pdf)])),
        ("\"xml\" is missing", MULTIPART, multipart(&[])),
        (
            "\"xml\" was sent twice",
            MULTIPART,
            multipart(&[("xml", &xml), ("xml", &xml)]),
        ),
        (
            "\"pdf\" was sent twice",
            MULTIPART,
            multipart(&[("xml", &xml), ("pdf", &pdf), ("pdf", &pdf)]),
        ),
        (
            "\"XML\" is not known",
            MULTIPART,
            multipart(&[("XML", &xml)]),
        ),
        ("\"\" is not known", MULTIPART, multipart(&[("", &xml)])),
        ("boundary", "multipart/form-data", whole.clone()),
        ("incomplete", MULTIPART, cut.to_vec()),
    ];
    for (says, kind, body) in cases {
        let answer = service.post(DRY_RUN, kind, &body);
        assert_eq!(answer.status, 400, "{says}");
        let detail = detail(&answer, "body-malformed");
        assert!(detail.contains(says), "{detail} (expected: {says})");
    }
    // A PDF as a part, with the document element empty: no part, no PDF.
    let answer = service.post(DRY_RUN, MULTIPART, &multipart(&[("xml", &xml)]));
    assert_eq!(answer.problem(), "pdf-missing");
    // The same PDF twice is one PDF.
    let within = example("valid", "avec-document.xml");
    let answer = service.post(
        DRY_RUN,
        MULTIPART,
        &multipart(&[("xml", &within), ("pdf", &pdf)]),
    );
    assert_eq!(answer.problem(), "pdf-ambiguous");
}

fn json(service: &Service) {
    let bodies = [
        "",
        "null",
        "[]",
        "{}",
        "{\"xml\":1}",
        "{\"xml\":null}",
        "{\"pdf\":\"\"}",
        "{\"xml\":\"<a/>\",\"pfd\":\"\"}",
        "{\"xml\":\"<a/>\",\"xml\":\"<b/>\"}",
        "{\"xml\":\"<a/>\",\"pdf\":1}",
        "{\"xml\":\"<a/>\",\"pdf\":\"***\"}",
        "{\"xml\":\"<a/>\",\"pdf\":\"JVBERg\"}",
        "{\"xml\":\"<a/>\"} {}",
        "{\"xml\":\"\\ud800\"}",
        "{\"xml\":\"<a/>\"",
    ];
    for body in bodies {
        let answer = service.post(DRY_RUN, "application/json", body.as_bytes());
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        let detail = detail(&answer, "body-malformed");
        assert!(!detail.contains("<a/>"), "{detail} repeats the document");
    }
    for (body, says) in [
        (
            "{\"xml\":\"\",\"pfd\":\"\"}",
            "unknown field `pfd`, expected `xml` or `pdf`",
        ),
        ("{}", "missing field `xml`"),
        ("{\"xml\":}", "expected value at line 1 column 8"),
        ("\"<a>Modele</a>\"", "a value of another type"),
    ] {
        let answer = service.post(DRY_RUN, "application/json", body.as_bytes());
        let detail = detail(&answer, "body-malformed");
        assert!(
            detail.contains(says) && !detail.contains("Modele"),
            "{detail}"
        );
    }
    let deep = format!("{{\"xml\":{}", "[".repeat(100_000));
    let answer = service.post(DRY_RUN, "application/json", deep.as_bytes());
    assert_eq!(answer.problem(), "body-malformed");
    for body in ["{\"xml\":\"\"}", "{\"xml\":\"\",\"pdf\":null}"] {
        let answer = service.post(DRY_RUN, "application/json; charset=utf-8", body.as_bytes());
        assert_eq!(answer.problem(), "document-invalid", "{body}");
    }
}

/// Addresses and parameters that are not there.
fn addresses(service: &Service) {
    let uuid = sceau::base::Uuid4::random();
    let missing: [(&str, String, &str); 14] = [
        ("GET", "/".into(), "not-found"),
        ("GET", "/v1".into(), "not-found"),
        ("GET", "/v2/forms".into(), "not-found"),
        ("GET", "/v1/forms/".into(), "not-found"),
        ("GET", "/v1//forms".into(), "not-found"),
        (
            "GET",
            "/v1/forms/..%2f..%2fadmin.token".into(),
            "form-unknown",
        ),
        ("GET", "/v1/forms/nichts".into(), "form-unknown"),
        ("GET", "/v1/forms/%ff".into(), "query-malformed"),
        ("POST", "/v1/forms/nichts/depot".into(), "form-unknown"),
        (
            "POST",
            "/v1/forms/memoire-honoraires/rien".into(),
            "operation-unknown",
        ),
        ("POST", format!("{DEPOT}?version=1"), "form-unknown"),
        (
            "POST",
            format!("{DEPOT}?dry-run=perhaps"),
            "query-malformed",
        ),
        ("POST", format!("{DEPOT}?dryrun=true"), "query-malformed"),
        (
            "GET",
            format!("/v1/submissions/{uuid}/xml"),
            "submission-unknown",
        ),
    ];
    for (method, target, code) in missing {
        let headers = [("Content-Type", "application/xml")];
        let answer = service.ask(method, &target, &headers, b"<a/>");
        assert_eq!(answer.problem(), code, "{method} {target}");
    }
    for (method, target) in [
        ("POST", "/v1/forms"),
        ("DELETE", "/v1/forms"),
        ("GET", DEPOT),
        ("PUT", "/v1/uuids"),
        ("GET", "/v1/uuids"),
        ("DELETE", "/v1/health"),
        ("TRACE", "/v1/health"),
        ("OPTIONS", "/v1/health"),
    ] {
        let answer = service.ask(method, target, &[], b"");
        assert_eq!(answer.status, 405, "{method} {target}");
        assert_eq!(answer.problem(), "method-refused");
        assert!(answer.header("allow").is_some(), "{method} {target}");
    }
}

#[test]
fn a_dry_run_says_who_would_sign_and_stores_nothing() {
    let service = Service::start(&Setup::default());
    let (xml, pdf) = (
        example("valid", "matricule-douteux.xml"),
        daemon::pdf("memoire-typst-a2b-pages.pdf"),
    );
    let audit = || service.daemon.command(&["audit"]).stdout;
    let bodies = || files(&service.daemon.state().join("bodies"));
    let (audit_before, bodies_before) = (audit(), bodies());
    let answer = service.hand_in(DRY_RUN, &xml, Some(&pdf));
    assert_eq!(answer.status, 200, "{answer:?}");
    let found = answer.json();
    assert_eq!(found["form"], "memoire-honoraires");
    assert_eq!(found["version"], "2");
    assert_eq!(found["pdf"], "PDF/A-2b");
    assert!(found["pages"].as_u64().unwrap() > 1);
    assert!(found["signer"].as_str().unwrap().contains("CN="), "{found}");
    assert_eq!(found["signer_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(found["practitioner"], "Dr Testine Exemple");
    let warning = &found["warnings"][0];
    assert_eq!(
        (&warning["code"], &warning["severity"]),
        (&"form.matricule".into(), &"warning".into())
    );
    assert!(warning["pointer"]["line"].is_u64() && warning["doctor"]["fr"].is_string());
    let uuid = found["uuid"].as_str().unwrap();
    let answer = service.get(&format!("/v1/submissions/{uuid}"));
    assert_eq!(answer.problem(), "submission-unknown");
    assert_eq!(service.get("/v1/submissions").json(), serde_json::json!([]));
    assert_eq!((audit(), bodies()), (audit_before, bodies_before));

    // What a dry run accepts is accepted; the warning's code comes along.
    let answer = service.hand_in(DEPOT, &xml, Some(&pdf));
    assert_eq!(answer.status, 202);
    assert_eq!(
        answer.json()["warnings"],
        serde_json::json!(["form.matricule"])
    );
    let location = answer.header("location").unwrap();
    assert_eq!(location, format!("/v1/submissions/{uuid}"));
    assert_ne!(bodies().len(), 0);
}

#[test]
fn lists_come_in_pages_and_identifiers_in_numbers() {
    let service = Service::start(&Setup::default());
    let pdf = daemon::pdf("memoire-gs-a2b.pdf");
    let sent: Vec<String> = (0..5)
        .map(|_| {
            let (uuid, xml) = daemon::example("une-ligne.xml");
            assert_eq!(service.hand_in(DEPOT, &xml, Some(&pdf)).status, 202);
            uuid
        })
        .collect();
    pages(&service, &sent);
    retry(&service, &sent[0]);
    uuids(&service);
    forms(&service);
}

fn pages(service: &Service, sent: &[String]) {
    let list = |query: &str| -> Vec<String> {
        let list = service.get(&format!("/v1/submissions{query}")).json();
        let uuid = |s: &Value| s["uuid"].as_str().unwrap().to_owned();
        list.as_array().unwrap().iter().map(uuid).collect()
    };
    let newest_first: Vec<String> = sent.iter().rev().cloned().collect();
    assert_eq!(list(""), newest_first);
    let (mut paged, mut query) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let page = list(&query);
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        query = format!("?limit=2&before={last}");
        paged.extend(page);
    }
    assert_eq!(paged, newest_first);
    for query in [
        "limit=0",
        "limit=201",
        "limit=-1",
        "limit=x",
        "before=x",
        "page=2",
        "limit=1&limit=2",
    ] {
        let answer = service.get(&format!("/v1/submissions?{query}"));
        assert_eq!(answer.status, 400, "{query}");
        assert_eq!(answer.problem(), "query-malformed", "{query}");
    }
}

fn retry(service: &Service, uuid: &str) {
    service.daemon.wait_for(uuid, &["receipted"]);
    let target = format!("/v1/submissions/{uuid}/retry");
    let answer = service.post(&target, "application/json", b"");
    assert_eq!(answer.status, 200);
    // What is final stays as it is.
    assert_eq!(answer.json()["state"], "receipted");
    for (part, kind, start) in [
        ("xml", "application/xml", "<?xml"),
        ("pdf", "application/pdf", "%PDF-"),
        ("receipt", "application/xml", "<"),
        ("timestamp", "application/vnd.etsi.timestamp-token", "0"),
    ] {
        let answer = service.get(&format!("/v1/submissions/{uuid}/{part}"));
        assert_eq!(answer.status, 200, "{part}");
        assert_eq!(answer.header("content-type"), Some(kind));
        assert!(answer.body.starts_with(start.as_bytes()), "{part}");
    }
}

fn uuids(service: &Service) {
    let post = |query: &str| service.post(&format!("/v1/uuids{query}"), "application/json", b"");
    assert_eq!(post("").json()["uuids"].as_array().unwrap().len(), 1);
    let found = post("?count=1000").json();
    let found = found["uuids"].as_array().unwrap();
    let distinct: BTreeSet<&str> = found.iter().map(|u| u.as_str().unwrap()).collect();
    assert_eq!(distinct.len(), 1000);
    for uuid in distinct {
        // RFC 9562 §5.4: version 4, variant 10.
        let marks = (uuid.as_bytes()[14], uuid.as_bytes()[19]);
        assert!(
            uuid.len() == 36 && marks.0 == b'4' && b"89ab".contains(&marks.1),
            "{uuid}"
        );
        assert!(uuid.parse::<sceau::base::Uuid4>().is_ok());
    }
    for query in ["?count=0", "?count=1001", "?count=-1", "?count=", "?n=1"] {
        assert_eq!(post(query).problem(), "query-malformed", "{query}");
    }
}

fn forms(service: &Service) {
    let list = service.get("/v1/forms").json();
    let one = service.get("/v1/forms/memoire-honoraires").json();
    let list = list.as_array().unwrap();
    assert!(list.contains(&one) && list.len() > 1, "{list:?}");
    let operations = one["operations"].as_array().unwrap();
    let operation = operations.iter().find(|o| o["operation"] == "depot");
    let operation = operation.unwrap();
    assert_eq!(operation["exchange"], "queued");
    assert_eq!(operation["pdf"], "required");
    assert!(operation["not_now"].is_null());
    assert_eq!(operation["signature_level"], "XAdES-B-LT");
    assert_eq!(operation["pdf_level"], "PAdES-B-B");
    for language in ["fr", "de", "en"] {
        assert!(one["title"][language].is_string());
    }
}
