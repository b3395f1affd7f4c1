//! Where the signing keys are.

use super::people::is_word;
use crate::base::hex;
use crate::base::settings::Section;
use crate::token::pkcs11::{Deadlines, SessionLimits};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

/// Longest PIN session, in minutes: a day.
const SESSION_MINUTES_MAX: i64 = 24 * 60;
/// Most uses of the key in one PIN session.
const SESSION_SIGNATURES_MAX: i64 = 100_000;

/// One token under a name.
#[derive(Debug)]
pub struct TokenSettings {
    /// A word that names it in commands and answers.
    pub name: String,
    /// Where its keys are.
    pub key: KeySettings,
}

/// Where signing keys are.
#[derive(Debug)]
pub enum KeySettings {
    /// Behind a PKCS#11 module.
    Pkcs11 {
        /// The vendor's library.
        module: PathBuf,
        /// Serial number of the token, if the module shows several.
        serial: Option<String>,
        /// File with the PIN, for an HSM.
        pin_file: Option<PathBuf>,
        /// How far a person's PIN entry goes.
        session: SessionLimits,
        /// SHA-256 of the library as it was approved.
        module_sha256: Option<[u8; 32]>,
        /// How long calls may take.
        deadlines: Deadlines,
    },
    /// In a PKCS#12 file.
    Soft {
        /// The file.
        p12: PathBuf,
        /// The file with its password.
        password_file: PathBuf,
    },
}

pub(super) fn tokens(root: &Section<'_>) -> Vec<TokenSettings> {
    let mut all: Vec<TokenSettings> = Vec::new();
    for section in root.tables("token") {
        let Some(one) = token(&section) else { continue };
        if all.iter().any(|other| other.name == one.name) {
            section.fault("name", format!("\"{}\" is configured twice", one.name));
        }
        if all.iter().any(|other| indistinct(&other.key, &one.key)) {
            let reason = "is needed, and another than that of the other token of this module";
            section.fault("serial", reason);
        }
        all.push(one);
    }
    all
}

/// Whether two tokens of one module are not told apart.
fn indistinct(one: &KeySettings, other: &KeySettings) -> bool {
    let place = |key: &KeySettings| match key {
        KeySettings::Pkcs11 { module, serial, .. } => Some((module.clone(), serial.clone())),
        KeySettings::Soft { .. } => None,
    };
    match (place(one), place(other)) {
        (Some((module, a)), Some((same, b))) => {
            module == same && (a.is_none() || b.is_none() || a == b)
        }
        _ => false,
    }
}

fn token(section: &Section<'_>) -> Option<TokenSettings> {
    let name = section.text("name");
    if !is_word(&name) {
        section.fault("name", super::people::WORD);
    }
    // All are asked for, so that an unused one is not called unknown.
    let (module, pin_file) = (section.path("module"), section.path("pin_file"));
    let (p12, password_file) = (section.path("p12"), section.path("password_file"));
    let serial = section.optional("serial");
    let (session, deadlines) = (session(section, pin_file.is_some()), deadlines(section));
    let module_sha256 = section.optional("module_sha256").and_then(|text| {
        let sha256 = hex::decode(&text).and_then(|bytes| bytes.try_into().ok());
        if sha256.is_none() {
            section.fault("module_sha256", "is not 64 hexadecimal digits");
        }
        sha256
    });
    let kind = section.text("kind");
    let required = |key: &str, value: Option<PathBuf>| {
        if value.is_none() {
            section.fault(key, format!("is needed when the kind is \"{kind}\""));
        }
        value
    };
    let key = match kind.as_str() {
        "soft" => {
            let (p12, password_file) = (
                required("p12", p12),
                required("password_file", password_file),
            );
            KeySettings::Soft {
                p12: p12?,
                password_file: password_file?,
            }
        }
        "pkcs11" => KeySettings::Pkcs11 {
            module: required("module", module)?,
            serial,
            pin_file,
            session,
            module_sha256,
            deadlines,
        },
        other => {
            section.fault("kind", format!("is \"{other}\"; must be pkcs11 or soft"));
            return None;
        }
    };
    Some(TokenSettings { name, key })
}

/// How far one PIN entry goes; 0 is no end.
fn session(section: &Section<'_>, pin_file: bool) -> SessionLimits {
    let number = |key: &str, most: i64| {
        let number = section.some_whole(key, 0..=most).unwrap_or(0);
        let number = u32::try_from(number).ok().and_then(NonZeroU32::new);
        if number.is_some() && pin_file {
            section.fault(key, "has no use with a pin_file, which would begin anew");
        }
        number
    };
    let minutes = number("session_minutes", SESSION_MINUTES_MAX);
    SessionLimits {
        signatures: number("session_signatures", SESSION_SIGNATURES_MAX),
        time: minutes.map(|minutes| Duration::from_secs(60 * u64::from(minutes.get()))),
    }
}

fn deadlines(section: &Section<'_>) -> Deadlines {
    let defaults = Deadlines::default();
    let seconds = |key: &str, most: i64, default: Duration| {
        let seconds = section.some_whole(key, 1..=most);
        let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
        seconds.map_or(default, Duration::from_secs)
    };
    Deadlines {
        init: seconds("init_seconds", 120, defaults.init),
        login: seconds("login_seconds", 45, defaults.login),
        sign: seconds("sign_seconds", 120, defaults.sign),
        ..defaults
    }
}
