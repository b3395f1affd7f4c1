//! From files to each module's own settings. Defaults stand in
//! `service-config/default.toml` and nowhere else; files lie over them in the
//! order given. Every fault is reported at once. No behaviour here.

mod reader;
#[cfg(test)]
mod tests;

pub use reader::Fault;

use crate::base::{Secret, hex, limits, paths};
use crate::gateway::mysecu;
use crate::gateway::mysecu::transport::Transport;
use crate::http;
use crate::intake;
use crate::sign::Practitioner;
use crate::store;
use crate::trust::{self, AlgorithmPolicy, TsaEvidence, TsaSettings};
use crate::x509::ocsp::CertIdDigest;
use crate::x509::{Cert, RsaScheme};
use reader::{Faults, Section};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::{Table, Value};

/// The documented defaults, as shipped.
pub const DEFAULT: &str = include_str!("../../service-config/default.toml");

/// Keys that hold paths, made absolute against the file they stand in.
const PATH_KEYS: [&str; 15] = [
    "store.folder",
    "store.key_file",
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
    /// State folder and sealing key.
    pub store: store::Settings,
    /// Folder with more form packs.
    pub forms_folder: Option<PathBuf>,
    /// The drop folder, if there is one.
    #[cfg(unix)]
    pub inbox: Option<crate::inbox::Settings>,
    /// Name of the environment.
    pub environment: String,
    /// Where the signing key is.
    pub token: TokenSettings,
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
    /// Who signs.
    pub practitioners: Vec<Practitioner>,
    /// What is logged.
    pub log: LogSettings,
}

/// Where the signing key is.
#[derive(Debug)]
pub enum TokenSettings {
    /// Nowhere: documents are accepted and wait.
    None,
    /// A PKCS#11 module.
    Pkcs11 {
        /// The vendor's library.
        module: PathBuf,
        /// Serial number of the token, if the module shows several.
        serial: Option<String>,
        /// File with the PIN, for an HSM.
        pin_file: Option<PathBuf>,
    },
    /// A PKCS#12 file.
    Soft {
        /// The file.
        p12: PathBuf,
        /// The file with its password.
        password_file: PathBuf,
    },
}

/// Queue and workers.
#[derive(Debug)]
pub struct OutboxSettings {
    /// How long a claim lasts.
    pub lease: Duration,
    /// Threads that sign.
    pub intake_workers: usize,
    /// Threads that send.
    pub delivery_workers: usize,
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
    let mut table = parse(DEFAULT, "the defaults", &faults);
    for file in files {
        let name = file.display().to_string();
        match std::fs::read_to_string(file) {
            Ok(text) => {
                let mut layer = parse(&text, &name, &faults);
                let folder = std::path::absolute(file).ok();
                absolute(&mut layer, folder.as_deref().and_then(Path::parent));
                merge(&mut table, layer);
            }
            Err(error) => faults.note(name, format!("cannot be read: {error}")),
        }
    }
    let root = Section::new("", &table, &faults);
    let configuration = read(&root);
    drop(root);
    let faults = faults.into_list();
    if faults.is_empty() {
        Ok(configuration)
    } else {
        Err(ConfigError(faults))
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
        {
            *text = folder.join(&*text).to_string_lossy().into_owned();
        }
    };
    for path in PATH_KEYS {
        let Some((table, key)) = path.split_once('.') else {
            continue;
        };
        match layer.get_mut(table).and_then(|table| table.get_mut(key)) {
            Some(Value::Array(list)) => list.iter_mut().for_each(resolve),
            Some(value) => resolve(value),
            None => {}
        }
    }
}

fn read(root: &Section<'_>) -> Configuration {
    let outbox = root.section("outbox");
    let log = root.section("log");
    let token_section = root.section("token");
    let store = store_settings(&root.section("store"));
    Configuration {
        listen: listen(&root.section("api")),
        forms_folder: root.section("forms").path("folder"),
        #[cfg(unix)]
        inbox: inbox_settings(&root.section("inbox")),
        environment: root.section("environment").text("name"),
        token: token(&token_section),
        rsa_scheme: match token_section.word("rsa_scheme", &["pkcs1-v1_5", "pss"]) {
            "pss" => RsaScheme::Pss,
            _ => RsaScheme::Pkcs1V15,
        },
        trust: trust_settings(&root.section("trust"), &store.folder),
        pdfs: pdf_settings(&root.section("pdf"), &store.folder),
        store,
        mysecu: mysecu_settings(&root.section("mysecu")),
        practitioners: practitioners(root),
        outbox: OutboxSettings {
            lease: Duration::from_secs(outbox.number("lease_seconds", 10..=86_400)),
            intake_workers: outbox.number("intake_workers", 1..=64) as usize,
            delivery_workers: outbox.number("delivery_workers", 1..=64) as usize,
        },
        log: LogSettings {
            level: log_level(&log),
            json: log.word("format", &["text", "json"]) == "json",
        },
    }
}

