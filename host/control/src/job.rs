//! A job that this control host owns: what was asked for, and how far it is.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use pigeon_api::{ApiError, Clock, ErrorKind, JobRequest, JobState, PluginInfo, Progress, Result, Work};
use pigeon_hub::JobAnswer;
use pigeon_protocol::{
    id::{Epoch, JobId, Shape},
    limits::MAX_OPTIONS,
    message::{JobContext, Limits},
    outcome::Verdict,
};
use pigeon_store::{ChunkInfo, Claim, Items, JobRecord};
use tokio::sync::{broadcast, watch};

use crate::{backlog::weight, fit::Fit};

/// Notes that a slow watcher may be behind by.
const NOTES: usize = 256;

/// A job that is owned here. The claim on it ends with the last clone of its `Arc`.
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) request: JobRequest,
    pub(crate) plugin: PluginInfo,
    pub(crate) shape: Shape,
    pub(crate) fit: Fit,
    claim: Claim,
    worked: Mutex<Worked>,
    accepted_ms: u64,
    bodies: Mutex<Bodies>,
    reading: tokio::sync::Mutex<()>,
    pulse: watch::Sender<Pulse>,
    notes: broadcast::Sender<String>,
}

/// How far a job is, for those who wait.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pulse {
    pub(crate) progress: Progress,
    /// Bytes of the items that were appended and have runs without an outcome.
    pub(crate) backlog: u64,
    /// Nothing more is leased: what is appended will not be run.
    pub(crate) stopping: bool,
    /// Nothing more will happen here.
    pub(crate) ended: Option<JobState>,
    /// The machinery failed.
    pub(crate) broken: Option<Arc<ApiError>>,
}

/// How long it was worked at.
///
/// That is the time from its acceptance, or from when it was taken up again, to its end, less that for which it had runs
/// to give and no agent had any of them, as far as that took more than a second or two.
#[derive(Debug)]
struct Worked {
    before: Duration,
    /// Since when it is worked at; nothing while it waits for agents.
    since: Option<Instant>,
}

/// Chunks, and the bodies of those that will be leased next.
#[derive(Debug, Default)]
struct Bodies {
    chunks: Vec<ChunkInfo>,
    cached: BTreeMap<u64, (ChunkInfo, Items)>,
    bytes: u64,
}

impl Job {
    pub(crate) fn new(record: &JobRecord, request: JobRequest, plugin: PluginInfo, claim: Claim) -> Self {
        let progress = Progress { sealed: record.sealed.is_some(), ..Progress::default() };
        let pulse = Pulse { progress, ..Pulse::default() };
        Self {
            id: record.job.id,
            shape: record.job.shape,
            accepted_ms: record.job.created_ms,
            fit: Fit::new(plugin.metadata.memory, request.limits.memory),
            worked: Mutex::new(Worked { before: Duration::from_millis(record.worked_ms), since: Some(Instant::now()) }),
            request,
            plugin,
            claim,
            bodies: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            pulse: watch::Sender::new(pulse),
            notes: broadcast::Sender::new(NOTES),
        }
    }

    /// The epoch that our writes of it carry.
    pub(crate) fn epoch(&self) -> Epoch {
        self.claim.epoch()
    }

    /// How long it was worked at until now, all processes together, in milliseconds.
    pub(crate) fn worked_ms(&self) -> u64 {
        let worked = self.worked().until(Instant::now());
        u64::try_from(worked.as_millis()).unwrap_or(u64::MAX)
    }

    /// From now on it waits for agents, or is worked at. False if that is nothing new.
    pub(crate) fn rest(&self, rests: bool) -> bool {
        self.worked().rest(rests, Instant::now())
    }

    /// How far it is, now and from now on.
    pub(crate) fn pulse(&self) -> watch::Receiver<Pulse> {
        self.pulse.subscribe()
    }

