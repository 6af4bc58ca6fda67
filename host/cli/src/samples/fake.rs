//! A control host that knows what it was told, and remembers what it was asked to do.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};
use pigeon_api::{
    AgentDetail, AgentStatus, ApiError, Chunk, DeadDetail, DeadFilter, DeadId, DeadLetter, ErrorKind, Event,
    EventFilter, HostStats, HostStatus, ItemResult, JobEvent, JobFilter, JobId, JobRequest, JobStatus, JobSummary,
    JoinSpec, JoinTokenInfo, NewJoinToken, NewToken, Pigeon, PluginInfo, PluginLimits, Result, ResumePoint,
    ScheduleInfo, ScheduleSpec, Stop, TokenInfo, TokenSpec, Watch,
};

/// The newest first, where there is an order.
#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) jobs: Vec<JobStatus>,
    pub(crate) dead: Vec<DeadDetail>,
    /// The oldest first.
    pub(crate) events: Vec<Event>,
    /// What is heard of a job, each time that it is watched.
    pub(crate) heard: Mutex<VecDeque<Vec<JobEvent>>>,
    pub(crate) watches: Mutex<Vec<Watch>>,
    /// How often it was asked for jobs' figures, which cost something, and for the end of the log.
    pub(crate) asked: AtomicUsize,
}

impl Fake {
    fn position(&self, job: JobId) -> Option<usize> {
        self.jobs.iter().position(|known| known.id == job)
    }
}

fn unknown<T>() -> Result<T> {
    Err(ApiError::new(ErrorKind::NotFound, "there is no such thing"))
}

fn not_here<T>() -> Result<T> {
    Err(ApiError::new(ErrorKind::Unsupported, "not here"))
}

#[async_trait]
impl Pigeon for Fake {
    async fn job_ids(&self) -> Result<Vec<JobId>> {
        Ok(self.jobs.iter().map(|job| job.id).collect())
    }

    async fn jobs(&self, filter: JobFilter) -> Result<Vec<JobSummary>> {
        self.asked.fetch_add(1, Relaxed);
        let first = match filter.before {
            Some(before) => self.position(before).map_or(self.jobs.len(), |at| at + 1),
            None => 0,
        };
        let meant = self.jobs[first..].iter().filter(|job| {
            !(filter.unfinished && job.state.is_final()) && filter.state.is_none_or(|state| state == job.state)
        });
        let summary = |job: &JobStatus| JobSummary {
            id: job.id,
            plugin: format!("{} {}", job.plugin.metadata.name, job.plugin.metadata.version),
            state: job.state,
            accepted_ms: job.accepted_ms,
            planned_runs: job.planned_runs,
            total_runs: job.total_runs,
            valid: job.valid,
            invalid: job.invalid,
            failures: job.failures,
            priority: job.request.priority,
            author: job.author.clone(),
        };
        Ok(meant.take(filter.limit.unwrap_or(usize::MAX)).map(summary).collect())
    }

    async fn job(&self, job: JobId) -> Result<JobStatus> {
        self.asked.fetch_add(1, Relaxed);
        self.position(job).map_or_else(unknown, |at| Ok(self.jobs[at].clone()))
    }

