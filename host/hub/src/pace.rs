//! How fast an agent is listened to: a session that says more than there is to say waits, and costs the others nothing.

use std::time::{Duration, Instant};

use pigeon_protocol::message::{ToHub, to_hub::Say};
use prost::Message as _;

/// Time that a message is worth: 4,000 of them a second are listened to.
const MESSAGE: Duration = Duration::from_micros(250);

/// Time that a word of credit is worth: 40,000 of them a second are listened to. An honest agent says one for each lane that
/// ends, of which there are thousands a second where runs are short.
const CREDIT: Duration = Duration::from_micros(25);

/// How far an agent may be ahead: 8,000 messages at once.
const AHEAD: Duration = Duration::from_secs(2);

/// Leases of a beat that are worth a message more.
const LEASES: usize = 64;

/// Bytes that are worth a message more.
const BYTES: usize = 1024;

/// What an agent has said, as the time that it was worth.
#[derive(Debug)]
pub(crate) struct Pace {
    until: Instant,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self { until: now }
    }

    /// This message has come. Gives until when nothing more is listened to, if that is not now.
    pub(crate) fn heard(&mut self, message: &ToHub, now: Instant) -> Option<Instant> {
        self.until = self.until.max(now) + worth(message);
        self.until.checked_sub(AHEAD).filter(|again| *again > now)
    }
}

fn worth(message: &ToHub) -> Duration {
    match &message.say {
        Some(Say::Credit(_)) => CREDIT,
        say => {
            let leases = if let Some(Say::Beat(beat)) = say { beat.leases.len() } else { 0 };
            // A frame has a million bytes at most, and holds no more leases than that.
            let more = leases / LEASES + message.encoded_len() / BYTES;
            MESSAGE.saturating_mul(1 + u32::try_from(more).unwrap_or(u32::MAX - 1))
        }
    }
}

#[cfg(test)]
mod tests {
    use pigeon_protocol::message::{Beat, Credit, Draining};

    use super::*;

    fn beat(leases: u64) -> ToHub {
        ToHub { say: Some(Say::Beat(Beat { leases: (0..leases).collect(), ..Beat::default() })) }
    }

    #[test]
    fn who_beats_and_tells_credit_is_never_kept_waiting() {
        let mut now = Instant::now();
        let (mut pace, credit) = (Pace::new(now), ToHub { say: Some(Say::Credit(Credit::default())) });
        // Twenty thousand leases a second, each told of, and a beat every half second that names two thousand.
        for tick in 0..1_000_000 {
            now += Duration::from_micros(50);
            assert_eq!(pace.heard(&credit, now), None);
            if tick % 10_000 == 0 {
                assert_eq!(pace.heard(&beat(2000), now), None);
            }
        }
    }

    #[test]
    fn a_flood_is_listened_to_as_slowly_as_it_has_to_be() {
        let start = Instant::now();
        let (mut pace, mut now) = (Pace::new(start), start);
        let words = ToHub { say: Some(Say::Draining(Draining::default())) };
        for _ in 0..100_000 {
            now = pace.heard(&words, now).unwrap_or(now);
        }
        assert_eq!(now - start, MESSAGE * 100_000 - AHEAD);
        // A beat that names a million leases is worth four seconds.
        assert!(pace.heard(&beat(1 << 20), now).is_some_and(|again| again > now + Duration::from_secs(4)));
    }

    #[test]
    fn a_long_beat_is_worth_as_many_messages_as_it_has_kibibytes() {
        let long = Beat { models: vec!["m".repeat(1 << 20)], ..Beat::default() };
        assert_eq!(worth(&ToHub { say: Some(Say::Beat(long)) }), MESSAGE * 1025);
    }
}
