//! Every kind of key and every way of signing, on tokens of every temper.

mod quirks;

use crate::softhsm::{Authority, Kind, PIN, SoftHsm};
use crate::token::{Faulty, MESSAGE, always_authenticate, is_locked, now, sign, unlock, wait_for};
use sceau::token::pkcs11::Pkcs11Token;
use sceau::token::{Fitness, LastTry, PinEntry, Token, TokenError, TokenStatus, choose, fitness};
use sceau::x509::{self, Cert, KeyKind, RsaScheme, SignatureAlgorithm, cms};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const SCHEMES: [RsaScheme; 2] = [RsaScheme::Pkcs1V15, RsaScheme::Pss];

/// Runs `openssl`; whether it was content.
fn openssl(folder: &Path, arguments: &[&str]) -> bool {
    let output = Command::new("openssl")
        .current_dir(folder)
        .args(arguments)
        .output();
    output.unwrap().status.success()
}

/// The signature over a message and a CMS made with the key, by OpenSSL.
fn openssl_agrees(folder: &Path, certificate: &Cert, algorithm: SignatureAlgorithm, made: &Made) {
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
    write("message", MESSAGE);
    write("other", b"another message");
    write("signature", &made.signature);
    write("signer.pem", certificate.to_pem().as_bytes());
    write("cms", &made.cms);
    let extract = [
        "x509",
        "-in",
        "signer.pem",
        "-pubkey",
        "-noout",
        "-out",
        "key.pub",
    ];
    assert!(openssl(folder, &extract));
    let pss = [
        "-sigopt",
        "rsa_padding_mode:pss",
        "-sigopt",
        "rsa_pss_saltlen:digest",
    ];
    let (digest, options): (&str, &[&str]) = match algorithm {
        SignatureAlgorithm::RsaPssSha256 => ("-sha256", &pss),
        SignatureAlgorithm::EcdsaSha384 => ("-sha384", &[]),
        _ => ("-sha256", &[]),
    };
    let raw = [
        "dgst",
        digest,
        "-verify",
        "key.pub",
        "-signature",
        "signature",
    ];
    let cms = [
        "cms", "-verify", "-cades", "-binary", "-inform", "DER", "-in", "cms", "-CAfile", "ca.pem",
        "-purpose", "any", "-content",
    ];
    for (content, wanted) in [("message", true), ("other", false)] {
        let raw = openssl(folder, &[&raw, options, &[content]].concat());
        assert_eq!(raw, wanted, "{algorithm:?}, {content}");
        let cms = openssl(folder, &[&cms[..], &[content]].concat());
        assert_eq!(cms, wanted, "CMS, {algorithm:?}, {content}");
    }
}

struct Made {
    signature: Vec<u8>,
    cms: Vec<u8>,
}

fn make(token: &dyn Token, certificate: &Cert, algorithm: SignatureAlgorithm) -> Made {
    let key = |message: &[u8]| token.sign(&certificate.sha256(), algorithm, message);
    let digest = algorithm.content_digest(&[MESSAGE]);
    let attributes = cms::signed_attributes(&digest, certificate);
    let signature = key(&attributes).unwrap();
    Made {
        signature: key(MESSAGE).unwrap(),
        cms: cms::assemble(certificate, &[], &attributes, algorithm, &signature),
    }
}

#[test]
fn every_kind_of_key_and_scheme_satisfies_openssl() {
    use Kind::{P256, P384, Rsa2048, Rsa3072, Rsa4096};
    for kind in [Rsa2048, Rsa3072, Rsa4096, P256, P384] {
        let Some(faulty) = Faulty::card(kind) else {
            return;
        };
        let token = faulty.unlocked();
        let certificate = &faulty.certificate;
        let folder = faulty.hsm.path();
        let chain = &token.identities().unwrap()[0].chain;
        std::fs::write(folder.join("ca.pem"), chain[0].to_pem()).unwrap();
        for scheme in SCHEMES {
            let algorithm = SignatureAlgorithm::for_key(certificate.key(), scheme).unwrap();
            let made = make(&token, certificate, algorithm);
            openssl_agrees(folder, certificate, algorithm, &made);
        }
        // CKM_RSA_PKCS and CKM_RSA_PKCS_PSS, or CKM_ECDSA: no hashing there.
        let used = |code: &str| faulty.calls(&format!("mechanism {code}"));
        match certificate.key() {
            KeyKind::Rsa { .. } => assert_eq!((used("1"), used("d")), (2, 2), "{kind:?}"),
            _ => assert_eq!(used("1041"), 4, "{kind:?}"),
        }
        assert_eq!(faulty.calls("C_Sign"), 4);
    }
}

#[test]
fn a_token_that_insists_on_hashing_gets_the_message() {
    let Some(faulty) = Faulty::card(Kind::Rsa2048) else {
        return;
    };
    // Without CKM_RSA_PKCS and CKM_RSA_PKCS_PSS.
    faulty.at("C_GetMechanismList.always", "hide 1 d");
    let token = faulty.unlocked();
    let certificate = &faulty.certificate;
    for (scheme, mechanism) in [(SCHEMES[0], "mechanism 40"), (SCHEMES[1], "mechanism 43")] {
        let algorithm = SignatureAlgorithm::for_key(certificate.key(), scheme).unwrap();
        let signature = token
            .sign(&certificate.sha256(), algorithm, MESSAGE)
            .unwrap();
        x509::verify(certificate, algorithm, MESSAGE, &signature).unwrap();
        assert_eq!(faulty.calls(mechanism), 1);
    }
}

