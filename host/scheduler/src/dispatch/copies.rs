//! Copies: near a job's end, sessions that are left over repeat what is overdue.

use std::time::Duration;

use pigeon_protocol::{
    id::{LeaseId, RunIndex, SessionId},
    message::RunRange,
};

use crate::{Scheduler, Time, agent::Agent, work::Batch};

/// Overdue leases looked at in one go.
const COPIES: usize = 32;

impl Scheduler {
    /// Gives overdue leases to sessions that are left over.
    pub(super) fn give_copies(&mut self) {
        let overdue = self.timers.copies.range(..=(self.now, LeaseId(u64::MAX)));
        let overdue: Vec<(Time, LeaseId)> = overdue.take(COPIES).copied().collect();
        for (at, id) in overdue {
            self.timers.copies.remove(&(at, id));
            let copied = self.give_copy(id);
            let Some(lease) = self.leases.get_mut(&id) else { continue };
            lease.copy_at = (!copied).then(|| self.now + self.config.copy_after.max(Duration::from_micros(1)));
            // What cannot be copied now makes way for what can, and is looked at again.
            self.timers.copies.extend(lease.copy_at.map(|at| (at, id)));
        }
    }

    fn give_copy(&mut self, id: LeaseId) -> bool {
        let Some(lease) = self.leases.get(&id) else { return false };
        let Some(job) = self.jobs.get(&lease.job) else { return false };
        if !job.may_lease() || job.work.is_ready() {
            return false;
        }
        let may = |session: SessionId, agent: &Agent| agent.info.agent != lease.agent && job.admits(session, agent);
        let idle = |session: &SessionId| self.agents.get(session).is_some_and(|agent| may(*session, agent));
        let Some(session) = self.hungry(job.need).take(COPIES).find(idle) else { return false };
        let done = job.work.done();
        let undone = |run: &u64| !done.contains(RunIndex(*run));
        let open: Vec<u64> = lease.runs.open().flatten().filter(undone).collect();
        if open.is_empty() || self.room_of(job.group).runs < open.len() as u64 {
            return false;
        }
        let (first, second) = open.split_at(open.len() / 2);
        let mut runs: Vec<RunRange> = Vec::new();
        for run in second.iter().chain(first) {
            match runs.last_mut() {
                Some(last) if last.first + last.count == *run => last.count += 1,
                _ => runs.push(RunRange { first: *run, count: 1 }),
            }
        }
        let (job, batch) = (lease.job, Batch { runs, attempt: lease.attempt });
        self.grant(session, job, batch, false, Some(id));
        let copy = LeaseId(self.last_lease);
        if let Some(lease) = self.leases.get_mut(&id) {
            lease.twin = Some(copy);
        }
        true
    }
}
