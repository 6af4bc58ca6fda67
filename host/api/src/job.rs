//! Jobs: what is asked for, and how they stand.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use pigeon_protocol::id::{Digest, JobId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    ErrorGroup, PluginInfo, Problem,
    text::{self, base64 as base64_text, millis},
};

/// A job to be opened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobRequest {
    /// The plugin, pinned.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub plugin: Digest,
    /// Options for the plugin.
    pub options: BTreeMap<String, String>,
    /// How many runs, and where.
    pub work: Work,
    /// Bounds of each run.
    pub limits: Limits,
    /// What is tried again.
    pub retry: RetryPolicy,
    /// The higher, the sooner. 0 if not said.
    pub priority: i32,
    /// Runs of this job that may be under way at once.
    pub max_parallel: Option<u32>,
    /// Labels that an agent must have to work for it: each as it is (`gpu`, `arch=x86_64`), or the key of one that has a
    /// value (`arch`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 16)]
    pub require: Vec<String>,
    /// Labels that an agent had better have: of those with room, who has more of them gets its work first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 16)]
    pub prefer: Vec<String>,
    /// Lease nothing more after the first run that is invalid or failed.
    pub fail_fast: bool,
    /// Seed of the guests' randomness.
    pub seed: u64,
    /// The guests' clock.
    pub clock: Clock,
    /// What the job grants of the plugin's powers.
    pub grants: Vec<String>,
    /// The client's own notes on where the items come from. Opaque here; given back on resumption.
    #[schema(value_type = serde_json::Value)]
    pub sources: serde_json::Value,
    /// A key that makes the submission safe to repeat: while the job that it opened is kept, that one is given again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl JobRequest {
    /// A job with everything else as it is if nothing is said: no options, the default limits and retries, seed 0.
    pub fn new(plugin: Digest, work: Work) -> Self {
        Self {
            plugin,
            options: BTreeMap::new(),
            work,
            limits: Limits::default(),
            retry: RetryPolicy::default(),
            priority: 0,
            max_parallel: None,
            require: Vec::new(),
            prefer: Vec::new(),
            fail_fast: false,
            seed: 0,
            clock: Clock::Acceptance,
            grants: Vec::new(),
            sources: serde_json::Value::Null,
            key: None,
        }
    }
}

/// How many runs a job makes of its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", tag = "of", deny_unknown_fields)]
pub enum Work {
    /// One item: each of `workers` makes `iterations` runs of it.
    One {
        /// Worker places.
        #[schema(minimum = 1)]
        workers: u32,
        /// Runs in each.
        #[schema(minimum = 1)]
        iterations: u32,
    },
    /// Many items: each is run `iterations` times, shared out.
    Many {
        /// Runs of each item.
        #[schema(minimum = 1)]
        iterations: u32,
        /// Agents that the job may use at most; all if not said.
        #[schema(minimum = 1)]
        workers: Option<u32>,
    },
}

/// Bounds of each run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// CPU time, in milliseconds.
    #[serde(rename = "cpu_ms", alias = "cpu", with = "millis")]
    #[schema(value_type = f64)]
    pub cpu: Duration,
    /// Wall-clock time in all, in milliseconds.
    #[serde(rename = "wall_ms", alias = "wall", with = "millis")]
    #[schema(value_type = f64)]
    pub wall: Duration,
    /// Linear memory, in bytes; what the plugin asks for if not said.
    pub memory: Option<u64>,
    /// Size of an encoded outcome, in bytes.
    pub output: u64,
    /// Size of the kept log, in bytes.
    pub log: u64,
    /// Wasmtime fuel; no bound if not said.
    pub fuel: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu: Duration::from_secs(10),
            wall: Duration::from_secs(300),
            memory: None,
            output: 1 << 20,
            log: 64 << 10,
            fuel: None,
        }
    }
}

