//! Agents come, say what they take, live, and leave.

use pigeon_protocol::id::{LeaseId, SessionId};

use crate::{
    Scheduler, Time,
    agent::{Agent, Credit},
    ending::Ending,
    event::{AgentInfo, Left},
};

impl Scheduler {
    /// An agent is in, without credit. If it is back in the same life, the leases that it had become this session's;
    /// if it is back in another life, the former one has died.
    pub fn joined(&mut self, now: Time, session: SessionId, info: AgentInfo) {
        self.pass(now);
        if self.agents.contains_key(&session) {
            return;
        }
        if let Some(former) = self.sessions.get(&info.agent).copied() {
            // The hub has not noticed yet that the former session is over.
            self.leave(former, Left::Unreachable);
        }
        let (id, incarnation) = (info.agent, info.incarnation);
        let mut agent = Agent::new(self.now, info);
        agent.meets = self.needs.met_by(&agent.info.labels);
        self.needs.count(&agent, true);
        self.sessions.insert(id, session);
        self.agents.insert(session, agent);
        self.begin_watch(session);
        for lease in self.orphans.remove(&id).unwrap_or_default() {
            if self.leases.get(&lease).is_none_or(|lease| lease.incarnation != incarnation) {
                self.end_lease(lease, Ending::Died);
            } else if !self.adopt(lease, session) {
                self.end_lease(lease, Ending::Returned);
            }
        }
        self.refresh(session);
    }

    /// An agent takes so many leases beside the `received` ones that it has got in this session.
    pub fn credit(&mut self, now: Time, session: SessionId, received: u64, credit: impl Into<Credit>) {
        self.pass(now);
        if let Some(agent) = self.agents.get_mut(&session) {
            agent.credit(received, credit);
            self.heard(session);
            self.refresh(session);
        }
    }

    /// An agent lives and holds these leases: each is renewed. Returns those that are not its (any more); but for those of
    /// which it is to go on in the belief that they are, because it is stalled.
    pub fn beat(&mut self, now: Time, session: SessionId, leases: &[LeaseId]) -> Vec<LeaseId> {
        self.pass(now);
        self.heard(session);
        if self.agents.get(&session).is_some_and(|agent| agent.signs.holds_none_of(leases)) {
            // What it did not move with it has no more: nothing of it can land late.
            self.lands_late(session);
        }
        let mut unknown: Vec<_> = leases.iter().copied().filter(|lease| !self.renew(*lease, session)).collect();
        if let Some(agent) = self.agents.get(&session) {
            unknown.retain(|lease| !agent.signs.believes_in(*lease));
        }
        unknown
    }

    /// An agent takes nothing more, and will leave when its leases have ended.
    pub fn draining(&mut self, now: Time, session: SessionId) {
        self.pass(now);
        let Some(agent) = self.agents.get_mut(&session) else { return };
        agent.draining = true;
        self.dismiss_from_all(session);
        self.refresh(session);
    }

    /// An agent that took nothing more takes leases again.
    pub fn resumed(&mut self, now: Time, session: SessionId) {
        self.pass(now);
        if let Some(agent) = self.agents.get_mut(&session) {
            agent.draining = false;
            self.refresh(session);
        }
    }

    /// A session is over.
    pub fn left(&mut self, now: Time, session: SessionId, left: Left) {
        self.pass(now);
        self.leave(session, left);
    }

    /// A session works for no job any more.
    pub(crate) fn dismiss_from_all(&mut self, session: SessionId) {
        let jobs = self.agents.get_mut(&session).map(|agent| std::mem::take(&mut agent.jobs));
        for job in jobs.unwrap_or_default() {
            if let Some(job) = self.jobs.get_mut(&job) {
                job.dismiss(session);
            }
            self.reindex(job);
        }
    }

    /// Renews a lease. False if it is not this session's.
    pub(crate) fn renew(&mut self, id: LeaseId, session: SessionId) -> bool {
        let Some(lease) = self.leases.get_mut(&id).filter(|lease| lease.session == session) else { return false };
        let expires = self.now + self.config.lease_life();
        if expires != lease.expires {
            self.timers.expiry.remove(&(lease.expires, id));
            lease.expires = expires;
            self.timers.expiry.insert((expires, id));
        }
        true
    }

    pub(crate) fn leave(&mut self, session: SessionId, left: Left) {
        let Some(agent) = self.agents.remove(&session) else { return };
        self.end_watch(session, &agent);
        if let Some(listed) = agent.listed {
            self.hungry.remove(&listed);
            self.needs.list(&agent, listed, false);
        }
        self.lanes -= agent.lanes;
        self.needs.lanes(&agent, agent.lanes, 0);
        self.needs.count(&agent, false);
        self.reserved.remove(&session);
        if self.sessions.get(&agent.info.agent) == Some(&session) {
            self.sessions.remove(&agent.info.agent);
        }
        for id in agent.jobs {
            if let Some(job) = self.jobs.get_mut(&id) {
                job.dismiss(session);
            }
            self.reindex(id);
        }
        let ending = match left {
            Left::Died => Ending::Died,
            Left::Drained | Left::Revoked => Ending::Returned,
            Left::Unreachable => {
                if !agent.leases.is_empty() {
                    self.orphans.entry(agent.info.agent).or_default().extend(agent.leases);
                }
                self.dirty = true;
                return;
            }
        };
        for lease in agent.leases {
            self.end_lease(lease, ending);
        }
        self.dirty = true;
    }

    /// A lease whose agent is back becomes the new session's. False if that has not the labels any more.
    fn adopt(&mut self, id: LeaseId, session: SessionId) -> bool {
        let (Some(lease), Some(agent)) = (self.leases.get_mut(&id), self.agents.get_mut(&session)) else {
            return false;
        };
        let Some(job) = self.jobs.get_mut(&lease.job).filter(|job| agent.meets(job.need)) else { return false };
        lease.session = session;
        lease.moved = self.now;
        agent.leases.insert(id);
        agent.jobs.insert(lease.job);
        if lease.alone {
            agent.alone = Some(id);
        }
        job.leased(session, id);
        self.reindex_of(id);
        true
    }

    fn reindex_of(&mut self, lease: LeaseId) {
        if let Some(job) = self.leases.get(&lease).map(|lease| lease.job) {
            self.reindex(job);
        }
    }
}
