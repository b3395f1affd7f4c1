//! Every sub-indication: a document that produces it, and one that misses it by
//! as little as possible and passes.

use super::*;
use crate::x509::testing;

/// RFC 3279 §2.2.3.
const ECDSA_WITH_SHA1: &str = "1.2.840.10045.4.1";

/// What is expected, a document that earns it, and one that narrowly does not.
#[derive(Clone)]
struct Case {
    sub: Sub,
    what: &'static str,
    bad: Report,
    near: Report,
}

fn case(sub: Sub, what: &'static str, bad: Report, near: Report) -> Case {
    Case {
        sub,
        what,
        bad,
        near,
    }
}

#[test]
fn every_sub_indication_has_a_cause_and_a_near_miss() {
    let cases = [
        form(),
        times(),
        chains(),
        revocation(),
        evidence(),
        algorithms(),
        stamps(),
        authorities(),
    ]
    .concat();
    for Case {
        sub,
        what,
        bad,
        near,
    } in &cases
    {
        assert_eq!(bad.sub_indication, Some(*sub), "{what}: {}", bad.text);
        assert_eq!(bad.indication, sub.indication(), "{what}");
        assert_eq!(
            found(near),
            ("TOTAL-PASSED", None),
            "near miss of {what}: {}",
            near.text
        );
    }
    for sub in Sub::ALL {
        let produced = cases.iter().any(|case| case.sub == *sub);
        assert!(produced, "{} has no case", sub.as_str());
    }
}

fn form() -> Vec<Case> {
    let world = World::new();
    let full = world.full(NOW);
    let signed = world.signed();
    let near = || check(&signed, &full);
    let value = between(&signed, "<ds:SignatureValue", "</ds:SignatureValue>");
    let other = world.signed_at(SIGNED - Span::seconds(1));
    let other = between(&other, "<ds:SignatureValue", "</ds:SignatureValue>");
    let certificate = between(&signed, "<ds:X509Certificate>", "</ds:X509Certificate>");
    let bad = |from: &str, to: &str| check(&edit(&signed, from, to), &full);
    let blank = edit(&signed, "</f:form>", "</f:form>\n<!-- after -->\n");
    vec![
        case(
            Sub::FormatFailure,
            "not XML",
            check(b"<f:form", &full),
            near(),
        ),
        case(
            Sub::FormatFailure,
            "no signature",
            check(FORM.as_bytes(), &full),
            near(),
        ),
        case(
            Sub::FormatFailure,
            "a value that is no base64",
            bad(value, &value.replace("</ds", "*</ds")),
            check(
                &edit(&signed, value, &value.replace("</ds", "\n</ds")),
                &full,
            ),
        ),
        case(
            Sub::HashFailure,
            "changed content",
            bad(">10<", ">11<"),
            check(&blank, &full),
        ),
        case(
            Sub::SigCryptoFailure,
            "another signature's value",
            bad(value, other),
            near(),
        ),
        case(
            Sub::NoSigningCertificateFound,
            "no certificate",
            bad(certificate, ""),
            near(),
        ),
        case(
            Sub::SignedDataNotFound,
            "a reference to nothing",
            bad("URI=\"\"", "URI=\"#nothing\""),
            near(),
        ),
        case(
            Sub::SigConstraintsFailure,
            "a second signature",
            bad(
                "<f:amount>",
                "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"/><f:amount>",
            ),
            near(),
        ),
        another_certificate_of_the_key(),
    ]
}

/// The certificate exchanged for another one of the same key.
fn another_certificate_of_the_key() -> Case {
    let world = World::new();
    let key = KeyPair::try_from(world.signer.key.serialize_der()).unwrap();
    let twin = signer().serial(&[0x77]).build_for(key, Some(&world.ca));
    let coded = |cert: &Cert| {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(cert.der())
    };
    let signed = world.signed();
    let exchanged = edit(&signed, &coded(&world.signer.cert), &coded(&twin.cert));
    let full = world.full(NOW);
    case(
        Sub::NoSigningCertificateFound,
        "another certificate of the same key",
        check(&exchanged, &full),
        check(&signed, &full),
    )
}

