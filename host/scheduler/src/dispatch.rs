//! Who gets what: the decisions.
//!
//! Sessions with room stand in the order of their load, jobs with work in the order of their rank: higher priority
//! first, and within a priority whoever got least of the agents' time so far. The least loaded session takes from the
//! best job that it may work for, again and again, until either list is empty. A job that could have been served for
//! too long and was not goes first for once, so that nobody starves.
//!
//! Before all that, suspects: each is made by a session that has nothing else, so sessions are set aside until their
//! leases have ended, at most half of them. After all that, copies: a session that is left over repeats the lease that
//! is most overdue, its second half first, so that the two meet in the middle.

use std::{cmp::Reverse, collections::BTreeSet, time::Duration};

use pigeon_protocol::{
    id::{Fence, JobId, LeaseId, RunIndex, SessionId},
    message::RunRange,
};
use rand_chacha::rand_core::Rng;

use crate::{
    Config, Scheduler, Time,
    action::{Action, Grant},
    agent::Agent,
    job::{Job, Listed, Rank, Scope},
    lease::{Answers, Lease},
    time::micros,
    work::Batch,
};

/// Overdue leases looked at in one go.
const COPIES: usize = 32;
/// Cost of a run of which nothing is known, in microseconds.
const UNKNOWN_COST: u64 = 1000;

impl Scheduler {
    /// The next thing to do. To be called until it gives `None`, after every event or after several: the more the
    /// scheduler knows when it decides, the evener it shares.
    pub fn poll(&mut self, now: Time) -> Option<Action> {
        self.pass(now);
        if self.dirty {
            self.dirty = false;
            self.dispatch();
        }
        self.actions.pop_front()
    }

    /// When to call [`tick`](Self::tick) and [`poll`](Self::poll), should nothing happen before.
    pub fn next_wakeup(&self) -> Option<Time> {
        if self.dirty || !self.actions.is_empty() {
            return Some(self.now);
        }
        self.timers.next(self.now, !self.hungry.is_empty())
    }

    /// Time has passed. Needed only at [`next_wakeup`](Self::next_wakeup): every other call passes time as well.
    pub fn tick(&mut self, now: Time) {
        self.pass(now);
        self.dirty = true;
    }

    /// Lists a session anew, after its room or its leases have changed.
    pub(crate) fn refresh(&mut self, session: SessionId) {
        let Some(agent) = self.agents.get_mut(&session) else { return };
        let room = agent.room();
        let listed = (room > 0 && !agent.reserved).then(|| (agent.load(), session));
        if listed != agent.listed {
            if let Some(listed) = agent.listed {
                self.hungry.remove(&listed);
            }
            self.hungry.extend(listed);
            agent.listed = listed;
        }
        let lanes = room + agent.leases.len() as u64;
        self.lanes = self.lanes - agent.lanes + lanes;
        agent.lanes = lanes;
        self.dirty = true;
    }

    /// Lists a job anew, after its work, its leases or its members have changed.
    pub(crate) fn reindex(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.may_lease() && job.work.has_suspects() {
            self.suspicious.insert(id);
        } else {
            self.suspicious.remove(&id);
        }
        let scope = job.scope();
        if scope.is_some() && job.listed.is_none() {
            // It shares from now on; what others got while it had nothing to do is not made good.
            job.served = job.served.max(self.shares.get(&job.priority).copied().unwrap_or(0));
            job.waits_since = self.now;
        }
        let rank = (Reverse(job.priority), job.served, id);
        let listed = scope.map(|scope| Listed { scope, rank, waits_since: job.waits_since });
        if listed != job.listed {
            if let Some(old) = job.listed {
                self.ready_to_all.remove(&old.rank);
                self.ready_to_members.remove(&old.rank);
                self.waiting.remove(&(old.waits_since, id));
            }
            match listed {
                Some(new) if new.scope == Scope::All => {
                    self.ready_to_all.insert(new.rank);
                    self.waiting.insert((new.waits_since, id));
                }
                Some(new) => {
                    self.ready_to_members.insert(new.rank);
                }
                None => {}
            }
            job.listed = listed;
        }
        self.dirty = true;
    }

    fn dispatch(&mut self) {
        self.give_suspects();
        let closed: Vec<JobId> = self.ready_to_members.iter().map(|rank| rank.2).collect();
        for job in closed {
            self.serve_members(job);
        }
        self.serve_all();
        if !self.hungry.is_empty() && self.timers.copies.first().is_some_and(|(at, _)| *at <= self.now) {
            self.give_copies();
        }
        // Whatever deciding has changed, it has decided on.
        self.dirty = false;
    }

    /// Serves the members of a job that is open to no others.
    fn serve_members(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let mut hungry: BTreeSet<(u64, SessionId)> = if job.members.len() < self.hungry.len() {
            job.members.keys().filter_map(|session| self.agents.get(session)?.listed).collect()
        } else {
            self.hungry.iter().filter(|(_, session)| job.members.contains_key(session)).copied().collect()
        };
        while let Some((_, session)) = hungry.pop_first() {
            if self.jobs.get(&id).is_none_or(|job| job.listed.is_none()) {
                break;
            }
            if self.serve(session) {
                hungry.extend(self.agents.get(&session).and_then(|agent| agent.listed));
            }
        }
    }

