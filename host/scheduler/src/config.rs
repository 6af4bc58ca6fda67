//! The scheduler's settings, each with its reason.

use std::time::Duration;

/// Settings. The defaults suit a control host; an embedded one has a shorter beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Interval at which agents say that they live.
    pub beat: Duration,
    /// A lease lives this many beats after the last beat that named it.
    pub lease_beats: u32,
    /// What a batch should take. Long enough that its overhead is lost in it, short enough that little is lost with it.
    pub batch_time: Duration,
    /// Near a job's end, batches are not cut smaller than this much work.
    pub least_batch_time: Duration,
    /// Most runs in a batch, however fast they are.
    pub batch_runs: u32,
    /// Most bytes of bodies in a batch, unless it is one item: the bound of the protocol.
    pub batch_bytes: u64,
    /// How long a job of one item waits for its agents before one of them takes a second place.
    pub place_grace: Duration,
    /// A job that could have been served for so long and was not goes before any priority.
    pub patience: Duration,
    /// A lease is not copied to an idle session before this, however overdue.
    pub copy_after: Duration,
    /// A lease of a job whose pace is not known yet is not copied before this.
    pub copy_unknown_after: Duration,
    /// How long it may take until something of a lease begins, where nothing of its job has begun in its session yet: the
    /// items have to be received, and the plugin to be fetched and compiled, for which agents take up to five minutes.
    pub start: Duration,
    /// How long an agent gathers outcomes before it sends them: so much of what it had answered may be lost with it.
    pub flush: Duration,
    /// Most suspects of one lease.
    pub suspects: u32,
    /// Deaths alone that dead-letter a run.
    pub deaths: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            beat: Duration::from_secs(10),
            lease_beats: 3,
            batch_time: Duration::from_millis(100),
            least_batch_time: Duration::from_millis(5),
            batch_runs: 16_384,
            batch_bytes: 4 << 20,
            place_grace: Duration::from_millis(200),
            patience: Duration::from_secs(30),
            copy_after: Duration::from_millis(500),
            copy_unknown_after: Duration::from_secs(30),
            start: Duration::from_secs(600),
            flush: Duration::from_millis(5),
            suspects: 128,
            deaths: 2,
        }
    }
}

impl Config {
    /// How long a lease lives after the last beat that named it.
    pub(crate) fn lease_life(&self) -> Duration {
        self.beat.saturating_mul(self.lease_beats.max(1))
    }
}
