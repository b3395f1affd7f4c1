//! From files to each module's own settings. Defaults stand in
//! `service-config/default.toml` and nowhere else; files lie over them in the
//! order given. Every fault is reported at once. No behaviour here.

mod environment;
mod installation;
mod people;
#[cfg(test)]
mod tests;
mod token;

pub use crate::base::settings::Fault;
pub use environment::{Profile, import, profiles};
pub use installation::Installation;
pub use token::{KeySettings, TokenSettings};

use crate::api;
use crate::audit;
use crate::base::settings::{Faults, Section};
use crate::base::{Secret, limits, paths};
use crate::forms::Environment;
use crate::gateway::mysecu;
use crate::gateway::mysecu::transport::Transport;
use crate::http;
use crate::intake;
use crate::sign::People;
use crate::store;
use crate::trust::{self, AlgorithmPolicy, TsaEvidence, TsaSettings};
use crate::x509::ocsp::CertIdDigest;
use crate::x509::{Cert, RsaScheme};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::{Table, Value};

/// The documented defaults, as shipped.
pub const DEFAULT: &str = include_str!("../../service-config/default.toml");

/// Keys that hold paths, made absolute against the file they stand in.
const PATH_KEYS: [&str; 16] = [
    "store.folder",
    "store.key_file",
    "store.backup_folder",
    "forms.folder",
    "inbox.folder",
    "token.module",
    "token.pin_file",
    "token.p12",
    "token.password_file",
    "trust.anchors",
    "trust.tls_anchors",
    "trust.algorithms",
    "mysecu.tls_anchor",
    "mysecu.answer_anchor",
    "mysecu.transport",
    "mysecu.transport_password_file",
];

/// The whole configuration.
#[derive(Debug)]
pub struct Configuration {
    /// Address of the local API.
    pub listen: SocketAddr,
    /// What one program may ask of it.
    pub rate: api::Rate,
    /// State folder and sealing key.
    pub store: store::Settings,
    /// Room kept on its disk.
    pub room: store::Room,
    /// Checkpoints of the audit log.
    pub audit: audit::Settings,
    /// Folder with more form packs.
    pub forms_folder: Option<PathBuf>,
    /// The drop folder, if there is one.
    #[cfg(unix)]
    pub inbox: Option<crate::inbox::Settings>,
    /// What is done for the store in the long run.
    pub upkeep: UpkeepSettings,
    /// Where documents go.
    pub environment: Environment,
    /// What reports say of this installation.
    pub installation: Installation,
    /// Where the signing keys are.
    pub tokens: Vec<TokenSettings>,
    /// How RSA keys sign.
    pub rsa_scheme: RsaScheme,
    /// Trust services.
    pub trust: trust::Settings,
    /// What is asked of PDFs.
    pub pdfs: intake::PdfSettings,
    /// The insurer's services; `None` leaves documents queued.
    pub mysecu: Option<mysecu::Settings>,
    /// Queue and workers.
    pub outbox: OutboxSettings,
    /// Who signs, and in whose name.
    pub people: People,
    /// What is logged.
    pub log: LogSettings,
}

/// Queue and workers.
#[derive(Debug)]
pub struct OutboxSettings {
    /// How long a claim lasts.
    pub lease: Duration,
    /// Most documents that are not final.
    pub open_max: usize,
    /// How long a signed document may wait for its timestamp before it is told.
    pub stamp_within: Option<Duration>,
    /// Threads that sign.
    pub intake_workers: usize,
    /// Threads that send.
    pub delivery_workers: usize,
}

/// What is done for the store in the long run.
#[derive(Debug)]
pub struct UpkeepSettings {
    /// How long documents are kept after the insurer's verdict; `None`: for good.
    pub documents_kept: Option<Duration>,
    /// Folder of the daily backups.
    pub backup_folder: PathBuf,
    /// How many of them are kept; 0: none is made.
    pub backups_kept: usize,
}

/// What is logged.
#[derive(Debug)]
pub struct LogSettings {
    /// A tracing filter.
    pub level: String,
    /// Machine-readable lines.
    pub json: bool,
}

/// All faults of a configuration.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has {} fault(s)", .0.len())]
pub struct ConfigError(pub Vec<Fault>);

/// Reads `files` over the defaults.
///
/// # Errors
/// [`ConfigError`] with every fault found.
pub fn load(files: &[PathBuf]) -> Result<Configuration, ConfigError> {
    let faults = Faults::default();
    let over = layers(files, &faults);
    let folder = state_folder(&over);
    let mut table = parse(DEFAULT, "the defaults", &faults);
    if let Some(profile) = environment::used(&over, &folder, &faults) {
        merge(&mut table, profile);
    }
    merge(&mut table, over);
    let configuration = read(&table, &faults);
    environment::compare(&configuration.environment, &table, &folder, &faults);
    none(faults)?;
    Ok(configuration)
}