    async fn watch(&self, _: JobId, watch: Watch) -> Result<BoxStream<'static, Result<JobEvent>>> {
        self.watches.lock().unwrap().push(watch);
        let heard = self.heard.lock().unwrap().pop_front().unwrap_or_default();
        Ok(futures::stream::iter(heard.into_iter().map(Ok)).boxed())
    }

    async fn dead(&self, filter: DeadFilter, after: Option<DeadId>, limit: usize) -> Result<Vec<DeadLetter>> {
        let letters = self.dead.iter().map(|detail| &detail.letter);
        let behind = letters.skip_while(|letter| after.is_some_and(|after| letter.id != after));
        let behind = behind.skip(usize::from(after.is_some()));
        let meant = behind.filter(|letter| {
            filter.job.is_none_or(|job| job == letter.id.job)
                && filter.code.as_ref().is_none_or(|code| *code == letter.failure.code)
        });
        Ok(meant.take(limit).cloned().collect())
    }

    async fn events(&self, filter: EventFilter, limit: usize) -> Result<Vec<Event>> {
        let meant = self
            .events
            .iter()
            .filter(|event| event.seq > filter.after && filter.job.is_none_or(|job| event.job == Some(job)));
        Ok(meant.take(limit).cloned().collect())
    }

    async fn last_events(&self, job: Option<JobId>, before: Option<u64>, limit: usize) -> Result<Vec<Event>> {
        self.asked.fetch_add(1, Relaxed);
        let mut events = self.events(EventFilter { after: 0, job }, usize::MAX).await?;
        events.retain(|event| before.is_none_or(|before| event.seq < before));
        events.drain(..events.len().saturating_sub(limit));
        Ok(events)
    }

    async fn plugins(&self) -> Result<Vec<PluginInfo>> {
        not_here()
    }

    async fn plugin(&self, _: &str) -> Result<PluginInfo> {
        not_here()
    }

    async fn publish(&self, _: Bytes) -> Result<PluginInfo> {
        not_here()
    }

    async fn submit(&self, _: JobRequest) -> Result<JobId> {
        not_here()
    }

    async fn append(&self, _: JobId, _: Chunk) -> Result<()> {
        not_here()
    }

    async fn seal(&self, _: JobId) -> Result<()> {
        not_here()
    }

    async fn results(&self, _: JobId) -> Result<BoxStream<'static, Result<Vec<ItemResult>>>> {
        not_here()
    }

    async fn stop(&self, _: JobId, _: Stop) -> Result<()> {
        not_here()
    }

    async fn resume(&self, _: JobId) -> Result<ResumePoint> {
        not_here()
    }

    async fn delete(&self, _: JobId) -> Result<()> {
        not_here()
    }

    async fn dead_letter(&self, _: DeadId) -> Result<DeadDetail> {
        not_here()
    }

    async fn retry_dead(&self, _: DeadFilter) -> Result<u64> {
        not_here()
    }

    async fn discard_dead(&self, _: DeadFilter) -> Result<u64> {
        not_here()
    }

    async fn plugin_limits(&self, _: &str) -> Result<PluginLimits> {
        not_here()
    }

    async fn set_plugin_limits(&self, _: &str, _: PluginLimits) -> Result<()> {
        not_here()
    }

    async fn schedules(&self) -> Result<Vec<ScheduleInfo>> {
        not_here()
    }

    async fn add_schedule(&self, _: ScheduleSpec) -> Result<ScheduleInfo> {
        not_here()
    }

    async fn pause_schedule(&self, _: &str, _: bool) -> Result<ScheduleInfo> {
        not_here()
    }

    async fn remove_schedule(&self, _: &str) -> Result<()> {
        not_here()
    }

    async fn agents(&self) -> Result<Vec<AgentStatus>> {
        not_here()
    }

    async fn agent(&self, _: &str) -> Result<AgentDetail> {
        not_here()
    }

    async fn drain_agent(&self, _: &str, _: bool) -> Result<AgentDetail> {
        not_here()
    }

    async fn revoke_agent(&self, _: &str, _: &str) -> Result<AgentDetail> {
        not_here()
    }

    async fn join_tokens(&self) -> Result<Vec<JoinTokenInfo>> {
        not_here()
    }

    async fn revoke_join_token(&self, _: &str) -> Result<()> {
        not_here()
    }

    async fn create_join_token(&self, _: JoinSpec) -> Result<NewJoinToken> {
        not_here()
    }

    async fn tokens(&self) -> Result<Vec<TokenInfo>> {
        not_here()
    }

    async fn create_token(&self, _: TokenSpec) -> Result<NewToken> {
        not_here()
    }

    async fn revoke_token(&self, _: &str) -> Result<()> {
        not_here()
    }

    async fn status(&self) -> Result<HostStatus> {
        not_here()
    }

    async fn stats(&self) -> Result<HostStats> {
        not_here()
    }

    async fn follow_events(&self, _: EventFilter) -> Result<BoxStream<'static, Result<Event>>> {
        not_here()
    }

    async fn backup(&self) -> Result<BoxStream<'static, Result<Bytes>>> {
        not_here()
    }
}
