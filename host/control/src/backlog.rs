//! What was appended to a job and is not judged yet, in bytes: by this, appending is held back.
//!
//! An item counts as its body and [`AROUND`]: millions of tiny ones are no small matter.
//!
//! The bytes of an item count until the last of its runs has its outcome. Outcomes come in stretches of neighbouring
//! runs, so a stretch is taken at once: of items with one run each it costs two look-ups in a table of where their bodies
//! end. Chunks of an earlier owner come without such a table, and where a control host serves all of them do: they count as a
//! whole until their last run is done.

use std::{collections::VecDeque, ops::Range};

use pigeon_store::{ChunkInfo, Items};

/// What an item takes in memory beside its body, in bytes: its place, its id, and what is on its way of it.
pub(crate) const AROUND: u64 = 64;

/// What the items of a chunk take in memory, in bytes.
pub(crate) fn weight(chunk: ChunkInfo) -> u64 {
    chunk.bytes.saturating_add(chunk.count.saturating_mul(AROUND))
}

/// The chunks of a job that have runs left.
#[derive(Debug)]
pub(crate) struct Backlog {
    runs_per_item: u64,
    chunks: VecDeque<Chunk>,
}

#[derive(Debug)]
struct Chunk {
    runs: Range<u64>,
    /// Runs without an outcome.
    left: u64,
    /// Bytes that count still.
    bytes: u64,
    /// Since when it is there, in milliseconds since 1970.
    since_ms: u64,
    /// Its items one by one, if it has several and they are known.
    items: Option<Bodies>,
}

/// Four bytes an item, and four more where an item has several runs.
#[derive(Debug)]
struct Bodies {
    /// Where each ends, were they one behind the other.
    ends: Box<[u32]>,
    /// Runs that each item has left; empty where each has one.
    left: Box<[u32]>,
}

impl Backlog {
    /// Nothing yet of a job whose items have so many runs each.
    pub(crate) fn new(runs_per_item: u64) -> Self {
        Self { runs_per_item: runs_per_item.max(1), chunks: VecDeque::new() }
    }

    /// The next chunk, all of it unjudged. Gives the bytes that count.
    pub(crate) fn append(&mut self, chunk: ChunkInfo, items: &Items, since_ms: u64) -> u64 {
        let bodies = (chunk.count > 1).then(|| Bodies::of(items, self.runs_per_item)).flatten();
        self.push(chunk, bodies, 0, since_ms)
    }

    /// The next chunk, which an earlier owner appended; so many of its runs are done. Gives the bytes that count.
    pub(crate) fn take_up(&mut self, chunk: ChunkInfo, done: u64, since_ms: u64) -> u64 {
        self.push(chunk, None, done, since_ms)
    }

    /// Since when the first chunk is there that has runs left, in milliseconds since 1970.
    pub(crate) fn since_ms(&self) -> Option<u64> {
        self.chunks.front().map(|chunk| chunk.since_ms)
    }

    /// These runs have their outcomes, and none of them had one before. Gives the bytes that count no longer.
    pub(crate) fn judge(&mut self, runs: Range<u64>) -> u64 {
        let mut freed = 0;
        let first = self.chunks.partition_point(|chunk| chunk.runs.end <= runs.start);
        for chunk in self.chunks.range_mut(first..).take_while(|chunk| chunk.runs.start < runs.end) {
            let part = runs.start.max(chunk.runs.start)..runs.end.min(chunk.runs.end);
            freed += chunk.judge(part, self.runs_per_item);
        }
        while self.chunks.front().is_some_and(|chunk| chunk.left == 0) {
            self.chunks.pop_front();
        }
        freed
    }

    /// Runs of a chunk that had their outcomes are to be made again. Gives the bytes that count again.
    pub(crate) fn take_back(&mut self, runs: Range<u64>, chunk: ChunkInfo, since_ms: u64) -> u64 {
        let count = runs.end - runs.start;
        let at = self.chunks.partition_point(|chunk| chunk.runs.end <= runs.start);
        match self.chunks.get_mut(at).filter(|chunk| chunk.runs.start <= runs.start) {
            Some(chunk) if chunk.left > 0 => {
                chunk.left += count;
                0
            }
            judged => {
                let (bytes, all) = (weight(chunk), chunk.count.saturating_mul(self.runs_per_item));
                let first = chunk.first.saturating_mul(self.runs_per_item);
                let chunk = Chunk { runs: first..first.saturating_add(all), left: count, bytes, since_ms, items: None };
                match judged {
                    Some(judged) => *judged = chunk,
                    None => self.chunks.insert(at, chunk),
                }
                bytes
            }
        }
    }

