//! Where files stand on each operating system.

use std::path::PathBuf;

/// The folder of the daemon's durable state when the configuration names none.
pub fn data_default() -> PathBuf {
    #[cfg(windows)]
    {
        let root = std::env::var_os("ProgramData").unwrap_or_else(|| r"C:\ProgramData".into());
        PathBuf::from(root).join("Sceau")
    }
    #[cfg(not(windows))]
    {
        PathBuf::from("/var/lib/sceau")
    }
}