    /// Change how far it is, and tell those who wait.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Pulse)) {
        self.pulse.send_modify(change);
    }

    /// Outcomes are on disk, and so many bytes of items need no more runs.
    pub(crate) fn recorded(&self, verdicts: [u64; 3], judged: u64) {
        self.change(|pulse| {
            pulse.backlog = pulse.backlog.saturating_sub(judged);
            let progress = &mut pulse.progress;
            progress.valid += verdicts[Verdict::Valid as usize];
            progress.invalid += verdicts[Verdict::Invalid as usize];
            progress.failures += verdicts[Verdict::Failure as usize];
            progress.done += verdicts.iter().sum::<u64>();
        });
    }

    /// Runs are tried again.
    pub(crate) fn retried(&self, runs: u64) {
        self.change(|pulse| pulse.progress.retried += runs);
    }

    /// The machinery failed for this job.
    pub(crate) fn broke(&self, error: ApiError) {
        self.change(|pulse| {
            pulse.stopping = true;
            pulse.broken.get_or_insert_with(|| Arc::new(error));
        });
    }

    /// What people may want to know, from now on.
    pub(crate) fn notes(&self) -> broadcast::Receiver<String> {
        self.notes.subscribe()
    }

    /// Tell people something. Nobody may be listening.
    pub(crate) fn note(&self, note: String) {
        let _ = self.notes.send(note);
    }

    /// A chunk is on disk, with so many bytes to judge; keep its bodies at hand if there is room.
    pub(crate) fn appended(&self, chunk: ChunkInfo, items: Option<Items>, unjudged: u64, room: u64) {
        let mut bodies = self.bodies();
        bodies.chunks.push(chunk);
        if let Some(items) = items {
            bodies.keep(chunk, items, room);
        }
        drop(bodies);
        self.change(|pulse| {
            pulse.progress.planned += chunk.count * self.shape.runs_per_item();
            pulse.backlog += unjudged;
        });
    }

    /// Whether this chunk was appended.
    pub(crate) fn has_chunk(&self, seq: u64) -> bool {
        seq < self.bodies().chunks.len() as u64
    }

    /// The bodies of a chunk, if they are at hand by now.
    pub(crate) fn cached(&self, seq: u64) -> Option<Items> {
        self.bodies().cached.get(&seq).map(|(_, items)| items.clone())
    }

    /// Held while bodies are read back, so that each is read once, however many leases need it.
    pub(crate) async fn reading(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.reading.lock().await
    }

    /// Bodies that were read back from disk.
    pub(crate) fn read_back(&self, chunk: ChunkInfo, items: Items, room: u64) {
        self.bodies().keep(chunk, items, room);
    }

    /// The chunks that hold items `first..last`, and their bodies where they are at hand.
    pub(crate) fn chunks_of(&self, first: u64, last: u64) -> Vec<(ChunkInfo, Option<Items>)> {
        let bodies = self.bodies();
        let from = bodies.chunks.partition_point(|chunk| chunk.first + chunk.count <= first);
        let touched = bodies.chunks[from..].iter().take_while(|chunk| chunk.first < last);
        touched.map(|chunk| (*chunk, bodies.cached.get(&chunk.seq).map(|(_, items)| items.clone()))).collect()
    }

    /// What agents are told that its runs have in common.
    pub(crate) fn answer(&self) -> JobAnswer {
        let limits = self.request.limits;
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let context = JobContext {
            known: true,
            plugin: self.plugin.digest.as_bytes().to_vec(),
            seed: self.request.seed,
            clock_ns: self.clock_ns(),
            limits: Some(Limits {
                cpu_ms: ms(limits.cpu).max(1),
                wall_ms: ms(limits.wall).max(1),
                memory: limits.memory.unwrap_or(0),
                output: limits.output,
                log: limits.log,
                fuel: limits.fuel.unwrap_or(0),
            }),
            options: Vec::new(),
            places: self.shape.places,
            iterations: self.shape.iterations,
            grants: self.request.grants.clone(),
        };
        let options = self.request.options.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        JobAnswer { context, options }
    }

    fn clock_ns(&self) -> Option<i64> {
        match self.request.clock {
            Clock::Acceptance => Some(i64::try_from(self.accepted_ms.saturating_mul(1_000_000)).unwrap_or(i64::MAX)),
            Clock::At(ns) => Some(ns),
            Clock::Real => None,
        }
    }

    fn worked(&self) -> MutexGuard<'_, Worked> {
        self.worked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bodies(&self) -> MutexGuard<'_, Bodies> {
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Worked {
    fn until(&self, now: Instant) -> Duration {
        self.before.saturating_add(self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since)))
    }

    fn rest(&mut self, rests: bool, now: Instant) -> bool {
        if rests == self.since.is_none() {
            return false;
        }
        *self = Self { before: self.until(now), since: (!rests).then_some(now) };
        true
    }
}

