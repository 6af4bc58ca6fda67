//! What the scheduler wants done.

use std::time::Duration;

use pigeon_protocol::{
    id::{AgentId, Fence, JobId, LeaseId, RunIndex, SessionId},
    message::RunRange,
};

use crate::event::{Attempts, Death, End};

/// One thing to do. Actions are to be carried out in the order in which [`poll`](crate::Scheduler::poll) gives them.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Send a batch to a session.
    Lease(Grant),
    /// Tell a session that these leases are its no longer. Runs of them that it has not answered are not to be made.
    Cancel {
        /// Whose they were.
        session: SessionId,
        /// Which.
        leases: Vec<LeaseId>,
    },
    /// Keep in mind what a run has been through, and hand it back in [`Progress`](crate::Progress) should another
    /// owner take the job up.
    Remember {
        /// Which job.
        job: JobId,
        /// Which run.
        run: RunIndex,
        /// What it has been through.
        attempts: Attempts,
    },
    /// A session is taken runs that it had begun and held for longer than they may take. For each that counts as a death
    /// alone.
    Held {
        /// Who.
        agent: AgentId,
        /// Which job.
        job: JobId,
        /// Which runs.
        runs: Vec<RunIndex>,
        /// How long nothing of them had come.
        after: Duration,
    },
    /// Record a failure `agent-lost` for a run: agents died of it, or held it. The run is done for the scheduler.
    DeadLetter {
        /// Which job.
        job: JobId,
        /// Which run.
        run: RunIndex,
        /// The deaths that this scheduler has seen, oldest first. One that an earlier owner saw is not among them.
        evidence: Vec<Death>,
    },
    /// A session beats and does not move: its leases went to others. It is not to be told, and gets nothing until something
    /// of it lands.
    Stalled {
        /// Which.
        session: SessionId,
        /// What it had.
        leases: Vec<LeaseId>,
        /// How long nothing of it had moved.
        after: Duration,
    },
    /// Something of a session that was stalled has landed: it gets work again.
    Moves {
        /// Which.
        session: SessionId,
    },
    /// A session was silent for three beats, and is over for the scheduler: as [unreachable](crate::Left::Unreachable). Its
    /// connection is to be ended, so that the agent can come back.
    Lost {
        /// Which.
        session: SessionId,
    },
    /// A job has ended; said once. Its state stays until it is [forgotten](crate::Scheduler::forget).
    Finished {
        /// Which job.
        job: JobId,
        /// How.
        end: End,
    },
}

/// A batch that a session is given.
#[derive(Debug, Clone, PartialEq)]
pub struct Grant {
    /// Who makes it.
    pub session: SessionId,
    /// The lease.
    pub lease: LeaseId,
    /// Its fence; never 0.
    pub fence: Fence,
    /// Which job.
    pub job: JobId,
    /// The runs, in the order in which they shall be made. At most 1,024 ranges.
    pub runs: Vec<RunRange>,
    /// Number of the attempt, from 1; more than 1 only where every run of the batch is a repetition.
    pub attempt: u32,
    /// A suspect: the batch is one run, and the session has no other lease while it has this one.
    pub alone: bool,
}
