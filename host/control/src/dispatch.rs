//! A granted lease becomes an order for the hub: its runs, its items, and their bodies.

use std::sync::Arc;

use bytes::Bytes;
use pigeon_api::{self as api, ApiError};
use pigeon_hub::LeaseOrder;
use pigeon_protocol::{
    id::RunIndex,
    limits::MAX_LEASE_BODIES,
    message::{LeasedItems, RunRange},
};
use pigeon_scheduler::{self as scheduler, Grant};
use pigeon_store::{ChunkInfo, Items, Store};

use crate::{error::store_error, job::Job};

/// The chunks that a grant needs, with bodies where they were at hand.
pub(crate) struct Needed {
    ranges: Vec<(u64, u64)>,
    chunks: Vec<(ChunkInfo, Option<Items>)>,
}

impl Needed {
    /// What a grant needs.
    pub(crate) fn of(job: &Job, grant: &Grant) -> Self {
        let ranges = item_ranges(job, &grant.runs);
        let mut chunks: Vec<(ChunkInfo, Option<Items>)> = Vec::new();
        for (first, last) in &ranges {
            for chunk in job.chunks_of(*first, *last) {
                if chunks.last().is_none_or(|before| before.0.seq < chunk.0.seq) {
                    chunks.push(chunk);
                }
            }
        }
        Self { ranges, chunks }
    }

    /// Whether nothing has to be read from disk.
    pub(crate) fn is_at_hand(&self) -> bool {
        self.chunks.iter().all(|(_, items)| items.is_some())
    }

    /// Read what is missing.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) async fn fetch(&mut self, store: &Arc<dyn Store>, job: &Job, room: u64) -> Result<(), ApiError> {
        for (chunk, items) in &mut self.chunks {
            if items.is_some() {
                continue;
            }
            let _one_at_a_time = job.reading().await;
            if let Some(cached) = job.cached(chunk.seq) {
                *items = Some(cached);
                continue;
            }
            let attempted = || format!("failed to read items of job {}", job.id);
            let read = store.items(job.id, chunk.seq).await.map_err(|error| store_error(attempted(), error))?;
            job.read_back(*chunk, read.clone(), room);
            *items = Some(read);
        }
        Ok(())
    }

    /// The order, once all is at hand.
    pub(crate) fn order(&self, job: Option<&Job>, grant: Grant) -> LeaseOrder {
        let mut items = Vec::new();
        let mut bodies: Vec<Bytes> = Vec::new();
        for (first, last) in &self.ranges {
            for (chunk, packed) in &self.chunks {
                let Some(packed) = packed else { continue };
                let (first, last) = ((*first).max(chunk.first), (*last).min(chunk.first + chunk.count));
                if first >= last {
                    continue;
                }
                // Below 2^16 items a chunk, so the casts lose nothing.
                let places = (first - chunk.first) as usize..(last - chunk.first) as usize;
                let mut stretch = LeasedItems::new(first);
                packed.heads(places.clone()).for_each(|(id, size)| stretch.push(id, size));
                items.push(stretch);
                bodies.extend(packed.bodies(places));
            }
        }
        LeaseOrder {
            lease: grant.lease,
            fence: grant.fence,
            job: grant.job,
            attempt: grant.attempt,
            context: job.and_then(Job::short_answer),
            items,
            runs: grant.runs,
            bodies,
        }
    }
}

/// A chunk, as far as the scheduler needs to know it. Its bytes are those that a lease of it would carry: bodies, ids and
/// what stands around each item. Where the items are not at hand their ids are taken for as large as they may be. Only
/// bodies make it larger than a lease may be: such a chunk is leased item by item.
pub(crate) fn scheduled(chunk: ChunkInfo, items: Option<&Items>) -> scheduler::Chunk {
    // A chunk has 2^16 items at most.
    let count = u32::try_from(chunk.count).unwrap_or(u32::MAX);
    let ids = items.map_or(api::Chunk::TARGET as u64, |items| items.iter().map(|item| item.id.len() as u64).sum());
    let bytes = match count {
        // An item that is alone in its chunk may be larger than a batch of several.
        1 => chunk.bytes,
        _ => chunk.bytes.saturating_add(ids + 32 * chunk.count).min(MAX_LEASE_BODIES.max(chunk.bytes)),
    };
    scheduler::Chunk { first: chunk.first, count, bytes }
}

/// The items of some runs, as ascending ranges `first..last` without overlap.
fn item_ranges(job: &Job, runs: &[RunRange]) -> Vec<(u64, u64)> {
    let item = |run: u64| job.shape.key(RunIndex(run)).item;
    let mut ranges: Vec<(u64, u64)> = runs
        .iter()
        .filter(|range| range.count > 0)
        .map(|range| (item(range.first), item(range.first.saturating_add(range.count - 1)) + 1))
        .collect();
    ranges.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if first <= before.1 => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_no_larger_for_its_heads_and_no_smaller_than_its_bodies() {
        let size = |count, bytes| scheduled(ChunkInfo { seq: 0, first: 0, count, bytes }, None).bytes;
        assert_eq!(size(1, 5 << 20), 5 << 20);
        assert_eq!(size(1 << 16, 2 << 20), MAX_LEASE_BODIES, "a lease may have all of it");
        assert_eq!(size(2, MAX_LEASE_BODIES + 1), MAX_LEASE_BODIES + 1, "and this item by item");
    }
}