    /// The same of runs in any order; quick where neighbours follow one another.
    pub(crate) fn judge_each(&mut self, runs: impl IntoIterator<Item = u64>) -> u64 {
        let (mut freed, mut stretch) = (0, 0..0);
        for run in runs {
            if run != stretch.end {
                freed += self.judge(stretch);
                stretch = run..run;
            }
            stretch.end = run + 1;
        }
        freed + self.judge(stretch)
    }

    fn push(&mut self, chunk: ChunkInfo, items: Option<Bodies>, done: u64, since_ms: u64) -> u64 {
        let first = chunk.first.saturating_mul(self.runs_per_item);
        let runs = chunk.count.saturating_mul(self.runs_per_item);
        let left = runs.saturating_sub(done);
        if left == 0 {
            return 0;
        }
        let bytes = weight(chunk);
        self.chunks.push_back(Chunk { runs: first..first.saturating_add(runs), left, bytes, since_ms, items });
        bytes
    }
}

impl Chunk {
    fn judge(&mut self, runs: Range<u64>, runs_per_item: u64) -> u64 {
        if runs.is_empty() || self.left == 0 {
            return 0;
        }
        self.left = self.left.saturating_sub(runs.end - runs.start);
        if self.left == 0 {
            self.items = None;
            return std::mem::take(&mut self.bytes);
        }
        let runs = runs.start - self.runs.start..runs.end - self.runs.start;
        let freed = self.items.as_mut().map_or(0, |items| items.judge(runs, runs_per_item)).min(self.bytes);
        self.bytes -= freed;
        freed
    }
}

impl Bodies {
    fn of(items: &Items, runs_per_item: u64) -> Option<Self> {
        let (mut ends, mut end) = (Vec::with_capacity(items.len()), 0u64);
        for size in items.sizes() {
            end += size + AROUND;
            ends.push(u32::try_from(end).ok()?);
        }
        let left = match runs_per_item {
            1 => Vec::new(),
            runs => vec![u32::try_from(runs).ok()?; ends.len()],
        };
        Some(Self { ends: ends.into(), left: left.into() })
    }

    /// Runs of the chunk, counted from its first.
    fn judge(&mut self, runs: Range<u64>, runs_per_item: u64) -> u64 {
        if self.left.is_empty() {
            return self.end(runs.end) - self.end(runs.start);
        }
        let mut freed = 0;
        for item in runs.start / runs_per_item..runs.end.div_ceil(runs_per_item) {
            let own = item * runs_per_item..(item + 1) * runs_per_item;
            let judged = runs.end.min(own.end) - runs.start.max(own.start);
            let Some(left) = self.left.get_mut(item as usize) else { break };
            // Not more than the runs of an item, which fit.
            *left = left.saturating_sub(judged as u32);
            if *left == 0 {
                freed += self.end(item + 1) - self.end(item);
            }
        }
        freed
    }