/// Files over each other, later ones over earlier ones.
fn layers(files: &[PathBuf], faults: &Faults) -> Table {
    let mut table = Table::new();
    for file in files {
        merge(&mut table, layer(file, faults));
    }
    table
}

/// A file with its paths absolute; empty when it cannot be read.
fn layer(file: &Path, faults: &Faults) -> Table {
    let name = file.display().to_string();
    match std::fs::read_to_string(file) {
        Ok(text) => {
            let mut layer = parse(&text, &name, faults);
            let folder = std::path::absolute(file).ok();
            absolute(&mut layer, folder.as_deref().and_then(Path::parent));
            layer
        }
        Err(error) => {
            faults.note(name, format!("cannot be read: {error}"));
            Table::new()
        }
    }
}

/// The state folder files name, before anything else of them is known.
fn state_folder(layers: &Table) -> PathBuf {
    let named = layers.get("store").and_then(|store| store.get("folder"));
    let named = named
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty());
    named.map_or_else(paths::data_default, PathBuf::from)
}

fn none(faults: Faults) -> Result<(), ConfigError> {
    match faults.into_list() {
        list if list.is_empty() => Ok(()),
        list => Err(ConfigError(list)),
    }
}

fn parse(text: &str, name: &str, faults: &Faults) -> Table {
    toml::from_str(text).unwrap_or_else(|error| {
        faults.note(name, format!("is not TOML: {}", error.message()));
        Table::new()
    })
}

