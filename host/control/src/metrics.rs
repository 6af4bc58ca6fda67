//! Counters and gauges of the whole control host, for those who scrape them.

use pigeon_api::QueueStatus;
use pigeon_hub::HubStats;
use pigeon_store::Commits;

/// How the control host stands, and what it has counted since it started.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    /// When it started, in milliseconds since 1970.
    pub started_ms: i64,
    /// Jobs that were submitted here since then.
    pub submitted: u64,
    /// Items that were appended since then.
    pub items: u64,
    /// Bytes of their bodies.
    pub item_bytes: u64,
    /// Runs that were recorded since then: valid ones, invalid ones, failures.
    pub runs: [u64; 3],
    /// Outcomes that were refused since then: of leases that were not the agent's (any more), of runs that had one, of
    /// runs that were not leased.
    pub refused: [u64; 3],
    /// Attempts since then that are followed by another.
    pub retried: u64,
    /// Leases that were given since then.
    pub leased: u64,
    /// Jobs that are open or sealed, and not paused.
    pub jobs_active: u64,
    /// Jobs that are paused.
    pub jobs_paused: u64,
    /// What is to be done.
    pub queue: QueueStatus,
    /// Dead letters.
    pub dead: u64,
    /// Agents, for each [`AgentState`](pigeon_api::AgentState) in turn.
    pub agents: [u64; 5],
    /// Slots of the agents that are in.
    pub slots: u64,
    /// What the hub has counted.
    pub hub: HubStats,
    /// Commands that wait for the owner of the queue.
    pub commands_waiting: u64,
    /// How long it took to put changes on disk, since then.
    pub commits: Commits,
    /// Bytes that the state directory takes.
    pub disk_bytes: u64,
    /// Bytes that are free on its disk.
    pub disk_free: u64,
}
