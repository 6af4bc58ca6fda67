//! Sessions that are connected and of no use: silent, or stalled.
//!
//! ```text
//!             nothing heard for three beats
//!    in ─────────────────────────────────────────────────► lost: its connection is to be ended, its agent may come back
//!   │ ▲ │
//!   │ │ └── it beats, and nothing that it has begins or lands for longer than that may take ──► stalled
//!   │ │                                                                                             │
//!   └─┘ something begins or lands, or it has nothing                 something lands of it          │
//!    ▲──────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! How long something may take follows from the wall-clock limit of the job's plugin. Its agent enforces that for each
//! attempt, and may need several before anything lands: a run that failed in an instance that others have used is made
//! twice, and a batch validator's call that fails is narrowed down by halves. So a lease of `n` runs is allowed the limit
//! `2 + log2(n)` times, rounded up. Beyond that, and three beats for the word of it, a run that has begun is held by an
//! agent that does not move. What has not begun waits for its turn while anything else of the session runs; if nothing
//! does, it is given as long, and where nothing of its job has begun in this session yet, as long as the fetching and
//! compiling of a plugin may take. So what is slow is never stalled, and what an agent only acknowledges is.
//!
//! The leases of a stalled session end at once, and their runs go back. It is told nothing, so that what it may still
//! deliver shows that it moves: by its fence that comes too late for the queue, but the session is given work again. A
//! session that moves and has one run that does not loses the lease of that run alone: that counts against the run as if
//! the agent had died of it, and so does a suspect that its session does not get done with. So no run goes round for ever.
//!
//! Whoever tells the scheduler what happens may have been held up itself, with words of agents unread. So nobody is
//! judged on the first look: a second one follows, a beat later.

use std::{collections::BTreeSet, time::Duration};

use pigeon_protocol::id::{LeaseId, SessionId};

use crate::{Scheduler, Time, action::Action, agent::Agent, ending::Ending, event::Left, lease::Lease, time::micros};

/// What is known of a session's life.
#[derive(Debug)]
pub(crate) struct Signs {
    /// When it was heard of last, whatever it said.
    heard: Time,
    /// When something of its leases began or landed last; or it came.
    moved: Time,
    /// When it is looked at next.
    due: Time,
    /// It was found wanting, and is looked at once more.
    warned: bool,
    /// The leases that it had when it was found stalled, while it is.
    stalled: Option<BTreeSet<LeaseId>>,
}

impl Signs {
    /// Of a session that comes.
    pub(crate) fn new(now: Time) -> Self {
        Self { heard: now, moved: now, due: now, warned: false, stalled: None }
    }

    pub(crate) fn is_stalled(&self) -> bool {
        self.stalled.is_some()
    }

    /// Whether it was found stalled, and holds nothing any more of what it had then.
    pub(crate) fn holds_none_of(&self, leases: &[LeaseId]) -> bool {
        self.stalled.as_ref().is_some_and(|had| !leases.iter().any(|lease| had.contains(lease)))
    }

    /// Whether it had this lease when it was found stalled: it is left in the belief that it has it.
    pub(crate) fn believes_in(&self, lease: LeaseId) -> bool {
        self.stalled.as_ref().is_some_and(|leases| leases.contains(&lease))
    }
}

impl Scheduler {
    /// Looks at sessions whose time has come.
    pub(crate) fn watch(&mut self) {
        while let Some(&(at, session)) = self.timers.watch.first()
            && at < self.now
        {
            self.timers.watch.pop_first();
            if let Some(next) = self.look_at(session)
                && let Some(agent) = self.agents.get_mut(&session)
            {
                agent.signs.due = next;
                self.timers.watch.insert((next, session));
            }
        }
    }

    /// A session comes, and is watched from now on.
    pub(crate) fn begin_watch(&mut self, session: SessionId) {
        let Some(agent) = self.agents.get_mut(&session) else { return };
        let silent = self.now + self.config.lease_life();
        agent.signs.due = Time(silent.0.saturating_sub(micros(self.config.beat))).max(self.now);
        self.timers.watch.insert((agent.signs.due, session));
    }

    /// A session is over.
    pub(crate) fn end_watch(&mut self, session: SessionId, agent: &Agent) {
        self.timers.watch.remove(&(agent.signs.due, session));
    }

    /// A session said something.
    pub(crate) fn heard(&mut self, session: SessionId) {
        let Some(agent) = self.agents.get_mut(&session) else { return };
        agent.signs.heard = self.now;
        if agent.mute {
            agent.mute = false;
            self.refresh(session);
        }
    }

    /// Something of a session's leases has begun.
    pub(crate) fn moves(&mut self, session: SessionId) {
        if let Some(agent) = self.agents.get_mut(&session) {
            agent.signs.moved = self.now;
        }
    }

