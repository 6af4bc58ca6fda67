//! What the owner is asked.

use pigeon_api::Waiting;
use pigeon_protocol::id::JobId;
use pigeon_scheduler::{self as scheduler, Time};

use super::{Overview, Owner};
use crate::{clock, core::group};

impl Owner {
    /// Why nothing of a job is under way.
    pub(super) fn waiting(&self, id: JobId) -> Option<Waiting> {
        let job = &self.jobs.get(&id)?.job;
        Some(match self.scheduler.waiting(id)? {
            scheduler::Waiting::NoAgent => Waiting::NoAgent,
            scheduler::Waiting::NoLabel { labels } => Waiting::NoLabel { labels },
            scheduler::Waiting::AgentsBusy => Waiting::AgentsBusy,
            scheduler::Waiting::Backoff { until } => Waiting::Backoff { until_ms: self.wall(until) },
            scheduler::Waiting::Items => Waiting::Items,
            scheduler::Waiting::GroupBusy => {
                let limits = self.groups.get(&group(&job.plugin.metadata.name));
                let max_parallel = limits.and_then(|limits| limits.max_leases).unwrap_or_default();
                Waiting::PluginBusy { max_parallel }
            }
            scheduler::Waiting::GroupRate { until } => Waiting::PluginRate { until_ms: self.wall(until) },
            // It ends in a moment.
            scheduler::Waiting::Stopped => return None,
        })
    }

    /// How it all stands.
    pub(super) fn look(&self) -> Overview {
        let leases = |session| self.scheduler.leases_of(session);
        let goes_on = self.jobs.values().filter(|owned| !owned.job.now().stopping);
        let since_ms = goes_on.filter_map(|owned| owned.backlog.since_ms()).min();
        Overview { queue: self.scheduler.queue(), since_ms, agents: self.fleet.status(leases) }
    }

    /// A moment of the scheduler's that has passed, by the clock on the wall, in milliseconds since 1970.
    pub(super) fn wall_before(&self, time: Time) -> i64 {
        let ago = u64::try_from(self.now().since(time).as_millis()).unwrap_or(u64::MAX);
        clock::signed(clock::now_ms().saturating_sub(ago))
    }

    /// A moment of the scheduler's, by the clock on the wall, in milliseconds since 1970.
    fn wall(&self, time: Time) -> i64 {
        let ahead = u64::try_from(time.since(self.now()).as_millis()).unwrap_or(u64::MAX);
        clock::signed(clock::now_ms().saturating_add(ahead))
    }
}
