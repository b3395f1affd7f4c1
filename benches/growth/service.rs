//! A sandbox and a service as processes of their own, and a program that hands
//! documents in.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sceau::base::Uuid4;
use sceau::http::{Client, Request, Response, Settings};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const DEPOT: &str = "/v1/forms/memoire-honoraires/depot";
const EXAMPLE: &str = "xsd/memoire-honoraires/2/examples/valid/depot/une-ligne.xml";
/// No figure here is about the limits.
const LAYER: &str = "[api]\nlisten = \"127.0.0.1:0\"\nrequests_per_second = 10000\n\
    requests_at_once = 100000\n[store]\nfolder = \"state\"\nreserve_mebibytes = 0\n\
    free_mebibytes = 0\n[outbox]\nopen_documents_max = 1000000\n";
/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(900);

/// A file of the repository.
pub fn read(path: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Waits until `look` finds something.
pub fn until<T>(pause: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < LIMIT, "it takes too long");
        std::thread::sleep(pause);
    }
}

/// A process that is killed when it is no longer needed.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The insurer and the trust services.
pub struct Sandbox {
    _process: Process,
    folder: PathBuf,
}

impl Sandbox {
    pub fn start(folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sceau-sandbox"))
            .arg("--dir")
            .arg(folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        Self {
            _process: Process(child),
            folder: folder.to_owned(),
        }
    }

    /// Practitioners of the sandbox's crowd, all with the first one's key.
    fn crowd(&self, practitioners: usize) -> String {
        let signer = fs::read_to_string(self.folder.join("signer.toml")).unwrap();
        let (_, rest) = signer.split_once("certificate_sha256 = \"").unwrap();
        let sha256 = &rest[..64];
        (0..practitioners)
            .map(|number| {
                let code = code(number);
                format!(
                    "[[practitioner]]\ncode_prestataire = \"{code}\"\nehealth_id = \"{code}00\"\n\
                     name = \"Dr Nombre {number}\"\ncertificate_sha256 = \"{sha256}\"\n"
                )
            })
            .collect()
    }
}

/// Code prestataire of one of the crowd.
pub fn code(number: usize) -> String {
    (90_001_000 + number).to_string()
}

/// A document with a UUID of its own.
pub fn document(practitioner: usize) -> (Uuid4, Vec<u8>) {
    let xml = String::from_utf8(read(EXAMPLE)).unwrap();
    let start = xml.find("uuid>").unwrap() + "uuid>".len();
    let uuid = Uuid4::random();
    let xml = format!("{}{uuid}{}", &xml[..start], &xml[start + 36..]);
    (
        uuid,
        xml.replace("90000001", &code(practitioner)).into_bytes(),
    )
}

/// How the service is started.
pub struct Start<'a> {
    pub folder: &'a Path,
    pub sandbox: &'a Sandbox,
    pub practitioners: usize,
    /// Whether documents go on to the insurer.
    pub delivers: bool,
    /// The program's token, once it is paired.
    pub token: Option<String>,
}

/// What a process has used since its start.
pub struct Spent {
    /// Processor time of all threads, in ms.
    pub processor_ms: u64,
    /// Pages it made the system write to the disk, in KiB.
    pub written_kib: u64,
}

pub struct Service {
    process: Process,
    endpoint: String,
    pub token: String,
    client: Client,
    /// From the start of the process until it listens.
    pub started_in: Duration,
}

