//! Other signers on the same machine and the same token: pyHanko and EU DSS, as
//! `make judges` installs them. Each is one process that is kept, warmed up
//! and given one order at a time, between two of our own documents.

use crate::meter::{self, Cost};
use crate::token::SoftHsm;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Orders before the first that counts: Python imports late, and a Java
/// virtual machine compiles what it sees often.
const WARM_UP: usize = 5;
const WARM_UP_JAVA: usize = 60;

/// A running signer.
pub struct Peer {
    pub name: &'static str,
    /// The levels it can make, with the table's rows.
    pub levels: &'static [(&'static str, &'static str)],
    pub warm_up: usize,
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Peer {
    fn start(mut command: Command) -> Option<(Child, ChildStdin, BufReader<ChildStdout>)> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().ok()?;
        let (orders, answers) = (child.stdin.take()?, child.stdout.take()?);
        Some((child, orders, BufReader::new(answers)))
    }

    /// One signature; `None` when the peer could not make it and has ended.
    pub fn sign(&mut self, level: &str, file: &Path) -> Option<Cost> {
        let pid = self.child.id();
        let (cpu, wall) = (meter::cpu_of(pid), Instant::now());
        writeln!(self.orders, "{level} {}", file.display()).ok()?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer).ok()?;
        let wall = wall.elapsed();
        answer.starts_with("ok ").then(|| Cost {
            cpu: meter::cpu_of(pid).saturating_sub(cpu),
            wall,
        })
    }

    pub fn cpu(&self) -> Duration {
        meter::cpu_of(self.child.id())
    }
}

/// What the peers need to know.
pub struct Place<'a> {
    pub token: &'a SoftHsm,
    pub pki: &'a Path,
    pub tsa_url: &'a str,
}

/// The peers that are installed; what is not is said.
pub fn start(place: &Place<'_>) -> Vec<Peer> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let judges = root.join(".judges");
    let found = [
        pyhanko(
            place,
            &judges,
            &root.join("tests/judges/python/bench_pyhanko.py"),
        ),
        dss(place, &judges),
    ];
    found.into_iter().flatten().collect()
}

fn absent(name: &str, needed: &Path) -> bool {
    let absent = !needed.exists();
    if absent {
        println!(
            "!!!! SKIPPED: {name} is not installed ({} is missing); make judges installs it",
            needed.display()
        );
    }
    absent
}

fn pyhanko(place: &Place<'_>, judges: &Path, script: &Path) -> Option<Peer> {
    let python = judges.join("venv/bin/python");
    if absent("pyHanko", &python) {
        return None;
    }
    let mut command = Command::new(python);
    command.arg(script).arg(place.token.module());
    command.args([SoftHsm::LABEL, SoftHsm::PIN, SoftHsm::KEY_ID]);
    command.args(authorities(place)).arg(place.tsa_url);
    let (child, orders, answers) = Peer::start(command)?;
    Some(Peer {
        name: "pyHanko",
        levels: &[
            ("PAdES-B-B", "pyHanko PAdES-B-B"),
            ("PAdES-B-LT", "pyHanko PAdES-B-LT"),
        ],
        warm_up: WARM_UP,
        child,
        orders,
        answers,
    })
}

fn dss(place: &Place<'_>, judges: &Path) -> Option<Peer> {
    let classes = judges.join("java/classes");
    if absent("EU DSS", &classes.join("BenchDss.class")) {
        return None;
    }
    let path = format!(
        "{}:{}/*",
        classes.display(),
        judges.join("java/lib").display()
    );
    let mut command = Command::new("java");
    command.args(["-cp", &path, "BenchDss"]);
    command.arg(place.token.module()).arg(SoftHsm::PIN);
    command.args(authorities(place)).arg(place.tsa_url);
    let (child, orders, answers) = Peer::start(command)?;
    Some(Peer {
        name: "EU DSS",
        levels: &[
            ("PAdES-B-B", "EU DSS PAdES-B-B"),
            ("PAdES-B-LT", "EU DSS PAdES-B-LT"),
            ("XAdES-B-LT", "EU DSS XAdES-B-LT"),
        ],
        warm_up: WARM_UP_JAVA,
        child,
        orders,
        answers,
    })
}

fn authorities(place: &Place<'_>) -> [PathBuf; 2] {
    ["issuing.pem", "root.pem"].map(|name| place.pki.join(name))
}
