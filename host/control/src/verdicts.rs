//! How the runs of an item become the item's result.
//!
//! Results come in the order of the runs, and all runs of an item stand together: so one item is gathered at a time.

use pigeon_api::{ItemResult, Vote};
use pigeon_protocol::outcome::{Outcome, Verdict};

use crate::convert::{self, Said};

/// The runs of one item, as far as they were seen.
#[derive(Debug)]
pub(crate) struct ItemRuns {
    index: u64,
    time_us: u64,
    /// Runs with each verdict, by `Verdict as usize`.
    count: [u64; 3],
    /// The first run with each verdict: one of them will speak for the item.
    first: [Option<Outcome>; 3],
}

impl ItemRuns {
    /// Nothing seen yet of the item with this index.
    pub(crate) fn new(index: u64) -> Self {
        Self { index, time_us: 0, count: [0; 3], first: [None, None, None] }
    }

    /// Index of the item.
    pub(crate) fn index(&self) -> u64 {
        self.index
    }

    /// One more of its runs.
    pub(crate) fn add(&mut self, verdict: Verdict, time_us: u64, outcome: impl FnOnce() -> Outcome) {
        self.time_us += time_us;
        let at = verdict as usize;
        self.count[at] += 1;
        if self.first[at].is_none() {
            self.first[at] = Some(outcome());
        }
    }

    /// What became of the item.
    pub(crate) fn finish(mut self, id: String, line: u64, vote: Vote) -> ItemResult {
        let verdict = self.verdict(vote);
        let said = Said::from(self.first[verdict as usize].take().and_then(|outcome| outcome.answer));
        ItemResult {
            id,
            index: self.index,
            line,
            verdict: convert::verdict(verdict),
            runs: self.count.iter().sum(),
            time_ms: convert::milliseconds(self.time_us),
            findings: said.findings,
            omitted: said.omitted,
            score: said.score,
            data: said.data,
            failure: said.failure,
        }
    }

    fn verdict(&self, vote: Vote) -> Verdict {
        let seen =
            [Verdict::Failure, Verdict::Invalid, Verdict::Valid].into_iter().filter(|it| self.count[*it as usize] > 0);
        match vote {
            // The gravest comes first.
            Vote::Worst => seen.into_iter().next(),
            // Of those that tie `max_by_key` keeps the last, so the gravest has to come last.
            Vote::Majority => seen.rev().max_by_key(|it| self.count[*it as usize]),
        }
        .unwrap_or(Verdict::Failure)
    }
}

#[cfg(test)]
mod tests {
    use pigeon_api as api;

    use super::*;

    fn item(verdicts: &[Verdict], vote: Vote) -> api::Verdict {
        let mut runs = ItemRuns::new(0);
        for verdict in verdicts {
            runs.add(*verdict, 1, Outcome::default);
        }
        runs.finish("x".to_owned(), 1, vote).verdict
    }

    #[test]
    fn the_worst_run_speaks_for_the_item() {
        use Verdict::{Failure, Invalid, Valid};
        assert_eq!(item(&[Valid, Valid], Vote::Worst), api::Verdict::Valid);
        assert_eq!(item(&[Valid, Invalid, Valid], Vote::Worst), api::Verdict::Invalid);
        assert_eq!(item(&[Invalid, Failure, Valid], Vote::Worst), api::Verdict::Failure);
    }

    #[test]
    fn where_the_plugin_asks_for_a_vote_the_majority_does_and_the_worse_of_a_tie() {
        use Verdict::{Failure, Invalid, Valid};
        assert_eq!(item(&[Valid, Invalid, Valid], Vote::Majority), api::Verdict::Valid);
        assert_eq!(item(&[Invalid, Failure, Valid, Invalid], Vote::Majority), api::Verdict::Invalid);
        assert_eq!(item(&[Valid, Invalid], Vote::Majority), api::Verdict::Invalid);
        assert_eq!(item(&[Failure, Invalid, Failure, Invalid], Vote::Majority), api::Verdict::Failure);
    }
}