impl Service {
    pub fn start(start: &Start<'_>) -> Self {
        let layer = start.folder.join("growth.toml");
        let nowhere = "[mysecu]\nidentity_url = \"\"\ntoken_url = \"\"\nexchange_url = \"\"\n\
             assertion_consumer = \"\"\ntls_anchor = \"\"\nanswer_anchor = \"\"\ntransport = \"\"\n";
        let mysecu = if start.delivers { "" } else { nowhere };
        let people = start.sandbox.crowd(start.practitioners);
        fs::write(&layer, format!("delegate = []\n{LAYER}{mysecu}{people}")).unwrap();
        let own = ["signer.toml", "environment.toml"].map(|name| start.sandbox.folder.join(name));
        let files: Vec<PathBuf> = own.into_iter().chain([layer]).collect();
        let sceau = |command: &[&str]| {
            let mut sceau = Command::new(env!("CARGO_BIN_EXE_sceau"));
            sceau.args(command);
            for file in &files {
                sceau.arg("--config").arg(file);
            }
            sceau
        };
        let log = fs::File::create(start.folder.join("sceau.log")).unwrap();
        let endpoint = start.folder.join("state/endpoint");
        // Left behind by one that was killed.
        let _ = fs::remove_file(&endpoint);
        let begun = Instant::now();
        let child = sceau(&["run"]).stdout(Stdio::null()).stderr(log).spawn();
        let process = Process(child.unwrap());
        let endpoint = until(Duration::from_millis(2), || {
            fs::read_to_string(&endpoint).ok()
        });
        let started_in = begun.elapsed();
        let token = start.token.clone().unwrap_or_else(|| {
            let paired = sceau(&["pair", "growth"]).output().unwrap();
            assert!(paired.status.success());
            String::from_utf8(paired.stdout).unwrap().trim().to_owned()
        });
        let settings = Settings {
            timeout: LIMIT,
            ..Settings::default()
        };
        Self {
            process,
            endpoint,
            token,
            client: Client::new(&settings).unwrap(),
            started_in,
        }
    }

    fn send(&self, path: &str, body: Option<Vec<u8>>) -> Response {
        let authorization = format!("Bearer {}", self.token);
        let request = Request {
            url: &format!("{}{path}", self.endpoint),
            headers: &[
                ("authorization", &authorization),
                ("content-type", "application/json"),
            ],
            body,
            answer_bytes_max: 64 << 20,
        };
        self.client.send(request).unwrap()
    }

    /// Hands a document in; how long the 202 took.
    pub fn accept(&self, xml: &[u8], pdf: &[u8]) -> Duration {
        let body = json!({ "xml": String::from_utf8_lossy(xml), "pdf": STANDARD.encode(pdf) });
        let body = body.to_string().into_bytes();
        let begun = Instant::now();
        let answer = self.send(DEPOT, Some(body));
        let took = begun.elapsed();
        let said = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, 202, "{said}");
        took
    }

    pub fn get(&self, path: &str) -> Value {
        serde_json::from_slice(&self.send(path, None).body).unwrap()
    }

    /// Waits until the newest `count` documents are in this state.
    pub fn all_are(&self, state: &str, count: usize) {
        let (mut left, mut before) = (count, String::new());
        while left > 0 {
            // A few first: the list is work for the service, too.
            let some = if left == count {
                left.min(5)
            } else {
                left.min(200)
            };
            let path = format!("/v1/submissions?limit={some}{before}");
            let list = until(Duration::from_millis(50), || {
                let list = self.get(&path);
                let done = |one: &Value| one["state"] == state;
                let list = list.as_array().unwrap().clone();
                (list.iter().filter(|one| done(one)).count() == some).then_some(list)
            });
            let last = list[some - 1]["uuid"].as_str().unwrap();
            (left, before) = (left - some, format!("&before={last}"));
        }
    }

    /// Processor time, and what was given to the disk, since the start.
    pub fn spent(&self) -> Spent {
        let file = |name: &str| {
            fs::read_to_string(format!("/proc/{}/{name}", self.process.0.id())).unwrap()
        };
        let stat = file("stat");
        // What follows the program's name in parentheses; proc(5): utime and
        // stime are fields 14 and 15, in hundredths of a second.
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let ticks: u64 = (fields.split(' ').skip(11).take(2))
            .map(|field| field.parse::<u64>().unwrap())
            .sum();
        let io = file("io");
        let written = io
            .lines()
            .find_map(|line| line.strip_prefix("write_bytes: "));
        Spent {
            processor_ms: ticks * 10,
            written_kib: written.unwrap().parse::<u64>().unwrap() / 1024,
        }
    }

    /// Resident memory and its largest so far, in MiB.
    pub fn memory(&self) -> (u64, u64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.0.id())).unwrap();
        let field = |name: &str| -> u64 {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        (field("VmRSS:") / 1024, field("VmHWM:") / 1024)
    }
}
