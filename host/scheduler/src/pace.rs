//! How fast runs are, and so how many make a batch.
//!
//! A batch shall take about 100 ms. Nobody knows beforehand how long a run takes, so the first batch is one run, and
//! each next one is at most eight times the largest that was answered whole: five batches lead from 1 to 4,096. What
//! is measured is a mean over the last few batches' worth of work, weighted by time, not by run: it is the time of the
//! whole batch that matters.

use std::time::Duration;

use crate::time::micros;

/// A batch may be this many times larger than the largest one before.
const STEP: u64 = 8;

/// Runs are counted in parts, so that halving them again and again stays true.
const PART: u64 = 256;

/// The pace of a job's runs, in one session or in all.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    /// Time of the runs seen, in microseconds; fading.
    time: u64,
    /// The runs seen, in parts of `PART`; fading alike.
    runs: u64,
    /// Largest batch that was answered whole.
    largest: u64,
}

impl Pace {
    /// Sees runs that took so long together. `horizon` is the time that is remembered.
    pub(crate) fn observe(&mut self, runs: u64, time_us: u64, horizon: Duration) {
        // Answers come from agents: bounded, so that no sum overflows.
        self.time += time_us.clamp(1, u64::MAX >> 8);
        self.runs += runs * PART;
        while self.time > micros(horizon) && self.runs > PART {
            self.time /= 2;
            self.runs /= 2;
        }
        self.time = self.time.clamp(1, u64::MAX >> 8);
    }

    /// Sees a batch answered whole.
    pub(crate) fn completed(&mut self, runs: u64) {
        self.largest = self.largest.max(runs);
    }

    /// What a session that has no pace of its own yet starts with: what the others know, one step back.
    pub(crate) fn for_newcomer(&self) -> Self {
        Self { largest: self.largest / STEP, ..*self }
    }

    /// How many runs fit into a span; `None` if nothing is known.
    pub(crate) fn runs_in(&self, span: Duration) -> Option<u64> {
        (self.runs > 0).then(|| {
            let runs =
                u128::from(micros(span)) * u128::from(self.runs) / (u128::from(self.time.max(1)) * u128::from(PART));
            u64::try_from(runs).unwrap_or(u64::MAX)
        })
    }

    /// How long so many runs take; `None` if nothing is known.
    pub(crate) fn time_of(&self, runs: u64) -> Option<Duration> {
        (self.runs > 0).then(|| {
            let time = u128::from(runs) * u128::from(self.time) * u128::from(PART) / u128::from(self.runs);
            Duration::from_micros(u64::try_from(time).unwrap_or(u64::MAX))
        })
    }

    /// How many runs the next batch may have, to take `span` and not to grow too fast. At least 1.
    pub(crate) fn batch(&self, span: Duration) -> u64 {
        let grown = self.largest.saturating_mul(STEP);
        self.runs_in(span).map_or(1, |runs| runs.min(grown)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_millis(100);

    fn batches(run_us: u64, count: usize) -> Vec<u64> {
        let mut pace = Pace::default();
        (0..count)
            .map(|_| {
                let runs = pace.batch(SPAN);
                pace.observe(runs, runs * run_us, SPAN * 4);
                pace.completed(runs);
                runs
            })
            .collect()
    }

    #[test]
    fn fast_runs_grow_to_a_tenth_of_a_second() {
        assert_eq!(batches(12, 7), [1, 8, 64, 512, 4096, 8333, 8333]);
    }

    #[test]
    fn slow_runs_stay_alone() {
        assert_eq!(batches(150_000, 3), [1, 1, 1]);
        assert_eq!(batches(40_000, 3), [1, 2, 2]);
    }

    #[test]
    fn a_slower_stretch_shrinks_batches_at_once() {
        let mut pace = Pace::default();
        pace.observe(8333, 100_000, SPAN * 4);
        pace.completed(8333);
        assert_eq!(pace.batch(SPAN), 8333);
        pace.observe(1, 10_000_000, SPAN * 4);
        assert!(pace.batch(SPAN) <= 100, "{}", pace.batch(SPAN));
    }

    #[test]
    fn no_answer_overflows_it() {
        let mut pace = Pace::default();
        for _ in 0..1000 {
            pace.observe(1, u64::MAX, SPAN * 4);
            pace.observe(16_384, 0, SPAN * 4);
            assert!(pace.batch(SPAN) >= 1);
        }
        assert!(pace.time_of(u64::MAX).is_some());
    }
}
