//! How long things are kept.

use std::time::Duration;

use pigeon_protocol::id::JobId;

/// How long things are kept. Jobs that are not finished are kept for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// How long a finished job, its results and its items' ids are kept.
    pub results: Duration,
    /// Whether the items' bodies are kept as long as the results, and not only until the job is finished.
    pub keep_bodies: bool,
}

impl Default for Retention {
    /// Results for 7 days, bodies until the job is finished.
    fn default() -> Self {
        Self { results: Duration::from_secs(7 * 24 * 60 * 60), keep_bodies: false }
    }
}

/// What a sweep removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swept {
    /// Jobs of which nothing is left.
    pub jobs: Vec<JobId>,
    /// Jobs that lost the bodies of their items, and keep their results.
    pub bodies: Vec<JobId>,
    /// Files that nobody names any more: large items and components.
    pub files: u64,
    /// Bytes that the database gave back to the disk.
    pub freed: u64,
}
