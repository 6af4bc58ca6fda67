//! Jobs and items coming in.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use pigeon_api::{ApiError, Chunk, ErrorKind, EventKind, JobRequest, PluginInfo, Result, Submission};
use pigeon_protocol::{
    id::JobId,
    limits::{MAX_FRAME, MAX_ITEM, MAX_LEASE_ITEMS},
};
use pigeon_store::{ChunkInfo, Items, JobRecord, NewEvent, NewJob, StoreError};

use super::Client;
use crate::{
    clock,
    core::Core,
    error::store_error,
    job::{self, Job, Pulse},
    journal::{About, entry},
    owner::{Admission, Command},
    watch,
};

/// Longest id of an item, in bytes: a quarter of what a message to an agent may be.
const LONGEST_ID: u32 = (MAX_FRAME / 4) as u32;

/// How long a repeated submission waits for the one that it repeats.
const ADMITTED: Duration = Duration::from_secs(5);

impl Client {
    /// Accept a job; with all its items, if they are there: then it is sealed as well.
    pub(super) async fn submit_job(&self, request: JobRequest, items: Option<Chunk>) -> Result<JobId> {
        self.core.must_be_open()?;
        self.core.room.must_be()?;
        self.core.must_have_place(request.key.as_deref())?;
        let items = items.as_ref().map(packed).transpose()?;
        let shape = job::shape(request.work, request.max_parallel)?;
        job::check_labels(&request.require, &request.prefer)?;
        self.check_key(request.key.as_deref())?;
        let plugin = self.core.registry.pin(request.plugin).await?;
        job::check_grants(&plugin, &request.grants)?;
        job::check_options(&plugin, &request.options)?;
        let spec = serde_json::to_vec(&request)
            .map_err(|error| ApiError::new(ErrorKind::Internal, "failed to write down the job").caused_by(error))?;
        let new = NewJob {
            id: JobId::new(),
            spec: spec.into(),
            plugin: plugin.digest,
            shape,
            priority: request.priority,
            created_ms: clock::now_ms(),
            key: request.key.clone(),
            author: self.author.to_string(),
        };
        let about = format!("{} {}", plugin.metadata.name, plugin.metadata.version);
        let submitted = About::job(new.id).and(&about);
        let submitted = entry(&self.author, EventKind::JobSubmitted, submitted, "was submitted");
        let created = match &items {
            None => self.core.journal.telling([submitted]).create(new.clone()).await,
            Some(items) => {
                let store = self.core.journal.telling([submitted, self.sealed(new.id)]);
                store.create_with(new.clone(), items.clone(), Bytes::new()).await
            }
        };
        let claim = match created {
            Ok(claim) => claim,
            Err(StoreError::KeyTaken(kept)) => return self.repeated(kept, &request).await,
            Err(error) => return Err(store_error("failed to accept the job", error)),
        };
        let job = Arc::new(Job::new(&new, 0, request, plugin, claim));
        let sealed = items.is_some();
        job.begin([0; 3], sealed);
        self.core.jobs.insert(job.clone());
        let admission = items.map_or_else(Admission::default, |items| self.first_chunk(&job, items));
        match self.core.admit(job, admission).await {
            // It is on disk with all its items: whoever serves next takes it up.
            Err(error) if sealed && self.core.serving.is_some() && error.kind == ErrorKind::Unreachable => {}
            admitted => admitted?,
        }
        self.core.figures.submitted.fetch_add(1, Relaxed);
        Ok(new.id)
    }

    /// What the log says of a job that has all its items.
    fn sealed(&self, job: JobId) -> NewEvent {
        entry(&self.author, EventKind::JobSealed, About::job(job), "has all its items")
    }

    /// What the owner is told of the items that a job was accepted with.
    fn first_chunk(&self, job: &Job, items: Items) -> Admission {
        self.core.figures.items.fetch_add(items.len() as u64, Relaxed);
        self.core.figures.item_bytes.fetch_add(items.bytes(), Relaxed);
        let info = ChunkInfo { seq: 0, first: 0, count: items.len() as u64, bytes: items.bytes() };
        let misfits = job.fit.misfits(0, &items);
        Admission { chunks: vec![(info, Some(items))], misfits, ..Admission::default() }
    }

