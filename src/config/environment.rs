//! Environments: where documents go. A profile is an environment as one file,
//! as it is handed out; imported, it is checked whole and kept in the state
//! folder, so that test and production cannot be mixed up (DSR 5.3.3).

use super::people::{WORD, is_word};
use super::{ConfigError, DEFAULT, is_pem, layer, layers, merge, none, parse, read, state_folder};
use crate::base::file;
use crate::base::settings::{Faults, Section};
use crate::forms::{Environment, EnvironmentKind, kept_from_production};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The addresses that make an environment.
pub(super) const URLS: [&str; 3] = ["identity_url", "token_url", "exchange_url"];

/// Tables of a profile. Everything else belongs to a machine.
const TABLES: [&str; 3] = ["environment", "mysecu", "trust"];

/// Certificates that an imported profile holds itself.
const CERTIFICATES: [(&str, &str); 4] = [
    ("trust", "anchors"),
    ("trust", "tls_anchors"),
    ("mysecu", "tls_anchor"),
    ("mysecu", "answer_anchor"),
];

/// An imported environment.
#[derive(Debug)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// What kind it is.
    pub kind: EnvironmentKind,
    table: Table,
}

impl Profile {
    /// Address of the exchange.
    pub fn exchange_url(&self) -> &str {
        let [_, _, exchange] = addresses(&self.table);
        exchange
    }
}

pub(super) fn environment(section: &Section<'_>, table: &Table) -> Environment {
    let (name, word) = (section.text("name"), section.optional("kind"));
    // Loaded before, under the files.
    section.optional("use");
    let kind = word.as_deref().map(|word| {
        let kind = EnvironmentKind::parse(word);
        if kind.is_none() {
            let reason = format!("is \"{word}\"; must be sandbox, test or production");
            section.fault("kind", reason);
        }
        kind.unwrap_or(EnvironmentKind::Sandbox)
    });
    if addresses(table).iter().any(|url| !url.is_empty()) {
        if name.is_empty() {
            section.fault("name", "is needed to send documents");
        }
        if kind.is_none() {
            section.fault("kind", "is needed to send documents");
        }
    }
    // Nothing accepted before a kind is set may reach real patients' records.
    let kind = kind.unwrap_or(EnvironmentKind::Sandbox);
    let models = models(&section.section("models"), kind);
    Environment { name, kind, models }
}

fn models(section: &Section<'_>, kind: EnvironmentKind) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for key in section.names() {
        let words: Vec<&str> = key.split('/').collect();
        let known = matches!(words.as_slice(), [_, _, _] | [_, _, _, "status"]);
        if !known || words.contains(&"") {
            let reason = "must be \"form/version/operation\", or that with \"/status\"";
            section.fault(key, reason);
        }
        let id = section.text(key);
        if id.is_empty() {
            section.fault(key, "is empty");
        }
        if kind == EnvironmentKind::Production
            && let Some(why) = kept_from_production(&id)
        {
            let reason = format!("\"{id}\" is {why}; it must not reach production");
            section.fault(key, reason);
        }
        out.insert(key.to_owned(), id);
    }
    out
}

/// The addresses of a configuration; empty where there is none.
fn addresses(table: &Table) -> [&str; 3] {
    let mysecu = table.get("mysecu");
    URLS.map(|key| {
        let value = mysecu.and_then(|mysecu| mysecu.get(key));
        value.and_then(Value::as_str).unwrap_or_default()
    })
}

/// The profile that files ask for.
pub(super) fn used(layers: &Table, state: &Path, faults: &Faults) -> Option<Table> {
    let name = layers.get("environment")?.get("use")?.as_str()?;
    if name.is_empty() {
        return None;
    }
    let found = kept(state, faults).into_iter().find(|p| p.name == name);
    if found.is_none() {
        let reason = format!("\"{name}\" is not imported; `sceau environment list` tells what is");
        faults.note("environment.use", reason);
    }
    Some(found?.table)
}

