//! `pigeon`: judge work with sandboxed validators. All of it is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    pigeon_cli::main()
}
