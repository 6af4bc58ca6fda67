//! Counters, times and error groups of a job, by worker.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use pigeon_protocol::{id::RunIndex, outcome::Verdict};

/// Error groups of a job that are told apart. Runs beyond them are counted under one, with the code `other`.
pub const MAX_GROUPS: usize = 1_000;

/// Times above a day are counted as a day, so that a histogram's size is bounded.
const MAX_TIME_US: u64 = 24 * 60 * 60 * 1_000_000;

/// What is known of a job's runs that have an outcome.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tally {
    /// By worker.
    pub workers: BTreeMap<String, Stats>,
    /// The groups that [`Stats::errors`] counts, by number.
    pub groups: Vec<ErrorGroup>,
}

/// Runs that were invalid or failed for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorGroup {
    /// Code of the finding or the failure.
    pub code: String,
    /// Its message, the first 512 bytes of it.
    pub message: String,
    /// The first run of the group, by its index. It may have been taken back since, unless all of them were.
    pub first_run: RunIndex,
    /// When the first of its runs landed, in milliseconds since 1970; 0 if that was not kept, or all were taken back.
    pub first_ms: u64,
    /// When the last did.
    pub last_ms: u64,
    /// The id of that run's item.
    pub example: String,
}

impl Tally {
    /// All workers together.
    pub fn total(&self) -> Stats {
        let mut total = Stats::default();
        for worker in self.workers.values() {
            total.merge(worker);
        }
        total
    }
}

/// Counters and times of some runs.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Runs that were valid.
    pub valid: u64,
    /// Runs that were invalid.
    pub invalid: u64,
    /// Runs that could not be judged.
    pub failures: u64,
    /// The sum of their times, in microseconds.
    pub time_us: u64,
    /// Runs by error group, as numbered in [`Tally::groups`].
    pub errors: BTreeMap<u32, u64>,
    /// Times in microseconds, three digits exact. `None` before the first run.
    pub(crate) times: Option<Histogram<u32>>,
}

impl PartialEq for Stats {
    fn eq(&self, other: &Self) -> bool {
        // A histogram that was written down knows its extremes only as well as its buckets, so buckets are compared.
        let buckets = |stats: &Self| -> Vec<(u64, u32)> {
            let recorded = stats.times.iter().flat_map(Histogram::iter_recorded);
            recorded.map(|step| (step.value_iterated_to(), step.count_at_value())).collect()
        };
        (self.valid, self.invalid, self.failures, self.time_us)
            == (other.valid, other.invalid, other.failures, other.time_us)
            && self.errors == other.errors
            && buckets(self) == buckets(other)
    }
}

impl Stats {
    /// Runs that have an outcome.
    pub fn runs(&self) -> u64 {
        self.valid + self.invalid + self.failures
    }

    /// Mean time of a run, in microseconds; 0 without runs.
    pub fn mean_us(&self) -> f64 {
        if self.runs() == 0 { 0.0 } else { self.time_us as f64 / self.runs() as f64 }
    }

    /// The time that a share of the runs did not exceed, in microseconds: 0.5 for the median; 0 without runs.
    pub fn quantile_us(&self, quantile: f64) -> u64 {
        self.times.as_ref().map_or(0, |times| times.value_at_quantile(quantile))
    }

    /// Count a run.
    pub(crate) fn add(&mut self, verdict: Verdict, time_us: u64, group: Option<u32>) {
        match verdict {
            Verdict::Valid => self.valid += 1,
            Verdict::Invalid => self.invalid += 1,
            Verdict::Failure => self.failures += 1,
        }
        self.time_us = self.time_us.saturating_add(time_us);
        if let Some(group) = group {
            *self.errors.entry(group).or_default() += 1;
        }
        if self.times.is_none() {
            // Three digits are within what a histogram can do, so this is always there.
            self.times = Histogram::new(3).ok();
        }
        if let Some(times) = &mut self.times {
            // It can only fail where it may not grow, and it may.
            times.record(time_us.min(MAX_TIME_US)).unwrap_or_default();
        }
    }

    /// Count no longer what another has counted, all of which this one has. `None` if it has not.
    pub(crate) fn subtract(&mut self, other: &Stats) -> Option<()> {
        self.valid = self.valid.checked_sub(other.valid)?;
        self.invalid = self.invalid.checked_sub(other.invalid)?;
        self.failures = self.failures.checked_sub(other.failures)?;
        self.time_us = self.time_us.saturating_sub(other.time_us);
        for (group, &count) in &other.errors {
            let left = self.errors.get_mut(group)?;
            *left = left.checked_sub(count)?;
            if *left == 0 {
                self.errors.remove(group);
            }
        }
        match (&mut self.times, &other.times) {
            (Some(times), Some(less)) => times.subtract(less).ok()?,
            (None, Some(less)) if !less.is_empty() => return None,
            _ => {}
        }
        if self.runs() == 0 {
            self.times = None;
        }
        Some(())
    }

    /// Count all that another has counted.
    pub fn merge(&mut self, other: &Stats) {
        self.valid += other.valid;
        self.invalid += other.invalid;
        self.failures += other.failures;
        self.time_us = self.time_us.saturating_add(other.time_us);
        for (&group, count) in &other.errors {
            *self.errors.entry(group).or_default() += count;
        }
        match (&mut self.times, &other.times) {
            // It can only fail where it may not grow, and it may.
            (Some(times), Some(more)) => times.add(more).unwrap_or_default(),
            (times @ None, more) => times.clone_from(more),
            (Some(_), None) => {}
        }
    }
}
