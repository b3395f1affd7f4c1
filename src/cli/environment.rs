//! Environments that can be sent to.

use super::Files;
use super::commands::Done;
use crate::config;
use clap::Subcommand;
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

pub(super) fn run(command: EnvironmentCommand) -> Done {
    match command {
        EnvironmentCommand::Import { profile, files } => {
            let name = config::import(&files.config, &profile)?;
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
