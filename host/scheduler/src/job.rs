//! A job.
//!
//! ```text
//!            admit             seal              every run recorded
//!   (none) ────────► open ────────────► sealed ─────────────────────► finished: complete ──┐
//!                     │                   │                                                │ forget
//!                     │ stop, fail-fast   │                                                ├────────► (none)
//!                     └───────► stopping ◄┘                                                │
//!                                  │  no open lease left                                   │
//!                                  └─────────────────────► finished: stopped ──────────────┘
//!                                       (or complete, if every run was recorded meanwhile)
//! ```
//!
//! To people it is rather this; each turn is an event, with its time and who brought it about:
//!
//! ```text
//!                    seal               every run recorded
//!   submit ──► open ──────► sealed ───────────────────────────► finished
//!               │ ▲          │ ▲ ▲                                 │
//!         pause │ │    pause │ │ └─── dead letters are retried ────┘
//!               ▼ │ resume   ▼ │ resume
//!              paused       paused
//!
//!   open, sealed, paused ──► cancelled: nobody wants the rest of it
//!   open, sealed         ──► stopped: the first bad run of a fail-fast job was recorded
//! ```
//!
//! A job is paused by stopping it and forgetting it once no lease is left, and resumed by admitting it with what was
//! achieved. So are dead letters retried of a job that is finished; of one that is not, they are taken back.
//!
//! While nothing of it is leased, a job waits, and says for what: an agent, one with its labels, room at the agents, its
//! group, the next attempt at what failed, or items ([`Waiting`](crate::Waiting)).

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use pigeon_protocol::id::{JobId, LeaseId, SessionId};

use crate::{
    RetryPolicy, Time,
    agent::Agent,
    event::{End, JobAdmitted, Why},
    labels::NeedId,
    pace::Pace,
    places::Places,
    work::Work,
};

/// A job that is owned here.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) priority: i32,
    pub(crate) max_parallel: usize,
    pub(crate) max_agents: usize,
    pub(crate) retry: RetryPolicy,
    pub(crate) wall: Duration,
    pub(crate) group: u64,
    pub(crate) need: NeedId,
    pub(crate) fail_fast: bool,
    pub(crate) admitted: Time,
    pub(crate) work: Work,
    pub(crate) places: Option<Places>,
    pub(crate) leases: BTreeSet<LeaseId>,
    pub(crate) members: BTreeMap<SessionId, Member>,
    /// In all sessions.
    pub(crate) pace: Pace,
    pub(crate) stopping: Option<Why>,
    pub(crate) finished: Option<End>,
    /// Time of agents that it was given, in microseconds; what jobs of one priority share evenly.
    pub(crate) served: u64,
    /// When it was served last, or began to wait.
    pub(crate) waits_since: Time,
    /// Under what it stands among the jobs that are ready.
    pub(crate) listed: Option<Listed>,
}

/// A session that works for a job.
#[derive(Debug, Default)]
pub(crate) struct Member {
    pub(crate) leases: usize,
    pub(crate) pace: Pace,
    /// Something of the job has begun there.
    pub(crate) begun: bool,
    /// When its last lease ended, while it has none.
    pub(crate) idle_since: Option<Time>,
}

/// Who may take of a job that is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Every session that meets its need.
    All,
    /// Only its members.
    Members,
}

/// The order in which jobs are served: higher priority first, then whoever got least.
pub(crate) type Rank = (Reverse<i32>, u64, JobId);

/// Where a ready job is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) scope: Scope,
    pub(crate) rank: Rank,
    pub(crate) waits_since: Time,
}

impl Job {
    pub(crate) fn new(now: Time, job: JobAdmitted, need: NeedId) -> Self {
        let work = Work::new(job.shape, job.progress);
        Self {
            priority: job.priority,
            max_parallel: job.max_parallel.map_or(usize::MAX, |most| most.max(1) as usize),
            max_agents: job.max_agents.map_or(usize::MAX, |most| most.max(1) as usize),
            retry: job.retry,
            wall: job.wall,
            group: job.group,
            need,
            fail_fast: job.fail_fast,
            admitted: now,
            places: work.has_places().then(|| Places::new(work.places())),
            work,
            leases: BTreeSet::new(),
            members: BTreeMap::new(),
            pace: Pace::default(),
            stopping: None,
            finished: None,
            served: 0,
            waits_since: now,
            listed: None,
        }
    }

    /// Whether it leases at all, and has room for one more lease.
    pub(crate) fn may_lease(&self) -> bool {
        self.stopping.is_none() && self.finished.is_none() && self.leases.len() < self.max_parallel
    }

    /// Whether no further session may become a member.
    pub(crate) fn is_closed(&self) -> bool {
        self.members.len() >= self.max_agents
    }

    /// Whether a session may work for it.
    pub(crate) fn admits(&self, session: SessionId, agent: &Agent) -> bool {
        agent.meets(self.need) && (!self.is_closed() || self.members.contains_key(&session))
    }

    /// Who may take of it now, suspects left aside; `None` if there is nothing to take.
    pub(crate) fn scope(&self) -> Option<Scope> {
        if !self.may_lease() || !self.work.is_ready() {
            return None;
        }
        let shut = self.is_closed() || self.places.as_ref().is_some_and(|places| !places.any_free());
        Some(if shut { Scope::Members } else { Scope::All })
    }

    /// How it has ended, if it has and nobody was told.
    pub(crate) fn ends(&self) -> Option<End> {
        if self.finished.is_some() {
            return None;
        }
        if self.work.is_complete() {
            return Some(End::Complete);
        }
        self.stopping.filter(|_| self.leases.is_empty()).map(End::Stopped)
    }

    /// The pace of a session, or what is best believed of it.
    pub(crate) fn pace_of(&self, session: SessionId) -> Pace {
        self.members.get(&session).map_or_else(|| self.pace.for_newcomer(), |member| member.pace)
    }

    /// A lease was given to a session.
    pub(crate) fn leased(&mut self, session: SessionId, lease: LeaseId) {
        let newcomer = self.pace.for_newcomer();
        let member = self.members.entry(session).or_insert_with(|| Member { pace: newcomer, ..Member::default() });
        member.leases += 1;
        member.idle_since = None;
        self.leases.insert(lease);
    }

    /// A lease of a session has ended. Returns whether the session has none of the job left.
    pub(crate) fn unleased(&mut self, now: Time, session: SessionId, lease: LeaseId) -> bool {
        self.leases.remove(&lease);
        let Some(member) = self.members.get_mut(&session) else { return false };
        member.leases = member.leases.saturating_sub(1);
        if member.leases == 0 {
            member.idle_since = Some(now);
        }
        member.leases == 0
    }

    /// A session works for it no longer.
    pub(crate) fn dismiss(&mut self, session: SessionId) {
        self.members.remove(&session);
        if let Some(places) = &mut self.places {
            places.release(session);
        }
    }
}
