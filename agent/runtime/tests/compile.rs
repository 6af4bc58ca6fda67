//! Compiling in a child process, and the cache before it, as a runtime uses them.
//!
//! A harness of its own, because this very executable is also the child that compiles: `compile ...` as its arguments
//! makes it call `compile_child_main`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's failure is its report")]

mod compiling;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// The first argument that makes this executable a compiling child.
const CHILD: &str = "compile";

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == CHILD) {
        return pigeon_runtime::compile_child_main(args);
    }
    let trials = compiling::child::TESTS.iter().chain(compiling::cache::TESTS).chain(compiling::key::TESTS);
    let trials = trials.map(|(name, test)| {
        Trial::test(*name, move || {
            test();
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}
