//! What clients ask, answered in process: the API's trait over the store, the registry and the owner.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use pigeon_api::{
    ApiError, Chunk, ErrorKind, ItemResult, JobEvent, JobFilter, JobRequest, JobState, JobStatus, JobSummary, Pigeon,
    PluginInfo, Result, ResumePoint, Stop, Watch,
};
use pigeon_protocol::id::{JobId, RunIndex};
use pigeon_scheduler as scheduler;
use pigeon_store::{ChunkInfo, Items, JobRecord, NewJob, Store, StoreError};
use tokio::sync::{mpsc, oneshot};

use crate::{
    clock,
    error::store_error,
    fit::Misfit,
    job::{self, Job, Pulse},
    owner::{Admission, Command},
    registry::Registry,
    results, status, watch,
};

/// The trait's implementation in process, for one author.
pub(crate) struct Client {
    core: Arc<Core>,
    /// Who it is that asks; empty where nobody has a name.
    author: Arc<str>,
}

/// What all clients share.
pub(crate) struct Core {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) registry: Arc<Registry>,
    commands: mpsc::Sender<Command>,
    /// Bytes that may be appended and not yet judged.
    backlog: AtomicU64,
    /// Jobs that this process owns.
    jobs: Mutex<HashMap<JobId, Arc<Job>>>,
}

impl Client {
    pub(crate) fn new(core: Arc<Core>, author: &str) -> Self {
        Self { core, author: author.into() }
    }
}

