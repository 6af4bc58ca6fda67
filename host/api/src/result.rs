//! Verdicts, as people see them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A verdict, or that there is none. In the order of gravity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// No finding of severity error.
    Valid,
    /// At least one.
    Invalid,
    /// The validator could not judge.
    Failure,
}

impl Verdict {
    /// `valid`, `invalid` or `failure`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Verdict::Valid => "valid",
            Verdict::Invalid => "invalid",
            Verdict::Failure => "failure",
        }
    }
}

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Makes the verdict invalid.
    Error,
    /// Worth a look.
    Warning,
    /// Worth knowing.
    Info,
}

/// One thing that a validator says of an item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// How grave it is.
    pub severity: Severity,
    /// Stable and machine-readable.
    pub code: String,
    /// For people.
    pub message: String,
    /// Where in the item.
    #[serde(flatten)]
    pub place: Place,
}

/// A place relative to the item; what is not known is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Place {
    /// From 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// From 1, in characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// From 0, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// JSON Pointer; the root is the empty string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
}

/// How many findings of each severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Counts {
    /// Errors.
    pub errors: u64,
    /// Warnings.
    pub warnings: u64,
    /// Infos.
    pub infos: u64,
}

/// Why a run could not be judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailureInfo {
    /// What ended it, in our own words: `timeout`, `out-of-memory`, `trap`, `permanent` ...
    pub cause: String,
    /// The plugin's own code if it said so itself, else the cause.
    pub code: String,
    /// For people.
    pub message: String,
    /// Where in the guest it struck, innermost frame first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backtrace: Vec<String>,
}

/// What became of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunResult {
    /// Id of the item.
    pub item: String,
    /// Index of the item in the job, from 0.
    pub index: u64,
    /// Worker place, from 0. Always 0 in a job of many items.
    pub place: u32,
    /// Iteration, from 0.
    pub iteration: u32,
    /// Name of the agent that made it; empty if none did, because its item fits nowhere.
    pub worker: String,
    /// Verdict.
    pub verdict: Verdict,
    /// The first 1,000 findings.
    pub findings: Vec<Finding>,
    /// Findings that were not kept.
    pub omitted: Counts,
    /// The plugin's score, if it gave one.
    pub score: Option<f64>,
    /// The plugin's own data, if it gave any: a JSON document.
    pub data: Option<String>,
    /// Why there is no verdict.
    pub failure: Option<FailureInfo>,
    /// Wall time on the agent, in milliseconds.
    pub time_ms: f64,
    /// What the guest logged.
    pub log: String,
}

/// What became of one item, all its runs taken together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ItemResult {
    /// Its id.
    pub id: String,
    /// Its index in the job, from 0.
    pub index: u64,
    /// The line of its source on which it begins, from 1; 0 where that means nothing.
    pub line: u64,
    /// The worst verdict of its runs, or the majority's where the plugin asks for a vote.
    pub verdict: Verdict,
    /// Runs with an outcome.
    pub runs: u64,
    /// Wall time of its runs together, in milliseconds.
    pub time_ms: f64,
    /// Findings of the run that speaks for it: the first of those with the item's verdict.
    pub findings: Vec<Finding>,
    /// Findings of that run that were not kept.
    pub omitted: Counts,
    /// That run's score.
    pub score: Option<f64>,
    /// That run's data.
    pub data: Option<String>,
    /// That run's failure.
    pub failure: Option<FailureInfo>,
}

/// Runs that went wrong in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorGroup {
    /// Code of the failure, or of an invalid run's first finding of severity error.
    pub code: String,
    /// Its message.
    pub message: String,
    /// Runs.
    pub count: u64,
    /// Id of the first item that it happened to.
    pub example: String,
    /// When it was first seen, in milliseconds since 1970; 0 where that was not written down.
    #[serde(default)]
    pub first_ms: i64,
    /// When it was last seen, in milliseconds since 1970; 0 where that was not written down.
    #[serde(default)]
    pub last_ms: i64,
}
