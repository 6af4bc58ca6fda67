//! The arguments of `pigeon process`.

mod job;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;

pub(crate) use job::JobArgs;

use crate::{connect::HostArgs, report::Format, screen::Talk, units};

/// What is said of a new job, and means nothing for one that is there.
const OF_NEW_JOBS: [&str; 22] = [
    "items",
    "split",
    "max_item",
    "options",
    "workers",
    "iterations",
    "seed",
    "clock",
    "real_clock",
    "fail_fast",
    "priority",
    "max_parallel",
    "require",
    "prefer",
    "max_attempts",
    "retry_backoff",
    "retry_on",
    "timeout",
    "wall_timeout",
    "max_memory",
    "max_output",
    "key",
];

/// Judge work items with a validator and report the verdicts
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  One file, judged by three workers five times each:
      pigeon process -f fibonacci.json -v gexpr --workers 3 --iterations 5

  Each line of a JSON Lines file, with the verdicts for a CI job:
      pigeon process -f orders.jsonl --items -v json -o junit --output-file report.xml

  All files of a folder, against a schema:
      pigeon process -f orders/ -v json --option schema=@order.schema.json

  What another program writes, as it comes:
      generate | pigeon process -f - --split jsonl -v json -o jsonl

  A validator of your own:
      pigeon process -f a.json -v ./target/wasm32-wasip2/release/mine.wasm

  Runs that crash or take too long are tried again, five times in all:
      pigeon process -f orders/ -v ./mine.wasm --retry-on timeout,crash --max-attempts 5

  Go on with what was interrupted:
      pigeon process --resume last

  On a server, without waiting for it (see `pigeon context` and `pigeon up`):
      JOB=$(pigeon process -f orders.jsonl --items -v json --detach)
      pigeon process --resume $JOB")]
pub(crate) struct ProcessArgs {
    /// Files, folders (every file in them but the hidden), or `-` for standard input
    #[arg(short = 'f', long = "work-file", value_name = "FILE", num_args = 1.., required_unless_present = "resume",
        conflicts_with = "resume", help_heading = "Work")]
    pub(crate) work_files: Vec<PathBuf>,

    /// The validator: NAME, NAME@VERSION, or the PATH of a component (.wasm)
    #[arg(
        short,
        long,
        value_name = "VALIDATOR",
        required_unless_present = "resume",
        conflicts_with = "resume",
        help_heading = "Work"
    )]
    pub(crate) validator: Option<String>,

    #[command(flatten)]
    pub(crate) job: JobArgs,

    /// Go on with a job that was interrupted, or print its report again: its id, 4 or more characters of the id's
    /// beginning or end, or `last` (the newest that is not finished; the newest if all are)
    #[arg(long, value_name = "JOB", conflicts_with_all = OF_NEW_JOBS, help_heading = "State")]
    pub(crate) resume: Option<String>,

    /// A key of your own that makes it safe to say this again: the job that it opened is taken up, and not opened twice
    #[arg(long, value_name = "KEY", help_heading = "Control host")]
    pub(crate) key: Option<String>,

    /// Leave once the server has all of the input, and print the job's id
    #[arg(long, conflicts_with_all = ["output", "output_file", "wait_timeout"], help_heading = "Control host")]
    pub(crate) detach: bool,

    /// How long the job may wait for a server's agents before it is paused [default: as long as it takes]
    #[arg(long, value_name = "TIME", value_parser = units::duration, help_heading = "Control host")]
    pub(crate) wait_timeout: Option<Duration>,

    #[command(flatten)]
    pub(crate) host: HostArgs,

    /// How to report
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t, help_heading = "Output")]
    pub(crate) output: Format,

    /// Write the report to this file; `-` is standard output
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) output_file: Option<PathBuf>,

    /// Say nothing but the job's id, the report and errors
    #[arg(short, long, help_heading = "Output")]
    pub(crate) quiet: bool,

    /// Show no progress
    #[arg(long, help_heading = "Output")]
    pub(crate) no_progress: bool,
}

impl ProcessArgs {
    /// How much is to be said.
    pub(crate) fn talk(&self) -> Talk {
        match (self.quiet, self.no_progress) {
            (true, _) => Talk::Quiet,
            (false, true) => Talk::Notes,
            (false, false) => Talk::All,
        }
    }

    /// The file that the report goes to; none for standard output.
    pub(crate) fn report(&self) -> Option<&Path> {
        self.output_file.as_deref().filter(|path| path.as_os_str() != "-")
    }
}
