//! The failing disk of `fault_disk.c`: built once, told what to do by a file.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The library; `None` where it cannot be built.
fn library() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        // Tests of two runs at once may build it at once.
        let (own, so) = (
            out.join(format!("fault_disk.{}.so", std::process::id())),
            out.join("fault_disk.so"),
        );
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fault_disk.c");
        let built = Command::new("cc")
            .args(["-Wall", "-Werror", "-shared", "-fPIC", "-o"])
            .args([own.as_path(), &source])
            .arg("-ldl")
            .status();
        assert!(built.unwrap().success());
        std::fs::rename(&own, &so).unwrap();
        so
    })
}

/// One call that changed a file, or was to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Call {
    pub operation: String,
    pub kind: String,
    pub site: String,
    pub failed: bool,
}

/// A disk that fails under one folder.
pub struct Disk {
    control: tempfile::TempDir,
    folder: PathBuf,
}

impl Disk {
    pub fn under(folder: &Path) -> Self {
        Self {
            control: tempfile::tempdir().unwrap(),
            folder: folder.to_owned(),
        }
    }

    /// What a process on this disk needs.
    pub fn environment(&self) -> Vec<(OsString, OsString)> {
        vec![
            ("LD_PRELOAD".into(), library().into()),
            ("FAULT_DISK".into(), self.folder.clone().into()),
            ("FAULT_DISK_CONTROL".into(), self.control.path().into()),
        ]
    }

    /// Fails by this rule from now on; see `fault_disk.c`.
    pub fn fail(&self, rule: &str) {
        let temporary = self.control.path().join("rule.new");
        std::fs::write(&temporary, rule).unwrap();
        std::fs::rename(temporary, self.control.path().join("rule")).unwrap();
    }

    /// Fails no more.
    pub fn heal(&self) {
        let _ = std::fs::remove_file(self.control.path().join("rule"));
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<Call> {
        let log = std::fs::read_to_string(self.control.path().join("log")).unwrap_or_default();
        let call = |line: &str| {
            let mut words = line.split(' ').skip(1).map(str::to_owned);
            Call {
                operation: words.next().unwrap(),
                kind: words.next().unwrap(),
                site: words.next().unwrap(),
                failed: words.next().is_some(),
            }
        };
        log.lines().map(call).collect()
    }
}
