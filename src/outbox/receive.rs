//! D1: a checked document becomes durable.

use super::{Kind, Link, Outbox, OutboxError, Record, rows};
use crate::audit;
use crate::base::{Uuid4, hex, hold};
use crate::forms::EnvironmentKind;
use crate::store::files;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

/// A checked document to be accepted.
#[derive(Debug)]
pub struct New {
    /// See [`Record`].
    pub uuid: Uuid4,
    /// See [`Record`].
    pub form: String,
    /// See [`Record`].
    pub version: String,
    /// See [`Record`].
    pub operation: String,
    /// See [`Record`].
    pub code_prestataire: String,
    /// See [`Record`].
    pub client: String,
    /// See [`Record`].
    pub environment: String,
    /// See [`Record`].
    pub environment_kind: EnvironmentKind,
    /// See [`Record`].
    pub signer: Option<String>,
    /// Whether somebody waits for the answer: it goes before those that wait
    /// in the queue.
    pub is_interactive: bool,
    /// The earlier documents it names.
    pub links: Vec<Link>,
    /// See [`Record`].
    pub request_sha256: [u8; 32],
    /// The XML as handed in.
    pub xml: Vec<u8>,
    /// The PDF, from its own part or decoded from the XML.
    pub pdf: Option<Vec<u8>>,
    /// What is shown of it.
    pub facts: Value,
    /// For the history: warnings of the check, no patient data.
    pub detail: Value,
}

/// What became of a [`New`].
#[derive(Debug, PartialEq)]
pub enum Accepted {
    /// It is durable since now.
    Fresh(Record),
    /// The same bytes under the same UUID were accepted before.
    Already(Record),
}

impl Outbox {
    /// D1: accepts a document. When this returns [`Accepted::Fresh`] it
    /// survives a crash; only then may the caller be told so.
    ///
    /// # Errors
    /// [`OutboxError::Conflict`] when the UUID stands for other bytes or for
    /// another environment, [`OutboxError::Full`],
    /// [`OutboxError::Standing`] when another document says the same, once, of
    /// the same earlier one.
    pub fn receive(&self, mut new: New) -> Result<Accepted, OutboxError> {
        if let Some(known) = self.find(new.uuid)? {
            return same(known, &new).map(Accepted::Already);
        }
        self.store.admit()?;
        self.admits(new.is_interactive)?;
        hold::point("d1-before");
        let mut bodies = vec![(Kind::RequestXml, std::mem::take(&mut new.xml))];
        bodies.extend(new.pdf.take().map(|pdf| (Kind::RequestPdf, pdf)));
        bodies.push((Kind::Facts, new.facts.to_string().into_bytes()));
        let bodies = self.seal_all(new.uuid, &bodies)?;
        let now = self.clock.now();
        let accepted = self.store.transact(|tx| {
            // Two equal requests may race to this point.
            if let Some(known) = rows::find(tx, new.uuid)? {
                return same(known, &new).map(Accepted::Already);
            }
            let record = rows::insert(tx, &new, now)?;
            for (place, link) in new.links.iter().enumerate() {
                if new.links.iter().take(place).any(|earlier| earlier == link) {
                    continue;
                }
                // Here it is decided which of two that race comes first.
                if let Some(by) = rows::standing(tx, record.scope(), new.uuid, link)? {
                    return Err(OutboxError::Standing { link: place, by });
                }
                rows::insert_link(tx, &record, place, link)?;
            }
            self.keep_all(tx, new.uuid, &bodies)?;
            let subject = new.uuid.to_string();
            let received = json!({
                "client": new.client, "request_sha256": hex::encode(&new.request_sha256),
                "environment": new.environment,
            });
            audit::append(tx, now, &subject, "received", &received)?;
            audit::append(tx, now, &subject, "checked", &new.detail)?;
            Ok::<_, OutboxError>(Accepted::Fresh(record))
        });
        if let Ok(Accepted::Already(_)) = &accepted {
            self.discard(&files(bodies.iter().map(|(_, body)| body)));
        }
        let accepted = self.unless_lost(accepted, &bodies)?;
        hold::point("d1-after");
        if let Accepted::Fresh(_) = &accepted {
            self.open.fetch_add(1, Ordering::Relaxed);
            self.settle(&bodies, &[]);
        }
        self.notify();
        Ok(accepted)
    }

    /// The submission that was handed in with exactly this request.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn find_request(&self, sha256: &[u8; 32]) -> Result<Option<Record>, OutboxError> {
        Ok(self.store.read(|c| rows::find_request(c, sha256))?)
    }
}

/// What was accepted for another environment was never sent to this one.
fn same(known: Record, new: &New) -> Result<Record, OutboxError> {
    if known.request_sha256 == new.request_sha256
        && known.is_for(&new.environment, new.environment_kind)
    {
        Ok(known)
    } else {
        Err(OutboxError::Conflict(known.uuid))
    }
}