    /// Serves sessions while any job is open to all of them.
    fn serve_all(&mut self) {
        let mut aside = Vec::new();
        while !self.ready_to_all.is_empty() {
            let Some((_, session)) = self.hungry.first().copied() else { break };
            if !self.serve(session)
                && let Some(agent) = self.agents.get_mut(&session)
                && let Some(listed) = agent.listed.take()
            {
                self.hungry.remove(&listed);
                aside.push(session);
            }
        }
        for session in aside {
            self.refresh(session);
        }
    }

    /// Gives a session one batch. False if there is none for it.
    fn serve(&mut self, session: SessionId) -> bool {
        let Some((job, batch)) = self.pick(session) else { return false };
        self.grant(session, job, batch, false, None);
        true
    }

    /// The batch that a session gets next.
    fn pick(&mut self, session: SessionId) -> Option<(JobId, Batch)> {
        let agent = self.agents.get(&session)?;
        let listed = agent.jobs.iter().filter_map(|job| self.jobs.get(job)?.listed);
        let mut own: Vec<Listed> = listed.filter(|listed| listed.scope == Scope::Members).collect();
        own.sort_unstable_by_key(|listed| listed.rank);
        let waits_most = self.waiting.first().copied();
        let waits_most = own.iter().map(|listed| (listed.waits_since, listed.rank.2)).chain(waits_most).min();
        let starving = waits_most.filter(|(since, _)| self.now.since(*since) >= self.config.patience);

        let mut own = own.into_iter().map(|listed| listed.rank).peekable();
        let mut all = self.ready_to_all.iter().copied().peekable();
        let ranked = std::iter::from_fn(|| match (own.peek(), all.peek()) {
            (Some(one), Some(other)) if one < other => own.next(),
            (Some(_), None) => own.next(),
            _ => all.next(),
        });
        let order = starving.map(|(_, job)| job).into_iter().chain(ranked.map(|rank: Rank| rank.2));

        let sharing = Sharing { config: &self.config, now: self.now, lanes: self.lanes, sessions: self.agents.len() };
        let (mut found, mut failed) = (None, Vec::new());
        for id in order {
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            match sharing.draw(job, session, agent) {
                Some(batch) => {
                    found = Some((id, batch));
                    break;
                }
                None => failed.push(id),
            }
        }
        for job in failed {
            self.reindex(job);
        }
        found
    }

    fn grant(&mut self, session: SessionId, id: JobId, batch: Batch, alone: bool, copy_of: Option<LeaseId>) {
        let (Some(job), Some(agent)) = (self.jobs.get_mut(&id), self.agents.get_mut(&session)) else { return };
        self.last_lease += 1;
        let lease = LeaseId(self.last_lease);
        let fence = Fence(std::iter::repeat_with(|| self.rng.next_u64()).find(|fence| *fence != 0).unwrap_or(1));
        job.leased(session, lease);
        agent.send(lease);
        agent.jobs.insert(id);
        if alone {
            agent.alone = Some(lease);
        }
        let answers = Answers::new(batch.runs.clone());
        let time = job.pace_of(session).time_of(answers.total()).map(micros);
        let served = self.shares.entry(job.priority).or_insert(0);
        *served = (*served).max(job.served);
        job.served = job.served.saturating_add(time.unwrap_or(answers.total() * UNKNOWN_COST).max(1));
        job.waits_since = self.now;

        let copied = !alone && copy_of.is_none() && job.places.is_none();
        let copy_at = copied.then(|| {
            // It may have to wait for the leases that the session has already.
            let turns = (agent.leases.len() as u64).div_ceil(u64::from(agent.info.slots));
            let expected = time.map(|time| Duration::from_micros(time.saturating_mul(2 * turns)));
            self.now + expected.map_or(self.config.copy_unknown_after, |time| time.max(self.config.copy_after))
        });
        let expires = self.now + self.config.lease_life();
        self.timers.expiry.insert((expires, lease));
        self.timers.copies.extend(copy_at.map(|at| (at, lease)));
        let (agent, incarnation, attempt) = (agent.info.agent, agent.info.incarnation, batch.attempt);
        self.leases.insert(
            lease,
            Lease {
                fence,
                session,
                agent,
                incarnation,
                job: id,
                attempt,
                alone,
                given: self.now,
                expires,
                copy_at,
                twin: copy_of,
                begun: Vec::new(),
                runs: answers,
            },
        );
        self.actions.push_back(Action::Lease(Grant {
            session,
            lease,
            fence,
            job: id,
            runs: batch.runs,
            attempt,
            alone,
        }));
        self.reindex(id);
        self.refresh(session);
    }

