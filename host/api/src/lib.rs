//! What a client of Pigeon says and hears: the requests and answers as types, and the one trait that offers them.
//!
//! The command line knows only [`Pigeon`]. The control host implements it in process (embedded); a client over REST
//! will implement it too. A job goes through it in this order:
//!
//! ```text
//! submit ──► append, append, ... ──► seal ──► (watch: as runs land) ──► job + results: the report
//!    └─ the job is durable             └─ the number of runs is known
//! ```
//!
//! Invariant: types and traits only. This crate knows no network, no database and no Wasm.

#![forbid(unsafe_code)]

mod chunk;
mod error;
mod event;
mod job;
mod plugin;
mod result;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
pub use pigeon_protocol::id::{Digest, JobId, RunKey, Shape};

pub use self::{
    chunk::{Chunk, ChunkBuilder},
    error::{ApiError, ErrorKind},
    event::{JobEvent, Progress, Watch},
    job::{
        Clock, JobFilter, JobRequest, JobState, JobStatus, JobSummary, Limits, ResumePoint, RetryPolicy, Stop, Times,
        Work, WorkerStatus,
    },
    plugin::{
        CodeSpec, Inspected, InstancePolicy, MemoryNeed, OptionSpec, PluginInfo, PluginKind, PluginMetadata, Vote,
    },
    result::{Counts, ErrorGroup, FailureInfo, Finding, ItemResult, Place, RunResult, Severity, Verdict},
};

/// Where the answer to a call may fail.
pub type Result<T> = std::result::Result<T, ApiError>;

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

    /// Hear what happens to the job, from its beginning or from now on. Ends with [`JobEvent::Finished`]; an error ends
    /// it as well.
    async fn watch(&self, job: JobId, watch: Watch) -> Result<BoxStream<'static, Result<JobEvent>>>;

    /// The job's state and figures.
    async fn job(&self, job: JobId) -> Result<JobStatus>;

    /// Jobs, the newest first.
    async fn jobs(&self, filter: JobFilter) -> Result<Vec<JobSummary>>;

    /// The ids of all jobs, the newest first. Looks at no runs: cheap where there are thousands.
    async fn job_ids(&self) -> Result<Vec<JobId>>;

    /// The items of the job that have an outcome, in the order of the items, a few hundred at a time. Needs memory for
    /// what comes at a time only.
    async fn results(&self, job: JobId) -> Result<BoxStream<'static, Result<Vec<ItemResult>>>>;

    /// Lease nothing more of the job. Runs that are under way may end; [`watch`](Self::watch) tells when they have.
    async fn stop(&self, job: JobId, stop: Stop) -> Result<()>;

    /// Take up a job that is not finished and that no living process owns, and tell where its input stands.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], or [`ErrorKind::Conflict`] if another process is at it.
    async fn resume(&self, job: JobId) -> Result<ResumePoint>;
}
