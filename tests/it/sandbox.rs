//! The sandbox from outside, judged by foreign tools: OpenSSL for its trust
//! services, xmlsec1 and curl as the client of its dialogue. Nothing of the
//! daemon takes part.

mod client;
mod dialogue;
mod gateway;
mod live;
mod scenarios;
mod services;
mod trust_services;

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A running sandbox; killed when dropped.
pub struct Sandbox {
    child: Child,
    /// Its folder.
    pub dir: PathBuf,
    /// Address of the trust services.
    pub http: String,
    /// Address of the dialogue.
    pub tls: String,
}

impl Sandbox {
    /// Starts a sandbox on `dir` and waits until it is ready.
    pub fn start(dir: &Path) -> Self {
        Self::launch(dir, &[], &[])
    }

    /// The same with environment variables.
    pub fn start_with(dir: &Path, environment: &[(OsString, OsString)]) -> Self {
        Self::launch(dir, &[], environment)
    }

    /// The same with a folder of form packs.
    pub fn start_with_packs(dir: &Path, packs: &Path) -> Self {
        Self::launch(dir, &["--packs".into(), packs.into()], &[])
    }

    fn launch(dir: &Path, arguments: &[OsString], environment: &[(OsString, OsString)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sceau-sandbox"))
            .arg("--dir")
            .arg(dir)
            .args(arguments)
            .envs(environment.iter().map(|(k, v)| (k, v)))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(ready["ready"], true);
        let text = |name: &str| ready[name].as_str().unwrap().to_owned();
        Self {
            child,
            dir: dir.to_owned(),
            http: text("http"),
            tls: text("tls"),
        }
    }

    /// A file in the PKI folder.
    pub fn pki(&self, name: &str) -> String {
        let path = self.dir.join("pki").join(name);
        path.to_str().unwrap().to_owned()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Posts JSON to `/control` and returns the answer.
    pub fn control(&self, path: &str, body: &str) -> serde_json::Value {
        let url = format!("{}/control/{path}", self.http);
        let out = ok(run("curl", &["-sS", "--fail-with-body", "-d", body, &url]));
        serde_json::from_slice(&out).unwrap()
    }

    /// Forgets all scenarios.
    pub fn calm(&self) {
        let url = format!("{}/control/scenario", self.http);
        ok(run("curl", &["-sS", "--fail", "-X", "DELETE", &url]));
    }

    /// Plays a built-in scenario.
    pub fn play(&self, name: &str) {
        self.control(&format!("scenarios/{name}"), "");
    }

    /// What `/control` answers to a GET.
    pub fn shown(&self, path: &str) -> serde_json::Value {
        let url = format!("{}/control/{path}", self.http);
        let out = ok(run("curl", &["-sS", "--fail", &url]));
        serde_json::from_slice(&out).unwrap()
    }

    /// What the sandbox has received.
    pub fn documents(&self) -> Vec<serde_json::Value> {
        let shown = self.shown("documents");
        shown.as_array().unwrap().clone()
    }

    /// The bytes of a document as they were received.
    pub fn document(&self, uuid: &str) -> String {
        let url = format!("{}/control/documents/{uuid}/xml", self.http);
        String::from_utf8(ok(run("curl", &["-sS", "--fail", &url]))).unwrap()
    }

    /// Sets a scenario.
    pub fn scenario(&self, point: &str, action: &str, code: Option<&str>) {
        let rule = serde_json::json!({ "point": point, "action": action, "code": code });
        self.control("scenario", &rule.to_string());
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end.
pub fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output();
    output.unwrap_or_else(|e| panic!("{program}: {e}"))
}

/// The standard output of a program that must have succeeded.
#[track_caller]
pub fn ok(output: Output) -> Vec<u8> {
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Standard output and error as text, whatever the outcome.
pub fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}
