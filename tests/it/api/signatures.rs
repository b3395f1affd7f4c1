//! `POST /v1/signatures`: each level and place over real HTTP, and what is
//! given instead when a level cannot be had: nothing.

use super::raw::Answer;
use super::{Service, example, files};
use crate::daemon::{self, Setup};
use crate::outage::soft_token;
use crate::sandbox::Sandbox;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sceau::pades;
use sceau::xades::{self, Level, Slot};
use sceau::xml::path::Namespaces;
use serde_json::{Value, json};

const XML: &str = "application/xml";
const PDF: &str = "application/pdf";
const LETTER: &str = "<?xml version=\"1.0\"?>\r\n<l:letter xmlns:l=\"urn:test:letter\" xml:id='a'>\r\n\
    <!-- beside --><sig/>\r\n<l:text>é &lt; <![CDATA[<]]></l:text>\r\n</l:letter>\r\n";

impl Service {
    /// Asks for a signature in the name of the first practitioner.
    #[track_caller]
    fn sign(&self, query: &str, kind: &str, body: &[u8]) -> Answer {
        let target = format!("/v1/signatures?practitioner=90000001{query}");
        self.post(&target, kind, body)
    }
}

fn slot(text: &str) -> Slot {
    let namespaces = Namespaces::from([("l".to_owned(), "urn:test:letter".to_owned())]);
    Slot::parse(text, &namespaces).unwrap()
}

#[test]
fn xml_is_signed_at_each_level_in_each_place() {
    let service = Service::start(&Setup::default());
    let kept = || files(&service.daemon.state().join("bodies"));
    let before = kept();
    for (word, level) in [("B-B", Level::B), ("B-T", Level::T), ("B-LT", Level::LT)] {
        for place in ["end-of-root", "/l:letter/sig"] {
            let query = format!("&level=XAdES-{word}&slot={place}");
            let answer = service.sign(&query, XML, LETTER.as_bytes());
            let cell = format!("{word} in {place}: {answer:?}");
            assert_eq!(answer.status, 200, "{cell}");
            assert_eq!(answer.header("content-type"), Some(XML), "{cell}");
            let named = answer.header("sceau-level");
            assert_eq!(named, Some(format!("XAdES-{word}").as_str()), "{cell}");
            let verified = xades::verify(&answer.body, &slot(place)).expect(&cell);
            assert_eq!(verified.level, level, "{cell}");
            assert_eq!(verified.token.is_some(), level > Level::B, "{cell}");
            // What the program wrote stands around the signature.
            let signed = String::from_utf8(answer.body).unwrap();
            let start = signed.find("<ds:Signature ").unwrap();
            let end = signed.find("</ds:Signature>").unwrap() + "</ds:Signature>".len();
            let around = [&signed[..start], &signed[end..]].concat();
            assert_eq!(around.replace("<sig></sig>", "<sig/>"), LETTER, "{cell}");
        }
    }
    // Highest level and end of the root when nothing is said.
    let answer = service.sign("", "text/xml; charset=utf-8", LETTER.as_bytes());
    assert_eq!(answer.header("sceau-level"), Some("XAdES-B-LT"));
    xades::verify(&answer.body, &Slot::EndOfRoot).unwrap();
    // The same as a part.
    let part =
        format!("--b\r\nContent-Disposition: form-data; name=\"xml\"\r\n\r\n{LETTER}\r\n--b--\r\n");
    let kind = "multipart/form-data; boundary=b";
    let answer = service.sign("", kind, part.as_bytes());
    xades::verify(&answer.body, &Slot::EndOfRoot).unwrap();
    assert_eq!(kept(), before, "something was stored");
    assert_eq!(service.get("/v1/submissions").json(), json!([]));
}

#[test]
fn a_pdf_is_signed_at_each_level_and_its_bytes_stay() {
    let service = Service::start(&Setup::default());
    for name in ["memoire-gs-a2b.pdf", "memoire-typst-a3b.pdf"] {
        let original = daemon::pdf(name);
        let mut signed = original.clone();
        for (word, level) in [("B-B", Level::B), ("B-T", Level::T), ("B-LT", Level::LT)] {
            // Each further signature goes over those before it.
            let before = std::mem::take(&mut signed);
            let answer = service.sign(&format!("&level=PAdES-{word}"), PDF, &before);
            let cell = format!("{word} on {name}");
            assert_eq!(
                answer.status,
                200,
                "{cell}: {:?}",
                answer.header("content-type")
            );
            assert_eq!(answer.header("content-type"), Some(PDF), "{cell}");
            let named = answer.header("sceau-level");
            assert_eq!(named, Some(format!("PAdES-{word}").as_str()), "{cell}");
            signed = answer.body;
            assert!(signed.starts_with(&before), "{cell}");
            let found = pades::verify(&signed).expect(&cell);
            assert_eq!(found.level, level, "{cell}");
            assert_eq!(found.token.is_some(), level > Level::B, "{cell}");
        }
        let all = pades::verify_all(&signed).unwrap();
        assert_eq!(all.into_iter().filter(Result::is_ok).count(), 3, "{name}");
    }
    let part = [
        b"--b\r\nContent-Disposition: form-data; name=\"pdf\"\r\n\r\n".as_slice(),
        &daemon::pdf("memoire-gs-a2b.pdf"),
        b"\r\n--b--\r\n",
    ];
    let answer = service.sign("", "multipart/form-data; boundary=b", &part.concat());
    assert_eq!(answer.header("sceau-level"), Some("PAdES-B-LT"));
}

