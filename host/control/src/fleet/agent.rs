//! One agent: what it has said, how its sessions ended, and how it does.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use pigeon_api::{AgentDetail, AgentMark, AgentState, AgentStatus, CachedPlugin, Digest, Health};
use pigeon_hub::SessionEnd;
use pigeon_protocol::{
    id::{AgentId, IncarnationId, SessionId},
    message::Beat,
};
use pigeon_store::{AgentRecord, Mark};

use super::{Joining, because, labels::merged};
use crate::clock;

/// Runs that are looked at to say whether an agent fails much.
const LATELY: usize = 100;

/// Of fewer nothing is said.
const ENOUGH: usize = 20;

/// Deaths that are remembered, and for how long they are held against an agent.
const DEATHS: usize = 16;
const HELD: Duration = Duration::from_secs(3600);

#[derive(Debug, Default)]
pub(super) struct Agent {
    pub(super) name: Arc<str>,
    pub(super) session: Option<SessionId>,
    pub(super) heard_ms: u64,
    pub(super) draining: Option<String>,
    /// When it was found to make no progress, while it makes none.
    pub(super) stalled_ms: Option<u64>,
    /// Of the token that it joined with, and its own.
    pub(super) labels: Vec<String>,
    pub(super) load: Load,
    /// When its certificate ends; 0 if that is not known.
    pub(super) ends_ms: u64,
    pub(super) drained: Option<Mark>,
    pub(super) revoked: Option<Mark>,
    /// The labels and the name of the token that it joined with.
    granted: Vec<String>,
    token: Option<String>,
    incarnation: Option<IncarnationId>,
    first_ms: u64,
    since_ms: u64,
    address: String,
    version: String,
    slots: u32,
    /// How its last session ended, while it is away.
    left: Option<Leaving>,
    runs: u64,
    failures: u64,
    /// Whether each of its last runs was a failure, the oldest first.
    lately: VecDeque<bool>,
    deaths: VecDeque<u64>,
}

/// What an agent said of itself last.
#[derive(Debug, Default)]
pub(super) struct Load {
    computing: u32,
    waiting: u32,
    rss: u64,
    plugins: Vec<Digest>,
    models: Vec<String>,
}

impl Load {
    pub(super) fn of(beat: &Beat) -> Self {
        Self {
            computing: beat.computing,
            waiting: beat.waiting,
            rss: beat.rss,
            plugins: beat.plugins.iter().filter_map(|bytes| Digest::from_slice(bytes)).collect(),
            models: beat.models.clone(),
        }
    }
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
            SessionEnd::Closed(reason) => Leaving::Lost(because("left in a hurry", reason)),
            SessionEnd::Died => Leaving::Lost("died".to_owned()),
            SessionEnd::Unreachable => Leaving::Lost("cannot be reached".to_owned()),
            SessionEnd::Replaced => return None,
            SessionEnd::Misbehaved(reason) => Leaving::SentAway(format!("broke the protocol: {reason}")),
            SessionEnd::Disconnected(reason) => Leaving::SentAway(reason.clone()),
        })
    }
}

impl Agent {
    /// One that was never heard of.
    pub(super) fn new(now_ms: u64) -> Self {
        Self { heard_ms: now_ms, first_ms: now_ms, since_ms: now_ms, ..Self::default() }
    }

    /// One that is remembered, and away.
    pub(super) fn remembered(record: &AgentRecord) -> Self {
        let mut agent = Self::new(record.last_ms);
        agent.name = record.name.as_str().into();
        agent.labels = merged(&record.granted, &record.labels);
        agent.incarnation = record.incarnation;
        agent.known(record);
        agent.decided(record);
        agent
    }

    /// What was decided about it, of one that was not known before.
    pub(super) fn decided(&mut self, record: &AgentRecord) {
        self.drained.clone_from(&record.drained);
        self.revoked.clone_from(&record.revoked);
    }

    fn known(&mut self, record: &AgentRecord) {
        self.granted.clone_from(&record.granted);
        self.token.clone_from(&record.token);
        self.first_ms = record.first_ms;
        self.ends_ms = record.ends_ms;
    }

    /// It is in.
    pub(super) fn join(&mut self, now_ms: u64, incarnation: IncarnationId, joining: &Joining<'_>) {
        if let Some(record) = joining.known {
            self.known(record);
        }
        let hello = joining.hello;
        self.name = hello.name.as_str().into();
        self.labels = merged(&self.granted, &hello.labels);
        self.incarnation = Some(incarnation);
        self.ends_ms = self.ends_ms.max(joining.ends_ms);
        self.session = Some(joining.session);
        (self.since_ms, self.heard_ms) = (now_ms, now_ms);
        self.address = joining.address.to_string();
        self.version.clone_from(&hello.version);
        self.slots = hello.slots;
        (self.draining, self.left, self.load) = (None, None, Load::default());
        self.stalled_ms = None;
    }

