//! Items on their way into a job, about 1 MiB of them at a time.

use std::{collections::VecDeque, ops::RangeInclusive};

use bytes::{Bytes, BytesMut};

/// Some items, packed: ids and bodies each lie in one piece, so that a thousand items cost two allocations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Number of the chunk in its job, from 0 by one.
    pub seq: u64,
    /// Index of its first item in the job, from 0.
    pub first: u64,
    /// Where the reader of the input stands behind this chunk. Opaque here; [`ResumePoint`](crate::ResumePoint) gives
    /// the last one back.
    pub cursor: Bytes,
    /// All ids, one behind the other.
    pub ids: Bytes,
    /// Where each id ends in `ids`.
    pub id_ends: Vec<u32>,
    /// The line of its source on which each item begins, from 1; 0 where that means nothing.
    pub lines: Vec<u64>,
    /// All bodies, one behind the other.
    pub bodies: Bytes,
    /// Where each body ends in `bodies`.
    pub body_ends: Vec<u64>,
}

impl Chunk {
    /// A body that a chunk may hold together with others, and about the size of a chunk, in bytes.
    pub const TARGET: usize = 1 << 20;

    /// Most items of a chunk: as many as a lease may have.
    pub const MOST_ITEMS: usize = pigeon_protocol::limits::MAX_LEASE_ITEMS;

    /// Number of items.
    pub fn len(&self) -> usize {
        self.body_ends.len()
    }

    /// Whether it holds no item.
    pub fn is_empty(&self) -> bool {
        self.body_ends.is_empty()
    }
}

/// Buffers that a builder keeps an eye on, at most.
const BUFFERS: usize = 64;

/// How large they are, in bytes: as the chunks of a large input are.
const BUFFER: RangeInclusive<usize> = Chunk::TARGET..=2 * Chunk::TARGET;

/// Gathers items into chunks. The memory of bodies that nobody holds any more is used again: finding new memory for each
/// chunk costs more than filling it.
#[derive(Debug, Default)]
pub struct ChunkBuilder {
    ids: BytesMut,
    id_ends: Vec<u32>,
    lines: Vec<u64>,
    bodies: BytesMut,
    /// What earlier bodies lie in, the oldest first.
    given: VecDeque<BytesMut>,
    /// Whether the last chunk was a large one: the next will be, too.
    large: bool,
    body_ends: Vec<u64>,
    seq: u64,
    first: u64,
}

impl ChunkBuilder {
    /// A builder whose next chunk has this number, and whose next item has this index.
    pub fn new(seq: u64, first: u64) -> Self {
        Self { seq, first, ..Self::default() }
    }

    /// Whether an item of `size` bytes should wait for the next chunk. An item larger than [`Chunk::TARGET`] stands
    /// alone in its chunk; items that take nothing are counted at least.
    pub fn is_full_for(&self, size: usize) -> bool {
        let full = self.bodies.len() + size > Chunk::TARGET || self.ids.len() > Chunk::TARGET;
        !self.is_empty() && (full || self.len() >= Chunk::MOST_ITEMS)
    }

    /// Number of items gathered.
    pub fn len(&self) -> usize {
        self.body_ends.len()
    }

    /// Whether nothing has been gathered.
    pub fn is_empty(&self) -> bool {
        self.body_ends.is_empty()
    }

    /// Add an item that begins on `line` of its source (from 1; 0 where that means nothing). The id is written by the
    /// caller, so that no string is made for each.
    pub fn push(&mut self, write_id: impl FnOnce(&mut BytesMut), line: u64, body: &[u8]) {
        write_id(&mut self.ids);
        self.id_ends.push(u32::try_from(self.ids.len()).unwrap_or(u32::MAX));
        self.lines.push(line);
        if self.bodies.capacity() == 0 && self.large {
            self.bodies = self.buffer(body.len());
        }
        self.bodies.extend_from_slice(body);
        self.body_ends.push(self.bodies.len() as u64);
    }

    /// A buffer for so many bytes: one that nobody holds anything of, if there is one; of several the newest, which is the
    /// likeliest to be in a cache.
    fn buffer(&mut self, size: usize) -> BytesMut {
        let size = size.max(*BUFFER.start());
        let free = self.given.iter_mut().rposition(|given| given.try_reclaim(size));
        free.and_then(|at| self.given.remove(at)).unwrap_or_else(|| BytesMut::with_capacity(size))
    }

