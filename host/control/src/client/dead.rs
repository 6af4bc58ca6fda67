//! Dead letters: listed, shown, tried again, discarded.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use pigeon_api::{
    ApiError, DeadDetail, DeadFilter, DeadId, DeadLetter, ErrorKind, EventKind, FailureInfo, JobState, PluginInfo,
    Result, words::plural,
};
use pigeon_protocol::id::{JobId, RunIndex};
use pigeon_store::{ChunkInfo, DeadQuery, DeadRow, JobRecord};
use tokio::sync::{RwLockWriteGuard, oneshot};

use super::{Client, look::named};
use crate::{
    clock,
    convert::Said,
    core::Core,
    error::store_error,
    job::Job,
    journal::{About, entry},
    owner::{Command, TakenBack},
    record,
    results::Names,
};

/// Dead letters read at a time.
const PAGE: usize = 1_000;

/// Runs that are taken back at a time.
const AT_ONCE: usize = 4_096;

/// What is known of a job whose letters are read.
struct Known {
    record: JobRecord,
    plugin: Arc<PluginInfo>,
    names: Names,
}

/// A job that nobody works at while its letters are taken back: unless it was taken up again, it is at rest from the end of
/// this on, however that comes.
struct Rests<'a> {
    job: &'a Job,
    state: Option<JobState>,
}

impl Drop for Rests<'_> {
    fn drop(&mut self) {
        if let Some(state) = self.state {
            self.job.end(state);
        }
    }
}

