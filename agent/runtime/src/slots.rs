//! Slots: how many runs of one agent compute at once. A run that waits in a host call gives its slot back and takes one
//! to go on, so slots and runs in flight differ.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One agent's slots. Clones share them.
#[derive(Clone, Debug)]
pub struct Slots(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    semaphore: Arc<Semaphore>,
    total: usize,
    waiting: AtomicUsize,
}

impl Slots {
    pub(crate) fn new(total: usize) -> Self {
        let total = total.clamp(1, Semaphore::MAX_PERMITS);
        Self(Arc::new(Inner { semaphore: Arc::new(Semaphore::new(total)), total, waiting: AtomicUsize::new(0) }))
    }

    /// How many there are.
    pub fn total(&self) -> usize {
        self.0.total
    }

    /// Runs that hold a slot now.
    pub fn computing(&self) -> usize {
        self.0.total.saturating_sub(self.0.semaphore.available_permits())
    }

    /// Runs that wait in a host call now, and hold none.
    pub fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// Waits for a slot. `None` only if the semaphore was closed, which nobody does.
    pub(crate) async fn take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.semaphore).acquire_owned().await.ok()
    }

    /// Counts a run as waiting in a host call until the guard is dropped.
    pub(crate) fn wait(&self) -> Waiting {
        self.0.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(Arc::clone(&self.0))
    }
}

/// Counts a run that waits in a host call.
#[derive(Debug)]
pub(crate) struct Waiting(Arc<Inner>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
