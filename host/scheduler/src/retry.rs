//! When a run that failed for a passing reason is tried again.
//!
//! Backoff doubles from attempt to attempt, with full jitter: the wait is drawn evenly from zero to the backoff, so
//! that runs that failed together do not come back together.

use std::time::Duration;

use rand_chacha::{ChaCha8Rng, rand_core::Rng};

use crate::time::micros;

/// What becomes of transient failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, the first included. The last one's failure is recorded.
    pub attempts: u32,
    /// Longest wait before the second attempt.
    pub base: Duration,
    /// Longest wait before any.
    pub cap: Duration,
}

impl Default for RetryPolicy {
    /// Three attempts from 100 ms on, as PROCESS promises; never more than 30 s.
    fn default() -> Self {
        Self { attempts: 3, base: Duration::from_millis(100), cap: Duration::from_secs(30) }
    }
}

impl RetryPolicy {
    /// No second attempt.
    pub const NONE: Self = Self { attempts: 1, base: Duration::ZERO, cap: Duration::ZERO };

    /// The wait after the `failures`th failure (from 1), or `None` if that was the last.
    pub(crate) fn wait(&self, failures: u32, rng: &mut ChaCha8Rng) -> Option<Duration> {
        (failures < self.attempts).then(|| {
            let doublings = failures.saturating_sub(1).min(32);
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
        let policy = RetryPolicy { attempts: 4, base: Duration::from_millis(100), cap: Duration::from_millis(250) };
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for (failures, most) in [(1, 100), (2, 200), (3, 250)] {
            let waits: Vec<_> = (0..1000).filter_map(|_| policy.wait(failures, &mut rng)).collect();
            assert_eq!(waits.len(), 1000);
            let (least, longest) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
            assert!(*longest <= Duration::from_millis(most), "{longest:?}");
            assert!(*longest > Duration::from_millis(most * 9 / 10), "{longest:?}");
            assert!(*least < Duration::from_millis(most / 10), "{least:?}");
        }
        assert_eq!(policy.wait(4, &mut rng), None);
    }

    #[test]
    fn no_policy_overflows() {
        let policy = RetryPolicy { attempts: u32::MAX, base: Duration::MAX, cap: Duration::MAX };
        assert!(policy.wait(u32::MAX - 1, &mut ChaCha8Rng::seed_from_u64(1)).is_some());
    }
}