#[test]
fn a_token_without_pss_says_so() {
    let Some(faulty) = Faulty::card(Kind::Rsa2048) else {
        return;
    };
    faulty.at("C_GetMechanismList.always", "hide d 43 44 45");
    let token = faulty.unlocked();
    let algorithm = SignatureAlgorithm::RsaPssSha256;
    let refused = token.sign(&faulty.certificate.sha256(), algorithm, MESSAGE);
    let error = refused.unwrap_err();
    assert_eq!(error, TokenError::NotOffered { algorithm });
    assert!(error.to_string().contains("rsa_scheme"), "{error}");
    assert_eq!(faulty.calls("C_SignInit"), 0);
    sign(&token, &faulty.certificate).unwrap();
}

#[test]
fn a_key_that_wants_the_pin_each_time_signs_by_either_scheme() {
    for (kind, mechanisms) in [(Kind::Rsa3072, ["1", "d"]), (Kind::P384, ["1041"; 2])] {
        let Some(faulty) = Faulty::new() else { return };
        let certificate = always_authenticate(&faulty.hsm, kind);
        let token = faulty.unlocked();
        for (scheme, mechanism) in SCHEMES.into_iter().zip(mechanisms) {
            let algorithm = SignatureAlgorithm::for_key(certificate.key(), scheme).unwrap();
            let signature = token
                .sign(&certificate.sha256(), algorithm, MESSAGE)
                .unwrap();
            x509::verify(&certificate, algorithm, MESSAGE, &signature).unwrap();
            assert!(faulty.calls(&format!("mechanism {mechanism}")) > 0);
        }
        let logins = (faulty.calls("C_Login 1"), faulty.calls("C_Login 2"));
        assert_eq!((logins, faulty.calls("C_Sign")), ((1, 2), 2));
    }
}

#[test]
fn a_short_rsa_key_on_a_card_is_refused_before_it_is_used() {
    let Some(faulty) = Faulty::new() else { return };
    let certificate = short_rsa(&faulty.hsm);
    let token = faulty.unlocked();
    let algorithm = SignatureAlgorithm::RsaPkcs1Sha256;
    let refused = token.sign(&certificate.sha256(), algorithm, MESSAGE);
    assert_eq!(refused, Err(TokenError::KeyTooShort { bits: 1024 }));
    assert_eq!(faulty.calls("C_SignInit"), 0);
    let identities = token.identities().unwrap();
    let found = identities.iter().position(|i| i.certificate == certificate);
    let verdict = fitness(&identities, certificate.not_before());
    assert_eq!(verdict[found.unwrap()], Fitness::WeakKey);
}

/// Puts RSA with 1024 bits and a signing certificate on the token.
pub fn short_rsa(hsm: &SoftHsm) -> Cert {
    let make = [
        "req",
        "-x509",
        "-newkey",
        "rsa:1024",
        "-nodes",
        "-keyout",
        "short.key",
        "-outform",
        "DER",
        "-out",
        "short.der",
        "-subj",
        "/CN=Dr Testine Exemple",
        "-addext",
        "keyUsage=critical,nonRepudiation",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ];
    assert!(openssl(hsm.path(), &make));
    let key = std::fs::read_to_string(hsm.path().join("short.key")).unwrap();
    let der = std::fs::read(hsm.path().join("short.der")).unwrap();
    hsm.import("0b", &key, &der);
    Cert::from_der(&der).unwrap()
}

/// A card in a reader with a keypad, and what is typed on it.
fn on_reader(faulty: &Faulty, typed: &str) -> Pkcs11Token {
    let mut settings = faulty.settings_with_pin_file(PIN);
    let typed = ("FAULT_READER".into(), typed.into());
    settings.worker.environment.push(typed);
    settings.deadlines.login = Duration::from_millis(300);
    settings.deadlines.reader = Duration::from_millis(700);
    Pkcs11Token::start(settings).unwrap()
}

fn unlock_on_reader(token: &dyn Token) -> Result<(), TokenError> {
    token.unlock(None, LastTry::Refuse)
}

#[test]
fn a_pin_for_the_reader_never_comes_through_here() {
    let Some(faulty) = Faulty::new() else { return };
    let token = on_reader(&faulty, PIN);
    wait_for(&token, is_locked);
    assert_eq!(token.pin_entry(), PinEntry::Reader);
    // Neither a PIN that is given nor the PIN file is sent.
    assert_eq!(unlock(&token, PIN), Err(TokenError::PinOnReader));
    assert_eq!(faulty.calls("C_Login 1"), 0);
    assert_eq!(faulty.calls("C_Login 1 reader"), 0);
    unlock_on_reader(&token).unwrap();
    assert_eq!(token.status(), TokenStatus::Ready);
    sign(&token, &faulty.certificate).unwrap();
    assert_eq!(faulty.calls("C_Login 1 reader"), 1);
    // Unlocked already: nobody is asked again.
    unlock_on_reader(&token).unwrap();
    assert_eq!(faulty.calls("C_Login 1 reader"), 1);

    // A token without such a reader is not unlocked without a PIN.
    let keyboard = faulty.start();
    wait_for(&keyboard, is_locked);
    assert_eq!(keyboard.pin_entry(), PinEntry::Keyboard);
    assert_eq!(unlock_on_reader(&keyboard), Err(TokenError::PinMalformed));
    assert_eq!(faulty.calls("C_Login 1"), 0);
}