    /// Something of a session has landed, and too late. That it moves counts only where that was in doubt: whoever holds
    /// leases is to answer for those.
    pub(crate) fn lands_late(&mut self, session: SessionId) {
        if let Some(agent) = self.agents.get_mut(&session)
            && agent.signs.stalled.take().is_some()
        {
            agent.signs.moved = self.now;
            self.refresh(session);
            self.actions.push_back(Action::Moves { session });
        }
    }

    /// Judges a session. Gives when it is looked at again; none if it is over.
    fn look_at(&mut self, session: SessionId) -> Option<Time> {
        let (beat, now) = (self.config.beat, self.now);
        let agent = self.agents.get(&session)?;
        let silent = agent.signs.heard + self.config.lease_life();
        let stalls = self.stalls_at(agent);
        let due = stalls.map_or(silent, |at| at.min(silent));
        let stuck: Vec<LeaseId> = agent.leases.iter().copied().filter(|lease| self.is_stuck(*lease)).collect();
        let warned = agent.signs.warned;
        let agent = self.agents.get_mut(&session)?;
        agent.signs.warned = now + beat >= due;
        if now + beat < due {
            stuck.iter().for_each(|lease| self.tell_held(*lease));
            self.cancel(stuck, Ending::Held);
            return Some(Time(due.0.saturating_sub(micros(beat))));
        }
        if !warned || now <= due {
            return Some(if warned { due } else { now + beat });
        }
        if now > silent {
            self.actions.push_back(Action::Lost { session });
            self.leave(session, Left::Unreachable);
            return None;
        }
        self.stall(session);
        Some(now + beat)
    }

    /// When a session is stalled if nothing of it moves until then; none if it has nothing.
    fn stalls_at(&self, agent: &Agent) -> Option<Time> {
        let held = || agent.leases.iter().filter_map(|id| self.leases.get(id));
        let by = |lease: &Lease, time: Duration| agent.signs.moved.max(lease.given) + time + self.config.lease_life();
        let running = held().filter(|lease| lease.is_running()).map(|lease| by(lease, self.most_of(lease)));
        let waiting = held().map(|lease| by(lease, self.most_of(lease).max(self.start_of(lease))));
        running.max().or_else(|| waiting.min())
    }

    /// Whether a run has begun and is held for longer than it may take.
    fn is_stuck(&self, id: LeaseId) -> bool {
        let Some(lease) = self.leases.get(&id).filter(|lease| lease.is_running()) else { return false };
        self.now > lease.moved + self.most_of(lease) + self.config.lease_life()
    }

    /// How long it may take until something of a lease lands: what its agent allows each attempt, as often as it may
    /// have to make one before the first outcome is known.
    fn most_of(&self, lease: &Lease) -> Duration {
        let halvings = u64::BITS - lease.runs.total().saturating_sub(1).leading_zeros();
        self.jobs.get(&lease.job).map_or(Duration::MAX, |job| job.wall.saturating_mul(halvings + 2))
    }

    /// How long it may take until something of a lease begins.
    fn start_of(&self, lease: &Lease) -> Duration {
        let member = self.jobs.get(&lease.job).and_then(|job| job.members.get(&lease.session));
        if member.is_some_and(|member| member.begun) { Duration::ZERO } else { self.config.start }
    }

    /// A session is stalled: what it has goes to others.
    fn stall(&mut self, session: SessionId) {
        let Some(agent) = self.agents.get_mut(&session) else { return };
        let leases = std::mem::take(&mut agent.leases);
        let after = self.now.since(agent.signs.moved);
        agent.signs.stalled = Some(leases.clone());
        agent.alone = None;
        self.dismiss_from_all(session);
        for lease in &leases {
            // Of several it may be the session that does not move.
            let held = self.leases.get(lease).is_some_and(|lease| lease.alone && lease.is_running());
            if held {
                self.tell_held(*lease);
            }
            self.end_lease(*lease, if held { Ending::Held } else { Ending::Returned });
        }
        self.refresh(session);
        self.actions.push_back(Action::Stalled { session, leases: leases.into_iter().collect(), after });
    }

    /// Tells that runs of a lease are held for longer than they may take.
    fn tell_held(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.get(&id) else { return };
        let runs = lease.begun.iter().copied().filter(|run| lease.runs.is_open(*run)).collect();
        let after = self.now.since(lease.moved);
        self.actions.push_back(Action::Held { agent: lease.agent, job: lease.job, runs, after });
    }

    /// How long nothing of a session has moved, if it is stalled.
    pub fn stalled(&self, session: SessionId) -> Option<Duration> {
        let signs = &self.agents.get(&session).filter(|agent| agent.signs.is_stalled())?.signs;
        Some(self.now.since(signs.moved))
    }
}
