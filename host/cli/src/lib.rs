//! The command line: parse, call, render.
//!
//! Each command is a module. They know a control host only by the API's trait: [`connect`] says whether that is one
//! [`embedded`] in this process, or a server that a [`context`] names. [`serve`] is that server, and [`up`] a whole cluster
//! of processes. [`input`] turns files into items, [`report`] and [`text`] turn results into text; they know nothing of the
//! rest.
//!
//! Invariant: nothing here judges, queues or runs anything.

mod agents;
mod args;
mod backup;
mod completions;
mod confirm;
mod connect;
mod context;
mod dead;
mod deeds;
mod dirs;
pub mod embedded;
mod environment;
mod events;
mod exit;
mod help;
mod input;
pub mod inspector;
mod job_id;
mod jobs;
mod paged;
mod paint;
mod paper;
mod pem;
mod pid;
mod plugins;
mod process;
mod publish;
mod report;
mod restore;
#[cfg(test)]
mod samples;
mod schedule;
mod screen;
mod secret_file;
mod serve;
mod signals;
mod stats;
mod status;
mod stdout;
mod text;
mod token;
mod units;
mod up;
mod visit;
mod words;

use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use crate::{
    args::{Cli, Command},
    exit::{Exit, Failed},
    screen::Screen,
};

/// What the program does, from its arguments to its exit code.
pub fn main() -> ExitCode {
    let Cli { command, color } = help::parse();
    if let Some(exit) = be_another(&command) {
        return exit;
    }
    let screen = Screen::new(color);
    // Before anything is said.
    if let Command::Process(args) = &command {
        screen.set_talk(args.talk());
    }
    let variables = std::env::vars_os().map(|(name, _)| name);
    environment::unread(variables).iter().for_each(|line| screen.warn(line));
    // A server has its own.
    if !matches!(command, Command::Serve(_)) {
        start_log(&screen);
    }
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
            Command::Plugins(args) => plugins::run(args, color, screen.clone()).await,
            Command::Publish(args) => publish::run(args, color, screen.clone()).await,
            Command::Up(args) => up::up(args, screen.clone()).await,
            Command::Down(args) => up::down(args, screen.clone()).await,
            Command::Serve(args) => serve::run(*args, screen.clone()).await,
            Command::Context(args) => context::run(args, color, screen.clone()).await,
            Command::Token(args) => token::run(args, color, screen.clone()).await,
            Command::Agents(args) => agents::run(args, color, screen.clone()).await,
            Command::Jobs(args) => jobs::run(args, color, screen.clone()).await,
            Command::Dead(args) => dead::run(args, color, screen.clone()).await,
            Command::Schedule(args) => schedule::run(args, color, screen.clone()).await,
            Command::Status(args) => status::run(args, color, screen.clone()).await,
            Command::Stats(args) => stats::run(args, color, screen.clone()).await,
            Command::Events(args) => events::run(args, color, screen.clone()).await,
            Command::Backup(args) => backup::run(args, screen.clone()).await,
            Command::Restore(args) => restore::run(args, screen.clone()).await,
            Command::Completions(args) => completions::run(args, color),
            Command::CompileComponent { .. } | Command::Agent { .. } | Command::Detached { .. } => Ok(Exit::Usage),
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

/// What this program is where it does not talk to people: a compiler, an agent, or itself in a session of its own.
fn be_another(command: &Command) -> Option<ExitCode> {
    match command {
        Command::CompileComponent { args } => Some(pigeon_runtime::compile_child_main(args.iter().cloned())),
        Command::Agent { args } => Some(pigeon_agent::daemon::main("pigeon agent", &["agent"], args.iter().cloned())),
        Command::Detached { args } => {
            let error = up::become_detached(args);
            Failed::machinery("failed to start").caused_by(error).print(paint::Paint::PLAIN);
            Some(Exit::Machinery.into())
        }
        _ => None,
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
