//! `sceau audit`: the log verified, exported, and its key and checkpoints shown.

use super::{Files, report};
use crate::audit::{self, Database, Export, Fault, Judge, Kept, Log, PublicKey, Report};
use crate::base::clock::rfc3339;
use crate::base::{SystemClock, hex};
use crate::config::{self, Configuration};
use crate::outbox;
use crate::store::Store;
use crate::trust;
use crate::x509::tsp::TimestampToken;
use crate::x509::{Cert, SignatureAlgorithm};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// The log has faults.
const FAULTY: u8 = 3;
/// The command cannot be carried out.
const USAGE: u8 = 2;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Options {
    #[command(subcommand)]
    what: Option<AuditCommand>,
    #[command(flatten)]
    verify: VerifyOptions,
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Recompute the log, its checkpoints and their timestamps; what `sceau
    /// audit` alone does too.
    ///
    /// Exit status: 0 when the log is whole, 3 when something is missing or
    /// altered, 2 when the command cannot be carried out.
    Verify(VerifyOptions),
    /// Write the log into a new file, for whoever verifies it elsewhere.
    Export {
        /// The file to make.
        file: PathBuf,
        #[command(flatten)]
        files: Files,
    },
    /// Print the public key of the log's checkpoints: keep it elsewhere.
    Key(Files),
    /// Print a signed checkpoint of the log as it is now: keep it elsewhere.
    Checkpoint(Files),
}

