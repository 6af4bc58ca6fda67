//! Who gets what: the decisions.
//!
//! Sessions with room stand in the order of their load, jobs with work in the order of their rank: higher priority
//! first, and within a priority whoever got least of the agents' time so far. The session that suits the best job best
//! (the least loaded; where the job prefers labels, of those that lack the fewest) takes from the best job that it may
//! work for, again and again, until no session is left that any job could use. A job that could have been served for too
//! long and was not goes first for once, so that nobody starves.
//!
//! Before all that, suspects: each is made by a session that has nothing else, so sessions are set aside until their
//! leases have ended, at most half of them. After all that, copies: a session that is left over repeats the lease that
//! is most overdue, its second half first, so that the two meet in the middle.

mod copies;
mod lists;
mod pick;
mod sharing;
mod suspects;

use std::{collections::BTreeSet, time::Duration};

use pigeon_protocol::id::{Fence, JobId, LeaseId, SessionId};
use rand_chacha::rand_core::Rng;

use crate::{
    Scheduler, Time,
    action::{Action, Grant},
    lease::{Answers, Lease},
    time::micros,
    work::Batch,
};

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
        let opens = self.groups.values().filter_map(|group| group.opens).min();
        self.timers.next(self.now, !self.hungry.is_empty()).into_iter().chain(opens).min()
    }

    /// Time has passed. Needed only at [`next_wakeup`](Self::next_wakeup): every other call passes time as well.
    pub fn tick(&mut self, now: Time) {
        self.pass(now);
        self.dirty = true;
    }

    fn dispatch(&mut self) {
        self.fill_groups();
        self.give_suspects();
        let closed: Vec<JobId> = self.ready_to_members.iter().map(|rank| rank.2).collect();
        for job in closed {
            self.serve_members(job);
        }
        self.serve_all();
        if !self.hungry.is_empty() && self.timers.copies.first().is_some_and(|(at, _)| *at <= self.now) {
            self.give_copies();
        }
        self.look_ahead();
        // Whatever deciding has changed, it has decided on.
        self.dirty = false;
    }

    /// Serves the members of a job that is open to no others.
    fn serve_members(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let group = job.group;
        let need = job.need;
        let standing = |session: &SessionId| {
            let agent = self.agents.get(session)?;
            Some((agent.lacks(need)?, agent.listed?))
        };
        let mut hungry: BTreeSet<(u32, (u64, SessionId))> = if job.members.len() < self.hungry.len() {
            job.members.keys().filter_map(standing).collect()
        } else {
            let members = self.hungry.iter().map(|(_, session)| session);
            members.filter(|session| job.members.contains_key(session)).filter_map(standing).collect()
        };
        while let Some((lacking, (_, session))) = hungry.pop_first() {
            if self.jobs.get(&id).is_none_or(|job| job.listed.is_none()) || self.room_of(group).runs == 0 {
                break;
            }
            if self.serve(session) {
                let listed = self.agents.get(&session).and_then(|agent| agent.listed);
                hungry.extend(listed.map(|listed| (lacking, listed)));
            }
        }
    }

    /// Serves sessions while any job is open to all of them that meet its need.
    fn serve_all(&mut self) {
        let mut aside = Vec::new();
        while let Some(session) = self.next_session() {
            if !self.serve(session)
                && let Some(agent) = self.agents.get_mut(&session)
                && let Some(listed) = agent.listed.take()
            {
                self.hungry.remove(&listed);
                self.needs.list(agent, listed, false);
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
        let mut served = job.served;
        if let Some(group) = self.groups.get_mut(&job.group) {
            group.gave(answers.total());
            group.ready.serve(job.need, job.priority, served);
            served = served.saturating_add(group.offset(job.priority));
        }
        self.ready.serve(job.need, job.priority, served);
        // Where nothing is known, as much as a batch shall take; what it took beyond that is charged when it lands.
        let cost = time.unwrap_or(micros(self.config.batch_time)).max(1);
        job.served = job.served.saturating_add(cost);
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
                moved: self.now,
                prepaid: time.is_none().then_some(cost),
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
}
