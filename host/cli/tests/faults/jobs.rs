//! Jobs whose right answers are known, drawn from a seed.

use bytes::Bytes;
use pigeon_api::{Chunk, ChunkBuilder, Verdict, Work};

use crate::draws::Draws;

/// The item of a poisoned job that kills.
pub(crate) const POISON: u64 = 4;

/// What judges a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judge {
    Json,
    Gexpr,
    /// What it says is in its options: `true` for all is well.
    Echo(bool),
    /// A guest that crashes and fails as its items say.
    Hostile,
    /// The same guest, of which one item keeps its agent busy until somebody kills it.
    Poison,
}

/// What is done to a job while it is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Nothing,
    /// It waits for a moment when half of it has landed.
    Pause,
    /// Nobody wants the rest of it when half of it has landed.
    Cancel,
    /// It is submitted once more, with its key.
    Repeat,
}

/// A job to be submitted.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) number: usize,
    pub(crate) judge: Judge,
    pub(crate) work: Work,
    pub(crate) items: u64,
    /// Items of a chunk.
    pub(crate) chunk: u64,
    pub(crate) priority: i32,
    pub(crate) act: Act,
    /// Runs of all orders before it.
    pub(crate) before: u64,
}

/// All that judge and harm nobody.
const JUDGES: [Judge; 5] = [Judge::Json, Judge::Gexpr, Judge::Echo(true), Judge::Echo(false), Judge::Hostile];

/// Orders that come before anything goes wrong: one for each that judges, so that it is compiled.
pub(crate) const FIRST: usize = JUDGES.len();

/// Orders of so many runs in all, or a few more.
pub(crate) fn orders(draws: &Draws, runs: u64) -> Vec<Order> {
    let mut draws = draws.fork(2);
    let first = |(number, judge)| Order {
        number,
        judge,
        work: Work::Many { iterations: 1, workers: None },
        items: 1,
        chunk: 1,
        priority: 0,
        act: Act::Nothing,
        before: 0,
    };
    let mut orders: Vec<Order> = JUDGES.into_iter().enumerate().map(first).collect();
    let mut before = FIRST as u64;
    while before < runs {
        let iterations = u32::try_from(draws.pick(&[1, 1, 1, 3])).unwrap_or(1);
        let items = match draws.below(10) {
            0..4 => draws.between(1, 20),
            4..8 => draws.between(20, (runs / 200).max(40)),
            _ => draws.between(100, (runs / 15).max(200)),
        };
        let (work, items) = match draws.one_in(8) {
            true => (Work::One { workers: 1 + u32::try_from(draws.below(6)).unwrap_or(0), iterations: 20 }, 1),
            false => (Work::Many { iterations, workers: None }, items),
        };
        let order = Order {
            number: orders.len(),
            judge: draws.pick(&JUDGES),
            work,
            items,
            chunk: draws.between(1, 2 + items / 2).min(20_000),
            priority: draws.pick(&[-1, -1, -1, -1, 0, 4]),
            act: draws.pick(&[Act::Nothing, Act::Nothing, Act::Nothing, Act::Pause, Act::Cancel, Act::Repeat]),
            before,
        };
        before += order.runs();
        orders.push(order);
    }
    orders
}

impl Order {
    pub(crate) fn runs_per_item(&self) -> u64 {
        match self.work {
            Work::One { workers, iterations } => u64::from(workers) * u64::from(iterations),
            Work::Many { iterations, .. } => u64::from(iterations),
        }
    }

    pub(crate) fn runs(&self) -> u64 {
        self.items * self.runs_per_item()
    }

    /// One that kills its agents, among others that do not.
    pub(crate) fn poison(number: usize) -> Self {
        let (work, items) = (Work::Many { iterations: 1, workers: None }, 9);
        Self { number, judge: Judge::Poison, work, items, chunk: items, priority: 0, act: Act::Nothing, before: 0 }
    }

    pub(crate) fn key(&self) -> String {
        format!("order {}", self.number)
    }

    pub(crate) fn chunks(&self) -> u64 {
        self.items.div_ceil(self.chunk)
    }

    /// Chunk number `seq`.
    pub(crate) fn chunk(&self, seq: u64) -> Chunk {
        let first = seq * self.chunk;
        let mut builder = ChunkBuilder::new(seq, first);
        for item in first..(first + self.chunk).min(self.items) {
            let (body, _) = self.judge.item(item);
            builder.push(|id| id.extend_from_slice(item.to_string().as_bytes()), item + 1, body.as_bytes());
        }
        builder.finish(Bytes::new())
    }

    pub(crate) fn options(&self) -> Vec<(&'static str, &'static str)> {
        match self.judge {
            Judge::Echo(true) => vec![("echo", "none")],
            Judge::Echo(false) => vec![("echo", "none"), ("verdict", "invalid")],
            Judge::Hostile | Judge::Poison => vec![("do", "body")],
            Judge::Json | Judge::Gexpr => Vec::new(),
        }
    }
}

impl Judge {
    /// The item's body, and what is right to say of it.
    pub(crate) fn item(self, item: u64) -> (String, Verdict) {
        match self {
            Self::Json if item.is_multiple_of(3) => ("{".to_owned(), Verdict::Invalid),
            Self::Json => (item.to_string(), Verdict::Valid),
            Self::Gexpr if item.is_multiple_of(5) => (r#"{"g":"ref","v":"nobody"}"#.to_owned(), Verdict::Invalid),
            Self::Gexpr => (format!(r#"{{"g":"lit","v":{item}}}"#), Verdict::Valid),
            // There is nothing right to say of it: nobody lives to tell.
            Self::Poison if item == POISON => ("spin".to_owned(), Verdict::Failure),
            Self::Poison => (format!("valid:{item}"), Verdict::Valid),
            Self::Echo(valid) => (item.to_string(), if valid { Verdict::Valid } else { Verdict::Invalid }),
            Self::Hostile => {
                let (deed, verdict) = match item % 97 {
                    13 => ("trap", Verdict::Failure),
                    41 => ("fail-permanent", Verdict::Failure),
                    67 => ("fail-transient", Verdict::Failure),
                    number if number % 10 == 7 => ("invalid", Verdict::Invalid),
                    number if number % 10 == 3 => ("busy", Verdict::Valid),
                    _ => ("valid", Verdict::Valid),
                };
                let argument = if deed == "busy" { 2 } else { item };
                (format!("{deed}:{argument}"), verdict)
            }
        }
    }
}
