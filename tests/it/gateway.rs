//! The gateway against a tiny insurer: the dialogue, its caches, every fault
//! of the table, and answers that must not be believed.

mod answers;
mod faults;
mod pki;
mod server;
mod tls;

use sceau::base::{Secret, Uuid4};
use sceau::gateway::mysecu::MySecu;
use sceau::gateway::mysecu::transport::{Transport, TransportError};
use sceau::gateway::{FaultClass, Gateway, Message, Outcome, Report};
use sceau::x509::{self, Cert, SignatureAlgorithm};
use sceau::xml::c14n::{Options, canonicalize};
use server::{Assertion, EHEALTH_ID, EXCHANGE, IDENTITY, Reply, TOKEN, World, fault, parties};
use std::sync::Arc;
use time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const PAYLOAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- kept -->\n<d:doc xmlns:d='urn:test:doc' b='2'\n a=\"1\"><d:empty/>caf\u{e9} &#x41; <![CDATA[<x>]]></d:doc>\n";

fn deliver(gateway: &MySecu) -> Report {
    deliver_as(gateway, "90000001", PAYLOAD.as_bytes())
}

fn deliver_as(gateway: &MySecu, code_prestataire: &str, payload: &[u8]) -> Report {
    gateway.deliver(&Message {
        uuid: Uuid4::random(),
        code_prestataire,
        ehealth_id: EHEALTH_ID,
        model_id: "TEST-1",
        payload,
    })
}

fn ask(gateway: &MySecu) -> Report {
    gateway.ask(&Message {
        uuid: Uuid4::random(),
        code_prestataire: "90000001",
        ehealth_id: EHEALTH_ID,
        model_id: "TEST-STATUS-1",
        payload: b"<q xmlns=\"urn:test:question\"/>",
    })
}

fn retry_code(report: &Report) -> &str {
    match &report.outcome {
        Outcome::Retry { code, .. } => code,
        other => panic!("not a retry: {other:?}"),
    }
}

fn unknown_code(report: &Report) -> &str {
    match &report.outcome {
        Outcome::Unknown { code, .. } => code,
        other => panic!("not unknown: {other:?}"),
    }
}

/// Checks a request's signature; gives the local names of what it covers.
fn check_request(text: &str) -> Vec<String> {
    let document = roxmltree::Document::parse(text).unwrap();
    let find = |name: &str| document.descendants().find(|n| n.has_tag_name(name));
    let named = |name: &str| {
        let mut all = document.descendants();
        all.find(|n| n.tag_name().name() == name).unwrap()
    };
    assert!(find("Fault").is_none());
    let certificate = named("BinarySecurityToken");
    assert!(
        certificate
            .attribute("ValueType")
            .unwrap()
            .ends_with("#X509v3")
    );
    let der = STANDARD.decode(certificate.text().unwrap()).unwrap();
    let info = named("SignedInfo");
    let algorithm = named("SignatureMethod").attribute("Algorithm").unwrap();
    let value = STANDARD
        .decode(named("SignatureValue").text().unwrap())
        .unwrap();
    let value = match algorithm.contains("ecdsa") {
        true => x509::ecdsa_fixed_to_der(&value),
        false => value,
    };
    x509::verify(
        &Cert::from_der(&der).unwrap(),
        SignatureAlgorithm::from_xml_uri(algorithm).unwrap(),
        &canonicalize(&document, info, |_| true, &Options::EXCLUSIVE),
        &value,
    )
    .unwrap();
    let references = info
        .children()
        .filter(|n| n.has_tag_name(("http://www.w3.org/2000/09/xmldsig#", "Reference")));
    references
        .map(|reference| {
            let id = reference
                .attribute("URI")
                .unwrap()
                .strip_prefix('#')
                .unwrap();
            let mut with_id = document.descendants().filter(|n| {
                n.attributes()
                    .any(|a| a.name().eq_ignore_ascii_case("id") && a.value() == id)
            });
            let target = with_id.next().unwrap();
            assert!(with_id.next().is_none(), "the id {id} is not unique");
            let digest = reference
                .descendants()
                .find(|n| n.tag_name().name() == "DigestValue");
            let canonical = canonicalize(&document, target, |_| true, &Options::EXCLUSIVE);
            let expected = STANDARD.encode(sceau::base::digest::sha256(&canonical));
            assert_eq!(digest.unwrap().text(), Some(expected.as_str()));
            target.tag_name().name().to_owned()
        })
        .collect()
}