fn merge(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => merge(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

fn absolute(layer: &mut Table, folder: Option<&Path>) {
    let Some(folder) = folder else { return };
    let resolve = |value: &mut Value| {
        if let Value::String(text) = value
            && !text.is_empty()
            && !is_pem(text)
        {
            *text = folder.join(&*text).to_string_lossy().into_owned();
        }
    };
    for path in PATH_KEYS {
        let Some((table, key)) = path.split_once('.') else {
            continue;
        };
        let tables = match layer.get_mut(table) {
            Some(Value::Array(list)) => list.as_mut_slice(),
            Some(one) => std::slice::from_mut(one),
            None => continue,
        };
        for value in tables.iter_mut().filter_map(|table| table.get_mut(key)) {
            match value {
                Value::Array(list) => list.iter_mut().for_each(resolve),
                value => resolve(value),
            }
        }
    }
}

/// Whether a value is a certificate itself instead of its file.
fn is_pem(text: &str) -> bool {
    text.trim_start().starts_with("-----BEGIN ")
}

fn read(table: &Table, faults: &Faults) -> Configuration {
    let root = &Section::new("", table, faults);
    let api = root.section("api");
    let outbox = root.section("outbox");
    let log = root.section("log");
    let store_section = root.section("store");
    let store = store_settings(&store_section);
    let days = store_section.number("keep_documents_days", 0..=36_500);
    let upkeep = UpkeepSettings {
        documents_kept: (days > 0).then(|| Duration::from_secs(days * 86_400)),
        backup_folder: store_section
            .path("backup_folder")
            .unwrap_or_else(|| store.folder.join("backups")),
        backups_kept: store_section.number("backups_kept", 0..=1000) as usize,
    };
    let room = store::Room {
        reserve_mebibytes: store_section.number("reserve_mebibytes", 0..=1_048_576),
        free_mebibytes_min: store_section.number("free_mebibytes", 0..=1_048_576),
    };
    let tokens = token::tokens(root);
    Configuration {
        listen: listen(&api),
        rate: api::Rate {
            per_second: api.number("requests_per_second", 1..=10_000) as f64,
            burst: api.number("requests_at_once", 1..=100_000) as f64,
        },
        forms_folder: root.section("forms").path("folder"),
        #[cfg(unix)]
        inbox: inbox_settings(&root.section("inbox")),
        environment: environment::environment(&root.section("environment"), table),
        installation: installation::installation(&root.section("installation")),
        rsa_scheme: match root
            .section("signature")
            .word("rsa_scheme", &["pkcs1-v1_5", "pss"])
        {
            "pss" => RsaScheme::Pss,
            _ => RsaScheme::Pkcs1V15,
        },
        trust: trust_settings(&root.section("trust"), &store.folder),
        pdfs: pdf_settings(&root.section("pdf"), &store.folder),
        audit: audit_settings(&root.section("audit"), &store.folder),
        store,
        room,
        upkeep,
        mysecu: mysecu_settings(&root.section("mysecu")),
        people: people::people(root, tokens.len()),
        tokens,
        outbox: OutboxSettings {
            lease: Duration::from_secs(outbox.number("lease_seconds", 10..=86_400)),
            open_max: outbox.number("open_documents_max", 1..=10_000_000) as usize,
            stamp_within: match outbox.number("stamp_within_hours", 0..=8760) {
                0 => None,
                hours => Some(Duration::from_secs(hours * 3600)),
            },
            intake_workers: outbox.number("intake_workers", 1..=64) as usize,
            delivery_workers: outbox.number("delivery_workers", 1..=64) as usize,
        },
        log: LogSettings {
            level: log_level(&log),
            json: log.word("format", &["text", "json"]) == "json",
        },
    }
}

#[cfg(unix)]
fn inbox_settings(section: &Section<'_>) -> Option<crate::inbox::Settings> {
    let settle = Duration::from_secs(section.number("settle_seconds", 0..=3600));
    let practitioners = section.texts("practitioners").into_iter();
    let practitioners = practitioners.filter_map(|code| {
        let refuse = |_| section.fault("practitioners", format!("\"{code}\" is not eight digits"));
        code.parse().map_err(refuse).ok()
    });
    let practitioners = practitioners.collect();
    Some(crate::inbox::Settings {
        folder: section.path("folder")?,
        settle,
        practitioners,
    })
}

fn log_level(section: &Section<'_>) -> String {
    let level = section.text("level");
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(&level) {
        section.fault("level", format!("\"{level}\" is no log filter: {error}"));
    }
    level
}

fn listen(section: &Section<'_>) -> SocketAddr {
    let text = section.text("listen");
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => address,
        Ok(_) => {
            section.fault("listen", format!("{text} is not a loopback address"));
            SocketAddr::from(([127, 0, 0, 1], 0))
        }
        Err(_) => {
            section.fault("listen", format!("\"{text}\" is not an address and port"));
            SocketAddr::from(([127, 0, 0, 1], 0))
        }
    }
}

fn store_settings(section: &Section<'_>) -> store::Settings {
    store::Settings {
        folder: section.path("folder").unwrap_or_else(paths::data_default),
        key_file: section.path("key_file"),
    }
}

fn audit_settings(section: &Section<'_>, state: &Path) -> audit::Settings {
    let minutes = section.number("checkpoint_minutes", 0..=limits::CHECKPOINT_MINUTES_MAX);
    audit::Settings {
        checkpoint_every: Duration::from_secs(60 * minutes),
        checkpoint_file: state.join(audit::CHECKPOINT_FILE),
    }
}

fn trust_settings(section: &Section<'_>, state: &Path) -> trust::Settings {
    let timeout = Duration::from_secs(section.number("timeout_seconds", 1..=600));
    let authorities = section.tables("timestamp_authority");
    trust::Settings {
        anchors: certificates(section, "anchors", &section.texts("anchors")),
        timestamp_authorities: authorities.iter().map(timestamp_authority).collect(),
        authority_pause: Duration::from_secs(section.number("authority_pause_seconds", 1..=86_400)),
        authority_slow: Duration::from_secs(section.number("authority_slow_seconds", 1..=600)),
        ocsp_cert_id: match section.word("ocsp_cert_id", &["sha1", "sha256"]) {
            "sha256" => CertIdDigest::Sha256,
            _ => CertIdDigest::Sha1,
        },
        ocsp_nonce: section.word("ocsp_nonce", &["no", "yes"]) == "yes",
        cache_folder: Some(state.join("trust")),
        clock_tolerance: Duration::from_secs(section.number("clock_tolerance_seconds", 1..=86_400)),
        revocation_skew: Duration::from_secs(section.number("revocation_skew_seconds", 0..=86_400)),
        algorithms: algorithms(section),
        http: http::Settings {
            tls_anchors_pem: pem(section, "tls_anchors", &section.texts("tls_anchors")),
            identity_pem: None,
            redirects_max: limits::REDIRECTS_MAX,
            connect_timeout: timeout.min(Duration::from_secs(10)),
            timeout,
        },
    }
}

fn algorithms(section: &Section<'_>) -> AlgorithmPolicy {
    let Some(path) = section.path("algorithms") else {
        return AlgorithmPolicy::built_in();
    };
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"));
    let policy = text.and_then(|text| AlgorithmPolicy::from_toml(&text).map_err(|e| e.to_string()));
    policy.unwrap_or_else(|reason| {
        section.fault("algorithms", reason);
        AlgorithmPolicy::built_in()
    })
}

fn timestamp_authority(section: &Section<'_>) -> TsaSettings {
    TsaSettings {
        name: section.text("name"),
        url: url(section, "url", section.text("url")),
        policy: section.optional("policy"),
        evidence: match section.optional("evidence").as_deref() {
            None | Some("issued-since") => TsaEvidence::IssuedSince,
            Some("current") => TsaEvidence::Current,
            Some(other) => {
                let reason = format!("is \"{other}\"; must be issued-since or current");
                section.fault("evidence", reason);
                TsaEvidence::IssuedSince
            }
        },
    }
}

fn pdf_settings(section: &Section<'_>, state: &Path) -> intake::PdfSettings {
    let hybrid = match section.word("hybrid", &["accept", "refuse"]) {
        "refuse" => intake::Hybrid::Refuse,
        _ => intake::Hybrid::Accept,
    };
    let timeout = section.number("validator_timeout_seconds", 1..=600);
    let mut command = section.texts("validator").into_iter();
    let program = command.next().map(PathBuf::from);
    if program.as_ref().is_some_and(|path| !path.is_absolute()) {
        section.fault(
            "validator",
            "must begin with the absolute path of a program",
        );
    }
    intake::PdfSettings {
        hybrid,
        validator: program.map(|program| intake::Validator {
            program,
            arguments: command.collect(),
            timeout: Duration::from_secs(timeout),
            scratch: state.join("validator"),
        }),
    }
}

fn mysecu_settings(section: &Section<'_>) -> Option<mysecu::Settings> {
    let connect_timeout = Duration::from_secs(section.number("connect_timeout_seconds", 1..=600));
    let timeout = Duration::from_secs(section.number("timeout_seconds", 1..=600));
    let assertion_consumer = section.optional("assertion_consumer");
    let files =
        ["tls_anchor", "answer_anchor", "transport"].map(|key| (key, section.optional(key)));
    let password_file = section.path("transport_password_file");
    let urls = environment::URLS.map(|key| (key, section.optional(key)));
    if urls.iter().all(|(_, url)| url.is_none()) {
        return None;
    }
    let missing = |key: &str| section.fault(key, "is needed to send documents");
    for (key, value) in urls.iter().chain(&files) {
        // Without a TLS anchor of its own, the system's store serves.
        if value.is_none() && *key != "tls_anchor" {
            missing(key);
        }
    }
    if assertion_consumer.is_none() {
        missing("assertion_consumer");
    }
    let [identity_url, token_url, exchange_url] =
        urls.map(|(key, text)| url(section, key, text.unwrap_or_default()));
    let [tls_anchor, answer_anchor, transport] = files.map(|(_, value)| value);
    let transport = transport_identity(section, transport?, password_file)?;
    Some(mysecu::Settings {
        identity_url,
        token_url,
        exchange_url,
        assertion_consumer: assertion_consumer?,
        transport,
        tls_anchors_pem: pem(section, "tls_anchor", tls_anchor.as_slice()),
        answer_anchors: certificates(section, "answer_anchor", answer_anchor.as_slice()),
        connect_timeout,
        timeout,
    })
}

fn transport_identity(
    section: &Section<'_>,
    file: String,
    password_file: Option<PathBuf>,
) -> Option<Transport> {
    let bytes = match std::fs::read(&file) {
        Ok(bytes) => Secret::new(bytes),
        Err(error) => {
            section.fault("transport", format!("{file} cannot be read: {error}"));
            return None;
        }
    };
    let lower = file.to_ascii_lowercase();
    let identity = if lower.ends_with(".p12") || lower.ends_with(".pfx") {
        let Some(password) = password_file
            .as_ref()
            .and_then(|path| Secret::from_file(path).ok())
        else {
            let reason = "must name a readable file when transport is a PKCS#12 file";
            section.fault("transport_password_file", reason);
            return None;
        };
        Transport::from_pkcs12(bytes.expose(), &password)
    } else {
        Transport::from_pem(&bytes)
    };
    identity
        .map_err(|error| section.fault("transport", format!("{file}: {error}")))
        .ok()
}

fn url(section: &Section<'_>, key: &str, text: String) -> String {
    if !text.is_empty() && !text.starts_with("https://") && !text.starts_with("http://") {
        section.fault(key, format!("\"{text}\" is not an http or https address"));
    }
    text
}

fn pem(section: &Section<'_>, key: &str, files: &[String]) -> Vec<u8> {
    let mut all = Vec::new();
    for file in files {
        if is_pem(file) {
            all.extend_from_slice(file.as_bytes());
            all.push(b'\n');
            continue;
        }
        match std::fs::read(file) {
            Ok(bytes) => {
                all.extend_from_slice(&bytes);
                all.push(b'\n');
            }
            Err(error) => section.fault(key, format!("{file} cannot be read: {error}")),
        }
    }
    all
}

fn certificates(section: &Section<'_>, key: &str, files: &[String]) -> Vec<Cert> {
    let text = pem(section, key, files);
    if text.is_empty() {
        return Vec::new();
    }
    Cert::from_pem_many(&text).unwrap_or_else(|error| {
        section.fault(key, format!("holds no readable certificate: {error}"));
        Vec::new()
    })
}
