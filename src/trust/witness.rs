//! What timestamps witness beside the document they are for. The nonce of a
//! request (RFC 3161 §2.4.1) must be unpredictable and used once, and comes back
//! signed with the time: a salted digest in its place is as good a nonce, and
//! binds what it is the digest of.

use crate::x509::Cert;
use crate::x509::tsp::TimestampToken;

/// Somebody who has something to be witnessed now and then.
pub trait Witness: Send + Sync {
    /// What the next request shall carry; asked before each one, so that each
    /// authority gets a nonce of its own. Must not fail and not take long.
    fn commitment(&self) -> Option<Commitment>;
}

/// A nonce, and what to do once a good timestamp has it.
pub struct Commitment {
    /// As unpredictable as a random one.
    pub nonce: [u8; 16],
    /// Told the token and the chain from its signer up to the anchor. Not called
    /// when the request failed: nothing is witnessed then.
    pub witnessed: Witnessed,
}

/// See [`Commitment::witnessed`].
pub type Witnessed = Box<dyn FnOnce(&TimestampToken, &[Cert]) + Send>;