impl Client {
    pub(super) async fn list_dead(
        &self,
        filter: DeadFilter,
        after: Option<DeadId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>> {
        let rows = self.core.dead_rows(&filter, after, limit).await?;
        let (mut letters, mut known) = (Vec::with_capacity(rows.len()), HashMap::new());
        for row in rows {
            // A job may be deleted while its letters are told.
            match self.core.letter(&mut known, row).await {
                Ok((letter, _)) => letters.push(letter),
                Err(error) if error.kind == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(letters)
    }

    pub(super) async fn show_dead(&self, id: DeadId) -> Result<DeadDetail> {
        let row = self.core.store.dead_letter(id.job, RunIndex(id.run)).await;
        let row = row.map_err(|error| store_error(format!("failed to read dead letter {id}"), error))?;
        let row = row.ok_or_else(|| ApiError::new(ErrorKind::NotFound, format!("there is no dead letter {id}")))?;
        let (letter, log) = self.core.letter(&mut HashMap::new(), row).await?;
        let input = if letter.input_kept { self.core.input(id).await? } else { None };
        Ok(DeadDetail { letter, input, log })
    }

    pub(super) async fn retry_dead_letters(&self, filter: DeadFilter) -> Result<u64> {
        self.core.must_be_open()?;
        let named = !filter.ids.is_empty() || filter.job.is_some();
        let mut wanted = Vec::new();
        for job in self.core.dead_runs(&filter).await?.into_keys() {
            let record = self.core.record(job).await?;
            let refuse = |why: &str| ApiError::new(ErrorKind::Conflict, format!("job {job} {why}"));
            match self.core.state(&record) {
                // To try some of it again would have all the rest run as well.
                JobState::Cancelled if named => {
                    return Err(refuse("was cancelled: nobody wants the rest of it"));
                }
                JobState::Stopped if named => {
                    return Err(refuse("has stopped at a run that was invalid or failed, and would again"));
                }
                JobState::Cancelled | JobState::Stopped => continue,
                _ if !record.has_bodies => {
                    return Err(refuse(
                        "has lost its items, which were kept for their time: nothing can be tried again",
                    ));
                }
                _ => wanted.push(record),
            }
        }
        let (mut count, mut done) = (0, Ok(()));
        for record in wanted {
            done = self.retry_letters(&record, &filter, &mut count).await;
            if done.is_err() {
                break;
            }
        }
        done.map(|()| count)
    }

    /// Have runs of a job tried again, as if they had never been made: its letters that are meant, and are there still.
    async fn retry_letters(&self, record: &JobRecord, filter: &DeadFilter, count: &mut u64) -> Result<()> {
        let id = record.job.id;
        let job = self.core.hold(record).await?;
        let alone = job.gate().write().await;
        // Whoever had the gate before may have tried the same again, and runs of it may be valid by now.
        let (runs, read) = match self.core.dead_runs(&of_job(filter, id)).await {
            Ok(mut runs) => (runs.remove(&id).unwrap_or_default(), Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        };
        let mut taken = 0;
        let done = self.retry_runs(&job, &runs, alone, &mut taken).await;
        if taken > 0 {
            self.core.kept.forget();
        }
        *count += taken;
        read.and(done)
    }

    /// Take the outcomes of dead letters back, and have those runs made again. Counts what was taken, whatever failed then.
    async fn retry_runs(
        &self,
        job: &Arc<Job>,
        runs: &[RunIndex],
        alone: RwLockWriteGuard<'_, ()>,
        taken: &mut u64,
    ) -> Result<()> {
        let (tried, done, goes_on) = self.retry_at_work(job, runs, taken).await?;
        match goes_on {
            true => done,
            // What could not be taken back before can be now, or it is said why not.
            false => self.retry_at_rest(job, &runs[tried..], alone, taken).await,
        }
    }

    /// The same while it goes on, if it does; else nothing of it is under way from then on. How many of the runs were tried
    /// with what end, and whether it goes on.
    async fn retry_at_work(&self, job: &Job, runs: &[RunIndex], taken: &mut u64) -> Result<(usize, Result<()>, bool)> {
        let (tell, told) = oneshot::channel();
        // It does not end before it is told, or `tell` is gone.
        if !job.is_at_work() || !self.core.ask(|answer| Command::Hold(job.id, told, answer)).await? {
            // It comes to rest by itself: it waits from now on, ends, or broke.
            self.core.rested(job).await?;
            return Ok((0, Ok(()), false));
        }
        let chunks: BTreeMap<u64, ChunkInfo> = runs.iter().filter_map(|run| job.chunk_of(*run)).collect();
        let misfits = self.core.misfits(job, chunks.values()).await?;
        let (tried, done) = self.take_back(job, runs, taken).await;
        let (goes_on, heard) = oneshot::channel();
        // Where the owner is gone, nothing goes on.
        let _ = tell.send(TakenBack { runs: runs[..tried].to_vec(), misfits, goes_on });
        Ok((tried, done, heard.await.unwrap_or(false)))
    }

    /// The same while nothing of it is under way; then it goes on, if there is something left to do.
    async fn retry_at_rest(
        &self,
        job: &Arc<Job>,
        runs: &[RunIndex],
        alone: RwLockWriteGuard<'_, ()>,
        taken: &mut u64,
    ) -> Result<()> {
        // It may have ended, and been given up; the claim on it is ours still.
        self.core.jobs.insert(job.clone());
        let mut rests = Rests { job, state: Some(JobState::Interrupted) };
        // What was true before may be so no more.
        let record = self.core.record(job.id).await?;
        let unwanted = matches!(self.core.state(&record), JobState::Cancelled | JobState::Stopped);
        let done = match unwanted || !record.has_bodies {
            true => Ok(()),
            false => self.take_back(job, runs, taken).await.1,
        };
        // Whatever came of it, a job with something left to do goes on.
        let record = self.core.record(job.id).await?;
        if record.state.is_finished() {
            rests.state = Some(self.core.state(&record));
            drop(rests);
            drop(alone);
            self.core.jobs.remove(job.id);
            return done;
        }
        if record.paused {
            rests.state = Some(JobState::Paused);
        } else {
            self.core.take_up(job, None).await?;
            rests.state = None;
        }
        done
    }

    /// Some thousands at a time: the store does nothing else meanwhile. How many were tried; counts those that had an outcome.
    async fn take_back(&self, job: &Job, runs: &[RunIndex], taken: &mut u64) -> (usize, Result<()>) {
        let mut tried = 0;
        for some in runs.chunks(AT_ONCE) {
            let message = format!("tried again: {}", plural(some.len() as u64, "dead letter"));
            let told = entry(&self.author, EventKind::DeadRetried, About::job(job.id), message);
            match self.core.journal.telling([told]).take_back(job.id, job.epoch(), some.to_vec()).await {
                Ok(had) => {
                    tried += some.len();
                    *taken += had;
                }
                Err(error) => {
                    let attempted = format!("failed to retry dead letters of job {}", job.id);
                    return (tried, Err(store_error(attempted, error)));
                }
            }
        }
        (tried, Ok(()))
    }

    pub(super) async fn discard_dead_letters(&self, filter: DeadFilter) -> Result<u64> {
        let mut count = 0;
        for (job, runs) in self.core.dead_runs(&filter).await? {
            let message = format!("discarded: {}", plural(runs.len() as u64, "dead letter"));
            let told = entry(&self.author, EventKind::DeadDiscarded, About::job(job), message);
            let forgotten = self.core.journal.telling([told]).forget_dead(job, runs).await;
            let attempted = || format!("failed to discard dead letters of job {job}");
            count += forgotten.map_err(|error| store_error(attempted(), error))?;
        }
        Ok(count)
    }
}

impl Core {
    /// The runs of all the letters that are meant, by job.
    async fn dead_runs(&self, filter: &DeadFilter) -> Result<BTreeMap<JobId, Vec<RunIndex>>> {
        let mut runs: BTreeMap<JobId, Vec<RunIndex>> = BTreeMap::new();
        let mut after = None;
        loop {
            let page = self.dead_rows(filter, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(runs) };
            after = Some(DeadId { job: last.job, run: last.run.0 });
            for row in page {
                runs.entry(row.job).or_default().push(row.run);
            }
        }
    }

    /// A page of the letters that are meant.
    async fn dead_rows(&self, filter: &DeadFilter, after: Option<DeadId>, limit: usize) -> Result<Vec<DeadRow>> {
        let failed = |error| store_error("failed to read the dead letters", error);
        if filter.ids.is_empty() {
            let query = DeadQuery {
                job: filter.job,
                code: filter.code.clone(),
                message: filter.message.clone(),
                after: after.map(|id| (id.job, RunIndex(id.run))),
                limit,
            };
            return self.store.dead(query).await.map_err(failed);
        }
        // In the order in which they were named: each is looked up behind the last one that was told.
        let ids: Vec<DeadId> = filter.ids.iter().map(|name| name.0).collect();
        let from = after.and_then(|after| ids.iter().position(|id| *id == after)).map_or(0, |at| at + 1);
        let mut rows = Vec::new();
        for (at, id) in ids.iter().enumerate().skip(from) {
            if rows.len() == limit {
                break;
            }
            if ids[..at].contains(id) {
                continue;
            }
            let row = self.store.dead_letter(id.job, RunIndex(id.run)).await.map_err(failed)?;
            rows.extend(row.filter(|row| is_meant(filter, row)));
        }
        Ok(rows)
    }

    /// A row as a letter, with what its guest logged.
    async fn letter(&self, known: &mut HashMap<JobId, Known>, row: DeadRow) -> Result<(DeadLetter, String)> {
        let id = DeadId { job: row.job, run: row.run.0 };
        let known = match known.entry(row.job) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(unknown) => {
                let record = self.record(row.job).await?;
                let plugin = self.registry.by_digest(record.job.plugin).await?;
                unknown.insert(Known { record, plugin, names: Names::new(self.store.clone(), row.job) })
            }
        };
        let key = known.record.job.shape.key(row.run);
        let item = known.names.of(key.item).await?.id.clone();
        let outcome = record::outcome(&row.outcome);
        let said = Said::from(outcome.answer);
        let letter = DeadLetter {
            id,
            item,
            iteration: key.iteration,
            place: key.place,
            plugin: named(&known.plugin),
            digest: known.record.job.plugin,
            worker: row.worker.to_string(),
            attempts: row.outcome.attempts,
            failure: said.failure.unwrap_or_else(|| unsaid(&row)),
            at_ms: clock::signed(row.landed_ms),
            input_kept: known.record.has_bodies,
        };
        Ok((letter, String::from_utf8_lossy(&outcome.log).into_owned()))
    }

    /// The body of the item that a letter is about, if it is kept.
    async fn input(&self, id: DeadId) -> Result<Option<Bytes>> {
        let failed = |error| store_error(format!("failed to read the input of dead letter {id}"), error);
        let record = self.record(id.job).await?;
        let item = record.job.shape.key(RunIndex(id.run)).item;
        let chunks = self.store.chunks(id.job).await.map_err(failed)?;
        let at = chunks.partition_point(|chunk| chunk.first + chunk.count <= item);
        let Some(chunk) = chunks.get(at) else { return Ok(None) };
        let items = match self.store.items(id.job, chunk.seq).await {
            Ok(items) => items,
            // They went a moment ago.
            Err(pigeon_store::StoreError::NoBodies { .. }) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let place = usize::try_from(item - chunk.first).unwrap_or(usize::MAX);
        if place >= items.len() {
            return Ok(None);
        }
        Ok(Some(items.bodies(place..place + 1).concat().into()))
    }
}

/// Those of a filter's letters that are a job's.
fn of_job(filter: &DeadFilter, job: JobId) -> DeadFilter {
    let mut filter = DeadFilter { job: Some(job), ..filter.clone() };
    filter.ids.retain(|name| name.0.job == job);
    filter
}

fn is_meant(filter: &DeadFilter, row: &DeadRow) -> bool {
    let error = row.outcome.error.as_ref();
    let code = |code: &String| error.is_some_and(|error| error.code == *code);
    let message = |part: &String| error.is_some_and(|error| error.message.contains(part));
    filter.job.is_none_or(|job| job == row.job)
        && filter.code.as_ref().is_none_or(code)
        && filter.message.as_ref().is_none_or(message)
}

/// What is known of a failure whose outcome cannot be read.
fn unsaid(row: &DeadRow) -> FailureInfo {
    let (code, message) =
        row.outcome.error.as_ref().map_or_else(Default::default, |error| (error.code.clone(), error.message.clone()));
    FailureInfo { cause: "unknown".to_owned(), code, message, backtrace: Vec::new() }
}
