//! The reports of `pigeon process` and `pigeon jobs results` as types: `-o json` writes one [`Report`], `-o jsonl` a
//! [`ReportRun`] a line. They are written as they go, so whoever reads them with these types needs memory for all of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Counts, FailureInfo, Finding, Verdict};

/// What became of a job. In the order of its keys all figures come first, then the items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The job.
    pub job_id: String,
    /// What judged it.
    pub plugin: ReportPlugin,
    /// Runs of all items.
    pub planned_runs: u64,
    /// Runs with an outcome.
    pub total_runs: u64,
    /// Of those, valid.
    pub successes: u64,
    /// Of those, invalid or failures.
    pub errors: u64,
    /// Of those, invalid.
    pub invalid: u64,
    /// Of those, such as could not be judged.
    pub failures: u64,
    /// Valid runs of those with an outcome, from 0 to 1.
    pub success_rate: f64,
    /// Mean of the runs' times, in milliseconds.
    pub average_time_ms: f64,
    /// Median, in milliseconds.
    pub p50_ms: f64,
    /// 95 of 100 are not longer, in milliseconds.
    pub p95_ms: f64,
    /// 99 of 100 are not longer, in milliseconds.
    pub p99_ms: f64,
    /// Time that the job was worked at, in milliseconds.
    pub wall_time_ms: f64,
    /// By the name of the worker.
    pub worker_results: BTreeMap<String, ReportWorker>,
    /// What went wrong, the most frequent first.
    pub error_details: Vec<ReportError>,
    /// Seed of the guests' randomness.
    pub seed: u64,
    /// The items that have an outcome, in their order.
    pub items: Vec<ReportItem>,
}

/// What judged a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportPlugin {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its component: `sha256:...`.
    pub digest: String,
}

/// What one worker did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportWorker {
    /// Runs with an outcome.
    pub total: u64,
    /// Of those, valid.
    pub successes: u64,
    /// Valid runs of those with an outcome, from 0 to 1.
    pub success_rate: f64,
    /// The runs' times together, in milliseconds.
    pub execution_time_ms: f64,
    /// Of its runs, invalid.
    pub invalid: u64,
    /// Of its runs, such as could not be judged.
    pub failures: u64,
    /// Mean of the runs' times, in milliseconds.
    pub average_time_ms: f64,
    /// Median, in milliseconds.
    pub p50_ms: f64,
    /// 95 of 100 are not longer, in milliseconds.
    pub p95_ms: f64,
    /// 99 of 100 are not longer, in milliseconds.
    pub p99_ms: f64,
    /// What went wrong on it, the most frequent first.
    pub error_details: Vec<ReportError>,
}

/// Runs that went wrong in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportError {
    /// Code of the failure, or of an invalid run's first finding of severity error.
    pub code: String,
    /// Its message.
    pub message: String,
    /// Runs.
    pub count: u64,
    /// Id of the first item that it happened to.
    pub example: String,
}

/// What became of one item, all its runs taken together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportItem {
    /// Its id.
    pub id: String,
    /// The worst verdict of its runs, or the majority's where the plugin asks for a vote.
    pub verdict: Verdict,
    /// Findings of the run that speaks for it: the first of those with the item's verdict.
    pub findings: Vec<Finding>,
    /// Runs with an outcome.
    pub runs: u64,
    /// Findings of that run that were not kept, if there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub omitted: Option<Counts>,
    /// That run's score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// That run's data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
    /// Why that run could not be judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureInfo>,
}

/// What became of one run: a line of `-o jsonl`, in the order in which they landed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportRun {
    /// The job.
    pub job_id: String,
    /// Id of the item.
    pub item: String,
    /// Iteration, from 0.
    pub iteration: u32,
    /// Who made it; nothing where no agent did.
    pub worker: Option<String>,
    /// What came of it.
    pub verdict: Verdict,
    /// What the plugin found.
    pub findings: Vec<Finding>,
    /// How long it took, in milliseconds.
    pub time_ms: f64,
    /// Why it could not be judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureInfo>,
}
