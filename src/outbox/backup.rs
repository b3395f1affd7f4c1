//! Backups of everything the outbox keeps, and what a restored one may believe:
//! whatever was open when it was made may have been sent since.

use super::rows::{self, NOT_ASIDE, OPEN};
use super::{Outbox, OutboxError, bodies, damaged, migrations};
use crate::audit;
use crate::base::clock::unix_ms;
use crate::base::{Clock, causes};
use crate::store::rusqlite::{Transaction, params};
use crate::store::{self, Made, Settings, Store, StoreError};
use serde_json::json;
use std::path::Path;
use std::sync::PoisonError;
use time::OffsetDateTime;

/// What goes with the database and the bodies: what else of the state folder
/// cannot be had again.
const ALSO: [&str; 3] = ["workstation.id", "environments", "packs"];

/// Writes a backup of a store that others may work on, tells the audit log, and
/// proves it: it is restored into `scratch`, which must not be there, its
/// database is checked and every body of it is opened.
///
/// # Errors
/// [`OutboxError::Store`]; a backup that could not be proved is removed.
pub fn back_up(
    store: &Store,
    settings: &Settings,
    clock: &dyn Clock,
    target: &Path,
    scratch: &Path,
) -> Result<Made, OutboxError> {
    let made = store.back_up(target, bodies::files, &ALSO)?;
    let proved = prove(settings, target, scratch);
    // Sealed all of it, but it has served.
    let removed = std::fs::remove_dir_all(scratch);
    if let (Err(error), Ok(_)) = (&removed, &proved) {
        tracing::warn!(%error, scratch = %scratch.display(), "a tested backup is not removed");
    }
    if let Err(error) = proved {
        let _ = std::fs::remove_file(target);
        return Err(error);
    }
    store.transact(|tx| {
        let detail = json!({ "bytes": made.bytes, "files": made.bodies });
        Ok::<_, OutboxError>(audit::append(
            tx,
            clock.now(),
            "daemon",
            "backed-up",
            &detail,
        )?)
    })?;
    Ok(made)
}

/// Restores a backup into a scratch folder and opens every body in it.
fn prove(settings: &Settings, backup: &Path, scratch: &Path) -> Result<(), OutboxError> {
    let own = settings.folder.join("seal.key");
    let key_file = settings.key_file.clone().unwrap_or(own);
    let there = Settings {
        folder: scratch.to_owned(),
        key_file: Some(key_file),
    };
    store::restore(backup, &there, &migrations(), |_| Ok::<_, StoreError>(()))?;
    let restored = Store::open(&there, &migrations())?;
    for body in restored.read(bodies::all)? {
        restored.body(&body)?;
    }
    Ok(())
}

/// Restores a backup into an empty state folder, which nobody else may use
/// meanwhile. Whatever was open in it becomes `Unknown`, because it may have been
/// sent since: the receiver is asked first. Cut off before that, it leaves no
/// database. Returns how many that are.
///
/// # Errors
/// [`OutboxError::Store`].
pub fn restore(
    backup: &Path,
    settings: &Settings,
    clock: &dyn Clock,
) -> Result<usize, OutboxError> {
    store::restore(backup, settings, &migrations(), |tx| {
        let now = clock.now();
        audit::append(tx, now, "daemon", "restored", &json!({}))?;
        // A backup copies damage: what is written now must not make it sound.
        tx.execute_batch("REINDEX submission")
            .map_err(StoreError::sql("make indexes anew"))?;
        damaged::set_all_aside(tx, now)?;
        let open = rows::open(tx)?;
        for uuid in &open {
            let detail = json!({ "reason": "restored from a backup" });
            audit::append(tx, now, uuid, "unknown", &detail)?;
        }
        doubt(tx, unix_ms(now))?;
        Ok::<_, OutboxError>(open.len())
    })
}

fn doubt(tx: &Transaction<'_>, now: i64) -> Result<(), StoreError> {
    let sql = format!(
        "UPDATE submission SET \
         resume = CASE WHEN state IN ('received', 'signed', 'stamped') THEN state ELSE resume END, \
         state = 'unknown', due_ms = ?1, updated_ms = ?1, lease_ms = NULL, tries = 0, \
         wait_class = 'ours', wait_code = 'restored', \
         wait_text = 'A backup was restored; the receiver is asked whether it has this document.' \
         WHERE {OPEN} AND {NOT_ASIDE}"
    );
    tx.execute(&sql, params![now])
        .map_err(StoreError::sql("doubt what was open"))?;
    Ok(())
}

impl OutboxError {
    /// An adapter for `map_err` on what is done with a folder of backups.
    pub fn folder(folder: &Path) -> impl Fn(std::io::Error) -> Self {
        move |source| Self::Store {
            operation: "keep backups",
            source: StoreError::File {
                operation: "use",
                path: folder.to_owned(),
                source,
            },
        }
    }
}

/// Why the last backup was not made, and when it was tried.
#[derive(Debug, Clone)]
pub struct BackupFailure {
    /// When.
    pub at: OffsetDateTime,
    /// The failure and its causes, in English.
    pub cause: String,
}

impl Outbox {
    /// Keeps how the last backup on the schedule ended, for who shows it.
    pub fn backup_ended(&self, failure: Option<&OutboxError>) {
        let failure = failure.map(|error| BackupFailure {
            at: self.clock.now(),
            cause: causes(error),
        });
        *self.backup.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    /// Why there was no backup when one was due; `None` when all is well.
    pub fn backup_failure(&self) -> Option<BackupFailure> {
        let failure = self.backup.lock();
        failure.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes an event of the service itself into the audit log.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn note(&self, event: &str) -> Result<(), OutboxError> {
        let now = self.clock.now();
        self.store
            .transact(|tx| Ok(audit::append(tx, now, "daemon", event, &json!({}))?))
    }

    /// When `event` was last written down, or else when the log begins.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    pub fn last_kept(&self, event: &str) -> Result<Option<OffsetDateTime>, OutboxError> {
        Ok(self.store.read(|c| {
            Ok::<_, StoreError>(match audit::last(c, event)? {
                None => audit::first(c)?,
                last => last,
            })
        })?)
    }
}
