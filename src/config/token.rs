//! Where the signing keys are.

use super::people::is_word;
use crate::base::settings::Section;
use std::path::PathBuf;

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
        },
        other => {
            section.fault("kind", format!("is \"{other}\"; must be pkcs11 or soft"));
            return None;
        }
    };
    Some(TokenSettings { name, key })
}
