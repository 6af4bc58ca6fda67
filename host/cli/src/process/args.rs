//! The arguments of `pigeon process`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;

use crate::{
    args::StateArgs,
    exit::Failed,
    input::{Split, SplitRule},
    report::Format,
    units::{self, Size},
};

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

  Go on with what was interrupted:
      pigeon process --resume last")]
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

    /// Split files into items by their extension: the elements of .json, the rows of .csv, else the lines
    #[arg(long, conflicts_with = "resume", help_heading = "Work")]
    pub(crate) items: bool,

    /// Split files into items in this way, whatever their extension
    #[arg(long, value_enum, value_name = "HOW", conflicts_with = "resume", help_heading = "Work")]
    pub(crate) split: Option<Split>,

    /// Refuse items larger than this
    #[arg(long, value_name = "SIZE", default_value = "64MiB", conflicts_with = "resume", help_heading = "Work")]
    pub(crate) max_item: Size,

    /// An option for the validator; `KEY=@FILE` reads the value from a file, `KEY=@@...` begins it with an @
    #[arg(long = "option", value_name = "KEY=VALUE", conflicts_with = "resume", help_heading = "Work")]
    pub(crate) options: Vec<String>,

    /// Workers [default: 1 for one item, else one for each core]
    #[arg(short = 'n', long, value_name = "N", value_parser = units::count, allow_negative_numbers = true,
        conflicts_with = "resume", help_heading = "Runs")]
    pub(crate) workers: Option<u32>,

    /// Runs of one item by each worker [default: 5], or of each of many items [default: 1]
    #[arg(short = 'k', long, value_name = "K", value_parser = units::count, allow_negative_numbers = true,
        conflicts_with = "resume", help_heading = "Runs")]
    pub(crate) iterations: Option<u32>,

    /// Seed of the guests' randomness [default: drawn, and reported]
    #[arg(long, value_name = "N", value_parser = units::whole::<u64>, allow_negative_numbers = true,
        conflicts_with = "resume", help_heading = "Runs")]
    pub(crate) seed: Option<u64>,

    /// Time at which the guests' clock starts, such as 2026-01-31T12:00:00Z [default: when the job is accepted]
    #[arg(long, value_name = "TIME", value_parser = units::time, conflicts_with_all = ["resume", "real_clock"], help_heading = "Runs")]
    pub(crate) clock: Option<jiff::Timestamp>,

    /// Let guests see the real clock: verdicts may then differ from one time to the next
    #[arg(long, conflicts_with = "resume", help_heading = "Runs")]
    pub(crate) real_clock: bool,

    /// Stop at the first run that is invalid or fails
    #[arg(long, conflicts_with = "resume", help_heading = "Runs")]
    pub(crate) fail_fast: bool,

    /// Jobs with a higher priority go first
    #[arg(
        long,
        value_name = "N",
        value_parser = units::whole::<i32>,
        default_value_t = 0,
        allow_hyphen_values = true,
        conflicts_with = "resume",
        help_heading = "Runs"
    )]
    pub(crate) priority: i32,

    /// Runs under way at once, at most
    #[arg(long, value_name = "N", value_parser = units::count, allow_negative_numbers = true,
        conflicts_with = "resume", help_heading = "Runs")]
    pub(crate) max_parallel: Option<u32>,

    /// CPU time of one run
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "10s", conflicts_with = "resume",
        help_heading = "Limits")]
    pub(crate) timeout: Duration,

    /// Time of one run in all, waiting included
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "5m", conflicts_with = "resume",
        help_heading = "Limits")]
    pub(crate) wall_timeout: Duration,

    /// Memory of one run [default: what the validator asks for, up to 1GiB]
    #[arg(long, value_name = "SIZE", conflicts_with = "resume", help_heading = "Limits")]
    pub(crate) max_memory: Option<Size>,

    /// Size of one run's outcome, findings and log together; 1MiB at most
    #[arg(long, value_name = "SIZE", default_value = "1MiB", conflicts_with = "resume", help_heading = "Limits")]
    pub(crate) max_output: Size,

    /// Go on with a job that was interrupted, or print its report again: its id, 4 or more characters of the id's
    /// beginning or end, or `last` (the newest that is not finished; the newest if all are)
    #[arg(long, value_name = "JOB", help_heading = "State")]
    pub(crate) resume: Option<String>,

    #[command(flatten)]
    pub(crate) state: StateArgs,

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

/// More agents than this in one process are a mistake.
const MOST_WORKERS: u32 = 256;

/// An outcome fits into one message.
const MOST_OUTPUT: u64 = 1 << 20;

impl ProcessArgs {
    /// How the files are to be split.
    pub(crate) fn rule(&self) -> SplitRule {
        match (self.split, self.items) {
            (Some(split), _) => SplitRule::As(split),
            (None, true) => SplitRule::ByExtension,
            (None, false) => SplitRule::Whole,
        }
    }

    /// The file that the report goes to; none for standard output.
    pub(crate) fn report(&self) -> Option<&Path> {
        self.output_file.as_deref().filter(|path| path.as_os_str() != "-")
    }

    /// What the command line alone shows to be wrong.
    pub(crate) fn check(&self) -> Result<(), Failed> {
        if self.workers == Some(0) {
            return Err(Failed::usage("there must be at least one worker, not 0")
                .hint("leave --workers out for one worker (one item) or one for each core (many items)"));
        }
        if let Some(workers) = self.workers.filter(|workers| *workers > MOST_WORKERS) {
            return Err(Failed::usage(format!("{workers} workers are more than one process can have"))
                .hint(format!("--workers is at most {MOST_WORKERS}; more than one for each core gains nothing")));
        }
        if self.iterations == Some(0) {
            return Err(Failed::usage("there must be at least one iteration, not 0")
                .hint("leave --iterations out for 5 (one item) or 1 (many items)"));
        }
        if self.max_item.0 > pigeon_protocol::limits::MAX_ITEM {
            return Err(Failed::usage("an item of more than 1GiB cannot be sent to an agent")
                .hint("give at most --max-item 1GiB; without it, an item may have 64MiB"));
        }
        if self.max_parallel == Some(0) {
            return Err(Failed::usage("at least one run must be allowed at once, not 0")
                .hint("leave --max-parallel out for no bound"));
        }
        if self.max_output.0 > MOST_OUTPUT {
            return Err(Failed::usage(format!("an outcome of {} is too large", self.max_output))
                .hint("--max-output is at most 1MiB"));
        }
        if self.max_memory.is_some_and(|memory| memory.0 > 4 << 30) {
            return Err(Failed::usage("a WebAssembly memory has at most 4 GiB").hint("--max-memory is at most 4GiB"));
        }
        Ok(())
    }

    /// The guests' clock.
    pub(crate) fn clock(&self) -> Result<pigeon_api::Clock, Failed> {
        match self.clock {
            _ if self.real_clock => Ok(pigeon_api::Clock::Real),
            None => Ok(pigeon_api::Clock::Acceptance),
            Some(time) => i64::try_from(time.as_nanosecond()).map(pigeon_api::Clock::At).map_err(|_| {
                Failed::usage(format!("the time {time} is too far from now")).hint("--clock is between 1678 and 2262")
            }),
        }
    }
}
