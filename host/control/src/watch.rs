//! What a watcher of a job hears.
//!
//! Runs are read back from the store in the order in which they were committed: so a watcher hears every one of them
//! once, however slow it is, and costs no memory while it is. Progress and notes are told as they are.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use pigeon_api::{ApiError, JobEvent, JobState, Landed, Progress, Result, Watch};
use pigeon_protocol::id::{JobId, Shape};
use pigeon_store::{JobRecord, Store};
use tokio::{
    sync::{broadcast, watch},
    time::Instant,
};

use crate::{
    convert,
    error::store_error,
    job::{Job, Pulse},
    record,
    results::Names,
};

/// Progress is told this often at most.
const PACE: Duration = Duration::from_millis(100);

/// Batches of outcomes read at a time.
const BATCHES: usize = 64;

/// The events of a job.
pub(crate) fn events(store: Arc<dyn Store>, job: &Job, watch: Watch) -> BoxStream<'static, Result<JobEvent>> {
    let mut pulse = job.pulse();
    // Whoever comes late is told how far it is, even if nothing happens any more.
    pulse.mark_changed();
    let watcher = Watcher {
        landings: watch.runs.then(|| Landings::new(store, job.id, job.shape, watch)),
        pulse,
        notes: job.notes(),
        told: Instant::now(),
        ready: VecDeque::new(),
        over: false,
    };
    stream::unfold(watcher, |mut watcher| async move {
        let event = watcher.next().await.transpose()?;
        watcher.over |= event.is_err();
        Some((event, watcher))
    })
    .boxed()
}

/// The events of a job that nobody works at here: its runs, if they are to be told, and where it stands.
pub(crate) fn past(
    store: Arc<dyn Store>,
    record: &JobRecord,
    state: JobState,
    watch: Watch,
) -> BoxStream<'static, Result<JobEvent>> {
    let landings = watch.runs.then(|| Landings::new(store, record.job.id, record.job.shape, watch));
    let runs = stream::try_unfold(landings, |landings| async move {
        let Some(mut landings) = landings else { return Ok::<_, ApiError>(None) };
        let read = landings.read().await?;
        Ok((!read.is_empty()).then(|| (stream::iter(read.into_iter().map(Ok)), Some(landings))))
    });
    runs.try_flatten().chain(stream::once(async move { Ok(JobEvent::Finished(state)) })).boxed()
}

/// The same error once more: it is told to everyone who waits.
pub(crate) fn again(error: &ApiError) -> ApiError {
    let mut chain = String::new();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        chain.push_str(if chain.is_empty() { "" } else { ": " });
        chain.push_str(&cause.to_string());
        source = cause.source();
    }
    let mut told = ApiError::new(error.kind, error.message.clone());
    told.hint.clone_from(&error.hint);
    if chain.is_empty() { told } else { told.caused_by(chain) }
}

/// Runs in the order in which they landed, read from the store.
struct Landings {
    store: Arc<dyn Store>,
    job: JobId,
    shape: Shape,
    names: Names,
    /// The last batch of outcomes that was told.
    after: u64,
    /// Whether the guests' logs are told.
    logs: bool,
}

impl Landings {
    fn new(store: Arc<dyn Store>, job: JobId, shape: Shape, watch: Watch) -> Self {
        Self { names: Names::new(store.clone(), job), store, job, shape, after: watch.after, logs: watch.logs }
    }

    /// What has landed since the last time; nothing if that is all by now.
    async fn read(&mut self) -> Result<Vec<JobEvent>> {
        let attempted = || format!("failed to read what landed of job {}", self.job);
        let batches = self.store.landed_after(self.job, self.after, BATCHES).await;
        let batches = batches.map_err(|error| store_error(attempted(), error))?;
        let mut events = Vec::with_capacity(batches.len());
        for batch in batches {
            let mut results = Vec::with_capacity(batch.outcomes.len());
            for row in &batch.outcomes {
                let name = self.names.of(self.shape.key(row.run).item).await?;
                let mut result = convert::run_result(self.shape, &name.id, &batch.worker, record::outcome(row));
                if !self.logs {
                    result.log = String::new();
                }
                results.push(result);
            }
            self.after = batch.number;
            events.push(JobEvent::Landed(Landed { batch: batch.number, runs: results }));
        }
        Ok(events)
    }
}

struct Watcher {
    /// The runs, if they are to be told.
    landings: Option<Landings>,
    pulse: watch::Receiver<Pulse>,
    notes: broadcast::Receiver<String>,
    /// When a change was last told.
    told: Instant,
    ready: VecDeque<JobEvent>,
    over: bool,
}

impl Watcher {
    async fn next(&mut self) -> Result<Option<JobEvent>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.over |= matches!(event, JobEvent::Finished(_));
                return Ok(Some(event));
            }
            if self.over {
                return Ok(None);
            }
            self.look().await?;
            if self.ready.is_empty() {
                self.wait().await;
            }
        }
    }

    /// See what there is to tell now.
    async fn look(&mut self) -> Result<()> {
        loop {
            match self.notes.try_recv() {
                Ok(note) => self.ready.push_back(JobEvent::Note(note)),
                Err(broadcast::error::TryRecvError::Lagged(missed)) => {
                    self.ready.push_back(JobEvent::Note(format!("{missed} notes were missed")));
                }
                Err(_) => break,
            }
        }
        // Taken before the store is read: what lands meanwhile shows at the next look.
        let changed = self.pulse.has_changed().unwrap_or(true);
        let pulse = self.pulse.borrow_and_update().clone();
        let landed = match &mut self.landings {
            Some(landings) => landings.read().await?,
            None => Vec::new(),
        };
        let caught_up = landed.is_empty();
        self.ready.extend(landed);
        if changed {
            self.ready.push_back(JobEvent::Progress(pulse.progress));
        }
        if caught_up && let Some(error) = &pulse.broken {
            return Err(again(error));
        }
        if caught_up && let Some(state) = pulse.ended {
            self.ready.push_back(JobEvent::Finished(state));
        }
        Ok(())
    }

    /// Until there is something to tell.
    async fn wait(&mut self) {
        tokio::select! {
            // The job has changed. What follows soon is told together, but the end of the job or of all that was
            // appended at once.
            changed = self.pulse.changed() => {
                if changed.is_ok() {
                    let caught_up = |progress: &Progress| progress.done == progress.planned;
                    let over = |pulse: &Pulse| {
                        pulse.ended.is_some() || pulse.broken.is_some() || caught_up(&pulse.progress)
                    };
                    // Whether it ended or the time ran out, the next look sees how it is.
                    let _ = tokio::time::timeout_at(self.told + PACE, self.pulse.wait_for(over)).await;
                    self.pulse.mark_changed();
                    self.told = Instant::now();
                } else {
                    self.over = true;
                }
            }
            // There is a note: put it into the queue that `look` leaves alone.
            note = self.notes.recv() => {
                if let Ok(note) = note {
                    self.ready.push_back(JobEvent::Note(note));
                }
            }
        }
    }
}
