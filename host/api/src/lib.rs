//! What a client of Pigeon says and hears: the requests and answers as types, and the one trait that offers them.
//!
//! The command line knows only [`Pigeon`]. The control host implements it in process (embedded), and
//! `client::RestClient` over REST, which is why what REST needs besides lies here, for both of its sides: [`page`],
//! [`Problem`], [`sse`] and [`wire`]. A job goes through it in this order:
//!
//! ```text
//! submit ──► append, append, ... ──► seal ──► (watch: as runs land) ──► job + results: the report
//!    └─ the job is durable             └─ the number of runs is known
//! ```
//!
//! Invariant: types and traits only. This crate knows no database and no Wasm, and without the feature `client` no
//! network.

#![forbid(unsafe_code)]

mod access;
mod chunk;
#[cfg(feature = "client")]
pub mod client;
mod context;
mod dead;
mod deeds;
mod error;
mod event;
mod fleet;
mod job;
pub mod page;
mod plugin;
mod problem;
pub mod report;
mod result;
mod schedule;
pub mod sse;
mod stats;
mod submission;
mod text;
pub mod wire;
pub mod words;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
pub use pigeon_protocol::id::{Digest, JobId, RunKey, Shape};

pub use self::{
    access::{JoinInfo, JoinSpec, JoinTokenInfo, NewJoinToken, NewToken, Role, TokenInfo, TokenSpec},
    chunk::{Chunk, ChunkBuilder},
    context::{ContextInfo, ContextList},
    dead::{DeadDetail, DeadFilter, DeadId, DeadLetter, DeadName, ParseDeadIdError},
    deeds::{Deed, Deeds, Done},
    error::{ApiError, ErrorKind},
    event::{Event, EventFilter, EventKind, JobEvent, Landed, Progress, Watch},
    fleet::{AgentDetail, AgentMark, AgentState, AgentStatus, CachedPlugin, Health, Revocation},
    job::{
        Clock, JobFilter, JobRequest, JobState, JobStatus, JobSummary, Limits, ResumePoint, RetryPolicy, Stop, Times,
        Waiting, Work, WorkerStatus,
    },
    plugin::{
        CodeSpec, Inspected, InstancePolicy, MemoryNeed, OptionSpec, PluginInfo, PluginKind, PluginLimits,
        PluginMetadata, Rate, Vote,
    },
    problem::{PROBLEM_MEDIA_TYPE, Problem},
    result::{Counts, ErrorGroup, FailureInfo, Finding, ItemResult, Place, RunResult, Severity, Verdict},
    schedule::{CatchUp, Overlap, ScheduleInfo, ScheduleSpec, When},
    stats::{ErrorStats, Figures, HostStats, HostStatus, QueueStatus, Throughput},
    submission::{InlineItem, Submission},
};

/// Where the answer to a call may fail.
pub type Result<T, E = ApiError> = std::result::Result<T, E>;

/// Everything that a client can ask of Pigeon.
#[async_trait]
pub trait Pigeon: Send + Sync {
    /// All plugins, by name, the newest version first.
    async fn plugins(&self) -> Result<Vec<PluginInfo>>;

