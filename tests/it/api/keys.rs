//! Keys of every kind behind the running service: what it signs is judged by
//! the sandbox's insurer, and how often it uses the key by a PKCS#11 spy.

use super::Service;
use crate::daemon::{self, Setup};
use crate::sandbox::Sandbox;
use crate::softhsm::{PIN, SoftHsm, skipped};
use crate::token::Faulty;
use sceau::x509::{Level, SignatureAlgorithm};
use sceau::xades::{self, Slot};
use serde_json::Value;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

const LETTER: &[u8] = b"<letter><text>a letter</text></letter>";

/// A service that signs with a key of this kind on SoftHSM2, its PIN in a file.
/// The token holds the signer's certificate alone; the issuer's is fetched from
/// the address in it (AIA).
struct OnCard {
    // Dropped in this order: the service before its token.
    service: Service,
    hsm: SoftHsm,
}

impl OnCard {
    /// `module`: loaded instead of SoftHSM2's, with these variables.
    fn start(kind: &str, scheme: &str, module: Option<(&Path, Environment)>) -> Option<Self> {
        let hsm = SoftHsm::empty()?;
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::start(&folder.path().join("sandbox"));
        hsm.take_identity(&sandbox, kind);
        let pin = hsm.path().join("pin");
        std::fs::write(&pin, PIN).unwrap();
        let (module, more) = module.unwrap_or((hsm.module(), Vec::new()));
        let table = format!("kind = \"pkcs11\"\nmodule = {module:?}\npin_file = {pin:?}");
        let scheme = format!("[signature]\nrsa_scheme = \"{scheme}\"\n");
        let layer = daemon::on_token(&table) + &scheme;
        let environment = [hsm.environment(), more].concat();
        let setup = Setup { layer, environment };
        let service = Service::start_in(folder, sandbox, &setup);
        daemon::until("the token is ready", || {
            (service.get("/v1/tokens").json()[0]["status"] == "ready").then_some(())
        });
        Some(Self { service, hsm })
    }

    /// Hands a form in and waits for its receipt; its history.
    fn deposits(&self) -> Value {
        let (uuid, xml) = daemon::example("une-ligne.xml");
        let pdf = daemon::pdf("memoire-gs-a2b.pdf");
        let daemon = &self.service.daemon;
        assert_eq!(daemon.hand_in(&xml, &pdf).status, 202);
        let submission = daemon.wait_for(&uuid, &["receipted", "rejected"]);
        assert_eq!(submission["state"], "receipted", "{submission:#}");
        submission
    }

    /// Has one document signed; the signed bytes and the calls made.
    fn signs(&self, level: &str, kind: &str, document: &[u8]) -> Value {
        let target = format!("/v1/signatures?practitioner=90000001&level={level}");
        let headers = [("Content-Type", kind), ("Accept", "application/json")];
        let answer = self.service.ask("POST", &target, &headers, document);
        assert_eq!(answer.status, 200, "{level}: {answer:?}");
        let told = answer.json();
        assert_eq!(told["level"], level);
        told
    }
}

type Environment = Vec<(OsString, OsString)>;

fn document(told: &Value) -> Vec<u8> {
    use base64::Engine;
    let text = told["document"].as_str().unwrap();
    let engine = base64::engine::general_purpose::STANDARD;
    engine.decode(text).unwrap()
}

fn purposes(told: &Value) -> Vec<&str> {
    let calls = told["calls"].as_array().unwrap();
    calls.iter().filter_map(|c| c["purpose"].as_str()).collect()
}