/// What is tried again, and when. Each sort of failure has a bound of its own on the attempts that a run has had in all
/// when it fails in that way; what is of no sort here is final, and invalid verdicts are never tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetryPolicy {
    /// Attempts in all where the plugin said that it cannot judge now.
    pub attempts: u32,
    /// Attempts in all where the time was used up: CPU time or wall-clock time.
    pub timeouts: u32,
    /// Attempts in all where the guest crashed: a trap, its memory, its stack.
    pub crashes: u32,
    /// Shortest wait before another, in milliseconds. Waits are drawn evenly from this to a bound: before the second it is
    /// twice this, and it doubles before each further one.
    #[serde(rename = "backoff_ms", alias = "backoff", with = "millis")]
    #[schema(value_type = f64)]
    pub backoff: Duration,
    /// No wait is longer, in milliseconds.
    #[serde(rename = "max_backoff_ms", alias = "max_backoff", with = "millis")]
    #[schema(value_type = f64)]
    pub max_backoff: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 3,
            timeouts: 1,
            crashes: 1,
            backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(30),
        }
    }
}

/// The clock that guests see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// Starts at the job's acceptance, and moves only as it is looked at.
    #[default]
    Acceptance,
    /// Starts at this time, in nanoseconds since 1970, and moves only as it is looked at.
    At(i64),
    /// The node's own.
    Real,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// Items still come, and runs may be under way.
    Open,
    /// All items are there, and runs are under way.
    Sealed,
    /// Stopped before its end; can be resumed.
    Interrupted,
    /// Somebody has it wait; can be resumed.
    Paused,
    /// Stopped before its end by `--fail-fast`; cannot be resumed.
    Stopped,
    /// Nobody wants the rest of it; cannot be resumed.
    Cancelled,
    /// Every run has an outcome.
    Finished,
}

impl JobState {
    /// All of them, in the order in which a job may come to them.
    pub const ALL: [JobState; 7] = [
        JobState::Open,
        JobState::Sealed,
        JobState::Interrupted,
        JobState::Paused,
        JobState::Stopped,
        JobState::Cancelled,
        JobState::Finished,
    ];

    /// The word for it, in JSON as elsewhere: `open`, `sealed` ...
    pub const fn as_str(self) -> &'static str {
        match self {
            JobState::Open => "open",
            JobState::Sealed => "sealed",
            JobState::Interrupted => "interrupted",
            JobState::Paused => "paused",
            JobState::Stopped => "stopped",
            JobState::Cancelled => "cancelled",
            JobState::Finished => "finished",
        }
    }

    /// Whether nothing will ever be added to it.
    pub const fn is_final(self) -> bool {
        matches!(self, JobState::Stopped | JobState::Cancelled | JobState::Finished)
    }
}

/// Why a job is to lease nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// Somebody wants to go on later. What is under way ends as it would. A control host that serves many keeps it
    /// paused until it is resumed, whatever restarts.
    Pause,
    /// Nobody wants the rest. What is under way is cancelled.
    Cancel,
}

/// All figures of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobStatus {
    /// The job.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub id: JobId,
    /// Its plugin.
    pub plugin: PluginInfo,
    /// Where it stands.
    pub state: JobState,
    /// What was asked for.
    pub request: JobRequest,
    /// When it was accepted, in milliseconds since 1970.
    pub accepted_ms: i64,
    /// Wall time that it was worked at up to its end (or now), summed over the processes that did, in milliseconds: from
    /// its acceptance on, but for the stretches of seconds in which it had runs to make and no agent was at any: there was
    /// none, they had no room, or they still loaded its plugin.
    pub wall_time_ms: f64,
    /// Items appended.
    pub items: u64,
    /// Runs of all items appended.
    pub planned_runs: u64,
    /// Runs with an outcome.
    pub total_runs: u64,
    /// Valid runs.
    pub valid: u64,
    /// Invalid runs.
    pub invalid: u64,
    /// Runs that could not be judged.
    pub failures: u64,
    /// Times of its runs, as far as an agent made them.
    pub times: Times,
    /// By worker, in the order of their names (`worker-2` before `worker-10`). Runs that no agent made, because their
    /// item fits nowhere, are none of theirs.
    pub workers: Vec<WorkerStatus>,
    /// What went wrong, the most frequent first.
    pub errors: Vec<ErrorGroup>,
    /// Who submitted it; empty where nobody has a name.
    #[serde(default)]
    pub author: String,
    /// When it ended, in milliseconds since 1970.
    #[serde(default)]
    pub finished_ms: Option<i64>,
    /// Runs that could not be judged and that nobody has retried or discarded.
    #[serde(default)]
    pub dead: u64,
    /// Why nothing of it is under way, if nothing is and it has not ended.
    #[serde(default)]
    pub waiting: Option<Waiting>,
    /// What the machinery failed at, if that is why it is interrupted.
    #[serde(default)]
    pub broken: Option<Problem>,
}

