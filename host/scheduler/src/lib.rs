//! The queue's brain: pure, no I/O, no clock: (state, now, event) -> actions.
//!
//! A [`Scheduler`] is told what happens (a job is admitted, items are appended, an agent joins, gives credit, beats,
//! lands outcomes, leaves), each time with the moment at which it happened, and says what shall be done about it
//! through [`poll`](Scheduler::poll). It holds only jobs that it owns, and of them never all runs: a cursor over the
//! items, the set of runs that are done, the open leases, and entries for the few runs that failed or are suspected.
//!
//! ```text
//!   admit append seal stop forget                 ┌───────────┐   Lease  Cancel  DeadLetter  Remember  Finished
//!   resolve take_back set_group                   │           │  ──────────────────────────────────────────────►
//!   ───────────────────────────────────────────►  │           │   poll
//!      joined credit beat draining left           │ Scheduler │
//!   ───────────────────────────────────────────►  │           │   a ruling on each outcome: record, refuse, retry
//!      begun landed lease_ended      tick         │           │  ──────────────────────────────────────────────►
//!   ───────────────────────────────────────────►  └───────────┘
//! ```
//!
//! The states of a job, of a run, of a lease and of a group are drawn in `job.rs`, `work.rs`, `lease.rs` and `group.rs`.
//!
//! What it promises, whatever agents and the network do: a run has one recorded outcome, never two; an outcome under
//! a fence that is not that of a live lease of that session is refused; no lease outlives three beats of silence, nor an
//! agent that does not move; a run
//! is dead-lettered only after two agents died while they made nothing else; no more is leased of a group than its
//! limits let out, and nothing to a session that lacks a label that the job requires; no job and no run waits for ever
//! while an agent that may make it has room.
//!
//! Invariant: no I/O, no clock, no thread, no randomness but the seed that it was given. The same seed and the same
//! events give the same actions.

#![forbid(unsafe_code)]

mod action;
mod agent;
mod chunks;
mod config;
mod dispatch;
mod ending;
mod event;
mod group;
mod job;
mod labels;
mod landing;
mod lease;
mod ownership;
mod pace;
mod places;
mod ready;
mod retry;
mod run_set;
mod sessions;
mod stalls;
mod time;
mod timers;
mod work;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pigeon_protocol::id::{AgentId, JobId, LeaseId, SessionId};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

pub use action::{Action, Grant};
pub use agent::Credit;
pub use config::Config;
pub use event::{
    AgentInfo, Attempts, Chunk, Death, End, FailureClass, JobAdmitted, Landing, LandingClass, Left, Progress, Refusal,
    Ruling, Tally, Why,
};
pub use group::GroupLimits;
pub use ownership::{JobView, QueueView, Waiting};
pub use retry::RetryPolicy;
pub use run_set::RunSet;
pub use time::Time;

/// The scheduler.
#[derive(Debug)]
pub struct Scheduler {
    config: Config,
    rng: ChaCha8Rng,
    now: Time,
    jobs: BTreeMap<JobId, job::Job>,
    agents: BTreeMap<SessionId, agent::Agent>,
    /// The session of each agent that has one.
    sessions: BTreeMap<AgentId, SessionId>,
    leases: BTreeMap<LeaseId, lease::Lease>,
    /// Leases whose agent is unreachable.
    orphans: BTreeMap<AgentId, BTreeSet<LeaseId>>,
    last_lease: u64,
    timers: timers::Timers,
    /// Sessions with room, the least loaded first.
    hungry: BTreeSet<(u64, SessionId)>,
    /// Leases that all sessions have and take.
    lanes: u64,
    /// What jobs need of sessions.
    needs: labels::Needs,
    /// Jobs with work for every session that meets their needs, of groups without limits.
    ready: ready::Ready,
    /// Groups with limits.
    groups: BTreeMap<u64, group::Group>,
    /// How fast runs of the jobs of a group were lately, be it limited or not.
    paces: BTreeMap<u64, pace::Pace>,
    /// Jobs with work for their members alone.
    ready_to_members: BTreeSet<job::Rank>,
    /// Jobs with suspects to lease.
    suspicious: BTreeSet<JobId>,
    /// Sessions set aside for suspects.
    reserved: BTreeSet<SessionId>,
    actions: VecDeque<Action>,
    /// Something has happened since it was last decided who gets what.
    dirty: bool,
}

impl Scheduler {
    /// A scheduler without jobs and agents. Fences and backoffs are drawn from `seed`.
    pub fn new(config: Config, seed: u64) -> Self {
        Self {
            config,
            rng: ChaCha8Rng::seed_from_u64(seed),
            now: Time::ZERO,
            jobs: BTreeMap::new(),
            agents: BTreeMap::new(),
            sessions: BTreeMap::new(),
            leases: BTreeMap::new(),
            orphans: BTreeMap::new(),
            last_lease: 0,
            timers: timers::Timers::default(),
            hungry: BTreeSet::new(),
            lanes: 0,
            needs: labels::Needs::default(),
            ready: ready::Ready::default(),
            groups: BTreeMap::new(),
            paces: BTreeMap::new(),
            ready_to_members: BTreeSet::new(),
            suspicious: BTreeSet::new(),
            reserved: BTreeSet::new(),
            actions: VecDeque::new(),
            dirty: false,
        }
    }

    /// The settings it was made with.
    pub fn config(&self) -> &Config {
        &self.config
    }
}
