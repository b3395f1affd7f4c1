//! Practitioners and their delegates.

use crate::base::hex;
use crate::base::settings::Section;
use crate::forms::CodePrestataire;
use crate::sign::{Delegate, People, Practitioner};

pub(super) fn people(root: &Section<'_>, tokens: usize) -> People {
    let mut practitioners: Vec<Practitioner> = Vec::new();
    for section in root.tables("practitioner") {
        let Some(one) = practitioner(&section) else {
            continue;
        };
        let taken = |other: &Practitioner| other.code_prestataire == one.code_prestataire;
        if practitioners.iter().any(taken) {
            let reason = format!("{} is configured twice", one.code_prestataire);
            section.fault("code_prestataire", reason);
        }
        practitioners.push(one);
    }
    let mut delegates: Vec<Delegate> = Vec::new();
    for section in root.tables("delegate") {
        let Some(one) = delegate(&section, &practitioners) else {
            continue;
        };
        if delegates.iter().any(|other| other.id == one.id) {
            section.fault("id", format!("\"{}\" is configured twice", one.id));
        }
        delegates.push(one);
    }
    if let ([only], true, true) = (practitioners.as_slice(), delegates.is_empty(), tokens > 1)
        && only.certificate.is_none()
    {
        // Whichever token is plugged in would sign.
        let reason = "needs certificate_sha256 when there are several tokens";
        root.fault("practitioner", reason);
    }
    People::new(practitioners, delegates)
}

fn practitioner(section: &Section<'_>) -> Option<Practitioner> {
    let code_prestataire = code(
        section,
        "code_prestataire",
        &section.text("code_prestataire"),
    );
    let ehealth_id = section.text("ehealth_id");
    if ehealth_id.len() != 10 || !ehealth_id.bytes().all(|b| b.is_ascii_digit()) {
        section.fault("ehealth_id", format!("\"{ehealth_id}\" is not ten digits"));
    }
    Some(Practitioner {
        name: section.text("name"),
        certificate: section
            .optional("certificate_sha256")
            .and_then(|text| fingerprint(section, &text)),
        code_prestataire: code_prestataire?,
        ehealth_id,
    })
}

fn delegate(section: &Section<'_>, practitioners: &[Practitioner]) -> Option<Delegate> {
    let id = section.text("id");
    if !is_word(&id) {
        section.fault("id", WORD);
    }
    let certificate = fingerprint(section, &section.text("certificate_sha256"));
    let own = |p: &Practitioner| certificate.is_some() && p.certificate == certificate;
    if let Some(practitioner) = practitioners.iter().find(|p| own(p)) {
        let code = &practitioner.code_prestataire;
        let reason = format!("is {code}'s: a delegate signs with a key of their own (DSR 3.4.1)");
        section.fault("certificate_sha256", reason);
    }
    let texts = section.texts("acts_for");
    let codes = texts
        .iter()
        .filter_map(|text| code(section, "acts_for", text));
    let acts_for: Vec<CodePrestataire> = codes.collect();
    let known = |code: &CodePrestataire| practitioners.iter().any(|p| p.code_prestataire == *code);
    for stranger in acts_for.iter().filter(|code| !known(code)) {
        section.fault(
            "acts_for",
            format!("no practitioner {stranger} is configured"),
        );
    }
    if texts.is_empty() {
        section.fault("acts_for", "names nobody");
    }
    Some(Delegate {
        id,
        name: section.text("name"),
        certificate: certificate?,
        acts_for,
    })
}

/// What [`is_word`] asks for.
pub(super) const WORD: &str =
    "must be a word of small letters, digits and hyphens that begins with a letter";

/// Whether a text can name something in files, commands and records.
pub(super) fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.len() <= 64
        && text
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

fn code(section: &Section<'_>, key: &str, text: &str) -> Option<CodePrestataire> {
    let parsed = text.parse();
    parsed
        .map_err(|_| section.fault(key, format!("\"{text}\" is not eight digits")))
        .ok()
}

fn fingerprint(section: &Section<'_>, text: &str) -> Option<[u8; 32]> {
    let bytes = hex::decode(text).and_then(|bytes| bytes.try_into().ok());
    if bytes.is_none() {
        section.fault("certificate_sha256", "is not 64 hexadecimal digits");
    }
    bytes
}
