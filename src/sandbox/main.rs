//! `sceau-sandbox`: a stand-in for the insurer and the trust services, for
//! demonstrations and tests. It keeps its own certification authority, checks
//! what it receives with code of its own, and fails on demand. It must never be
//! mistaken for the real services: see `docs/sandbox.md`.

mod anomaly;
mod answer;
mod cert;
mod cms;
mod conditions;
mod control;
mod crl;
mod der;
mod dialogue;
mod dom;
mod engine;
mod environment;
mod exchange;
mod identity;
mod ledger;
mod ocsp;
mod oids;
mod pades_check;
mod pki;
mod registry;
mod reply;
mod scenario;
mod server;
mod services;
mod soap;
mod sts;
mod trust_services;
mod tsa;
mod wss;
mod xades_check;
mod xmldsig;

use crate::conditions::Conditions;
use crate::environment::Ports;
use crate::ledger::Ledger;
use crate::pki::{KeySpec, Order, Pki, Role, Validity};
use crate::registry::Registry;
use crate::reply::{Reply, Request};
use crate::scenario::{Point, Scenarios};
use crate::server::Listener;
use aws_lc_rs::hmac;
use clap::Parser;
use sceau::base::{Clock, SystemClock, causes, file, random};
use sceau::forms::{Pack, Packs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;

/// How often packs are looked at again and documents advance.
const TICK: Duration = Duration::from_secs(1);

/// A simulated insurer with its trust services. For tests only.
#[derive(Debug, Parser)]
#[command(name = "sceau-sandbox", version)]
struct Arguments {
    /// Folder of all state; made when missing.
    #[arg(long)]
    dir: PathBuf,
    /// Port of the trust services and of /control (0: remembered or free).
    #[arg(long, default_value_t = 0)]
    port_http: u16,
    /// Port of the dialogue over TLS (0: remembered or free).
    #[arg(long, default_value_t = 0)]
    port_tls: u16,
    /// Folder of form packs (`<form>/<version>/pack.toml`) taken beside the
    /// built-in ones and looked at again every second; may be given again.
    #[arg(long)]
    packs: Vec<PathBuf>,
}

/// Everything handlers share.
pub struct Sandbox {
    /// Keys and certificates.
    pub pki: Pki,
    /// Issued and revoked certificates.
    pub registry: Registry,
    /// Faults that wait.
    pub scenarios: Scenarios,
    /// What stands until somebody changes it.
    pub conditions: Conditions,
    /// Received documents.
    pub ledger: Ledger,
    packs: Vec<Packs>,
    /// Authenticates the tokens it issues.
    pub token_key: hmac::Key,
    /// Told to stop.
    pub stop: tokio::sync::Notify,
    ports: Ports,
}

impl Sandbox {
    /// The present time.
    pub fn now(&self) -> OffsetDateTime {
        SystemClock.now()
    }

    /// The forms the sandbox takes now, of every folder.
    pub fn packs(&self) -> Vec<Arc<Pack>> {
        self.packs.iter().flat_map(Packs::offered).collect()
    }

    /// Whether a practitioner's account is blocked.
    pub fn is_blocked(&self, code_prestataire: &str) -> bool {
        let for_now = self
            .scenarios
            .strike_for(Point::Account, Some(code_prestataire));
        self.conditions.blocked.has(code_prestataire) || for_now.is_some()
    }

    /// Whether a patient has agreed to digital documents.
    pub fn has_consent(&self, matricule: Option<&str>) -> bool {
        let missing = self.scenarios.strike_for(Point::Consent, matricule);
        let withheld = matricule.is_some_and(|m| self.conditions.withheld.has(m));
        missing.is_none() && !withheld
    }

    /// What happens as time goes by.
    fn tick(&self) {
        for packs in &self.packs {
            if packs.refresh() {
                tell(packs);
            }
        }
        if let Some(rest) = self.scenarios.pace()
            && let Err(fault) = self.ledger.advance_rested(rest, self.now())
        {
            eprintln!("sceau-sandbox: {}", causes(&fault));
        }
    }

    /// Address of the dialogue.
    pub fn tls_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports.tls)
    }

    /// Whether a `Host` header names the plain-HTTP port.
    pub fn is_host(&self, host: &str) -> bool {
        let port = self.ports.http;
        host == format!("127.0.0.1:{port}") || host == format!("localhost:{port}")
    }
}

/// A `serialNumber` for the subject of a test identity.
pub fn random_subject_serial() -> String {
    let number = u64::from_be_bytes(random::bytes::<8>()) % 100_000_000_000;
    format!("TEST{number:011}")
}

