//! The agents, as the owner of the queue sees them: who is in, how each does, and why it does not do well.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use pigeon_api::{AgentState, AgentStatus, Health};
use pigeon_hub::SessionEnd;
use pigeon_protocol::{
    id::{AgentId, SessionId},
    message::Hello,
    outcome::{Outcome, Verdict},
};

use crate::clock;

/// Agents that are away are remembered up to so many; of more, those are forgotten that were heard of first.
const AWAY: usize = 1_000;

/// Runs that are looked at to say whether an agent fails much.
const LATELY: usize = 100;

/// Of fewer nothing is said.
const ENOUGH: usize = 20;

/// Deaths that are remembered, and for how long they are held against an agent.
const DEATHS: usize = 16;
const HELD: Duration = Duration::from_secs(3600);

/// All agents that came since this process started.
#[derive(Debug)]
pub(crate) struct Fleet {
    agents: BTreeMap<AgentId, Agent>,
    sessions: HashMap<SessionId, AgentId>,
    /// An agent that says nothing for two of these has something the matter.
    beat: Duration,
}

#[derive(Debug)]
struct Agent {
    name: Arc<str>,
    session: Option<SessionId>,
    since_ms: u64,
    heard_ms: u64,
    address: SocketAddr,
    version: String,
    slots: u32,
    draining: Option<String>,
    /// How its last session ended, while it is away.
    left: Option<Leaving>,
    runs: u64,
    failures: u64,
    /// Whether each of its last runs was a failure, the oldest first.
    lately: VecDeque<bool>,
    deaths: VecDeque<u64>,
}

/// How an agent left, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// In order.
    InOrder,
    /// It is gone, and did not say good-bye.
    Lost(String),
    /// It was sent away.
    SentAway(String),
}

impl Leaving {
    /// What the end of a session says; nothing if the agent has another one already.
    pub(crate) fn of(end: &SessionEnd) -> Option<Self> {
        Some(match end {
            SessionEnd::Drained => Leaving::InOrder,
            SessionEnd::Closed(reason) if reason.is_empty() => Leaving::Lost("left in a hurry".to_owned()),
            SessionEnd::Closed(reason) => Leaving::Lost(format!("left in a hurry: {reason}")),
            SessionEnd::Died => Leaving::Lost("died".to_owned()),
            SessionEnd::Unreachable => Leaving::Lost("cannot be reached".to_owned()),
            SessionEnd::Replaced => return None,
            SessionEnd::Misbehaved(reason) => Leaving::SentAway(format!("broke the protocol: {reason}")),
            SessionEnd::Disconnected(reason) => Leaving::SentAway(reason.clone()),
        })
    }
}

impl Fleet {
    /// Nobody yet. Agents say that they live once a beat.
    pub(crate) fn new(beat: Duration) -> Self {
        Self { agents: BTreeMap::new(), sessions: HashMap::new(), beat }
    }

    /// An agent is in.
    pub(crate) fn joined(&mut self, session: SessionId, agent: AgentId, hello: &Hello, address: SocketAddr) {
        let now = clock::now_ms();
        let known = self.agents.remove(&agent);
        let (runs, failures, lately, deaths) =
            known.map(|known| (known.runs, known.failures, known.lately, known.deaths)).unwrap_or_default();
        let joined = Agent {
            name: hello.name.as_str().into(),
            session: Some(session),
            since_ms: now,
            heard_ms: now,
            address,
            version: hello.version.clone(),
            slots: hello.slots,
            draining: None,
            left: None,
            runs,
            failures,
            lately,
            deaths,
        };
        self.agents.insert(agent, joined);
        self.sessions.insert(session, agent);
    }

    /// Something was heard of a session.
    pub(crate) fn heard(&mut self, session: SessionId) {
        if let Some(agent) = self.of(session) {
            agent.heard_ms = clock::now_ms();
        }
    }

    /// It wants nothing more, and will leave.
    pub(crate) fn draining(&mut self, session: SessionId, reason: &str) {
        if let Some(agent) = self.of(session) {
            agent.draining = Some(reason.to_owned());
        }
    }

    /// A session is over. Gives the agent's name.
    pub(crate) fn left(&mut self, session: SessionId, leaving: Option<&Leaving>, died: bool) -> Option<Arc<str>> {
        let agent = self.agents.get_mut(&self.sessions.remove(&session)?)?;
        let now = clock::now_ms();
        if died {
            agent.deaths.push_back(now);
            agent.deaths.drain(..agent.deaths.len().saturating_sub(DEATHS));
        }
        let name = agent.name.clone();
        // One that died may be back in another life already.
        if agent.session == Some(session) {
            (agent.session, agent.since_ms, agent.draining) = (None, now, None);
            agent.left = leaving.cloned();
        }
        self.forget();
        Some(name)
    }