impl Core {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        registry: Arc<Registry>,
        commands: mpsc::Sender<Command>,
        backlog: u64,
    ) -> Self {
        Self { store, registry, commands, backlog: AtomicU64::new(backlog), jobs: Mutex::default() }
    }

    /// Whether the owner of the queue is there.
    pub(crate) fn is_up(&self) -> bool {
        !self.commands.is_closed()
    }

    pub(crate) fn set_backlog(&self, bytes: u64) {
        self.backlog.store(bytes, Relaxed);
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A job that is owned here.
    pub(crate) fn owned(&self, job: JobId) -> Option<Arc<Job>> {
        self.jobs().get(&job).cloned()
    }

    /// Give up every job that is owned here, once nothing works at them any more.
    pub(crate) fn release(&self) {
        self.jobs().clear();
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<JobId, Arc<Job>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn must_own(&self, job: JobId) -> Result<Arc<Job>> {
        self.owned(job).ok_or_else(|| ApiError::new(ErrorKind::Conflict, format!("job {job} was not taken up here")))
    }

    /// Tell the owner something.
    pub(crate) async fn tell(&self, command: Command) -> Result<()> {
        let gone = |_| ApiError::new(ErrorKind::Internal, "the control host is going down");
        self.commands.send(command).await.map_err(gone)
    }

    async fn own(&self, job: Job, admission: Admission) -> Result<()> {
        let job = Arc::new(job);
        self.jobs().insert(job.id, job.clone());
        let (admitted, heard) = oneshot::channel();
        self.tell(Command::Admit(job, admission, admitted)).await?;
        heard.await.map_err(|_| ApiError::new(ErrorKind::Internal, "the control host is going down"))
    }

    /// Items that were appended earlier, fit nowhere, and may have runs left.
    async fn misfits(&self, job: &Job, chunks: &[ChunkInfo], done: &scheduler::RunSet) -> Result<Vec<Misfit>> {
        let mut misfits = Vec::new();
        let runs_per_item = job.shape.runs_per_item();
        for chunk in chunks.iter().filter(|chunk| !job.fit.holds(chunk.bytes)) {
            let first = RunIndex(chunk.first.saturating_mul(runs_per_item));
            if done.first_missing_from(first).0 >= first.0.saturating_add(chunk.count.saturating_mul(runs_per_item)) {
                continue;
            }
            if chunk.count == 1 {
                misfits.push(Misfit { item: chunk.first, size: chunk.bytes });
                continue;
            }
            let sizes = self.store.sizes(job.id, chunk.seq).await;
            let sizes = sizes.map_err(|error| store_error(format!("failed to read items of job {}", job.id), error))?;
            misfits.extend(job.fit.misfits_of(chunk.first, sizes));
        }
        Ok(misfits)
    }

    async fn record(&self, job: JobId) -> Result<JobRecord> {
        self.store.job(job).await.map_err(|error| store_error(format!("failed to look up job {job}"), error))
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
        self.core.registry.publish(component).await
    }

    async fn submit(&self, request: JobRequest) -> Result<JobId> {
        let shape = job::shape(request.work)?;
        let plugin = self.core.registry.pin(request.plugin).await?;
        job::check_options(&plugin, &request.options)?;
        let spec = serde_json::to_vec(&request)
            .map_err(|error| ApiError::new(ErrorKind::Internal, "failed to write down the job").caused_by(error))?;
        let job = NewJob {
            id: JobId::new(),
            spec: spec.into(),
            plugin: plugin.digest,
            shape,
            priority: request.priority,
            created_ms: clock::now_ms(),
            key: None,
            author: String::new(),
        };
        let id = job.id;
        let claim =
            self.core.store.create(job).await.map_err(|error| store_error("failed to accept the job", error))?;
        let record = self.core.record(id).await?;
        self.core.own(Job::new(&record, request, plugin, claim), Admission::default()).await?;
        Ok(id)
    }

    async fn append(&self, id: JobId, chunk: Chunk) -> Result<()> {
        let job = self.core.must_own(id)?;
        if !has_room(&job, self.core.backlog.load(Relaxed)).await? {
            // The job was stopped: nobody will run this.
            return Ok(());
        }
        let items = packed(&chunk)?;
        let appended = self.core.store.append(id, job.epoch(), chunk.seq, items.clone(), chunk.cursor).await;
        let appended = match appended {
            Ok(appended) => appended,
            // It was stopped meanwhile: only we can have ended it.
            Err(StoreError::Finished(_)) => return Ok(()),
            Err(error) => return Err(store_error(format!("failed to append items to job {id}"), error)),
        };
        let items = match appended.new {
            true => items,
            false if job.has_chunk(chunk.seq) => return Ok(()),
            // The call that it repeats was cut off before it told. What counts is what that one brought.
            false => {
                let kept = self.core.store.items(id, chunk.seq).await;
                kept.map_err(|error| store_error(format!("failed to read items of job {id}"), error))?
            }
        };
        let info = ChunkInfo { seq: chunk.seq, first: appended.first, count: appended.count, bytes: items.bytes() };
        let misfits = job.fit.misfits(info.first, &items);
        self.core.tell(Command::Appended(id, info, items, misfits)).await
    }

    async fn seal(&self, id: JobId) -> Result<()> {
        let job = self.core.must_own(id)?;
        if job.pulse().borrow().stopping {
            return Ok(());
        }
        match self.core.store.seal(id, job.epoch(), Bytes::new()).await {
            Ok(()) => self.core.tell(Command::Sealed(id)).await,
            Err(StoreError::Finished(_)) => Ok(()),
            Err(error) => Err(store_error(format!("failed to seal job {id}"), error)),
        }
    }

    async fn watch(&self, id: JobId, watch: Watch) -> Result<BoxStream<'static, Result<JobEvent>>> {
        match self.core.owned(id).filter(|_| !watch.past) {
            Some(job) => Ok(watch::events(self.core.store.clone(), &job, watch)),
            None => {
                let record = self.core.record(id).await?;
                let state = self.core.state(&record);
                Ok(watch::past(self.core.store.clone(), &record, state, watch))
            }
        }
    }

    async fn job(&self, id: JobId) -> Result<JobStatus> {
        // Looked at first: what has ended by now is on disk with all its time.
        let at_work = self.core.owned(id).filter(|job| job.pulse().borrow().ended.is_none());
        let record = self.core.record(id).await?;
        let tally = self.core.store.tally(id).await;
        let tally = tally.map_err(|error| store_error(format!("failed to read the figures of job {id}"), error))?;
        let plugin = self.core.registry.by_digest(record.job.plugin).await?;
        let state = self.core.state(&record);
        let worked_ms = at_work.map_or(record.worked_ms, |job| job.worked_ms());
        status::status(&record, state, plugin, &tally, worked_ms)
    }

    async fn jobs(&self, filter: JobFilter) -> Result<Vec<JobSummary>> {
        let filter = pigeon_store::JobFilter {
            unfinished: filter.unfinished,
            limit: filter.limit.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX)),
            ..pigeon_store::JobFilter::default()
        };
        let records =
            self.core.store.jobs(filter).await.map_err(|error| store_error("failed to list the jobs", error))?;
        let mut summaries = Vec::with_capacity(records.len());
        for record in records {
            let plugin = match self.core.registry.by_digest(record.job.plugin).await {
                Ok(plugin) => format!("{} {}", plugin.metadata.name, plugin.metadata.version),
                Err(_) => record.job.plugin.to_string(),
            };
            let tally = self.core.store.tally(record.job.id).await;
            let tally = tally.map_err(|error| store_error("failed to list the jobs", error))?;
            let total = tally.total();
            summaries.push(JobSummary {
                id: record.job.id,
                plugin,
                state: self.core.state(&record),
                accepted_ms: i64::try_from(record.job.created_ms).unwrap_or(i64::MAX),
                planned_runs: record.planned_runs(),
                total_runs: total.runs(),
                valid: total.valid,
                invalid: total.invalid,
                failures: total.failures,
                priority: record.job.priority,
                author: String::new(),
            });
        }
        Ok(summaries)
    }

    async fn job_ids(&self) -> Result<Vec<JobId>> {
        let records = self.core.store.jobs(pigeon_store::JobFilter::default()).await;
        let records = records.map_err(|error| store_error("failed to list the jobs", error))?;
        Ok(records.into_iter().map(|record| record.job.id).collect())
    }

    async fn results(&self, id: JobId) -> Result<BoxStream<'static, Result<Vec<ItemResult>>>> {
        let record = self.core.record(id).await?;
        let vote = self.core.registry.by_digest(record.job.plugin).await?.metadata.vote;
        Ok(results::items(self.core.store.clone(), id, record.job.shape, vote))
    }

    async fn stop(&self, id: JobId, stop: Stop) -> Result<()> {
        let why = match stop {
            Stop::Pause => scheduler::Why::Interrupt,
            Stop::Cancel => scheduler::Why::Cancel,
        };
        self.core.must_own(id)?;
        self.core.tell(Command::Stop(id, why)).await
    }

    async fn resume(&self, id: JobId) -> Result<ResumePoint> {
        let record = self.core.record(id).await?;
        let request = status::request(&record)?;
        let point = |record: &JobRecord, state| ResumePoint {
            request: request.clone(),
            state,
            sealed: record.sealed.is_some(),
            next_seq: record.chunks,
            next_item: record.items,
            cursor: record.cursor.clone(),
        };
        if record.state.is_finished() {
            return Ok(point(&record, self.core.state(&record)));
        }
        let attempted = || format!("failed to take up job {id}");
        let claim = self.core.store.claim(id).await.map_err(|error| store_error(attempted(), error))?;
        // From here on nobody else writes: what is read now stays true.
        let record = self.core.record(id).await?;
        if record.state.is_finished() {
            return Ok(point(&record, self.core.state(&record)));
        }
        let plugin = self.core.registry.pin(record.job.plugin).await?;
        let progress = self.core.store.progress(id).await.map_err(|error| store_error(attempted(), error))?;
        let tally = self.core.store.tally(id).await.map_err(|error| store_error(attempted(), error))?;
        let chunks = self.core.store.chunks(id).await.map_err(|error| store_error(attempted(), error))?;
        let job = Job::new(&record, request.clone(), plugin, claim);
        let total = tally.total();
        job.recorded([total.valid, total.invalid, total.failures], 0);
        let progress = scheduled(progress);
        let misfits = self.core.misfits(&job, &chunks, &progress.done).await?;
        self.core.own(job, Admission { progress, chunks, misfits, bad: total.invalid + total.failures > 0 }).await?;
        Ok(point(&record, JobState::Interrupted))
    }
}

