//! The program `converse-export`: the command line of the library.

// what a long run frees is given back, so that a range of any length takes the same memory
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

use std::process::ExitCode;

fn main() -> ExitCode {
    converse_export::cli::main()
}