    /// Outcomes of an agent landed.
    pub(crate) fn landed(&mut self, agent: AgentId, outcomes: &[Outcome]) {
        let Some(agent) = self.agents.get_mut(&agent) else { return };
        agent.heard_ms = clock::now_ms();
        for outcome in outcomes {
            let failed = outcome.verdict() == Verdict::Failure;
            agent.runs += 1;
            agent.failures += u64::from(failed);
            agent.lately.push_back(failed);
        }
        agent.lately.drain(..agent.lately.len().saturating_sub(LATELY));
    }

    /// An agent's name, in or away.
    pub(crate) fn name(&self, agent: AgentId) -> Option<Arc<str>> {
        self.agents.get(&agent).map(|agent| agent.name.clone())
    }

    /// All of them, by name; `leases` says how many a session holds.
    pub(crate) fn status(&self, leases: impl Fn(SessionId) -> usize) -> Vec<AgentStatus> {
        let now = clock::now_ms();
        let share = |agent: &Agent| agent.lately.iter().filter(|failed| **failed).count();
        let (failed, looked_at) = self
            .agents
            .values()
            .fold((0, 0), |(failed, looked_at), agent| (failed + share(agent), looked_at + agent.lately.len()));
        let mut all: Vec<_> = self
            .agents
            .iter()
            .map(|(id, agent)| {
                let others = (failed - share(agent), looked_at - agent.lately.len());
                let (health, reasons) = agent.health(now, self.beat, others);
                AgentStatus {
                    id: id.to_string(),
                    name: agent.name.to_string(),
                    state: agent.state(),
                    since_ms: clock::signed(agent.since_ms),
                    address: agent.address.to_string(),
                    version: agent.version.clone(),
                    slots: agent.slots,
                    leases: agent.session.map_or(0, |session| u32::try_from(leases(session)).unwrap_or(u32::MAX)),
                    heard_ms: clock::signed(agent.heard_ms),
                    runs: agent.runs,
                    failures: agent.failures,
                    health,
                    reasons,
                }
            })
            .collect();
        all.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        all
    }

    fn of(&mut self, session: SessionId) -> Option<&mut Agent> {
        self.agents.get_mut(self.sessions.get(&session)?)
    }

    /// Of the agents that are away, only so many are remembered.
    fn forget(&mut self) {
        while self.agents.len() - self.sessions.len().min(self.agents.len()) > AWAY {
            let away = self.agents.iter().filter(|(_, agent)| agent.session.is_none());
            let Some(oldest) = away.min_by_key(|(_, agent)| agent.heard_ms).map(|(id, _)| *id) else { return };
            self.agents.remove(&oldest);
        }
    }
}

impl Agent {
    fn state(&self) -> AgentState {
        match (&self.session, &self.draining) {
            (None, _) => AgentState::Away,
            (Some(_), Some(_)) => AgentState::Draining,
            (Some(_), None) => AgentState::Ready,
        }
    }

    /// How it does. `others` are failures and runs of the other agents, as far as they are looked at.
    fn health(&self, now_ms: u64, beat: Duration, others: (usize, usize)) -> (Health, Vec<String>) {
        let (mut health, mut reasons) = (Health::Good, Vec::new());
        let mut say = |how: Health, reason: String| {
            // `Good` stands before `Warning`, and that before `Bad`.
            if how as u8 > health as u8 {
                health = how;
            }
            reasons.push(reason);
        };
        match &self.left {
            None => {}
            Some(Leaving::InOrder) => say(Health::Good, "left in order".to_owned()),
            Some(Leaving::Lost(how) | Leaving::SentAway(how)) => say(Health::Bad, how.clone()),
        }
        if let Some(reason) = &self.draining {
            let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            say(Health::Good, format!("is leaving{why}"));
        }
        let silent = Duration::from_millis(now_ms.saturating_sub(self.heard_ms));
        if self.session.is_some() && silent > beat * 2 {
            say(Health::Warning, format!("has said nothing for {} s", silent.as_secs()));
        }
        let held = u64::try_from(HELD.as_millis()).unwrap_or(u64::MAX);
        let deaths = self.deaths.iter().filter(|at| now_ms.saturating_sub(**at) < held).count();
        if deaths > 1 {
            say(Health::Warning, format!("died {deaths} times in the last hour"));
        }
        let (failed, runs) = (self.lately.iter().filter(|failed| **failed).count(), self.lately.len());
        // Where all fail it is the work; where one does, and the others do not, it is that one.
        let much = runs >= ENOUGH && failed * 2 > runs;
        let alone = others.1 >= ENOUGH && others.0 * 10 < others.1 * 2;
        if much && alone {
            let how = if failed == runs { Health::Bad } else { Health::Warning };
            say(how, format!("could not judge {failed} of its last {runs} runs, where others could"));
        }
        (health, reasons)
    }
}