impl Core {
    fn state(&self, record: &JobRecord) -> JobState {
        match record.state {
            pigeon_store::JobState::Completed => JobState::Finished,
            pigeon_store::JobState::FailedFast => JobState::Stopped,
            pigeon_store::JobState::Cancelled => JobState::Cancelled,
            pigeon_store::JobState::Active => match self.owned(record.job.id) {
                Some(job) if job.pulse().borrow().ended.is_some() => JobState::Interrupted,
                Some(_) if record.sealed.is_some() => JobState::Sealed,
                Some(_) => JobState::Open,
                None => JobState::Interrupted,
            },
        }
    }
}

/// Wait until more may be appended; false if nothing more will be run.
async fn has_room(job: &Job, backlog: u64) -> Result<bool> {
    let mut pulse = job.pulse();
    let ready = |pulse: &Pulse| pulse.stopping || pulse.ended.is_some() || pulse.backlog <= backlog;
    match pulse.wait_for(ready).await {
        Ok(pulse) => match &pulse.broken {
            Some(error) => Err(watch::again(error)),
            None => Ok(!pulse.stopping && pulse.ended.is_none()),
        },
        Err(_) => Ok(false),
    }
}

/// A client's chunk as the store keeps it.
fn packed(chunk: &Chunk) -> Result<Items> {
    let broken = || ApiError::new(ErrorKind::BadRequest, format!("chunk {} does not add up", chunk.seq));
    let ids = std::str::from_utf8(&chunk.ids).map_err(|error| broken().caused_by(error))?;
    Items::from_packed(ids, &chunk.id_ends, &chunk.lines, chunk.bodies.clone(), &chunk.body_ends).ok_or_else(broken)
}

fn scheduled(progress: pigeon_store::Progress) -> scheduler::Progress {
    let mut done = scheduler::RunSet::new();
    for range in progress.done {
        done.insert_range(range);
    }
    let attempts = progress
        .attempts
        .into_iter()
        .map(|(run, attempts)| (run, scheduler::Attempts { failures: attempts.failed, deaths: attempts.deaths }));
    scheduler::Progress { done, attempts: attempts.collect() }
}
