//! The `sceau` program; see `sceau::cli`.

/// Freed memory is wiped: requests with a PIN and documents of patients pass
/// through buffers of libraries that do not do it.
#[global_allocator]
static MEMORY: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

fn main() -> std::process::ExitCode {
    sceau::cli::main()
}
