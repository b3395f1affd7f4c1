//! What the daemon and a token worker say to each other: one request, one
//! answer, each a frame of two lengths (big-endian u32), a JSON head and a raw
//! tail. PINs, digests and signatures travel in the tail, so that they are
//! never inside a text that some layer might log or copy.

use super::mechanism::Mechanism;
use crate::base::limits::WORKER_FRAME_BYTES_MAX;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{Error, ErrorKind, Read, Result, Write};
use zeroize::Zeroizing;

/// What the daemon asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub(super) enum Request {
    /// Load the module and initialise it.
    Init,
    /// Find the token, open a session, read the certificates.
    Open {
        serial: Option<String>,
        /// SHA-256 of a certificate the token must hold, hexadecimal.
        certificate: Option<String>,
    },
    /// Is the session still good, and what do the PIN flags say?
    Check,
    /// Log in with the PIN in the tail, or without one where the token asks its
    /// holder itself, and find the private keys.
    Login,
    /// Read certificates and private keys again: the token showed none that
    /// belong together after the login.
    Reread,
    /// Sign what is in the tail: a digest or a message, as the mechanism says.
    Sign {
        /// SHA-256 of the certificate, hexadecimal.
        certificate: String,
        mechanism: Mechanism,
    },
    /// Log out and forget the PIN.
    Logout,
}

impl Request {
    /// A name for messages.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Init => "initialise",
            Self::Open { .. } => "open",
            Self::Check => "check",
            Self::Login => "login",
            Self::Reread => "read again",
            Self::Sign { .. } => "sign",
            Self::Logout => "logout",
        }
    }
}

/// What the worker answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub(super) enum Answer {
    /// Done, nothing to tell.
    Done,
    /// A token is open.
    Opened(Opened),
    /// The session is good.
    Checked { flags: PinFlags },
    /// Logged in; these keys can sign.
    LoggedIn { keys: Vec<KeyFact> },
    /// What is on the token; certificates are DER, hexadecimal.
    Reread {
        certificates: Vec<String>,
        keys: Vec<KeyFact>,
    },
    /// The signature is in the tail.
    Signed,
    /// The token or its module refused.
    Fault(Fault),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Opened {
    pub(super) label: String,
    pub(super) serial: String,
    pub(super) flags: PinFlags,
    /// `CKF_PROTECTED_AUTHENTICATION_PATH`: the token asks for the PIN itself.
    pub(super) pin_on_reader: bool,
    /// Those of ours the token offers.
    pub(super) mechanisms: Vec<Mechanism>,
    /// DER, hexadecimal.
    pub(super) certificates: Vec<String>,
    /// Present when the token wants no login at all.
    pub(super) keys: Option<Vec<KeyFact>>,
}

/// The user PIN's flags in `CK_TOKEN_INFO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PinFlags {
    pub(super) count_low: bool,
    pub(super) final_try: bool,
    pub(super) locked: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeyFact {
    /// SHA-256 of the certificate, hexadecimal.
    pub(super) certificate: String,
    pub(super) always_authenticate: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    /// The PKCS#11 return code, or what is wrong, in English.
    pub(super) detail: String,
}

/// What a refusal means for the state of things (docs/token.md has the table
/// of return codes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FaultKind {
    /// The module cannot be loaded or initialised.
    Module,
    /// No such token is plugged in.
    Absent,
    /// Tokens are there, but not the wanted one.
    Wrong,
    /// Several tokens fit.
    Several,
    PinIncorrect,
    PinLocked,
    /// The holder cancelled the entry on the reader.
    PinCancelled,
    /// The session or the token behind it is gone; opening again may help.
    SessionLost,
    NotLoggedIn,
    NoKey,
    /// A return code that says nothing; some drivers have no other for a token
    /// that was pulled.
    General,
    /// Any other return code.
    Refused,
}

/// Writes one frame. Head and tail are written apart so that the tail is not
/// copied into another buffer.
pub(super) fn write(output: &mut impl Write, head: &impl Serialize, tail: &[u8]) -> Result<()> {
    let head = serde_json::to_vec(head)?;
    if head.len().saturating_add(tail.len()) > WORKER_FRAME_BYTES_MAX {
        return Err(Error::new(ErrorKind::InvalidData, "frame too long"));
    }
    let mut start = Vec::with_capacity(8 + head.len());
    start.extend_from_slice(&(head.len() as u32).to_be_bytes());
    start.extend_from_slice(&(tail.len() as u32).to_be_bytes());
    start.extend_from_slice(&head);
    output.write_all(&start)?;
    output.write_all(tail)?;
    output.flush()
}

/// Reads one frame; `None` when the other side has closed between frames.
pub(super) fn read<T: DeserializeOwned>(
    input: &mut impl Read,
) -> Result<Option<(T, Zeroizing<Vec<u8>>)>> {
    let mut lengths = [0u8; 8];
    loop {
        match input.read(&mut lengths[..1]) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    input.read_exact(&mut lengths[1..])?;
    let [a, b, c, d, e, f, g, h] = lengths;
    let head_size = u32::from_be_bytes([a, b, c, d]) as usize;
    let tail_size = u32::from_be_bytes([e, f, g, h]) as usize;
    if head_size.saturating_add(tail_size) > WORKER_FRAME_BYTES_MAX {
        return Err(Error::new(ErrorKind::InvalidData, "frame too long"));
    }
    let mut head = vec![0; head_size];
    input.read_exact(&mut head)?;
    let mut tail = Zeroizing::new(vec![0; tail_size]);
    input.read_exact(&mut tail)?;
    let head = serde_json::from_slice(&head)?;
    Ok(Some((head, tail)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(head: &[u8], tail: &[u8]) -> Vec<u8> {
        let mut bytes = (head.len() as u32).to_be_bytes().to_vec();
        bytes.extend((tail.len() as u32).to_be_bytes());
        bytes.extend(head);
        bytes.extend(tail);
        bytes
    }

    #[test]
    fn a_frame_survives_the_way() {
        let request = Request::Sign {
            certificate: "ab".into(),
            mechanism: Mechanism::Ecdsa,
        };
        let mut bytes = Vec::new();
        write(&mut bytes, &request, b"digest").unwrap();
        let mut input = bytes.as_slice();
        let (head, tail) = read::<Request>(&mut input).unwrap().unwrap();
        assert_eq!((head, tail.as_slice()), (request, b"digest".as_slice()));
        assert!(read::<Request>(&mut input).unwrap().is_none());
    }

    #[test]
    fn the_tail_is_not_in_the_head() {
        let mut bytes = Vec::new();
        write(&mut bytes, &Request::Login, b"4711").unwrap();
        assert_eq!(bytes, frame(br#"{"verb":"login"}"#, b"4711"));
    }

    #[test]
    fn nonsense_is_refused_before_it_is_stored() {
        let huge = [0xff; 8];
        let cases: [&[u8]; 5] = [
            &huge,
            &frame(br#"{"verb":"dance"}"#, b""),
            &frame(br#"{"verb":"sign"}"#, b""),
            &frame(br#"{"verb":"login"}"#, b"4711")[..20],
            b"PCSC: reader not found\n",
        ];
        for case in cases {
            assert!(read::<Request>(&mut &case[..]).is_err(), "{case:?}");
        }
    }

    #[test]
    fn a_frame_over_the_limit_is_not_written() {
        let tail = vec![0; WORKER_FRAME_BYTES_MAX];
        let mut bytes = Vec::new();
        assert!(write(&mut bytes, &Request::Login, &tail).is_err());
        assert!(bytes.is_empty());
    }
}
