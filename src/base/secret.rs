//! Bytes that are wiped when dropped and never printed.

use std::fmt;
use zeroize::Zeroizing;

/// A PIN, passphrase or key. No `Display`, a blind `Debug`, wiped on drop.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes ownership of the bytes; the caller keeps no copy.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for the one call that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Reads a secret from a credential file: its first line without the line
    /// end, as systemd credentials and password files are written.
    pub fn from_file(path: &std::path::Path) -> std::io::Result<Self> {
        let whole = Zeroizing::new(std::fs::read(path)?);
        let line = whole.split(|b| *b == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Ok(Self::new(line.to_vec()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
