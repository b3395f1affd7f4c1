//! The worker process: loads one vendor module, serves one daemon over its
//! standard input and output, and ends with it.

use super::module::{Module, Wanted};
use super::protocol::{self, Answer, Fault, FaultKind, Request};
use crate::base::Secret;
#[cfg(target_os = "linux")]
use crate::base::limits::WORKER_MEMORY_BYTES_MAX;
use std::fs::File;
use std::io;
use std::path::Path;
use zeroize::Zeroizing;

/// Serves requests until the daemon closes the pipe: the body of
/// `sceau token-worker --module <path>`. Must be called before the process has
/// other threads. Errors are those of the pipe and of the process set-up.
pub fn run_worker(module: &Path) -> io::Result<()> {
    confine()?;
    let (mut input, mut output) = claim_protocol()?;
    let mut worker = Worker { loaded: None };
    while let Some((request, tail)) = protocol::read::<Request>(&mut input)? {
        let (answer, tail) = match worker.serve(module, request, tail) {
            Ok(done) => done,
            Err(fault) => (Answer::Fault(fault), Vec::new()),
        };
        protocol::write(&mut output, &answer, &tail)?;
    }
    Ok(())
}

struct Worker {
    loaded: Option<Module>,
}

impl Worker {
    fn serve(
        &mut self,
        path: &Path,
        request: Request,
        tail: Zeroizing<Vec<u8>>,
    ) -> Result<(Answer, Vec<u8>), Fault> {
        let module = match self.loaded.as_mut() {
            Some(module) => module,
            None if request == Request::Init => self.loaded.insert(Module::load(path)?),
            None => {
                return Err(Fault {
                    kind: FaultKind::Module,
                    detail: "not initialised".into(),
                });
            }
        };
        let answer = match request {
            Request::Init => Answer::Done,
            Request::Check => Answer::Checked {
                flags: module.check()?,
            },
            Request::Open {
                serial,
                certificate,
            } => Answer::Opened(module.open(&Wanted {
                serial: serial.as_deref(),
                certificate: certificate.as_deref(),
            })?),
            Request::Login => Answer::LoggedIn {
                keys: module.login((!tail.is_empty()).then(|| Secret::new(tail.to_vec())))?,
            },
            Request::Reread => {
                let (certificates, keys) = module.reread()?;
                Answer::Reread { certificates, keys }
            }
            Request::Sign {
                certificate,
                mechanism,
            } => {
                let signature = module.sign(&certificate, mechanism, &tail)?;
                return Ok((Answer::Signed, signature));
            }
            Request::Logout => {
                module.logout()?;
                Answer::Done
            }
        };
        Ok((answer, Vec::new()))
    }
}

/// Dies with the daemon, leaves no core dump (a module's memory holds PINs) and
/// takes no more memory than a signature can need: a module that lies about a
/// length ends its worker, not the machine.
#[cfg(target_os = "linux")]
fn confine() -> io::Result<()> {
    use rustix::process::{
        DumpableBehavior, Resource, Rlimit, Signal, set_dumpable_behavior,
        set_parent_process_death_signal, setrlimit,
    };
    set_parent_process_death_signal(Some(Signal::KILL))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    let memory = Some(WORKER_MEMORY_BYTES_MAX);
    let memory = Rlimit {
        current: memory,
        maximum: memory,
    };
    Ok(setrlimit(Resource::Data, memory)?)
}

/// Elsewhere the closed pipe ends the worker.
#[cfg(not(target_os = "linux"))]
fn confine() -> io::Result<()> {
    Ok(())
}

/// Takes the protocol's two pipes away from descriptors 0 and 1 before the
/// module is loaded: vendors print to standard output, and some read a PIN
/// from standard input.
#[cfg(unix)]
fn claim_protocol() -> io::Result<(File, File)> {
    use std::os::fd::AsFd;
    let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    Ok((input, output))
}

/// Windows modules have their own C runtime, whose standard output was bound
/// when the process started; the pipes are only duplicated.
#[cfg(windows)]
fn claim_protocol() -> io::Result<(File, File)> {
    use std::os::windows::io::AsHandle;
    let input = File::from(io::stdin().as_handle().try_clone_to_owned()?);
    let output = File::from(io::stdout().as_handle().try_clone_to_owned()?);
    Ok((input, output))
}
