//! How leases and jobs end, and what becomes of the runs that were not answered.
//!
//! A lease is one lane of its agent: its runs are made one after another. So when an agent dies, at most one run of
//! each of its leases was being made. Which one is known only as far as the agent had told: outcomes that it was about
//! to send died with it. The suspects of a lease are the runs that the agent said it had begun, and as many of the next
//! ones as it can have made since it was heard last.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use pigeon_protocol::id::{JobId, LeaseId, RunIndex, SessionId};

use crate::{
    Scheduler, Time,
    action::Action,
    event::{Death, Why},
    job::Job,
    lease::Lease,
};

/// How a lease ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Every run was answered, or is of no interest any more.
    Over,
    /// Runs without an answer go back. Counts for nothing.
    Returned,
    /// So do they, but what the agent may have died of is made alone.
    Died,
    /// So do they, but what was begun was held for longer than it may take: as if the agent had died of each, alone.
    Held,
}

impl Scheduler {
    /// Lets time pass. A clock that jumps back stands still.
    pub(crate) fn pass(&mut self, now: Time) {
        self.now = self.now.max(now);
        let now = self.now;
        self.expire();
        self.watch();
        while let Some(&(at, id)) = self.timers.due.first()
            && at <= now
        {
            self.timers.due.pop_first();
            if let Some(job) = self.jobs.get_mut(&id) {
                let released = job.work.pass(now);
                if let Some(places) = &mut job.places {
                    // The owner may be gone since the run failed.
                    released.iter().for_each(|run| places.work_came_back(job.work.place_of(*run)));
                }
            }
            self.reindex(id);
        }
        while self.timers.grace.first().is_some_and(|(at, _)| *at <= now) {
            self.timers.grace.pop_first();
            self.dirty = true;
        }
        while let Some(&(at, job, session)) = self.timers.idle.first()
            && at <= now
        {
            self.timers.idle.pop_first();
            self.dismiss_if_idle(job, session);
        }
        self.dirty |= self.groups.values().any(|group| group.opens.is_some_and(|at| at <= now));
    }

    /// Ends a lease. Nothing happens if it has ended.
    pub(crate) fn end_lease(&mut self, id: LeaseId, ending: Ending) {
        let Some(lease) = self.leases.remove(&id) else { return };
        self.timers.expiry.remove(&(lease.expires, id));
        if let Some(at) = lease.copy_at {
            self.timers.copies.remove(&(at, id));
        }
        if let Some(agent) = self.agents.get_mut(&lease.session) {
            agent.leases.remove(&id);
            agent.alone = agent.alone.filter(|alone| *alone != id);
            self.refresh(lease.session);
        } else if let Some(orphans) = self.orphans.get_mut(&lease.agent) {
            orphans.remove(&id);
            if orphans.is_empty() {
                self.orphans.remove(&lease.agent);
            }
        }
        let Some(job) = self.jobs.get_mut(&lease.job) else { return };
        if let Some(group) = self.groups.get_mut(&job.group) {
            group.leases = group.leases.saturating_sub(1);
        }
        let idle = job.unleased(self.now, lease.session, id);
        if idle && (job.places.is_some() || job.max_agents != usize::MAX) {
            self.timers.idle.insert((self.now + self.config.lease_life(), lease.job, lease.session));
        }
        if ending != Ending::Over {
            self.put_back(&lease, ending);
        }
        if let Some(twin) = lease.twin {
            self.untwin(twin, ending);
        }
        self.reindex(lease.job);
        self.conclude(lease.job);
    }

    /// Ends a lease that its session still holds, and tells the session.
    pub(crate) fn cancel(&mut self, leases: impl IntoIterator<Item = LeaseId>, ending: Ending) {
        let mut by_session: BTreeMap<SessionId, Vec<LeaseId>> = BTreeMap::new();
        for id in leases {
            if let Some(lease) = self.leases.get(&id) {
                if self.agents.contains_key(&lease.session) {
                    by_session.entry(lease.session).or_default().push(id);
                }
                self.end_lease(id, ending);
            }
        }
        let cancels = by_session.into_iter().map(|(session, leases)| Action::Cancel { session, leases });
        self.actions.extend(cancels);
    }

