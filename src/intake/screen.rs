//! What a site asks of PDFs beyond our own check: whether hybrid-reference
//! files are taken, and the verdict of a validator of its own.

use crate::base::{file, hex, limits, random};
use crate::pdf;
use std::fs;
use std::io::{self, PipeReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often a running validator is looked at.
const POLL: Duration = Duration::from_millis(20);

/// One validator at a time: each may be a virtual machine of its own.
static RUNNING: Mutex<()> = Mutex::new(());

/// What becomes of hybrid-reference files (ISO 32000-1 §7.5.8.4), which show
/// different objects to different readers. Word processors write such files,
/// some validators refuse them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hybrid {
    /// They are refused.
    Refuse,
    /// They are taken, with a line in the log.
    Accept,
}

/// A site's settings for PDFs.
#[derive(Debug, Clone)]
pub struct PdfSettings {
    /// The policy on hybrid-reference files.
    pub hybrid: Hybrid,
    /// The site's own PDF/A validator.
    pub validator: Option<Validator>,
}

/// A program that judges PDF files, such as veraPDF. It gets the path of the
/// file as its last argument and says by its exit status whether the file is
/// good. There is no shell.
#[derive(Debug, Clone)]
pub struct Validator {
    /// The program's absolute path.
    pub program: PathBuf,
    /// Arguments before the file.
    pub arguments: Vec<String>,
    /// How long it may take.
    pub timeout: Duration,
    /// Where it finds the files it judges: nothing else is kept there.
    pub scratch: PathBuf,
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum ScreenError {
    /// The PDF is a hybrid-reference file.
    #[error(
        "the PDF is a hybrid-reference file, which shows different content to different readers, and this site refuses those"
    )]
    Hybrid,
    /// The validator does not accept the PDF.
    #[error("the site's validator refuses the PDF: {0}")]
    Refused(String),
    /// The validator cannot be run.
    #[error("the site's PDF validator could not be run")]
    Run(#[source] io::Error),
    /// The validator did not end in time.
    #[error("the site's PDF validator took more than {} seconds", .0.as_secs())]
    Timeout(Duration),
}

impl PdfSettings {
    /// Applies the policy on hybrid-reference files.
    ///
    /// # Errors
    /// [`ScreenError::Hybrid`].
    pub(super) fn hybrid(&self, pdf: &[u8]) -> Result<(), ScreenError> {
        if !pdf::is_hybrid(pdf) {
            return Ok(());
        }
        match self.hybrid {
            Hybrid::Refuse => Err(ScreenError::Hybrid),
            Hybrid::Accept => {
                tracing::warn!("a hybrid-reference PDF is taken (pdf.hybrid)");
                Ok(())
            }
        }
    }

    /// Removes what a process that was killed left for its validator.
    pub(super) fn clear(&self) {
        if let Some(validator) = &self.validator
            && let Err(error) = fs::remove_dir_all(&validator.scratch)
            && error.kind() != io::ErrorKind::NotFound
        {
            let folder = validator.scratch.display();
            tracing::error!(%folder, %error, "PDFs left for the validator could not be removed");
        }
    }

    /// Asks the site's validator, when there is one.
    ///
    /// # Errors
    /// [`ScreenError`].
    pub(super) fn validated(&self, pdf: &[u8]) -> Result<(), ScreenError> {
        match &self.validator {
            Some(validator) => validator.judge(pdf),
            None => Ok(()),
        }
    }
}

impl Validator {
    fn judge(&self, pdf: &[u8]) -> Result<(), ScreenError> {
        let _alone = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let scratch = Scratch::new(&self.scratch).map_err(ScreenError::Run)?;
        let document = scratch.0.join("document.pdf");
        file::write_new(&document, pdf).map_err(ScreenError::Run)?;
        let (mut child, output) = self.start(&document).map_err(ScreenError::Run)?;
        let reader = thread::spawn(move || beginning(output));
        let status = self.wait(&mut child)?;
        if status.success() {
            return Ok(());
        }
        Err(ScreenError::Refused(said(
            &reader.join().unwrap_or_default(),
            status,
        )))
    }

    fn start(&self, document: &Path) -> io::Result<(Child, PipeReader)> {
        let (output, out) = io::pipe()?;
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .arg(document)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out);
        // A group of its own: often the program is a script around another one.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Ok((command.spawn()?, output))
    }

    fn wait(&self, child: &mut Child) -> Result<ExitStatus, ScreenError> {
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait().map_err(ScreenError::Run)? {
                return Ok(status);
            }
            if started.elapsed() > self.timeout {
                kill(child);
                return Err(ScreenError::Timeout(self.timeout));
            }
            std::thread::sleep(POLL);
        }
    }
}

