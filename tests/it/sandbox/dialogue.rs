//! The three calls over TLS, and what the exchange accepts and refuses.

use super::Sandbox;
use super::client::{Client, DEPOSIT, Flaw, between};
use sceau::base::Uuid4;

const CODE: &str = "90000001";
const EHEALTH: &str = "9000000001";

fn uuid() -> String {
    Uuid4::random().to_string()
}

#[test]
fn a_document_is_received_once_and_survives_a_kill() {
    let scratch = tempfile::tempdir().unwrap();
    let mut sandbox = Sandbox::start(scratch.path());
    let id = uuid();
    let (token, document) = {
        let client = Client::new(&sandbox);
        let token = client.token(CODE, EHEALTH);
        let unknown = client.ask(&token, &id);
        assert!(
            unknown.body.contains("<mh:connu>false<"),
            "{}",
            unknown.body
        );
        let document = client.document(&id, CODE, Flaw::None);
        let answer = client.exchange(&token, DEPOSIT, &document);
        assert_eq!(answer.status, "200", "{}", answer.body);
        assert!(
            answer.body.contains("<mh:statut>accepte<"),
            "{}",
            answer.body
        );
        assert!(answer.body.contains("<!-- Correlation-ID: "));
        let said = client.verify(&answer.body);
        assert!(
            said.contains("OK\nSignedInfo References (ok/all): 2/2"),
            "{said}"
        );
        (token, document)
    };
    sandbox.kill();

    let restarted = Sandbox::start(scratch.path());
    assert_eq!(
        (&restarted.http, &restarted.tls),
        (&sandbox.http, &sandbox.tls)
    );
    let client = Client::new(&restarted);
    let again = client.exchange(&token, DEPOSIT, &document);
    assert!(again.body.contains(">DUPLICATE_UUID<"), "{}", again.body);
    let state = client.ask(&token, &id);
    assert!(state.body.contains("<mh:connu>true<"), "{}", state.body);
    assert!(state.body.contains(">SANDBOX-00000001<"), "{}", state.body);
    let documents = restarted.documents();
    assert_eq!(documents.len(), 1);
    assert_eq!(documents[0]["uuid"], id.as_str());
    assert_eq!(documents[0]["arrivals"], 2);
    let url = format!("{}/control/documents/{id}/xml", restarted.http);
    let body = super::ok(super::run("curl", &["-sS", &url]));
    assert!(
        document == String::from_utf8(body).unwrap(),
        "other bytes were kept"
    );
}

#[test]
fn flawed_documents_are_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(scratch.path());
    let client = Client::new(&sandbox);
    let token = client.token(CODE, EHEALTH);
    let flaws = [
        (Flaw::Altered, "SIGNATURE_INVALID", "the digest of"),
        (Flaw::AlteredPdf, "SIGNATURE_INVALID", "message digest"),
        (
            Flaw::UnsignedPdf,
            "SIGNATURE_INVALID",
            "the PDF is not signed",
        ),
        (Flaw::OnlyB, "TIMESTAMP_INVALID", "the signature has none"),
        (
            Flaw::OnlyT,
            "SIGNATURE_INVALID",
            "CertificateValues is missing",
        ),
        (Flaw::OtherStamp, "TIMESTAMP_INVALID", "other bytes"),
        (
            Flaw::OldRevocation,
            "SIGNATURE_INVALID",
            "older than the timestamp",
        ),
    ];
    for (flaw, code, text) in flaws {
        let document = client.document(&uuid(), CODE, flaw);
        let answer = client.exchange(&token, DEPOSIT, &document);
        assert_eq!(answer.status, "500");
        let found = answer.body.contains(&format!(">{code}<")) && answer.body.contains(text);
        assert!(found, "{code}, {text}: {}", answer.body);
    }
    let good = client.document(&uuid(), CODE, Flaw::None);
    let schema = good.replace("<mh:nombre>", "<mh:nombre>x");
    let cases = [
        (DEPOSIT, schema, "SCHEMA_INVALID"),
        (
            DEPOSIT,
            client.document(&uuid(), "90000002", Flaw::None),
            "UNKNOWN_PROVIDER",
        ),
        ("NO-SUCH-MODEL", good, "UNKNOWN_MODEL"),
    ];
    for (model, document, code) in cases {
        let answer = client.exchange(&token, model, &document);
        assert!(
            answer.body.contains(&format!(">{code}<")),
            "{code}: {}",
            answer.body
        );
    }
    assert!(sandbox.documents().is_empty());
    let old_list = client.document(&uuid(), CODE, Flaw::OldList);
    let answer = client.exchange(&token, DEPOSIT, &old_list);
    assert_eq!(answer.status, "200", "{}", answer.body);
    let serial = client.serial("signer-leaf.pem");
    sandbox.control("revoke", &format!("{{\"serial\":\"{serial}\"}}"));
    let revoked = client.document(&uuid(), CODE, Flaw::None);
    let answer = client.exchange(&token, DEPOSIT, &revoked);
    assert!(answer.body.contains("was revoked at"), "{}", answer.body);
    assert_eq!(sandbox.documents().len(), 1);
}

