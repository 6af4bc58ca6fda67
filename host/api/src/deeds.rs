//! What became of things with which something was done: what commands print with `-o json` that pause, cancel, remove or
//! revoke.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Problem;

/// What became of several things, in the order in which they were named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Deeds {
    /// An entry for each of them.
    pub deeds: Vec<Deed>,
}

/// What became of one of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Deed {
    /// The thing: a job by its id, a schedule, a token or an agent by its name.
    pub of: String,
    /// What was done with it; nothing if it could not be.
    pub done: Option<Done>,
    /// Runs that are tried again, of a job whose runs were `retried`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<u64>,
    /// When it is due next, in milliseconds since 1970, of a schedule that was `resumed` and is due again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_ms: Option<i64>,
    /// Why it could not be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}

impl Deed {
    /// It was done.
    pub fn done(of: impl ToString, done: Done) -> Self {
        Self { of: of.to_string(), done: Some(done), runs: None, next_ms: None, error: None }
    }

    /// It could not be done.
    pub fn failed(of: impl ToString, error: Problem) -> Self {
        Self { of: of.to_string(), done: None, runs: None, next_ms: None, error: Some(error) }
    }
}

/// What can be done with things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Done {
    /// What was under way ended, and the rest is never run.
    Cancelled,
    /// It waits until it is resumed.
    Paused,
    /// It takes nothing until it is resumed.
    Drained,
    /// It goes on.
    Resumed,
    /// What could not be judged is tried again.
    Retried,
    /// It is gone, with all that was known of it.
    Removed,
    /// It is good for nothing any more.
    Revoked,
}
