//! `sceau pack`: form packs before they are put to use.

use super::Files;
use crate::base::causes;
use crate::config;
use crate::forms::{self, FormsError, Pack, Packs, Rejected, Severity};
use clap::Subcommand;
use serde_json::Value;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Subcommand)]
pub(super) enum PackCommand {
    /// Check form packs whole, with their examples.
    ///
    /// Reads FOLDER/pack.toml and all it names, lists every fault, and checks
    /// examples/valid/OPERATION/*.xml, which must pass,
    /// examples/invalid/OPERATION/*.xml, which must be refused with the codes in
    /// NAME.problem.json beside it, and examples/answers/OPERATION/*.xml, which
    /// must be read as NAME.answer.json beside it says; either file may be absent.
    /// Notes paths that no valid example has. Exit status: 0 when all is well, 1
    /// when not.
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
    let mut counts = [0, 0, 0];
    let kinds: [(&str, Trial); 3] = [
        ("valid", passes),
        ("invalid", is_refused),
        ("answers", is_read),
    ];
    for (count, (kind, trial)) in counts.iter_mut().zip(kinds) {
        match examples(&pack, &folder.join("examples").join(kind)) {
            Ok(files) => {
                for (operation, path) in &files {
                    let xml =
                        std::fs::read(path).map_err(|error| format!("cannot be read: {error}"));
                    let tried = xml.and_then(|xml| trial(&pack, operation, (&xml, path)));
                    faults.extend(
                        tried
                            .err()
                            .map(|fault| format!("{}: {fault}", path.display())),
                    );
                }
                *count = files.len();
            }
            Err(error) => faults.push(format!("the examples cannot be read: {error}")),
        }
    }
    let [valid, invalid, answers] = counts;
    println!(
        "{}: {}/{}, {valid} valid and {invalid} invalid example(s), {answers} answer(s), {} fault(s)",
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

/// Tries an example and says what is wrong with it.
type Trial = fn(&Pack, &str, (&[u8], &Path)) -> Result<(), String>;

fn passes(pack: &Pack, operation: &str, (xml, _): (&[u8], &Path)) -> Result<(), String> {
    let checked = pack.check(operation, xml);
    checked.map(drop).map_err(|rejected| first_error(&rejected))
}

fn is_refused(pack: &Pack, operation: &str, (xml, path): (&[u8], &Path)) -> Result<(), String> {
    let Err(rejected) = pack.check(operation, xml) else {
        return Err("passes, but must be refused".to_owned());
    };
    let Some(problem) = beside(path, "problem.json")? else {
        return Ok(());
    };
    let named = problem["faults"]
        .as_array()
        .ok_or("problem.json: names no faults")?;
    let is_found = |code: &str| rejected.findings.iter().any(|f| f.code.as_str() == code);
    let missing = named.iter().filter_map(|fault| {
        let code = fault["code"].as_str().unwrap_or_default();
        (!is_found(code)).then_some(code)
    });
    let missing: Vec<&str> = missing.collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("is refused, but not for {}", missing.join(" and ")))
}

fn is_read(pack: &Pack, operation: &str, (xml, path): (&[u8], &Path)) -> Result<(), String> {
    let read = pack.read_example(operation, xml);
    let read = read.map_err(|error| causes(&error))?;
    match beside(path, "answer.json")? {
        Some(wanted) if wanted != read => Err(format!("is read as {read}")),
        Some(_) | None => Ok(()),
    }
}

/// The file about an example, if there is one.
fn beside(path: &Path, extension: &str) -> Result<Option<Value>, String> {
    let told = |error: &dyn Error| format!("{extension}: {error}");
    match std::fs::read(path.with_extension(extension)) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| told(&error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(told(&error)),
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
