//! A job that this control host owns: what was asked for, and how far it is.

mod asked;
mod worked;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use pigeon_api::{ApiError, Clock, JobRequest, JobState, PluginInfo, Progress};
use pigeon_hub::JobAnswer;
use pigeon_protocol::{
    id::{Epoch, JobId, RunIndex, Shape},
    message::{JobContext, Limits},
    outcome::Verdict,
};
use pigeon_store::{ChunkInfo, Claim, Items, NewJob};
use tokio::sync::{RwLock, broadcast, watch};

pub(crate) use self::asked::{check_grants, check_labels, check_options, shape};
use self::worked::Worked;
use crate::{backlog::weight, fit::Fit};

/// Notes that a slow watcher may be behind by.
const NOTES: usize = 256;

/// A job that is owned here. The claim on it ends with the last clone of its `Arc`.
///
/// ```text
///              admitted                       all runs have outcomes, cancelled, failed fast
///   (claimed) ─────────► at work ────────────────────────────────────────────────────────────► ended, given up
///       ▲                 │   ▲  paused, interrupted, broken
///       │                 ▼   │  (what is under way ends first)
///       │               at rest
///       │                 │   taken up again: nothing of what is on disk counts twice
///       └─────────────────┘
/// ```
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) request: JobRequest,
    pub(crate) plugin: Arc<PluginInfo>,
    pub(crate) shape: Shape,
    pub(crate) fit: Fit,
    claim: Claim,
    worked: Mutex<Worked>,
    accepted_ms: u64,
    bodies: Mutex<Bodies>,
    reading: tokio::sync::Mutex<()>,
    /// Held shared while a chunk is put on disk and told, and alone while it is decided where the job stands: so that
    /// whoever takes it up sees each chunk once.
    gate: RwLock<()>,
    canceller: OnceLock<String>,
    /// Where it is short.
    answer: OnceLock<Option<Arc<JobAnswer>>>,
    pulse: watch::Sender<Pulse>,
    /// Made for the first who listens: most jobs are listened to by nobody.
    notes: OnceLock<broadcast::Sender<String>>,
}

/// How far a job is, for those who wait.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pulse {
    pub(crate) progress: Progress,
    /// Bytes of the items that were appended and have runs without an outcome.
    pub(crate) backlog: u64,
    /// Nothing more is leased: what is appended will not be run, unless the job is taken up again.
    pub(crate) stopping: bool,
    /// That is because somebody has it wait.
    pub(crate) pausing: bool,
    /// Nothing more will happen here.
    pub(crate) ended: Option<JobState>,
    /// The machinery failed.
    pub(crate) broken: Option<Arc<ApiError>>,
}

impl Pulse {
    /// Whether somebody works at it.
    pub(crate) fn is_at_work(&self) -> bool {
        self.ended.is_none() && self.broken.is_none()
    }
}

/// How far a job is with so many more outcomes of each verdict.
pub(crate) fn counted(progress: Progress, verdicts: [u64; 3]) -> Progress {
    Progress {
        valid: progress.valid + verdicts[Verdict::Valid as usize],
        invalid: progress.invalid + verdicts[Verdict::Invalid as usize],
        failures: progress.failures + verdicts[Verdict::Failure as usize],
        done: progress.done + verdicts.iter().sum::<u64>(),
        ..progress
    }
}

/// Chunks, and the bodies of those that will be leased next.
#[derive(Debug, Default)]
struct Bodies {
    chunks: Vec<ChunkInfo>,
    cached: BTreeMap<u64, (ChunkInfo, Items)>,
    bytes: u64,
}

impl Job {
    /// A job that nobody works at yet.
    pub(crate) fn new(
        job: &NewJob,
        worked_ms: u64,
        request: JobRequest,
        plugin: Arc<PluginInfo>,
        claim: Claim,
    ) -> Self {
        Self {
            id: job.id,
            shape: job.shape,
            accepted_ms: job.created_ms,
            fit: Fit::new(plugin.metadata.memory, request.limits.memory),
            worked: Mutex::new(Worked { before: Duration::from_millis(worked_ms), since: None }),
            request,
            plugin,
            claim,
            bodies: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            gate: RwLock::default(),
            canceller: OnceLock::new(),
            answer: OnceLock::new(),
            pulse: watch::Sender::new(Pulse { ended: Some(JobState::Interrupted), ..Pulse::default() }),
            notes: OnceLock::new(),
        }
    }

    /// The epoch that our writes of it carry.
    pub(crate) fn epoch(&self) -> Epoch {
        self.claim.epoch()
    }

    /// From now on it is worked at, for the first time or again: so many of its runs have each verdict, and what was
    /// appended is told anew.
    pub(crate) fn begin(&self, verdicts: [u64; 3], sealed: bool) {
        self.bodies().chunks.clear();
        self.rest(false);
        self.change(|pulse| {
            let [valid, invalid, failures] = verdicts;
            let (done, retried) = (valid + invalid + failures, pulse.progress.retried);
            let progress = Progress { planned: 0, sealed, done, valid, invalid, failures, retried };
            *pulse = Pulse { progress, ..Pulse::default() };
        });
    }