    /// A session of it is over.
    pub(super) fn leave(&mut self, now_ms: u64, session: SessionId, leaving: Option<&Leaving>, died: bool) {
        if died {
            self.deaths.push_back(now_ms);
            self.deaths.drain(..self.deaths.len().saturating_sub(DEATHS));
        }
        // One that died may be back in another life already.
        if self.session == Some(session) {
            (self.session, self.since_ms, self.draining) = (None, now_ms, None);
            (self.left, self.load) = (leaving.cloned(), Load::default());
            self.stalled_ms = None;
        }
    }

    /// Runs of it have outcomes: whether each is a failure.
    pub(super) fn judged(&mut self, outcomes: impl Iterator<Item = bool>) {
        for failed in outcomes {
            self.runs += 1;
            self.failures += u64::from(failed);
            self.lately.push_back(failed);
        }
        self.lately.drain(..self.lately.len().saturating_sub(LATELY));
    }

    /// Failures among its last runs, and how many those are.
    pub(super) fn lately(&self) -> (usize, usize) {
        (self.lately.iter().filter(|failed| **failed).count(), self.lately.len())
    }

    /// How it stands. `all` are the failures among the last runs of all agents, and how many those are.
    pub(super) fn status(
        &self,
        id: AgentId,
        now_ms: u64,
        beat: Duration,
        all: (usize, usize),
        leases: &impl Fn(SessionId) -> usize,
    ) -> AgentStatus {
        let own = self.lately();
        let others = (all.0.saturating_sub(own.0), all.1.saturating_sub(own.1));
        let (health, reasons) = self.health(now_ms, beat, others);
        AgentStatus {
            id: id.to_string(),
            name: self.name.to_string(),
            state: self.state(),
            since_ms: clock::signed(self.since_ms),
            address: self.address.clone(),
            version: self.version.clone(),
            slots: self.slots,
            leases: self.session.map_or(0, |session| u32::try_from(leases(session)).unwrap_or(u32::MAX)),
            heard_ms: clock::signed(self.heard_ms),
            runs: self.runs,
            failures: self.failures,
            health,
            reasons,
            labels: self.labels.clone(),
            computing: self.load.computing,
            waiting: self.load.waiting,
            rss: self.load.rss,
        }
    }

    /// All that is known of it.
    pub(super) fn detail(&self, status: AgentStatus) -> AgentDetail {
        let mark =
            |mark: &Mark| AgentMark { at_ms: clock::signed(mark.at_ms), by: mark.by.clone(), why: mark.why.clone() };
        AgentDetail {
            status,
            first_ms: clock::signed(self.first_ms),
            incarnation: self.incarnation.map(|incarnation| incarnation.to_string()),
            certificate_ends_ms: (self.ends_ms > 0).then(|| clock::signed(self.ends_ms)),
            token: self.token.clone(),
            plugins: self.load.plugins.iter().map(|digest| CachedPlugin { digest: *digest, name: None }).collect(),
            models: self.load.models.clone(),
            drained: self.drained.as_ref().map(mark),
            revoked: self.revoked.as_ref().map(mark),
        }
    }

    fn state(&self) -> AgentState {
        match (&self.session, &self.draining) {
            _ if self.revoked.is_some() => AgentState::Revoked,
            (None, _) => AgentState::Away,
            (Some(_), Some(_)) => AgentState::Draining,
            (Some(_), None) if self.drained.is_some() => AgentState::Drained,
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
        if let Some(Mark { by, why, .. }) = &self.revoked {
            // What else there may be to say of it does not matter any more.
            say(Health::Good, because(&format!("was revoked by {by}"), why));
            return (health, reasons);
        }
        if let Some(Mark { by, .. }) = &self.drained {
            say(Health::Good, format!("takes nothing: drained by {by}"));
        }
        match &self.left {
            None => {}
            Some(Leaving::InOrder) => say(Health::Good, "left in order".to_owned()),
            Some(Leaving::Lost(how) | Leaving::SentAway(how)) => say(Health::Bad, how.clone()),
        }
        if let Some(reason) = &self.draining {
            say(Health::Good, because("is leaving", reason));
        }
        if let Some(since) = self.stalled_ms {
            let since = now_ms.saturating_sub(since) / 1000;
            say(Health::Bad, format!("makes no progress: found so {since} s ago, and gets nothing until it does"));
        }
        let silent = Duration::from_millis(now_ms.saturating_sub(self.heard_ms));
        if self.session.is_some() && silent > beat.saturating_mul(2) {
            say(Health::Warning, format!("has said nothing for {} s", silent.as_secs()));
        }
        let held = u64::try_from(HELD.as_millis()).unwrap_or(u64::MAX);
        let deaths = self.deaths.iter().filter(|at| now_ms.saturating_sub(**at) < held).count();
        if deaths > 1 {
            say(Health::Warning, format!("died {deaths} times in the last hour"));
        }
        let (failed, runs) = self.lately();
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