    /// Where the bodies of so many items end, or of all that there are.
    fn end(&self, items: u64) -> u64 {
        let last = items.checked_sub(1).and_then(|last| self.ends.get(last as usize).or(self.ends.last()));
        last.map_or(0, |end| u64::from(*end))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use pigeon_store::ItemsBuilder;
    use proptest::prelude::*;

    use super::*;

    /// Chunks of items of these sizes.
    fn chunks(sizes: &[Vec<usize>]) -> Vec<(ChunkInfo, Items)> {
        let mut first = 0;
        let mut chunks = Vec::new();
        for (seq, sizes) in sizes.iter().enumerate() {
            let mut builder = ItemsBuilder::default();
            sizes.iter().for_each(|size| builder.push("", 0, vec![0; *size].into()));
            let items = builder.take();
            let count = items.len() as u64;
            chunks.push((ChunkInfo { seq: seq as u64, first, count, bytes: items.bytes() }, items));
            first += count;
        }
        chunks
    }

    proptest! {
        #[test]
        fn an_item_counts_until_its_last_run_is_done(
            sizes in prop::collection::vec(prop::collection::vec(0usize..50, 1..9), 1..6),
            runs_per_item in 1u64..4,
            order: prop::sample::Index,
            seed: u64,
        ) {
            let mut backlog = Backlog::new(runs_per_item);
            let chunks = chunks(&sizes);
            for (chunk, items) in &chunks {
                prop_assert_eq!(backlog.append(*chunk, items, 0), weight(*chunk));
            }
            let sizes: Vec<u64> = sizes.concat().into_iter().map(|size| size as u64 + AROUND).collect();
            // Stretches of neighbours in some order that is not theirs.
            let total = sizes.len() as u64 * runs_per_item;
            let length = 1 + order.index(7) as u64;
            let mut stretches: Vec<_> = (0..total).step_by(length as usize).map(|at| at..total.min(at + length)).collect();
            stretches.sort_by_key(|stretch| (stretch.start ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let mut left: BTreeMap<u64, u64> = (0..sizes.len() as u64).map(|item| (item, runs_per_item)).collect();
            for (at, stretch) in stretches.into_iter().enumerate() {
                let mut expected = 0;
                for run in stretch.clone() {
                    let left = left.get_mut(&(run / runs_per_item)).unwrap();
                    *left -= 1;
                    expected += if *left == 0 { sizes[(run / runs_per_item) as usize] } else { 0 };
                }
                // A chunk is over with its last run, and an item without bytes may be that.
                let freed = if at % 2 == 0 { backlog.judge(stretch) } else { backlog.judge_each(stretch.rev()) };
                prop_assert_eq!(freed, expected);
            }
            prop_assert!(backlog.chunks.is_empty());
        }
    }

    #[test]
    fn tiny_items_before_huge_ones_free_what_they_are() {
        let mut backlog = Backlog::new(1);
        let chunks = chunks(&[vec![1; 900], vec![1 << 20], vec![3, 1 << 19]]);
        for (chunk, items) in &chunks {
            backlog.append(*chunk, items, 0);
        }
        assert_eq!(backlog.judge(0..900), 900 * (1 + AROUND));
        assert_eq!(backlog.judge(901..902), 3 + AROUND);
        assert_eq!(backlog.judge(900..901), (1 << 20) + AROUND);
        assert_eq!(backlog.judge_each([902]), (1 << 19) + AROUND);
    }

    #[test]
    fn items_that_are_said_to_be_there_and_are_not_count_nothing() {
        let mut backlog = Backlog::new(1);
        let (chunk, items) = chunks(&[vec![5, 6]]).remove(0);
        backlog.append(ChunkInfo { count: 4, ..chunk }, &items, 0);
        assert_eq!(backlog.judge(1..3), 6 + AROUND);
        assert_eq!(backlog.judge(0..1), 5 + AROUND);
    }

    #[test]
    fn what_is_taken_back_counts_again_until_it_is_done() {
        let mut backlog = Backlog::new(2);
        let chunk = |seq, first| ChunkInfo { seq, first, count: 5, bytes: 100 };
        let weight = 100 + 5 * AROUND;
        (0..3).for_each(|seq| _ = backlog.take_up(chunk(seq, 5 * seq), 0, seq));
        assert_eq!((backlog.judge(0..10), backlog.judge(12..13), backlog.judge(20..30)), (weight, 0, weight));
        assert_eq!(backlog.take_back(12..13, chunk(1, 5), 7), 0, "of one that counts");
        assert_eq!(backlog.take_back(20..22, chunk(2, 10), 7), weight, "of one behind it");
        assert_eq!(backlog.take_back(3..4, chunk(0, 0), 7), weight, "of one that is forgotten");
        assert_eq!(backlog.since_ms(), Some(7));
        assert_eq!((backlog.judge(3..4), backlog.since_ms()), (weight, Some(1)));
        assert_eq!((backlog.judge(10..20), backlog.judge(20..21), backlog.judge(21..22)), (weight, 0, weight));
        assert!(backlog.chunks.is_empty());
    }

    #[test]
    fn chunks_of_an_earlier_owner_count_as_a_whole() {
        let mut backlog = Backlog::new(2);
        let chunk = |seq, first| ChunkInfo { seq, first, count: 5, bytes: 100 };
        assert_eq!(backlog.take_up(chunk(0, 0), 10, 7), 0, "all of it was done");
        let weight = 100 + 5 * AROUND;
        assert_eq!(backlog.take_up(chunk(1, 5), 7, 8), weight);
        assert_eq!(backlog.take_up(chunk(2, 10), 0, 9), weight);
        assert_eq!(backlog.since_ms(), Some(8));
        assert_eq!(backlog.judge(12..14), 0);
        assert_eq!(backlog.judge(14..15), weight);
        assert_eq!(backlog.since_ms(), Some(9), "what is done is not waited for");
        assert_eq!(backlog.judge(20..30), weight);
        assert!(backlog.chunks.is_empty() && backlog.since_ms().is_none());
    }
}