    /// Nothing more happens here, for now or for good.
    pub(crate) fn end(&self, state: JobState) {
        self.rest(true);
        self.change(|pulse| {
            pulse.stopping = true;
            pulse.ended = Some(state);
        });
    }

    /// Whether somebody works at it: it was begun, and has neither ended nor broken.
    pub(crate) fn is_at_work(&self) -> bool {
        self.now().is_at_work()
    }

    /// Whether nothing of it is under way any more, for now or for good.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.pulse.borrow().ended.is_some()
    }

    /// When it was accepted, in milliseconds since 1970.
    pub(crate) fn accepted_ms(&self) -> u64 {
        self.accepted_ms
    }

    /// Somebody wants it cancelled. The first who does is told of.
    pub(crate) fn cancelled_by(&self, author: &str) {
        self.canceller.get_or_init(|| author.to_owned());
    }

    /// Who wanted it cancelled.
    pub(crate) fn canceller(&self) -> Option<&str> {
        self.canceller.get().map(String::as_str)
    }

    /// Held shared while a chunk is put on disk and told, and alone while it is decided where the job stands.
    pub(crate) fn gate(&self) -> &RwLock<()> {
        &self.gate
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

    /// It waits for agents, and was not worked at since it began or last rested.
    pub(crate) fn waited(&self) {
        self.worked().since = None;
    }

    /// How far it is now.
    pub(crate) fn now(&self) -> watch::Ref<'_, Pulse> {
        self.pulse.borrow()
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
            pulse.progress = counted(pulse.progress, verdicts);
        });
    }

    /// Outcomes of failures were taken back, and so many bytes of items need runs again.
    pub(crate) fn taken_back(&self, failures: u64, unjudged: u64) {
        self.change(|pulse| {
            pulse.backlog += unjudged;
            pulse.progress.failures = pulse.progress.failures.saturating_sub(failures);
            pulse.progress.done = pulse.progress.done.saturating_sub(failures);
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
        self.notes.get_or_init(|| broadcast::Sender::new(NOTES)).subscribe()
    }

    /// Tell people something. Nobody may be listening.
    pub(crate) fn note(&self, note: String) {
        if let Some(notes) = self.notes.get() {
            let _ = notes.send(note);
        }
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

    /// The chunk that holds a run's item, with its number.
    pub(crate) fn chunk_of(&self, run: RunIndex) -> Option<(u64, ChunkInfo)> {
        let item = self.shape.key(run).item;
        let bodies = self.bodies();
        let at = bodies.chunks.partition_point(|chunk| chunk.first + chunk.count <= item);
        bodies.chunks.get(at).map(|chunk| (chunk.seq, *chunk))
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

    /// The same, where it is short enough to go with each lease.
    pub(crate) fn short_answer(&self) -> Option<Arc<JobAnswer>> {
        let short = || Some(self.answer()).filter(JobAnswer::is_short).map(Arc::new);
        self.answer.get_or_init(short).clone()
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

impl Bodies {
    /// Items are leased in their order, more or less: what has lain longest is needed least, unless it is what was just
    /// read back; then what was appended last is. Of a job that has little room, because many others are at work, nothing
    /// may be kept.
    fn keep(&mut self, chunk: ChunkInfo, items: Items, room: u64) {
        self.bytes += weight(chunk);
        if self.cached.insert(chunk.seq, (chunk, items)).is_some() {
            self.bytes -= weight(chunk);
        }
        while self.bytes > room {
            let just_read = self.cached.first_key_value().is_some_and(|(seq, _)| *seq == chunk.seq);
            let least = if just_read { self.cached.pop_last() } else { self.cached.pop_first() };
            let Some((_, (least, _))) = least else { break };
            self.bytes -= weight(least);
        }
    }
}

#[cfg(test)]
mod tests {
    use pigeon_store::ItemsBuilder;

    use super::*;

    #[test]
    fn what_is_read_back_stays_though_much_was_appended_behind_it() {
        let mut bodies = Bodies::default();
        let items = |seq| {
            let mut builder = ItemsBuilder::default();
            builder.push("", 0, vec![0; 100].into());
            (ChunkInfo { seq, first: seq, count: 1, bytes: 100 }, builder.take())
        };
        let room = 3 * weight(items(0).0);
        let mut keep = |seq| {
            let (chunk, items) = items(seq);
            bodies.keep(chunk, items, room);
            bodies.cached.keys().copied().collect::<Vec<_>>()
        };
        (0..9).for_each(|seq| _ = keep(seq));
        assert_eq!(keep(9), [7, 8, 9]);
        assert_eq!(keep(0), [0, 7, 8]);
        assert_eq!(keep(1), [1, 7, 8], "what was read before it is needed less");
        assert_eq!(bodies.bytes, room);
    }
}