    /// Gives suspects to sessions that have nothing else, and sets sessions aside for those that are left.
    fn give_suspects(&mut self) {
        if self.suspicious.is_empty() && self.reserved.is_empty() {
            return;
        }
        for session in self.reserved.clone() {
            let Some(agent) = self.agents.get(&session) else { continue };
            let next = self.suspicious.iter().find(|job| self.jobs.get(job).is_some_and(|job| job.admits(session)));
            match next.copied() {
                Some(job) if agent.is_empty_handed() => self.give_suspect(session, job),
                // Busy, and gets it when it has ended what it has.
                Some(_) if agent.is_usable() && !agent.leases.is_empty() => {}
                _ => self.reserve(session, false),
            }
        }
        let suspects: usize = self.suspicious.iter().filter_map(|job| Some(self.jobs.get(job)?.work.suspects())).sum();
        let wanted = suspects.min((self.agents.len() / 2).max(1));
        let missing = wanted.saturating_sub(self.reserved.len());
        if missing == 0 {
            return;
        }
        let useful = |session: &SessionId, agent: &Agent| {
            let has_something = agent.is_empty_handed() || !agent.leases.is_empty();
            !agent.reserved && agent.is_usable() && has_something && self.has_suspect_for(*session)
        };
        let useful = self.agents.iter().filter(|(session, agent)| useful(session, agent));
        let mut useful: Vec<(usize, SessionId)> =
            useful.map(|(session, agent)| (agent.leases.len(), *session)).collect();
        useful.sort_unstable();
        for (leases, session) in useful.into_iter().take(missing) {
            self.reserve(session, true);
            let job = self.suspicious.iter().find(|job| self.jobs.get(job).is_some_and(|job| job.admits(session)));
            if let (Some(job), 0) = (job.copied(), leases) {
                self.give_suspect(session, job);
            }
        }
    }

    fn has_suspect_for(&self, session: SessionId) -> bool {
        self.suspicious.iter().any(|job| self.jobs.get(job).is_some_and(|job| job.admits(session)))
    }

    fn give_suspect(&mut self, session: SessionId, id: JobId) {
        match self.jobs.get_mut(&id).and_then(|job| job.work.take_suspect()) {
            Some(batch) => self.grant(session, id, batch, true, None),
            None => self.reindex(id),
        }
    }

    fn reserve(&mut self, session: SessionId, reserved: bool) {
        if let Some(agent) = self.agents.get_mut(&session) {
            agent.reserved = reserved;
        }
        if reserved {
            self.reserved.insert(session);
        } else {
            self.reserved.remove(&session);
        }
        self.refresh(session);
    }

    /// Gives overdue leases to sessions that are left over.
    fn give_copies(&mut self) {
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
        let other = |agent: &Agent| agent.info.agent != lease.agent;
        let idle = self.hungry.iter().take(COPIES).map(|(_, session)| *session);
        let mut idle = idle.filter(|session| job.admits(*session) && self.agents.get(session).is_some_and(other));
        let Some(session) = idle.next() else { return false };
        let done = job.work.done();
        let undone = |run: &u64| !done.contains(RunIndex(*run));
        let open: Vec<u64> = lease.runs.open().flatten().filter(undone).collect();
        if open.is_empty() {
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

/// What a batch's size depends on beside its job and its session.
struct Sharing<'a> {
    config: &'a Config,
    now: Time,
    /// Leases that all sessions have and take.
    lanes: u64,
    sessions: usize,
}

impl Sharing<'_> {
    /// Takes a batch of a job for a session. `None` if the session may have none of it now.
    fn draw(&self, job: &mut Job, session: SessionId, agent: &Agent) -> Option<Batch> {
        if !job.may_lease() || !job.admits(session) {
            return None;
        }
        if job.places.is_some() {
            return self.draw_of_place(job, session, agent);
        }
        let sessions = self.sessions.max(1) as u64;
        let lanes = if job.is_closed() { self.lanes * job.members.len() as u64 / sessions } else { self.lanes };
        let lanes = lanes.min(job.max_parallel as u64);
        let runs = self.size(job, session, job.work.ready(), lanes);
        job.work.take(runs, self.config.batch_bytes)
    }

    fn draw_of_place(&self, job: &mut Job, session: SessionId, agent: &Agent) -> Option<Batch> {
        let places = job.places.as_mut()?;
        let work = &job.work;
        let own = places.of(session).find(|place| work.is_place_ready(*place));
        let second = places.of(session).next().is_some();
        let all_joined = places.sessions() >= job.max_agents;
        let place = match own {
            Some(place) => place,
            None if second && !all_joined && self.now < job.admitted + self.config.place_grace => return None,
            None => {
                let place = places.first_free(|place| work.is_place_ready(place))?;
                places.take(place, session);
                place
            }
        };
        let ready = job.work.ready_in(job.work.runs_of(place));
        let runs = self.size(job, session, ready, agent.lanes);
        job.work.take_place(place, runs, self.config.batch_bytes)
    }

    /// Guided self-scheduling: what the pace allows, but near the end no more than half of an even share, so that all
    /// lanes end together.
    fn size(&self, job: &Job, session: SessionId, ready: u64, lanes: u64) -> u64 {
        let pace = job.pace_of(session);
        let least = pace.runs_in(self.config.least_batch_time).unwrap_or(1);
        let share = (ready / (2 * lanes.max(1))).max(least);
        pace.batch(self.config.batch_time).min(u64::from(self.config.batch_runs)).min(share).max(1)
    }
}