fn practitioners(root: &Section<'_>) -> Vec<Practitioner> {
    let mut all: Vec<Practitioner> = Vec::new();
    for section in root.tables("practitioner") {
        let Some(one) = practitioner(&section) else {
            continue;
        };
        let taken = |other: &Practitioner| other.code_prestataire == one.code_prestataire;
        if all.iter().any(taken) {
            let reason = format!("{} is configured twice", one.code_prestataire);
            section.fault("code_prestataire", reason);
        }
        all.push(one);
    }
    all
}

#[cfg(unix)]
fn inbox_settings(section: &Section<'_>) -> Option<crate::inbox::Settings> {
    let settle = Duration::from_secs(section.number("settle_seconds", 0..=3600));
    let practitioners = section.texts("practitioners");
    for code in &practitioners {
        if code.parse::<crate::forms::CodePrestataire>().is_err() {
            section.fault("practitioners", format!("\"{code}\" is not eight digits"));
        }
    }
    Some(crate::inbox::Settings {
        folder: section.path("folder")?,
        settle,
        may: (!practitioners.is_empty()).then_some(practitioners),
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

fn token(section: &Section<'_>) -> TokenSettings {
    let kind = section.word("kind", &["none", "pkcs11", "soft"]);
    let required = |key: &str, value: Option<PathBuf>| {
        value.unwrap_or_else(|| {
            section.fault(key, format!("is needed when token.kind is \"{kind}\""));
            PathBuf::new()
        })
    };
    // All are asked for, so that an unused one is not called unknown.
    let (module, pin_file) = (section.path("module"), section.path("pin_file"));
    let (p12, password_file) = (section.path("p12"), section.path("password_file"));
    let serial = section.optional("token_serial");
    match kind {
        "pkcs11" => TokenSettings::Pkcs11 {
            module: required("module", module),
            serial,
            pin_file,
        },
        "soft" => TokenSettings::Soft {
            p12: required("p12", p12),
            password_file: required("password_file", password_file),
        },
        _ => TokenSettings::None,
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
    const URLS: [&str; 3] = ["identity_url", "token_url", "exchange_url"];
    let connect_timeout = Duration::from_secs(section.number("connect_timeout_seconds", 1..=600));
    let timeout = Duration::from_secs(section.number("timeout_seconds", 1..=600));
    let assertion_consumer = section.optional("assertion_consumer");
    let files =
        ["tls_anchor", "answer_anchor", "transport"].map(|key| (key, section.optional(key)));
    let password_file = section.path("transport_password_file");
    let urls = URLS.map(|key| (key, section.optional(key)));
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

fn practitioner(section: &Section<'_>) -> Option<Practitioner> {
    let code = section.text("code_prestataire");
    let code_prestataire = code
        .parse()
        .map_err(|_| {
            section.fault(
                "code_prestataire",
                format!("\"{code}\" is not eight digits"),
            )
        })
        .ok();
    let ehealth_id = section.text("ehealth_id");
    if ehealth_id.len() != 10 || !ehealth_id.bytes().all(|b| b.is_ascii_digit()) {
        section.fault("ehealth_id", format!("\"{ehealth_id}\" is not ten digits"));
    }
    let certificate = section.optional("certificate_sha256").and_then(|text| {
        let bytes = hex::decode(&text).and_then(|bytes| bytes.try_into().ok());
        if bytes.is_none() {
            section.fault("certificate_sha256", "is not 64 hexadecimal digits");
        }
        bytes
    });
    Some(Practitioner {
        name: section.text("name"),
        code_prestataire: code_prestataire?,
        ehealth_id,
        certificate,
    })
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
