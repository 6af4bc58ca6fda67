//! Figures of the whole control host.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{AgentStatus, Times};

/// How the control host stands at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostStatus {
    /// Version of its program.
    pub version: String,
    /// When it started, in milliseconds since 1970.
    pub started_ms: i64,
    /// Now, by its clock, in milliseconds since 1970.
    pub now_ms: i64,
    /// Jobs that are kept, by state.
    pub jobs: BTreeMap<String, u64>,
    /// What is to be done.
    pub queue: QueueStatus,
    /// Runs that landed, by stretches of equal length, the oldest first; the last is not over.
    pub throughput: Throughput,
    /// Dead letters that nobody has retried or discarded.
    pub dead: u64,
    /// Plugins that can be named.
    pub plugins: u64,
    /// Agents.
    pub agents: Vec<AgentStatus>,
    /// Bytes that the state directory takes.
    pub disk_bytes: u64,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueStatus {
    /// Runs without an outcome, of all jobs that are not finished.
    pub runs: u64,
    /// Of those, runs of paused jobs.
    pub paused: u64,
    /// Leases that agents hold.
    pub leases: u64,
    /// How long the oldest of those that are not paused has waited, in milliseconds: since its item was appended, or since
    /// its job was accepted where that was before the job was last taken up. 0 if there is none.
    pub oldest_ms: u64,
}

/// Runs that landed over time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Throughput {
    /// Length of a stretch, in milliseconds.
    pub step_ms: u64,
    /// Runs in each.
    pub runs: Vec<u64>,
    /// Of those, failures.
    pub failures: Vec<u64>,
}

/// Figures by plugin and worker, over all jobs that are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostStats {
    /// All of it.
    pub total: Figures,
    /// By plugin: `gexpr 0.1.0`.
    pub plugins: BTreeMap<String, Figures>,
    /// By worker.
    pub workers: BTreeMap<String, Figures>,
    /// What went wrong, the most frequent first; at most 100.
    pub errors: Vec<ErrorStats>,
    /// Runs that landed.
    pub throughput: Throughput,
}

/// Counters and times of some runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Figures {
    /// Runs with an outcome.
    pub runs: u64,
    /// Valid ones.
    pub valid: u64,
    /// Invalid ones.
    pub invalid: u64,
    /// Those that could not be judged.
    pub failures: u64,
    /// Part that is valid, from 0 to 1; 0 where there are no runs.
    pub success_rate: f64,
    /// Their times.
    pub times: Times,
}

/// Runs that went wrong in the same way, over all jobs that are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorStats {
    /// Code of the failure, or of an invalid run's first finding of severity error.
    pub code: String,
    /// Its message.
    pub message: String,
    /// Runs.
    pub count: u64,
    /// The plugin: `gexpr 0.1.0`.
    pub plugin: String,
    /// The job that has it last, by its id.
    pub job: String,
    /// Id of the first item of that job that it happened to.
    pub example: String,
    /// When it was first seen, in milliseconds since 1970.
    pub first_ms: i64,
    /// When it was last seen, in milliseconds since 1970.
    pub last_ms: i64,
}
