//! How fast an agent is listened to: a session that says more than there is to say waits, and costs the others nothing.

use std::time::{Duration, Instant};

/// Time that a message is worth: 4,000 of them a second are listened to.
const MESSAGE: Duration = Duration::from_micros(250);

/// How far an agent may be ahead: 8,000 messages at once.
const AHEAD: Duration = Duration::from_secs(2);

/// Leases of a beat that are worth a message more.
const LEASES: u32 = 64;

/// What an agent has said, as the time that it was worth.
#[derive(Debug)]
pub(crate) struct Pace {
    until: Instant,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self { until: now }
    }

    /// A message has come that names so many leases. Gives until when nothing more is listened to, if that is not now.
    pub(crate) fn heard(&mut self, leases: usize, now: Instant) -> Option<Instant> {
        // A frame holds a million of them at most.
        let worth = MESSAGE * (1 + u32::try_from(leases).unwrap_or(u32::MAX) / LEASES);
        self.until = self.until.max(now) + worth;
        self.until.checked_sub(AHEAD).filter(|again| *again > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_beats_and_tells_credit_is_never_kept_waiting() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        // A thousand leases a second, each told of, and a beat every half second that names two thousand.
        for tick in 0..100_000 {
            now += Duration::from_millis(1);
            assert_eq!(pace.heard(0, now), None);
            if tick % 500 == 0 {
                assert_eq!(pace.heard(2000, now), None);
            }
        }
    }

    #[test]
    fn a_flood_is_listened_to_as_slowly_as_it_has_to_be() {
        let start = Instant::now();
        let (mut pace, mut now) = (Pace::new(start), start);
        for _ in 0..100_000 {
            now = pace.heard(0, now).unwrap_or(now);
        }
        assert_eq!(now - start, MESSAGE * 100_000 - AHEAD);
        // A beat that names a million leases is worth four seconds.
        assert!(pace.heard(1 << 20, now).is_some_and(|again| again > now + Duration::from_secs(4)));
    }
}
