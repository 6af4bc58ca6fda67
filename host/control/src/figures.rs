//! What this process has counted since it started, and how much landed lately.
//!
//! What landed lately outlives the process, but for about its last second: a control host that serves writes it down while
//! it changes, into a file that nobody misses.

use std::{
    collections::VecDeque,
    fs, io,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use pigeon_api::Throughput;
use pigeon_protocol::outcome::Verdict;
use serde::{Deserialize, Serialize};

/// Length of a stretch, in milliseconds.
const STEP_MS: u64 = 10_000;

/// Stretches that are remembered: the last fifteen minutes.
const STEPS: usize = 90;

/// The file, in the state directory.
const FILE: &str = "throughput.json";

/// Counters. All of them only ever grow.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) submitted: AtomicU64,
    pub(crate) items: AtomicU64,
    pub(crate) item_bytes: AtomicU64,
    pub(crate) retried: AtomicU64,
    pub(crate) leased: AtomicU64,
    runs: [AtomicU64; 3],
    refused: [AtomicU64; 3],
    lately: Mutex<Lately>,
    /// Something landed that is not written down.
    changed: AtomicBool,
    /// One writes it down at a time.
    keeping: Mutex<()>,
}

impl Figures {
    /// So many runs were recorded with each verdict.
    pub(crate) fn landed(&self, now_ms: u64, verdicts: [u64; 3]) {
        for (count, more) in self.runs.iter().zip(verdicts) {
            count.fetch_add(more, Relaxed);
        }
        let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        lately.add(now_ms, verdicts.iter().sum(), verdicts[Verdict::Failure as usize]);
        self.changed.store(true, Relaxed);
    }

    /// So many outcomes were refused, for each [`Refusal`](pigeon_scheduler::Refusal) in turn.
    pub(crate) fn refused(&self, by_reason: [u64; 3]) {
        for (count, more) in self.refused.iter().zip(by_reason).filter(|(_, more)| *more > 0) {
            count.fetch_add(more, Relaxed);
        }
    }

    /// Outcomes that were refused, likewise.
    pub(crate) fn refusals(&self) -> [u64; 3] {
        [0, 1, 2].map(|why: usize| self.refused[why].load(Relaxed))
    }

    /// Runs that were recorded, by verdict.
    pub(crate) fn runs(&self) -> [u64; 3] {
        [0, 1, 2].map(|verdict: usize| self.runs[verdict].load(Relaxed))
    }

    /// What landed lately.
    pub(crate) fn throughput(&self, now_ms: u64) -> Throughput {
        let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        lately.pass(now_ms / STEP_MS);
        let (runs, failures) = lately.steps.iter().copied().unzip();
        Throughput { step_ms: STEP_MS, runs, failures }
    }
}

impl Figures {
    /// Write down what landed lately, if anything did since the last time.
    pub(crate) fn keep(&self, dir: &Path, now_ms: u64) {
        let _alone = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.changed.swap(false, Relaxed) {
            return;
        }
        let lately = {
            let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
            lately.pass(now_ms / STEP_MS);
            serde_json::to_vec(&*lately)
        };
        let (path, new) = (dir.join(FILE), dir.join(FILE).with_extension("new"));
        let kept = lately.map_err(io::Error::from).and_then(|lately| fs::write(&new, lately));
        if let Err(error) = kept.and_then(|()| fs::rename(&new, &path)) {
            self.changed.store(true, Relaxed);
            tracing::debug!(%error, "what landed lately is not written down");
        }
    }

    /// Go on with what was written down, if it can be read.
    pub(crate) fn take_up(&self, dir: &Path, now_ms: u64) {
        let kept = fs::read(dir.join(FILE)).ok().and_then(|kept| serde_json::from_slice::<Lately>(&kept).ok());
        // One that the clock has not come to would stand still until it has.
        if let Some(kept) = kept.filter(|kept| kept.last <= now_ms / STEP_MS && kept.steps.len() <= STEPS) {
            *self.lately.lock().unwrap_or_else(PoisonError::into_inner) = kept;
        }
    }
}

