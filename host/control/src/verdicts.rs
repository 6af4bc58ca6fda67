//! How the runs of an item become the item's result.
//!
//! Results come in the order of the runs, and all runs of an item stand together: so one item is gathered at a time.

use bytes::Bytes;
use pigeon_api::{ItemResult, Vote};
use pigeon_protocol::outcome::Verdict;
use pigeon_store::OutcomeRow;

use crate::{convert, record};

/// The runs of one item, as far as they were seen.
#[derive(Debug)]
pub(crate) struct ItemRuns {
    index: u64,
    time_us: u64,
    /// Runs with each verdict, by `Verdict as usize`.
    count: [u64; 3],
    /// What the first run with each verdict had to say: one of them will speak for the item.
    first: [Option<Bytes>; 3],
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
    pub(crate) fn add(&mut self, row: &OutcomeRow) {
        self.time_us += row.time_us;
        let at = row.verdict as usize;
        self.count[at] += 1;
        self.first[at].get_or_insert_with(|| row.detail.clone());
    }

    /// What became of the item.
    pub(crate) fn finish(mut self, id: String, line: u64, vote: Vote) -> ItemResult {
        let verdict = self.verdict(vote);
        let said = record::said(verdict, self.first[verdict as usize].take().unwrap_or_default());
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
    use pigeon_protocol::id::RunIndex;

    use super::*;

    fn item(verdicts: &[Verdict], vote: Vote) -> api::Verdict {
        let mut runs = ItemRuns::new(0);
        for verdict in verdicts {
            let (run, error, detail) = (RunIndex(0), None, Bytes::new());
            runs.add(&OutcomeRow { run, verdict: *verdict, time_us: 1, attempts: 1, error, detail });
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
