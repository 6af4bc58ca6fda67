//! The command line: what every command shares.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, builder::styling};

use crate::{
    agents::AgentsArgs,
    backup::BackupArgs,
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

const STYLES: styling::Styles = styling::Styles::styled()
    .header(styling::AnsiColor::Green.on_default().bold())
    .usage(styling::AnsiColor::Green.on_default().bold())
    .literal(styling::AnsiColor::Cyan.on_default().bold())
    .placeholder(styling::AnsiColor::Cyan.on_default());

/// Judge work with sandboxed validators, on this machine or on a fleet
#[derive(Debug, Parser)]
#[command(name = "pigeon", version, styles = STYLES, propagate_version = true, after_help = "\
Examples:
  pigeon process -f fibonacci.json -v gexpr              Judge one file, five times
  pigeon process -f orders.jsonl --items -v json         Judge each line of a file
  pigeon plugins list                                    See which validators there are
  pigeon up --agents 3                                   A server and three agents on this machine
  pigeon status                                          How the server in use does

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
    /// Runs that could not be judged: look at them, try them again, discard them
    Dead(DeadArgs),
    /// Have jobs submitted when their time comes
    Schedule(ScheduleArgs),
    /// Show how the control host stands: its queue, its agents, what could not be judged
    Status(StatusArgs),
    /// Show figures: how many runs were valid, how long they took, what went wrong
    Stats(StatsArgs),
    /// Show what happened: who did what to which job, agents that came and went, schedules that fired
    Events(EventsArgs),
    /// Write all that a control host keeps into one file, while it goes on
    Backup(BackupArgs),
    /// Make a state directory of a backup
    Restore(RestoreArgs),
    /// Give a control host a plugin, so that jobs can name it
    Publish(PublishArgs),
    /// Start a cluster on this machine: a server and agents, each a process of its own
    Up(UpArgs),
    /// Stop the cluster of `pigeon up`
    Down(DownArgs),
    /// Serve a control host, for many people and many agents
    Serve(Box<ServeArgs>),
    /// Keep servers, with their tokens, and say which one is in use
    Context(ContextArgs),
    /// Make and revoke tokens: for the API of a server, and for agents that join it
    Token(TokenArgs),
    /// Show the agents of a server
    Agents(AgentsArgs),
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
