//! The `sceau` program; see `sceau::cli`.

fn main() -> std::process::ExitCode {
    sceau::cli::main()
}