#[test]
fn json_tells_who_signed_when_and_what_was_asked() {
    let service = Service::start(&Setup::default());
    let target = "/v1/signatures?practitioner=90000001&level=XAdES-B-LT";
    let headers = [("Content-Type", XML), ("Accept", "application/json")];
    let answer = service.ask("POST", target, &headers, LETTER.as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    let told = answer.json();
    assert_eq!(told["level"], "XAdES-B-LT");
    let signed = STANDARD.decode(told["document"].as_str().unwrap()).unwrap();
    let verified = xades::verify(&signed, &Slot::EndOfRoot).unwrap();
    let time = |name: &str| told[name].as_str().unwrap().get(..19).unwrap().to_owned();
    assert!(time("signing_time") <= time("gen_time"), "{told}");
    let subject = told["certificate"]["subject"].as_str().unwrap();
    assert_eq!(subject, verified.signer.subject());
    let calls = told["calls"].as_array().unwrap();
    let purposes: Vec<_> = calls
        .iter()
        .map(|c| c["purpose"].as_str().unwrap())
        .collect();
    assert_eq!(purposes[0], "timestamp");
    assert!(purposes.contains(&"ocsp"), "{told}");
    assert!(
        calls
            .iter()
            .all(|c| c["at"].is_string() && c["url"].is_string())
    );
}

#[test]
fn a_form_says_itself_who_signs_and_where() {
    let service = Service::start(&Setup::default());
    let form = "/v1/signatures?form=memoire-honoraires&operation=depot";
    // The wrapper is missing and is made; the PDF may be missing.
    let xml = example("valid", "une-ligne.xml");
    let answer = service.post(form, XML, &xml);
    assert_eq!(answer.status, 200, "{answer:?}");
    let packs = sceau::forms::Packs::builtin().unwrap();
    let pack = packs.pack("memoire-honoraires", None).unwrap();
    let slot = &pack.operation("depot").unwrap().signed().unwrap().slot;
    let verified = xades::verify(&answer.body, slot).unwrap();
    assert_eq!(verified.level, Level::LT);

    let answer = service.post(form, XML, &example("invalid", "a-payer-faux.xml"));
    assert_eq!(answer.problem(), "document-invalid");
    assert!(answer.json()["faults"][0]["pointer"]["line"].is_u64());
    let other = format!("{form}&practitioner=90000002");
    assert_eq!(service.post(&other, XML, &xml).problem(), "query-malformed");
    let code = String::from_utf8(xml).unwrap();
    let code = code.replace(">90000001<", ">90000003<");
    let answer = service.post(form, XML, code.as_bytes());
    assert_eq!(answer.problem(), "practitioner-unknown");
    assert!(answer.json()["faults"][0]["pointer"]["xpath"].is_string());
}

/// Query, body, code of the problem, and what its detail says.
const REFUSED: &str = "\
    level=XAdES-B-LTA | letter | query-malformed | XAdES-B-LT.
    level=PAdES-B-B | letter | query-malformed | XAdES-B-B
    level=XAdES-B-B | pdf | query-malformed | PAdES-B-B
    slot=/a&form=b&operation=c | letter | query-malformed | Either
    form=b | letter | query-malformed | together
    version=2 | letter | query-malformed | together
    slot=/a | pdf | query-malformed | XML only
    slot=sig | letter | query-malformed | does not lead from the document
    slot=/x:sig | letter | query-malformed | not declared
    colour=red | letter | query-malformed | colour
    form=b&operation=c | letter | form-unknown | b
    form=memoire-honoraires&operation=c | letter | operation-unknown | c
    slot=/l:letter/none | letter | slot-refused | no slot
    slot=/l:letter/l:text | letter | slot-refused | with content
    slot=end-of-root | signed | already-signed | signature
    slot=end-of-root | <a><b></a> | xml-unreadable | not well-formed
    slot=end-of-root | <?pi x?><a/> | xml-unreadable | processing instruction
    slot=end-of-root | <!DOCTYPE a><a/> | xml-unreadable | DOCTYPE";

#[test]
fn what_cannot_be_signed_is_refused_with_the_reason() {
    let service = Service::start(&Setup::default());
    let signed = service.sign("&level=XAdES-B-B", XML, LETTER.as_bytes());
    let signed = String::from_utf8(signed.body).unwrap();
    for line in REFUSED.lines() {
        let cells: Vec<&str> = line.trim().split(" | ").collect();
        let (kind, body) = match cells[1] {
            "letter" => (XML, LETTER),
            "signed" => (XML, signed.as_str()),
            "pdf" => ("application/pdf", "%PDF"),
            other => (XML, other),
        };
        let answer = service.sign(&format!("&{}", cells[0]), kind, body.as_bytes());
        assert_eq!(answer.problem(), cells[2], "{line}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(cells[3]), "{line}: {detail}");
    }
    let broken = service.sign("", XML, b"<a>\n<b></a>").json();
    assert_eq!(broken["faults"][0]["pointer"]["line"], 2, "{broken}");
    for kind in ["", "application/json", "text/plain"] {
        let answer = service.sign("", kind, LETTER.as_bytes());
        assert_eq!(answer.problem(), "media-type-refused");
    }
    for name in [
        "memoire-gs-encrypted.pdf",
        "memoire-gs-a2b-certified-p1.pdf",
    ] {
        let answer = service.sign("", PDF, &daemon::pdf(name));
        assert_eq!(answer.problem(), "pdf-refused", "{name}");
    }
    let none = service.sign("", "multipart/form-data; boundary=b", b"--b--\r\n");
    assert_eq!(none.problem(), "body-malformed");
    // Three practitioners are configured.
    let answer = service.post("/v1/signatures", XML, LETTER.as_bytes());
    assert_eq!(answer.problem(), "query-malformed");
    let target = "/v1/signatures?practitioner=90000003";
    let answer = service.post(target, XML, LETTER.as_bytes());
    assert_eq!(answer.problem(), "practitioner-unknown");
}

#[test]
fn a_level_is_reached_or_nothing_is_given() {
    let service = Service::start(&Setup::default());
    let fails = |point: &str, action: &str| {
        let rule = json!({ "point": point, "action": action, "count": 100_000 });
        service.sandbox.control("scenario", &rule.to_string());
    };
    let refused = |level: &str, code: &str, says: &str| {
        let (kind, body) = match level.starts_with("XAdES") {
            true => (XML, LETTER.as_bytes().to_vec()),
            false => (PDF, daemon::pdf("memoire-gs-a2b.pdf")),
        };
        let answer = service.sign(&format!("&level={level}"), kind, &body);
        assert_eq!((answer.status, answer.problem().as_str()), (503, code));
        assert_eq!(answer.header("retry-after"), Some("30"));
        assert_eq!(answer.header("sceau-level"), None);
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(says), "{detail}");
    };
    let signs = |level: &str| {
        let answer = service.sign(&format!("&level={level}"), XML, LETTER.as_bytes());
        assert_eq!(answer.header("sceau-level"), Some(level), "{answer:?}");
    };
    for (action, says) in [
        ("unavailable", "503"),
        ("drop-before-accept", "no timestamp answer from http"),
        ("wrong-nonce", "nonce"),
        ("stale", "apart"),
    ] {
        fails("tsa", action);
        refused("PAdES-B-LT", "timestamp-unavailable", says);
        refused("XAdES-B-T", "timestamp-unavailable", says);
        refused("XAdES-B-LT", "timestamp-unavailable", says);
        signs("XAdES-B-B");
        service.sandbox.calm();
    }
    fails("ocsp", "unavailable");
    fails("crl", "unavailable");
    let unavailable = "validation-data-unavailable";
    refused("XAdES-B-LT", unavailable, "no evidence");
    refused("PAdES-B-LT", unavailable, "no evidence");
    signs("XAdES-B-T");
    service.sandbox.calm();
    signs("XAdES-B-LT");
}

#[test]
fn a_certificate_that_is_revoked_gives_no_b_lt_and_one_not_valid_signs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let (setup, serial) = soft_token(&sandbox, folder.path(), "valid");
    let service = Service::start_in(folder, sandbox, &setup);
    let revoked = json!({ "serial": serial, "reason": 1 });
    service.sandbox.control("revoke", &revoked.to_string());
    let answer = service.sign("&level=XAdES-B-LT", XML, LETTER.as_bytes());
    assert_eq!(answer.problem(), "certificate-refused", "{answer:?}");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("was revoked on"), "{detail}");

    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let (setup, _) = soft_token(&sandbox, folder.path(), "expired");
    let service = Service::start_in(folder, sandbox, &setup);
    for level in ["XAdES-B-B", "XAdES-B-LT"] {
        let answer = service.sign(&format!("&level={level}"), XML, LETTER.as_bytes());
        assert_eq!(answer.problem(), "certificate-refused", "{answer:?}");
    }
    let answer = service.sign("", PDF, &daemon::pdf("memoire-gs-a2b.pdf"));
    assert_eq!(answer.problem(), "certificate-refused", "{answer:?}");
}

