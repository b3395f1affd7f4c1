//! Tokens: real signatures through SoftHSM2, and a module that misbehaves.

#[cfg(target_os = "linux")] // looks processes up in /proc
mod misbehaviour;
#[cfg(target_os = "linux")] // reads /proc
mod service;
mod sessions;

use crate::softhsm::{Authority, Card, Kind, PIN, SoftHsm, skipped, worker};
use sceau::base::{Secret, SystemClock};
use sceau::token::pkcs11::{Pkcs11Token, Settings};
use sceau::token::{
    DriverFault, Identity, LastTry, PinWarning, Token, TokenError, TokenStatus, choose,
};
use sceau::x509::{self, Cert, RsaScheme, SignatureAlgorithm};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub const MESSAGE: &[u8] = b"memoire d'honoraires";

pub fn pin(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

pub fn unlock(token: &dyn Token, text: &str) -> Result<(), TokenError> {
    token.unlock(Some(pin(text)), LastTry::Refuse)
}

pub fn sign(token: &dyn Token, certificate: &Cert) -> Result<Vec<u8>, TokenError> {
    let algorithm = SignatureAlgorithm::for_key(certificate.key(), RsaScheme::Pkcs1V15).unwrap();
    token.sign(&certificate.sha256(), algorithm, MESSAGE)
}

pub fn now() -> time::OffsetDateTime {
    SystemClock::shared().now()
}

/// Waits for a status; the limit is generous because only a failure reaches it.
pub fn wait_for(token: &dyn Token, wanted: impl Fn(&TokenStatus) -> bool) -> TokenStatus {
    let start = Instant::now();
    loop {
        let status = token.status();
        if wanted(&status) {
            return status;
        }
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "still {status:?}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn is_locked(status: &TokenStatus) -> bool {
    matches!(status, TokenStatus::Locked { .. })
}

/// A SoftHSM2 token behind the module that misbehaves on demand.
pub struct Faulty {
    pub hsm: SoftHsm,
    pub certificate: Cert,
}

impl Faulty {
    pub fn new() -> Option<Self> {
        Self::card(Kind::P256)
    }

    pub fn card(kind: Kind) -> Option<Self> {
        let (hsm, card) = SoftHsm::card(kind)?;
        let certificate = Cert::from_der(&card.signing.certificate_der).unwrap();
        Self::before(hsm, certificate)
    }

    /// The module that misbehaves, in front of this token.
    pub fn before(hsm: SoftHsm, certificate: Cert) -> Option<Self> {
        if Command::new("cc").arg("--version").output().is_err() {
            skipped("no C compiler");
            return None;
        }
        let faulty = Self { hsm, certificate };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fault_module.c");
        let status = Command::new("cc")
            .args(["-Wall", "-Werror", "-shared", "-fPIC", "-o"])
            .arg(faulty.module())
            .arg(source)
            .arg("-ldl")
            .status();
        assert!(status.unwrap().success());
        Some(faulty)
    }

    pub fn module(&self) -> PathBuf {
        self.hsm.path().join("fault_module.so")
    }

    /// Environment of the processes that load the module.
    pub fn environment(&self) -> Vec<(OsString, OsString)> {
        let mut environment = self.hsm.environment();
        environment.push(("FAULT_REAL".into(), self.hsm.module().into()));
        environment.push(("FAULT_FOLDER".into(), self.hsm.path().into()));
        environment
    }

    pub fn settings(&self) -> Settings {
        let mut settings = Settings::new(self.module(), worker(self.environment()));
        settings.token_serial = Some(self.hsm.serial.clone());
        settings.backoff = vec![Duration::from_millis(50)];
        settings.deadlines.sign = Duration::from_secs(1);
        settings.deadlines.login = Duration::from_secs(1);
        settings
    }

    pub fn settings_with_pin_file(&self, text: &str) -> Settings {
        let mut settings = self.settings();
        let file = self.hsm.path().join("pin");
        std::fs::write(&file, format!("{text}\n")).unwrap();
        settings.pin_file = Some(file);
        settings
    }

    pub fn start(&self) -> Pkcs11Token {
        Pkcs11Token::start(self.settings()).unwrap()
    }

    pub fn unlocked(&self) -> Pkcs11Token {
        let token = self.start();
        unlock(&token, PIN).unwrap();
        token
    }

    /// What the function is to do at its next call.
    pub fn at(&self, function: &str, todo: &str) {
        // Written aside and renamed: the module may be reading just now.
        let aside = self.hsm.path().join("aside");
        std::fs::write(&aside, todo).unwrap();
        std::fs::rename(aside, self.hsm.path().join(function)).unwrap();
    }

    /// How often the module was called so; "C_Login 1" is the user's login.
    pub fn calls(&self, line: &str) -> usize {
        let log = std::fs::read_to_string(self.hsm.path().join("calls.log")).unwrap_or_default();
        log.lines().filter(|l| *l == line).count()
    }
}

#[test]
fn every_kind_of_key_signs_what_verifies() {
    for kind in [Kind::Rsa2048, Kind::Rsa3072, Kind::P256] {
        let Some((hsm, card)) = SoftHsm::card(kind) else {
            return;
        };
        let signing = Cert::from_der(&card.signing.certificate_der).unwrap();
        let token = Pkcs11Token::start(hsm.settings()).unwrap();
        let before = token.identities().unwrap();
        assert_eq!(before.len(), 2, "{before:?}");
        assert_eq!(before[0].certificate, signing, "nonRepudiation comes first");
        assert_eq!(before[0].token_serial, hsm.serial);
        assert_eq!(before[0].token_label, hsm.label);
        assert_eq!(before[0].chain.len(), 1);
        assert_eq!(sign(&token, &signing), Err(TokenError::Locked));

        unlock(&token, PIN).unwrap();
        assert_eq!(token.status(), TokenStatus::Ready);
        let chosen = choose(&token.identities().unwrap(), None, now()).unwrap();
        assert_eq!(chosen.certificate, signing);
        let algorithm = SignatureAlgorithm::for_key(signing.key(), RsaScheme::Pkcs1V15).unwrap();
        let signature = sign(&token, &signing).unwrap();
        x509::verify(&signing, algorithm, MESSAGE, &signature).unwrap();
        assert!(x509::verify(&signing, algorithm, b"other", &signature).is_err());

        token.lock();
        assert_eq!(sign(&token, &signing), Err(TokenError::Locked));
        unlock(&token, PIN).unwrap();
        sign(&token, &signing).unwrap();
    }
}

#[test]
fn rsa_signs_with_the_longer_digests_too() {
    let Some((hsm, card)) = SoftHsm::card(Kind::Rsa2048) else {
        return;
    };
    let signing = Cert::from_der(&card.signing.certificate_der).unwrap();
    let token = Pkcs11Token::start(hsm.settings()).unwrap();
    unlock(&token, PIN).unwrap();
    for algorithm in [
        SignatureAlgorithm::RsaPkcs1Sha384,
        SignatureAlgorithm::RsaPkcs1Sha512,
    ] {
        let signature = token.sign(&signing.sha256(), algorithm, MESSAGE).unwrap();
        x509::verify(&signing, algorithm, MESSAGE, &signature).unwrap();
    }
    let wrong = token.sign(&signing.sha256(), SignatureAlgorithm::EcdsaSha256, MESSAGE);
    assert_eq!(wrong, Err(TokenError::Algorithm));
}

#[test]
fn a_signature_costs_one_sign_and_neither_search_nor_login() {
    let Some(faulty) = Faulty::new() else { return };
    let token = faulty.unlocked();
    let searches = faulty.calls("C_FindObjectsInit");
    let sessions = faulty.calls("C_OpenSession");
    for _ in 0..25 {
        sign(&token, &faulty.certificate).unwrap();
    }
    assert_eq!(faulty.calls("C_FindObjectsInit"), searches);
    assert_eq!(faulty.calls("C_OpenSession"), sessions);
    assert_eq!(faulty.calls("C_Login 1"), 1);
    assert_eq!(faulty.calls("C_SignInit"), 25);
    assert_eq!(faulty.calls("C_Sign"), 25);
}

#[test]
fn a_hanging_signature_ends_at_its_deadline_and_the_worker_is_replaced() {
    let Some(faulty) = Faulty::new() else { return };
    let token = faulty.unlocked();
    faulty.at("C_Sign", "hang");
    let start = Instant::now();
    let hung = sign(&token, &faulty.certificate);
    assert_eq!(hung, Err(TokenError::Hung { operation: "sign" }));
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
    wait_for(&token, is_locked);
    assert_eq!(faulty.calls("C_Initialize"), 2);
    assert_eq!(faulty.calls("C_Login 1"), 1, "the PIN was not kept");
    unlock(&token, PIN).unwrap();
    sign(&token, &faulty.certificate).unwrap();
}

#[test]
fn a_login_that_breaks_off_is_never_repeated_by_code() {
    let Some(faulty) = Faulty::new() else { return };
    let token = faulty.start();
    // The last two: a module that says it is logged in and is not.
    let breaks = ["crash", "exit", "hang", "rv 5", "rv 30", "skip", "rv 100"];
    for (entries, todo) in breaks.iter().enumerate() {
        wait_for(&token, is_locked);
        faulty.at("C_Login", todo);
        assert_eq!(
            unlock(&token, PIN),
            Err(TokenError::PinPossiblyUsed),
            "{todo}"
        );
        wait_for(&token, is_locked);
        assert_eq!(sign(&token, &faulty.certificate), Err(TokenError::Locked));
        assert_eq!(faulty.calls("C_Login 1"), entries + 1, "{todo}");
    }
    unlock(&token, PIN).unwrap();
    sign(&token, &faulty.certificate).unwrap();
}

#[test]
fn a_crash_while_signing_asks_for_the_pin_again() {
    let Some(faulty) = Faulty::new() else { return };
    let token = faulty.unlocked();
    faulty.at("C_Sign", "crash");
    assert_eq!(sign(&token, &faulty.certificate), Err(TokenError::Locked));
    wait_for(&token, is_locked);
    assert_eq!(faulty.calls("C_Login 1"), 1);
}

#[test]
fn with_a_pin_file_a_crash_while_signing_is_not_noticed() {
    let Some(faulty) = Faulty::new() else { return };
    let token = Pkcs11Token::start(faulty.settings_with_pin_file(PIN)).unwrap();
    wait_for(&token, |s| *s == TokenStatus::Ready);
    for (index, todo) in ["crash", "exit", "rv 32", "rv b3"].iter().enumerate() {
        faulty.at("C_Sign", todo);
        sign(&token, &faulty.certificate).unwrap();
        assert_eq!(
            faulty.calls("C_Login 1"),
            index + 2,
            "{todo}: one login per restart"
        );
    }
}

#[test]
fn with_a_pin_file_a_key_that_wants_the_pin_each_time_is_not_tried_again() {
    for (todo, error) in [
        ("crash", TokenError::Locked),
        ("hang", TokenError::Hung { operation: "sign" }),
    ] {
        let Some(faulty) = Faulty::new() else { return };
        let certificate = always_authenticate(&faulty.hsm, Kind::P256);
        let mut settings = faulty.settings_with_pin_file(PIN);
        let note = faulty.hsm.path().join("note");
        settings.pin_file_note = Some(note.clone());
        let token = Pkcs11Token::start(settings).unwrap();
        wait_for(&token, |s| *s == TokenStatus::Ready);
        sign(&token, &certificate).unwrap();
        assert!(!note.exists());
        // Behind the login for this signature, or in it: nobody knows.
        faulty.at("C_Sign", todo);
        assert_eq!(sign(&token, &certificate), Err(error));
        wait_for(&token, is_locked);
        assert!(note.exists(), "nor after a restart");
        let logins = [1, 2].map(|user| faulty.calls(&format!("C_Login {user}")));
        assert_eq!(logins, [1, 2], "{todo}");
    }
}

#[test]
fn a_wrong_pin_file_costs_one_attempt_however_often_the_worker_restarts() {
    let Some(faulty) = Faulty::new() else { return };
    let token = Pkcs11Token::start(faulty.settings_with_pin_file("000000")).unwrap();
    wait_for(&token, |s| {
        *s == TokenStatus::Locked {
            warning: Some(PinWarning::CountLow),
        }
    });
    faulty.at("C_GetTokenInfo", "crash");
    wait_for(&token, |s| matches!(s, TokenStatus::Restarting { .. }));
    wait_for(&token, is_locked);
    drop(token);
    // Another start of the whole daemon: the token's own warning forbids it.
    let token = Pkcs11Token::start(faulty.settings_with_pin_file("000000")).unwrap();
    assert_eq!(token.identities().unwrap().len(), 2);
    assert_eq!(faulty.calls("C_Login 1"), 1);
    unlock(&token, PIN).unwrap();
    sign(&token, &faulty.certificate).unwrap();
}

#[test]
fn a_lost_session_is_opened_again_once_and_wants_the_pin() {
    let Some(faulty) = Faulty::new() else { return };
    for todo in ["rv 32", "rv b3", "rv e0", "rv 30"] {
        let token = faulty.unlocked();
        let sessions = faulty.calls("C_OpenSession");
        let logins = faulty.calls("C_Login 1");
        faulty.at("C_Sign", todo);
        assert_eq!(
            sign(&token, &faulty.certificate),
            Err(TokenError::Locked),
            "{todo}"
        );
        assert!(is_locked(&token.status()));
        assert_eq!(faulty.calls("C_OpenSession"), sessions + 1);
        assert_eq!(faulty.calls("C_Login 1"), logins);
    }
}

#[test]
fn any_other_refusal_names_its_code() {
    let Some(faulty) = Faulty::new() else { return };
    let token = faulty.unlocked();
    faulty.at("C_Sign", "rv 21");
    let refused = sign(&token, &faulty.certificate).unwrap_err();
    assert_eq!(
        refused,
        TokenError::Refused {
            operation: "sign",
            code: "DataLenRange".into()
        }
    );
    // The real module never saw that call and still waits for it; a new
    // session gets rid of that.
    token.lock();
    unlock(&token, PIN).unwrap();
    sign(&token, &faulty.certificate).unwrap();
}

#[test]
fn nonsense_from_the_module_is_caught() {
    let Some(faulty) = Faulty::new() else { return };
    let token = faulty.unlocked();
    faulty.at("C_Sign", "nonsense");
    assert_eq!(
        sign(&token, &faulty.certificate),
        Err(TokenError::BadSignature)
    );
    faulty.at("C_Sign", "huge");
    let refused = sign(&token, &faulty.certificate).unwrap_err();
    assert!(matches!(refused, TokenError::Refused { .. }), "{refused:?}");
    sign(&token, &faulty.certificate).unwrap();
}

#[test]
fn a_talkative_module_does_not_disturb_the_protocol() {
    let Some(faulty) = Faulty::new() else { return };
    for function in [
        "C_Initialize",
        "C_GetSlotList",
        "C_Login",
        "C_SignInit",
        "C_Sign",
    ] {
        faulty.at(&format!("{function}.always"), "chatter");
    }
    let token = faulty.unlocked();
    for _ in 0..5 {
        sign(&token, &faulty.certificate).unwrap();
    }
    assert_eq!(faulty.calls("C_Initialize"), 1);
}

#[test]
fn the_pin_flags_are_read_before_a_pin_is_used() {
    let Some(faulty) = Faulty::new() else { return };
    let token = faulty.start();
    // CKF_USER_PIN_LOCKED: nothing is sent, confirmed or not.
    faulty.at("C_GetTokenInfo.always", "flags 40000");
    for last_try in [LastTry::Refuse, LastTry::Confirmed] {
        assert_eq!(
            token.unlock(Some(pin(PIN)), last_try),
            Err(TokenError::PinLocked)
        );
    }
    assert_eq!(token.status(), TokenStatus::Blocked);
    // CKF_USER_PIN_FINAL_TRY
    faulty.at("C_GetTokenInfo.always", "flags 20000");
    assert_eq!(unlock(&token, PIN), Err(TokenError::FinalTry));
    let warning = Some(PinWarning::FinalTry);
    assert_eq!(token.status(), TokenStatus::Locked { warning });
    assert_eq!(faulty.calls("C_Login 1"), 0);
    token.unlock(Some(pin(PIN)), LastTry::Confirmed).unwrap();
    assert_eq!(faulty.calls("C_Login 1"), 1);
}

#[test]
fn a_wrong_pin_is_sent_once_and_leaves_a_warning() {
    let Some(faulty) = Faulty::new() else { return };
    let token = faulty.start();
    assert_eq!(unlock(&token, "000000"), Err(TokenError::PinIncorrect));
    let warning = Some(PinWarning::CountLow);
    assert_eq!(token.status(), TokenStatus::Locked { warning });
    for malformed in ["".to_owned(), "1".repeat(256)] {
        assert_eq!(unlock(&token, &malformed), Err(TokenError::PinMalformed));
    }
    assert_eq!(faulty.calls("C_Login 1"), 1);
    // Unlocking twice logs in once: the second PIN, right or wrong, is unused.
    unlock(&token, PIN).unwrap();
    unlock(&token, "000000").unwrap();
    assert_eq!(faulty.calls("C_Login 1"), 2);
}

#[test]
fn a_key_that_wants_the_pin_each_time_gets_it() {
    for kind in [Kind::Rsa2048, Kind::P256] {
        let Some(faulty) = Faulty::new() else { return };
        let certificate = always_authenticate(&faulty.hsm, kind);
        signs_with_a_login_each_time(&faulty, &certificate);
    }
}

fn signs_with_a_login_each_time(faulty: &Faulty, certificate: &Cert) {
    let token = faulty.unlocked();
    let identities = token.identities().unwrap();
    let demanding: Vec<&Identity> = identities
        .iter()
        .filter(|i| i.always_authenticate)
        .collect();
    assert_eq!(demanding.len(), 1);
    assert_eq!(&demanding[0].certificate, certificate);
    for _ in 0..3 {
        sign(&token, certificate).unwrap();
    }
    sign(&token, &faulty.certificate).unwrap();
    assert_eq!(faulty.calls("C_Login 1"), 1);
    assert_eq!(
        faulty.calls("C_Login 2"),
        3,
        "context logins, for that key only"
    );

    // Refused in between: it is not sent again.
    faulty.at("C_Login", "rv a0");
    assert_eq!(sign(&token, certificate), Err(TokenError::PinIncorrect));
    assert_eq!(sign(&token, certificate), Err(TokenError::Locked));
    assert_eq!(faulty.calls("C_Login 2"), 4);
    assert_eq!(faulty.calls("C_Login 1"), 1);
    token.lock();
    unlock(&token, PIN).unwrap();
    sign(&token, certificate).unwrap();
}

/// Puts a key with `CKA_ALWAYS_AUTHENTICATE` and its certificate on the token.
pub fn always_authenticate(hsm: &SoftHsm, kind: Kind) -> Cert {
    let issued = Authority::new().signing(kind);
    let file = hsm.path().join("each.pem");
    std::fs::write(&file, &issued.key_pem).unwrap();
    let file = file.to_string_lossy();
    let object = ["--write-object", &file, "--type", "privkey", "--id", "0a"];
    hsm.pkcs11_tool(&[&object[..], &["--always-auth"]].concat());
    hsm.import_certificate("0a", &issued.certificate_der);
    Cert::from_der(&issued.certificate_der).unwrap()
}

#[test]
fn a_token_may_come_after_the_daemon() {
    let Some((hsm, card)) = SoftHsm::card(Kind::P256) else {
        return;
    };
    let signing = Cert::from_der(&card.signing.certificate_der).unwrap();
    hsm.pull();
    let mut settings = hsm.settings();
    settings.poll = Duration::from_millis(30);
    let token = Pkcs11Token::start(settings).unwrap();
    assert_eq!(token.identities().unwrap_err(), TokenError::Absent);
    assert_eq!(token.status(), TokenStatus::Absent);
    assert_eq!(unlock(&token, PIN), Err(TokenError::Absent));
    assert_eq!(sign(&token, &signing), Err(TokenError::Absent));
    hsm.insert();
    wait_for(&token, is_locked);
    unlock(&token, PIN).unwrap();
    sign(&token, &signing).unwrap();
}

#[test]
fn a_pulled_card_is_noticed_without_a_signature() {
    let Some(faulty) = Faulty::new() else { return };
    let mut settings = faulty.settings();
    settings.poll = Duration::from_millis(30);
    let token = Pkcs11Token::start(settings).unwrap();
    unlock(&token, PIN).unwrap();
    faulty.at("C_GetTokenInfo.always", "rv e0");
    wait_for(&token, |s| *s == TokenStatus::Absent);
    assert_eq!(token.identities().unwrap_err(), TokenError::Absent);
    assert_eq!(sign(&token, &faulty.certificate), Err(TokenError::Absent));
    std::fs::remove_file(faulty.hsm.path().join("C_GetTokenInfo.always")).unwrap();
    wait_for(&token, is_locked);
    assert_eq!(faulty.calls("C_Login 1"), 1);
}

#[test]
fn the_serial_number_decides_between_tokens() {
    let Some((mut hsm, card)) = SoftHsm::card(Kind::P256) else {
        return;
    };
    let first = hsm.serial.clone();
    let signing = Cert::from_der(&card.signing.certificate_der).unwrap();
    hsm.label = "second".into();
    hsm.init_token();
    let mut settings = hsm.settings();
    settings.token_serial = None;
    let token = Pkcs11Token::start(settings.clone()).unwrap();
    let error = token.identities().unwrap_err();
    assert!(error.to_string().contains(&first), "{error}");
    assert!(matches!(error, TokenError::Unusable { .. }));

    settings.token_serial = Some(format!(" {first} "));
    let token = Pkcs11Token::start(settings.clone()).unwrap();
    unlock(&token, PIN).unwrap();
    sign(&token, &signing).unwrap();

    settings.token_serial = None;
    settings.certificate_sha256 = Some(signing.sha256());
    let token = Pkcs11Token::start(settings.clone()).unwrap();
    unlock(&token, PIN).unwrap();
    sign(&token, &signing).unwrap();

    settings.token_serial = Some("0123456789abcdef".into());
    let token = Pkcs11Token::start(settings).unwrap();
    let wrong = token.identities().unwrap_err();
    assert!(matches!(&wrong, TokenError::Wrong { detail } if detail.contains(&first)));
    assert_eq!(unlock(&token, PIN), Err(wrong));
}

#[test]
fn a_token_that_cannot_be_read_hides_no_other_and_is_not_called_absent() {
    let Some((mut hsm, card)) = SoftHsm::card(Kind::P256) else {
        return;
    };
    hsm.label = "second".into();
    hsm.init_token();
    let other = Card::issue(Kind::P256);
    hsm.put(&other);
    let certificates = [card, other].map(|card| {
        let signing = Cert::from_der(&card.signing.certificate_der);
        signing.unwrap()
    });
    let first = certificates[0].clone();
    let Some(faulty) = Faulty::before(hsm, first) else {
        return;
    };
    let mut settings = faulty.settings();
    settings.token_serial = None;
    settings.poll = Duration::from_secs(60);
    let found = |certificate: Option<&Cert>| {
        settings.certificate_sha256 = certificate.map(Cert::sha256);
        faulty.at("C_OpenSession", "rv 30"); // CKR_DEVICE_ERROR
        let token = Pkcs11Token::start(settings.clone()).unwrap();
        wait_for(&token, |status| *status != TokenStatus::Starting)
    };
    let statuses = certificates.each_ref().map(Some).map(found);
    let unreadable = |status: &TokenStatus| matches!(status, TokenStatus::Unusable { detail } if detail.contains("DeviceError"));
    // One of the two is looked at first.
    assert!(statuses.iter().any(is_locked), "{statuses:?}");
    assert!(statuses.iter().any(unreadable), "{statuses:?}");
}

#[test]
fn a_driver_that_keeps_crashing_rests_until_a_person_comes() {
    let Some(faulty) = Faulty::new() else { return };
    faulty.at("C_GetTokenInfo.always", "crash");
    let token = faulty.start();
    let after = DriverFault::Crashed;
    wait_for(&token, |s| *s == TokenStatus::Quarantined { after });
    assert_eq!(faulty.calls("C_Initialize"), 6, "five restarts");
    assert_eq!(
        sign(&token, &faulty.certificate),
        Err(TokenError::Quarantined)
    );
    std::fs::remove_file(faulty.hsm.path().join("C_GetTokenInfo.always")).unwrap();
    unlock(&token, PIN).unwrap();
    sign(&token, &faulty.certificate).unwrap();
}

#[test]
fn a_module_that_cannot_be_loaded_is_named() {
    let cases = [
        ("/nonexistent/libgclib.so", "/nonexistent/libgclib.so"),
        // A library, but no PKCS#11 module.
        ("/proc/self/exe", "token cannot be used"),
        ("libgclib.so", "not absolute"),
    ];
    for (module, named) in cases {
        let settings = Settings::new(module.into(), worker(Vec::new()));
        let token = Pkcs11Token::start(settings).unwrap();
        let error = token.identities().unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
        assert!(matches!(error, TokenError::Unusable { .. }));
        assert_eq!(unlock(&token, PIN), Err(error));
    }
}

#[test]
fn initialisation_may_fail_in_any_way() {
    let Some(faulty) = Faulty::new() else { return };
    for todo in ["crash", "exit", "hang", "rv 5"] {
        faulty.at("C_Initialize", todo);
        let mut settings = faulty.settings();
        settings.deadlines.init = Duration::from_secs(2);
        let token = Pkcs11Token::start(settings).unwrap();
        wait_for(&token, is_locked);
        unlock(&token, PIN).unwrap();
        sign(&token, &faulty.certificate).unwrap();
    }
}

/// The worker, spoken to directly: `{"verb":"init"}` and its answer.
#[cfg(target_os = "linux")]
#[test]
fn the_worker_dies_with_its_parent_and_leaves_no_core_dump() {
    let Some(faulty) = Faulty::new() else { return };
    let settings = faulty.settings();
    // To Linux the parent is the thread that started the process.
    let (mut child, limits) = std::thread::spawn(move || {
        let mut child = Command::new(&settings.worker.program)
            .args(&settings.worker.arguments)
            .arg("--module")
            .arg(&settings.module)
            .envs(settings.worker.environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let head = br#"{"verb":"init"}"#;
        let frame = [&(head.len() as u32).to_be_bytes(), &[0; 4], &head[..]].concat();
        child.stdin.as_mut().unwrap().write_all(&frame).unwrap();
        let mut answer = vec![0; 8 + br#"{"answer":"done"}"#.len()];
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut answer)
            .unwrap();
        assert!(answer.ends_with(br#"{"answer":"done"}"#));
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
        (child, limits)
    })
    .join()
    .unwrap();
    let core = limits
        .lines()
        .find(|l| l.starts_with("Max core file size"))
        .unwrap();
    let values: Vec<&str> = core.split_whitespace().filter(|w| *w == "0").collect();
    assert_eq!(values.len(), 2, "{core}");
    let start = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => assert!(start.elapsed() < Duration::from_secs(10), "still alive"),
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(status.signal(), Some(9));
}

/// Whatever happens in whatever order, logins never outnumber PIN entries.
#[test]
fn logins_never_outnumber_pin_entries() {
    let Some(faulty) = Faulty::new() else { return };
    let mut settings = faulty.settings();
    settings.backoff = vec![Duration::from_millis(1)];
    settings.deadlines.sign = Duration::from_millis(300);
    settings.deadlines.login = Duration::from_millis(300);
    settings.deadlines.init = Duration::from_secs(1);
    settings.poll = Duration::from_millis(5);
    let token = Pkcs11Token::start(settings).unwrap();
    let functions = [
        "C_Login",
        "C_Sign",
        "C_SignInit",
        "C_GetTokenInfo",
        "C_OpenSession",
    ];
    let wishes = [
        "crash", "exit", "rv 32", "rv b3", "rv 30", "rv 5", "rv a0", "hang",
    ];
    // A fixed sequence, so that a failure can be repeated.
    let mut state = 20_260_101u64;
    let mut draw = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % below
    };
    let mut signatures = 0;
    for step in 0..300 {
        let logins = faulty.calls("C_Login 1");
        let mut entries = 0;
        match draw(4) {
            0 => faulty.at(functions[draw(functions.len())], wishes[draw(wishes.len())]),
            1 => {
                entries = 1;
                let _ = unlock(&token, PIN);
            }
            2 => signatures += usize::from(sign(&token, &faulty.certificate).is_ok()),
            _ if draw(8) == 0 => token.lock(),
            _ => std::thread::sleep(Duration::from_millis(draw(12) as u64)),
        }
        let logins = faulty.calls("C_Login 1") - logins;
        assert!(
            logins <= entries,
            "step {step}: {logins} logins for {entries} entries"
        );
    }
    assert!(
        faulty.calls("C_Login 1") > 10 && signatures > 10,
        "the run tried too little"
    );
    for function in functions {
        let _ = std::fs::remove_file(faulty.hsm.path().join(function));
    }
    unlock(&token, PIN).unwrap();
    sign(&token, &faulty.certificate).unwrap();
}
