//! Which failed runs are tried again, and when.
//!
//! A run has one count of attempts, and each class of failure a bound of its own on it: a failure is the run's outcome
//! if the run has been attempted as often as the bound of that failure's class says. So a run whose guest timed out, with
//! a bound of 2 on timeouts and of 3 on transient failures, has its third attempt only if the second failed transiently.
//! Deaths of agents are no failures, and are not counted here: two of them, alone, end a run whatever is left.
//!
//! The wait is drawn evenly from the base to what is the most before that attempt, so that runs that failed together do
//! not come back together. The most is twice the base before the second attempt, doubles with each further one, and is
//! never more than the cap: a base and a cap that are the same are a wait without jitter.

use std::time::Duration;

use rand_chacha::{ChaCha8Rng, rand_core::Rng};

use crate::{event::FailureClass, time::micros};

/// What becomes of failures. The bounds count all attempts that a run has had, the first included; 0 means 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// A transient failure of this attempt, or of a later one, is recorded.
    pub transient: u32,
    /// A timeout of this attempt, or of a later one, is recorded.
    pub timeouts: u32,
    /// A crash of this attempt, or of a later one, is recorded.
    pub crashes: u32,
    /// Shortest wait; the longest before the second attempt is twice that, and doubles with each further one.
    pub base: Duration,
    /// Longest wait before any; the shortest as well, if the base is longer.
    pub cap: Duration,
}

impl Default for RetryPolicy {
    /// Three attempts for what passes, waiting 100 ms or more and never more than 30 s; timeouts and crashes are final.
    fn default() -> Self {
        let (base, cap) = (Duration::from_millis(100), Duration::from_secs(30));
        Self { transient: 3, timeouts: 1, crashes: 1, base, cap }
    }
}

impl RetryPolicy {
    /// No second attempt.
    pub const NONE: Self = Self { transient: 1, timeouts: 1, crashes: 1, base: Duration::ZERO, cap: Duration::ZERO };

    /// Attempts in all that may end in a failure of this class; at least 1.
    pub fn bound(&self, class: FailureClass) -> u32 {
        let bound = match class {
            FailureClass::Transient => self.transient,
            FailureClass::Timeout => self.timeouts,
            FailureClass::Crash => self.crashes,
            FailureClass::Permanent => 1,
        };
        bound.max(1)
    }

    /// The wait after an attempt failed that was a run's `attempt`th (from 1), or `None` if that was the last.
    pub(crate) fn wait(&self, class: FailureClass, attempt: u32, rng: &mut ChaCha8Rng) -> Option<Duration> {
        (attempt < self.bound(class)).then(|| {
            let cap = micros(self.cap);
            let least = micros(self.base).min(cap);
            let room = least.saturating_mul(1 << attempt.min(32)).min(cap) - least;
            // Multiply and shift: even to within 2^-64 of the room, without a loop.
            let drawn = (u128::from(rng.next_u64()) * (u128::from(room) + 1)) >> 64;
            Duration::from_micros(least + u64::try_from(drawn).unwrap_or(room))
        })
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn waits_lie_between_the_base_and_a_most_that_doubles_and_end() {
        let (base, cap) = (Duration::from_millis(100), Duration::from_millis(700));
        let policy = RetryPolicy { transient: 4, base, cap, ..RetryPolicy::NONE };
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for (failures, most) in [(1, 200), (2, 400), (3, 700)] {
            let waits: Vec<_> =
                (0..1000).filter_map(|_| policy.wait(FailureClass::Transient, failures, &mut rng)).collect();
            assert_eq!(waits.len(), 1000);
            let (least, longest) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
            assert!(*longest <= Duration::from_millis(most), "{longest:?}");
            assert!(*longest > Duration::from_millis(most - most / 20), "{longest:?}");
            assert!(*least >= base, "{least:?}");
            assert!(*least < Duration::from_millis(100 + most / 20), "{least:?}");
        }
        assert_eq!(policy.wait(FailureClass::Transient, 4, &mut rng), None);
    }

    #[test]
    fn a_base_that_leaves_no_room_is_the_wait_and_none_goes_above_the_cap() {
        let wait = |base, cap| {
            let (base, cap) = (Duration::from_secs(base), Duration::from_secs(cap));
            let policy = RetryPolicy { transient: 9, base, cap, ..RetryPolicy::NONE };
            let mut rng = ChaCha8Rng::seed_from_u64(7);
            (1..9).map(|attempt| policy.wait(FailureClass::Transient, attempt, &mut rng)).collect::<Vec<_>>()
        };
        assert_eq!(wait(60, 60), [Some(Duration::from_secs(60)); 8]);
        assert_eq!(wait(60, 20), [Some(Duration::from_secs(20)); 8]);
        assert_eq!(wait(0, 20), [Some(Duration::ZERO); 8]);
    }

    #[test]
    fn no_policy_overflows() {
        let policy = RetryPolicy { crashes: u32::MAX, base: Duration::MAX, cap: Duration::MAX, ..RetryPolicy::NONE };
        assert!(policy.wait(FailureClass::Crash, u32::MAX - 1, &mut ChaCha8Rng::seed_from_u64(1)).is_some());
    }

    #[test]
    fn each_class_has_its_own_bound_on_all_attempts() {
        let policy = RetryPolicy { transient: 4, timeouts: 2, crashes: 0, ..RetryPolicy::NONE };
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut goes_on =
            |class| (1..6).map(|attempt| policy.wait(class, attempt, &mut rng).is_some()).collect::<Vec<_>>();
        assert_eq!(goes_on(FailureClass::Transient), [true, true, true, false, false]);
        assert_eq!(goes_on(FailureClass::Timeout), [true, false, false, false, false]);
        assert_eq!(goes_on(FailureClass::Crash), [false; 5]);
        assert_eq!(goes_on(FailureClass::Permanent), [false; 5]);
    }
}
