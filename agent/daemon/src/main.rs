//! `pigeon-agent`: the daemon on a worker node. All of it is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    pigeon_agent::daemon::main("pigeon-agent", &[], std::env::args_os().skip(1))
}