#[test]
fn a_document_goes_out_verbatim_and_a_verified_answer_comes_back() {
    let world = World::start();
    let report = deliver(&world.gateway());
    assert_eq!(report.outcome, Outcome::Answered);
    let answer = String::from_utf8(report.answer.unwrap()).unwrap();
    assert!(answer.starts_with("<r:retour "), "{answer}");
    assert!(answer.ends_with("<r:id>42</r:id></r:retour>"), "{answer}");
    let id = report.correlation_id.unwrap();
    assert_eq!(id, "5f0c6f5e-0000-4000-8000-000000000001");
    assert!(report.envelope.unwrap().starts_with(b"<?xml"));

    let seen = world.seen();
    let [identity, token, exchange] = seen.as_slice() else {
        panic!("{} requests", seen.len());
    };
    assert_eq!(identity.action, "\"authenticate\"");
    assert_eq!(
        token.action,
        "\"http://docs.oasis-open.org/ws-sx/ws-trust/200512/RST/Issue\""
    );
    assert_eq!(exchange.action, "\"exchange\"");
    assert_eq!(check_request(&identity.body), ["Timestamp", "Body"]);
    assert_eq!(
        check_request(&token.body),
        ["Timestamp", "Assertion", "Body"]
    );
    assert_eq!(
        check_request(&exchange.body),
        ["Timestamp", "BinarySecurityToken", "Body"]
    );
    let less_declaration = PAYLOAD.split_once("?>").unwrap().1;
    assert!(exchange.body.contains(less_declaration));
    assert!(!exchange.body.contains("<?xml"));
    assert!(token.body.contains("<auth:Value>90000001</auth:Value>"));
}

#[test]
fn the_assertion_is_carried_verbatim_with_the_namespaces_it_inherits() {
    let world = World::start();
    world.plan(IDENTITY, |w, request| {
        let mut answer = w.good(IDENTITY, request);
        // The declaration moves to the body, where the assertion inherits it;
        // canonical form then has it on the assertion still, so it is not
        // signed anew: the digest must hold.
        let declaration = " xmlns:saml2=\"urn:oasis:names:tc:SAML:2.0:assertion\"";
        answer.header.push_str("<!-- x -->");
        let text = answer.build();
        let text = text.replace(declaration, "");
        let text = text.replacen("<soap:Header>", &format!("<soap:Header{declaration}>"), 1);
        Reply::Soap(text.replacen(
            "<saml2p:Response ",
            &format!("<saml2p:Response{declaration} "),
            1,
        ))
    });
    let report = deliver(&world.gateway());
    assert_eq!(report.outcome, Outcome::Answered);
    let seen = world.seen();
    let assertion = Assertion::new(world.now()).xml();
    let (start, rest) = assertion.split_once(" xmlns").unwrap();
    let rest = rest.split_once('>').unwrap().1;
    let carried = &seen[1].body;
    assert!(carried.contains(start) && carried.contains(rest));
    // Signed by reference in our request: it digests as it did in the answer.
    assert_eq!(check_request(carried), ["Timestamp", "Assertion", "Body"]);
}

#[test]
fn credentials_are_kept_until_shortly_before_their_end() {
    let world = World::start();
    let gateway = world.gateway();
    let all = [IDENTITY, TOKEN, EXCHANGE];
    deliver(&gateway);
    assert_eq!(world.paths(), all);
    deliver(&gateway);
    assert_eq!(world.paths(), [EXCHANGE]);
    deliver_as(&gateway, "90000002", PAYLOAD.as_bytes());
    assert_eq!(world.paths(), [TOKEN, EXCHANGE], "a token serves one code");
    world.advance(Duration::minutes(29) - Duration::seconds(1));
    deliver(&gateway);
    assert_eq!(world.paths(), [EXCHANGE]);
    world.advance(Duration::seconds(1));
    deliver(&gateway);
    assert_eq!(world.paths(), [TOKEN, EXCHANGE]);
    world.advance(Duration::hours(4));
    deliver(&gateway);
    assert_eq!(world.paths(), all);
}

#[test]
fn one_caller_fetches_and_the_others_wait() {
    let world = World::start();
    let gateway = Arc::new(world.gateway());
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let gateway = Arc::clone(&gateway);
            std::thread::spawn(move || deliver(&gateway).outcome)
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.join().unwrap(), Outcome::Answered);
    }
    let paths = world.paths();
    let count = |path: &str| paths.iter().filter(|p| *p == path).count();
    assert_eq!((count(IDENTITY), count(TOKEN), count(EXCHANGE)), (1, 1, 8));
}

#[test]
fn a_worn_token_is_renewed_once() {
    let worn = |world: &World| {
        world.plan(EXCHANGE, |_, _| {
            Reply::Status(500, "", fault("wsse:InvalidSecurityToken", None))
        });
    };
    let world = World::start();
    let gateway = world.gateway();
    worn(&world);
    assert_eq!(deliver(&gateway).outcome, Outcome::Answered);
    assert_eq!(world.paths(), [IDENTITY, TOKEN, EXCHANGE, TOKEN, EXCHANGE]);
    worn(&world);
    worn(&world);
    assert_eq!(retry_code(&deliver(&gateway)), "wsse:InvalidSecurityToken");
    assert_eq!(world.paths(), [EXCHANGE, TOKEN, EXCHANGE]);
}

