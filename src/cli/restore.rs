//! A backup back into an empty state folder.

use super::commands::Done;
use crate::base::SystemClock;
use crate::config;
use crate::outbox;
use crate::service;
use std::path::{Path, PathBuf};

pub(super) fn run(files: &[PathBuf], backup: &Path) -> Done {
    let configuration = config::load(files)?;
    let settings = &configuration.store;
    // Held to the end: no service starts on what is half there.
    let _lock = service::lock(&settings.folder)?;
    let open = outbox::restore(backup, settings, &SystemClock)?;
    println!(
        "Restored. {open} document(s) were under way when the backup was made: \
         the insurer is asked about each before anything is sent."
    );
    println!("What was accepted since then is not here: programs hand it in again.");
    Ok(())
}
