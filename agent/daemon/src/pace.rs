//! How long lanes compute, and so how many of them are worth having here.
//!
//! Two lanes a slot keep it busy as long as a lane computes for longer than the next takes to come: while one computes, the
//! next is here already. The hub makes leases long enough, unless there is no more to lease: jobs of one item each. Those
//! are done sooner than the next can come, so more of them have to be on their way.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// What a slot should have before it, in computing time. Some times what a lane needs to come.
const AT_HAND: Duration = Duration::from_millis(10);

/// Lanes a slot, at least. Those beyond are for short runs alone: the hub is told so.
pub(crate) const LEAST: usize = 2;

/// And at most: as many as it may have in flight without being told otherwise.
const MOST: usize = crate::config::IN_FLIGHT_PER_SLOT;

/// How long a lane usually computes, in nanoseconds.
#[derive(Debug)]
pub(crate) struct Pace(AtomicU64);

impl Pace {
    /// Nothing is known: lanes are taken to be long.
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(nanos(AT_HAND)))
    }

    /// A lane has ended that computed for so long. What is longer than usual is believed at once, as whatever lies before
    /// it has to wait for it; what is shorter only slowly.
    pub(crate) fn ended(&self, took: Duration) {
        let took = nanos(took);
        // Of two that end at the same moment one may be lost.
        let usual = self.0.load(Relaxed);
        self.0.store(if took > usual { took } else { usual - (usual - took) / 8 }, Relaxed);
    }

    /// Lanes that a slot should have.
    pub(crate) fn lanes(&self) -> usize {
        let lanes = 2 * nanos(AT_HAND) / self.0.load(Relaxed).max(1);
        usize::try_from(lanes).unwrap_or(MOST).clamp(LEAST, MOST)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_lanes_are_many_and_a_long_one_is_believed_at_once() {
        let pace = Pace::new();
        assert_eq!(pace.lanes(), 2);
        for _ in 0..100 {
            pace.ended(Duration::from_micros(500));
        }
        assert_eq!(pace.lanes(), 39);
        for _ in 0..100 {
            pace.ended(Duration::from_micros(1));
        }
        assert_eq!(pace.lanes(), 64);
        pace.ended(Duration::from_secs(5));
        assert_eq!(pace.lanes(), 2);
        pace.ended(Duration::ZERO);
        assert_eq!(pace.lanes(), 2);
    }
}
