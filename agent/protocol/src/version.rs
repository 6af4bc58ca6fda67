//! Versions of the protocol.

/// The ALPN of an agent's connection. Carries the major version: peers of different majors never meet.
pub const ALPN: &[u8] = b"pigeon/1";

/// The ALPN of enrolment.
pub const ENROL_ALPN: &[u8] = b"pigeon-enrol/1";

/// The name that the hub's certificate is made for, whatever its address.
pub const SERVER_NAME: &str = "control.pigeon.internal";

/// Minor versions. This enum is the protocol's changelog: each says what it added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Minor {
    /// The first: leases, outcomes, plugins by digest, credit, beats, kept outcomes.
    V0 = 0,
}

impl Minor {
    /// The newest that this build speaks.
    pub const NEWEST: Minor = Minor::V0;
    /// The oldest that this build speaks.
    pub const OLDEST: Minor = Minor::V0;

    /// The newest minor that both sides speak, if there is one.
    pub fn agree(theirs_oldest: u32, theirs_newest: u32) -> Option<u32> {
        let newest = theirs_newest.min(Self::NEWEST as u32);
        (newest >= theirs_oldest && newest >= Self::OLDEST as u32).then_some(newest)
    }
}
