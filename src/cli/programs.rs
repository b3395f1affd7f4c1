//! Programs that may use the API: pairing, listing, unpairing.

use super::commands::Done;
use crate::base::clock::rfc3339_seconds;
use crate::base::{Secret, SystemClock};
use crate::config::{self, Configuration};
use crate::forms::CodePrestataire;
use crate::outbox::{self, Client};
use crate::store::Store;
use clap::Args;
use std::error::Error;
use std::io::Write;
use std::path::PathBuf;

#[derive(Args)]
pub(super) struct Pairing {
    /// Name of the program; pairing it again voids its old token and binding.
    #[arg(required_unless_present = "list")]
    name: Option<String>,
    /// Code prestataire it may act for; may be given several times. Without
    /// one: every practitioner.
    #[arg(long = "practitioner", value_name = "CODE", value_parser = code)]
    practitioners: Vec<CodePrestataire>,
    /// List the paired programs.
    #[arg(long, conflicts_with_all = ["name", "practitioners"])]
    list: bool,
}

fn code(text: &str) -> Result<CodePrestataire, String> {
    text.parse()
        .map_err(|error: crate::forms::CodePrestataireError| error.to_string())
}

pub(super) fn pair(files: &[PathBuf], pairing: &Pairing) -> Done {
    let configuration = config::load(files)?;
    let Some(name) = &pairing.name else {
        return list(&configuration);
    };
    let token = pair_in(&configuration, name, &pairing.practitioners)?;
    // Once, to standard output alone, so that it can be piped into a secret store.
    let mut out = std::io::stdout().lock();
    out.write_all(token.expose())?;
    out.write_all(b"\n")?;
    Ok(())
}

pub(super) fn pair_in(
    configuration: &Configuration,
    name: &str,
    practitioners: &[CodePrestataire],
) -> Result<Secret, Box<dyn Error>> {
    let people = &configuration.people;
    let stranger = practitioners
        .iter()
        .find(|code| people.sender(code.as_str()).is_none());
    if let Some(code) = stranger {
        return Err(format!("no practitioner {code} is configured").into());
    }
    let store = store(configuration)?;
    Ok(Client::pair(&store, &SystemClock, name, practitioners)?)
}

fn list(configuration: &Configuration) -> Done {
    for client in Client::list(&store(configuration)?)? {
        let codes = client.practitioners.iter().map(CodePrestataire::as_str);
        let codes = match client.practitioners.is_empty() {
            true => "every practitioner".to_owned(),
            false => codes.collect::<Vec<_>>().join(" "),
        };
        let at = rfc3339_seconds(client.paired_at);
        println!("{}\t{at}\t{codes}", client.name);
    }
    Ok(())
}

pub(super) fn unpair(files: &[PathBuf], name: &str) -> Done {
    let configuration = config::load(files)?;
    match Client::unpair(&store(&configuration)?, &SystemClock, name)? {
        true => Ok(()),
        false => Err(format!("no program \"{name}\" is paired").into()),
    }
}

fn store(configuration: &Configuration) -> Result<Store, Box<dyn Error>> {
    Ok(Store::open(&configuration.store, &outbox::migrations())?)
}
