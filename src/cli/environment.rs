//! Environments that can be sent to.

use super::Files;
use super::commands::Done;
use crate::base::{Clock, SystemClock};
use crate::config::{self, Profile};
use crate::store::Store;
use crate::{audit, outbox};
use clap::Subcommand;
use serde_json::json;
use std::path::PathBuf;

#[derive(Subcommand)]
pub(super) enum EnvironmentCommand {
    /// Check a profile whole and keep it; `environment.use` then names it.
    Import {
        /// The profile: tables environment, trust and mysecu.
        profile: PathBuf,
        #[command(flatten)]
        files: Files,
    },
    /// List the imported environments.
    List(Files),
}

/// Where documents may go is part of what happened here. A service may run.
fn note(files: &Files, name: &str) -> Done {
    let configuration = config::load(&files.config)?;
    let profiles = config::profiles(&files.config)?;
    let profile = profiles.iter().find(|profile| profile.name == name);
    let detail = json!({
        "environment": name,
        "kind": profile.map(|profile| profile.kind.to_string()),
        "exchange_url": profile.map(Profile::exchange_url),
    });
    let store = Store::open(&configuration.store, &outbox::migrations())?;
    let now = SystemClock.now();
    store.transact(|tx| audit::append(tx, now, "daemon", "environment-imported", &detail))?;
    Ok(())
}

pub(super) fn run(command: EnvironmentCommand) -> Done {
    match command {
        EnvironmentCommand::Import { profile, files } => {
            let name = config::import(&files.config, &profile)?;
            note(&files, &name).map_err(|error| {
                format!("the environment is kept, but not noted in the audit log: {error}")
            })?;
            println!("The environment is kept. To use it:\n\n[environment]\nuse = \"{name}\"");
        }
        EnvironmentCommand::List(files) => {
            for profile in config::profiles(&files.config)? {
                let (name, kind, url) = (&profile.name, profile.kind, profile.exchange_url());
                println!("{name}\t{kind}\t{url}");
            }
        }
    }
    Ok(())
}
