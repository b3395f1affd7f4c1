//! The comfort signature: what one PIN entry is good for, and how it ends.

use super::{Faulty, always_authenticate, is_locked, now, sign, unlock, wait_for};
use crate::softhsm::{Kind, PIN};
use sceau::base::clock::Clock;
use sceau::token::pkcs11::{Pkcs11Token, SessionLimits};
use sceau::token::{Token, TokenError, TokenStatus};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use time::OffsetDateTime;

struct Movable(Mutex<OffsetDateTime>);

impl Clock for Movable {
    fn now(&self) -> OffsetDateTime {
        *self.0.lock().unwrap()
    }
}

fn with_budget(faulty: &Faulty, signatures: u32) -> Pkcs11Token {
    let mut settings = faulty.settings();
    settings.session.signatures = NonZeroU32::new(signatures);
    let token = Pkcs11Token::start(settings).unwrap();
    unlock(&token, PIN).unwrap();
    token
}

fn signatures_left(token: &Pkcs11Token) -> Option<u32> {
    token.session().unwrap().signatures_left
}

#[test]
fn a_session_ends_with_its_last_signature() {
    let Some(faulty) = Faulty::new() else { return };
    let token = with_budget(&faulty, 3);
    for left in [3, 2, 1] {
        assert_eq!(signatures_left(&token), Some(left));
        sign(&token, &faulty.certificate).unwrap();
    }
    wait_for(&token, is_locked);
    assert_eq!(token.session(), None);
    assert_eq!(sign(&token, &faulty.certificate), Err(TokenError::Locked));
    assert_eq!(faulty.calls("C_Logout"), 1);
    assert_eq!(faulty.calls("C_Login 1"), 1);
    unlock(&token, PIN).unwrap();
    assert_eq!(signatures_left(&token), Some(3));
    // Unlocking what is unlocked prolongs nothing.
    sign(&token, &faulty.certificate).unwrap();
    unlock(&token, PIN).unwrap();
    assert_eq!(signatures_left(&token), Some(2));
    assert_eq!(faulty.calls("C_Login 1"), 2);
}

#[test]
fn a_signature_that_failed_counts_too() {
    let Some(faulty) = Faulty::new() else { return };
    let token = with_budget(&faulty, 2);
    faulty.at("C_SignInit", "rv 5");
    sign(&token, &faulty.certificate).unwrap_err();
    assert_eq!(signatures_left(&token), Some(1));
    faulty.at("C_Sign", "nonsense");
    let wrong = sign(&token, &faulty.certificate);
    assert_eq!(wrong, Err(TokenError::BadSignature));
    wait_for(&token, is_locked);
}

#[test]
fn a_session_ends_when_its_time_is_up() {
    let Some(faulty) = Faulty::new() else { return };
    let clock = Arc::new(Movable(Mutex::new(now())));
    let mut settings = faulty.settings();
    settings.clock = clock.clone();
    settings.session = SessionLimits {
        signatures: None,
        time: Some(Duration::from_secs(3600)),
    };
    let token = Pkcs11Token::start(settings).unwrap();
    let pass = |minutes| *clock.0.lock().unwrap() += time::Duration::minutes(minutes);
    unlock(&token, PIN).unwrap();
    let ends = now() + time::Duration::hours(1);
    let told = token.session().unwrap().ends.unwrap();
    assert!((told - ends).abs() < time::Duration::minutes(5), "{told}");
    pass(59);
    sign(&token, &faulty.certificate).unwrap();
    // Asked before anybody looked: the key is not used any more.
    pass(1);
    assert_eq!(sign(&token, &faulty.certificate), Err(TokenError::Locked));
    // Looked at before anybody asked.
    unlock(&token, PIN).unwrap();
    pass(61);
    wait_for(&token, is_locked);
    assert_eq!(faulty.calls("C_Sign"), 1);
    assert_eq!(faulty.calls("C_Logout"), 2);
}

