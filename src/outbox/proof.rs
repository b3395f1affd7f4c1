//! What proves the history of a submission, and that there is one.

use super::{Outbox, OutboxError, Record, rows};
use crate::audit::{self, Link, Witness};
use crate::base::Uuid4;
use crate::forms::EnvironmentKind;
use crate::store::Store;

/// The entries about one submission as the hash chain holds them, and where
/// the chain ends: who compares both with the log finds that nothing was left
/// out or altered.
#[derive(Debug)]
pub struct Proof {
    /// The entries, oldest first.
    pub links: Vec<Link>,
    /// Number and hash of the newest entry of the whole log.
    pub head: (i64, Vec<u8>),
    /// The checkpoint that covers the entries, when there is one.
    pub witness: Option<Witness>,
}

impl Outbox {
    /// The proof of a submission's history.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn proof(&self, uuid: Uuid4) -> Result<Proof, OutboxError> {
        self.store.read(|connection| {
            let links = audit::links(connection, &uuid.to_string())?;
            let entries: Vec<i64> = links.iter().map(|link| link.seq).collect();
            Ok(Proof {
                witness: audit::witness(connection, &entries)?,
                links,
                head: audit::head(connection)?.unwrap_or_default(),
            })
        })
    }
}

impl Record {
    /// The first document of a sender that an environment of this kind accepted.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn first_receipted(
        store: &Store,
        code_prestataire: &str,
        kind: EnvironmentKind,
    ) -> Result<Option<Self>, OutboxError> {
        let kind = kind.as_str();
        Ok(store.read(|connection| rows::first_receipted(connection, code_prestataire, kind))?)
    }
}
