//! SHA-2 digests and constant-time comparison.

use aws_lc_rs::{constant_time, digest};

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// SHA-256 of bytes that come in pieces, large or small.
pub struct Sha256 {
    context: digest::Context,
    /// Small pieces, gathered: each update costs as much as some hundred bytes.
    gathered: Vec<u8>,
}

/// Bytes gathered before they are hashed.
const GATHERED_BYTES: usize = 4 << 10;

impl Sha256 {
    /// A digest of nothing yet.
    pub fn new() -> Self {
        Self {
            context: digest::Context::new(&digest::SHA256),
            gathered: Vec::with_capacity(GATHERED_BYTES),
        }
    }

    /// Adds a piece.
    pub fn update(&mut self, piece: &[u8]) {
        if self.gathered.len() + piece.len() > GATHERED_BYTES {
            self.context.update(&self.gathered);
            self.gathered.clear();
        }
        if piece.len() > GATHERED_BYTES {
            self.context.update(piece);
        } else {
            self.gathered.extend_from_slice(piece);
        }
    }

    /// The digest of all pieces.
    pub fn finish(mut self) -> [u8; 32] {
        self.context.update(&self.gathered);
        let mut out = [0; 32];
        out.copy_from_slice(self.context.finish().as_ref());
        out
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

/// SHA-256 of several pieces in order, without joining them.
pub fn sha256_parts(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// Compares secrets without leaking where they differ.
pub fn equal_secret(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}