/// Why nothing of a job is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Waiting {
    /// No agent is in.
    NoAgent,
    /// No agent that is in has the labels that it requires.
    NoLabel {
        /// Those that none has; all that it requires, where each of them is had by some agent, but not by one.
        labels: Vec<String>,
    },
    /// The agents have no room: they work for other jobs.
    AgentsBusy,
    /// All that is left waits for its next attempt, until this time in milliseconds since 1970.
    Backoff {
        /// The time, in milliseconds since 1970.
        until_ms: i64,
    },
    /// It is open, and all that was appended is done.
    Items,
    /// It is paused.
    Paused,
    /// Its plugin has as many runs under way as it may.
    PluginBusy {
        /// How many that is.
        max_parallel: u32,
    },
    /// Its plugin has made as many runs lately as it may; more from this time on, in milliseconds since 1970.
    PluginRate {
        /// The time, in milliseconds since 1970.
        until_ms: i64,
    },
    /// Nobody works at it: it was interrupted.
    Nobody,
}

/// Times of runs, in milliseconds. All zero where there are no runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Times {
    /// Sum.
    pub total_ms: f64,
    /// Mean.
    pub mean_ms: f64,
    /// Median.
    pub p50_ms: f64,
    /// 95 of 100 are not longer.
    pub p95_ms: f64,
    /// 99 of 100 are not longer.
    pub p99_ms: f64,
}

/// What one worker did for a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkerStatus {
    /// The agent's name.
    pub name: String,
    /// Runs with an outcome.
    pub total: u64,
    /// Valid runs.
    pub valid: u64,
    /// Invalid runs.
    pub invalid: u64,
    /// Runs that could not be judged.
    pub failures: u64,
    /// Times of its runs.
    pub times: Times,
    /// What went wrong on it, the most frequent first.
    pub errors: Vec<ErrorGroup>,
}

/// Which jobs to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Only those that are not in a final state.
    pub unfinished: bool,
    /// Only those in this state.
    pub state: Option<JobState>,
    /// Only those of the plugin with this name.
    pub plugin: Option<String>,
    /// Only those that were submitted before this one: the last of the page before.
    pub before: Option<JobId>,
    /// At most so many.
    pub limit: Option<usize>,
}

/// A job in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobSummary {
    /// The job.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub id: JobId,
    /// Name and version of its plugin: `gexpr 0.1.0`.
    pub plugin: String,
    /// Where it stands.
    pub state: JobState,
    /// When it was accepted, in milliseconds since 1970.
    pub accepted_ms: i64,
    /// Runs of all items appended.
    pub planned_runs: u64,
    /// Runs with an outcome.
    pub total_runs: u64,
    /// Of those, valid.
    #[serde(default)]
    pub valid: u64,
    /// Of those, invalid.
    #[serde(default)]
    pub invalid: u64,
    /// Of those, failures.
    #[serde(default)]
    pub failures: u64,
    /// The higher, the sooner.
    #[serde(default)]
    pub priority: i32,
    /// Who submitted it; empty where nobody has a name.
    #[serde(default)]
    pub author: String,
}

/// Where a job that is taken up stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ResumePoint {
    /// What was asked for, with the client's notes on its sources.
    pub request: JobRequest,
    /// Its state before it was taken up. If it is final there is nothing to do but to report.
    pub state: JobState,
    /// Whether all items are there.
    pub sealed: bool,
    /// Number of the next chunk.
    pub next_seq: u64,
    /// Index of the next item.
    pub next_item: u64,
    /// The cursor of the last chunk; empty if there is none.
    #[serde(with = "base64_text")]
    #[schema(value_type = String)]
    pub cursor: Bytes,
}