#[test]
fn forms_signed_with_every_key_and_scheme_are_receipted() {
    use SignatureAlgorithm as A;
    for (kind, scheme, algorithm) in [
        ("rsa2048", "pkcs1-v1_5", A::RsaPkcs1Sha256),
        ("rsa2048", "pss", A::RsaPssSha256),
        ("rsa3072", "pkcs1-v1_5", A::RsaPkcs1Sha256),
        ("rsa3072", "pss", A::RsaPssSha256),
        ("rsa4096", "pkcs1-v1_5", A::RsaPkcs1Sha256),
        ("rsa4096", "pss", A::RsaPssSha256),
        ("p256", "pss", A::EcdsaSha256),
        ("p384", "pkcs1-v1_5", A::EcdsaSha384),
    ] {
        let Some(card) = OnCard::start(kind, scheme, None) else {
            return;
        };
        card.deposits();
        let told = card.signs("XAdES-B-LT", "application/xml", LETTER);
        let verified = xades::verify(&document(&told), &Slot::EndOfRoot).unwrap();
        assert_eq!(verified.level, Level::LT, "{kind} {scheme}");
        assert_eq!(verified.algorithm, algorithm, "{kind} {scheme}");
    }
}

#[test]
fn an_issuer_that_is_not_on_the_token_is_fetched_and_embedded() {
    let Some(card) = OnCard::start("p256", "pkcs1-v1_5", None) else {
        return;
    };
    let objects = card.hsm.pkcs11_tool(&["--list-objects", "--type", "cert"]);
    assert_eq!(
        objects.matches("Certificate Object").count(),
        1,
        "{objects}"
    );
    let told = card.signs("XAdES-B-LT", "application/xml", LETTER);
    assert!(purposes(&told).contains(&"aia"), "{told:#}");
    let verified = xades::verify(&document(&told), &Slot::EndOfRoot).unwrap();
    let issuer = verified.signer.issuer_der();
    let mut inside = verified.certificates.iter();
    let issuer = inside.find(|c| c.subject_der() == issuer).unwrap();
    verified.signer.verify_issued_by(issuer).unwrap();
}

#[test]
fn a_short_rsa_key_is_refused_with_its_length() {
    let Some(hsm) = SoftHsm::empty() else { return };
    crate::keys::short_rsa(&hsm);
    let setup = Setup {
        layer: daemon::on_token(&format!("kind = \"pkcs11\"\nmodule = {:?}", hsm.module())),
        environment: hsm.environment(),
    };
    let service = Service::start(&setup);
    daemon::until("the token is seen", || {
        (service.get("/v1/tokens").json()[0]["status"] == "locked").then_some(())
    });
    let token = service.get("/v1/tokens").json()[0].clone();
    assert_eq!(token["certificates"][0]["fitness"], "weak-key");
    let target = "/v1/signatures?practitioner=90000001&level=XAdES-B-B";
    let answer = service.post(target, "application/xml", LETTER);
    assert!(answer.status >= 400, "{answer:?}");
    let said = answer.json()["detail"].to_string();
    assert!(said.contains("RSA with 1024 bits"), "{said}");
    assert!(said.contains("at least 2048 bits"), "{said}");
}

/// OpenSC's spy between the worker and SoftHSM2.
fn spy() -> Option<PathBuf> {
    let places = [
        "/usr/lib/x86_64-linux-gnu/pkcs11-spy.so",
        "/usr/lib/aarch64-linux-gnu/pkcs11-spy.so",
        "/usr/lib64/pkcs11-spy.so",
        "/usr/lib64/pkcs11/pkcs11-spy.so",
    ];
    let found = places.into_iter().map(PathBuf::from).find(|p| p.exists());
    if found.is_none() {
        skipped("pkcs11-spy.so (OpenSC) is not installed");
    }
    found
}

