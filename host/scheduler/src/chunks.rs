//! Where items lie: the index of a job's chunks, and the bytes that a batch touches.
//!
//! Bodies are stored in chunks of about a mebibyte; an item that is larger has a chunk of its own. Bytes are counted
//! by whole chunks, because that is what the control host has to read to send a batch.

use std::ops::Range;

use crate::event::Chunk;

/// A job's chunks: 16 bytes each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chunks {
    marks: Vec<Mark>,
    items: u64,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    first: u64,
    bytes: u64,
}

impl Chunks {
    /// Adds a chunk. False if it does not begin where the last one ended.
    pub(crate) fn append(&mut self, chunk: Chunk) -> bool {
        let next = chunk.first == self.items;
        if next && chunk.count > 0 {
            self.marks.push(Mark { first: chunk.first, bytes: chunk.bytes });
            self.items += u64::from(chunk.count);
        }
        next
    }

    /// Items appended.
    pub(crate) fn items(&self) -> u64 {
        self.items
    }

    /// Memory that it takes on the heap, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.marks.capacity() * size_of::<Mark>()
    }

    /// Number of the chunk that holds an item.
    fn holding(&self, item: u64) -> Option<usize> {
        (item < self.items).then(|| self.marks.partition_point(|mark| mark.first <= item) - 1)
    }

    /// The item behind a chunk's last one.
    fn end(&self, chunk: usize) -> u64 {
        self.marks.get(chunk + 1).map_or(self.items, |next| next.first)
    }
}

/// What a batch may still take. Runs must be offered in ascending order.
#[derive(Debug)]
pub(crate) struct Budget<'a> {
    chunks: &'a Chunks,
    runs_per_item: u64,
    runs: u64,
    bytes: u64,
    last: Option<usize>,
}

impl<'a> Budget<'a> {
    pub(crate) fn new(chunks: &'a Chunks, runs_per_item: u64, runs: u64, bytes: u64) -> Self {
        Self { chunks, runs_per_item, runs, bytes, last: None }
    }

    /// Whether nothing more can be taken.
    pub(crate) fn is_spent(&self) -> bool {
        self.runs == 0
    }

    /// Takes as many of these runs as fit, from the first on. Returns how many.
    pub(crate) fn take(&mut self, runs: Range<u64>) -> u64 {
        let mut at = runs.start;
        while at < runs.end && self.runs > 0 {
            let item = at / self.runs_per_item;
            let Some(chunk) = self.chunks.holding(item) else { break };
            let mut end = self.chunks.end(chunk) * self.runs_per_item;
            if self.last != Some(chunk) {
                let bytes = self.chunks.marks[chunk].bytes;
                if bytes <= self.bytes {
                    self.bytes -= bytes;
                } else if self.last.is_none() {
                    // Larger than a batch by itself: one item makes the batch.
                    end = (item + 1) * self.runs_per_item;
                    self.runs = self.runs.min(end.min(runs.end) - at);
                } else {
                    self.runs = 0;
                    break;
                }
                self.last = Some(chunk);
            }
            let taken = (end.min(runs.end) - at).min(self.runs);
            at += taken;
            self.runs -= taken;
        }
        at - runs.start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn chunks(sizes: &[(u32, u64)]) -> Chunks {
        let mut chunks = Chunks::default();
        for &(count, bytes) in sizes {
            assert!(chunks.append(Chunk { first: chunks.items(), count, bytes }));
        }
        chunks
    }

    #[test]
    fn chunks_follow_one_another() {
        let mut chunks = chunks(&[(10, MIB)]);
        assert!(!chunks.append(Chunk { first: 0, count: 10, bytes: MIB }), "a repeat");
        assert!(!chunks.append(Chunk { first: 11, count: 1, bytes: 1 }), "a gap");
        assert!(chunks.append(Chunk { first: 10, count: 1, bytes: 1 }));
        assert_eq!(chunks.items(), 11);
    }

    #[test]
    fn a_batch_touches_four_mebibytes_of_chunks() {
        let chunks = chunks(&[(100, MIB); 10]);
        assert_eq!(Budget::new(&chunks, 1, 10_000, 4 * MIB).take(0..1000), 400);
        assert_eq!(Budget::new(&chunks, 1, 10_000, 4 * MIB).take(50..1000), 350, "a part of a chunk counts whole");
        assert_eq!(Budget::new(&chunks, 3, 10_000, 4 * MIB).take(0..3000), 1200);
        assert_eq!(Budget::new(&chunks, 1, 77, 4 * MIB).take(0..1000), 77);
        assert_eq!(Budget::new(&chunks, 1, 10_000, 4 * MIB).take(900..2000), 100, "nothing that is not there");
    }

    #[test]
    fn scattered_runs_count_each_chunk_once() {
        let chunks = chunks(&[(100, MIB); 10]);
        let mut budget = Budget::new(&chunks, 1, 10_000, 2 * MIB);
        assert_eq!(budget.take(3..5), 2);
        assert_eq!(budget.take(90..110), 20);
        assert_eq!(budget.take(120..300), 80);
        assert!(budget.is_spent());
    }

    #[test]
    fn an_item_larger_than_a_batch_goes_by_itself() {
        let chunks = chunks(&[(1, MIB), (1, 64 * MIB), (5, MIB)]);
        let mut budget = Budget::new(&chunks, 2, 10_000, 4 * MIB);
        assert_eq!(budget.take(0..14), 2);
        assert!(budget.is_spent());
        let mut budget = Budget::new(&chunks, 2, 10_000, 4 * MIB);
        assert_eq!(budget.take(2..14), 2);
        assert!(budget.is_spent());
        let mut budget = Budget::new(&chunks, 2, 1, 4 * MIB);
        assert_eq!(budget.take(2..14), 1, "and not more runs of it than asked for");
    }
}
