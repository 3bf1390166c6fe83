//! The binary: arguments in, exit code out.

/// Reading a large fleet is to make many small values by several threads, which glibc's does slower (`docs/performance.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    hoist::cli::main()
}
