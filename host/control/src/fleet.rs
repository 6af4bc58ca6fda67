//! The agents, as the owner of the queue sees them: who is in, how each does, and why it does not do well.

mod agent;
pub(crate) mod find;
mod labels;

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use pigeon_api::{AgentDetail, AgentStatus};
use pigeon_protocol::{
    id::{AgentId, IncarnationId, SessionId},
    message::{Beat, Hello},
    outcome::{Outcome, Verdict},
};
use pigeon_store::{AgentRecord, Mark};

pub(crate) use self::agent::Leaving;
use self::agent::{Agent, Load};
use crate::clock;

/// Agents that are away are shown up to so many; of more, those are left out that were heard of first.
const AWAY: usize = 1_000;

/// Agents that are in, and those that were.
#[derive(Debug)]
pub(crate) struct Fleet {
    agents: BTreeMap<AgentId, Agent>,
    sessions: HashMap<SessionId, AgentId>,
    /// An agent that says nothing for two of these has something the matter.
    beat: Duration,
}

/// An agent that comes in.
pub(crate) struct Joining<'a> {
    pub(crate) session: SessionId,
    pub(crate) agent: AgentId,
    pub(crate) hello: &'a Hello,
    pub(crate) address: SocketAddr,
    /// When its certificate ends, in milliseconds since 1970.
    pub(crate) ends_ms: u64,
    /// What is remembered of it, where that is written down and could be read.
    pub(crate) known: Option<&'a AgentRecord>,
}

/// What the scheduler is to know of an agent that came in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) incarnation: IncarnationId,
    /// Those of the token that it joined with, and its own.
    pub(crate) labels: Vec<String>,
    /// Somebody wants it to take nothing.
    pub(crate) drained: bool,
}

impl Fleet {
    /// Nobody yet. Agents say that they live once a beat.
    pub(crate) fn new(beat: Duration) -> Self {
        Self { agents: BTreeMap::new(), sessions: HashMap::new(), beat }
    }

    /// These agents are remembered, and away; those that were heard of last before the others.
    pub(crate) fn remember(&mut self, records: &[AgentRecord]) {
        let remembered = records.iter().take(AWAY).map(|record| (record.agent, Agent::remembered(record)));
        self.agents.extend(remembered);
    }

    /// An agent is in.
    pub(crate) fn joined(&mut self, joining: &Joining<'_>) -> Joined {
        let now = clock::now_ms();
        // Of one that is known here, what was decided since its record was read is here already.
        let mut agent = self.agents.remove(&joining.agent).unwrap_or_else(|| {
            let mut agent = Agent::new(now);
            joining.known.iter().for_each(|record| agent.decided(record));
            agent
        });
        // A hello without an incarnation never gets here: the hub has checked it.
        let incarnation = IncarnationId::from_slice(&joining.hello.incarnation).unwrap_or_default();
        agent.join(now, incarnation, joining);
        let joined = Joined { incarnation, labels: agent.labels.clone(), drained: agent.drained.is_some() };
        self.agents.insert(joining.agent, agent);
        self.sessions.insert(joining.session, joining.agent);
        joined
    }

    /// Something was heard of a session.
    pub(crate) fn heard(&mut self, session: SessionId) {
        if let Some(agent) = self.of(session) {
            agent.heard_ms = clock::now_ms();
        }
    }

    /// An agent lives, and says how it does. False if it is not in (any more, or yet).
    pub(crate) fn beat(&mut self, session: SessionId, beat: &Beat) -> bool {
        let Some(agent) = self.of(session) else { return false };
        agent.heard_ms = clock::now_ms();
        agent.load = Load::of(beat);
        true
    }

    /// An agent's certificate was renewed.
    pub(crate) fn renewed(&mut self, agent: AgentId, ends_ms: u64) {
        if let Some(agent) = self.agents.get_mut(&agent) {
            agent.ends_ms = agent.ends_ms.max(ends_ms);
        }
    }

    /// A session makes no progress, or does again. Gives the agent's name.
    pub(crate) fn stalled(&mut self, session: SessionId, stalled: bool) -> Option<Arc<str>> {
        let agent = self.of(session)?;
        agent.stalled_ms = stalled.then(clock::now_ms);
        Some(agent.name.clone())
    }

