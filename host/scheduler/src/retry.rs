//! Which failed runs are tried again, and when.
//!
//! A run has one count of attempts, and each class of failure a bound of its own on it: a failure is the run's outcome
//! if the run has been attempted as often as the bound of that failure's class says. So a run whose guest timed out, with
//! a bound of 2 on timeouts and of 3 on transient failures, has its third attempt only if the second failed transiently.
//! Deaths of agents are no failures, and are not counted here: two of them, alone, end a run whatever is left.
//!
//! Backoff doubles from attempt to attempt, with full jitter: the wait is drawn evenly from zero to the backoff, so
//! that runs that failed together do not come back together.

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
    /// Longest wait before the second attempt.
    pub base: Duration,
    /// Longest wait before any.
    pub cap: Duration,
}

impl Default for RetryPolicy {
    /// Three attempts for what passes, waiting from 100 ms on and never more than 30 s; timeouts and crashes are final.
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
            let doublings = attempt.saturating_sub(1).min(32);
            let backoff = micros(self.base).saturating_mul(1 << doublings).min(micros(self.cap));
            // Multiply and shift: even to within 2^-64 of the backoff, without a loop.
            let drawn = (u128::from(rng.next_u64()) * (u128::from(backoff) + 1)) >> 64;
            Duration::from_micros(u64::try_from(drawn).unwrap_or(backoff))
        })
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn waits_stay_under_a_doubling_backoff_and_end() {
        let (base, cap) = (Duration::from_millis(100), Duration::from_millis(250));
        let policy = RetryPolicy { transient: 4, base, cap, ..RetryPolicy::NONE };
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for (failures, most) in [(1, 100), (2, 200), (3, 250)] {
            let waits: Vec<_> =
                (0..1000).filter_map(|_| policy.wait(FailureClass::Transient, failures, &mut rng)).collect();
            assert_eq!(waits.len(), 1000);
            let (least, longest) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
            assert!(*longest <= Duration::from_millis(most), "{longest:?}");
            assert!(*longest > Duration::from_millis(most * 9 / 10), "{longest:?}");
            assert!(*least < Duration::from_millis(most / 10), "{least:?}");
        }
        assert_eq!(policy.wait(FailureClass::Transient, 4, &mut rng), None);
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
