//! What is left to do of a job.
//!
//! ```text
//!                 append                 take                        landed: record
//!   (not there) ────────► fresh ───────────────────► leased ──────────────────────────────► done
//!                          (behind the cursor)       │ ▲ ▲ ▲
//!                                                    │ │ │ └──── returned ◄── lease ended, expired
//!            landed: failure, attempts are left of   │ │ │
//!            its class (transient, timeout, crash)   │ │ │
//!                                        ┌───────────┤ │ └────── again ◄── due ── delayed
//!                                        ▼           │ │                            ▲
//!                                     delayed ───────┼─┼────────────────────────────┘
//!                                                    │ │
//!                        agent died, run was begun   └─┼──► suspect ── agent died again, twice alone ──► done
//!                                                      │        │                                  (dead letter)
//!                                                      └────────┘ taken alone
//! ```
//!
//! A run that is resolved without a lease becomes done from wherever it is. Whether done means valid, invalid or failed is
//! not known here: a failure that is recorded is a dead letter for whoever keeps them. One that is taken back from there
//! is returned, and has all its attempts again; a dead letter that is discarded stays done.
//!
//! Fresh runs are no more than a cursor, done ones and returned ones are [`RunSet`]s; only runs that failed or are
//! suspected have an entry of their own. A run may be in two places where a batch was copied and one of the copies
//! failed. Nothing relies on the contrary: the set of done runs decides.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use pigeon_protocol::{
    id::{RunIndex, Shape},
    message::RunRange,
};

use crate::{
    RunSet, Time,
    chunks::{Budget, Chunks},
    event::{Attempts, Chunk, Death, Progress},
};

/// Most ranges of a batch, so that the message that carries it stays small.
const RANGES: usize = 1024;

/// A job's runs.
#[derive(Debug)]
pub(crate) struct Work {
    shape: Shape,
    chunks: Chunks,
    sealed: bool,
    done: RunSet,
    /// Fresh runs lie from here on, but for those in `passed`.
    cursor: u64,
    /// How many they are.
    fresh: u64,
    /// Runs that were done or tried under an earlier owner, or resolved without a lease: the cursor passes them over.
    passed: RunSet,
    returned: RunSet,
    /// By number of the attempt.
    again: BTreeSet<(u32, u64)>,
    delayed: BTreeSet<(Time, u64)>,
    suspects: BTreeSet<u64>,
    attempts: BTreeMap<u64, Attempts>,
    deaths: BTreeMap<u64, Vec<Death>>,
}

/// Runs taken to be leased together.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) runs: Vec<RunRange>,
    pub(crate) attempt: u32,
}

impl Work {
    pub(crate) fn new(shape: Shape, progress: Progress) -> Self {
        let mut passed = progress.done.clone();
        let attempts: BTreeMap<_, _> = progress
            .attempts
            .into_iter()
            .filter(|(run, _)| !progress.done.contains(*run))
            .map(|(run, attempts)| (run.0, attempts))
            .collect();
        for run in attempts.keys() {
            passed.insert(RunIndex(*run));
        }
        Self {
            shape: Shape { places: shape.places.max(1), iterations: shape.iterations.max(1) },
            chunks: Chunks::default(),
            sealed: false,
            done: progress.done,
            cursor: 0,
            fresh: 0,
            passed,
            returned: RunSet::new(),
            again: BTreeSet::new(),
            delayed: BTreeSet::new(),
            suspects: BTreeSet::new(),
            attempts,
            deaths: BTreeMap::new(),
        }
    }

    /// Whether its places belong to sessions.
    pub(crate) fn has_places(&self) -> bool {
        self.shape.places > 1
    }

    pub(crate) fn places(&self) -> u32 {
        self.shape.places
    }

    /// The place of a run.
    pub(crate) fn place_of(&self, run: u64) -> u32 {
        self.shape.key(RunIndex(run)).place
    }

    /// The runs of a place. Only a job of one item has more than one.
    pub(crate) fn runs_of(&self, place: u32) -> Range<u64> {
        let iterations = u64::from(self.shape.iterations);
        u64::from(place) * iterations..(u64::from(place) + 1) * iterations
    }

    pub(crate) fn done(&self) -> &RunSet {
        &self.done
    }

