//! Answers that must be believed, and answers that must not.

use super::pki::{Answer, Kind, Party, Role, SOAP, WSU};
use super::server::{EXCHANGE, Reply, World, parties};
use super::{MySecu, Outcome, Report, deliver, unknown_code};
use sceau::x509::Cert;
use time::Duration;

type Make = fn(&World, Answer<'static>) -> String;

fn outcome(make: Make) -> Report {
    let world = World::start();
    world.plan(EXCHANGE, move |w, r| {
        Reply::Soap(make(w, w.good(EXCHANGE, r)))
    });
    deliver(&world.gateway())
}

#[track_caller]
fn believed(make: Make) {
    let report = outcome(make);
    assert_eq!(report.outcome, Outcome::Answered);
}

#[track_caller]
fn disbelieved(reason: &str, make: Make) {
    let report = outcome(make);
    assert_eq!(unknown_code(&report), "answer-not-trusted");
    let Outcome::Unknown { text, .. } = &report.outcome else {
        panic!("{report:?}");
    };
    assert!(text.contains(reason), "{text}");
    assert!(report.answer.is_none(), "its content must not be used");
}

fn leak(party: Party) -> &'static Party {
    Box::leak(Box::new(party))
}

#[test]
fn an_untouched_answer_is_believed() {
    believed(|_, a| a.build());
}

#[test]
fn an_inclusive_prefix_list_is_understood() {
    believed(|_, mut a| {
        a.prefix_list = Some("soap");
        a.build()
    });
    // A prefix on the list is part of what is signed, used or not.
    disbelieved("its timestamp was changed", |_, mut a| {
        a.prefix_list = Some("soap");
        let declared = format!("<wsu:Timestamp xmlns:soap=\"{SOAP}\"");
        let other = "<wsu:Timestamp xmlns:soap=\"urn:test:other\"";
        a.build().replacen(&declared, other, 1)
    });
}

#[test]
fn an_elliptic_signer_is_believed() {
    believed(|_, mut a| {
        let root = &parties().root;
        a.signer = leak(Party::new(
            "Test insurer",
            Kind::P256,
            Role::Signer,
            Some(root),
        ));
        a.build()
    });
}

