//! What is heard of a job while it goes on, and the log of all that happened.

use pigeon_protocol::id::JobId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{JobState, RunResult, text};

/// What to be told of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Watch {
    /// Tell of every run ([`JobEvent::Landed`]), from the job's first on. Else only of its progress.
    pub runs: bool,
    /// With what the guests logged, which is empty if not asked for.
    pub logs: bool,
    /// Only of runs in batches behind this one ([`Landed::batch`]); 0 for all. So who lost the connection misses nothing.
    pub after: u64,
    /// Only of what has happened by now; then [`JobEvent::Finished`] at once, with the state in which the job is.
    pub past: bool,
}

/// Something happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JobEvent {
    /// These runs have their outcomes, and they are on disk. Every run comes once, in the order in which they landed.
    Landed(Landed),
    /// How far the job is; a few times a second.
    Progress(Progress),
    /// Something that people want to know: an agent was lost, runs are tried again for a reason that is new.
    Note(String),
    /// Nothing more will happen for now: all runs have outcomes, or the job was stopped or paused and what was under way
    /// has ended. Last.
    Finished(JobState),
}

/// Runs that landed together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Landed {
    /// Number of the batch in its job, from 1, ascending.
    pub batch: u64,
    /// The runs.
    pub runs: Vec<RunResult>,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

/// An entry of the log of all that happened. Numbers ascend, and every entry is on disk before it is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Its number, from 1. A client that reconnects says the last that it saw.
    pub seq: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Who did it: the name of a token, `schedule NAME`, `agent NAME`, or `pigeon` for the control host itself.
    pub author: String,
    /// What happened.
    pub kind: EventKind,
    /// The job that it is about, if it is about one.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub job: Option<JobId>,
    /// What else it is about: an agent, a plugin, a schedule, a token, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// In words.
    pub message: String,
}

/// Kinds of entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// A job was accepted.
    JobSubmitted,
    /// No more items come.
    JobSealed,
    /// Nothing more of it is leased until it is resumed.
    JobPaused,
    /// It was taken up again.
    JobResumed,
    /// Nobody wants the rest of it.
    JobCancelled,
    /// It stopped at the first run that was invalid or failed.
    JobStopped,
    /// Every run has an outcome.
    JobFinished,
    /// The machinery failed for it.
    JobBroken,
    /// It was removed, with all that is known of it.
    JobDeleted,
    /// Runs of it are tried again, for a reason that is new.
    RunsRetried,
    /// Runs of it became dead letters, for a reason that is new.
    RunsDead,
    /// Somebody has dead letters tried again.
    DeadRetried,
    /// Somebody discarded dead letters.
    DeadDiscarded,
    /// A plugin was published.
    PluginPublished,
    /// A plugin has other limits.
    PluginLimited,
    /// An agent came.
    AgentJoined,
    /// An agent left in order.
    AgentLeft,
    /// An agent died, or cannot be reached.
    AgentLost,
    /// An agent was sent away.
    AgentRefused,
    /// An agent is connected and makes no progress: what it was at went to others.
    AgentStalled,
    /// An agent that made no progress does again.
    AgentMoves,
    /// Somebody wants an agent to take nothing.
    AgentDrained,
    /// Somebody wants an agent to take work again.
    AgentResumed,
    /// An agent was revoked: it may not come back.
    AgentRevoked,
    /// A schedule was added.
    ScheduleAdded,
    /// A schedule was removed.
    ScheduleRemoved,
    /// A schedule was paused.
    SchedulePaused,
    /// A schedule was resumed.
    ScheduleResumed,
    /// A schedule's time came, and its job was submitted.
    ScheduleFired,
    /// A schedule's time came, and no job was submitted.
    ScheduleSkipped,
    /// A token was made.
    TokenCreated,
    /// A token was revoked.
    TokenRevoked,
    /// Things were removed whose time was over.
    Swept,
    /// A backup was taken.
    BackupTaken,
    /// The control host started.
    HostStarted,
    /// The control host goes down.
    HostStopping,
    /// The configuration was read again.
    HostReloaded,
}

/// Which entries of the log are meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Those with a greater number.
    pub after: u64,
    /// Of this job.
    pub job: Option<JobId>,
}