fn times() -> Vec<Case> {
    let second = Span::seconds(1);
    let tolerance = Span::seconds(300);
    let until = |at: OffsetDateTime| {
        let world = World::with(signer().validity(NOW - Span::days(9), at), tsa());
        let stamped = world.stamped();
        let context = world
            .around(NOW)
            .plus(&[world.about_signer(&Ocsp::good(STAMPED))]);
        check(&stamped, &context)
    };
    let from = |at: OffsetDateTime| {
        let world = World::with(signer().validity(at, NOW + Span::days(9)), tsa());
        check(&world.stamped(), &world.full(NOW))
    };
    let ended = World::with(signer().validity(NOW - Span::days(9), NOW - second), tsa());
    let last = World::with(signer().validity(NOW - Span::days(9), NOW), tsa());
    let claiming = |at: OffsetDateTime, stamp: bool| {
        let world = World::new();
        let mut document = world.signed_at(at);
        if stamp {
            document = world.stamp(&document, STAMPED);
        }
        check(&document, &world.full(NOW))
    };
    vec![
        case(
            Sub::NotYetValid,
            "stamped before the certificate was valid",
            from(STAMPED + second),
            from(STAMPED),
        ),
        case(
            Sub::OutOfBoundsNotRevoked,
            "stamped after the certificate expired",
            until(STAMPED - second),
            until(STAMPED),
        ),
        case(
            Sub::OutOfBoundsNotRevoked,
            "expired, nothing proves the signature older",
            check(&ended.signed(), &ended.full(NOW)),
            check(&last.signed(), &last.full(NOW)),
        ),
        case(
            Sub::OutOfBoundsNoPoe,
            "expired, nothing known about revocation",
            check(&ended.signed(), &ended.around(NOW)),
            check(&last.signed(), &last.full(NOW)),
        ),
        case(
            Sub::TimestampOrderFailure,
            "claimed after the timestamp",
            claiming(STAMPED + tolerance + second, true),
            claiming(STAMPED + tolerance, true),
        ),
        case(
            Sub::SigConstraintsFailure,
            "claimed in the future",
            claiming(NOW + tolerance + second, false),
            claiming(NOW + tolerance, false),
        ),
    ]
}

fn chains() -> Vec<Case> {
    let world = World::new();
    let full = world.full(NOW);
    let stranger = Context {
        anchors: vec![Builder::new("Test Root").ca(None).build(None).cert],
        ..full.clone()
    };
    let used = |bits: u8| {
        let world = World::with(Builder::new("Test Signer").usage(bits), tsa());
        check(&world.signed(), &world.full(NOW))
    };
    let meant_for = |purpose: &str| {
        let world = World::with(signer().purposes(false, &[purpose, CLIENT_AUTH]), tsa());
        check(&world.signed(), &world.full(NOW))
    };
    let email = "1.3.6.1.5.5.7.3.4";
    let ca_until = |at: OffsetDateTime| {
        let root = Builder::new("Test Root").ca(None).build(None);
        let ca = authority(&root)
            .validity(NOW - Span::days(9), at)
            .build(Some(&root));
        let world = World {
            signer: signer().build(Some(&ca)),
            tsa: tsa().build(Some(&ca)),
            root,
            ca,
        };
        check(&world.stamped(), &world.full(NOW))
    };
    vec![
        case(
            Sub::NoCertificateChainFound,
            "an anchor of the same name with another key",
            check(&world.signed(), &stranger),
            check(&world.signed(), &full),
        ),
        case(
            Sub::ChainConstraintsFailure,
            "a key not for signatures",
            used(NO_SIGNATURES),
            used(DIGITAL),
        ),
        case(
            Sub::ChainConstraintsFailure,
            "a key for timestamps",
            meant_for(TIME_STAMPING),
            meant_for(email),
        ),
        case(
            Sub::ChainConstraintsFailure,
            "a key for OCSP responses",
            meant_for(OCSP_SIGNING),
            meant_for(email),
        ),
        case(
            Sub::OutOfBoundsNoPoe,
            "an expired authority",
            ca_until(NOW - Span::seconds(1)),
            ca_until(NOW),
        ),
    ]
}