fn main() -> ExitCode {
    match start(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("sceau-sandbox: {}", causes(&*fault));
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    file::create_private_dir(&arguments.dir)?;
    let dir = arguments.dir.canonicalize()?;
    let asked = Ports {
        http: arguments.port_http,
        tls: arguments.port_tls,
    };
    // Bound first: the certificates name the port.
    let (ports, sockets) = environment::bind(&dir, asked)?;
    let base_url = format!("http://127.0.0.1:{}", ports.http);
    let registry = Registry::open(&dir.join("certificates.json"))?;
    let pki = Pki::open(&dir.join("pki"), &base_url, SystemClock.now(), &registry)?;
    let tokens = make_identities(&pki, &registry)?;
    environment::write(&dir, ports, &tokens)?;
    let tls = server::tls(&pki)?;
    let sandbox = Arc::new(Sandbox {
        pki,
        registry,
        scenarios: Scenarios::default(),
        conditions: Conditions::default(),
        ledger: Ledger::open(&dir.join("received"))?,
        packs: packs(&arguments.packs),
        token_key: token_key(&dir.join("token.key"))?,
        stop: tokio::sync::Notify::new(),
        ports,
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let ready = serde_json::json!({
        "ready": true,
        "http": base_url,
        "tls": sandbox.tls_url(),
        "environment": dir.join("environment.toml"),
    });
    let result = runtime.block_on(async {
        let http = Listener {
            socket: tokio::net::TcpListener::from_std(sockets.http)?,
            tls: None,
            handler: plain,
        };
        let dialogue = Listener {
            socket: tokio::net::TcpListener::from_std(sockets.tls)?,
            tls: Some(tls),
            handler: dialogue::handle,
        };
        println!("{ready}");
        serve(sandbox, http, dialogue).await
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    Ok(result?)
}

/// The built-in packs, and those of every folder.
fn packs(folders: &[PathBuf]) -> Vec<Packs> {
    let opened: Vec<Packs> = match folders {
        [] => vec![Packs::open(None, None)],
        some => some.iter().map(|f| Packs::open(Some(f), None)).collect(),
    };
    opened.iter().for_each(tell);
    opened
}

/// Says which packs are refused, and why.
fn tell(packs: &Packs) {
    for refused in packs.faults() {
        let (folder, faults) = (refused.folder.display(), refused.faults.join("; "));
        eprintln!("sceau-sandbox: the pack in {folder} is refused: {faults}");
    }
}

/// The key that authenticates tokens, made at the first start.
fn token_key(path: &Path) -> std::io::Result<hmac::Key> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let bytes = random::bytes::<32>().to_vec();
            file::write_atomic(path, &bytes)?;
            bytes
        }
        Err(e) => return Err(e),
    };
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

/// The identities the daemon is configured with; returns those that sign, of
/// the practitioners and then of the delegate.
fn make_identities(
    pki: &Pki,
    registry: &Registry,
) -> Result<Vec<environment::Signing>, pki::PkiError> {
    let transport = Order {
        name: "Cabinet Exemple".to_owned(),
        subject_serial: Some(environment::PRACTITIONERS[0].1.to_owned()),
        role: Role::Authenticate,
        key: KeySpec::Rsa2048,
        validity: Validity::Valid,
    };
    registry.issued(&pki.identity("transport", &transport)?.cert)?;
    let (_, delegate) = environment::DELEGATE;
    let people = environment::PRACTITIONERS.map(|(_, _, name)| name);
    let signing = people.into_iter().chain([delegate]);
    // Only one has an RSA key: they take long to make.
    let stems = ["signer", "signer-2", "signer-3", "delegate"];
    let keys = [
        KeySpec::Rsa3072,
        KeySpec::P256,
        KeySpec::P256,
        KeySpec::P384,
    ];
    let mut out = Vec::new();
    for ((name, stem), key) in signing.zip(stems).zip(keys) {
        let order = Order {
            name: name.to_owned(),
            subject_serial: Some(random_subject_serial()),
            role: Role::Sign,
            key,
            validity: Validity::Valid,
        };
        let cert = pki.identity(stem, &order)?.cert;
        registry.issued(&cert)?;
        out.push((stem.to_owned(), cert.sha256()));
    }
    Ok(out)
}

/// Serves until told to stop.
async fn serve(sandbox: Arc<Sandbox>, http: Listener, dialogue: Listener) -> std::io::Result<()> {
    let interrupted = async {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let mut term = signal(SignalKind::terminate())?;
            tokio::select! {
                _ = term.recv() => Ok(()),
                end = tokio::signal::ctrl_c() => end,
            }
        }
        #[cfg(not(unix))]
        tokio::signal::ctrl_c().await
    };
    let ticking = sandbox.clone();
    let tick = async move {
        loop {
            tokio::time::sleep(TICK).await;
            let sandbox = ticking.clone();
            // A panic inside is told on standard error; time goes on.
            let _ = tokio::task::spawn_blocking(move || sandbox.tick()).await;
        }
    };
    tokio::select! {
        end = interrupted => end,
        () = tick => Ok(()),
        () = server::run(sandbox.clone(), http) => Ok(()),
        () = server::run(sandbox.clone(), dialogue) => Ok(()),
        () = async {
            sandbox.stop.notified().await;
            // The answer to /control/shutdown is still on its way.
            tokio::time::sleep(Duration::from_millis(100)).await;
        } => Ok(()),
    }
}

/// Routes of the plain-HTTP port.
fn plain(sandbox: &Sandbox, request: &Request) -> Reply {
    if request.path.starts_with("/control/") {
        return control::handle(sandbox, request);
    }
    trust_services::handle(sandbox, request).unwrap_or_else(|| Reply::error(404, "no such path"))
}