#[cfg(test)]
mod tests {
    use pigeon_protocol::outcome::{Answer, Failure, Judgement};

    use super::*;

    fn hello(name: &str) -> Hello {
        Hello { name: name.to_owned(), version: "0.1.0".to_owned(), slots: 2, ..Hello::default() }
    }

    fn outcomes(valid: usize, failed: usize) -> Vec<Outcome> {
        let answers = [(valid, Answer::Judgement(Judgement::default())), (failed, Answer::Failure(Failure::default()))];
        let outcome = |answer| Outcome { answer: Some(answer), ..Outcome::default() };
        answers.into_iter().flat_map(|(count, answer)| vec![outcome(answer); count]).collect()
    }

    #[test]
    fn an_agent_is_told_of_by_how_it_came_and_went() {
        let (mut fleet, address) = (Fleet::new(Duration::from_secs(5)), SocketAddr::from(([127, 0, 0, 1], 7)));
        let (one, two) = (AgentId::new(), AgentId::new());
        fleet.joined(SessionId(1), one, &hello("b"), address);
        fleet.joined(SessionId(2), two, &hello("a"), address);
        fleet.draining(SessionId(2), "maintenance");
        let told = fleet.status(|session| session.0 as usize);
        let short: Vec<_> = told.iter().map(|agent| (&*agent.name, agent.state, agent.leases, agent.health)).collect();
        assert_eq!(short, [("a", AgentState::Draining, 2, Health::Good), ("b", AgentState::Ready, 1, Health::Good)]);
        assert_eq!(told[0].reasons, ["is leaving: maintenance"]);

        // One that died is back in another life before its end is told.
        for session in [3, 4] {
            fleet.joined(SessionId(session), one, &hello("b"), address);
            let died = Leaving::of(&SessionEnd::Died);
            assert_eq!(
                fleet.left(SessionId(if session == 3 { 1 } else { 3 }), died.as_ref(), true).as_deref(),
                Some("b")
            );
        }
        fleet.left(SessionId(2), Leaving::of(&SessionEnd::Unreachable).as_ref(), false);
        let told = fleet.status(|_| 0);
        assert_eq!(
            (told[0].state, told[0].health, &*told[0].reasons[0]),
            (AgentState::Away, Health::Bad, "cannot be reached")
        );
        assert_eq!((told[1].state, told[1].health), (AgentState::Ready, Health::Warning));
        assert_eq!(told[1].reasons, ["died 2 times in the last hour"]);
    }

    #[test]
    fn an_agent_that_fails_where_others_do_not_is_told_of() {
        let (mut fleet, address) = (Fleet::new(Duration::from_secs(5)), SocketAddr::from(([127, 0, 0, 1], 7)));
        let agents = [AgentId::new(), AgentId::new()];
        for (number, (agent, name)) in agents.iter().zip(["a", "b"]).enumerate() {
            fleet.joined(SessionId(number as u64), *agent, &hello(name), address);
        }
        fleet.landed(agents[0], &outcomes(0, 30));
        assert!(fleet.status(|_| 0)[0].reasons.is_empty(), "it may be the work");
        fleet.landed(agents[1], &outcomes(30, 1));
        let told = fleet.status(|_| 0);
        assert_eq!((told[0].health, told[0].runs, told[0].failures), (Health::Bad, 30, 30));
        assert_eq!(told[0].reasons, ["could not judge 30 of its last 30 runs, where others could"]);
        assert_eq!((told[1].health, told[1].reasons.len()), (Health::Good, 0));
        fleet.landed(agents[0], &outcomes(20, 0));
        assert_eq!(fleet.status(|_| 0)[0].health, Health::Warning);
        fleet.landed(agents[0], &outcomes(90, 0));
        assert_eq!(fleet.status(|_| 0)[0].health, Health::Good, "what it does lately counts");
        fleet.landed(agents[1], &outcomes(0, 100));
        fleet.landed(agents[0], &outcomes(0, 100));
        assert!(fleet.status(|_| 0).iter().all(|agent| agent.health == Health::Good), "where all fail it is the work");
    }

    #[test]
    fn agents_that_are_away_are_forgotten_in_time() {
        let (mut fleet, address) = (Fleet::new(Duration::from_secs(5)), SocketAddr::from(([127, 0, 0, 1], 7)));
        for number in 0..AWAY as u64 + 50 {
            fleet.joined(SessionId(number), AgentId::new(), &hello("a"), address);
            fleet.left(SessionId(number), Some(&Leaving::InOrder), false);
        }
        assert_eq!((fleet.agents.len(), fleet.sessions.len()), (AWAY, 0));
    }
}