fn revocation() -> Vec<Case> {
    let world = World::new();
    let stamped = world.stamped();
    let second = Span::seconds(1);
    let with = |response: Ocsp| {
        let context = world.around(NOW).plus(&[world.about_signer(&response)]);
        check(&stamped, &context)
    };
    let held = |at: OffsetDateTime| {
        let reason = Some(6);
        with(Ocsp {
            status: CertStatus::Revoked { at, reason },
            ..Ocsp::good(NOW)
        })
    };
    let listed = |serial: &[u8]| {
        let list = List::revoking(SIGNED - Span::days(1), serial).sign(&world.root);
        check(&stamped, &world.full(NOW).plus(&[list]))
    };
    vec![
        case(
            Sub::RevokedNoPoe,
            "revoked when the timestamp was made",
            with(Ocsp::revoked(STAMPED)),
            with(Ocsp::revoked(STAMPED + second)),
        ),
        case(
            Sub::RevokedCaNoPoe,
            "a revoked authority",
            listed(&[0x0c]),
            listed(&[0x0b]),
        ),
        case(
            Sub::TryLater,
            "on hold",
            held(STAMPED),
            held(STAMPED + second),
        ),
    ]
}

fn evidence() -> Vec<Case> {
    let world = World::new();
    let stamped = world.stamped();
    let second = Span::seconds(1);
    let tolerance = Span::seconds(300);
    let with = |response: Ocsp| {
        let context = world.around(NOW).plus(&[world.about_signer(&response)]);
        check(&stamped, &context)
    };
    let unknown = with(Ocsp {
        status: CertStatus::Unknown,
        ..Ocsp::good(NOW)
    });
    let other = Builder::new("Test Root").ca(None).build(None);
    let forged = Ocsp::good(NOW).sign(&world.signer.cert, &world.ca.cert, &other);
    let stale = |next: OffsetDateTime| {
        let response = Ocsp {
            next_update: Some(next),
            ..Ocsp::good(NOW - Span::days(2))
        };
        let context = world.around(NOW).plus(&[world.about_signer(&response)]);
        check(&world.signed(), &context)
    };
    let near = || check(&stamped, &world.full(NOW));
    vec![
        case(
            Sub::TryLater,
            "evidence older than the timestamp",
            with(Ocsp::good(STAMPED - second)),
            with(Ocsp::good(STAMPED)),
        ),
        case(
            Sub::TryLater,
            "evidence no longer current, without timestamp",
            stale(NOW - tolerance - second),
            stale(NOW - tolerance),
        ),
        case(
            Sub::CertificateChainGeneralFailure,
            "no evidence",
            check(&stamped, &world.around(NOW)),
            near(),
        ),
        case(
            Sub::CertificateChainGeneralFailure,
            "unknown to the responder",
            unknown,
            near(),
        ),
        case(
            Sub::CertificateChainGeneralFailure,
            "a response by nobody entitled",
            check(&stamped, &world.around(NOW).plus(&[forged])),
            near(),
        ),
    ]
}