    /// Cancels a lease whose remaining runs were all recorded otherwise: by its twin, or without a lease.
    pub(crate) fn cancel_if_superfluous(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.get(&id) else { return };
        let Some(job) = self.jobs.get(&lease.job) else { return };
        let done = job.work.done();
        let superfluous = lease.runs.open().all(|range| done.first_missing_from(RunIndex(range.start)).0 >= range.end);
        if superfluous {
            self.cancel([id], Ending::Over);
        }
    }

    /// A run was recorded as invalid or failed.
    pub(crate) fn found_bad(&mut self, id: JobId) {
        if let Some(job) = self.jobs.get_mut(&id)
            && job.fail_fast
        {
            job.stopping.get_or_insert(Why::FailFast);
            self.reindex(id);
        }
    }

    /// Tells of a job's end, if it has ended.
    pub(crate) fn conclude(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some(end) = job.ends() else { return };
        job.finished = Some(end);
        // With every run recorded, what is still leased is repetition.
        let leases: Vec<_> = job.leases.iter().copied().collect();
        self.cancel(leases, Ending::Over);
        self.reindex(id);
        self.dismiss_all(id);
        self.actions.push_back(Action::Finished { job: id, end });
    }

    /// Nobody works for a job any more.
    pub(crate) fn dismiss_all(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        for session in std::mem::take(&mut job.members).into_keys() {
            if let Some(agent) = self.agents.get_mut(&session) {
                agent.jobs.remove(&id);
            }
        }
    }

    fn expire(&mut self) {
        let now = self.now;
        let expired: Vec<_> =
            self.timers.expiry.iter().take_while(|(at, _)| *at < now).map(|(_, lease)| *lease).collect();
        if expired.is_empty() {
            return;
        }
        for id in &expired {
            let Some(lease) = self.leases.get(id) else { continue };
            let (session, job) = (lease.session, lease.job);
            // Until it is heard again it gets nothing, and its places are for others.
            if let Some(agent) = self.agents.get_mut(&session) {
                agent.mute = true;
                self.refresh(session);
            }
            if let Some(places) = self.jobs.get_mut(&job).and_then(|job| job.places.as_mut()) {
                places.release(session);
            }
        }
        self.cancel(expired, Ending::Returned);
    }

    /// A session that neither works for a job nor could leaves its places and its membership to others.
    fn dismiss_if_idle(&mut self, id: JobId, session: SessionId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some(since) = job.members.get(&session).and_then(|member| member.idle_since) else { return };
        let life = self.config.lease_life();
        if self.now < since + life || job.finished.is_some() {
            return;
        }
        let Some(agent) = self.agents.get_mut(&session) else { return };
        if agent.room() == 0 || agent.reserved {
            agent.jobs.remove(&id);
            job.dismiss(session);
            self.reindex(id);
        } else {
            // Looked at again: it may lose its room without a word.
            self.timers.idle.insert((self.now + life.max(Duration::from_micros(1)), id, session));
        }
    }