    /// Keys that begin with `schedule:` are those of the schedules, each of its own name.
    fn check_key(&self, key: Option<&str>) -> Result<()> {
        const SCHEDULED: &str = "schedule:";
        let Some(key) = key else { return Ok(()) };
        if key.is_empty() || key.len() > Submission::LONGEST_KEY {
            return Err(ApiError::new(
                ErrorKind::BadRequest,
                format!("a key has 1 to {} bytes", Submission::LONGEST_KEY),
            ));
        }
        let ours = |name| key[SCHEDULED.len()..].strip_prefix(name).is_some_and(|time| time.starts_with(':'));
        if key.starts_with(SCHEDULED) && !self.author.strip_prefix("schedule ").is_some_and(ours) {
            let message = "keys that begin with \"schedule:\" are those of the schedules";
            return Err(ApiError::new(ErrorKind::BadRequest, message).hint("take another key"));
        }
        Ok(())
    }

    /// A submission whose key a job has that is kept.
    async fn repeated(&self, kept: JobId, request: &JobRequest) -> Result<JobId> {
        let record = self.core.record(kept).await?;
        let same = record.job.author == *self.author && self.core.request(&record)? == *request;
        if !same {
            let key = request.key.as_deref().unwrap_or_default();
            return Err(ApiError::new(ErrorKind::Conflict, format!("the key {key:?} is that of another request"))
                .hint("a key stands for one request, as long as its job is kept: take another key"));
        }
        if self.core.serving.is_some() && !record.state.is_finished() {
            // The call that it repeats may not be done yet.
            let admitted = async {
                while self.core.owned(kept).is_none() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            // If that takes longer, whoever appends is told.
            let _ = tokio::time::timeout(ADMITTED, admitted).await;
        }
        Ok(kept)
    }

    pub(super) async fn append_chunk(&self, id: JobId, chunk: Chunk) -> Result<()> {
        self.core.must_be_open()?;
        self.core.room.must_be()?;
        let items = packed(&chunk)?;
        loop {
            let Some(job) = self.core.owned(id) else {
                return dropped(&self.core.record(id).await?, chunk.seq);
            };
            if !self.core.has_room(&job).await? {
                // The job was stopped for good: nobody will run this.
                return Ok(());
            }
            let (seq, cursor, items) = (chunk.seq, chunk.cursor.clone(), items.clone());
            // Only the wait for room may be cut off: what is on disk has to be told, or a job would end without it.
            let appended = self.whole(move |client| async move {
                let _open = job.gate().read().await;
                // It may have ended while this waited, and somebody else may own it by now.
                if !client.core.owned(id).is_some_and(|owned| Arc::ptr_eq(&owned, &job)) {
                    return Ok(false);
                }
                client.append_to(&job, seq, cursor, items).await.map(|()| true)
            });
            if appended.await? {
                return Ok(());
            }
        }
    }

    /// Put a chunk on disk, and tell. The job's gate is held.
    async fn append_to(&self, job: &Job, seq: u64, cursor: Bytes, items: Items) -> Result<()> {
        let (id, store) = (job.id, &self.core.store);
        let appended = match store.append(id, job.epoch(), seq, items.clone(), cursor).await {
            Ok(appended) => appended,
            // It was stopped meanwhile: only we can have ended it.
            Err(StoreError::Finished(_)) => return Ok(()),
            Err(error) => return Err(store_error(format!("failed to append items to job {id}"), error)),
        };
        if appended.new {
            self.core.figures.items.fetch_add(appended.count, Relaxed);
            self.core.figures.item_bytes.fetch_add(items.bytes(), Relaxed);
        }
        if !job.is_at_work() {
            // Who takes it up reads what is on disk.
            return Ok(());
        }
        let items = match appended.new {
            true => items,
            false if job.has_chunk(seq) => return Ok(()),
            // The call that it repeats was cut off before it told. What counts is what that one brought.
            false => {
                let kept = store.items(id, seq).await;
                kept.map_err(|error| store_error(format!("failed to read items of job {id}"), error))?
            }
        };
        let info = ChunkInfo { seq, first: appended.first, count: appended.count, bytes: items.bytes() };
        let misfits = job.fit.misfits(info.first, &items);
        self.core.tell(Command::Appended(id, info, items, misfits)).await
    }

    pub(super) async fn seal_job(&self, id: JobId) -> Result<()> {
        self.core.must_be_open()?;
        let Some(job) = self.core.owned(id) else {
            let record = self.core.record(id).await?;
            return match record.sealed.is_some() || record.state.is_finished() {
                true => Ok(()),
                false => Err(not_taken_up(id)),
            };
        };
        let _open = job.gate().read().await;
        if self.core.serving.is_none() && job.now().stopping {
            return Ok(());
        }
        let sealed = job.now().progress.sealed;
        match self.core.journal.telling([self.sealed(id)]).seal(id, job.epoch(), Bytes::new()).await {
            Ok(()) if sealed => Ok(()),
            Ok(()) => {
                job.change(|pulse| pulse.progress.sealed = true);
                self.core.tell(Command::Sealed(id)).await
            }
            Err(StoreError::Finished(_)) => Ok(()),
            Err(error) => Err(store_error(format!("failed to seal job {id}"), error)),
        }
    }

    pub(super) async fn publish_plugin(&self, component: Bytes) -> Result<PluginInfo> {
        self.core.must_be_open()?;
        self.core.room.must_be()?;
        // A component that comes with a job of an embedded control host is there for its jobs alone.
        let info = self.core.registry.publish(component, self.core.serving.is_some()).await?;
        let about = format!("{} {}", info.metadata.name, info.metadata.version);
        let message = format!("was published as {}", info.digest);
        self.core.journal.note(&self.author, EventKind::PluginPublished, About::named(&about), message);
        self.core.journal.flush().await;
        Ok(info)
    }
}

impl Core {
    /// Wait until more may be appended; false if nothing more will ever be run of the job.
    ///
    /// A control host that serves takes what is appended to a job at rest: it is on disk, and runs once the job is taken up.
    async fn has_room(&self, job: &Job) -> Result<bool> {
        let backlog = self.backlog.load(Relaxed);
        let mut pulse = job.pulse();
        let ready = |pulse: &Pulse| pulse.stopping || pulse.ended.is_some() || pulse.backlog <= backlog;
        let Ok(pulse) = pulse.wait_for(ready).await else {
            // It has ended and was given up; the next look says how.
            return Ok(true);
        };
        if let Some(error) = &pulse.broken {
            return Err(watch::again(error));
        }
        let at_rest = pulse.pausing || pulse.ended.is_some_and(|state| !state.is_final());
        Ok(match self.serving.is_some() && at_rest {
            true => true,
            false => !pulse.stopping && pulse.ended.is_none(),
        })
    }
}

/// What becomes of a chunk for a job that nobody owns here.
fn dropped(record: &JobRecord, seq: u64) -> Result<()> {
    let id = record.job.id;
    match record.state {
        pigeon_store::JobState::FailedFast | pigeon_store::JobState::Cancelled => Ok(()),
        pigeon_store::JobState::Completed if seq < record.chunks => Ok(()),
        pigeon_store::JobState::Completed => {
            Err(ApiError::new(ErrorKind::Conflict, format!("job {id} has ended and takes no more items")))
        }
        pigeon_store::JobState::Active => Err(not_taken_up(id)),
    }
}

fn not_taken_up(id: JobId) -> ApiError {
    ApiError::new(ErrorKind::Conflict, format!("job {id} was not taken up here"))
}

/// A client's chunk as the store keeps it.
fn packed(chunk: &Chunk) -> Result<Items> {
    let broken = || ApiError::new(ErrorKind::BadRequest, format!("chunk {} does not add up", chunk.seq));
    check_size(chunk)?;
    let ids = std::str::from_utf8(&chunk.ids).map_err(|error| broken().caused_by(error))?;
    Items::from_packed(ids, &chunk.id_ends, &chunk.lines, chunk.bodies.clone(), &chunk.body_ends).ok_or_else(broken)
}

/// What could not be leased, or only item by item, is not taken: no agent would ever run it.
fn check_size(chunk: &Chunk) -> Result<()> {
    const MOST: usize = 2 * Chunk::TARGET;
    let refuse = |what: String| Err(ApiError::new(ErrorKind::TooLarge, format!("chunk {} {what}", chunk.seq)));
    if chunk.len() > 1 && chunk.bodies.len().max(chunk.ids.len()) > MOST {
        return refuse(format!("has several items, of more than {} MiB together: cut it", MOST >> 20));
    }
    if chunk.len() > MAX_LEASE_ITEMS {
        return refuse(format!("has more than {MAX_LEASE_ITEMS} items: cut it"));
    }
    if chunk.len() == 1 && chunk.bodies.len() as u64 > MAX_ITEM {
        return refuse(format!("has an item of more than {} MiB", MAX_ITEM >> 20));
    }
    let mut start = 0;
    for end in &chunk.id_ends {
        if end.saturating_sub(start) > LONGEST_ID {
            return refuse(format!("has an item whose id has more than {LONGEST_ID} bytes"));
        }
        start = *end;
    }
    Ok(())
}
