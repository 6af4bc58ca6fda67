//! Outcomes land, and each is ruled on.
//!
//! This is the one place that is passed once a run, some hundred thousand times a second: for outcomes that come in
//! turn it costs a comparison and a bit, and allocates nothing. Runs that need no agent are resolved here as well.

use pigeon_protocol::{
    id::{Fence, JobId, LeaseId, RunIndex, SessionId},
    message::RunRange,
};

use crate::{
    Scheduler, Time,
    ending::Ending,
    event::{Landing, LandingClass, Refusal, Ruling, Tally},
    lease::Answer,
};

impl Scheduler {
    /// Runs of a lease that are begun and not answered: all of them, not only those begun since the last time.
    /// Ignored if the lease is not this session's.
    pub fn begun(&mut self, now: Time, session: SessionId, lease: LeaseId, fence: Fence, runs: &[RunIndex]) {
        self.pass(now);
        let most = self.config.suspects as usize;
        let Some(lease) = self.leases.get_mut(&lease) else { return };
        if (lease.session, lease.fence) != (session, fence) {
            return;
        }
        let runs = &runs[..runs.len().min(most)];
        let new = runs.iter().any(|run| !lease.begun.contains(run));
        lease.begun.clear();
        lease.begun.extend(runs);
        if new {
            lease.moved = self.now;
            let member = self.jobs.get_mut(&lease.job).and_then(|job| job.members.get_mut(&session));
            if let Some(member) = member {
                member.begun = true;
            }
            self.moves(session);
        }
    }

    /// Outcomes have landed; none of them, where an agent has only said that a batch is over. `rulings` is cleared and
    /// filled with one ruling each, in order. Renews the lease; ends it
    /// if every run of it is answered.
    pub fn landed(
        &mut self,
        now: Time,
        session: SessionId,
        lease: LeaseId,
        fence: Fence,
        landings: &[Landing],
        rulings: &mut Vec<Ruling>,
    ) -> Tally {
        self.pass(now);
        self.heard(session);
        rulings.clear();
        rulings.reserve(landings.len());
        let live = self.leases.get(&lease).is_some_and(|lease| lease.fence == fence);
        if !live || !self.renew(lease, session) {
            self.lands_late(session);
            rulings.resize(landings.len(), Ruling::Refuse(Refusal::Stale));
            return Tally { refused: landings.len() as u32, ..Tally::default() };
        }
        let (tally, job, bad) = self.rule(lease, landings, rulings);
        if self.leases.get(&lease).is_some_and(|lease| lease.moved == self.now) {
            self.moves(session);
        }
        if bad {
            self.found_bad(job);
        }
        self.dirty = true;
        self.settle(lease);
        self.reindex(job);
        self.conclude(job);
        tally
    }

    /// A batch is over: runs of it that were not answered go back. Ignored if the lease is not this session's.
    pub fn lease_ended(&mut self, now: Time, session: SessionId, lease: LeaseId, fence: Fence) {
        self.pass(now);
        self.heard(session);
        if self.leases.get(&lease).is_some_and(|lease| (lease.session, lease.fence) == (session, fence)) {
            self.moves(session);
            self.end_lease(lease, Ending::Returned);
        }
    }

    /// A lease was not sent after all: its runs go back, and it takes none of its session's credit, nor of its group's
    /// rate.
    pub fn unsent(&mut self, now: Time, session: SessionId, lease: LeaseId, fence: Fence) {
        self.pass(now);
        if let Some(live) = self.leases.get(&lease)
            && (live.session, live.fence) == (session, fence)
            && let Some(agent) = self.agents.get_mut(&session)
        {
            agent.unsend();
            if let Some(group) = self.jobs.get(&live.job).and_then(|job| self.groups.get_mut(&job.group)) {
                group.unsent(live.runs.total());
            }
            self.end_lease(lease, Ending::Returned);
        }
    }

    /// Runs have an outcome that no agent made, because of what is known of their items. Gives those that had none yet,
    /// in the order of `ranges`: these are to be recorded, the rest has another outcome. Nothing of a job that is
    /// stopping or finished is resolved, nor of items that were not appended; and where an outcome stops the job,
    /// nothing behind the first range that has one.
    pub fn resolve(
        &mut self,
        now: Time,
        id: JobId,
        ranges: impl IntoIterator<Item = RunRange>,
        class: LandingClass,
    ) -> Vec<RunRange> {
        self.pass(now);
        let Some(job) = self.jobs.get_mut(&id) else { return Vec::new() };
        if job.stopping.is_some() || job.finished.is_some() {
            return Vec::new();
        }
        let ranges = ranges.into_iter().map(|runs| runs.first..runs.first.saturating_add(runs.count));
        let resolved = job.work.settle(ranges, job.fail_fast && class != LandingClass::Valid);
        if resolved.is_empty() {
            return resolved;
        }
        let leases: Vec<_> = job.leases.iter().copied().collect();
        if class != LandingClass::Valid {
            self.found_bad(id);
        }
        leases.into_iter().for_each(|lease| self.cancel_if_superfluous(lease));
        self.reindex(id);
        self.conclude(id);
        resolved
    }