impl Bodies {
    /// Items are leased in their order, more or less: what has lain longest is needed least.
    fn keep(&mut self, chunk: ChunkInfo, items: Items, room: u64) {
        self.bytes += weight(chunk);
        if self.cached.insert(chunk.seq, (chunk, items)).is_some() {
            self.bytes -= weight(chunk);
        }
        while self.bytes > room && self.cached.len() > 1 {
            let Some((_, (oldest, _))) = self.cached.pop_first() else { break };
            self.bytes -= weight(oldest);
        }
    }
}

/// How the runs of a job are numbered.
///
/// # Errors
/// If it asks for no runs at all.
pub(crate) fn shape(work: Work) -> Result<Shape> {
    let (places, iterations, limit) = match work {
        Work::One { workers, iterations } => (workers, iterations, Some(workers)),
        Work::Many { iterations, workers } => (1, iterations, workers),
    };
    let refuse = |what| ApiError::new(ErrorKind::BadRequest, format!("a job needs at least one {what}"));
    if iterations == 0 {
        return Err(refuse("iteration"));
    }
    if limit == Some(0) {
        return Err(refuse("worker"));
    }
    Ok(Shape { places, iterations })
}

/// The options that a plugin does not know, or needs and did not get.
///
/// # Errors
/// With the names of those that it knows.
pub(crate) fn check_options(plugin: &PluginInfo, options: &BTreeMap<String, String>) -> Result<()> {
    let specs = &plugin.metadata.options;
    let name = &plugin.metadata.name;
    let known = || match specs.is_empty() {
        true => format!("{name} takes no options"),
        false => format!("{name} knows {}", specs.iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>().join(", ")),
    };
    for key in options.keys() {
        if specs.iter().all(|spec| spec.name != *key) {
            return Err(ApiError::new(ErrorKind::BadRequest, format!("{name} has no option {key:?}")).hint(known()));
        }
    }
    let size: u64 = options.values().map(|value| value.len() as u64).sum();
    if size > MAX_OPTIONS {
        let message = format!("the options are {size} bytes together, and {MAX_OPTIONS} is the most");
        return Err(ApiError::new(ErrorKind::BadRequest, message).hint("give less, or make it part of the items"));
    }
    match specs.iter().find(|spec| spec.required && !options.contains_key(&spec.name)) {
        Some(missing) => {
            Err(ApiError::new(ErrorKind::BadRequest, format!("{name} needs the option {:?}", missing.name))
                .hint(format!("--option {}=...: {}", missing.name, missing.description)))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stands_still_while_a_job_rests() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut worked = Worked { before: Duration::from_secs(10), since: Some(begun) };
        assert!(!worked.rest(false, at(1)));
        assert!(worked.rest(true, at(3)) && !worked.rest(true, at(4)));
        assert_eq!(worked.until(at(50)), Duration::from_secs(13));
        assert!(worked.rest(false, at(60)));
        assert_eq!(worked.until(at(62)), Duration::from_secs(15));
    }
}
