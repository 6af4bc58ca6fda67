//! Jobs: what is asked for, and how they stand.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use pigeon_protocol::id::{Digest, JobId};
use serde::{Deserialize, Serialize};

use crate::{ErrorGroup, PluginInfo, result::digest_text};

/// A job to be opened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobRequest {
    /// The plugin, pinned.
    #[serde(with = "digest_text")]
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
    /// Lease nothing more after the first run that is invalid or failed.
    pub fail_fast: bool,
    /// Seed of the guests' randomness.
    pub seed: u64,
    /// The guests' clock.
    pub clock: Clock,
    /// What the job grants of the plugin's powers.
    pub grants: Vec<String>,
    /// The client's own notes on where the items come from. Opaque here; given back on resumption.
    pub sources: serde_json::Value,
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
            fail_fast: false,
            seed: 0,
            clock: Clock::Acceptance,
            grants: Vec::new(),
            sources: serde_json::Value::Null,
        }
    }
}

/// How many runs a job makes of its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "of")]
pub enum Work {
    /// One item: each of `workers` makes `iterations` runs of it.
    One {
        /// Worker places.
        workers: u32,
        /// Runs in each.
        iterations: u32,
    },
    /// Many items: each is run `iterations` times, shared out.
    Many {
        /// Runs of each item.
        iterations: u32,
        /// Agents that the job may use at most; all if not said.
        workers: Option<u32>,
    },
}

/// Bounds of each run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// CPU time.
    pub cpu: Duration,
    /// Wall-clock time in all.
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

/// What is tried again, and when. Only transient failures are; invalid verdicts never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Attempts in all.
    pub attempts: u32,
    /// Wait before the second; doubled before each further one, with jitter.
    pub backoff: Duration,
    /// No wait is longer.
    pub max_backoff: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 3, backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(30) }
    }
}

/// The clock that guests see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// Starts at the job's acceptance, and moves only as it is looked at.
    Acceptance,
    /// Starts at this time, in nanoseconds since 1970, and moves only as it is looked at.
    At(i64),
    /// The node's own.
    Real,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// Items still come, and runs may be under way.
    Open,
    /// All items are there, and runs are under way.
    Sealed,
    /// Stopped before its end; can be resumed.
    Interrupted,
    /// Stopped before its end by `--fail-fast`; cannot be resumed.
    Stopped,
    /// Every run has an outcome.
    Finished,
}

impl JobState {
    /// Whether nothing will ever be added to it.
    pub const fn is_final(self) -> bool {
        matches!(self, JobState::Stopped | JobState::Finished)
    }
}

/// Why a job is to lease nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stop {
    /// Somebody wants to go on later.
    Interrupt,
    /// Nobody wants the rest.
    Abandon,
}

/// All figures of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobStatus {
    /// The job.
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
    /// its acceptance on, but for the stretches of seconds in which it had runs to give and no agent to take them.
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
}

/// Times of runs, in milliseconds. All zero where there are no runs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
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
#[derive(Debug, Clone, PartialEq)]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Only those that are not in a final state.
    pub unfinished: bool,
    /// At most so many.
    pub limit: Option<usize>,
}

/// A job in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct JobSummary {
    /// The job.
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
}

/// Where a job that is taken up stands.
#[derive(Debug, Clone, PartialEq)]
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
    pub cursor: Bytes,
}