    /// Runs that have a recorded outcome are to be made again, as if they had never been made. Gives them. Nothing of a
    /// job that is stopping or finished is taken back: one that is finished is forgotten, and admitted again without them.
    pub fn take_back(&mut self, now: Time, id: JobId, ranges: impl IntoIterator<Item = RunRange>) -> Vec<RunRange> {
        self.pass(now);
        let Some(job) = self.jobs.get_mut(&id) else { return Vec::new() };
        if job.stopping.is_some() || job.finished.is_some() {
            return Vec::new();
        }
        let mut taken = Vec::new();
        for range in ranges {
            for runs in job.work.take_back(range.first..range.first.saturating_add(range.count)) {
                taken.push(RunRange { first: runs.start, count: runs.end - runs.start });
                if let Some(places) = &mut job.places {
                    for place in job.work.place_of(runs.start)..=job.work.place_of(runs.end - 1) {
                        places.work_came_back(place);
                    }
                }
            }
        }
        self.reindex(id);
        taken
    }

    /// The job that a live lease is of.
    pub fn job_of(&self, lease: LeaseId) -> Option<JobId> {
        self.leases.get(&lease).map(|lease| lease.job)
    }

    /// Rules on outcomes of a live lease. Also gives its job, and whether one was recorded as invalid or failed.
    fn rule(&mut self, id: LeaseId, landings: &[Landing], rulings: &mut Vec<Ruling>) -> (Tally, JobId, bool) {
        let mut tally = Tally::default();
        let Some(lease) = self.leases.get_mut(&id) else { return (tally, JobId::from_bytes([0; 16]), false) };
        let Some(job) = self.jobs.get_mut(&lease.job) else { return (tally, lease.job, false) };
        let (mut runs, mut time_us, mut bad) = (0, 0_u64, false);
        for landing in landings {
            let run = landing.run.0;
            let answer = lease.runs.answer(landing.run);
            if answer == Answer::First {
                runs += 1;
                time_us = time_us.saturating_add(landing.time_us);
            }
            let ruling = match answer {
                Answer::NotLeased => Ruling::Refuse(Refusal::NotLeased),
                Answer::Repeated => Ruling::Refuse(Refusal::Duplicate),
                Answer::First if job.work.done().contains(landing.run) => Ruling::Refuse(Refusal::Duplicate),
                Answer::First => match landing.class {
                    LandingClass::Failure(class) => {
                        let attempt = job.work.attempts_of(run).failures.saturating_add(1);
                        match job.retry.wait(class, attempt, &mut self.rng) {
                            Some(wait) => {
                                let not_before = self.now + wait;
                                job.work.failed(run);
                                job.work.delay(run, not_before);
                                self.timers.due.insert((not_before, lease.job));
                                Ruling::Retry { attempt: attempt.saturating_add(1), not_before }
                            }
                            None => Ruling::Record,
                        }
                    }
                    LandingClass::Valid | LandingClass::Invalid => Ruling::Record,
                },
            };
            match ruling {
                Ruling::Record => {
                    job.work.record(run);
                    bad |= landing.class != LandingClass::Valid;
                    tally.recorded += 1;
                }
                Ruling::Refuse(_) => tally.refused += 1,
                Ruling::Retry { .. } => tally.retried += 1,
            }
            rulings.push(ruling);
        }
        if runs > 0 {
            lease.moved = self.now;
            if let Some(prepaid) = &mut lease.prepaid {
                job.served = job.served.saturating_add(time_us.saturating_sub(*prepaid));
                *prepaid = prepaid.saturating_sub(time_us);
            }
            let horizon = self.config.batch_time.saturating_mul(4);
            let completed = lease.runs.is_complete().then(|| lease.runs.total());
            let member = job.members.get_mut(&lease.session);
            let paces = member.map(|member| {
                member.begun = true;
                &mut member.pace
            });
            let plugin = self.paces.entry(job.group).or_default();
            for pace in paces.into_iter().chain([&mut job.pace, plugin]) {
                pace.observe(runs, time_us, horizon);
                if let Some(completed) = completed {
                    pace.completed(completed);
                }
            }
        }
        (tally, lease.job, bad)
    }

    /// Ends a lease if it is answered; and its twin, if that has nothing left to do.
    fn settle(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.get(&id) else { return };
        let twin = lease.twin;
        if lease.runs.is_complete() {
            self.end_lease(id, Ending::Over);
        } else if let Some(twin) = twin {
            self.cancel_if_superfluous(twin);
            self.cancel_if_superfluous(id);
        }
    }
}
