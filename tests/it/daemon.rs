//! A running service against a running sandbox: the one constructor that the
//! end-to-end tests share, and the tests of the whole way.

use crate::sandbox::Sandbox;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sceau::http::{Client, HttpError, Request, Response, Settings};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for a service to start or a submission to move.
const LIMIT: Duration = Duration::from_secs(60);
const EXAMPLES: &str = "xsd/memoire-honoraires/2/examples/valid/depot";
/// Where the tests' services keep their state; they share a disk, so none keeps
/// room on it.
const STATE: &str = "[api]\nlisten = \"127.0.0.1:0\"\n[store]\nfolder = \"state\"\n\
                     reserve_mebibytes = 0\nfree_mebibytes = 0\n";
const PDFS: &str = "tests/fixtures/pdf";

/// What differs between the services of the tests.
#[derive(Default)]
pub struct Setup {
    /// Configuration over the sandbox's environment; the sandbox's software
    /// token signs when this names no token.
    pub layer: String,
    /// Environment variables.
    pub environment: Vec<(std::ffi::OsString, std::ffi::OsString)>,
}

/// Configuration over the sandbox's people and tokens: one practitioner, who has
/// the only token; `table` has the keys of its table but the name.
pub fn on_token(table: &str) -> String {
    format!(
        "delegate = []\n[[token]]\nname = \"card\"\n{table}\n\
         [[practitioner]]\ncode_prestataire = \"90000001\"\nehealth_id = \"9000000001\"\n\
         name = \"Dr Testine Exemple\"\n"
    )
}

/// A running service.
pub struct Daemon {
    child: Child,
    folder: PathBuf,
    files: Vec<PathBuf>,
    endpoint: String,
    token: String,
    client: Client,
}

impl Daemon {
    /// Starts a service on `folder` (kept between starts) and pairs with it.
    pub fn start(folder: &Path, sandbox: &Sandbox, setup: &Setup) -> Self {
        let mut daemon = Self::start_paired(folder, sandbox, setup, String::new());
        let paired = daemon.command(&["pair", "test"]);
        assert!(paired.status.success());
        daemon.token = String::from_utf8(paired.stdout).unwrap().trim().to_owned();
        daemon
    }

    /// The same with the token of an earlier pairing.
    pub fn start_paired(folder: &Path, sandbox: &Sandbox, setup: &Setup, token: String) -> Self {
        let (state, layer) = (folder.join("state.toml"), folder.join("test.toml"));
        std::fs::write(&state, STATE).unwrap();
        std::fs::write(&layer, &setup.layer).unwrap();
        let files = ["signer.toml", "environment.toml"].map(|name| sandbox.dir.join(name));
        let files: Vec<PathBuf> = files.into_iter().chain([state, layer]).collect();
        let endpoint_file = folder.join("state/endpoint");
        let _ = std::fs::remove_file(&endpoint_file);
        let log = std::fs::File::create(folder.join("sceau.log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sceau"));
        command.arg("run").stdout(Stdio::null()).stderr(log);
        command.envs(setup.environment.iter().map(|(k, v)| (k, v)));
        for file in &files {
            command.arg("--config").arg(file);
        }
        let mut child = command.spawn().unwrap();
        let endpoint = until("the service listens", || {
            if let Some(status) = child.try_wait().unwrap() {
                let log = std::fs::read_to_string(folder.join("sceau.log")).unwrap();
                panic!("the service ended with {status}: {log}");
            }
            std::fs::read_to_string(&endpoint_file).ok()
        });
        Self {
            child,
            folder: folder.to_owned(),
            files,
            endpoint,
            token,
            client: Client::new(&Settings {
                connect_timeout: Duration::from_secs(5),
                timeout: LIMIT,
                ..Settings::default()
            })
            .unwrap(),
        }
    }

    /// Runs `sceau` with this service's configuration.
    pub fn command(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sceau"));
        command.args(arguments);
        for file in &self.files {
            command.arg("--config").arg(file);
        }
        command.output().unwrap()
    }

    /// The API's address, as in `http://127.0.0.1:12345`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The paired program's bearer token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The state folder.
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// What the service logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("sceau.log")).unwrap()
    }

    /// The service's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A request with the paired program's token.
    pub fn call(&self, path: &str, body: Option<Vec<u8>>) -> Response {
        self.send(&self.token, path, body).unwrap()
    }

    /// A request with any bearer token, which may go unanswered.
    pub fn send(
        &self,
        token: &str,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Response, HttpError> {
        let authorization = format!("Bearer {token}");
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
        ];
        self.client.send(Request {
            url: &format!("{}{path}", self.endpoint),
            headers: &headers,
            body,
            answer_bytes_max: 64 << 20,
        })
    }

    /// POST of a body of this content type with any bearer token.
    pub fn send_as(&self, token: &str, path: &str, (kind, body): (&str, Vec<u8>)) -> Response {
        let authorization = format!("Bearer {token}");
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", kind),
        ];
        let request = Request {
            url: &format!("{}{path}", self.endpoint),
            headers: &headers,
            body: Some(body),
            answer_bytes_max: 64 << 20,
        };
        self.client.send(request).unwrap()
    }

    /// GET of a JSON document.
    pub fn get(&self, path: &str) -> Value {
        let answer = self.call(path, None);
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// Hands a mémoire d'honoraires in; the answer as it comes.
    pub fn hand_in(&self, xml: &[u8], pdf: &[u8]) -> Response {
        self.try_hand_in(xml, pdf).unwrap()
    }

    /// The same towards a service that may die over it.
    pub fn try_hand_in(&self, xml: &[u8], pdf: &[u8]) -> Result<Response, HttpError> {
        let body = json!({ "xml": String::from_utf8_lossy(xml), "pdf": STANDARD.encode(pdf) });
        let body = serde_json::to_vec(&body).unwrap();
        self.send(
            &self.token,
            "/v1/forms/memoire-honoraires/depot",
            Some(body),
        )
    }

    /// Hands an example of a mémoire in, under a UUID of its own, and waits for
    /// its receipt: that UUID, the XML, and the submission.
    pub fn receipted(&self, name: &str) -> (String, Vec<u8>, Value) {
        let (uuid, xml) = example(name);
        let answer = self.hand_in(&xml, &pdf("memoire-gs-a2b.pdf"));
        let said = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, 202, "{said}");
        let submission = self.wait_for(&uuid, &["receipted", "rejected"]);
        assert_eq!(submission["state"], "receipted", "{submission:#}");
        (uuid, xml, submission)
    }

    /// Waits until the submission is in one of `states`; returns it.
    pub fn wait_for(&self, uuid: &str, states: &[&str]) -> Value {
        let path = format!("/v1/submissions/{uuid}");
        until(&format!("{uuid} is {states:?}"), || {
            let submission = self.get(&path);
            let state = submission["state"].as_str().unwrap_or_default();
            states.contains(&state).then_some(submission)
        })
    }

    /// Kills the service as a power cut would: no handler runs.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops it as a service manager would.
    #[cfg(unix)]
    pub fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.log());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Polls until `look` finds something.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    while started.elapsed() < LIMIT {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("after {LIMIT:?} it is still not so that {what}");
}

