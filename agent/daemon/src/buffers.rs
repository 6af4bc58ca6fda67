//! Memory for the bodies of leases, used again.
//!
//! Items are slices of the one piece that their lease came in. Once the last of them is dropped its memory serves the
//! next lease: finding new memory for each costs more than filling it.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::{Bytes, BytesMut};

/// Buffers that are kept an eye on, at most.
const KEPT: usize = 8;

/// A larger buffer, in bytes, goes when its items do: a batch of many has no more than this.
const LARGEST: usize = 8 << 20;

/// The memory of leases that came lately.
#[derive(Debug, Default)]
pub(crate) struct Buffers(Mutex<VecDeque<BytesMut>>);

impl Buffers {
    fn lock(&self) -> MutexGuard<'_, VecDeque<BytesMut>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An empty buffer: one whose items are all gone, if there is one; of several the newest, which is the likeliest to be
    /// in a cache.
    pub(crate) fn take(&self) -> BytesMut {
        let mut given = self.lock();
        // One byte more than it has at hand makes it look for what it may use again.
        let free = given.iter_mut().rposition(|buffer| buffer.try_reclaim(buffer.capacity() + 1));
        free.and_then(|at| given.remove(at)).unwrap_or_default()
    }

    /// What is in a buffer, to be shared; the buffer is taken again when nobody holds any of it.
    pub(crate) fn share(&self, mut buffer: BytesMut) -> Bytes {
        let capacity = buffer.capacity();
        let bytes = buffer.split().freeze();
        // Of an empty one nothing can be told to be held or not.
        if capacity <= LARGEST && !bytes.is_empty() {
            let mut given = self.lock();
            given.push_back(buffer);
            if given.len() > KEPT {
                given.pop_front();
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_once_the_last_item_is_gone() {
        let buffers = Buffers::default();
        let lease = |fill: u8| {
            let mut buffer = buffers.take();
            buffer.extend_from_slice(&[fill; 1000]);
            buffers.share(buffer)
        };
        let (first, second) = (lease(1), lease(2));
        let item = first.slice(10..20);
        let place = first.as_ptr();
        drop(first);
        let third = lease(3);
        assert_ne!(third.as_ptr(), place, "an item of the first is still held");
        assert_eq!((&item[..], &second[..]), (&[1; 10][..], &[2; 1000][..]));
        drop(item);
        assert_eq!(lease(4).as_ptr(), place);
    }

    #[test]
    fn no_more_is_kept_than_is_of_use() {
        let buffers = Buffers::default();
        let held: Vec<_> = (0..3 * KEPT).map(|_| buffers.share(BytesMut::from(&b"body"[..]))).collect();
        assert_eq!(buffers.lock().len(), KEPT);
        drop(held);
        buffers.share(BytesMut::zeroed(LARGEST + 1));
        let mut small = BytesMut::with_capacity(LARGEST + 1);
        small.extend_from_slice(b"body");
        buffers.share(small);
        buffers.share(BytesMut::new());
        let kept = buffers.lock();
        assert!(kept.len() == KEPT && kept.iter().all(|buffer| buffer.capacity() < 64), "{kept:?}");
    }
}