    /// What was gathered; the builder goes on with the next chunk.
    pub fn finish(&mut self, cursor: Bytes) -> Chunk {
        let capacity = self.bodies.capacity();
        let bodies = self.bodies.split().freeze();
        self.large = bodies.len() >= Chunk::TARGET / 2;
        if self.large {
            // The rest is too small for the next; of a small chunk's buffer, the rest serves the next.
            let given = std::mem::take(&mut self.bodies);
            if BUFFER.contains(&capacity) {
                self.given.push_back(given);
            }
            if self.given.len() > BUFFERS {
                self.given.pop_front();
            }
        }
        let chunk = Chunk {
            seq: self.seq,
            first: self.first,
            cursor,
            ids: self.ids.split().freeze(),
            id_ends: std::mem::take(&mut self.id_ends),
            lines: std::mem::take(&mut self.lines),
            bodies,
            body_ends: std::mem::take(&mut self.body_ends),
        };
        self.seq += 1;
        self.first += chunk.len() as u64;
        chunk
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(builder: &mut ChunkBuilder, fill: u8) -> Chunk {
        builder.push(|id| id.extend_from_slice(b"id"), 1, &vec![fill; Chunk::TARGET]);
        builder.finish(Bytes::new())
    }

    #[test]
    fn memory_is_used_again_once_nobody_holds_what_was_in_it() {
        let mut builder = ChunkBuilder::default();
        // Grown as it came, and then of the size that is kept.
        chunk(&mut builder, 0);
        let (first, second) = (chunk(&mut builder, 1), chunk(&mut builder, 2));
        let third = chunk(&mut builder, 3);
        let places = [&first, &second, &third].map(|chunk| chunk.bodies.as_ptr());
        for (chunk, fill) in [(&first, 1), (&second, 2), (&third, 3)] {
            assert!(chunk.bodies.iter().all(|&byte| byte == fill), "chunk {fill} is still held");
        }
        drop(second);
        let fourth = chunk(&mut builder, 4);
        drop(first);
        let fifth = chunk(&mut builder, 5);
        assert_eq!([fourth.bodies.as_ptr(), fifth.bodies.as_ptr()], [places[1], places[0]]);
        assert!(third.bodies.iter().all(|&byte| byte == 3));
        assert_eq!((fourth.seq, fourth.first, fifth.seq), (4, 4, 5));
    }

    #[test]
    fn large_items_and_small_chunks_pin_no_memory() {
        let mut builder = ChunkBuilder::default();
        for size in [1, 40 << 20, 3 << 20, 1 << 20, 5, 30 << 20, 1 << 20] {
            builder.push(|id| id.extend_from_slice(b"id"), 1, &vec![1; size]);
            builder.finish(Bytes::new());
        }
        assert!(builder.given.iter().all(|given| given.capacity() <= *BUFFER.end()));
        assert!(builder.given.len() <= 2, "{}", builder.given.len());

        // As a slow stream brings them, each held as long as it waits to be judged.
        let mut builder = ChunkBuilder::default();
        let held: Vec<Chunk> = (0..1000)
            .map(|_| {
                builder.push(|id| id.extend_from_slice(b"id"), 1, b"tiny");
                assert!(builder.bodies.capacity() < 64 << 10, "{}", builder.bodies.capacity());
                builder.finish(Bytes::new())
            })
            .collect();
        assert!(builder.given.is_empty() && held.iter().all(|chunk| chunk.bodies == "tiny"));
    }

    #[test]
    fn items_that_take_nothing_fill_a_chunk_as_well() {
        let mut builder = ChunkBuilder::default();
        for _ in 0..Chunk::MOST_ITEMS {
            assert!(!builder.is_full_for(0), "after {} items", builder.len());
            builder.push(|_| {}, 0, b"");
        }
        assert!(builder.is_full_for(0));
    }

    #[test]
    fn no_more_is_watched_than_is_of_use() {
        let mut builder = ChunkBuilder::default();
        let held: Vec<Chunk> = (0..2 * BUFFERS).map(|_| chunk(&mut builder, 1)).collect();
        assert_eq!((builder.given.len(), held.len()), (BUFFERS, 2 * BUFFERS));
    }
}
