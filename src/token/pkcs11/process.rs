//! One worker process, seen from the daemon: started, asked with a deadline,
//! killed.

use super::protocol::{self, Answer, Fault, Request};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// How long a killed or dismissed worker is waited for.
const END_WAIT: Duration = Duration::from_secs(1);

/// The program that runs [`super::run_worker`]; `--module <path>` is added.
#[derive(Debug, Clone)]
pub struct WorkerCommand {
    /// The program, normally this one.
    pub program: PathBuf,
    /// Its arguments, normally `token-worker`.
    pub arguments: Vec<OsString>,
    /// Environment variables on top of the daemon's own.
    pub environment: Vec<(OsString, OsString)>,
}

/// What came of a request.
#[derive(Debug)]
pub(super) enum CallError {
    /// No answer within the deadline.
    Hung,
    /// The process ended, or what it said was no answer.
    Died,
    /// The module or token refused.
    Fault(Fault),
}

type Reply = io::Result<Option<(Answer, Zeroizing<Vec<u8>>)>>;

pub(super) struct Worker {
    child: Child,
    requests: Option<ChildStdin>,
    answers: Receiver<Reply>,
}

impl Worker {
    /// Starts the process. The calling thread must live as long as the worker:
    /// Linux counts the *thread* as the parent whose death kills it.
    pub(super) fn start(command: &WorkerCommand, module: &Path) -> io::Result<Self> {
        let mut process = Command::new(&command.program);
        process
            .args(&command.arguments)
            .arg("--module")
            .arg(module)
            .envs(
                command
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        // A Ctrl-C at the terminal is for the daemon, which still needs its
        // worker while it finishes.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut process, 0);
        let mut child = process.spawn()?;
        let requests = child.stdin.take();
        let mut output = child
            .stdout
            .take()
            .ok_or_else(|| io::Error::other("the worker has no output"))?;
        let (sender, answers) = sync_channel::<Reply>(1);
        std::thread::Builder::new()
            .name("token-answers".into())
            .spawn(move || {
                loop {
                    let reply = protocol::read(&mut output);
                    let last = !matches!(reply, Ok(Some(_)));
                    if sender.send(reply).is_err() || last {
                        return;
                    }
                }
            })?;
        Ok(Self {
            child,
            requests,
            answers,
        })
    }

    /// Sends one request and waits for its answer. After `Hung` and `Died` the
    /// worker is of no more use: kill it.
    pub(super) fn call(
        &mut self,
        request: &Request,
        tail: &[u8],
        deadline: Duration,
    ) -> Result<(Answer, Zeroizing<Vec<u8>>), CallError> {
        let requests = self.requests.as_mut().ok_or(CallError::Died)?;
        // Requests are far smaller than a pipe's buffer: writing cannot block.
        protocol::write(requests, request, tail).map_err(|_| CallError::Died)?;
        match self.answers.recv_timeout(deadline) {
            Ok(Ok(Some((Answer::Fault(fault), _)))) => Err(CallError::Fault(fault)),
            Ok(Ok(Some(answer))) => Ok(answer),
            Ok(Ok(None)) | Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => Err(CallError::Died),
            Err(RecvTimeoutError::Timeout) => Err(CallError::Hung),
        }
    }

    /// Closes the pipe, gives the module a moment to finish, then kills.
    pub(super) fn dismiss(mut self) {
        self.requests = None;
        self.ended_within(END_WAIT);
        self.kill();
    }

    pub(super) fn kill(mut self) {
        self.kill_all();
        if !self.ended_within(END_WAIT) {
            // Stuck in a device driver: nobody can wait for that.
            tracing::warn!(pid = self.child.id(), "a killed token worker does not end");
        }
        // Reaped, where it has ended.
        let _ = self.child.try_wait();
    }

    /// Kills the worker and what its module has started: a child of the module's
    /// would hold the answers' pipe open. Its number is ours until it is reaped.
    fn kill_all(&mut self) {
        // A failure means that it is dead already.
        #[cfg(unix)]
        let _ = rustix::process::kill_process_group(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::KILL,
        );
        let _ = self.child.kill();
    }

    /// Whether it ends within the time. It is not reaped.
    fn ended_within(&mut self, limit: Duration) -> bool {
        let start = Instant::now();
        while !self.has_ended() {
            if start.elapsed() >= limit {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }

    /// Looking reaps it there, which does no harm: nothing goes by its number.
    #[cfg(not(unix))]
    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    #[cfg(unix)]
    fn has_ended(&mut self) -> bool {
        use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(
            waitid(WaitId::Pid(Pid::from_child(&self.child)), look),
            Ok(None)
        )
    }
}