#[test]
fn each_signature_is_one_private_key_operation() {
    let Some(spy) = spy() else { return };
    let Some(real) = crate::softhsm::module() else {
        return skipped("SoftHSM2 is not installed");
    };
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("spy.log");
    let environment: Environment = vec![
        ("PKCS11SPY".into(), real.into()),
        ("PKCS11SPY_OUTPUT".into(), log.clone().into()),
    ];
    let Some(card) = OnCard::start("rsa2048", "pss", Some((&spy, environment))) else {
        return;
    };
    let calls = |function: &str| {
        let log = String::from_utf8_lossy(&std::fs::read(&log).unwrap()).into_owned();
        let named = |line: &&str| {
            line.split_once(": ")
                .is_some_and(|(_, name)| name == function)
        };
        log.lines().filter(named).count()
    };
    let mut made = 0;
    let mut costs = |signatures: usize, what: &str| {
        made += signatures;
        assert_eq!(calls("C_Sign"), made, "{what}");
        assert_eq!(calls("C_SignInit"), made, "{what}");
    };
    costs(0, "being ready");
    card.deposits();
    costs(2, "a form: PAdES and XAdES");
    for level in ["XAdES-B-B", "XAdES-B-T", "XAdES-B-LT"] {
        card.signs(level, "application/xml", LETTER);
        costs(1, level);
    }
    let pdf = daemon::pdf("memoire-gs-a2b.pdf");
    for level in PDF_LEVELS {
        card.signs(level, "application/pdf", &pdf);
        costs(1, level);
    }
    assert_eq!(calls("C_Login"), 1);
    for never in ["C_SignUpdate", "C_SignFinal", "C_SignRecover", "C_Decrypt"] {
        assert_eq!(calls(never), 0, "{never}");
    }
}

const PDF_LEVELS: [&str; 3] = ["PAdES-B-B", "PAdES-B-T", "PAdES-B-LT"];

/// A token that takes its PIN on the reader: commands and API send none.
#[test]
fn a_pin_typed_on_the_reader_unlocks_and_lets_documents_go() {
    let Some(faulty) = Faulty::new() else { return };
    let module = faulty.module();
    let environment: Environment = vec![
        ("FAULT_REAL".into(), faulty.hsm.module().into()),
        ("FAULT_FOLDER".into(), faulty.hsm.path().into()),
        ("FAULT_READER".into(), PIN.into()),
    ];
    let hsm = SoftHsm::empty().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    hsm.take_identity(&sandbox, "rsa2048");
    let setup = Setup {
        layer: daemon::on_token(&format!("kind = \"pkcs11\"\nmodule = {module:?}")),
        environment: [hsm.environment(), environment].concat(),
    };
    let service = Service::start_in(folder, sandbox, &setup);
    let token = || service.get("/v1/tokens").json()[0].clone();
    daemon::until("the token is seen", || {
        (token()["status"] == "locked").then_some(())
    });
    assert_eq!(token()["pin_entry"], "reader");
    assert_eq!(
        service.daemon.get("/v1/health")["tokens"][0]["pin_entry"],
        "reader"
    );

    // A PIN that is sent all the same is refused and goes nowhere.
    let headers = [("Content-Type", "application/json")];
    let unlock = |body: &str| {
        let path = "/v1/tokens/unlock";
        service.ask_with(
            &service.administrator,
            "POST",
            path,
            &headers,
            body.as_bytes(),
        )
    };
    let refused = unlock(&format!("{{\"pin\":\"{PIN}\"}}"));
    assert_eq!(refused.problem(), "body-malformed");
    let said = refused.json()["detail"].to_string();
    assert!(said.contains("on the reader"), "{said}");
    let logins = || faulty.calls("C_Login 1") + faulty.calls("C_Login 1 reader");
    assert_eq!((logins(), token()["status"] == "locked"), (0, true));
    // Cancelled there (CKR_FUNCTION_CANCELED).
    faulty.at("C_Login", "rv 50");
    assert_eq!(unlock("{}").problem(), "token-not-ready");

    let (uuid, xml) = daemon::example("une-ligne.xml");
    let pdf = daemon::pdf("memoire-gs-a2b.pdf");
    assert_eq!(service.daemon.hand_in(&xml, &pdf).status, 202);
    // No terminal: nothing asks for a PIN.
    let output = service.daemon.command(&["unlock"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        said,
        "Enter the PIN on the reader.\nThe token is unlocked.\n"
    );
    service.daemon.wait_for(&uuid, &["receipted"]);
    assert_eq!(faulty.calls("C_Login 1 reader"), 2);
    assert_eq!(faulty.calls("C_Login 1"), 0);
}
