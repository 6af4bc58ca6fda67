//! The command line: what every command shares.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, builder::styling};

use crate::{paint::Colours, plugins::PluginsArgs, process::ProcessArgs};

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