#[test]
fn an_intermediate_must_be_at_hand() {
    fn below(mut a: Answer<'static>) -> Answer<'static> {
        let issuing = &parties().issuing;
        a.signer = leak(Party::new(
            "Test insurer",
            Kind::P256,
            Role::Signer,
            Some(issuing),
        ));
        a
    }
    believed(|_, a| {
        let mut a = below(a);
        a.others.push(parties().issuing.cert.clone());
        a.build()
    });
    disbelieved("an issuer is missing", |_, a| below(a).build());
}

#[test]
fn the_transport_chain_helps_to_find_the_issuer() {
    let p = parties();
    let own = Party::new("Test transport", Kind::P256, Role::Signer, Some(&p.issuing));
    let world = World::start();
    let mut settings = world.settings();
    settings.transport =
        super::server::transport(&format!("{}{}", own.pem(), p.issuing.cert.to_pem()));
    let gateway = MySecu::new(settings, world.clock.clone()).unwrap();
    for step in ["/identity", "/token", EXCHANGE] {
        world.plan(step, move |w, r| {
            let mut a = w.good(step, r);
            let issuing = &parties().issuing;
            a.signer = leak(Party::new(
                "Test insurer",
                Kind::P256,
                Role::Signer,
                Some(issuing),
            ));
            Reply::Soap(a.build())
        });
    }
    assert_eq!(deliver(&gateway).outcome, Outcome::Answered);
}

#[test]
fn the_signer_itself_can_be_the_anchor() {
    let world = World::start();
    let with_anchor = |anchor: &Cert| {
        let mut settings = world.settings();
        settings.answer_anchors = vec![anchor.clone()];
        deliver(&MySecu::new(settings, world.clock.clone()).unwrap())
    };
    assert_eq!(
        with_anchor(&parties().signer.cert).outcome,
        Outcome::Answered
    );
    assert_eq!(
        super::retry_code(&with_anchor(&parties().stranger.cert)),
        "answer-not-trusted"
    );
}

#[test]
fn foreign_expired_and_unfit_signers_are_refused() {
    disbelieved("an issuer is missing", |_, mut a| {
        a.signer = &parties().stranger;
        a.build()
    });
    // The stranger's own certificate beside it changes nothing.
    disbelieved("an issuer is missing", |_, mut a| {
        a.signer = &parties().stranger;
        a.others.push(parties().stranger.cert.clone());
        a.build()
    });
    disbelieved("not valid at this time", |_, mut a| {
        let root = &parties().root;
        a.signer = leak(Party::new(
            "Test insurer",
            Kind::P256,
            Role::ExpiredSigner,
            Some(root),
        ));
        a.build()
    });
    disbelieved("not for signatures", |_, mut a| {
        let root = &parties().root;
        a.signer = leak(Party::new(
            "Test insurer",
            Kind::P256,
            Role::Encipherer,
            Some(root),
        ));
        a.build()
    });
    // Issued by an end entity that chains to the anchor.
    disbelieved("an issuer is missing", |_, mut a| {
        let signer = &parties().signer;
        a.signer = leak(Party::new(
            "Test insurer",
            Kind::P256,
            Role::Signer,
            Some(signer),
        ));
        a.others.push(signer.cert.clone());
        a.build()
    });
    disbelieved("it is our own", |_, mut a| {
        a.signer = &parties().transport;
        a.build()
    });
}

/// An answer whose signer stands below `roles`, the first under the root.
fn below(roles: impl IntoIterator<Item = Role>, mut a: Answer<'static>) -> String {
    let mut issuer = &parties().root;
    for role in roles {
        issuer = leak(Party::new("Test authority", Kind::P256, role, Some(issuer)));
        a.others.push(issuer.cert.clone());
    }
    let signer = Party::new("Test insurer", Kind::P256, Role::Signer, Some(issuer));
    a.signer = leak(signer);
    a.build()
}

#[test]
fn only_authorities_may_issue() {
    believed(|_, a| below([Role::LastAuthority], a));
    believed(|_, a| below([Role::Authority, Role::LastAuthority], a));
    let missing = "an issuer is missing";
    disbelieved(missing, |_, a| {
        below([Role::LastAuthority, Role::Authority], a)
    });
    disbelieved(missing, |_, a| below([Role::AuthorityWithoutUsage], a));
    disbelieved(missing, |_, a| below([Role::UsageWithoutAuthority], a));
    believed(|_, a| below((0..6).map(|_| Role::Authority), a));
    disbelieved("too long", |_, a| below((0..7).map(|_| Role::Authority), a));
}

#[test]
fn an_id_must_be_unique() {
    disbelieved("an id is not unique", |_, mut a| {
        a.header.push_str("<x Id=\"body\"></x>");
        a.build()
    });
}

#[test]
fn changed_answers_are_refused() {
    disbelieved("its body was changed", |_, a| {
        a.build().replace(">42<", ">43<")
    });
    disbelieved("its timestamp was changed", |w, mut a| {
        // An old answer with a fresh date.
        a.created = w.now() - Duration::hours(1);
        let old = sceau::base::clock::rfc3339_seconds(a.created);
        a.build()
            .replace(&old, &sceau::base::clock::rfc3339_seconds(w.now()))
    });
    disbelieved("does not verify", |_, a| {
        a.build().replace("xmlenc#sha256", "xmlenc#sha512")
    });
    disbelieved("another digest", |_, mut a| {
        a.digest_method = "http://www.w3.org/2000/09/xmldsig#sha1";
        a.build()
    });
}

#[test]
fn old_and_future_answers_are_refused() {
    for seconds in [-300, 300] {
        let world = World::start();
        world.plan(EXCHANGE, move |w, r| {
            let mut a = w.good(EXCHANGE, r);
            a.created = w.now() + Duration::seconds(seconds);
            Reply::Soap(a.build())
        });
        assert_eq!(deliver(&world.gateway()).outcome, Outcome::Answered);
    }
    disbelieved("too far from this machine's time", |w, mut a| {
        a.created = w.now() - Duration::seconds(301);
        a.build()
    });
    disbelieved("too far from this machine's time", |w, mut a| {
        a.created = w.now() + Duration::seconds(301);
        a.build()
    });
}

#[test]
fn exactly_timestamp_and_body_must_be_signed() {
    for signed in [
        vec!["timestamp"],
        vec!["body"],
        vec!["body", "body"],
        vec!["timestamp", "certificate"],
        vec!["timestamp", "body", "certificate"],
    ] {
        let world = World::start();
        world.plan(EXCHANGE, move |w, r| {
            let mut a = w.good(EXCHANGE, r);
            a.signed = signed;
            Reply::Soap(a.build())
        });
        assert_eq!(
            unknown_code(&deliver(&world.gateway())),
            "answer-not-trusted"
        );
    }
}

/// The signed body, and the answer with `body` in its place.
fn wrapped(a: &Answer<'_>, body: &str) -> (String, String) {
    let text = a.build();
    let at = text.find("<soap:Body").unwrap();
    let end = text.find("</soap:Envelope>").unwrap();
    let signed = text[at..end].to_owned();
    (signed, format!("{}{body}{}", &text[..at], &text[end..]))
}

fn forged(id: &str) -> String {
    let info =
        super::server::info("<r:retour xmlns:r=\"urn:test:retour\"><r:id>666</r:id></r:retour>");
    format!("<soap:Body xmlns:wsu=\"{WSU}\"{id}>{info}</soap:Body>")
}

#[test]
fn a_signed_body_elsewhere_does_not_vouch_for_another() {
    // In the header, in the security header, and inside the forged body; the
    // forged body without id, with another and with the same.
    let hosts: [fn(&str, &str) -> String; 3] = [
        |text, signed| text.replacen("<soap:Header>", &format!("<soap:Header><x>{signed}</x>"), 1),
        |text, signed| {
            let object = format!("<x>{signed}</x></wsse:Security>");
            text.replacen("</wsse:Security>", &object, 1)
        },
        |text, signed| text.replacen("<r:id>666", &format!("{signed}<r:id>666"), 1),
    ];
    for host in hosts {
        for id in ["", " wsu:Id=\"other\"", " wsu:Id=\"body\"", " Id=\"body\""] {
            let world = World::start();
            world.plan(EXCHANGE, move |w, r| {
                let (signed, text) = wrapped(&w.good(EXCHANGE, r), &forged(id));
                Reply::Soap(host(&text, &signed))
            });
            let report = deliver(&world.gateway());
            assert_eq!(unknown_code(&report), "answer-not-trusted", "{id}");
            assert!(report.answer.is_none());
        }
    }
}

#[test]
fn a_second_body_or_security_header_is_refused() {
    let world = World::start();
    world.plan(EXCHANGE, |w, r| {
        let (signed, text) = wrapped(&w.good(EXCHANGE, r), &forged(" wsu:Id=\"other\""));
        Reply::Soap(text.replacen("</soap:Envelope>", &format!("{signed}</soap:Envelope>"), 1))
    });
    assert_eq!(unknown_code(&deliver(&world.gateway())), "answer-not-soap");
    disbelieved("one wsse:Security", |_, a| {
        let text = a.build();
        let at = text.find("<wsse:Security ").unwrap();
        let end = text.find("</soap:Header>").unwrap();
        let twice = text[at..end].to_owned();
        text.replacen("</soap:Header>", &format!("{twice}</soap:Header>"), 1)
    });
}

#[test]
fn an_answer_is_handed_on_as_it_was_signed() {
    // A comment is not signed: it must not reach whoever reads the answer.
    let report = outcome(|_, a| a.build().replace(">42<", ">4<!-- not signed -->2<"));
    assert_eq!(report.outcome, Outcome::Answered);
    let answer = String::from_utf8(report.answer.unwrap()).unwrap();
    assert!(answer.contains("<r:id>42</r:id>"), "{answer}");
}

#[test]
fn an_odd_correlation_id_is_left_out() {
    let report = outcome(|_, mut a| {
        a.header = "<!-- Correlation-ID: a b\nc -->".to_owned();
        a.build()
    });
    assert_eq!(report.outcome, Outcome::Answered);
    assert_eq!(report.correlation_id, None);
}
