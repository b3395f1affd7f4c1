//! Identifiers whose type says what they identify.

use std::fmt;
use std::str::FromStr;
use uuid::{Uuid, Variant};

/// A random (version 4) UUID, RFC 9562 §5.4: the only kind a document may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uuid4(Uuid);

/// Whether a text is a UUID of any version, which may be written in capitals
/// and is the same then (RFC 9562 §4).
pub fn is_uuid(text: &str) -> bool {
    text.len() == 36 && Uuid::try_parse(text).is_ok()
}

/// Why a text is not a version 4 UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Uuid4Error {
    /// Not 36 characters of hexadecimal groups 8-4-4-4-12.
    #[error("is not a UUID of the form xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx")]
    Malformed,
    /// A UUID, but of another version or variant.
    #[error("is a UUID of another version; RFC 9562 §5.4 version 4 (random) is required")]
    NotRandom,
}

impl Uuid4 {
    /// A new random UUID.
    #[expect(clippy::disallowed_methods, reason = "the one place that makes UUIDs")]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The sixteen bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl FromStr for Uuid4 {
    type Err = Uuid4Error;

    fn from_str(text: &str) -> Result<Self, Uuid4Error> {
        // `Uuid::parse_str` also takes braces, URNs and bare digits: insist on
        // the hyphenated form so that equal ids are equal texts.
        if text.len() != 36 {
            return Err(Uuid4Error::Malformed);
        }
        let uuid = Uuid::try_parse(text).map_err(|_| Uuid4Error::Malformed)?;
        if uuid.get_version_num() != 4 || uuid.get_variant() != Variant::RFC4122 {
            return Err(Uuid4Error::NotRandom);
        }
        Ok(Self(uuid))
    }
}

impl fmt::Display for Uuid4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}
