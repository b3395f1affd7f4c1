//! AES-256-GCM sealing: one key for each body, wrapped with the store's key.

use crate::base::{Secret, random};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;

/// Version of the sealed form; the first byte of every sealed value.
const VERSION: u8 = 1;

pub(super) struct Seal {
    wrapping: LessSafeKey,
    index: hmac::Key,
    backup: hmac::Key,
}

impl Seal {
    pub(super) fn new(key: &Secret) -> Self {
        // A key for each purpose, derived from the stored one.
        let root = hmac::Key::new(hmac::HMAC_SHA256, key.expose());
        let wrapping = hmac::sign(&root, b"sceau body wrapping 1");
        let index = hmac::sign(&root, b"sceau index 1");
        let backup = hmac::sign(&root, b"sceau backup 1");
        Self {
            wrapping: cipher(wrapping.as_ref()),
            index: hmac::Key::new(hmac::HMAC_SHA256, index.as_ref()),
            backup: hmac::Key::new(hmac::HMAC_SHA256, backup.as_ref()),
        }
    }

    /// Returns the wrapped key and the sealed bytes of `plain`, both bound to
    /// `name`.
    pub(super) fn seal(&self, name: &str, plain: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let key = zeroize::Zeroizing::new(random::bytes::<32>());
        let wrapped = encrypt(&self.wrapping, name, key.as_slice());
        (wrapped, encrypt(&cipher(key.as_slice()), name, plain))
    }

    /// The inverse of [`Seal::seal`]; `None` when anything was altered.
    pub(super) fn open(&self, name: &str, wrapped: &[u8], sealed: Vec<u8>) -> Option<Vec<u8>> {
        let key = zeroize::Zeroizing::new(decrypt(&self.wrapping, name, wrapped.to_vec())?);
        decrypt(&cipher(&key), name, sealed)
    }

    /// The key of one backup file; `salt` is its own.
    pub(super) fn backup_key(&self, salt: &[u8]) -> LessSafeKey {
        cipher(hmac::sign(&self.backup, salt).as_ref())
    }

    pub(super) fn keyed_hash(&self, text: &str) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(hmac::sign(&self.index, text.as_bytes()).as_ref());
        out
    }
}

fn cipher(key: &[u8]) -> LessSafeKey {
    let key = UnboundKey::new(&AES_256_GCM, key);
    LessSafeKey::new(key.expect("every key here has 32 bytes"))
}

fn encrypt(cipher: &LessSafeKey, name: &str, plain: &[u8]) -> Vec<u8> {
    let nonce = random::bytes::<NONCE_LEN>();
    let mut out = Vec::with_capacity(1 + NONCE_LEN + plain.len() + 16);
    out.push(VERSION);
    out.extend_from_slice(&nonce);
    out.extend_from_slice(plain);
    let tag = cipher.seal_in_place_separate_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::from(name.as_bytes()),
        &mut out[1 + NONCE_LEN..],
    );
    out.extend_from_slice(
        tag.expect("bodies are far below the limit of AES-GCM")
            .as_ref(),
    );
    out
}

fn decrypt(cipher: &LessSafeKey, name: &str, mut sealed: Vec<u8>) -> Option<Vec<u8>> {
    let (version, rest) = sealed.split_first_mut()?;
    if *version != VERSION || rest.len() < NONCE_LEN {
        return None;
    }
    let (nonce, body) = rest.split_at_mut(NONCE_LEN);
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let plain = cipher
        .open_in_place(nonce, Aad::from(name.as_bytes()), body)
        .ok()?;
    let length = plain.len();
    sealed.drain(..1 + NONCE_LEN);
    sealed.truncate(length);
    Some(sealed)
}