fn kill(child: &mut Child) {
    #[cfg(unix)]
    {
        use rustix::process::{Pid, Signal, kill_process_group};
        let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// The first bytes a validator writes; the rest is read and dropped, so that
/// it does not wait for us.
fn beginning(mut output: PipeReader) -> Vec<u8> {
    let mut bytes = Vec::new();
    let limit = limits::VALIDATOR_OUTPUT_BYTES as u64;
    let _ = output.by_ref().take(limit).read_to_end(&mut bytes);
    let _ = io::copy(&mut output, &mut io::sink());
    bytes
}

/// What the validator said, on one line.
fn said(bytes: &[u8], status: ExitStatus) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text: Vec<&str> = text.split_whitespace().collect();
    match text.join(" ") {
        text if text.is_empty() => status.to_string(),
        text => text,
    }
}

/// A folder that only we can read and that goes away again.
struct Scratch(PathBuf);

impl Scratch {
    fn new(scratch: &Path) -> io::Result<Self> {
        file::create_private_dir(scratch)?;
        let folder = scratch.join(hex::encode(&random::bytes::<16>()));
        file::create_private_dir(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::error!(folder = %self.0.display(), %error, "a PDF given to the validator could not be removed");
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn scratch() -> PathBuf {
        std::env::temp_dir().join("sceau-test-validator")
    }

    fn judge(script: &str, seconds: u64) -> Result<(), ScreenError> {
        let validator = Validator {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into(), "sh".into()],
            timeout: Duration::from_secs(seconds),
            scratch: scratch(),
        };
        validator.judge(b"%PDF-1.7 of a test")
    }

    #[test]
    fn the_exit_status_is_the_verdict_and_the_file_goes_away() {
        assert!(judge("grep -q 'of a test' \"$1\"", 10).is_ok());
        let Err(ScreenError::Refused(said)) = judge("echo \"$1\"; echo rule 6.1.3 >&2; exit 1", 10)
        else {
            panic!("accepted")
        };
        let (path, rule) = said.split_once(' ').unwrap();
        assert_eq!(rule, "rule 6.1.3");
        assert!(
            path.ends_with("document.pdf") && !Path::new(path).exists(),
            "{path}"
        );
        assert!(!Path::new(path).parent().unwrap().exists());
        let silent = judge("exit 3", 10).unwrap_err().to_string();
        assert!(silent.contains('3'), "{silent}");
        let long = judge("head -c 100000 /dev/zero | tr '\\0' x; exit 1", 10).unwrap_err();
        assert!(long.to_string().len() < limits::VALIDATOR_OUTPUT_BYTES + 100);
    }

    #[test]
    fn a_validator_that_hangs_is_ended_with_its_children() {
        let mark = std::env::temp_dir().join(hex::encode(&random::bytes::<8>()));
        let script = format!("sleep 600 & echo $! >{}; wait", mark.display());
        assert!(matches!(judge(&script, 1), Err(ScreenError::Timeout(_))));
        let child = fs::read_to_string(&mark).unwrap();
        let gone = || {
            let status = fs::read_to_string(format!("/proc/{}/status", child.trim()));
            status.map_or(true, |status| status.contains("State:\tZ"))
        };
        while !gone() {
            thread::sleep(POLL);
        }
        fs::remove_file(&mark).unwrap();
    }

    #[test]
    fn what_a_killed_process_left_is_removed() {
        let folder = std::env::temp_dir().join(hex::encode(&random::bytes::<8>()));
        file::create_private_dir(&folder.join("left")).unwrap();
        let settings = PdfSettings {
            hybrid: Hybrid::Accept,
            validator: Some(Validator {
                program: "/bin/true".into(),
                arguments: Vec::new(),
                timeout: Duration::from_secs(1),
                scratch: folder.clone(),
            }),
        };
        settings.clear();
        assert!(!folder.exists());
        settings.clear();
    }

    #[test]
    fn a_validator_that_is_not_there_is_no_verdict() {
        let validator = Validator {
            program: "/nonexistent/validator".into(),
            arguments: Vec::new(),
            timeout: Duration::from_secs(1),
            scratch: scratch(),
        };
        assert!(matches!(validator.judge(b""), Err(ScreenError::Run(_))));
    }

    #[test]
    fn hybrid_files_are_taken_or_refused() {
        let hybrid = b"%PDF-1.5\ntrailer <</Size 1/XRefStm 9>>";
        let settings = |hybrid| PdfSettings {
            hybrid,
            validator: None,
        };
        assert!(settings(Hybrid::Accept).hybrid(hybrid).is_ok());
        assert!(matches!(
            settings(Hybrid::Refuse).hybrid(hybrid),
            Err(ScreenError::Hybrid)
        ));
        assert!(settings(Hybrid::Refuse).hybrid(b"%PDF-1.5").is_ok());
    }
}
