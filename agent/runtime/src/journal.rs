//! A run's log: what the guest wrote by `wasi:logging` and to its standard streams, its first and its last half if it
//! was more than the bound.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

/// A log that several streams of one run write to.
#[derive(Debug, Clone, Default)]
pub struct Journal(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// Bytes kept in all.
    limit: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    /// Bytes between head and tail that are gone.
    lost: u64,
}

impl Journal {
    /// Empties it for a new run that may keep `limit` bytes.
    pub(crate) fn begin(&self, limit: usize) {
        let mut inner = self.inner();
        inner.limit = limit;
        inner.head.clear();
        inner.tail.clear();
        inner.lost = 0;
    }

    /// Appends what a guest wrote.
    pub fn write(&self, mut bytes: &[u8]) {
        let mut inner = self.inner();
        let half = inner.limit / 2;
        let room = half.saturating_sub(inner.head.len()).min(bytes.len());
        let (first, rest) = bytes.split_at(room);
        inner.head.extend_from_slice(first);
        bytes = rest;
        let tail = inner.limit - half;
        if bytes.len() > tail {
            inner.lost += (bytes.len() - tail) as u64;
            bytes = &bytes[bytes.len() - tail..];
        }
        let over = (inner.tail.len() + bytes.len()).saturating_sub(tail);
        inner.lost += over as u64;
        inner.tail.drain(..over);
        inner.tail.extend(bytes);
    }

    /// Takes the log out. Where something is missing, a line says how much: it comes on top of the bound.
    pub(crate) fn take(&self) -> Bytes {
        let mut inner = self.inner();
        if inner.head.is_empty() && inner.tail.is_empty() {
            return Bytes::new();
        }
        let mut log = std::mem::take(&mut inner.head);
        if inner.lost > 0 {
            log.extend_from_slice(format!("\n[... {} bytes of log left out ...]\n", inner.lost).as_bytes());
        }
        let (first, second) = inner.tail.as_slices();
        log.extend_from_slice(first);
        log.extend_from_slice(second);
        inner.tail = VecDeque::new();
        inner.lost = 0;
        Bytes::from(log)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it is held, and half a log is better than none.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(limit: usize) -> Journal {
        let journal = Journal::default();
        journal.begin(limit);
        journal
    }

    #[test]
    fn what_fits_is_kept_as_it_is() {
        let journal = journal(10);
        journal.write(b"12345");
        journal.write(b"67890");
        assert_eq!(journal.take(), "1234567890");
        assert_eq!(journal.take(), "");
    }

    #[test]
    fn first_and_last_half_are_kept() {
        let journal = journal(8);
        for byte in b'a'..=b'z' {
            journal.write(&[byte]);
        }
        assert_eq!(journal.take(), "abcd\n[... 18 bytes of log left out ...]\nwxyz");
        journal.begin(8);
        journal.write(b"abcdefghijklmnopqrstuvwxyz");
        assert_eq!(journal.take(), "abcd\n[... 18 bytes of log left out ...]\nwxyz");
    }

    #[test]
    fn nothing_is_kept_where_nothing_may_be() {
        let journal = journal(0);
        journal.write(b"abc");
        assert_eq!(journal.take(), "");
    }
}