fn algorithms() -> Vec<Case> {
    let world = World::new();
    let full = world.full(NOW);
    let signed = world.signed();
    let near = || check(&signed, &full);
    let method = between(&signed, "<ds:SignatureMethod", ">");
    let named = |uri: &str| {
        let other = format!("<ds:SignatureMethod Algorithm=\"{uri}\">");
        check(&edit(&signed, method, &other), &full)
    };
    // ECDSA ends on a day, in a policy of its own.
    let until = |day: &str| {
        let text = format!(
            "name = \"test\"\n[[digest]]\nname = \"SHA-256\"\n\
             [[signature]]\nname = \"ECDSA\"\nbits = 256\nuntil = \"{day}\"\n"
        );
        let algorithms = AlgorithmPolicy::from_toml(&text).unwrap();
        let context = Context {
            algorithms,
            ..full.clone()
        };
        check(&signed, &context)
    };
    let mut weak = signer();
    weak.algorithm = testing::sequence(&[&testing::dotted(ECDSA_WITH_SHA1)]);
    let weak = World::with(weak, tsa());
    vec![
        case(
            Sub::CryptoConstraintsFailureNoPoe,
            "a certificate signed with SHA-1",
            check(&weak.signed(), &weak.full(NOW)),
            near(),
        ),
        case(
            Sub::CryptoConstraintsFailureNoPoe,
            "SHA-1",
            named("http://www.w3.org/2000/09/xmldsig#rsa-sha1"),
            near(),
        ),
        case(
            Sub::CryptoConstraintsFailure,
            "MD5, which the policy never knew",
            named("http://www.w3.org/2001/04/xmldsig-more#rsa-md5"),
            near(),
        ),
        case(
            Sub::CryptoConstraintsFailureNoPoe,
            "an algorithm that has ended",
            until("2026-06-15"),
            until("2026-06-16"),
        ),
    ]
}

fn stamps() -> Vec<Case> {
    let world = World::new();
    let full = world.full(NOW);
    let good = check(&world.stamped(), &full);
    let signed = world.signed();
    let swapped = |token: &[u8]| {
        use base64::Engine;
        let code = |der: &[u8]| base64::engine::general_purpose::STANDARD.encode(der);
        let own = world.token(&signed, STAMPED);
        let stamped = extend_t(&signed, &own);
        check(&edit(&stamped, &code(&own), &code(token)), &full)
    };
    let other = world.token(&world.signed_at(SIGNED - Span::days(1)), STAMPED);
    let mut broken = world.token(&signed, STAMPED);
    *broken.last_mut().unwrap() ^= 1;
    let elsewhere = Builder::new("Test CA").ca(Some(0)).build(None);
    let untrusted = World {
        tsa: tsa().build(Some(&elsewhere)),
        ca: elsewhere,
        ..World::new()
    };
    let mut purpose = World::new();
    purpose.tsa = Builder::new("Test TSA")
        .usage(DIGITAL)
        .build(Some(&purpose.ca));
    vec![
        case(
            Sub::SigConstraintsFailure,
            "a timestamp over another signature",
            swapped(&other),
            good.clone(),
        ),
        case(
            Sub::SigConstraintsFailure,
            "a timestamp with a wrong signature",
            swapped(&broken),
            good.clone(),
        ),
        case(
            Sub::NoCertificateChainFound,
            "an authority nobody trusts",
            swapped(&untrusted.token(&signed, STAMPED)),
            good.clone(),
        ),
        case(
            Sub::ChainConstraintsFailure,
            "an authority not for timestamps",
            swapped(&purpose.token(&signed, STAMPED)),
            good.clone(),
        ),
    ]
}

fn authorities() -> Vec<Case> {
    let at = |gen_time: OffsetDateTime| {
        let world = World::new();
        let tolerance = Span::seconds(300);
        let context = world.full(NOW + tolerance);
        let context = Context {
            now: NOW,
            ..context
        };
        check(&world.stamped_at(gen_time), &context)
    };
    let world = World::new();
    let revoked = |response: Ocsp| {
        let list = List::empty(NOW).sign(&world.root);
        let signer = world.about_signer(&Ocsp::good(NOW));
        let evidence = [list, signer, world.about_tsa(&response)];
        check(&world.stamped(), &world.bare(NOW).plus(&evidence))
    };
    vec![
        case(
            Sub::TimestampOrderFailure,
            "a timestamp of the future",
            at(NOW + Span::seconds(301)),
            at(NOW + Span::seconds(300)),
        ),
        case(
            Sub::RevokedNoPoe,
            "a revoked authority, after the timestamp too",
            revoked(Ocsp::revoked(STAMPED + Span::hours(1))),
            revoked(Ocsp::good(STAMPED)),
        ),
        case(
            Sub::TryLater,
            "evidence on the authority older than the timestamp",
            revoked(Ocsp::good(STAMPED - Span::seconds(1))),
            revoked(Ocsp::good(STAMPED)),
        ),
    ]
}