    /// One plugin: by `name`, `name@version` or digest (`sha256:...`).
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], with the names that are close to it as hint.
    async fn plugin(&self, reference: &str) -> Result<PluginInfo>;

    /// Store a component that is no built-in plugin, so that jobs can name its digest.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`] if it is no component, or of a world that is not ours; the difference in words.
    async fn publish(&self, component: Bytes) -> Result<PluginInfo>;

    /// Open a job. It is durable when this returns: whatever dies, [`resume`](Self::resume) takes it up.
    async fn submit(&self, request: JobRequest) -> Result<JobId>;

    /// Add items. They are on disk when this returns. A chunk whose number was appended before is ignored, so a call
    /// may be repeated. Waits while much of what came before has not been judged.
    async fn append(&self, job: JobId, chunk: Chunk) -> Result<()>;

    /// Say that no more items come.
    async fn seal(&self, job: JobId) -> Result<()>;

    /// Open a job with all its items in one chunk, and seal it: one step on disk where the control host is in this process.
    /// With a key, the job may be one that an earlier call opened and did not fill.
    async fn submit_with(&self, request: JobRequest, items: Chunk) -> Result<JobId> {
        let job = self.submit(request).await?;
        self.append(job, items).await?;
        self.seal(job).await?;
        Ok(job)
    }

    /// Hear what happens to the job, from its beginning or from now on. Ends with [`JobEvent::Finished`]; an error ends
    /// it as well.
    async fn watch(&self, job: JobId, watch: Watch) -> Result<BoxStream<'static, Result<JobEvent>>>;

    /// The job's state and figures.
    async fn job(&self, job: JobId) -> Result<JobStatus>;

    /// Jobs, the newest first.
    async fn jobs(&self, filter: JobFilter) -> Result<Vec<JobSummary>>;

    /// The ids of all jobs, the newest first. Looks at no runs: cheap where there are thousands.
    async fn job_ids(&self) -> Result<Vec<JobId>>;

    /// The items of the job that have an outcome, in the order of the items, some thousand at a time. Needs memory for
    /// what comes at a time only.
    async fn results(&self, job: JobId) -> Result<BoxStream<'static, Result<Vec<ItemResult>>>>;

    /// Lease nothing more of the job. [`watch`](Self::watch) tells when what was under way has ended.
    async fn stop(&self, job: JobId, stop: Stop) -> Result<()>;

    /// Take up a job that is not finished: one that is paused, or that no living process owns. Tells where its input
    /// stands.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], or [`ErrorKind::Conflict`] if another process is at it.
    async fn resume(&self, job: JobId) -> Result<ResumePoint>;

    // The queue.

    /// Remove a job that has ended, with all that is known of it.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] while it has not.
    async fn delete(&self, job: JobId) -> Result<()>;

    /// Runs that could not be judged, the newest first: a page of at most `limit`, behind `after`.
    async fn dead(&self, filter: DeadFilter, after: Option<DeadId>, limit: usize) -> Result<Vec<DeadLetter>>;

    /// One of them, with its input and log.
    async fn dead_letter(&self, id: DeadId) -> Result<DeadDetail>;

    /// Try these again: their failures count no longer, and jobs that had ended go on. Gives how many there were.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] if the input of one is not kept any more; then none is tried again.
    async fn retry_dead(&self, filter: DeadFilter) -> Result<u64>;

    /// Forget that these are dead letters: their failures stand. Gives how many there were.
    async fn discard_dead(&self, filter: DeadFilter) -> Result<u64>;

    /// A plugin's limits, by its name: they are those of all its versions.
    async fn plugin_limits(&self, name: &str) -> Result<PluginLimits>;

    /// Give a plugin other limits. They hold from now on, for jobs under way as well.
    async fn set_plugin_limits(&self, name: &str, limits: PluginLimits) -> Result<()>;

    // Schedules.

    /// All schedules, by name.
    async fn schedules(&self) -> Result<Vec<ScheduleInfo>>;

    /// Keep a schedule.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] if there is one of that name.
    async fn add_schedule(&self, spec: ScheduleSpec) -> Result<ScheduleInfo>;

    /// Have a schedule wait, or go on.
    async fn pause_schedule(&self, name: &str, paused: bool) -> Result<ScheduleInfo>;

    /// Forget a schedule. Its jobs go on.
    async fn remove_schedule(&self, name: &str) -> Result<()>;

    // The control host.

    /// Agents that are in, and those that are remembered, by name.
    async fn agents(&self) -> Result<Vec<AgentStatus>>;

    /// One agent: by its id, by the beginning or the end of that, or by its name.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], with the names that are close to it as hint; [`ErrorKind::Conflict`] if it may be several.
    async fn agent(&self, reference: &str) -> Result<AgentDetail>;

    /// Have an agent take nothing, until it is to take work again. It ends what it has, and stays.
    ///
    /// # Errors
    /// As those of [`agent`](Self::agent); [`ErrorKind::Conflict`] if it is revoked.
    async fn drain_agent(&self, reference: &str, drained: bool) -> Result<AgentDetail>;

    /// Revoke an agent: it is sent away at once, others do its work, and it may not come back. `why` is for the log.
    async fn revoke_agent(&self, reference: &str, why: &str) -> Result<AgentDetail>;

    /// A token with which agents join.
    async fn create_join_token(&self, spec: JoinSpec) -> Result<NewJoinToken>;

    /// The tokens with which agents join, in the order in which they were made.
    async fn join_tokens(&self) -> Result<Vec<JoinTokenInfo>>;

    /// Have a token with which agents join be good for nothing any more. Who has joined with it stays.
    async fn revoke_join_token(&self, id: &str) -> Result<()>;

    /// The tokens for the API that are not revoked, by name.
    async fn tokens(&self) -> Result<Vec<TokenInfo>>;

    /// A token for the API.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] if there is one of that name.
    async fn create_token(&self, spec: TokenSpec) -> Result<NewToken>;

    /// Revoke a token for the API: nobody may do anything with it any more.
    async fn revoke_token(&self, name: &str) -> Result<()>;

    /// How it stands now.
    async fn status(&self) -> Result<HostStatus>;

    /// Figures by plugin and worker.
    async fn stats(&self) -> Result<HostStats>;

    /// The log of all that happened, the oldest first: at most `limit` entries.
    async fn events(&self, filter: EventFilter, limit: usize) -> Result<Vec<Event>>;

    /// The end of the same log, of this job if one is given: the last `limit` entries at most, the oldest of them first;
    /// of those before entry number `before`, if that is given.
    async fn last_events(&self, job: Option<JobId>, before: Option<u64>, limit: usize) -> Result<Vec<Event>>;

    /// The log from an entry on, for ever: every entry once.
    async fn follow_events(&self, filter: EventFilter) -> Result<BoxStream<'static, Result<Event>>>;

    /// All that is kept, as a tar archive that `pigeon restore` understands, consistent as of one moment.
    async fn backup(&self) -> Result<BoxStream<'static, Result<Bytes>>>;
}