#[test]
fn without_token_nothing_is_signed_and_the_reason_is_told() {
    let layer = "token = []\n".to_owned();
    let service = Service::start(&Setup {
        layer,
        ..Setup::default()
    });
    let answer = service.sign("", XML, LETTER.as_bytes());
    assert_eq!(answer.status, 503);
    assert_eq!(answer.problem(), "token-unavailable");
    assert_eq!(answer.header("retry-after"), Some("30"));
}

#[test]
fn a_level_beyond_the_configuration_is_named_as_such() {
    let layer = "[trust]\ntimestamp_authority = []\n".to_owned();
    let service = Service::start(&Setup {
        layer,
        ..Setup::default()
    });
    for (level, status) in [("XAdES-B-B", 200), ("XAdES-B-T", 409), ("XAdES-B-LT", 409)] {
        let answer = service.sign(&format!("&level={level}"), XML, LETTER.as_bytes());
        assert_eq!(answer.status, status, "{level}: {answer:?}");
        if status == 409 {
            assert_eq!(answer.problem(), "level-unavailable");
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains("no timestamp authority"), "{detail}");
        }
    }
}

#[test]
fn a_delegate_signs_as_such_and_only_for_who_authorised_it() {
    let service = Service::start(&Setup::default());
    let json = [("Accept", "application/json"), ("Content-Type", XML)];
    let sign = |token: &str, query: &str| {
        let target = format!("/v1/signatures?level=XAdES-B-B&{query}");
        service.ask_with(token, "POST", &target, &json, LETTER.as_bytes())
    };
    let program = service.program.as_str();
    for (query, id, role) in [
        (
            "practitioner=90000001&signer=assistante",
            "assistante",
            "delegate",
        ),
        ("signer=90000002", "90000002", "practitioner"),
    ] {
        let signed = sign(program, query).json();
        let said = (&signed["signer_id"], &signed["signer_role"]);
        assert_eq!(said, (&json!(id), &json!(role)), "{signed:#}");
        let document = STANDARD.decode(signed["document"].as_str().unwrap());
        let verified = xades::verify(&document.unwrap(), &Slot::EndOfRoot).unwrap();
        let fingerprint = sceau::sign::fingerprint(&verified.signer);
        assert_eq!(signed["certificate"]["sha256"], fingerprint);
    }
    let pairing = ["pair", "first", "--practitioner", "90000001"];
    let first = service.daemon.command(&pairing).stdout;
    let first = String::from_utf8(first).unwrap();
    for (token, query, code) in [
        (program, "signer=assistante", "query-malformed"),
        (
            program,
            "practitioner=90000009&signer=assistante",
            "signer-unknown",
        ),
        (
            program,
            "practitioner=90000001&signer=90000002",
            "signer-unknown",
        ),
        (
            program,
            "practitioner=90000001&signer=nobody",
            "signer-unknown",
        ),
        (
            first.trim(),
            "practitioner=90000002&signer=assistante",
            "practitioner-not-allowed",
        ),
        (first.trim(), "signer=90000002", "practitioner-not-allowed"),
    ] {
        assert_eq!(sign(token, query).problem(), code, "{query}");
    }
    assert_eq!(
        sign(first.trim(), "practitioner=90000001&signer=assistante").status,
        200
    );

    let own = (json!("90000002"), json!("practitioner"));
    let delegate = (json!("assistante"), json!("delegate"));
    assert_eq!(noted(&service), [delegate.clone(), own, delegate]);
}

/// Who signed apart, in which capacity, as the history has it.
fn noted(service: &Service) -> Vec<(Value, Value)> {
    let state = sceau::store::Settings {
        folder: service.daemon.state(),
        ..sceau::config::load(&[]).unwrap().store
    };
    let store = sceau::store::Store::open(&state, &sceau::outbox::migrations()).unwrap();
    let entries = store.read(|c| sceau::audit::about(c, "daemon")).unwrap();
    let signed = entries.iter().filter(|entry| entry.event == "signed-apart");
    let who = |key: &str, entry: &sceau::audit::Entry| entry.detail[key].clone();
    let signed = signed.map(|entry| (who("signer", entry), who("role", entry)));
    signed.collect()
}
