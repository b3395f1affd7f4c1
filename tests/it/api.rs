//! The local API over real HTTP: who may ask, what may be sent, and the exact
//! problem each refusal gives. `SCEAU_BLESS=1` writes the files on record anew.

mod bodies;
mod commands;
mod configuration;
mod contract;
mod guard;
#[cfg(target_os = "linux")] // uses the files of `hostile`
mod hostile;
mod keys;
mod limits;
mod load;
mod paper;
mod problems;
pub mod raw;
mod signatures;
mod validations;

use crate::daemon::{Daemon, Setup};
use crate::sandbox::Sandbox;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use raw::Answer;
use serde_json::json;
use std::path::{Path, PathBuf};

const DEPOT: &str = "/v1/forms/memoire-honoraires/depot";
const DRY_RUN: &str = "/v1/forms/memoire-honoraires/depot?dry-run=true";

/// A running service with a paired program, spoken to byte by byte.
pub struct Service {
    // Dropped in this order: the service before its sandbox and folder.
    pub daemon: Daemon,
    pub sandbox: Sandbox,
    pub folder: tempfile::TempDir,
    port: u16,
    program: String,
    administrator: String,
}

impl Service {
    pub fn start(setup: &Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::start(&folder.path().join("sandbox"));
        Self::start_in(folder, sandbox, setup)
    }

    pub fn start_in(folder: tempfile::TempDir, sandbox: Sandbox, setup: &Setup) -> Self {
        let daemon = Daemon::start(folder.path(), &sandbox, setup);
        let port = daemon.endpoint().rsplit(':').next().unwrap();
        let port = port.parse().unwrap();
        let program = pair(&daemon, "raw");
        let administrator = std::fs::read_to_string(daemon.state().join("admin.token")).unwrap();
        Self {
            daemon,
            sandbox,
            folder,
            port,
            program,
            administrator,
        }
    }

    /// A request as a well-behaved program sends it.
    #[track_caller]
    pub fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.ask_with(&self.program, method, target, headers, body)
    }

    #[track_caller]
    pub fn ask_with(
        &self,
        token: &str,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let port = self.port;
        let mut head = format!(
            "{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
        );
        if !token.is_empty() {
            head += &format!("Authorization: Bearer {token}\r\n");
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if method == "POST" {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        head += "\r\n";
        raw::send(port, &[head.as_bytes(), body].concat())
    }

    #[track_caller]
    pub fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, &[], b"")
    }

    #[track_caller]
    fn post(&self, target: &str, content_type: &str, body: &[u8]) -> Answer {
        self.ask("POST", target, &[("Content-Type", content_type)], body)
    }

    /// Hands XML and PDF in as JSON.
    #[track_caller]
    fn hand_in(&self, target: &str, xml: &[u8], pdf: Option<&[u8]>) -> Answer {
        let xml = String::from_utf8_lossy(xml);
        let body = json!({ "xml": xml, "pdf": pdf.map(|pdf| STANDARD.encode(pdf)) });
        self.post(target, "application/json", body.to_string().as_bytes())
    }
}

/// Pairs a program; its token.
fn pair(daemon: &Daemon, name: &str) -> String {
    let paired = daemon.command(&["pair", name]);
    assert!(paired.status.success());
    String::from_utf8(paired.stdout).unwrap().trim().to_owned()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn example(kind: &str, name: &str) -> Vec<u8> {
    let folder = root().join("xsd/memoire-honoraires/2/examples");
    std::fs::read(folder.join(kind).join("depot").join(name)).unwrap()
}

/// Compares with a file on record, or writes it when blessing; what differs.
fn differs(path: &Path, found: &[u8]) -> Option<String> {
    if std::env::var_os("SCEAU_BLESS").is_some() {
        std::fs::write(path, found).unwrap();
    }
    let same = std::fs::read(path).is_ok_and(|kept| kept == found);
    let name = path.strip_prefix(root()).unwrap_or(path).display();
    (!same).then(|| format!("{name}:\n{}", String::from_utf8_lossy(found)))
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(files(&path));
        } else {
            out.push(path);
        }
    }
    out.sort();
    out
}
