//! A lease: which runs a session may answer, and until when.
//!
//! ```text
//!            grant                       every run answered, or the batch said to be over
//!   (none) ────────► live ──────────────────────────────────────────────────────────────► ended
//!                    │ ▲ │                                                                  ▲
//!             beat,  └─┘ ├── session died, drained, was revoked or does not move ─────────┤
//!           landing      ├── every run has its outcome, by a copy: cancelled ───────────────┤
//!                        ├── job cancelled or forgotten: cancelled ─────────────────────────┤
//!                        ├── three beats passed: expired, cancelled ────────────────────────┤
//!                        │                                                                  │
//!                        └── session unreachable ──► orphan ── back in the same life ──► live
//!                                                          ├── back in another life ───────► ended (as died)
//!                                                          └── three beats passed ─────────► ended
//! ```
//!
//! A lease that has ended is gone: what comes under its number or fence later is stale.
//!
//! Outcomes come in the order of the runs, as a rule: a lease counts how many it has got from the beginning, and keeps
//! a set only of those that came out of turn. So a batch of thousands costs no memory a run.

use std::{collections::BTreeSet, ops::Range};

use pigeon_protocol::{
    id::{AgentId, Fence, IncarnationId, JobId, LeaseId, RunIndex, SessionId},
    message::RunRange,
};

use crate::Time;

/// A live lease.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) fence: Fence,
    pub(crate) session: SessionId,
    pub(crate) agent: AgentId,
    pub(crate) incarnation: IncarnationId,
    pub(crate) job: JobId,
    pub(crate) attempt: u32,
    pub(crate) alone: bool,
    pub(crate) given: Time,
    /// When something of it began or was answered last; when it was given, until then.
    pub(crate) moved: Time,
    /// What its job was charged for it, in microseconds, where nobody knew what its runs would take; less what has landed.
    pub(crate) prepaid: Option<u64>,
    /// Ends when this has passed.
    pub(crate) expires: Time,
    /// When it may be copied to an idle session; `None` for what is not copied: suspects, places, copies, the copied.
    pub(crate) copy_at: Option<Time>,
    /// The lease that has the same runs.
    pub(crate) twin: Option<LeaseId>,
    /// What the agent said it had begun, last.
    pub(crate) begun: Vec<RunIndex>,
    pub(crate) runs: Answers,
}

impl Lease {
    /// Whether its agent said that it is at one of its runs.
    pub(crate) fn is_running(&self) -> bool {
        self.begun.iter().any(|run| self.runs.is_open(*run))
    }
}

/// Runs, and which of them are answered.
#[derive(Debug)]
pub(crate) struct Answers {
    runs: Vec<RunRange>,
    total: u64,
    answered: u64,
    /// The first run that was not answered in turn: its range, and its place there.
    next: (usize, u64),
    /// Runs behind it that were answered.
    beyond: BTreeSet<u64>,
}

/// What an outcome is to a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    First,
    Repeated,
    NotLeased,
}

impl Answers {
    /// No run of them is answered yet. The ranges do not overlap, and none is empty.
    pub(crate) fn new(runs: Vec<RunRange>) -> Self {
        let total = runs.iter().map(|range| range.count).sum();
        Self { runs, total, answered: 0, next: (0, 0), beyond: BTreeSet::new() }
    }

    /// How many runs there are.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Whether none is answered.
    pub(crate) fn is_untouched(&self) -> bool {
        self.answered == 0
    }

    /// Whether each is answered.
    pub(crate) fn is_complete(&self) -> bool {
        self.answered == self.total
    }

    /// Takes an answer.
    pub(crate) fn answer(&mut self, run: RunIndex) -> Answer {
        let (range, at) = self.next;
        if let Some(expected) = self.runs.get(range)
            && expected.first + at == run.0
        {
            self.advance();
            self.answered += 1;
            if !self.beyond.is_empty() {
                self.catch_up();
            }
            return Answer::First;
        }
        let Some(found) = self.runs.iter().position(|range| contains(range, run.0)) else { return Answer::NotLeased };
        if (found, run.0 - self.runs[found].first) < self.next || !self.beyond.insert(run.0) {
            return Answer::Repeated;
        }
        self.answered += 1;
        Answer::First
    }

    /// Whether a run is one of them and not answered.
    pub(crate) fn is_open(&self, run: RunIndex) -> bool {
        let found = self.runs.iter().position(|range| contains(range, run.0));
        found.is_some_and(|found| (found, run.0 - self.runs[found].first) >= self.next && !self.beyond.contains(&run.0))
    }

    /// The runs that are not answered, in the order of the lease.
    pub(crate) fn open(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        let (range, at) = self.next;
        self.runs.iter().enumerate().skip(range).flat_map(move |(index, runs)| {
            let start = runs.first + if index == range { at } else { 0 };
            let end = runs.first + runs.count;
            let mut from = start;
            let gaps = self.beyond.range(start..end).copied().chain([end]);
            gaps.map(move |gap| std::mem::replace(&mut from, gap + 1)..gap).filter(|range| !range.is_empty())
        })
    }

    fn advance(&mut self) {
        let (range, at) = self.next;
        self.next = if at + 1 < self.runs[range].count { (range, at + 1) } else { (range + 1, 0) };
    }

    fn catch_up(&mut self) {
        while let Some(range) = self.runs.get(self.next.0)
            && self.beyond.remove(&(range.first + self.next.1))
        {
            self.advance();
        }
    }
}

fn contains(range: &RunRange, run: u64) -> bool {
    run >= range.first && run - range.first < range.count
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answers() -> Answers {
        Answers::new(vec![RunRange { first: 10, count: 5 }, RunRange { first: 2, count: 3 }])
    }

    #[test]
    fn answers_in_turn_keep_no_set() {
        let mut answers = answers();
        for run in [10, 11, 12, 13, 14, 2, 3, 4] {
            assert!(!answers.is_complete());
            assert_eq!(answers.answer(RunIndex(run)), Answer::First);
            assert!(answers.beyond.is_empty());
        }
        assert!(answers.is_complete());
        assert_eq!(answers.answer(RunIndex(4)), Answer::Repeated);
        assert_eq!(answers.open().count(), 0);
    }

    #[test]
    fn what_is_open_leaves_out_what_came_early() {
        let mut answers = answers();
        for run in [10, 12, 3] {
            assert_eq!(answers.answer(RunIndex(run)), Answer::First);
        }
        assert_eq!(answers.answer(RunIndex(12)), Answer::Repeated);
        assert_eq!(answers.answer(RunIndex(9)), Answer::NotLeased);
        assert_eq!(answers.open().collect::<Vec<_>>(), [11..12, 13..15, 2..3, 4..5]);
        assert!(answers.is_open(RunIndex(13)) && !answers.is_open(RunIndex(12)) && !answers.is_open(RunIndex(20)));
    }

    proptest! {
        #[test]
        fn any_order_completes_once(order in Just((0u64..30).collect::<Vec<_>>()).prop_shuffle(), cut in 1u64..29) {
            let runs = vec![RunRange { first: cut, count: 30 - cut }, RunRange { first: 0, count: cut }];
            let mut answers = Answers::new(runs);
            for (count, run) in order.iter().enumerate() {
                prop_assert_eq!(answers.open().flatten().count(), 30 - count);
                prop_assert!(answers.is_open(RunIndex(*run)));
                prop_assert_eq!(answers.answer(RunIndex(*run)), Answer::First);
                prop_assert_eq!(answers.answer(RunIndex(*run)), Answer::Repeated);
            }
            prop_assert!(answers.is_complete() && answers.beyond.is_empty());
        }
    }
}
