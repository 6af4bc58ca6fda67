//! A small model of a job in a store, and what may be done to it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

/// Something that is done to a job by its owner.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Append a chunk of so many items; `back` chunks before the next one.
    Append { back: u64, count: u64 },
    /// Record these runs, by this worker.
    Record { worker: u8, runs: Vec<u64> },
    /// Take the outcomes of these runs back.
    TakeBack { runs: Vec<u64> },
    /// Forget that these runs are dead letters.
    Forget { runs: Vec<u64> },
    /// Seal it.
    Seal,
    /// Finish it.
    Finish,
    /// Give it up and own it again.
    Claim,
    /// Close the store and open it again.
    Reopen,
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Near runs, so that batches overlap, and far ones, so that rows are cut.
    let run = prop_oneof![6 => 0u64..60, 1 => 65_500u64..65_600, 1 => 300_000u64..300_005];
    let range = (0u64..200, 1u64..40).prop_map(|(first, count)| (first..first + count).collect());
    let runs = prop_oneof![prop::collection::vec(run, 0..12), range].boxed();
    let step = prop_oneof![
        3 => (0u64..3, 1u64..5).prop_map(|(back, count)| Step::Append { back, count }),
        8 => (0u8..3, runs.clone()).prop_map(|(worker, runs)| Step::Record { worker, runs }),
        3 => runs.clone().prop_map(|runs| Step::TakeBack { runs }),
        1 => runs.prop_map(|runs| Step::Forget { runs }),
        1 => Just(Step::Seal),
        1 => Just(Step::Finish),
        1 => Just(Step::Claim),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..25)
}

/// What is known of a job.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) epoch: u64,
    /// First item and count of each chunk.
    pub(crate) chunks: Vec<(u64, u64)>,
    pub(crate) sealed: bool,
    /// The worker of each run that has an outcome.
    pub(crate) outcomes: BTreeMap<u64, u8>,
    /// The runs that are dead letters.
    pub(crate) dead: BTreeSet<u64>,
    pub(crate) finished: bool,
    /// Whether outcomes were ever taken back.
    pub(crate) took_back: bool,
    /// The runs of each batch that landed, by its number, as they were last read.
    pub(crate) landed: BTreeMap<u64, BTreeSet<u64>>,
}

impl Model {
    pub(crate) fn items(&self) -> u64 {
        self.chunks.iter().map(|(_, count)| count).sum()
    }

    /// Runs that are refused.
    pub(crate) fn record(&mut self, worker: u8, runs: &[u64]) -> Vec<u64> {
        let mut runs = runs.to_vec();
        runs.sort_unstable();
        runs.retain(|&run| match self.outcomes.contains_key(&run) {
            true => true,
            false => {
                self.outcomes.insert(run, worker);
                false
            }
        });
        runs
    }

    /// How many are taken back.
    pub(crate) fn take_back(&mut self, runs: &[u64]) -> u64 {
        let taken = runs.iter().filter(|run| self.outcomes.remove(run).is_some()).count();
        self.dead.retain(|run| self.outcomes.contains_key(run));
        self.finished &= taken == 0;
        self.took_back |= taken > 0;
        taken as u64
    }

    /// Runs that have an outcome, as ranges.
    pub(crate) fn ranges(&self) -> Vec<std::ops::Range<u64>> {
        let mut ranges: Vec<std::ops::Range<u64>> = Vec::new();
        for &run in self.outcomes.keys() {
            match ranges.last_mut() {
                Some(last) if last.end == run => last.end += 1,
                _ => ranges.push(run..run + 1),
            }
        }
        ranges
    }
}
