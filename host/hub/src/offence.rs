//! What peers do wrong: counted by kind, and told in the log once rather than a thousand times.
//!
//! Nothing of it is believed to be meant ill: an agent that was cut off for a minute answers for leases that have gone to
//! others, and a node whose clock is wrong shows a certificate that has expired.

use std::{
    fmt::Display,
    net::SocketAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use pigeon_protocol::id::AgentId;

use crate::telling::{Offender, Telling};

macro_rules! offences {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// A kind of offence.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Offence {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Offence {
            /// All of them, in the order in which a peer comes to commit them.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// Its name, for logs and metrics.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

offences! {
    /// There was no room: too many handshakes at once, or as many agents as the hub takes. Not the peer's fault.
    Busy = "busy",
    /// The handshake, the hello or the enrolment was not over in time.
    Slow = "slow",
    /// The handshake failed in another way: garbage, another version of QUIC, a peer that left.
    Handshake = "handshake",
    /// It speaks nothing that is spoken here.
    Alpn = "alpn",
    /// An agent without a certificate.
    NoCertificate = "no_certificate",
    /// A certificate that this CA has not issued, or not for an agent.
    ForeignCertificate = "foreign_certificate",
    /// A certificate past its end: of an agent, or, long past, of whoever wants it renewed.
    ExpiredCertificate = "expired_certificate",
    /// A certificate that was revoked, or that a newer one has replaced.
    RevokedCertificate = "revoked_certificate",
    /// A join token that is wrong, expired or used up.
    Token = "token",
    /// An enrolment that asks for nothing sensible.
    Enrolment = "enrolment",
    /// A hello that is none, or that says nothing sensible.
    Hello = "hello",
    /// A session that broke the protocol and was ended.
    Protocol = "protocol",
    /// A session that says more than there is to say, and is listened to more slowly.
    Flood = "flood",
    /// A stream on which something was to be asked, and on which nothing sensible came in time.
    Request = "request",
    /// A lease's stream that ended before the lease did, or carried garbage.
    LeaseStream = "lease_stream",
    /// A lease that was taken from an agent, and that the agent did not end in time.
    SilentLease = "silent_lease",
    /// Outcomes for a lease that the agent does not hold, or not any more.
    NotHeld = "not_held",
}

/// How often each offence was committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OffenceCounts([u64; Offence::ALL.len()]);

impl OffenceCounts {
    /// How often this one was.
    pub fn of(&self, offence: Offence) -> u64 {
        self.0[offence as usize]
    }
}

/// The offences of all peers.
#[derive(Debug, Default)]
pub(crate) struct Offences {
    counts: [AtomicU64; Offence::ALL.len()],
    telling: Mutex<Telling>,
}

impl Offences {
    /// Somebody at this address was not let in.
    pub(crate) fn of_address(&self, address: SocketAddr, offence: Offence, reason: impl Display) {
        self.count(offence);
        let offence = offence.name();
        if self.telling().tells(Offender::at(address), offence, Instant::now()) {
            tracing::warn!(%address, offence, "refused a connection: {reason}");
        } else {
            tracing::debug!(%address, offence, "refused a connection: {reason}");
        }
    }

    /// An agent that was let in did something amiss.
    pub(crate) fn of_agent(&self, agent: AgentId, offence: Offence, reason: impl Display) {
        self.count(offence);
        let offence = offence.name();
        if self.telling().tells(Offender::Agent(agent), offence, Instant::now()) {
            tracing::warn!(%agent, offence, "an agent did something amiss: {reason}");
        } else {
            tracing::debug!(%agent, offence, "an agent did something amiss: {reason}");
        }
    }

    /// Tell how often it was done again of what was told a while ago; of everything, at the end.
    pub(crate) fn sum_up(&self, at_the_end: bool) {
        let sums = self.telling().sums((!at_the_end).then(Instant::now));
        for (offender, offence, more) in sums {
            tracing::warn!(%offender, offence, "and {more} more of the same since that was told last");
        }
    }

    pub(crate) fn counts(&self) -> OffenceCounts {
        OffenceCounts(Offence::ALL.map(|offence| self.counts[offence as usize].load(Relaxed)))
    }

    fn count(&self, offence: Offence) {
        self.counts[offence as usize].fetch_add(1, Relaxed);
    }

    fn telling(&self) -> MutexGuard<'_, Telling> {
        self.telling.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_offence_has_a_name_and_a_count_of_its_own() {
        let names: HashSet<_> = Offence::ALL.into_iter().map(Offence::name).collect();
        assert_eq!(names.len(), Offence::ALL.len());
        let offences = Offences::default();
        let address = SocketAddr::from(([127, 0, 0, 1], 7));
        for (times, offence) in Offence::ALL.into_iter().enumerate() {
            (0..times).for_each(|_| offences.of_address(address, offence, "for a test"));
        }
        let counts = offences.counts();
        assert!(Offence::ALL.into_iter().enumerate().all(|(times, offence)| counts.of(offence) == times as u64));
    }
}
