//! What documents say of earlier ones: which one they name, and that only one
//! document of a kind may stand that names the same.

use super::rows;
use super::{Outbox, OutboxError, Record};
use crate::audit;
use crate::base::{Uuid4, ids};
use serde_json::Value;

/// How a document names an earlier one of the same form and sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// By the receiver's id of it; see [`Name::insurer_id`].
    InsurerId(String),
    /// By its UUID; see [`Name::uuid`].
    Uuid(String),
}

impl Name {
    /// A UUID as a document writes it: however written, it is one name.
    pub fn uuid(text: &str) -> Self {
        Self::Uuid(text.to_lowercase())
    }

    /// A receiver's id as a document writes it. Nothing is known of it, so that
    /// `a1` and `A1` are two; a UUID is one name however written.
    pub fn insurer_id(text: &str) -> Self {
        Self::InsurerId(match ids::is_uuid(text) {
            true => text.to_lowercase(),
            false => text.to_owned(),
        })
    }

    /// `insurer-id` or `uuid`.
    pub fn by(&self) -> &'static str {
        match self {
            Self::InsurerId(_) => "insurer-id",
            Self::Uuid(_) => "uuid",
        }
    }

    /// The id itself.
    pub fn value(&self) -> &str {
        match self {
            Self::InsurerId(value) | Self::Uuid(value) => value,
        }
    }

    pub(super) fn read(by: &str, value: String) -> Option<Self> {
        match by {
            "insurer-id" => Some(Self::InsurerId(value)),
            "uuid" => Some(Self::Uuid(value)),
            _ => None,
        }
    }
}

/// That a document names an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The earlier one.
    pub name: Name,
    /// Of all documents with this word only one may stand that names the same;
    /// one that the receiver refused does not stand.
    pub once: Option<String>,
}

/// Among which documents a name is searched.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Name of the environment: an id of one says nothing in another.
    pub environment: &'a str,
    /// Form.
    pub form: &'a str,
    /// Sender's code prestataire.
    pub code_prestataire: &'a str,
}

impl Outbox {
    /// Notes in the audit log that a key signed what belongs to no submission.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn signed_apart(&self, detail: &Value) -> Result<(), OutboxError> {
        let now = self.clock.now();
        let done = self
            .store
            .transact(|tx| audit::append(tx, now, "daemon", "signed-apart", detail));
        Ok(done?)
    }

    /// Whether any submission was accepted with this form and version. Looks at
    /// all when there is none.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn has_any_of(&self, form: &str, version: &str) -> Result<bool, OutboxError> {
        Ok(self.store.read(|c| rows::has_any_of(c, form, version))?)
    }

    /// The submissions of this name, newest first: those of the sender, and
    /// those of others in the same environment and form.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn named(&self, scope: Scope<'_>, name: &Name) -> Result<Vec<Record>, OutboxError> {
        Ok(self.store.read(|c| rows::named(c, scope, name))?)
    }

    /// The document that stands in the way of another one with this link.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn standing(
        &self,
        scope: Scope<'_>,
        own: Uuid4,
        link: &Link,
    ) -> Result<Option<Uuid4>, OutboxError> {
        Ok(self.store.read(|c| rows::standing(c, scope, own, link))?)
    }

    /// What a submission says of earlier ones, each with its UUID where it was
    /// handed in here.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn links(&self, record: &Record) -> Result<Vec<(Link, Option<Uuid4>)>, OutboxError> {
        let scope = record.scope();
        let found = self.store.read(|c| {
            let links = rows::links(c, record.uuid)?.into_iter();
            links
                .map(|link| {
                    let named = rows::named(c, scope, &link.name)?;
                    let mut own = named.into_iter();
                    let own = own.find(|r| r.code_prestataire == scope.code_prestataire);
                    Ok((link, own.map(|record| record.uuid)))
                })
                .collect::<Result<_, OutboxError>>()
        })?;
        Ok(found)
    }

    /// The submissions that name this one and were not refused, oldest first.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn referring(&self, record: &Record) -> Result<Vec<Uuid4>, OutboxError> {
        Ok(self.store.read(|c| rows::referring(c, record))?)
    }
}
