//! Checkpoints as signed notes (C2SP signed-note, tlog-checkpoint), signed with
//! Ed25519: origin, number of entries, root.

use super::Entry;
use super::tree::Hash;
use crate::base::{digest, hex};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::str::FromStr;

/// The algorithm byte of Ed25519 in keys and key ids.
const ED25519_ID: u8 = 1;
/// What begins a signature line.
const SIGNATURE: &str = "\u{2014} ";

/// Why a note is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not a verifier key `name+id+key`.
    #[error("not a public key of an audit log: {0}")]
    Key(&'static str),
    /// Not a signed checkpoint.
    #[error("not a signed checkpoint: {0}")]
    Malformed(&'static str),
    /// Signed by nobody known.
    #[error("signed with a key that is not the log's")]
    Foreign,
    /// The signature does not fit the text.
    #[error("its signature is not over this text")]
    Signature,
}

/// A public key with the name of its log; as text a verifier key,
/// `<name>+<id>+<base64 of algorithm and key>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    key: [u8; 32],
}

impl PublicKey {
    /// The name, which is the origin of its checkpoints.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key an entry records.
    pub(super) fn recorded(entry: &Entry) -> Option<Self> {
        entry.detail.get("key")?.as_str()?.parse().ok()
    }

    fn id(&self) -> [u8; 4] {
        let parts = [self.name.as_bytes(), b"\n", &[ED25519_ID], &self.key];
        let [a, b, c, d, ..] = digest::sha256_parts(&parts);
        [a, b, c, d]
    }

    fn verify(&self, text: &str, signature: &[u8]) -> Result<(), NoteError> {
        UnparsedPublicKey::new(&ED25519, &self.key)
            .verify(text.as_bytes(), signature)
            .map_err(|_| NoteError::Signature)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ED25519_ID];
        key.extend_from_slice(&self.key);
        let id = hex::encode(&self.id());
        write!(f, "{}+{id}+{}", self.name, STANDARD.encode(key))
    }
}

impl FromStr for PublicKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::Key("it has three parts with + between"));
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(NoteError::Key("its name is empty or has blanks"));
        }
        let key = STANDARD.decode(key).unwrap_or_default();
        let key = match key.split_first() {
            Some((&ED25519_ID, key)) => <[u8; 32]>::try_from(key).ok(),
            Some(_) | None => None,
        };
        let key = key.ok_or(NoteError::Key("its last part is no Ed25519 key in base64"))?;
        let name = name.to_owned();
        let key = Self { name, key };
        match hex::decode(id).is_some_and(|id| id == key.id()) {
            true => Ok(key),
            false => Err(NoteError::Key("its id is not that of name and key")),
        }
    }
}

/// The key that signs.
pub(super) struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl SigningKey {
    /// The key of a seed; `None` when the library refuses it.
    pub(super) fn new(name: &str, seed: &[u8; 32]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        let key = <[u8; 32]>::try_from(pair.public_key().as_ref()).ok()?;
        let name = name.to_owned();
        let public = PublicKey { name, key };
        Some(Self { pair, public })
    }

    pub(super) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// A checkpoint of this log as signed note.
    pub(super) fn checkpoint(&self, size: i64, root: Hash) -> String {
        let origin = self.public.name.clone();
        let text = Checkpoint { origin, size, root }.to_string();
        let signature = self.sign(&text);
        format!("{text}\n{signature}")
    }

    /// A signature line.
    fn sign(&self, text: &str) -> String {
        let mut signature = self.public.id().to_vec();
        signature.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        let signature = STANDARD.encode(signature);
        format!("{SIGNATURE}{} {signature}\n", self.public.name)
    }
}

/// What a checkpoint states. As text: the lines that are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name of the log.
    pub origin: String,
    /// Entries it covers, from the first.
    pub size: i64,
    /// Root of the Merkle tree over them.
    pub root: Hash,
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = STANDARD.encode(self.root);
        write!(f, "{}\n{}\n{root}\n", self.origin, self.size)
    }
}

impl Checkpoint {
    /// What a signed note states, once that one of `keys` that has its origin's
    /// name is known to have signed it. Lines of others beside do not count.
    ///
    /// # Errors
    /// [`NoteError`], but not [`NoteError::Key`].
    pub fn open(note: &str, keys: &[PublicKey]) -> Result<Self, NoteError> {
        let malformed = NoteError::Malformed;
        let place = note.rfind("\n\n").ok_or(malformed("no signature"))?;
        let (text, signatures) = note.split_at(place + 1);
        let checkpoint =
            Self::read(text).ok_or(malformed("not three lines: origin, size, root"))?;
        let signatures = signatures.strip_prefix('\n').unwrap_or_default();
        if !signatures.ends_with('\n') {
            return Err(malformed("the last line does not end"));
        }
        let mut found = Err(NoteError::Foreign);
        for line in signatures.lines() {
            let line = line.strip_prefix(SIGNATURE);
            let (name, signature) = line
                .and_then(|line| line.split_once(' '))
                .ok_or(malformed("a line that is no signature"))?;
            let signature = STANDARD.decode(signature).unwrap_or_default();
            let Some((id, signature)) = signature.split_first_chunk::<4>() else {
                return Err(malformed("a signature that is no base64"));
            };
            let signer = keys.iter().find(|key| key.name == name && key.id() == *id);
            if let Some(key) = signer {
                key.verify(text, signature)?;
                if key.name == checkpoint.origin {
                    found = Ok(());
                }
            }
        }
        found.map(|()| checkpoint)
    }

    fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let root = STANDARD.decode(root).ok()?.try_into().ok()?;
        let (origin, size) = (origin.to_owned(), size.parse().ok()?);
        let read = Self { origin, size, root };
        // One spelling each: what is signed is these lines and no others.
        (read.size >= 0 && read.to_string() == text).then_some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Go package golang.org/x/mod/sumdb/note, which is the
    /// reference of signed notes.
    const FOREIGN_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const FOREIGN_TEXT: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n";
    const FOREIGN_SIGNATURE: &str = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";

    fn key() -> SigningKey {
        SigningKey::new("sceau/audit/test", &[7; 32]).unwrap()
    }

    #[test]
    fn a_key_of_the_reference_verifies_its_note() {
        let key: PublicKey = FOREIGN_KEY.parse().unwrap();
        assert_eq!(key.to_string(), FOREIGN_KEY);
        let signature = STANDARD.decode(FOREIGN_SIGNATURE).unwrap();
        let (id, signature) = signature.split_at(4);
        assert_eq!(id, key.id());
        key.verify(FOREIGN_TEXT, signature).unwrap();
        let refused = key.verify(&FOREIGN_TEXT.replace("you", "we"), signature);
        assert_eq!(refused, Err(NoteError::Signature));
    }

    #[test]
    fn keys_that_are_not_whole_are_refused() {
        let good = key().public().to_string();
        assert_eq!(good.parse::<PublicKey>().unwrap(), *key().public());
        for bad in [
            "".to_owned(),
            "sceau/audit/test".to_owned(),
            good.replacen("sceau", "autre", 1),
            good.replacen("audit/", "au dit/", 1),
            good[..good.len() - 4].to_owned(),
            good.replacen("+A", "+B", 1),
        ] {
            let refused = bad.parse::<PublicKey>();
            assert!(matches!(refused, Err(NoteError::Key(_))), "{bad}");
        }
    }

    #[test]
    fn a_note_is_believed_as_it_was_signed_alone() {
        let keys = [key().public().clone()];
        let note = key().checkpoint(12, [1; 32]);
        let read = Checkpoint::open(&note, &keys).unwrap();
        assert_eq!((read.size, read.root), (12, [1; 32]));
        // A witness's line beside ours changes nothing (tlog-cosignature).
        let beside = format!("{note}\u{2014} witness.example AAAAAAAA\n");
        assert_eq!(Checkpoint::open(&beside, &keys), Ok(read));
        let other = SigningKey::new("sceau/audit/test", &[8; 32]).unwrap();
        // Of two logs one does not speak for the other.
        let both = [SigningKey::new("other", &[7; 32]).unwrap(), key()];
        let keys_of_both = both.each_ref().map(|key| key.public().clone());
        let (text, _) = note.split_once("\n\n").unwrap();
        let signature = both[0].sign(&format!("{text}\n"));
        let crossed = format!("{text}\n\n{signature}");
        let refused = Checkpoint::open(&crossed, &keys_of_both);
        assert_eq!(refused, Err(NoteError::Foreign));
        for (bad, why) in [
            (note.replace("\n12\n", "\n13\n"), NoteError::Signature),
            (other.checkpoint(12, [1; 32]), NoteError::Foreign),
            (
                SigningKey::new("other", &[7; 32])
                    .unwrap()
                    .checkpoint(12, [1; 32]),
                NoteError::Foreign,
            ),
        ] {
            assert_eq!(Checkpoint::open(&bad, &keys), Err(why), "{bad}");
        }
        for bad in [
            String::new(),
            note.replace("\n12\n", "\n012\n"),
            note.replace("\n12\n", "\n+12\n"),
            note.replace("\n12\n", "\n-12\n"),
            note.replace("\n12\n", "\n12\nmore\n"),
            note.replace("\n12\n", "\n12\r\n"),
            note.trim_end().to_owned(),
            note.replace('\u{2014}', "-"),
            note.replace("\n\n", "\n"),
        ] {
            let refused = Checkpoint::open(&bad, &keys);
            assert!(matches!(refused, Err(NoteError::Malformed(_))), "{bad:?}");
        }
    }
}
