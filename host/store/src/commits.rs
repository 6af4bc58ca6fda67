//! How long it takes until changes are on disk.

use std::time::Duration;

/// Bounds by which commits are counted, in seconds: from a disk that answers at once to one that is hardly there.
pub const COMMIT_BOUNDS: [f64; 14] =
    [0.000_5, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 2.0, 4.0];

/// Groups of changes that this process put on disk, by how long each took once it was its turn.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Commits {
    /// How many took up to each of the bounds, and more than the one before it.
    pub counts: [u64; COMMIT_BOUNDS.len()],
    /// How many took more than all of them.
    pub longer: u64,
    /// How long all of them took together.
    pub time: Duration,
}

impl Commits {
    /// One more, that took so long.
    pub(crate) fn add(&mut self, took: Duration) {
        let bound = COMMIT_BOUNDS.iter().position(|bound| took.as_secs_f64() <= *bound);
        match bound.and_then(|bound| self.counts.get_mut(bound)) {
            Some(count) => *count += 1,
            None => self.longer += 1,
        }
        self.time += took;
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.longer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_below_its_bound() {
        let mut commits = Commits::default();
        for took in [0, 500, 501, 4_000_000, 4_000_001, 90_000_000] {
            commits.add(Duration::from_micros(took));
        }
        assert_eq!((commits.counts[0], commits.counts[1], commits.counts[13], commits.longer), (2, 1, 1, 2));
        assert_eq!((commits.count(), commits.time), (6, Duration::from_micros(98_001_002)));
    }
}