    /// Runs of an ended lease that have no answer go back, but for those that its twin still makes.
    fn put_back(&mut self, lease: &Lease, ending: Ending) {
        let twin = lease.twin.and_then(|twin| self.leases.get(&twin));
        let open: Vec<Range<u64>> = match twin {
            None => lease.runs.open().collect(),
            Some(twin) => {
                let own = lease.runs.open().flatten().filter(|run| !twin.runs.is_open(RunIndex(*run)));
                own.map(|run| run..run + 1).collect()
            }
        };
        let Some(job) = self.jobs.get_mut(&lease.job) else { return };
        if lease.alone {
            if let Some(run) = open.first().map(|range| range.start) {
                self.put_back_suspect(lease, run, ending);
            }
        } else if ending != Ending::Returned {
            let unsent = match ending {
                Ending::Died => job.pace.runs_in(self.config.flush).unwrap_or(0).saturating_add(1),
                _ => 0,
            };
            let apart = suspects(lease, job, &open, unsent, self.config.suspects);
            let mut suspects = apart.iter().copied().peekable();
            for range in open {
                let mut from = range.start;
                while let Some(run) = suspects.next_if(|run| *run < range.end && *run >= from) {
                    job.work.put_back(from..run);
                    from = run + 1;
                }
                job.work.put_back(from..range.end);
            }
            for run in apart {
                match ending {
                    Ending::Held => self.count_death(lease, run, true),
                    _ => self.suspect(lease.job, run),
                }
            }
        } else {
            for range in open {
                job.work.put_back(range);
            }
        }
        if let Some(job) = self.jobs.get_mut(&lease.job)
            && let Some(places) = &mut job.places
        {
            for range in lease.runs.open() {
                for place in job.work.place_of(range.start)..=job.work.place_of(range.end - 1) {
                    places.work_came_back(place);
                }
            }
        }
    }

    fn put_back_suspect(&mut self, lease: &Lease, run: u64, ending: Ending) {
        let Some(job) = self.jobs.get_mut(&lease.job) else { return };
        if ending == Ending::Returned || job.work.done().contains(RunIndex(run)) {
            job.work.suspect(run);
            return;
        }
        self.count_death(lease, run, ending == Ending::Held);
    }

    fn suspect(&mut self, job: JobId, run: u64) {
        if let Some(job) = self.jobs.get_mut(&job) {
            job.work.suspect(run);
        }
    }

    /// An agent died of a run, or held it. Once too often is the end of the run.
    fn count_death(&mut self, lease: &Lease, run: u64, held: bool) {
        let Some(job) = self.jobs.get_mut(&lease.job) else { return };
        let death = Death { agent: lease.agent, held, at: self.now, after: self.now.since(lease.given) };
        let attempts = job.work.died_alone(run, death);
        if attempts.deaths < self.config.deaths {
            job.work.suspect(run);
            self.actions.push_back(Action::Remember { job: lease.job, run: RunIndex(run), attempts });
            return;
        }
        let evidence = job.work.take_deaths(run);
        job.work.record(run);
        self.actions.push_back(Action::DeadLetter { job: lease.job, run: RunIndex(run), evidence });
        self.found_bad(lease.job);
    }

    /// The twin of an ended lease goes on without it. If an agent died of that, what it may have died of is here still: it is
    /// given to nobody else before it is made alone, or agent after agent would die of it, each while another has it.
    fn untwin(&mut self, id: LeaseId, ending: Ending) {
        let Some(twin) = self.leases.get_mut(&id) else { return };
        twin.twin = None;
        if ending == Ending::Returned {
            let at = self.now + self.config.copy_after;
            twin.copy_at = Some(at);
            self.timers.copies.insert((at, id));
        }
        self.cancel_if_superfluous(id);
    }
}

/// The runs that an agent had begun, and so many of the next ones whose outcomes may not have been sent.
fn suspects(lease: &Lease, job: &Job, open: &[Range<u64>], unsent: u64, most: u32) -> Vec<u64> {
    let begun = lease.begun.iter().map(|run| run.0).filter(|run| open.iter().any(|range| range.contains(run)));
    let next = open.iter().cloned().flatten().take(usize::try_from(unsent).unwrap_or(usize::MAX));
    let done = job.work.done();
    let runs = begun.chain(next).filter(|run| !done.contains(RunIndex(*run))).take(most as usize);
    let mut runs: Vec<u64> = runs.collect();
    runs.sort_unstable();
    runs.dedup();
    runs
}
