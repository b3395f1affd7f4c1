//! `sceau pack`: form packs before they are put to use.

use super::Files;
use crate::base::causes;
use crate::config;
use crate::forms::{self, FormsError, Pack, Packs, Rejected, Severity};
use clap::Subcommand;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Subcommand)]
pub(super) enum PackCommand {
    /// Check form packs whole, with their examples.
    ///
    /// Reads FOLDER/pack.toml and all it names, lists every fault, and checks
    /// examples/valid/OPERATION/*.xml, which must pass, and
    /// examples/invalid/OPERATION/*.xml, which must be refused. Notes paths that
    /// no valid example has. Exit status: 0 when all is well, 1 when not.
    Check {
        /// Folders of packs, each with a pack.toml.
        #[arg(required = true, value_name = "FOLDER")]
        folders: Vec<PathBuf>,
    },
    /// List the form packs there are, and what is wrong with others.
    List(Files),
}

pub(super) fn main(command: PackCommand) -> ExitCode {
    let done = match command {
        PackCommand::Check { folders } => {
            let good = folders.iter().filter(|folder| check(folder)).count();
            Ok(good == folders.len())
        }
        PackCommand::List(files) => list(&files),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            super::report(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

fn list(files: &Files) -> Result<bool, Box<dyn Error>> {
    let configuration = config::load(&files.config)?;
    // Nothing is kept: a running service may be at it.
    let packs = Packs::open(configuration.forms_folder.as_deref(), None);
    for pack in packs.offered() {
        let operations: Vec<&str> = pack.operations.keys().map(String::as_str).collect();
        let (form, version) = (&pack.form, &pack.version);
        println!(
            "{form}/{version} ({}): {}",
            pack.addressee,
            operations.join(", ")
        );
    }
    let faults = packs.faults();
    for one in &faults {
        for fault in &one.faults {
            println!("refused: {}: {fault}", one.folder.display());
        }
    }
    Ok(faults.is_empty())
}

/// Whether a pack and its examples are as they must be; says so.
fn check(folder: &Path) -> bool {
    let pack = match forms::load(folder) {
        Ok(pack) => pack,
        Err(FormsError::Pack { pack, faults }) => {
            println!("{pack}: {} fault(s)", faults.len());
            for fault in faults {
                println!("  {fault}");
            }
            return false;
        }
        Err(error) => {
            println!("{}: {}", folder.display(), causes(&error));
            return false;
        }
    };
    let mut faults = Vec::new();
    let mut counts = [0, 0];
    for (count, kind) in counts.iter_mut().zip(["valid", "invalid"]) {
        match examples(&pack, &folder.join("examples").join(kind)) {
            Ok(files) => {
                for (operation, path) in &files {
                    faults.extend(example(&pack, operation, path, kind == "valid"));
                }
                *count = files.len();
            }
            Err(error) => faults.push(format!("the examples cannot be read: {error}")),
        }
    }
    let [valid, invalid] = counts;
    println!(
        "{}: {}/{}, {valid} valid and {invalid} invalid example(s), {} fault(s)",
        folder.display(),
        pack.form,
        pack.version,
        faults.len(),
    );
    for fault in &faults {
        println!("  {fault}");
    }
    for note in unused(&pack, folder) {
        println!("  note: no valid example has {note}");
    }
    faults.is_empty()
}

/// Paths of operations with valid examples that none of them has. PDF and
/// signature come later, and are put in for this.
fn unused(pack: &Pack, folder: &Path) -> Vec<String> {
    let examples = examples(pack, &folder.join("examples/valid")).unwrap_or_default();
    let mut notes = Vec::new();
    for (name, operation) in &pack.operations {
        let own = examples.iter().filter(|(operation, _)| operation == name);
        let pdf = operation.document.as_ref().map(|_| b"%PDF-".as_slice());
        let assembled = own.filter_map(|(_, path)| {
            let xml = std::fs::read(path).ok()?;
            pack.assemble(name, &xml, pdf).ok()
        });
        let documents: Vec<Vec<u8>> = assembled.collect();
        if !documents.is_empty() {
            notes.extend(operation.unused_paths(&documents));
        }
    }
    notes
}

/// The examples of one kind with their operations: a folder each.
fn examples(pack: &Pack, folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut all = Vec::new();
    for operation in pack.operations.keys() {
        let entries = match std::fs::read_dir(folder.join(operation)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "xml") {
                all.push((operation.clone(), path));
            }
        }
    }
    all.sort();
    Ok(all)
}

/// What is wrong with an example.
fn example(pack: &Pack, operation: &str, path: &Path, valid: bool) -> Option<String> {
    let told = |text: String| Some(format!("{}: {text}", path.display()));
    let xml = match std::fs::read(path) {
        Ok(xml) => xml,
        Err(error) => return told(format!("cannot be read: {error}")),
    };
    match (pack.check(operation, &xml), valid) {
        (Ok(_), true) | (Err(_), false) => None,
        (Ok(_), false) => told("passes, but must be refused".to_owned()),
        (Err(rejected), true) => told(first_error(&rejected)),
    }
}

fn first_error(rejected: &Rejected) -> String {
    let errors = rejected.findings.iter();
    let mut errors = errors.filter(|finding| finding.severity == Severity::Error);
    let Some(first) = errors.next() else {
        return "is refused".to_owned();
    };
    let place = first.position.map(|place| format!(", {place}"));
    format!(
        "is refused ({}{}): {} ({} more)",
        first.code,
        place.unwrap_or_default(),
        first.message,
        errors.count(),
    )
}