    /// Runs of the items appended so far.
    pub(crate) fn planned(&self) -> u64 {
        self.chunks.items().saturating_mul(self.shape.runs_per_item())
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.sealed && self.done.len() >= self.planned()
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// Items were appended. False, and nothing else, if they do not follow the last ones, come behind the seal, or
    /// are more than the one that a job with places has.
    pub(crate) fn append(&mut self, chunk: Chunk) -> bool {
        let one_too_many = self.has_places() && self.chunks.items() + u64::from(chunk.count) > 1;
        let before = self.planned();
        if self.sealed || one_too_many || !self.chunks.append(chunk) {
            return false;
        }
        let new = before..self.planned();
        let tried: Vec<u64> = self.attempts.range(new.clone()).map(|(run, _)| *run).collect();
        for run in tried {
            self.put_back_one(run);
        }
        if self.has_places() {
            // Taken place by place, not from the front: all of them stand ready.
            self.cursor = new.end;
            self.returned.insert_range(new.clone());
            for gone in self.passed.ranges() {
                self.returned.remove_range(gone);
            }
        } else {
            self.fresh += new.end - new.start - self.passed.count_in(new);
        }
        true
    }

    pub(crate) fn seal(&mut self) {
        self.sealed = true;
        // Nothing that was said to be done can lie behind the end.
        self.done.remove_range(self.planned()..u64::MAX);
    }

    /// Whether there is anything to take.
    pub(crate) fn is_ready(&self) -> bool {
        !self.again.is_empty() || !self.returned.is_empty() || self.fresh > 0
    }

    pub(crate) fn has_suspects(&self) -> bool {
        !self.suspects.is_empty()
    }

    pub(crate) fn suspects(&self) -> usize {
        self.suspects.len()
    }

    /// When the first run is due that waits for its next attempt.
    pub(crate) fn next_attempt(&self) -> Option<Time> {
        self.delayed.iter().find(|(_, run)| !self.done.contains(RunIndex(*run))).map(|(at, _)| *at)
    }

    /// About how many runs could be taken now.
    pub(crate) fn ready(&self) -> u64 {
        self.fresh + self.returned.len() + self.again.len() as u64
    }

    /// Whether a place has anything to take.
    pub(crate) fn is_place_ready(&self, place: u32) -> bool {
        self.ready_in(self.runs_of(place)) > 0
    }

    /// How many runs of a place could be taken now, counted up to a few thousand.
    pub(crate) fn ready_in(&self, runs: Range<u64>) -> u64 {
        let again = self.again.iter().filter(|(_, run)| runs.contains(run)).count() as u64;
        let returned = self.returned.ranges_from(RunIndex(runs.start)).take(8).take_while(|r| r.start < runs.end);
        again + returned.map(|r| r.end.min(runs.end) - r.start).sum::<u64>()
    }

    /// Takes runs from wherever they are: repetitions first, then what came back, then fresh ones.
    pub(crate) fn take(&mut self, runs: u64, bytes: u64) -> Option<Batch> {
        self.take_again(None, runs, bytes).or_else(|| self.take_first(None, runs, bytes))
    }

    /// Takes runs of a place.
    pub(crate) fn take_place(&mut self, place: u32, runs: u64, bytes: u64) -> Option<Batch> {
        let within = Some(self.runs_of(place));
        self.take_again(within.clone(), runs, bytes).or_else(|| self.take_first(within, runs, bytes))
    }

    /// Takes a suspect.
    pub(crate) fn take_suspect(&mut self) -> Option<Batch> {
        while let Some(run) = self.suspects.pop_first() {
            if !self.done.contains(RunIndex(run)) {
                let attempts = self.attempts_of(run);
                let attempt = attempts.failures.saturating_add(attempts.deaths).saturating_add(2);
                return Some(Batch { runs: vec![RunRange { first: run, count: 1 }], attempt });
            }
        }
        None
    }

    /// Runs come back unanswered, but for those that are done. They were no suspects.
    pub(crate) fn put_back(&mut self, runs: Range<u64>) {
        let tried: Vec<u64> = self.attempts.range(runs.clone()).map(|(run, _)| *run).collect();
        let mut from = runs.start;
        for run in tried {
            self.put_back_fresh(from..run);
            if !self.done.contains(RunIndex(run)) {
                self.put_back_one(run);
            }
            from = run + 1;
        }
        self.put_back_fresh(from..runs.end);
    }

    /// A run is to be made alone.
    pub(crate) fn suspect(&mut self, run: u64) {
        if !self.done.contains(RunIndex(run)) {
            self.suspects.insert(run);
        }
    }

    /// An agent died of a run that it made alone. Gives all that it has been through.
    pub(crate) fn died_alone(&mut self, run: u64, death: Death) -> Attempts {
        self.deaths.entry(run).or_default().push(death);
        let attempts = self.attempts.entry(run).or_default();
        attempts.deaths = attempts.deaths.saturating_add(1);
        *attempts
    }

    /// Records a run. False if it is done already.
    pub(crate) fn record(&mut self, run: u64) -> bool {
        let new = self.done.insert(RunIndex(run));
        if new && !self.attempts.is_empty() {
            self.attempts.remove(&run);
        }
        if new && !self.deaths.is_empty() {
            self.deaths.remove(&run);
        }
        if new && !self.returned.is_empty() {
            self.returned.remove(RunIndex(run));
        }
        new
    }

    /// Records runs of appended items that no agent makes, and gives those that were not done; if `once`, of the first
    /// range that has any. Nothing of them is taken from now on.
    pub(crate) fn settle(&mut self, ranges: impl IntoIterator<Item = Range<u64>>, once: bool) -> Vec<RunRange> {
        let planned = self.planned();
        let mut settled = Ranges::default();
        for runs in ranges {
            let end = runs.end.min(planned);
            let mut from = self.done.first_missing_from(RunIndex(runs.start)).0;
            while from < end {
                let to = self.done.next_from(RunIndex(from)).map_or(end, |run| run.0.min(end));
                self.settle_undone(from..to);
                settled.push(from..to);
                from = self.done.first_missing_from(RunIndex(to)).0;
            }
            if once && !settled.0.is_empty() {
                break;
            }
        }
        if !settled.0.is_empty() {
            let undone = |run: u64| !self.done.contains(RunIndex(run));
            self.again.retain(|(_, run)| undone(*run));
            self.delayed.retain(|(_, run)| undone(*run));
            self.suspects.retain(|run| undone(*run));
            self.attempts.retain(|run, _| undone(*run));
            self.deaths.retain(|run, _| undone(*run));
        }
        settled.0
    }

    /// Runs of appended items that are done are to be made again. Gives them. Those behind the cursor stay passed over:
    /// they are taken from where they come back.
    pub(crate) fn take_back(&mut self, runs: Range<u64>) -> Vec<Range<u64>> {
        let end = runs.end.min(self.planned());
        let done = self.done.ranges_from(RunIndex(runs.start)).take_while(|range| range.start < end);
        let done: Vec<_> = done.map(|range| range.start..range.end.min(end)).collect();
        for range in &done {
            self.done.remove_range(range.clone());
            self.returned.insert_range(range.clone());
        }
        done
    }

    fn settle_undone(&mut self, runs: Range<u64>) {
        self.done.insert_range(runs.clone());
        self.returned.remove_range(runs.clone());
        self.fresh -= self.passed.insert_range(runs.start.max(self.cursor)..runs.end);
    }

    /// Whatever is known of the deaths of a run; forgotten with this call.
    pub(crate) fn take_deaths(&mut self, run: u64) -> Vec<Death> {
        self.deaths.remove(&run).unwrap_or_default()
    }

    /// A run failed, and is tried again.
    pub(crate) fn failed(&mut self, run: u64) {
        let attempts = self.attempts.entry(run).or_default();
        attempts.failures = attempts.failures.saturating_add(1);
    }

    /// A run is not tried again before this.
    pub(crate) fn delay(&mut self, run: u64, not_before: Time) {
        self.delayed.insert((not_before, run));
    }

    /// Releases what is due, and gives it.
    pub(crate) fn pass(&mut self, now: Time) -> Vec<u64> {
        let mut released = Vec::new();
        while let Some(&(due, run)) = self.delayed.first()
            && due <= now
        {
            self.delayed.pop_first();
            if !self.done.contains(RunIndex(run)) {
                self.put_back_one(run);
                released.push(run);
            }
        }
        released
    }

    /// Memory that it takes on the heap, in bytes; for the maps an estimate.
    pub(crate) fn heap_bytes(&self) -> usize {
        let sets = self.done.heap_bytes() + self.passed.heap_bytes() + self.returned.heap_bytes();
        let entries = self.again.len() + self.delayed.len() + self.suspects.len() + self.attempts.len();
        sets + self.chunks.heap_bytes() + entries * 32 + self.deaths.len() * 128
    }

    /// What a run without an outcome has been through.
    pub(crate) fn attempts_of(&self, run: u64) -> Attempts {
        self.attempts.get(&run).copied().unwrap_or_default()
    }

    /// A run that has been through something goes where it belongs.
    fn put_back_one(&mut self, run: u64) {
        let attempts = self.attempts_of(run);
        if attempts.deaths > 0 {
            self.suspects.insert(run);
        } else if attempts.failures > 0 {
            self.again.insert((attempts.failures.saturating_add(1), run));
        } else {
            self.returned.insert(RunIndex(run));
        }
    }

    fn put_back_fresh(&mut self, runs: Range<u64>) {
        if !runs.is_empty() {
            self.returned.insert_range(runs.clone());
            let mut from = RunIndex(runs.start);
            while let Some(done) = self.done.next_from(from).filter(|run| run.0 < runs.end) {
                from = self.done.first_missing_from(done);
                self.returned.remove_range(done.0..from.0.min(runs.end));
            }
        }
    }

    fn take_again(&mut self, within: Option<Range<u64>>, runs: u64, bytes: u64) -> Option<Batch> {
        self.drop_done_repetitions();
        let fits = |run: &u64| within.as_ref().is_none_or(|within| within.contains(run));
        let &(attempt, _) = self.again.iter().find(|(_, run)| fits(run))?;
        let mut budget = Budget::new(&self.chunks, self.shape.runs_per_item(), runs, bytes);
        let mut ranges = Ranges::default();
        for &(_, run) in self.again.range((attempt, 0)..=(attempt, u64::MAX)).filter(|(_, run)| fits(run)) {
            if budget.is_spent() || ranges.is_full() || budget.take(run..run + 1) == 0 {
                break;
            }
            ranges.push(run..run + 1);
        }
        for range in &ranges.0 {
            for run in range.first..range.first + range.count {
                self.again.remove(&(attempt, run));
            }
        }
        ranges.batch(attempt)
    }

    /// Repetitions that a copy has made superfluous. Few, and looked at only from the front.
    fn drop_done_repetitions(&mut self) {
        while let Some(&(attempt, run)) = self.again.first()
            && self.done.contains(RunIndex(run))
        {
            self.again.remove(&(attempt, run));
        }
    }

    fn take_first(&mut self, within: Option<Range<u64>>, runs: u64, bytes: u64) -> Option<Batch> {
        let mut budget = Budget::new(&self.chunks, self.shape.runs_per_item(), runs, bytes);
        let mut ranges = Ranges::default();
        let (from, end) = within.as_ref().map_or((0, u64::MAX), |within| (within.start, within.end));
        let mut taken = 0;
        for range in self.returned.ranges_from(RunIndex(from)).take_while(|range| range.start < end) {
            if budget.is_spent() || ranges.is_full() {
                break;
            }
            let fit = budget.take(range.start..range.end.min(end));
            ranges.push(range.start..range.start + fit);
            taken += fit;
        }
        let mut left = taken;
        for range in &ranges.0 {
            self.returned.remove_range(range.first..range.first + range.count);
            left -= range.count;
        }
        debug_assert_eq!(left, 0);
        if within.is_none() {
            while !budget.is_spent() && !ranges.is_full() {
                let from = self.passed.first_missing_from(RunIndex(self.cursor)).0;
                let planned = self.chunks.items().saturating_mul(self.shape.runs_per_item());
                if from >= planned {
                    break;
                }
                let end = self.passed.next_from(RunIndex(from)).map_or(planned, |run| run.0.min(planned));
                let fit = budget.take(from..end);
                if fit == 0 {
                    break;
                }
                self.cursor = from + fit;
                self.fresh -= fit;
                ranges.push(from..from + fit);
            }
        }
        ranges.batch(1)
    }
}

/// Ranges in ascending order; those that touch are one.
#[derive(Debug, Default)]
struct Ranges(Vec<RunRange>);

impl Ranges {
    fn is_full(&self) -> bool {
        self.0.len() >= RANGES
    }

    fn push(&mut self, runs: Range<u64>) {
        let count = runs.end - runs.start;
        match self.0.last_mut() {
            _ if count == 0 => {}
            Some(last) if last.first + last.count == runs.start => last.count += count,
            _ => self.0.push(RunRange { first: runs.start, count }),
        }
    }

    fn batch(self, attempt: u32) -> Option<Batch> {
        (!self.0.is_empty()).then_some(Batch { runs: self.0, attempt })
    }
}

#[cfg(test)]
mod tests;