#[test]
fn what_a_person_does_at_the_reader_is_told() {
    let Some(faulty) = Faulty::new() else { return };
    let token = on_reader(&faulty, "000000");
    wait_for(&token, is_locked);
    assert_eq!(unlock_on_reader(&token), Err(TokenError::PinIncorrect));
    // CKR_FUNCTION_CANCELED, CKR_FUNCTION_REJECTED: no attempt is gone.
    for code in ["rv 50", "rv 200"] {
        faulty.at("C_Login", code);
        assert_eq!(unlock_on_reader(&token), Err(TokenError::PinCancelled));
        assert!(is_locked(&token.status()));
    }
    // Nobody there: a person gets more time than a machine, not for ever.
    faulty.at("C_Login", "hang");
    let start = Instant::now();
    assert_eq!(unlock_on_reader(&token), Err(TokenError::PinPossiblyUsed));
    assert!(
        start.elapsed() >= Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(faulty.calls("C_Login 1 reader"), 4, "never by itself");
}

#[test]
fn a_reader_asks_for_each_signature_where_the_key_wants_it() {
    for kind in [Kind::Rsa2048, Kind::P256] {
        let Some(faulty) = Faulty::new() else { return };
        let certificate = always_authenticate(&faulty.hsm, kind);
        let token = on_reader(&faulty, PIN);
        unlock_on_reader(&token).unwrap();
        for _ in 0..2 {
            sign(&token, &certificate).unwrap();
        }
        assert_eq!(faulty.calls("C_Login 2 reader"), 2);
        // Cancelled: the reader does not ask again until a person wants it to.
        faulty.at("C_Login", "rv 50");
        let cancelled = sign(&token, &certificate);
        assert_eq!(cancelled, Err(TokenError::PinCancelled));
        assert_eq!(sign(&token, &certificate), Err(TokenError::Locked));
        assert_eq!(faulty.calls("C_Login 2 reader"), 3);
        unlock_on_reader(&token).unwrap();
        sign(&token, &certificate).unwrap();
        let with_pin = faulty.calls("C_Login 1") + faulty.calls("C_Login 2");
        assert_eq!(with_pin, 0);
    }
}

/// A card after some years: renewed with the same key and with a new one, and
/// the authentication certificates beside.
#[test]
fn a_card_with_old_and_new_certificates_signs_with_the_valid_one() {
    let Some(hsm) = SoftHsm::empty() else { return };
    let authority = Authority::new();
    let day = time::Duration::DAY;
    let of = |from: i32, to: i32| (now() + day * from, now() + day * to);
    let expired = authority.signing_between(Kind::P256, of(-900, -170));
    let valid = authority.signing_between(Kind::Rsa2048, of(-200, 500));
    let again = authority.again(&valid, of(-20, 700));
    let next = authority.signing_between(Kind::P384, of(30, 900));
    let authentication = authority.authentication(Kind::P256);
    hsm.import("01", &expired.key_pem, &expired.certificate_der);
    hsm.import(
        "02",
        &authentication.key_pem,
        &authentication.certificate_der,
    );
    hsm.import("03", &valid.key_pem, &valid.certificate_der);
    hsm.import_certificate("03", &again);
    hsm.import("04", &next.key_pem, &next.certificate_der);
    hsm.import_certificate("05", authority.der());

    let token = Pkcs11Token::start(hsm.settings()).unwrap();
    for unlocked in [false, true] {
        if unlocked {
            unlock(&token, PIN).unwrap();
        }
        let identities = token.identities().unwrap();
        assert_eq!(identities.len(), 5);
        let verdicts = fitness(&identities, now());
        let verdict = |der: &[u8]| {
            let at = identities.iter().position(|i| i.certificate.der() == der);
            verdicts[at.unwrap()]
        };
        assert_eq!(verdict(&expired.certificate_der), Fitness::Expired);
        assert_eq!(verdict(&valid.certificate_der), Fitness::Renewed);
        assert_eq!(verdict(&again), Fitness::Fits);
        assert_eq!(verdict(&next.certificate_der), Fitness::NotYetValid);
        let other = verdict(&authentication.certificate_der);
        assert_eq!(other, Fitness::NotForSigning);
        let chosen = choose(&identities, None, now()).unwrap();
        assert_eq!(chosen.certificate.der(), again);
    }
    // One key serves both of its certificates.
    for der in [&valid.certificate_der, &again] {
        sign(&token, &Cert::from_der(der).unwrap()).unwrap();
    }
}