#[test]
fn messages_are_believed_only_when_signed() {
    let scratch = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(scratch.path());
    let client = Client::new(&sandbox);
    assert!(!client.connects_without_certificate());

    let answer = client.assertion(EHEALTH);
    assert_eq!(answer.status, "200", "{}", answer.body);
    assert!(client.verify(&answer.body).contains("OK\n"));
    let assertion = between(&answer.body, "<saml2:Assertion", "</saml2:Assertion>");
    let said = client.verify_assertion(&assertion);
    assert!(
        said.contains("OK\nSignedInfo References (ok/all): 1/1"),
        "{said}"
    );
    let stranger = client.assertion("9999999999");
    assert!(
        stranger.body.contains("wsse:FailedAuthentication"),
        "{}",
        stranger.body
    );

    let forged = assertion.replace(EHEALTH, "9000000002");
    let answer = client.token_answer(&forged, "90000002");
    assert!(answer.body.contains("wsse:FailedCheck"), "{}", answer.body);
    let other = client.token_answer(&assertion, "90000002");
    assert!(other.body.contains(">UNKNOWN_PROVIDER<"), "{}", other.body);
    let blocked = between(
        &client.assertion("9000000009").body,
        "<saml2:Assertion",
        "</saml2:Assertion>",
    );
    let answer = client.token_answer(&blocked, "90000009");
    assert!(answer.body.contains(">ACCOUNT_BLOCKED<"), "{}", answer.body);

    let token = client.token(CODE, EHEALTH);
    let body = "<sync:RequestInfo xmlns:sync=\"urn:sceau:mysecu:exchange:1\" modelUID=\"M\"><a/>\
                </sync:RequestInfo>";
    let path = "/ws/soap/espinst/syncexchange";
    let signed = client.envelope(body, &token, Some("tok"));
    let cases = [
        (
            signed.replace("modelUID=\"M\"", "modelUID=\"N\""),
            "FailedCheck",
        ),
        (client.envelope(body, &token, None), "InvalidSecurity"),
        (client.envelope(body, "", None), "SecurityTokenUnavailable"),
        (
            signed.replace("wsse:Security", "wsse:Unknown"),
            "InvalidSecurity",
        ),
    ];
    for (envelope, code) in cases {
        let answer = client.post(path, "exchange", &envelope);
        assert!(
            answer.body.contains(&format!("wsse:{code}<")),
            "{code}: {}",
            answer.body
        );
    }
    let known = client.post(path, "exchange", &signed);
    assert!(known.body.contains(">UNKNOWN_MODEL<"), "{}", known.body);
}

#[test]
fn scenarios_strike_where_they_are_told() {
    let scratch = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(scratch.path());
    let client = Client::new(&sandbox);
    sandbox.scenario("identity", "unavailable", None);
    assert!(client.assertion(EHEALTH).body.contains(">UNAVAILABLE<"));
    let token = client.token(CODE, EHEALTH);

    let id = uuid();
    let document = client.document(&id, CODE, Flaw::None);
    sandbox.scenario("exchange", "drop-before-accept", None);
    assert_eq!(
        client.exchange(&token, DEPOSIT, &document).exit,
        52,
        "no answer at all"
    );
    assert!(sandbox.documents().is_empty());
    sandbox.scenario("exchange", "refuse", Some("MAINTENANCE"));
    assert!(
        client
            .exchange(&token, DEPOSIT, &document)
            .body
            .contains(">MAINTENANCE<")
    );
    assert!(sandbox.documents().is_empty());
    sandbox.scenario("exchange", "drop-after-accept", None);
    assert_eq!(
        client.exchange(&token, DEPOSIT, &document).exit,
        52,
        "no answer at all"
    );
    assert_eq!(sandbox.documents().len(), 1);
    assert!(client.ask(&token, &id).body.contains("<mh:statut>accepte<"));

    let id = uuid();
    let document = client.document(&id, CODE, Flaw::None);
    sandbox.scenario("exchange", "bad-answer-signature", None);
    let answer = client.exchange(&token, DEPOSIT, &document);
    assert!(
        client.verify(&answer.body).contains("FAIL"),
        "{}",
        answer.body
    );
    let id = uuid();
    let document = client.document(&id, CODE, Flaw::None);
    sandbox.scenario("exchange", "refuse", Some("TEST-042"));
    let answer = client.exchange(&token, DEPOSIT, &document);
    assert!(answer.body.contains("<mh:statut>refuse<") && answer.body.contains(">TEST-042<"));
    assert!(client.ask(&token, &id).body.contains("<mh:statut>refuse<"));
    sandbox.scenario("exchange", "duplicate", None);
    let document = client.document(&uuid(), CODE, Flaw::None);
    let answer = client.exchange(&token, DEPOSIT, &document);
    assert!(answer.body.contains(">DUPLICATE_UUID<"), "{}", answer.body);
    assert_eq!(sandbox.documents().len(), 4);
}
