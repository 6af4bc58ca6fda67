//! What says how a job is made of its files, whichever command makes it.

use std::{fmt, str::FromStr, time::Duration};

use clap::Args;
use pigeon_agent::config::own_labels;
use pigeon_api::{Limits, RetryPolicy, Work};
use pigeon_protocol::label::{self, MAX_WANTED};

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

    /// Only agents that have this label, such as gpu or arch=x86_64; the key alone is any value. May be repeated
    #[arg(long, value_name = "LABEL", value_parser = units::label, help_heading = "Runs")]
    pub(crate) require: Vec<String>,

    /// Agents that have this label first, where they have room. May be repeated
    #[arg(long, value_name = "LABEL", value_parser = units::label, help_heading = "Runs")]
    pub(crate) prefer: Vec<String>,

    /// Attempts that a run has in all if it fails in a way of --retry-on; 1 is never to try again
    #[arg(long, value_name = "N", value_parser = units::count, allow_negative_numbers = true,
        default_value_t = RetryPolicy::default().attempts, help_heading = "Retries")]
    pub(crate) max_attempts: u32,

    /// Wait before the second attempt: MIN to twice that, doubled before each further one and never above MAX
    #[arg(long, value_name = "MIN[..MAX]", value_parser = Backoff::from_str, default_value_t, help_heading = "Retries")]
    pub(crate) retry_backoff: Backoff,

    /// Failures after which a run is tried again, with commas between them; what is invalid never is
    #[arg(
        long,
        value_enum,
        value_name = "FAILURES",
        value_delimiter = ',',
        default_value = "transient",
        help_heading = "Retries"
    )]
    pub(crate) retry_on: Vec<RetryOn>,

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

/// Failures that another attempt may be without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum RetryOn {
    /// The validator said that it cannot judge now
    Transient,
    /// The time was used up: --timeout or --wall-timeout
    Timeout,
    /// The validator crashed: a trap, its memory, its stack
    Crash,
}

/// How long is waited between attempts: `100ms..30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backoff {
    least: Duration,
    most: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        let RetryPolicy { backoff, max_backoff, .. } = RetryPolicy::default();
        Self { least: backoff, most: max_backoff }
    }
}

impl fmt::Display for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", units::in_units(self.least), units::in_units(self.most))
    }
}

impl FromStr for Backoff {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = |text: &str| units::duration(text.trim()).map_err(|error| error.to_string());
        let (least, most) = match text.split_once("..") {
            Some((least, most)) => (read(least)?, read(most)?),
            // No wait is shorter than the first.
            None => read(text).map(|least| (least, least.max(Self::default().most)))?,
        };
        if least > most { Err(format!("{text} ends before it begins")) } else { Ok(Self { least, most }) }
    }
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
        for (option, labels) in [("--require", &self.require), ("--prefer", &self.prefer)] {
            if labels.len() > MAX_WANTED {
                return Err(Failed::usage(format!("{option} is given {} times", labels.len()))
                    .hint(format!("it names at most {MAX_WANTED} labels")));
            }
        }
        if self.max_attempts == 0 {
            return Err(Failed::usage("a run has at least one attempt, not 0")
                .hint("--max-attempts 1 is never to try again; without it, a run has 3"));
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

    /// What would be wrong if all of it had to be done in this process. A server has agents of its own.
    pub(crate) fn check_here(&self) -> Result<(), Failed> {
        if let Some(workers) = self.workers.filter(|workers| *workers > MOST_WORKERS) {
            return Err(Failed::usage(format!("{workers} workers are more than one process can have"))
                .hint(format!("--workers is at most {MOST_WORKERS}; more than one for each core gains nothing")));
        }
        let own = own_labels();
        match self.require.iter().find(|wanted| !own.iter().any(|own| label::is(own, wanted))) {
            Some(label) => Err(Failed::usage(format!("the agents of this process have no label {label}")).hint(
                format!("they have {}; --connect submits to a server, whose agents may have others", own.join(" and ")),
            )),
            None => Ok(()),
        }
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

    /// What is tried again, and when.
    pub(crate) fn retry(&self) -> RetryPolicy {
        let attempts = |on: RetryOn| if self.retry_on.contains(&on) { self.max_attempts } else { 1 };
        RetryPolicy {
            attempts: attempts(RetryOn::Transient),
            timeouts: attempts(RetryOn::Timeout),
            crashes: attempts(RetryOn::Crash),
            backoff: self.retry_backoff.least,
            max_backoff: self.retry_backoff.most,
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        job: JobArgs,
    }

    fn job(line: &str) -> Result<JobArgs, String> {
        let line = Line::try_parse_from(format!("x {line}").split_whitespace());
        let job = line.map_err(|error| error.to_string())?.job;
        job.check().map(|()| job).map_err(|error| error.to_string())
    }

    #[test]
    fn labels_are_as_many_and_as_long_as_a_job_may_name() {
        let named = job("--require gpu --require arch=x86_64 --prefer model:codellama:7b").unwrap();
        assert_eq!(
            (named.require, named.prefer),
            (vec!["gpu".into(), "arch=x86_64".into()], vec!["model:codellama:7b".into()])
        );
        assert!(job(&"--prefer a ".repeat(MAX_WANTED)).is_ok());
        let error = job(&"--prefer a ".repeat(MAX_WANTED + 1)).unwrap_err();
        assert!(error.contains("--prefer is given 17 times"), "{error}");
        assert!(job("--require =a").unwrap_err().contains("a label has something before its ="));
    }

    #[test]
    fn agents_of_this_process_have_the_labels_of_this_machine() {
        let here = |line: &str| job(line).unwrap().check_here().map_err(|error| error.to_string());
        let arch = std::env::consts::ARCH;
        assert_eq!(here(&format!("--require arch={arch} --require os --prefer gpu")), Ok(()));
        assert_eq!(here("--require gpu"), Err("the agents of this process have no label gpu".to_owned()));
    }

    fn retry(line: &str) -> Result<RetryPolicy, String> {
        Ok(job(line)?.retry())
    }

    #[test]
    fn what_is_tried_again_is_as_was_said() {
        let usual = RetryPolicy::default();
        assert_eq!(retry(""), Ok(usual));
        assert_eq!(retry("--max-attempts 1"), Ok(RetryPolicy { attempts: 1, ..usual }));
        let all = "--retry-on transient,timeout,crash --max-attempts 5 --retry-backoff 250ms..9s";
        let (backoff, max_backoff) = (Duration::from_millis(250), Duration::from_secs(9));
        let expected = RetryPolicy { attempts: 5, timeouts: 5, crashes: 5, backoff, max_backoff };
        assert_eq!(retry(all), Ok(expected));
        assert_eq!(retry("--retry-on crash"), Ok(RetryPolicy { attempts: 1, crashes: 3, ..usual }));
        let minute = Duration::from_secs(60);
        assert_eq!(retry("--retry-backoff 1m"), Ok(RetryPolicy { backoff: minute, max_backoff: minute, ..usual }));
        for wrong in [
            "--max-attempts 0",
            "--max-attempts -1",
            "--retry-on invalid",
            "--retry-on transient,",
            "--retry-backoff 9s..1s",
            "--retry-backoff 9",
            "--retry-backoff ..9s",
        ] {
            assert!(retry(wrong).is_err(), "{wrong}");
        }
    }
}