    /// It wants nothing more, and will leave.
    pub(crate) fn draining(&mut self, session: SessionId, reason: &str) {
        if let Some(agent) = self.of(session) {
            agent.draining = Some(reason.to_owned());
        }
    }

    /// Somebody wants an agent to take nothing, or to take work again. Gives its session if it is in and was to stay.
    pub(crate) fn drained(&mut self, agent: AgentId, mark: Option<Mark>) -> Option<SessionId> {
        let agent = self.agents.get_mut(&agent)?;
        agent.drained = mark;
        agent.session.filter(|_| agent.draining.is_none())
    }

    /// Nobody wants an agent any more. Gives its session if it is in.
    pub(crate) fn revoked(&mut self, agent: AgentId, mark: Mark) -> Option<SessionId> {
        let agent = self.agents.get_mut(&agent)?;
        agent.revoked = Some(mark);
        agent.session
    }

    /// A session is over. Gives the agent's name.
    pub(crate) fn left(&mut self, session: SessionId, leaving: Option<&Leaving>, died: bool) -> Option<Arc<str>> {
        let agent = self.agents.get_mut(&self.sessions.remove(&session)?)?;
        agent.leave(clock::now_ms(), session, leaving, died);
        let name = agent.name.clone();
        self.forget();
        Some(name)
    }

    /// Outcomes of an agent landed.
    pub(crate) fn landed(&mut self, agent: AgentId, outcomes: &[Outcome]) {
        let Some(agent) = self.agents.get_mut(&agent) else { return };
        agent.heard_ms = clock::now_ms();
        agent.judged(outcomes.iter().map(|outcome| outcome.verdict() == Verdict::Failure));
    }

    /// An agent's name, in or away.
    pub(crate) fn name(&self, agent: AgentId) -> Option<Arc<str>> {
        self.agents.get(&agent).map(|agent| agent.name.clone())
    }

    /// All of them, by name; `leases` says how many a session holds.
    pub(crate) fn status(&self, leases: impl Fn(SessionId) -> usize) -> Vec<AgentStatus> {
        let (now, all) = (clock::now_ms(), self.lately());
        let status = |(id, agent): (&AgentId, &Agent)| agent.status(*id, now, self.beat, all, &leases);
        let mut told: Vec<_> = self.agents.iter().map(status).collect();
        told.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        told
    }

    /// All that is known of one.
    pub(crate) fn detail(&self, id: AgentId, leases: impl Fn(SessionId) -> usize) -> Option<AgentDetail> {
        let agent = self.agents.get(&id)?;
        Some(agent.detail(agent.status(id, clock::now_ms(), self.beat, self.lately(), &leases)))
    }

    /// Failures among the last runs of all agents, and how many those are.
    fn lately(&self) -> (usize, usize) {
        let lately = self.agents.values().map(Agent::lately);
        lately.fold((0, 0), |(failed, runs), of| (failed + of.0, runs + of.1))
    }

    fn of(&mut self, session: SessionId) -> Option<&mut Agent> {
        self.agents.get_mut(self.sessions.get(&session)?)
    }

    /// Of the agents that are away, only so many are shown.
    fn forget(&mut self) {
        while self.agents.len() - self.sessions.len().min(self.agents.len()) > AWAY {
            let away = self.agents.iter().filter(|(_, agent)| agent.session.is_none());
            let Some(oldest) = away.min_by_key(|(_, agent)| agent.heard_ms).map(|(id, _)| *id) else { return };
            self.agents.remove(&oldest);
        }
    }
}

/// What happened to an agent, and why, if that was said.
pub(crate) fn because(what: &str, why: &str) -> String {
    if why.is_empty() { what.to_owned() } else { format!("{what}: {why}") }
}

/// All that is known of an agent that is remembered, and was not heard of for long.
pub(crate) fn remembered(record: &AgentRecord) -> AgentDetail {
    let agent = Agent::remembered(record);
    agent.detail(agent.status(record.agent, clock::now_ms(), Duration::MAX, (0, 0), &|_| 0))
}

#[cfg(test)]
mod tests;
