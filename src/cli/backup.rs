//! Backups of the state folder. The store's own lock lets one be made beside
//! the running service, and of one that hangs.

use super::commands::Done;
use crate::base::{SystemClock, Uuid4};
use crate::config;
use crate::outbox;
use crate::store::Store;
use std::path::{Path, PathBuf};

pub(super) fn run(files: &[PathBuf], target: &Path) -> Done {
    let configuration = config::load(files)?;
    let target = std::path::absolute(target)?;
    let settings = &configuration.store;
    let store = Store::open(settings, &outbox::migrations())?.with_bound(configuration.room);
    let scratch = format!("restore-test-{}", Uuid4::random());
    let scratch = settings.folder.join(scratch);
    let made = outbox::back_up(&store, settings, &SystemClock, &target, &scratch)?;
    println!(
        "{}: {} bytes, {} documents in files; restored for a test.",
        target.display(),
        made.bytes,
        made.bodies
    );
    println!("It opens with the sealing key only: keep a copy of that apart from it.");
    Ok(())
}
