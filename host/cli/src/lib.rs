//! The command line: parse, call, render.
//!
//! Each command is a module: [`process`] and [`plugins`]. They know a control host only by the API's trait; the one
//! that they talk to is [`embedded`] in this process. [`input`] turns files into items and [`report`] turns results
//! into text; both know nothing of the rest.
//!
//! Invariant: nothing here judges, queues or runs anything.

mod args;
mod connect;
mod dirs;
pub mod embedded;
mod exit;
mod input;
pub mod inspector;
mod job_id;
mod paint;
mod paper;
mod plugins;
mod process;
mod report;
mod screen;
mod signals;
mod stdout;
mod text;
mod units;

use std::process::ExitCode;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

use crate::{
    args::{Cli, Command},
    exit::{Exit, Failed},
    screen::Screen,
};

/// What the program does, from its arguments to its exit code.
pub fn main() -> ExitCode {
    let Cli { command, color } = Cli::parse();
    if let Command::CompileComponent { args } = command {
        return pigeon_runtime::compile_child_main(args);
    }
    let screen = Screen::new(color);
    start_log(&screen);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            Failed::machinery("failed to start").caused_by(error).print(screen.paint);
            return Exit::Machinery.into();
        }
    };
    let ended = runtime.block_on(async {
        match command {
            Command::Process(args) => process::run(*args, color, screen.clone()).await,
            Command::Plugins(args) => plugins::run(args, color).await,
            Command::CompileComponent { .. } => Ok(Exit::Usage),
        }
    });
    // Whatever still blocks (a read of standard input, a guest that spins) ends with the process.
    runtime.shutdown_background();
    match ended {
        Ok(exit) => exit.into(),
        Err(error) => {
            error.print(screen.paint);
            error.exit.into()
        }
    }
}

/// Log to standard error what `PIGEON_LOG` asks for; errors if it does not say.
fn start_log(screen: &Screen) {
    let filter = EnvFilter::try_from_env("PIGEON_LOG").unwrap_or_else(|_| EnvFilter::new("error"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(screen.paint != paint::Paint::PLAIN)
        .with_writer(screen.clone());
    // Only the first subscriber of a process counts, and this is it.
    let _ = log.try_init();
}
