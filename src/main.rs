//! The `sceau` program.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let done = match arguments.as_slice() {
        [verb, option, module] if verb == "token-worker" && option == "--module" => {
            sceau::token::pkcs11::run_worker(Path::new(module))
        }
        _ => Err(std::io::Error::other(
            "usage: sceau token-worker --module <path>",
        )),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sceau: {error}");
            ExitCode::FAILURE
        }
    }
}
