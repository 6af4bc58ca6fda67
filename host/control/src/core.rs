//! What all clients of this control host share, and how its jobs are taken up.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use pigeon_api::{ApiError, ErrorKind, EventKind, JobRequest, JobState, PluginLimits, Result};
use pigeon_hub::JoinTokens;
use pigeon_protocol::id::{AgentId, Digest, JobId, RunIndex};
use pigeon_scheduler as scheduler;
use pigeon_store::{ChunkInfo, JobRecord, NewEvent, Store};
use tokio::sync::{mpsc, oneshot};

use crate::{
    access::Tokens,
    error::store_error,
    figures::Figures,
    fit::Misfit,
    job::Job,
    jobs::Jobs,
    journal::{About, HOST, Journal, entry},
    owner::{Admission, Beaten, Command},
    registry::Registry,
    room::Room,
    schedules::Schedules,
    stats::Kept,
    status, watch,
};

/// Jobs that are taken up at once at the start.
const TAKEN_UP_AT_ONCE: usize = 32;

/// What all clients share.
pub(crate) struct Core {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) figures: Arc<Figures>,
    pub(crate) kept: Kept,
    /// For agents of this process.
    pub(crate) join_tokens: JoinTokens,
    /// Where agents are told to connect.
    pub(crate) hub: RwLock<String>,
    /// There where it serves many.
    pub(crate) serving: Option<Serving>,
    /// There where it serves many, until it goes down.
    pub(crate) schedules: Mutex<Option<Arc<Schedules>>>,
    pub(crate) started_ms: u64,
    pub(crate) room: Room,
    /// Bytes of a job that may be appended and not yet judged.
    pub(crate) backlog: AtomicU64,
    /// Jobs that may be unfinished at once.
    pub(crate) max_jobs: AtomicUsize,
    /// Jobs that could not be taken up at the start, with the reason: nobody owns them.
    pub(crate) left: Mutex<BTreeMap<JobId, Arc<ApiError>>>,
    /// Nothing new is taken any more.
    pub(crate) closing: AtomicBool,
    pub(crate) commands: mpsc::Sender<Command>,
    /// Signs of life of agents, which do not wait behind the commands.
    pub(crate) beats: mpsc::Sender<Beaten>,
}

/// What only a control host that serves many has.
pub(crate) struct Serving {
    pub(crate) tokens: Tokens,
    /// Agents that may not come in.
    pub(crate) revoked: RwLock<HashSet<AgentId>>,
}

impl Core {
    /// The schedules.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where there are none.
    pub(crate) fn schedules(&self) -> Result<Arc<Schedules>> {
        let schedules = self.schedules.lock().unwrap_or_else(PoisonError::into_inner).clone();
        schedules.ok_or_else(|| match &self.serving {
            Some(_) => going_down(),
            None => {
                ApiError::new(ErrorKind::Unsupported, "an embedded control host keeps no schedules: it does not last")
                    .hint("pigeon serve or pigeon up start one that does")
            }
        })
    }

    /// From now on these are the schedules; gives those that were.
    pub(crate) fn set_schedules(&self, schedules: Option<Arc<Schedules>>) -> Option<Arc<Schedules>> {
        std::mem::replace(&mut *self.schedules.lock().unwrap_or_else(PoisonError::into_inner), schedules)
    }

    /// A job that is owned here.
    pub(crate) fn owned(&self, job: JobId) -> Option<Arc<Job>> {
        self.jobs.get(job)
    }

    /// Whether an agent may not come in.
    pub(crate) fn is_revoked(&self, agent: AgentId) -> bool {
        let Some(Serving { revoked, .. }) = &self.serving else { return false };
        revoked.read().unwrap_or_else(PoisonError::into_inner).contains(&agent)
    }

    /// Whether the owner of the queue is there.
    pub(crate) fn is_up(&self) -> bool {
        !self.commands.is_closed()
    }

    /// Commands that wait for the owner.
    pub(crate) fn commands_waiting(&self) -> usize {
        self.commands.max_capacity() - self.commands.capacity()
    }

    /// Tell the owner something.
    pub(crate) async fn tell(&self, command: Command) -> Result<()> {
        self.commands.send(command).await.map_err(|_| going_down())
    }

