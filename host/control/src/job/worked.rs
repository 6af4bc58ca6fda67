//! How long a job was worked at.

use std::time::{Duration, Instant};

/// How long it was worked at.
///
/// That is the time from its acceptance, or from when it was taken up again, to its end, less that for which it had runs
/// to make and no agent was at any of them, as far as that took more than a second or two. Where no agent was at it since
/// it was accepted, taken up or last rested, what went before that does not count either.
#[derive(Debug)]
pub(crate) struct Worked {
    pub(crate) before: Duration,
    /// Since when it is worked at; nothing while no agent is at it.
    pub(crate) since: Option<Instant>,
}

impl Worked {
    pub(crate) fn until(&self, now: Instant) -> Duration {
        self.before.saturating_add(self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since)))
    }

    /// Begin to rest, or to be worked at. False if that is nothing new.
    pub(crate) fn rest(&mut self, rests: bool, now: Instant) -> bool {
        if rests == self.since.is_none() {
            return false;
        }
        *self = Self { before: self.until(now), since: (!rests).then_some(now) };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stands_still_while_a_job_rests() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut worked = Worked { before: Duration::from_secs(10), since: Some(begun) };
        assert!(!worked.rest(false, at(1)));
        assert!(worked.rest(true, at(3)) && !worked.rest(true, at(4)));
        assert_eq!(worked.until(at(50)), Duration::from_secs(13));
        assert!(worked.rest(false, at(60)));
        assert_eq!(worked.until(at(62)), Duration::from_secs(15));
    }
}
