//! The command line: what every command shares.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, builder::styling};

use crate::{
    agents::AgentsArgs,
    backup::BackupArgs,
    completions::CompletionsArgs,
    context::ContextArgs,
    dead::DeadArgs,
    events::EventsArgs,
    jobs::JobsArgs,
    paint::Colours,
    plugins::PluginsArgs,
    process::ProcessArgs,
    publish::PublishArgs,
    restore::RestoreArgs,
    schedule::ScheduleArgs,
    serve::ServeArgs,
    stats::StatsArgs,
    status::StatusArgs,
    token::TokenArgs,
    up::{DownArgs, UpArgs},
};

pub(crate) const STYLES: styling::Styles = styling::Styles::styled()
    .header(styling::AnsiColor::Green.on_default().bold())
    .usage(styling::AnsiColor::Green.on_default().bold())
    .literal(styling::AnsiColor::Cyan.on_default().bold())
    .placeholder(styling::AnsiColor::Cyan.on_default());

/// Judge work with sandboxed validators, on this machine or on a fleet
#[derive(Debug, Parser)]
#[command(name = "pigeon", version, styles = STYLES, propagate_version = true, after_help = "\
Examples:
  pigeon process -f fibonacci.json -v gexpr        Judge one file, five times
  pigeon process -f orders.jsonl --items -v json   Judge each line of a file
  pigeon plugins list                              Which validators there are
  pigeon up --agents 3                             A cluster on this machine
  pigeon status                                    How the server in use does

`pigeon help COMMAND` explains one of them, with examples.

Exit codes of `pigeon process`:
    0  all valid                      3  some runs could not be judged
    1  some invalid                   4  the machinery failed
    2  usage or bad input           130  interrupted")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// When to use colours; NO_COLOR is heeded too
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN", help_heading = "Output")]
    pub(crate) color: Colours,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Judge work items with a validator and report the verdicts
    Process(Box<ProcessArgs>),
    /// List plugins, or show what one of them says of itself
    Plugins(PluginsArgs),
    /// List jobs, show how they stand, have them wait, go on or end
    Jobs(JobsArgs),
    /// Look at runs that could not be judged, retry or discard them
    Dead(DeadArgs),
    /// Have jobs submitted when their time comes
    Schedule(ScheduleArgs),
    /// Show how the control host stands: its queue and its agents
    Status(StatusArgs),
    /// Show figures: how many runs were valid, their times, their errors
    Stats(StatsArgs),
    /// Show what happened: who did what, and what became of it
    Events(EventsArgs),
    /// Write all that a control host keeps into one file
    Backup(BackupArgs),
    /// Make a state directory of a backup
    Restore(RestoreArgs),
    /// Give a control host a plugin, so that jobs can name it
    Publish(PublishArgs),
    /// Start a cluster on this machine: a server and its agents
    Up(UpArgs),
    /// Stop the cluster of `pigeon up`
    Down(DownArgs),
    /// Serve a control host, for many people and many agents
    Serve(Box<ServeArgs>),
    /// Keep servers, with their tokens, and say which one is in use
    Context(ContextArgs),
    /// Make and revoke tokens: for the API, and for agents that join
    Token(TokenArgs),
    /// Show the agents of a server
    Agents(AgentsArgs),
    /// Print what a shell needs to complete commands and flags
    Completions(CompletionsArgs),
    /// Be an agent, as `pigeon-agent` is (what `pigeon up` runs)
    #[command(hide = true, disable_help_flag = true, disable_version_flag = true)]
    Agent {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<std::ffi::OsString>,
    },
    /// Leave the session of the terminal, and be another command (what `pigeon up` runs)
    #[command(hide = true, disable_help_flag = true, disable_version_flag = true)]
    Detached {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<std::ffi::OsString>,
    },
    /// Compile a component from standard input to standard output (what Pigeon runs as a child process)
    #[command(hide = true)]
    CompileComponent {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<std::ffi::OsString>,
    },
}

/// Where state lives.
#[derive(Debug, Clone, Args)]
pub(crate) struct StateArgs {
    /// Keep the queue and its results in this folder [default: $XDG_STATE_HOME/pigeon]
    #[arg(long, value_name = "DIR", help_heading = "State")]
    pub(crate) state_dir: Option<PathBuf>,
}