#[test]
fn a_worn_assertion_is_renewed_once() {
    let world = World::start();
    let gateway = world.gateway();
    for _ in 0..2 {
        world.plan(TOKEN, |_, _| {
            Reply::Status(500, "", fault("wst:ExpiredData", None))
        });
    }
    assert_eq!(retry_code(&deliver(&gateway)), "wst:ExpiredData");
    assert_eq!(world.paths(), [IDENTITY, TOKEN, IDENTITY, TOKEN]);
    world.plan(TOKEN, |_, _| {
        Reply::Status(500, "", fault("wst:ExpiredData", None))
    });
    assert_eq!(deliver(&gateway).outcome, Outcome::Answered);
    assert_eq!(world.paths(), [TOKEN, IDENTITY, TOKEN, EXCHANGE]);
}

#[test]
fn a_payload_cannot_break_out_of_its_envelope() {
    let world = World::start();
    let gateway = world.gateway();
    for payload in [
        "<a/></sync:RequestInfo><sync:RequestInfo xmlns:sync='x'>",
        "<a/></sync:RequestInfo></soap:Body><soap:Body><sync:RequestInfo xmlns:sync='x'><a/>",
        "<a/><b/>",
        "text",
        "<a>",
        "<!DOCTYPE a><a/>",
    ] {
        let report = deliver_as(&gateway, "90000001", payload.as_bytes());
        assert_eq!(retry_code(&report), "message", "{payload}");
    }
    assert_eq!(
        world.paths(),
        [IDENTITY, TOKEN],
        "nothing reached the exchange"
    );
}

#[test]
fn questions_never_give_a_verdict_on_the_document() {
    let world = World::start();
    let gateway = world.gateway();
    assert_eq!(ask(&gateway).outcome, Outcome::Answered);
    for code in ["SCHEMA_INVALID", "DUPLICATE_UUID", "MAINTENANCE"] {
        world.plan(EXCHANGE, move |_, _| {
            Reply::Status(500, "", fault("e:Client", Some(code)))
        });
        assert_eq!(unknown_code(&ask(&gateway)), code);
    }
}

#[test]
fn every_kind_of_transport_key_signs() {
    for kind in [pki::Kind::Rsa, pki::Kind::P256, pki::Kind::P384] {
        let own = pki::Party::new(
            "Test transport",
            kind,
            pki::Role::Signer,
            Some(&parties().root),
        );
        let world = World::start();
        let mut settings = world.settings();
        settings.transport = server::transport(&own.pem());
        let gateway = MySecu::new(settings, world.clock.clone()).unwrap();
        assert_eq!(deliver(&gateway).outcome, Outcome::Answered);
        for request in world.seen() {
            check_request(&request.body);
        }
    }
}

#[test]
fn a_pkcs12_file_gives_the_same_identity_as_pem() {
    let own = &parties().transport;
    let certificates = [&own.cert, &parties().root.cert]
        .map(|c| p12_keystore::Certificate::from_der(c.der()).unwrap());
    let key = p12_keystore::PrivateKey::from_der(own.key.serialized_der()).unwrap();
    let chain = p12_keystore::PrivateKeyChain::new(b"1".as_slice(), key, certificates);
    let mut store = p12_keystore::KeyStore::new();
    store.add_entry(
        "transport",
        p12_keystore::KeyStoreEntry::PrivateKeyChain(chain),
    );
    let file = store.writer("secret").write().unwrap();

    let password = Secret::new(b"secret".to_vec());
    let opened = Transport::from_pkcs12(&file, &password).unwrap();
    assert_eq!(opened.certificate(), &own.cert);
    assert_eq!(opened.chain(), [parties().root.cert.clone()]);
    let wrong = Transport::from_pkcs12(&file, &Secret::new(b"wrong".to_vec()));
    assert!(matches!(wrong, Err(TransportError::OpenPkcs12)));
}

#[test]
fn a_key_without_its_certificate_is_refused() {
    let p = parties();
    let pem = format!(
        "{}{}",
        p.signer.cert.to_pem(),
        p.transport.key.serialize_pem()
    );
    let made = Transport::from_pem(&Secret::new(pem.into_bytes()));
    assert!(matches!(made, Err(TransportError::MatchKey)));
}

#[test]
fn a_probe_connects_and_sends_no_document() {
    let world = World::start();
    let gateway = world.gateway();
    assert_eq!(gateway.probe(), Ok(()));
    assert!(world.seen().iter().all(|s| s.body.is_empty()));
    let mut settings = world.settings();
    settings.token_url = "http://127.0.0.1:1/token".to_owned();
    let gateway = MySecu::new(settings, world.clock.clone()).unwrap();
    assert!(gateway.probe().unwrap_err().contains("127.0.0.1:1"));
}
