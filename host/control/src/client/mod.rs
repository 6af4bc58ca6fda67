//! What clients ask, answered in process: the API's trait over the store, the registry and the owner.
//!
//! By topic: `submit` (jobs and items coming in), `look` (what is told of jobs), `control` (pause, resume, cancel,
//! delete), `dead` (dead letters), `fleet` (agents, and how they join), `host` (tokens, limits, figures, backups).

mod control;
mod dead;
mod fleet;
mod host;
mod look;
mod submit;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use pigeon_api::{
    AgentDetail, AgentStatus, ApiError, Chunk, DeadDetail, DeadFilter, DeadId, DeadLetter, ErrorKind, Event,
    EventFilter, HostStats, HostStatus, ItemResult, JobEvent, JobFilter, JobRequest, JobStatus, JobSummary, JoinSpec,
    JoinTokenInfo, NewJoinToken, NewToken, Pigeon, PluginInfo, PluginLimits, Result, ResumePoint, ScheduleInfo,
    ScheduleSpec, Stop, TokenInfo, TokenSpec, Watch,
};
use pigeon_protocol::id::JobId;

use crate::core::Core;

/// The trait's implementation in process, for one author.
#[derive(Clone)]
pub(crate) struct Client {
    core: Arc<Core>,
    /// Who it is that asks; empty where nobody has a name.
    author: Arc<str>,
}

impl Client {
    pub(crate) fn new(core: Arc<Core>, author: &str) -> Self {
        Self { core, author: author.into() }
    }

    /// Do something to its end, even if whoever wants it goes meanwhile: what is on disk is told as well.
    async fn whole<T, F>(&self, does: impl FnOnce(Self) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let lost = |error| ApiError::new(ErrorKind::Internal, "a task of the control host was lost").caused_by(error);
        tokio::spawn(does(self.clone())).await.map_err(lost)?
    }
}

#[async_trait]
impl Pigeon for Client {
    async fn plugins(&self) -> Result<Vec<PluginInfo>> {
        self.core.registry.list().await
    }

    async fn plugin(&self, reference: &str) -> Result<PluginInfo> {
        self.core.registry.resolve(reference).await
    }

    async fn publish(&self, component: Bytes) -> Result<PluginInfo> {
        self.publish_plugin(component).await
    }

    async fn submit(&self, request: JobRequest) -> Result<JobId> {
        self.submit_job(request, None).await
    }

    async fn submit_with(&self, request: JobRequest, items: Chunk) -> Result<JobId> {
        self.submit_job(request, Some(items)).await
    }

    async fn append(&self, job: JobId, chunk: Chunk) -> Result<()> {
        self.append_chunk(job, chunk).await
    }

    async fn seal(&self, job: JobId) -> Result<()> {
        self.whole(move |client| async move { client.seal_job(job).await }).await
    }

    async fn watch(&self, job: JobId, watch: Watch) -> Result<BoxStream<'static, Result<JobEvent>>> {
        self.watch_job(job, watch).await
    }

    async fn job(&self, job: JobId) -> Result<JobStatus> {
        self.job_status(job).await
    }

    async fn jobs(&self, filter: JobFilter) -> Result<Vec<JobSummary>> {
        self.list_jobs(filter).await
    }

    async fn job_ids(&self) -> Result<Vec<JobId>> {
        self.list_ids().await
    }

    async fn results(&self, job: JobId) -> Result<BoxStream<'static, Result<Vec<ItemResult>>>> {
        self.job_results(job).await
    }

    async fn stop(&self, job: JobId, stop: Stop) -> Result<()> {
        match stop {
            Stop::Pause => self.whole(move |client| async move { client.pause_job(job).await }).await,
            Stop::Cancel => self.whole(move |client| async move { client.cancel_job(job).await }).await,
        }
    }

    async fn resume(&self, job: JobId) -> Result<ResumePoint> {
        self.whole(move |client| async move { client.resume_job(job).await }).await
    }

    async fn delete(&self, job: JobId) -> Result<()> {
        self.delete_job(job).await
    }

    async fn dead(&self, filter: DeadFilter, after: Option<DeadId>, limit: usize) -> Result<Vec<DeadLetter>> {
        self.list_dead(filter, after, limit).await
    }

    async fn dead_letter(&self, id: DeadId) -> Result<DeadDetail> {
        self.show_dead(id).await
    }

    async fn retry_dead(&self, filter: DeadFilter) -> Result<u64> {
        self.whole(move |client| async move { client.retry_dead_letters(filter).await }).await
    }

    async fn discard_dead(&self, filter: DeadFilter) -> Result<u64> {
        self.discard_dead_letters(filter).await
    }

    async fn plugin_limits(&self, name: &str) -> Result<PluginLimits> {
        self.limits_of(name).await
    }

    async fn set_plugin_limits(&self, name: &str, limits: PluginLimits) -> Result<()> {
        self.limit_plugin(name, limits).await
    }

    async fn schedules(&self) -> Result<Vec<ScheduleInfo>> {
        self.core.schedules()?.list().await
    }

    async fn add_schedule(&self, spec: ScheduleSpec) -> Result<ScheduleInfo> {
        self.new_schedule(spec).await
    }

    async fn pause_schedule(&self, name: &str, paused: bool) -> Result<ScheduleInfo> {
        self.hold_schedule(name, paused).await
    }

    async fn remove_schedule(&self, name: &str) -> Result<()> {
        self.forget_schedule(name).await
    }

    async fn agents(&self) -> Result<Vec<AgentStatus>> {
        self.list_agents().await
    }

    async fn agent(&self, reference: &str) -> Result<AgentDetail> {
        self.show_agent(reference).await
    }

    async fn drain_agent(&self, reference: &str, drained: bool) -> Result<AgentDetail> {
        self.hold_agent(reference, drained).await
    }

    async fn revoke_agent(&self, reference: &str, why: &str) -> Result<AgentDetail> {
        let (reference, why) = (reference.to_owned(), why.to_owned());
        self.whole(move |client| async move { client.send_agent_away(&reference, &why).await }).await
    }

    async fn create_join_token(&self, spec: JoinSpec) -> Result<NewJoinToken> {
        self.new_join_token(spec).await
    }

    async fn join_tokens(&self) -> Result<Vec<JoinTokenInfo>> {
        self.list_join_tokens().await
    }

    async fn revoke_join_token(&self, id: &str) -> Result<()> {
        self.forget_join_token(id).await
    }

    async fn tokens(&self) -> Result<Vec<TokenInfo>> {
        self.serving()?.tokens.list(&self.author).await
    }

    async fn create_token(&self, spec: TokenSpec) -> Result<NewToken> {
        self.new_token(spec).await
    }

    async fn revoke_token(&self, name: &str) -> Result<()> {
        self.forget_token(name).await
    }

    async fn status(&self) -> Result<HostStatus> {
        self.host_status().await
    }

    async fn stats(&self) -> Result<HostStats> {
        self.host_stats().await
    }

    async fn events(&self, filter: EventFilter, limit: usize) -> Result<Vec<Event>> {
        self.core.journal.read(filter, limit).await
    }

    async fn last_events(&self, job: Option<JobId>, before: Option<u64>, limit: usize) -> Result<Vec<Event>> {
        self.core.journal.read_last(job, before, limit).await
    }

    async fn follow_events(&self, filter: EventFilter) -> Result<BoxStream<'static, Result<Event>>> {
        self.core.journal.follow(filter).await
    }

    async fn backup(&self) -> Result<BoxStream<'static, Result<Bytes>>> {
        self.take_backup().await
    }
}
