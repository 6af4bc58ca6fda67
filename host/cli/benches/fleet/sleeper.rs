//! Runs that sleep, and the diary in which they are written down.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use pigeon_agent::Lanes;
use pigeon_protocol::id::Digest;
use pigeon_runtime::{Event, Job, Judgement, Run, RunReport};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// What all agents of a bench share.
#[derive(Default)]
pub(crate) struct Diary {
    /// How long a run takes, in microseconds.
    pub(crate) run_us: AtomicU64,
    /// Beats that were sent.
    pub(crate) beats: AtomicU64,
    /// Agents that have sent one, as they do at once when they are welcomed.
    pub(crate) live: AtomicU64,
    /// Whether runs are written down.
    pub(crate) writes: AtomicBool,
    entries: Mutex<Vec<Entry>>,
}

/// Something happened to a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) at: Instant,
    pub(crate) run: u64,
    /// At an agent of this group.
    pub(crate) group: usize,
    /// Else it was handed out.
    pub(crate) landed: bool,
}

impl Diary {
    fn write(&self, group: usize, runs: impl IntoIterator<Item = u64>, landed: bool) {
        if self.writes.load(Relaxed) {
            let at = Instant::now();
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            entries.extend(runs.into_iter().map(|run| Entry { at, run, group, landed }));
        }
    }

    /// All that was written so far, in the order of time.
    pub(crate) fn read(&self) -> Vec<Entry> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One slot, whose runs take as long as the diary says.
pub(crate) struct Sleeper {
    diary: Arc<Diary>,
    group: usize,
    slot: Semaphore,
    lives: AtomicBool,
}

impl Sleeper {
    pub(crate) fn new(diary: &Arc<Diary>, group: usize) -> Self {
        Self { diary: Arc::clone(diary), group, slot: Semaphore::new(1), lives: AtomicBool::new(false) }
    }
}

impl Lanes for Sleeper {
    type Plugin = ();

    fn loaded(&self, _: &Digest) -> Option<()> {
        Some(())
    }

    async fn load(&self, _: Bytes) -> Result<(), String> {
        Ok(())
    }

    async fn run(
        &self,
        (): &(),
        _: Arc<Job>,
        runs: Vec<Run>,
        cancel: CancellationToken,
        mut sink: impl FnMut(Event) + Send + 'static,
    ) {
        self.diary.write(self.group, runs.iter().map(|run| run.index), false);
        // A lane has its slot until its batch is done, as where guests compute and wait for nothing.
        let Ok(_slot) = self.slot.acquire().await else { return };
        let wall = Duration::from_micros(self.diary.run_us.load(Relaxed));
        // From one end to the next: timers are late by up to a millisecond, and the runs are not longer for that.
        let mut end = tokio::time::Instant::now();
        for run in runs {
            sink(Event::Begun(run.index));
            end += wall;
            tokio::select! {
                () = tokio::time::sleep_until(end) => {}
                () = cancel.cancelled() => return,
            }
            self.diary.write(self.group, [run.index], true);
            let report =
                RunReport { result: Ok(Judgement::default()), wall, cpu: wall, memory: 1 << 20, log: Bytes::new() };
            sink(Event::Landed(run.index, report));
        }
    }

    /// Asked for each beat.
    fn computing(&self) -> usize {
        self.diary.beats.fetch_add(1, Relaxed);
        if !self.lives.swap(true, Relaxed) {
            self.diary.live.fetch_add(1, Relaxed);
        }
        1 - self.slot.available_permits()
    }

    fn waiting(&self) -> usize {
        0
    }
}
