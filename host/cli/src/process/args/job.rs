//! What says how a job is made of its files, whichever command makes it.

use std::time::Duration;

use clap::Args;
use pigeon_api::{Limits, Work};

use crate::{
    exit::Failed,
    input::{Split, SplitRule},
    units::{self, Size},
};

/// How files become items, how often each is run, and within which bounds.
#[derive(Debug, Args)]
pub(crate) struct JobArgs {
    /// Split files into items by their extension: the elements of .json, the rows of .csv, else the lines
    #[arg(long, help_heading = "Work")]
    pub(crate) items: bool,

    /// Split files into items in this way, whatever their extension
    #[arg(long, value_enum, value_name = "HOW", help_heading = "Work")]
    pub(crate) split: Option<Split>,

    /// Refuse items larger than this
    #[arg(long, value_name = "SIZE", default_value = "64MiB", help_heading = "Work")]
    pub(crate) max_item: Size,

    /// An option for the validator; `KEY=@FILE` reads the value from a file, `KEY=@@...` begins it with an @
    #[arg(long = "option", value_name = "KEY=VALUE", help_heading = "Work")]
    pub(crate) options: Vec<String>,

    /// Workers [default: 1 for one item, else one for each core]
    #[arg(short = 'n', long, value_name = "N", value_parser = units::count, allow_negative_numbers = true, help_heading = "Runs")]
    pub(crate) workers: Option<u32>,

    /// Runs of one item by each worker [default: 5], or of each of many items [default: 1]
    #[arg(short = 'k', long, value_name = "K", value_parser = units::count, allow_negative_numbers = true, help_heading = "Runs")]
    pub(crate) iterations: Option<u32>,

    /// Seed of the guests' randomness [default: drawn, and reported]
    #[arg(long, value_name = "N", value_parser = units::whole::<u64>, allow_negative_numbers = true, help_heading = "Runs")]
    pub(crate) seed: Option<u64>,

    /// Time at which the guests' clock starts, such as 2026-01-31T12:00:00Z [default: when the job is accepted]
    #[arg(long, value_name = "TIME", value_parser = units::time, conflicts_with = "real_clock", help_heading = "Runs")]
    pub(crate) clock: Option<jiff::Timestamp>,

    /// Let guests see the real clock: verdicts may then differ from one time to the next
    #[arg(long, help_heading = "Runs")]
    pub(crate) real_clock: bool,

    /// Stop at the first run that is invalid or fails
    #[arg(long, help_heading = "Runs")]
    pub(crate) fail_fast: bool,

    /// Jobs with a higher priority go first
    #[arg(
        long,
        value_name = "N",
        value_parser = units::whole::<i32>,
        default_value_t = 0,
        allow_hyphen_values = true,
        help_heading = "Runs"
    )]
    pub(crate) priority: i32,

    /// Runs under way at once, at most
    #[arg(long, value_name = "N", value_parser = units::count, allow_negative_numbers = true, help_heading = "Runs")]
    pub(crate) max_parallel: Option<u32>,

    /// CPU time of one run
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "10s",
        help_heading = "Limits")]
    pub(crate) timeout: Duration,

    /// Time of one run in all, waiting included
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "5m",
        help_heading = "Limits")]
    pub(crate) wall_timeout: Duration,

    /// Memory of one run [default: what the validator asks for, up to 1GiB]
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    pub(crate) max_memory: Option<Size>,

    /// Size of one run's outcome, findings and log together; 1MiB at most
    #[arg(long, value_name = "SIZE", default_value = "1MiB", help_heading = "Limits")]
    pub(crate) max_output: Size,
}

/// More agents than this in one process are a mistake.
const MOST_WORKERS: u32 = 256;

/// Iterations of a single item if not said.
const ITERATIONS_OF_ONE: u32 = 5;

/// An outcome fits into one message.
const MOST_OUTPUT: u64 = 1 << 20;

impl JobArgs {
    /// How the files are to be split.
    pub(crate) fn rule(&self) -> SplitRule {
        match (self.split, self.items) {
            (Some(split), _) => SplitRule::As(split),
            (None, true) => SplitRule::ByExtension,
            (None, false) => SplitRule::Whole,
        }
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

    /// How many runs there will be of one item, or of many.
    pub(crate) fn work(&self, one: bool) -> Work {
        if one {
            let iterations = self.iterations.unwrap_or(ITERATIONS_OF_ONE);
            Work::One { workers: self.workers.unwrap_or(1), iterations }
        } else {
            Work::Many { iterations: self.iterations.unwrap_or(1), workers: self.workers }
        }
    }

    /// Bounds of each run.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            cpu: self.timeout,
            wall: self.wall_timeout,
            memory: self.max_memory.map(|size| size.0),
            output: self.max_output.0,
            ..Limits::default()
        }
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