#[test]
fn a_session_ends_with_removal_lock_and_crash() {
    let Some(faulty) = Faulty::new() else { return };
    let token = with_budget(&faulty, 100);
    token.lock();
    assert_eq!((token.session(), is_locked(&token.status())), (None, true));
    for (function, todo) in [("C_GetTokenInfo", "rv e0"), ("C_Sign", "crash")] {
        unlock(&token, PIN).unwrap();
        assert_eq!(signatures_left(&token), Some(100));
        faulty.at(function, todo);
        let _ = sign(&token, &faulty.certificate);
        wait_for(&token, is_locked);
        assert_eq!(token.session(), None);
        assert_eq!(sign(&token, &faulty.certificate), Err(TokenError::Locked));
    }
    assert_eq!(faulty.calls("C_Login 1"), 3);
}

#[test]
fn a_module_that_does_not_log_out_loses_its_worker() {
    let Some(faulty) = Faulty::new() else { return };
    for todo in ["skip", "rv 5", "crash", "hang", "exit"] {
        let token = with_budget(&faulty, 1);
        let started = faulty.calls("C_Initialize");
        faulty.at("C_Logout", todo);
        sign(&token, &faulty.certificate).unwrap();
        wait_for(&token, is_locked);
        assert_eq!(faulty.calls("C_Initialize"), started + 1, "{todo}");
        let wrong = unlock(&token, "000000");
        assert_eq!(wrong, Err(TokenError::PinIncorrect), "{todo}");
        unlock(&token, PIN).unwrap();
    }
}

#[test]
fn a_key_that_wants_the_pin_each_time_has_a_session_too() {
    let Some(faulty) = Faulty::new() else { return };
    let certificate = always_authenticate(&faulty.hsm, Kind::P256);
    let token = with_budget(&faulty, 2);
    sign(&token, &certificate).unwrap();
    sign(&token, &certificate).unwrap();
    wait_for(&token, is_locked);
    assert_eq!(sign(&token, &certificate), Err(TokenError::Locked));
    assert_eq!(faulty.calls("C_Login 1"), 1);
    assert_eq!(faulty.calls("C_Login 2"), 2);
}

#[test]
fn a_token_that_tells_no_warning_gets_ours() {
    let Some(faulty) = Faulty::new() else { return };
    let token = faulty.start();
    // CKF_USER_PIN_COUNT_LOW, CKF_USER_PIN_FINAL_TRY
    faulty.at("C_GetTokenInfo.always", "unflag 30000");
    assert_eq!(unlock(&token, "000000"), Err(TokenError::PinIncorrect));
    let warned = |status: &TokenStatus| matches!(status, TokenStatus::Locked { warning: Some(_) });
    assert!(warned(&token.status()));
    faulty.at("C_GetTokenInfo", "crash");
    wait_for(&token, |status| !is_locked(status));
    assert!(warned(&wait_for(&token, is_locked)));
    unlock(&token, PIN).unwrap();
    token.lock();
    assert!(!warned(&token.status()));
}

/// Tokens that tell no warning: only a note of ours keeps a wrong PIN file from
/// using up one attempt at each start of the service.
#[test]
fn a_wrong_pin_file_is_not_tried_again_after_a_restart() {
    let Some(faulty) = Faulty::new() else { return };
    faulty.at("C_GetTokenInfo.always", "unflag 30000");
    let start = || {
        let mut settings = faulty.settings_with_pin_file("000000");
        settings.pin_file_note = Some(faulty.hsm.path().join("note"));
        Pkcs11Token::start(settings).unwrap()
    };
    for _ in 0..3 {
        let token = start();
        token.identities().unwrap();
        assert!(is_locked(&token.status()));
        assert_eq!(faulty.calls("C_Login 1"), 1);
    }
    // Killed in the middle of it, the outcome is as unknown.
    let token = start();
    unlock(&token, PIN).unwrap();
    assert!(!faulty.hsm.path().join("note").exists());
    drop(token);
    faulty.at("C_Login", "crash");
    drop(start().identities());
    let logins = faulty.calls("C_Login 1");
    drop(start().identities());
    assert_eq!(faulty.calls("C_Login 1"), logins);
}
