//! What is heard of a job while it goes on.

use crate::{JobState, RunResult};

/// What to be told of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Watch {
    /// Tell of every run ([`JobEvent::Landed`]), from the job's first on. Else only of its progress.
    pub runs: bool,
}

/// Something happened.
#[derive(Debug, Clone, PartialEq)]
pub enum JobEvent {
    /// These runs have their outcomes, and they are on disk. Every run comes once, in the order in which they landed.
    Landed(Vec<RunResult>),
    /// How far the job is; a few times a second.
    Progress(Progress),
    /// Something that people want to know: an agent was lost, runs are tried again for a reason that is new.
    Note(String),
    /// Nothing more will happen in this process: all runs have outcomes, or the job was stopped and what was under way
    /// has ended. Last.
    Finished(JobState),
}

/// How far a job is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Runs of all items that were appended so far.
    pub planned: u64,
    /// Whether no more items come.
    pub sealed: bool,
    /// Runs with an outcome.
    pub done: u64,
    /// Of those, valid.
    pub valid: u64,
    /// Of those, invalid.
    pub invalid: u64,
    /// Of those, failures.
    pub failures: u64,
    /// Attempts in this process that brought no outcome and are followed by another: transient failures, and deaths of
    /// agents that made nothing else.
    pub retried: u64,
}
