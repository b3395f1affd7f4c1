//! A sandbox and a service on it, as two processes of their own in one folder:
//! what the demonstration and the contract tests play on.

use super::commands::{self, Done};
use super::programs;
use crate::base::Secret;
use crate::config;
use crate::service::ENDPOINT_FILE;
use serde_json::Value;
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Marks a folder that an earlier run made and the next one may empty.
const MARKER: &str = ".sceau-demo";
const START_LIMIT: Duration = Duration::from_secs(60);

/// Both processes; they end with it.
pub(super) struct Stage {
    /// What the sandbox said when it was ready: `http`, `tls`, `environment`.
    pub(super) sandbox: Value,
    /// The service's address.
    pub(super) endpoint: String,
    files: Vec<PathBuf>,
    _service: Process,
    _sandbox: Process,
}

impl Stage {
    /// Starts both in an emptied folder, the service on `port` (0: a free one).
    pub(super) fn start(folder: &Path, port: u16) -> Result<Self, Box<dyn Error>> {
        empty(folder)?;
        let program = std::env::current_exe()?;
        let sandbox_program =
            program.with_file_name(format!("sceau-sandbox{}", std::env::consts::EXE_SUFFIX));
        let (sandbox, ready) = start_sandbox(&sandbox_program, folder)?;
        let files = configuration(folder, &ready, port)?;
        let service = start_service(&program, folder, &files)?;
        Ok(Self {
            endpoint: wait_for_endpoint(folder)?,
            sandbox: ready,
            files,
            _service: service,
            _sandbox: sandbox,
        })
    }

    /// Pairs a program.
    pub(super) fn pair(&self, name: &str) -> Result<Secret, Box<dyn Error>> {
        programs::pair_in(&config::load(&self.files)?, name, &[])
    }
}

/// A child process that does not outlive this one.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Makes an empty folder; one that holds anything else is left alone.
fn empty(folder: &Path) -> Done {
    if folder.join(MARKER).exists() {
        fs::remove_dir_all(folder)?;
    } else if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(format!(
            "{} is not empty and not from an earlier run",
            folder.display()
        )
        .into());
    }
    fs::create_dir_all(folder)?;
    fs::write(folder.join(MARKER), "")?;
    Ok(())
}

fn start_sandbox(program: &Path, folder: &Path) -> Result<(Process, Value), Box<dyn Error>> {
    let log = File::create(folder.join("sandbox.log"))?;
    let mut child = Command::new(program)
        .arg("--dir")
        .arg(folder.join("sandbox"))
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
    let out = child.stdout.take();
    let process = Process(child);
    let mut line = String::new();
    BufReader::new(out.ok_or("the sandbox has no output")?).read_line(&mut line)?;
    let ready = serde_json::from_str(&line).map_err(|_| {
        format!(
            "the sandbox did not start; see {}",
            folder.join("sandbox.log").display()
        )
    })?;
    Ok((process, ready))
}

fn configuration(folder: &Path, ready: &Value, port: u16) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let environment = ready["environment"]
        .as_str()
        .ok_or("the sandbox names no environment")?;
    let environment = PathBuf::from(environment);
    let own = folder.join("sceau.toml");
    fs::write(
        &own,
        format!(
            "[api]\nlisten = \"127.0.0.1:{port}\"\n\n[store]\nfolder = \"state\"\nreserve_mebibytes = 0\n"
        ),
    )?;
    Ok(vec![
        environment.with_file_name("signer.toml"),
        environment,
        own,
    ])
}

fn start_service(
    program: &Path,
    folder: &Path,
    files: &[PathBuf],
) -> Result<Process, Box<dyn Error>> {
    let log = File::create(folder.join("sceau.log"))?;
    let mut command = Command::new(program);
    command.arg("run").stdout(Stdio::null()).stderr(log);
    // The sandbox is on this machine: no proxy can reach it.
    command.env("NO_PROXY", "127.0.0.1");
    for file in files {
        command.arg("--config").arg(file);
    }
    Ok(Process(command.spawn()?))
}

fn wait_for_endpoint(folder: &Path) -> Result<String, Box<dyn Error>> {
    let file = folder.join("state").join(ENDPOINT_FILE);
    let started = Instant::now();
    while started.elapsed() < START_LIMIT {
        if let Ok(endpoint) = fs::read_to_string(&file)
            && commands::local(&endpoint, "/v1/health", None, None).is_ok_and(|a| a.status == 200)
        {
            return Ok(endpoint);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let log = folder.join("sceau.log");
    Err(format!("the service did not start; see {}", log.display()).into())
}