/// Runs and failures by stretch, the oldest first.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Lately {
    steps: VecDeque<(u64, u64)>,
    /// Number of the last stretch.
    last: u64,
}

impl Lately {
    fn add(&mut self, now_ms: u64, runs: u64, failures: u64) {
        self.pass(now_ms / STEP_MS);
        if let Some(step) = self.steps.back_mut() {
            step.0 += runs;
            step.1 += failures;
        }
    }

    /// This stretch is now. A clock that jumps back stands still here until it has caught up.
    fn pass(&mut self, step: u64) {
        if self.steps.is_empty() {
            (self.last, self.steps) = (step, VecDeque::from([(0, 0)]));
        }
        let passed = usize::try_from(step.saturating_sub(self.last)).unwrap_or(usize::MAX);
        self.steps.extend(std::iter::repeat_n((0, 0), passed.min(STEPS)));
        self.steps.drain(..self.steps.len().saturating_sub(STEPS));
        self.last = self.last.max(step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_landed_lately_stands_in_stretches_and_is_forgotten_in_time() {
        let figures = Figures::default();
        let at = |step: u64| 1_000_000_000 + step * STEP_MS;
        figures.landed(at(0), [5, 0, 1]);
        figures.landed(at(0) + 1, [1, 1, 0]);
        figures.landed(at(3), [0, 2, 2]);
        let told = figures.throughput(at(4));
        assert_eq!((told.runs, told.failures), (vec![8, 0, 0, 4, 0], vec![1, 0, 0, 2, 0]));
        assert_eq!(figures.runs(), [6, 3, 3]);
        assert_eq!(figures.throughput(at(1)).runs, [8, 0, 0, 4, 0], "a clock that jumps back");
        let told = figures.throughput(at(STEPS as u64 + 2)).runs;
        assert_eq!((told.len(), told.iter().sum::<u64>(), told[0]), (STEPS, 4, 4));
        assert_eq!(figures.throughput(at(1 << 40)).runs, vec![0; STEPS]);
    }

    #[test]
    fn what_landed_lately_outlives_the_process() {
        let dir = tempfile::TempDir::new().unwrap();
        let at = |step: u64| 1_000_000_000 + step * STEP_MS;
        let first = Figures::default();
        first.landed(at(0), [5, 0, 1]);
        first.keep(dir.path(), at(1));
        let second = Figures::default();
        second.take_up(dir.path(), at(3));
        second.landed(at(3), [1, 0, 0]);
        assert_eq!(second.throughput(at(3)).runs, [6, 0, 0, 1]);
        assert_eq!(second.runs(), [1, 0, 0], "it has counted no more itself");
        // A clock that stands before it, a file that is none, or no file: it begins anew.
        let third = Figures::default();
        third.take_up(dir.path(), at(0));
        fs::write(dir.path().join(FILE), "{").unwrap();
        third.take_up(dir.path(), at(3));
        third.take_up(&dir.path().join("elsewhere"), at(3));
        assert_eq!(third.throughput(at(3)).runs, [0]);
    }

    #[test]
    fn what_is_written_down_is_not_written_again_and_what_failed_is() {
        let dir = tempfile::TempDir::new().unwrap();
        let (path, elsewhere) = (dir.path().join(FILE), dir.path().join("elsewhere"));
        let figures = Figures::default();
        figures.keep(dir.path(), 1);
        assert!(!path.exists());
        figures.landed(1, [1, 0, 0]);
        figures.keep(&elsewhere, 2);
        figures.keep(dir.path(), 3);
        fs::remove_file(&path).unwrap();
        figures.keep(dir.path(), 4);
        assert!(!path.exists());
        figures.landed(5, [1, 0, 0]);
        figures.keep(dir.path(), 6);
        assert!(path.exists());
    }
}
