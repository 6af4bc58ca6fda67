//! A job as clients of the REST API submit it: everything but the plugin may be left out.

use std::collections::BTreeMap;

use pigeon_protocol::id::Digest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Clock, JobRequest, Limits, RetryPolicy, Work};

/// A job to be opened, perhaps with its items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// The plugin: `name`, `name@version` or `sha256:...`. The job stays with the component that this names now.
    pub plugin: String,
    /// The items, if they are few. Then the job is sealed as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<InlineItem>>,
    /// Options for the plugin.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// How many runs, and where; each item once, by whichever agents there are, if not said.
    #[serde(default)]
    pub work: Option<Work>,
    /// Bounds of each run.
    #[serde(default)]
    pub limits: Limits,
    /// What is tried again.
    #[serde(default)]
    pub retry: RetryPolicy,
    /// The higher, the sooner.
    #[serde(default)]
    pub priority: i32,
    /// Runs of this job that may be under way at once.
    #[serde(default)]
    pub max_parallel: Option<u32>,
    /// Lease nothing more after the first run that is invalid or failed.
    #[serde(default)]
    pub fail_fast: bool,
    /// Seed of the guests' randomness; drawn if not said.
    #[serde(default)]
    pub seed: Option<u64>,
    /// The guests' clock.
    #[serde(default)]
    pub clock: Clock,
    /// What the job grants of the plugin's powers.
    #[serde(default)]
    pub grants: Vec<String>,
    /// A key that makes the submission safe to repeat: the job that it opened is given again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The client's own notes on where the items come from.
    #[serde(default)]
    #[schema(value_type = serde_json::Value)]
    pub sources: serde_json::Value,
}

impl Submission {
    /// Each item once, by whichever agents there are.
    pub const USUAL_WORK: Work = Work::Many { iterations: 1, workers: None };

    /// The job that it asks for, now that it is known which component its plugin names. `seed` is what was drawn; it
    /// counts where none is said. Its items are left out.
    pub fn request(&self, plugin: Digest, seed: u64) -> JobRequest {
        JobRequest {
            plugin,
            options: self.options.clone(),
            work: self.work.unwrap_or(Self::USUAL_WORK),
            limits: self.limits,
            retry: self.retry,
            priority: self.priority,
            max_parallel: self.max_parallel,
            fail_fast: self.fail_fast,
            seed: self.seed.unwrap_or(seed),
            clock: self.clock,
            grants: self.grants.clone(),
            sources: self.sources.clone(),
            key: self.key.clone(),
        }
    }
}

impl From<JobRequest> for Submission {
    fn from(request: JobRequest) -> Self {
        Self {
            plugin: request.plugin.to_string(),
            items: None,
            options: request.options,
            work: Some(request.work),
            limits: request.limits,
            retry: request.retry,
            priority: request.priority,
            max_parallel: request.max_parallel,
            fail_fast: request.fail_fast,
            seed: Some(request.seed),
            clock: request.clock,
            grants: request.grants,
            key: request.key,
            sources: request.sources,
        }
    }
}

/// An item within a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum InlineItem {
    /// Its text; its id is its number, from 1.
    Text(String),
    /// Its text, with an id.
    Named {
        /// Unique in the job.
        id: String,
        /// Its text.
        body: String,
    },
}
