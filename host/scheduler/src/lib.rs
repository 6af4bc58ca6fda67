//! The queue's brain: pure, no I/O, no clock: (state, now, event) -> actions.

#![forbid(unsafe_code)]

use std::collections::VecDeque;

use pigeon_protocol::id::{Fence, JobId, LeaseId, RunIndex, SessionId};

mod action;
mod config;
mod event;
mod retry;
mod run_set;
mod time;

pub use action::{Action, Grant};
pub use config::Config;
pub use event::{
    AgentInfo, Attempts, Chunk, Death, End, FailureClass, JobAdmitted, Landing, LandingClass, Left, Progress, Refusal,
    Ruling, Tally, Why,
};
pub use retry::RetryPolicy;
pub use run_set::RunSet;
pub use time::Time;

/// The scheduler.
#[derive(Debug)]
pub struct Scheduler {
    config: Config,
    actions: VecDeque<Action>,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobView {
    /// Runs of the items appended so far.
    pub planned: u64,
    /// Runs with a recorded outcome.
    pub recorded: u64,
    /// Open leases.
    pub leases: usize,
    /// Sessions that work for it.
    pub sessions: usize,
    /// Why nothing of it is leased now, if nothing is.
    pub waiting: Option<Waiting>,
}

/// Why nothing of a job is leased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Waiting {
    /// No agent has joined.
    NoAgent,
    /// The agents have no room: they work for other jobs.
    AgentsBusy,
    /// All that is left waits for its next attempt.
    Backoff,
    /// It is open, and all that was appended is done.
    Items,
    /// It has ended or is stopping.
    Stopped,
}

impl Scheduler {
    /// A scheduler without jobs and agents. Fences and backoffs are drawn from `seed`: the same seed and the same
    /// events give the same actions.
    pub fn new(config: Config, _seed: u64) -> Self {
        Self { config, actions: VecDeque::new() }
    }

    /// The settings it was made with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A job is owned here from now on, open and without items. Of a job that it owns already: ignored.
    pub fn admit(&mut self, _now: Time, _job: JobAdmitted) {}
    /// Items were appended, and are on disk. False if the chunk does not begin where the last one ended.
    pub fn append(&mut self, _now: Time, _job: JobId, _chunk: Chunk) -> bool {
        false
    }
    /// Nothing more will be appended.
    pub fn seal(&mut self, _now: Time, _job: JobId) {}
    /// Nothing more of the job is leased; it is finished when its open leases have ended. [`Why::Cancel`] ends them.
    pub fn stop(&mut self, _now: Time, _job: JobId, _why: Why) {}
    /// The job is owned here no longer, finished or not. Its open leases are cancelled.
    pub fn forget(&mut self, _now: Time, _job: JobId) {}
    /// Where a job stands; `None` if it is not owned here.
    pub fn job(&self, _job: JobId) -> Option<JobView> {
        None
    }
    /// The runs of a job that have a recorded outcome.
    pub fn done(&self, _job: JobId) -> Option<&RunSet> {
        None
    }

    /// An agent is in, without credit.
    pub fn joined(&mut self, _now: Time, _session: SessionId, _agent: AgentInfo) {}
    /// An agent takes `batches` leases beside the `received` ones that it has got in this session.
    pub fn credit(&mut self, _now: Time, _session: SessionId, _received: u64, _batches: u32) {}
    /// An agent lives and holds these leases: each is renewed. Returns those that are not its (any more).
    pub fn beat(&mut self, _now: Time, _session: SessionId, _leases: &[LeaseId]) -> Vec<LeaseId> {
        Vec::new()
    }
    /// An agent takes nothing more.
    pub fn draining(&mut self, _now: Time, _session: SessionId) {}
    /// A session is over.
    pub fn left(&mut self, _now: Time, _session: SessionId, _left: Left) {}

    /// Runs of a lease that are begun and not answered: all of them, not only those begun since the last time.
    pub fn begun(&mut self, _now: Time, _session: SessionId, _lease: LeaseId, _fence: Fence, _runs: &[RunIndex]) {}
    /// Outcomes have landed. `rulings` is cleared and filled with one ruling each, in order.
    pub fn landed(
        &mut self,
        _now: Time,
        _session: SessionId,
        _lease: LeaseId,
        _fence: Fence,
        _landings: &[Landing],
        rulings: &mut Vec<Ruling>,
    ) -> Tally {
        rulings.clear();
        Tally::default()
    }
    /// A batch is over: runs of it that were not answered go back.
    pub fn lease_ended(&mut self, _now: Time, _session: SessionId, _lease: LeaseId, _fence: Fence) {}

    /// Time has passed. Needed only at [`next_wakeup`](Self::next_wakeup): every other call passes time as well.
    pub fn tick(&mut self, _now: Time) {}
    /// The next thing to do. To be called until it gives `None` after every event, or after several.
    pub fn poll(&mut self, _now: Time) -> Option<Action> {
        self.actions.pop_front()
    }
    /// When to call [`tick`](Self::tick) and [`poll`](Self::poll), should nothing happen before.
    pub fn next_wakeup(&self) -> Option<Time> {
        None
    }
}