    /// Ask the owner something.
    pub(crate) async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        self.tell(command(answer)).await?;
        answered.await.map_err(|_| going_down())
    }

    /// Refuse what is new while this process goes down.
    pub(crate) fn must_be_open(&self) -> Result<()> {
        if self.closing.load(Relaxed) { Err(going_down()) } else { Ok(()) }
    }

    /// Refuse another job where as many are unfinished as may be.
    ///
    /// # Errors
    /// [`ErrorKind::Overloaded`].
    pub(crate) fn must_have_place(&self, key: Option<&str>) -> Result<()> {
        let (jobs, most) = (self.jobs.len(), self.max_jobs.load(Relaxed));
        // Who repeats a submission finds the job that it made; whether it is of the same author, the store looks.
        if jobs < most || key.is_some_and(|key| self.jobs.any(|job| job.request.key.as_deref() == Some(key))) {
            return Ok(());
        }
        let message = format!("{jobs} jobs are not finished, and {most} are the most");
        Err(ApiError::new(ErrorKind::Overloaded, message).hint("try again once some have ended"))
    }

    /// What is kept of a job.
    pub(crate) async fn record(&self, job: JobId) -> Result<JobRecord> {
        self.store.job(job).await.map_err(|error| store_error(format!("failed to look up job {job}"), error))
    }

    /// Where a job stands.
    pub(crate) fn state(&self, record: &JobRecord) -> JobState {
        match record.state {
            pigeon_store::JobState::Completed => JobState::Finished,
            pigeon_store::JobState::FailedFast => JobState::Stopped,
            pigeon_store::JobState::Cancelled => JobState::Cancelled,
            pigeon_store::JobState::Active if record.paused => JobState::Paused,
            pigeon_store::JobState::Active => match self.owned(record.job.id) {
                Some(job) if job.is_at_work() && record.sealed.is_some() => JobState::Sealed,
                Some(job) if job.is_at_work() => JobState::Open,
                _ => JobState::Interrupted,
            },
        }
    }

    /// Own a job of which nobody works at anything: the one that is owned here already, at rest, or one that nobody owns.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] if another process has it.
    pub(crate) async fn hold(&self, record: &JobRecord) -> Result<Arc<Job>> {
        let id = record.job.id;
        if let Some(job) = self.owned(id) {
            return Ok(job);
        }
        let claim = match self.store.claim(id).await {
            Ok(claim) => claim,
            Err(error) => match self.owned(id) {
                // Somebody else here was quicker.
                Some(job) => return Ok(job),
                None => return Err(store_error(format!("failed to take up job {id}"), error)),
            },
        };
        let plugin = self.registry.pin(record.job.plugin).await?;
        let job = Arc::new(Job::new(&record.job, record.worked_ms, status::request(record)?, plugin, claim));
        self.jobs.insert(job.clone());
        self.left().remove(&id);
        Ok(job)
    }

    /// Have a job worked at that is owned and at rest, and tell of it, if there is something to tell. Who calls holds its gate
    /// alone. If that fails it stays at rest, and knows why.
    pub(crate) async fn take_up(&self, job: &Arc<Job>, told: Option<NewEvent>) -> Result<()> {
        let taken_up = self.begin_again(job, told).await;
        if let Err(error) = &taken_up {
            job.broke(watch::again(error));
            job.end(JobState::Interrupted);
        }
        taken_up
    }

    async fn begin_again(&self, job: &Arc<Job>, told: Option<NewEvent>) -> Result<()> {
        let id = job.id;
        let failed = |error| store_error(format!("failed to take up job {id}"), error);
        let record = self.record(id).await?;
        let progress = self.store.progress(id).await.map_err(failed)?;
        let tally = self.store.tally(id).await.map_err(failed)?;
        let chunks = self.store.chunks(id).await.map_err(failed)?;
        let total = tally.total();
        let progress = scheduled(progress);
        let runs_per_item = job.shape.runs_per_item();
        let is_left = |chunk: &&ChunkInfo| {
            let first = chunk.first.saturating_mul(runs_per_item);
            let end = first.saturating_add(chunk.count.saturating_mul(runs_per_item));
            progress.done.first_missing_from(RunIndex(first)).0 < end
        };
        let misfits = self.misfits(job, chunks.iter().filter(is_left)).await?;
        // What comes of it is told behind what was told of it.
        match told {
            Some(told) => self.journal.tell(told).await,
            None => self.journal.written().await,
        }
        .map_err(failed)?;
        job.begin([total.valid, total.invalid, total.failures], record.sealed.is_some());
        let bad = total.invalid + total.failures > 0;
        let chunks = chunks.into_iter().map(|chunk| (chunk, None)).collect();
        self.admit(job.clone(), Admission { progress, chunks, misfits, bad }).await
    }

    /// Wait until nothing of a job is under way any more.
    ///
    /// # Errors
    /// If this control host goes down meanwhile.
    pub(crate) async fn rested(&self, job: &Job) -> Result<()> {
        let mut pulse = job.pulse();
        tokio::select! {
            biased;
            // Fails only if it was given up.
            _ = pulse.wait_for(|pulse| pulse.ended.is_some()) => Ok(()),
            // Nobody will bring it to its end.
            () = self.commands.closed() => Err(going_down()),
        }
    }

    /// Tell the owner of chunks that are on disk and that it was not told of: whoever appended them was cut off. Who
    /// calls holds the job's gate alone.
    pub(crate) async fn tell_of_chunks(&self, job: &Job) -> Result<()> {
        let failed = |error| store_error(format!("failed to read items of job {}", job.id), error);
        for chunk in self.store.chunks(job.id).await.map_err(failed)? {
            if !job.has_chunk(chunk.seq) {
                let items = self.store.items(job.id, chunk.seq).await.map_err(failed)?;
                let misfits = job.fit.misfits(chunk.first, &items);
                self.tell(Command::Appended(job.id, chunk, items, misfits)).await?;
            }
        }
        Ok(())
    }

    /// Hand a job to the owner of the queue.
    pub(crate) async fn admit(&self, job: Arc<Job>, admission: Admission) -> Result<()> {
        self.ask(|admitted| Command::Admit(job, admission, admitted)).await
    }

    /// Items of chunks that were appended earlier, and fit nowhere.
    pub(crate) async fn misfits(&self, job: &Job, chunks: impl IntoIterator<Item = &ChunkInfo>) -> Result<Vec<Misfit>> {
        let mut misfits = Vec::new();
        for chunk in chunks.into_iter().filter(|chunk| !job.fit.holds(chunk.bytes)) {
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

    /// Take up every job that is not finished; those that are paused are owned, and stay so. Gives how many there are of
    /// either. A job that cannot be taken up stays as it is, and is told of: it must not keep the others from their work.
    pub(crate) async fn take_up_all(&self) -> Result<(usize, usize)> {
        use futures::{StreamExt as _, stream};
        let filter = pigeon_store::JobFilter { unfinished: true, ..Default::default() };
        let mut records = self.store.jobs(filter).await;
        if let Ok(records) = &mut records {
            // They come with the newest first; the oldest is to be served first.
            records.reverse();
        }
        let records = records.map_err(|error| store_error("failed to list the jobs", error))?;
        let paused = records.iter().filter(|record| record.paused).count();
        let count = records.len();
        stream::iter(records)
            .for_each_concurrent(TAKEN_UP_AT_ONCE, |record| async move {
                if let Err(error) = self.take_up_again(&record, None).await {
                    self.note_broken(record.job.id, &error);
                    self.leave(record.job.id, error);
                }
            })
            .await;
        Ok((count - paused, paused))
    }

    /// A job was not taken up. One that is owned all the same knows why itself.
    pub(crate) fn leave(&self, job: JobId, error: ApiError) {
        if self.owned(job).is_none() {
            self.left().insert(job, Arc::new(error));
        }
    }

    fn left(&self) -> MutexGuard<'_, BTreeMap<JobId, Arc<ApiError>>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why nobody works at an interrupted job, if that is because the machinery failed for it.
    pub(crate) fn broken(&self, job: JobId) -> Option<Arc<ApiError>> {
        match self.owned(job) {
            Some(job) => job.now().broken.clone(),
            None => self.left().get(&job).cloned(),
        }
    }

    /// Take up the jobs that could not be at the start because the disk was full, as far as that goes now.
    async fn take_up_left(&self) {
        let full = |error: &ApiError| error.kind == ErrorKind::Exhausted;
        let left: Vec<JobId> = self.left().iter().filter(|(_, error)| full(error)).map(|(job, _)| *job).collect();
        for id in left {
            let taken_up = async {
                match self.record(id).await? {
                    record if record.state.is_finished() => Ok(()),
                    record => self.take_up_again(&record, Some(resumed(id, "was taken up after all"))).await,
                }
            };
            match taken_up.await {
                Ok(()) => _ = self.left().remove(&id),
                Err(error) if error.kind == ErrorKind::NotFound => _ = self.left().remove(&id),
                Err(error) => {
                    tracing::debug!(job = %id, error = &error as &dyn std::error::Error, "a job cannot go on yet");
                }
            }
        }
    }

    async fn take_up_again(&self, record: &JobRecord, told: Option<NewEvent>) -> Result<()> {
        let job = self.hold(record).await?;
        let _alone = job.gate().write().await;
        if job.is_at_work() {
            // Somebody was quicker.
            return Ok(());
        }
        let record = &self.record(job.id).await?;
        if record.state.is_finished() {
            self.jobs.remove(job.id);
            return Ok(());
        }
        if record.paused {
            let tally = self.store.tally(job.id).await;
            let total = tally.map_err(|error| store_error(format!("failed to take up job {}", job.id), error))?.total();
            job.begin([total.valid, total.invalid, total.failures], record.sealed.is_some());
            job.change(|pulse| pulse.progress.planned = record.planned_runs());
            job.end(JobState::Paused);
            return Ok(());
        }
        self.take_up(&job, told).await
    }

    /// Jobs that the machinery failed for because the disk was full go on, if there is room again. Where it failed for
    /// another reason, somebody has to look at it, and to say that it shall go on.
    pub(crate) async fn mend(&self) {
        self.room.reserve();
        if self.room.too_little().is_some() {
            // They would take what is free and stop again, and nothing would be left to cancel them with.
            return;
        }
        self.take_up_left().await;
        for job in self.jobs.all() {
            let broken = job.now().broken.clone();
            let full = |error: &Arc<ApiError>| error.kind == ErrorKind::Exhausted && job.is_at_rest();
            let Some(broken) = broken.filter(full) else { continue };
            let _alone = job.gate().write().await;
            if job.is_at_work() || job.now().broken.is_none() {
                continue;
            }
            // Somebody may have it wait.
            if !self.record(job.id).await.is_ok_and(|record| !record.state.is_finished() && !record.paused) {
                continue;
            }
            let told = resumed(job.id, format!("goes on, after {}", broken.message));
            if let Err(error) = self.take_up(&job, Some(told)).await {
                tracing::debug!(job = %job.id, error = &error as &dyn std::error::Error, "a job cannot go on yet");
            }
        }
    }

    fn note_broken(&self, job: JobId, error: &ApiError) {
        tracing::error!(%job, error = error as &dyn std::error::Error, "a job cannot be taken up");
        let why = std::error::Error::source(error).map_or_else(String::new, |cause| format!(": {cause}"));
        self.journal.note(HOST, EventKind::JobBroken, About::job(job), format!("{error}{why}"));
    }

    /// Tell the owner of the limits of all plugins that have some.
    pub(crate) async fn limit_all(&self) -> Result<()> {
        let all = self.store.plugin_limits().await;
        for (name, limits) in all.map_err(|error| store_error("failed to read the limits of the plugins", error))? {
            match serde_json::from_slice::<PluginLimits>(&limits) {
                Ok(limits) => self.tell(Command::Group(group(&name), grouped(limits))).await?,
                Err(error) => tracing::error!(plugin = name, %error, "the limits of a plugin cannot be read"),
            }
        }
        Ok(())
    }

    /// What was asked for when a job was submitted.
    pub(crate) fn request(&self, record: &JobRecord) -> Result<JobRequest> {
        match self.owned(record.job.id) {
            Some(job) => Ok(job.request.clone()),
            None => status::request(record),
        }
    }
}

/// What the log says when this control host has a job go on by itself.
fn resumed(job: JobId, message: impl Into<String>) -> NewEvent {
    entry(HOST, EventKind::JobResumed, About::job(job), message)
}

/// What is said to those who come too late.
pub(crate) fn going_down() -> ApiError {
    ApiError::new(ErrorKind::Unreachable, "the control host is going down")
}

/// The group of jobs that share the limits of a plugin's name.
pub(crate) fn group(name: &str) -> u64 {
    let digest = Digest::of(name.as_bytes());
    digest.as_bytes()[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Limits in the scheduler's words.
pub(crate) fn grouped(limits: PluginLimits) -> scheduler::GroupLimits {
    scheduler::GroupLimits {
        max_leases: limits.max_parallel,
        rate: limits.rate.map(|rate| (rate.runs, std::time::Duration::from_millis(rate.per_ms))),
    }
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
