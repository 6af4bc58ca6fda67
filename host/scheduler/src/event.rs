//! What the scheduler is told, and what it answers at once.

use std::time::Duration;

use pigeon_protocol::id::{AgentId, IncarnationId, JobId, RunIndex, Shape};

use crate::{RetryPolicy, RunSet, Time};

/// A job that this scheduler owns from now on.
#[derive(Debug, Clone)]
pub struct JobAdmitted {
    /// Which.
    pub job: JobId,
    /// How its runs are numbered. More than one place makes it a job of one item, whose places belong to sessions.
    pub shape: Shape,
    /// Higher goes first; jobs of one priority share the agents evenly, by the time that their runs take.
    pub priority: i32,
    /// At most this many leases at once, and so at most this many runs: a batch makes its runs one after another.
    pub max_parallel: Option<u32>,
    /// What becomes of failures.
    pub retry: RetryPolicy,
    /// The wall-clock limit of an attempt at a run. An agent that holds a run for longer than all attempts may take that
    /// its lease may need does not move.
    pub wall: Duration,
    /// The group whose limits it shares: see [`set_group`](crate::Scheduler::set_group).
    pub group: u64,
    /// Whether the first run that is recorded invalid or failed stops the job.
    pub fail_fast: bool,
    /// At most this many sessions work for it at once. A job of one item waits for so many to have joined before one
    /// of them takes a second place, but not longer than [`Config::place_grace`](crate::Config::place_grace).
    pub max_agents: Option<u32>,
    /// Labels that a session must have to work for it: each as it is, or the key of one that has a value (`arch` stands for
    /// any `arch=...`).
    pub require: Vec<String>,
    /// Labels that a session had better have: of those with room, who has more of them gets its work first.
    pub prefer: Vec<String>,
    /// What an earlier owner achieved. Empty for a new job.
    pub progress: Progress,
}

/// What was achieved of a job before this scheduler owned it.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Runs that have a recorded outcome.
    pub done: RunSet,
    /// Runs without one that were tried already.
    pub attempts: Vec<(RunIndex, Attempts)>,
}

/// What a run without a recorded outcome has been through. Kept by the scheduler only for runs that have been through
/// something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Attempts {
    /// Failures after which it was to be tried again, of whatever class.
    pub failures: u32,
    /// Deaths of an agent that made nothing but this run.
    pub deaths: u32,
}

/// Items `first .. first + count` were appended to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Index of the first item. Must be the number of items appended so far; a repeat is ignored.
    pub first: u64,
    /// How many.
    pub count: u32,
    /// Size of their bodies together.
    pub bytes: u64,
}

/// Why a job is stopped from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Why {
    /// The first invalid or failed run of a fail-fast job was recorded.
    FailFast,
    /// To be taken up again later. Open leases end as they would.
    Pause,
    /// Ctrl-C. Open leases end as they would.
    Interrupt,
    /// For good. Open leases are cancelled.
    Cancel,
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// Every run has a recorded outcome.
    Complete,
    /// Stopped with runs left that have none.
    Stopped(Why),
}

/// What an agent told of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentInfo {
    /// Which agent.
    pub agent: AgentId,
    /// Which life of its process. The same agent back in the same life takes its leases up again; in another one its
    /// former life is known to have died.
    pub incarnation: IncarnationId,
    /// Runs that it computes at once.
    pub slots: u32,
    /// What it is or has: `gpu`, `arch=x86_64`.
    pub labels: Vec<String>,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Left {
    /// The agent's process died. Runs begun and not answered are suspects. All its leases end.
    Died,
    /// It left in order. Its leases end, its runs go back; counts for nothing.
    Drained,
    /// It was sent away. Its leases end, its runs go back; counts for nothing.
    Revoked,
    /// The connection is gone, the agent perhaps not. Its leases stand until they expire, so that it can come back
    /// and deliver; counts for nothing unless it comes back in another life.
    Unreachable,
}

/// An outcome, as far as the scheduler needs to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Landing {
    /// Whose.
    pub run: RunIndex,
    /// What sort.
    pub class: LandingClass,
    /// How long the run took on its agent, in microseconds.
    pub time_us: u64,
}

/// What sort of outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LandingClass {
    /// Judged valid.
    Valid,
    /// Judged invalid: an answer, never retried.
    Invalid,
    /// Not judged.
    Failure(FailureClass),
}

/// What sort of failure. The first three are tried again by the job's [`RetryPolicy`], each up to a bound of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// The guest could not judge now.
    Transient,
    /// It used up its time.
    Timeout,
    /// It crashed.
    Crash,
    /// Trying again will not help: recorded at once.
    Permanent,
}

/// What shall be done with an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// It is the run's outcome. Record it.
    Record,
    /// It counts for nothing. Acknowledge it and forget it.
    Refuse(Refusal),
    /// It is not the last word. Keep in mind that the run was tried `attempt - 1` times, if that shall outlive this
    /// process; acknowledge the outcome and forget it.
    Retry {
        /// Number of the attempt that follows, from 2.
        attempt: u32,
        /// It is not made earlier.
        not_before: Time,
    },
}

/// Why an outcome counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The lease is not live, or not the session's, or the fence is another one's.
    Stale,
    /// The run has an outcome, or has been answered under this lease before.
    Duplicate,
    /// The lease is live, but the run is not part of it.
    NotLeased,
}

/// How many rulings of each kind a call of [`landed`](crate::Scheduler::landed) gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Outcomes to record.
    pub recorded: u32,
    /// Outcomes refused.
    pub refused: u32,
    /// Outcomes that are retried.
    pub retried: u32,
}

/// One death of an agent that made nothing but one run; or an agent held a run for longer than it may take, which counts
/// as much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death {
    /// Who died.
    pub agent: AgentId,
    /// It did not die, but held the run.
    pub held: bool,
    /// When that was learnt.
    pub at: Time,
    /// How long after the lease was given that was.
    pub after: Duration,
}