/// Refuses addresses that are those of an imported environment of another kind.
pub(super) fn compare(own: &Environment, table: &Table, state: &Path, faults: &Faults) {
    let plain = |url: &str| url.trim_end_matches('/').to_ascii_lowercase();
    let others = kept(state, faults).into_iter();
    for other in others.filter(|other| other.kind != own.kind) {
        let both = addresses(table).into_iter().zip(addresses(&other.table));
        for (key, (url, known)) in URLS.into_iter().zip(both) {
            if !url.is_empty() && plain(url) == plain(known) {
                let (kind, name) = (other.kind, &other.name);
                let reason = format!("is that of the {kind} environment \"{name}\"");
                faults.note(format!("mysecu.{key}"), reason);
            }
        }
    }
}

/// Checks a profile whole and keeps it in the state folder that `files` name;
/// returns its name. Certificates are copied into it, credentials stay where
/// they are.
///
/// # Errors
/// [`ConfigError`] with every fault; nothing is kept then.
pub fn import(files: &[PathBuf], profile: &Path) -> Result<String, ConfigError> {
    let faults = Faults::default();
    let state = state_folder(&layers(files, &faults));
    let mut own = layer(profile, &faults);
    own.retain(|key, _| {
        let known = TABLES.contains(&key);
        if !known {
            faults.note(key, "does not belong into an environment's profile");
        }
        known
    });
    hold_certificates(&mut own);
    let mut table = parse(DEFAULT, "the defaults", &faults);
    merge(&mut table, own.clone());
    let environment = read(&table, &faults).environment;
    let name = environment.name.clone();
    if !is_word(&name) {
        faults.note("environment.name", WORD);
    }
    if own
        .get("environment")
        .is_some_and(|own| own.get("use").is_some())
    {
        faults.note("environment.use", "does not belong into a profile");
    }
    if addresses(&own).iter().all(|url| url.is_empty()) {
        faults.note("mysecu", "has no addresses");
    }
    compare(&environment, &table, &state, &faults);
    let known = kept(&state, &faults).into_iter().find(|p| p.name == name);
    if let Some(known) = known.filter(|known| known.kind != environment.kind) {
        let reason = format!("\"{name}\" is imported as a {} environment", known.kind);
        faults.note("environment.kind", reason);
    }
    none(faults)?;
    keep(&state, &name, &own)?;
    Ok(name)
}

fn keep(state: &Path, name: &str, table: &Table) -> Result<(), ConfigError> {
    let faults = Faults::default();
    let path = folder(state).join(format!("{name}.toml"));
    let written = file::create_private_dir(&folder(state))
        .and_then(|()| file::write_atomic(&path, table.to_string().as_bytes()));
    if let Err(error) = written {
        let reason = format!("cannot be written: {error}");
        faults.note(path.display().to_string(), reason);
    }
    none(faults)
}

/// The imported environments by name, of the state folder that `files` name.
///
/// # Errors
/// [`ConfigError`] when a file cannot be read.
pub fn profiles(files: &[PathBuf]) -> Result<Vec<Profile>, ConfigError> {
    let faults = Faults::default();
    let found = kept(&state_folder(&layers(files, &faults)), &faults);
    none(faults)?;
    Ok(found)
}

fn folder(state: &Path) -> PathBuf {
    state.join("environments")
}

fn kept(state: &Path, faults: &Faults) -> Vec<Profile> {
    // No folder: none was imported.
    let entries = std::fs::read_dir(folder(state)).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "toml"));
    paths.sort();
    let profile = |path: PathBuf| {
        let table = layer(&path, faults);
        let kind = table.get("environment").and_then(|own| own.get("kind"));
        let Some(kind) = kind.and_then(|word| EnvironmentKind::parse(word.as_str()?)) else {
            faults.note(path.display().to_string(), "is damaged; import it again");
            return None;
        };
        let name = path.file_stem()?.to_string_lossy().into_owned();
        Some(Profile { name, kind, table })
    };
    paths.into_iter().filter_map(profile).collect()
}

/// Puts certificates into the place of their files. One that cannot be read is
/// left, for the check to tell.
fn hold_certificates(own: &mut Table) {
    let hold = |value: &mut Value| {
        if let Value::String(text) = value
            && !is_pem(text)
            && let Ok(content) = std::fs::read_to_string(&*text)
        {
            *text = content;
        }
    };
    for (table, key) in CERTIFICATES {
        match own.get_mut(table).and_then(|table| table.get_mut(key)) {
            Some(Value::Array(list)) => list.iter_mut().for_each(hold),
            Some(value) => hold(value),
            None => {}
        }
    }
}
