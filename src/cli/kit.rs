//! The contract tests for practice software, against a sandbox and a service
//! of their own.

use super::commands;
use super::stage::Stage;
use crate::http::{self, Client, Request};
use crate::kit::{Outcome, Proxy, Trial, fresh_uuids, junit, text};
use clap::Args;
use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// How long the insurer takes in the case `accepted`, in milliseconds.
const SLOW_MS: u64 = 3000;
const LOOK: Duration = Duration::from_millis(50);

#[derive(Args)]
pub(super) struct Options {
    /// Run once for each case by the system's shell, with SCEAU_CASE, SCEAU_URL
    /// and SCEAU_TOKEN: makes your software hand one document in and ends when
    /// it has done with it. Without it you are asked to do so by hand.
    #[arg(long)]
    command: Option<String>,
    /// Write the results as JUnit XML.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Play this case only; may be given several times.
    #[arg(long = "case", value_name = "CASE", value_parser = known)]
    cases: Vec<Trial>,
    /// Longest time for a case, in seconds; the command is ended then.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Folder for everything that is made, with what the command prints.
    #[arg(long, default_value = "out/kit")]
    folder: PathBuf,
}

fn known(name: &str) -> Result<Trial, String> {
    let found = Trial::ALL.into_iter().find(|trial| trial.name() == name);
    found.ok_or_else(|| {
        let names = Trial::ALL.map(Trial::name).join(", ");
        format!("the cases are {names}")
    })
}

/// Plays the cases: success when every one passed.
pub(super) fn run(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    let folder = std::path::absolute(&options.folder)?;
    let stage = Stage::start(&folder, 0)?;
    let token = stage.pair("kit")?;
    let token = String::from_utf8_lossy(token.expose()).into_owned();
    let service = stage.endpoint.trim_start_matches("http://");
    let proxy = Proxy::start(service)?;
    println!("SCEAU_URL={}\nSCEAU_TOKEN={token}\n", proxy.url());

    let trials = match options.cases.as_slice() {
        [] => &Trial::ALL,
        some => some,
    };
    let (mut outcomes, mut all) = (Vec::new(), Vec::new());
    for trial in trials {
        if *trial == Trial::Accepted {
            slow_insurer(&stage)?;
        }
        let start = Instant::now();
        proxy.begin(*trial);
        match &options.command {
            Some(line) => {
                let log = folder.join(format!("{}.log", trial.name()));
                let environment = [
                    ("SCEAU_CASE", trial.name()),
                    ("SCEAU_URL", &proxy.url()),
                    ("SCEAU_TOKEN", &token),
                    // The proxy is on this machine.
                    ("NO_PROXY", "127.0.0.1"),
                ];
                let mut running = Running::start(line, &environment, &log)?;
                let limit = Duration::from_secs(options.seconds);
                // Waits for the end, or for what cannot come right any more.
                while running.runs()?
                    && start.elapsed() < limit
                    && trial.judge(&proxy.seen(), false).is_empty()
                {
                    std::thread::sleep(LOOK);
                }
            }
            None => by_hand(*trial)?,
        }
        let seen = proxy.seen();
        let outcome = Outcome::of(*trial, &seen, start);
        print!("{}", text(&outcome));
        outcomes.push(outcome);
        all.push(seen);
    }
    if all.len() > 1 {
        let outcome = Outcome {
            name: "fresh-uuids",
            rule: "every document has a version 4 UUID of its own",
            faults: fresh_uuids(&all),
            requests: Vec::new(),
            took: Duration::ZERO,
        };
        print!("{}", text(&outcome));
        outcomes.push(outcome);
    }
    if let Some(report) = &options.report {
        fs::write(report, junit(&outcomes))?;
    }
    let failed = outcomes.iter().filter(|o| !o.faults.is_empty()).count();
    println!("\n{} passed, {failed} failed", outcomes.len() - failed);
    Ok(ExitCode::from(u8::from(failed > 0)))
}

/// Makes the sandbox's insurer take its time over the next document.
fn slow_insurer(stage: &Stage) -> Result<(), Box<dyn Error>> {
    let client = Client::loopback(&http::Settings {
        connect_timeout: Duration::from_secs(5),
        timeout: Duration::from_secs(5),
        ..http::Settings::default()
    })?;
    let rule = serde_json::json!({ "point": "exchange", "action": "delay", "delay_ms": SLOW_MS });
    let base = stage.sandbox["http"].as_str().unwrap_or_default();
    let answer = client.send(Request {
        url: &format!("{base}/control/scenario"),
        headers: &[("content-type", "application/json")],
        body: Some(serde_json::to_vec(&rule)?),
        answer_bytes_max: crate::base::limits::RESPONSE_BYTES_MAX,
    })?;
    match answer.status {
        200..300 => Ok(()),
        status => Err(format!("the sandbox refused a scenario with {status}").into()),
    }
}

fn by_hand(trial: Trial) -> commands::Done {
    println!("{}: {}", trial.name(), trial.rule());
    println!("Let your software hand one document in; press Enter when it has done with it.");
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

/// The vendor's command, ended with all it started.
struct Running(Child);

impl Running {
    fn start(line: &str, environment: &[(&str, &str)], log: &Path) -> Result<Self, Box<dyn Error>> {
        let log = File::create(log)?;
        let mut command = shell(line);
        command.envs(environment.iter().copied());
        command.stdout(log.try_clone()?).stderr(log);
        command.stdin(Stdio::null());
        Ok(Self(command.spawn()?))
    }

    fn runs(&mut self) -> std::io::Result<bool> {
        Ok(self.0.try_wait()?.is_none())
    }
}

#[cfg(unix)]
fn shell(line: &str) -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).process_group(0);
    command
}

#[cfg(not(unix))]
fn shell(line: &str) -> Command {
    let mut command = Command::new("cmd");
    command.args(["/C", line]);
    command
}

impl Drop for Running {
    fn drop(&mut self) {
        // The whole group: what the shell started must not go on into the next case.
        #[cfg(unix)]
        if let Ok(None) = self.0.try_wait() {
            let group = rustix::process::Pid::from_child(&self.0);
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        // As long as the shell runs, Windows knows what it started.
        #[cfg(windows)]
        if let Ok(None) = self.0.try_wait() {
            let mut end = Command::new("taskkill");
            end.args(["/T", "/F", "/PID", &self.0.id().to_string()]);
            let _ = end.stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