/// A valid example with a fresh UUID.
pub fn example(name: &str) -> (String, Vec<u8>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(EXAMPLES)
        .join(name);
    let xml = std::fs::read_to_string(path).unwrap();
    let uuid = sceau::base::Uuid4::random().to_string();
    let start = xml
        .find("<mh:uuid>")
        .or_else(|| xml.find("<uuid>"))
        .unwrap();
    let start = start + xml[start..].find('>').unwrap() + 1;
    let xml = format!("{}{uuid}{}", &xml[..start], &xml[start + 36..]);
    (uuid, xml.into_bytes())
}

/// Copies a built-in pack under another version into `packs` of a folder, its
/// `pack.toml` changed by `edit`.
pub fn copy_pack(folder: &Path, pack: &str, version: &str, edit: impl FnOnce(String) -> String) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("xsd").join(pack);
    let (form, own) = pack.split_once('/').unwrap();
    let target = folder.join("packs").join(form).join(version);
    std::fs::create_dir_all(&target).unwrap();
    for file in std::fs::read_dir(&source).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, target.join(path.file_name().unwrap())).unwrap();
        }
    }
    let manifest = std::fs::read_to_string(source.join("pack.toml")).unwrap();
    let (from, to) = [own, version]
        .map(|version| format!("version = \"{version}\""))
        .into();
    let manifest = edit(manifest.replacen(&from, &to, 1));
    std::fs::write(target.join("pack.toml"), manifest).unwrap();
}

/// A PDF fixture.
pub fn pdf(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(PDFS).join(name)).unwrap()
}

#[test]
fn a_memoire_goes_from_post_to_receipt_and_comes_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let daemon = Daemon::start(folder.path(), &sandbox, &Setup::default());
    let (uuid, _, submission) = daemon.receipted("accident.xml");
    let events = submission["history"].as_array().unwrap();
    let events: Vec<_> = events
        .iter()
        .map(|e| e["event"].as_str().unwrap())
        .collect();
    let expected = [
        "received",
        "checked",
        "signed",
        "stamped",
        "sealed",
        "sending",
        "receipted",
    ];
    assert_eq!(events, expected);
    assert!(submission["insurer_id"].is_string() && submission["correlation_id"].is_string());

    // What the insurer holds is what the API gives back, byte for byte.
    let documents = sandbox.documents();
    assert_eq!(documents.len(), 1);
    let signed = daemon
        .call(&format!("/v1/submissions/{uuid}/xml"), None)
        .body;
    let held = sandbox.document(&uuid);
    let whole = String::from_utf8(signed).unwrap();
    assert!(held.starts_with("<mh:memoireHonoraires") && held.ends_with("</mh:memoireHonoraires>"));
    assert!(
        whole.trim_end().ends_with(&held),
        "the insurer holds other bytes"
    );

    let health = daemon.get("/v1/health");
    assert_eq!(health["status"], "ok");
    assert!(health["last_receipted"].is_string());
    daemon.stop();
}

#[test]
fn the_same_request_again_is_the_same_submission_and_other_bytes_conflict() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let daemon = Daemon::start(folder.path(), &sandbox, &Setup::default());
    let (_, xml, _) = daemon.receipted("une-ligne.xml");

    let again = daemon.hand_in(&xml, &pdf("memoire-gs-a2b.pdf"));
    assert_eq!(again.status, 200);
    let other = daemon.hand_in(&xml, &pdf("memoire-typst-a3b.pdf"));
    assert_eq!(other.status, 409);
    let problem: Value = serde_json::from_slice(&other.body).unwrap();
    assert_eq!(problem["code"], "uuid-conflict");
    assert_eq!(sandbox.documents().len(), 1);

    // It stays accepted when the service would not accept it any more.
    daemon.stop();
    let layer = "practitioner = []\ndelegate = []\n".to_owned();
    let setup = Setup {
        layer,
        ..Setup::default()
    };
    let daemon = Daemon::start(folder.path(), &sandbox, &setup);
    let again = daemon.hand_in(&xml, &pdf("memoire-gs-a2b.pdf"));
    assert_eq!(
        again.status,
        200,
        "{}",
        String::from_utf8_lossy(&again.body)
    );
}
