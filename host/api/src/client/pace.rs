//! When a call that failed is made again.
//!
//! Three things decide. What went wrong: a request that never got there may be sent again whatever it asks, one whose
//! answer was lost only if doing it twice is doing it once, and one that was refused for now when the control host says.
//! How long it has gone on: a control host that has answered before is given a minute, time enough to be restarted; one
//! that never has is not there, and that is said soon. And the waits double, with jitter, so that a thousand clients do
//! not come back in one moment.

use std::time::{Duration, Instant};

use crate::ApiError;

/// How long a control host that has answered before is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// How long one that never has.
pub(super) const FIRST_PATIENCE: Duration = Duration::from_secs(2);

/// The first wait.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// No wait is longer, unless the control host asks for it.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What a control host may ask for at most.
const LONGEST_ASKED: Duration = Duration::from_secs(30);

/// What went wrong with one attempt.
#[derive(Debug)]
pub(super) struct Trouble {
    /// What is told if that was the last.
    pub(super) error: ApiError,
    /// What it means for the next.
    pub(super) sort: Sort,
}

/// Sorts of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// To ask again changes nothing.
    Final,
    /// The request never got there.
    Unsent,
    /// It may have got there, and the answer did not come back.
    Lost,
    /// It was refused for now, perhaps with the time after which to ask again. Nothing was done.
    Later(Option<Duration>),
}

/// Whether a call may be made again when it is not known whether it was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Twice is once.
    Safe,
    /// Only if it was not heard.
    Unheard,
}

/// The waits of one call.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When it first failed.
    since: Option<Instant>,
    /// Times that it did.
    failures: u32,
}

impl Pace {
    /// How long to wait before the next attempt; nothing if there is none. `jitter` is from 0 to 1.
    pub(super) fn next(
        &mut self,
        sort: Sort,
        repeat: Repeat,
        patience: Duration,
        now: Instant,
        jitter: f64,
    ) -> Option<Duration> {
        let asked = match (sort, repeat) {
            (Sort::Final, _) | (Sort::Lost, Repeat::Unheard) => return None,
            (Sort::Later(asked), _) => asked.unwrap_or_default().min(LONGEST_ASKED),
            (Sort::Unsent, _) | (Sort::Lost, Repeat::Safe) => Duration::ZERO,
        };
        let since = *self.since.get_or_insert(now);
        let longest = FIRST_WAIT.saturating_mul(1 << self.failures.min(16)).min(LONGEST_WAIT);
        self.failures = self.failures.saturating_add(1);
        let wait = asked.max(longest.mul_f64(0.5)) + longest.mul_f64(0.5 * jitter);
        (now.saturating_duration_since(since) + wait <= patience).then_some(wait)
    }

    /// There was a sign of life: what comes is no part of what was.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The waits until there is no other, and how long they took.
    fn waits(sort: Sort, patience: Duration) -> (Vec<Duration>, Duration) {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let (mut now, mut waits) = (start, Vec::new());
        while let Some(wait) = pace.next(sort, Repeat::Safe, patience, now, 1.0) {
            waits.push(wait);
            now += wait;
        }
        (waits, now - start)
    }

    #[test]
    fn waits_double_and_end_with_the_patience() {
        let (waits, took) = waits(Sort::Lost, PATIENCE);
        let ms: Vec<u128> = waits.iter().take(8).map(Duration::as_millis).collect();
        assert_eq!(ms, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert!(took <= PATIENCE && took + LONGEST_WAIT > PATIENCE, "{took:?}");
    }

    #[test]
    fn what_the_control_host_asks_for_is_waited_at_least() {
        let (asked, _) = waits(Sort::Later(Some(Duration::from_secs(7))), PATIENCE);
        assert!(asked.iter().all(|wait| *wait >= Duration::from_secs(7)) && asked.len() > 3, "{asked:?}");
        let endless = Sort::Later(Some(Duration::MAX));
        let wait = Pace::default().next(endless, Repeat::Safe, Duration::MAX, Instant::now(), 1.0).unwrap();
        assert!(wait <= LONGEST_ASKED + LONGEST_WAIT, "{wait:?}");
    }

    #[test]
    fn what_may_have_been_done_is_not_done_again() {
        let next = |sort, repeat| Pace::default().next(sort, repeat, PATIENCE, Instant::now(), 0.0);
        assert_eq!(next(Sort::Lost, Repeat::Unheard), None);
        assert_eq!(next(Sort::Final, Repeat::Safe), None);
        assert!(next(Sort::Lost, Repeat::Safe).is_some());
        assert!(next(Sort::Unsent, Repeat::Unheard).is_some());
        assert!(next(Sort::Later(None), Repeat::Unheard).is_some());
    }
}