#[derive(Args)]
struct VerifyOptions {
    #[command(flatten)]
    files: Files,
    /// Verify an export instead of the state folder.
    #[arg(long, value_name = "FILE", requires = "keys")]
    export: Option<PathBuf>,
    /// The log's public key as `sceau audit key` printed it, or a file with it;
    /// may be given several times. Without it the key is the one in the state folder.
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
    /// A checkpoint that was kept elsewhere; may be given several times.
    #[arg(long = "checkpoint", value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
    /// One more trust anchor for timestamps, in PEM or DER; may be given
    /// several times.
    #[arg(long = "anchor", value_name = "FILE")]
    anchors: Vec<PathBuf>,
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn main(options: Options) -> ExitCode {
    let verify = |options: &VerifyOptions| {
        let faulty = verify(options)?;
        Ok(ExitCode::from(if faulty { FAULTY } else { 0 }))
    };
    let done: Result<ExitCode, Box<dyn Error>> = match options.what {
        None => verify(&options.verify),
        Some(AuditCommand::Verify(options)) => verify(&options),
        Some(AuditCommand::Export { file, files }) => export(&files.config, &file),
        Some(AuditCommand::Key(files)) => key(&files.config),
        Some(AuditCommand::Checkpoint(files)) => checkpoint(&files.config),
    };
    done.unwrap_or_else(|error| {
        report(error.as_ref());
        ExitCode::from(USAGE)
    })
}

fn export(files: &[PathBuf], file: &Path) -> Result<ExitCode, Box<dyn Error>> {
    let log = Database::open(&config::load(files)?.store.folder)?;
    let (entries, checkpoints) = audit::export(&log, file)?;
    println!(
        "{entries} entries and {checkpoints} checkpoints are in {}.",
        file.display()
    );
    Ok(ExitCode::SUCCESS)
}

fn key(files: &[PathBuf]) -> Result<ExitCode, Box<dyn Error>> {
    let keys = Database::open(&config::load(files)?.store.folder)?.keys()?;
    if keys.is_empty() {
        return Err("the log has no key yet: it is made when the service starts".into());
    }
    for key in keys {
        println!("{key}");
    }
    Ok(ExitCode::SUCCESS)
}

fn checkpoint(files: &[PathBuf]) -> Result<ExitCode, Box<dyn Error>> {
    let Configuration { store, audit, .. } = config::load(files)?;
    let store = Arc::new(Store::open(&store, &outbox::migrations())?);
    let log = Log::open(store, SystemClock::shared(), audit)?;
    print!("{}", log.checkpoint()?);
    Ok(ExitCode::SUCCESS)
}

/// Returns whether there are faults.
fn verify(options: &VerifyOptions) -> Result<bool, Box<dyn Error>> {
    let configuration = config::load(&options.files.config)?;
    let mut anchors = configuration.trust.anchors.clone();
    for file in &options.anchors {
        anchors.extend(super::validate::certificates(file)?);
    }
    let mut kept = Vec::new();
    for file in &options.checkpoints {
        kept.push(kept_in(file, file.display().to_string())?);
    }
    let mut keys = Vec::new();
    for text in &options.keys {
        keys.push(read_key(text)?);
    }
    let trusted = |token: &TimestampToken, algorithm: SignatureAlgorithm, pool: &[Cert]| {
        trusted(token, algorithm, pool, (&anchors, &configuration.trust))
    };
    let found = match &options.export {
        Some(_) if anchors.is_empty() => {
            return Err("no trust anchor: give --anchor or --config".into());
        }
        Some(file) => audit::verify(
            Export::open(file)?,
            Judge {
                keys: &keys,
                kept,
                trusted: &trusted,
                node: None,
            },
        ),
        None => {
            let folder = &configuration.store.folder;
            // Before the log, which may grow meanwhile.
            let own = folder.join(audit::CHECKPOINT_FILE);
            if own.exists() {
                kept.push(kept_in(&own, own.display().to_string())?);
            }
            let log = Database::open(folder)?;
            if keys.is_empty() {
                keys = log.keys()?;
            }
            let node =
                |leaves: i64, first: i64, root: &audit::Hash| log.has_node(leaves, first, root);
            audit::verify(
                log.items()?,
                Judge {
                    keys: &keys,
                    kept,
                    trusted: &trusted,
                    node: Some(&node),
                },
            )
        }
    };
    match options.json {
        true => println!("{:#}", as_json(&found, &keys)),
        false => print(&found, &keys),
    }
    Ok(!found.faults.is_empty())
}

/// A key as given, or the first line of the file of that name.
fn read_key(text: &str) -> Result<PublicKey, Box<dyn Error>> {
    let refused = match text.parse() {
        Ok(key) => return Ok(key),
        Err(refused) => refused,
    };
    match std::fs::read_to_string(text) {
        Ok(file) => Ok(file.parse()?),
        Err(_) => Err(Box::new(refused) as Box<dyn Error>),
    }
}

fn kept_in(file: &Path, name: String) -> Result<Kept, Box<dyn Error>> {
    let note = std::fs::read_to_string(file)
        .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    Ok(Kept { name, note })
}

/// Chain and algorithms at the time of the timestamp. Whether the authority was
/// revoked is not asked: nothing is fetched.
fn trusted(
    token: &TimestampToken,
    algorithm: SignatureAlgorithm,
    pool: &[Cert],
    (anchors, settings): (&[Cert], &trust::Settings),
) -> Result<(), String> {
    let (signer, at) = (token.signer(), token.gen_time());
    let chain = trust::build_chain(signer, pool, anchors, at).map_err(|e| e.to_string())?;
    let accepted = settings
        .algorithms
        .check_signature(algorithm, signer.key(), at);
    accepted.map_err(|e| e.to_string())?;
    let checked = settings.algorithms.check_chain(&chain, at);
    checked.map_err(|(_, e)| e.to_string())
}

fn as_json(found: &Report, keys: &[PublicKey]) -> Value {
    let fault = |fault: &Fault| {
        json!({
            "code": fault.kind.code(), "from": fault.from, "to": fault.to,
            "meaning": fault.kind.meaning(), "detail": fault.detail,
            "what_to_do": fault.kind.advice(),
        })
    };
    let gap = |gap: &audit::Gap| json!({ "from": gap.from, "to": gap.to, "at": rfc3339(gap.at) });
    json!({
        "whole": found.faults.is_empty(),
        "entries": found.entries,
        "head": { "seq": found.head.0, "hash": hex::encode(&found.head.1) },
        "root": found.root.map(|root| STANDARD.encode(root)),
        "keys": keys.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "checkpoints": found.checkpoints,
        "witnessed": found.witnessed.as_ref().map(|witnessed| json!({
            "entries": witnessed.size, "at": rfc3339(witnessed.at),
            "authority": witnessed.authority,
        })),
        "faults": found.faults.iter().map(fault).collect::<Vec<_>>(),
        "faults_unlisted": found.faults_unlisted,
        "gaps": found.gaps.iter().map(gap).collect::<Vec<_>>(),
    })
}

fn print(found: &Report, keys: &[PublicKey]) {
    match found.faults.len() as u64 + found.faults_unlisted {
        0 => println!("The audit log is whole: {} entries.", found.entries),
        faults => println!(
            "The audit log has {faults} fault(s); {} entries.",
            found.entries
        ),
    }
    for fault in &found.faults {
        let Fault {
            kind,
            from,
            to,
            detail,
        } = fault;
        let place = match (from, to) {
            (0, 0) => "beside the log".to_owned(),
            (from, to) if from == to => format!("entry {from}"),
            (from, to) => format!("entries {from} to {to}"),
        };
        let detail = if detail.is_empty() {
            String::new()
        } else {
            format!(" ({detail})")
        };
        println!("\n{place}: {}{detail} [{}]", kind.meaning(), kind.code());
        println!("  {}", kind.advice());
    }
    if found.faults_unlisted > 0 {
        println!("\nand {} more", found.faults_unlisted);
    }
    for gap in &found.gaps {
        println!(
            "\nWarning: entries {} to {}, from {} on: documents were stamped without a checkpoint.\n  \
             Either it could not be stored then (see the service's log), or the entries were written anew later: \
             compare with archives of these documents.",
            gap.from,
            gap.to,
            rfc3339(gap.at)
        );
    }
    println!();
    let covered = found.witnessed.as_ref().map_or(0, |witnessed| {
        let audit::Witnessed {
            size,
            at,
            authority,
        } = witnessed;
        println!(
            "Entries 1 to {size} are witnessed by a timestamp of {} from {authority}.",
            rfc3339(*at)
        );
        *size
    });
    let after = found.head.0 - covered;
    if after > 0 {
        println!(
            "The {after} entries after {covered} are chained, but no timestamp speaks for them yet: \
             who can write the database could cut them off."
        );
    }
    println!("{} checkpoint(s); public key:", found.checkpoints);
    for key in keys {
        println!("  {key}");
    }
    if keys.is_empty() {
        println!("  none: no newer program has opened this log yet");
    }
}
