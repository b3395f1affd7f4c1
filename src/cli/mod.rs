//! The command line.

mod audit;
mod backup;
mod commands;
mod conformance;
mod demo;
mod environment;
mod evidence;
mod kit;
mod pack;
mod programs;
mod restore;
mod sheets;
mod stage;
mod validate;

use clap::{Args, Parser, Subcommand};
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "sceau",
    version,
    about = "Local connector that signs, timestamps, queues and delivers standard forms"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service until it is stopped.
    Run(Files),
    /// Pair a program and print its bearer token, once; or list the programs.
    Pair {
        #[command(flatten)]
        pairing: programs::Pairing,
        #[command(flatten)]
        files: Files,
    },
    /// Void a program's bearer token.
    Unpair {
        /// Name of the program.
        name: String,
        #[command(flatten)]
        files: Files,
    },
    /// Unlock a token: asks for the PIN, without echo.
    Unlock {
        /// Name of the token, where there are several.
        #[arg(long)]
        token: Option<String>,
        /// Use the last attempt although a wrong PIN would lock the token.
        #[arg(long)]
        use_last_try: bool,
        #[command(flatten)]
        files: Files,
    },
    /// Lock a token, or all: the PIN is asked for again.
    Lock {
        /// Name of the token; all when absent.
        #[arg(long)]
        token: Option<String>,
        #[command(flatten)]
        files: Files,
    },
    /// Say how the running service is.
    Status(Files),
    /// End the question about a document that is `unknown`, as you have found
    /// out at the insurer's: where Sceau has no way to ask.
    Settle {
        /// The document's UUID.
        uuid: String,
        /// What the insurer says.
        outcome: commands::Outcome,
        /// The insurer's id of an accepted document.
        #[arg(long)]
        insurer_id: Option<String>,
        #[command(flatten)]
        files: Files,
    },
    /// Check or print the configuration.
    Config {
        #[command(subcommand)]
        what: ConfigCommand,
    },
    /// Import or list environments.
    Environment {
        #[command(subcommand)]
        what: environment::EnvironmentCommand,
    },
    /// Check or list form packs.
    Pack {
        #[command(subcommand)]
        what: pack::PackCommand,
    },
    /// Write a backup of the state folder into one sealed file, and prove it by
    /// restoring it into a scratch folder. The service may run.
    Backup {
        /// The file; it must not be there yet.
        file: PathBuf,
        #[command(flatten)]
        files: Files,
    },
    /// Restore a backup into an empty state folder.
    ///
    /// The sealing key must be there: `seal.key` in the folder, or the file that
    /// `store.key_file` names. What was under way becomes `unknown`: the insurer
    /// is asked about it before anything is sent.
    Restore {
        /// The backup.
        file: PathBuf,
        #[command(flatten)]
        files: Files,
    },
    /// Verify that no entry of the audit log is missing or altered; export it.
    ///
    /// Exit status: 0 when the log is whole, 3 when something is missing or
    /// altered, 2 when the command cannot be carried out.
    Audit(audit::Options),
    /// Validate signed XML and PDF documents (EN 319 102-1) and print the reports.
    ///
    /// Exit status: 0 when every document is TOTAL-PASSED, 3 when one is not,
    /// 2 when the command cannot be carried out.
    Validate(validate::Options),
    /// Save the evidence of one document, as one archive; the service must run.
    Evidence {
        /// The document's UUID.
        uuid: String,
        /// Where to; sceau-<UUID>.zip when absent.
        #[arg(short, long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Leave documents and answers out: for who must not see patient data.
        #[arg(long)]
        without_documents: bool,
        #[command(flatten)]
        files: Files,
    },
    /// Show that this version keeps to the rules, for the label.
    Conformance {
        #[command(subcommand)]
        what: ConformanceCommand,
    },
    /// Print the version identification sheet.
    Fiche(sheets::FicheOptions),
    /// Print the connection report, and what it still lacks.
    ConnectionReport(sheets::ConnectionOptions),
    /// Test how a practice software behaves when things go wrong.
    ///
    /// Starts a sandbox, a service and, in front of it, a proxy that loses
    /// answers and refuses documents. Exit status: 0 when every case passed,
    /// else 1.
    Kit(kit::Options),
    /// Submit an example to a sandbox and tell the story.
    Demo {
        /// Leave sandbox and service running until Ctrl-C.
        #[arg(long)]
        keep: bool,
        /// Folder for everything the demonstration makes.
        #[arg(long, default_value = "out/demo")]
        folder: PathBuf,
    },
    /// Drive a PKCS#11 module for the service; not for people.
    #[command(hide = true)]
    TokenWorker {
        /// The vendor's library.
        #[arg(long)]
        module: PathBuf,
    },
}

#[derive(Subcommand)]
enum ConformanceCommand {
    /// Hand examples to the running service and report what became of them.
    Run(conformance::Options),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Read the configuration and list every fault.
    Check(Files),
    /// Print the documented defaults.
    Default,
}

#[derive(Args)]
struct Files {
    /// Configuration file; may be given several times, later ones win.
    #[arg(long = "config", value_name = "FILE")]
    config: Vec<PathBuf>,
}

/// Runs the program.
pub fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(files) => commands::run(&files.config),
        Command::Pair { pairing, files } => programs::pair(&files.config, &pairing),
        Command::Unpair { name, files } => programs::unpair(&files.config, &name),
        Command::Unlock {
            token,
            use_last_try,
            files,
        } => commands::unlock(&files.config, token.as_deref(), use_last_try),
        Command::Lock { token, files } => commands::lock(&files.config, token.as_deref()),
        Command::Status(files) => commands::status(&files.config),
        Command::Settle {
            uuid,
            outcome,
            insurer_id,
            files,
        } => commands::settle(&files.config, &uuid, outcome, insurer_id.as_deref()),
        Command::Config { what } => match what {
            ConfigCommand::Check(files) => commands::check(&files.config),
            ConfigCommand::Default => {
                print!("{}", crate::config::DEFAULT);
                Ok(())
            }
        },
        Command::Environment { what } => environment::run(what),
        Command::Pack { what } => return pack::main(what),
        Command::Validate(options) => return validate::run(&options),
        Command::Backup { file, files } => backup::run(&files.config, &file),
        Command::Restore { file, files } => restore::run(&files.config, &file),
        Command::Audit(options) => return audit::main(options),
        Command::Evidence {
            uuid,
            out,
            without_documents,
            files,
        } => evidence::run(&files.config, &uuid, out.as_deref(), !without_documents),
        Command::Conformance { what } => match what {
            ConformanceCommand::Run(options) => conformance::run(&options),
        },
        Command::Fiche(options) => sheets::fiche(&options),
        Command::ConnectionReport(options) => sheets::connection(&options),
        Command::Kit(options) => match kit::run(&options) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Demo { keep, folder } => demo::run(&folder, keep),
        Command::TokenWorker { module } => {
            crate::token::pkcs11::run_worker(&module).map_err(Into::into)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

fn report(error: &(dyn Error + 'static)) {
    eprintln!("sceau: {error}");
    if let Some(crate::config::ConfigError(faults)) = error.downcast_ref() {
        for fault in faults {
            eprintln!("  {fault}");
        }
    }
    let mut source = error.source();
    while let Some(cause) = source {
        eprintln!("  because: {cause}");
        source = cause.source();
    }
}
