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
    /// The most that the store may take on disk, in bytes, beside the log of its latest writes, which has some 16 MiB: if
    /// it takes more, events go before their time until the log has an eighth of this, the oldest first, and then finished
    /// jobs, those that were finished first before the others.
    pub max_bytes: Option<u64>,
    /// How long the log of events is kept.
    pub events: Duration,
    /// How long an agent that is away is remembered, from the end of its certificate on: as long as it could be renewed. So
    /// long one that was revoked is known to be.
    pub agents: Duration,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Default for Retention {
    /// Results for 7 days, bodies until the job is finished, events and agents for 30 days, however much that is.
    fn default() -> Self {
        Self { results: 7 * DAY, keep_bodies: false, max_bytes: None, events: 30 * DAY, agents: 30 * DAY }
    }
}

/// What a sweep removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swept {
    /// Jobs of which nothing is left, because their time was over.
    pub jobs: Vec<JobId>,
    /// Jobs of which nothing is left, because the store took more room than it may.
    pub for_room: Vec<JobId>,
    /// Jobs that were deleted before, and of which something was left until now.
    pub deleted: u64,
    /// Jobs that lost the bodies of their items, and keep their results.
    pub bodies: Vec<JobId>,
    /// Events whose time was over.
    pub events: u64,
    /// Events that went because the store took more room than it may.
    pub events_for_room: u64,
    /// Files that nobody names any more: large items and components.
    pub files: u64,
    /// Bytes that the database gave back to the disk, and bytes of files of items.
    pub freed: u64,
    /// Bytes that the store takes on disk now. May be more than allowed, if nothing is left that may go.
    pub bytes: u64,
}
