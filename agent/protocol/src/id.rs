//! Ids. Every one is a newtype, so that none is mistaken for another.

use std::{fmt, str::FromStr};

use uuid::Uuid;

/// An id that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct ParseIdError {
    text: String,
    expected: &'static str,
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id. Ids made later sort behind ids made earlier (UUID version 7).
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The 16 bytes that stand for it on the wire and on disk.
            pub fn to_bytes(self) -> [u8; 16] {
                self.0.into_bytes()
            }

            /// The id that [`to_bytes`](Self::to_bytes) gave.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// From the wire: `None` unless there are exactly 16 bytes.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self::from_bytes)
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                Uuid::try_parse(text)
                    .map(Self)
                    .map_err(|_| ParseIdError { text: text.to_owned(), expected: $expected })
            }
        }
    };
}

uuid_id! {
    /// A job: what one `pigeon process` submits.
    JobId, "a job id (a UUID such as 0198f3c2-7d4e-7c11-9a51-0a4d2b8f6e01)"
}
uuid_id! {
    /// An agent, as its certificate names it. It keeps it across restarts.
    AgentId, "an agent id (a UUID)"
}
uuid_id! {
    /// One life of an agent's process. A new one with every start.
    IncarnationId, "an incarnation id (a UUID)"
}

/// One live connection of an agent, numbered by the hub from 1. Never used twice in a hub's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// A lease, numbered by the scheduler from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseId(pub u64);

/// The fence of a lease: drawn anew for every lease, and told with every outcome. An outcome with a fence that is not
/// that of a live lease is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fence(pub u64);

/// The epoch of a job's ownership: each new owner has a higher one, and writes with a lower one are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u64);

/// A run within its job: `(item * places + place) * iterations + iteration`. See [`Shape`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunIndex(pub u64);

/// How a job's runs are numbered: a job of many items has one place, a job of one item has N places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Worker places; at least 1.
    pub places: u32,
    /// Runs of an item in a place; at least 1.
    pub iterations: u32,
}

/// What a run is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunKey {
    /// Which item, from 0 in the order in which they were appended.
    pub item: u64,
    /// Which worker place, from 0.
    pub place: u32,
    /// Which iteration in that place, from 0.
    pub iteration: u32,
}

impl Shape {
    /// Runs of one item.
    pub fn runs_per_item(self) -> u64 {
        u64::from(self.places) * u64::from(self.iterations)
    }

    /// The index of a run.
    pub fn index(self, key: RunKey) -> RunIndex {
        let place = key.item * u64::from(self.places) + u64::from(key.place);
        RunIndex(place * u64::from(self.iterations) + u64::from(key.iteration))
    }

    /// The run at an index.
    pub fn key(self, index: RunIndex) -> RunKey {
        let (iterations, places) = (u64::from(self.iterations.max(1)), u64::from(self.places.max(1)));
        let place = index.0 / iterations;
        // The casts lose nothing: a remainder is smaller than its u32 divisor.
        RunKey { item: place / places, place: (place % places) as u32, iteration: (index.0 % iterations) as u32 }
    }
}

/// The SHA-256 of a component's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
        let mut out = [0; 32];
        out.copy_from_slice(digest.as_ref());
        Self(out)
    }

    /// A digest that was computed elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// From the wire: `None` unless there are exactly 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Its hexadecimal digits without the `sha256:` that [`Display`](fmt::Display) puts before them.
    pub fn to_hex(&self) -> String {
        let mut hex = String::with_capacity(64);
        for byte in self.0 {
            hex.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
            hex.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
        }
        hex
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let error = || ParseIdError { text: text.to_owned(), expected: "a digest (sha256: and 64 hexadecimal digits)" };
        let hex = text.strip_prefix("sha256:").unwrap_or(text).as_bytes();
        let mut out = [0; 32];
        if hex.len() != 64 {
            return Err(error());
        }
        for (byte, pair) in out.iter_mut().zip(hex.chunks_exact(2)) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16).ok_or_else(error);
            *byte = (digit(0)? * 16 + digit(1)?) as u8;
        }
        Ok(Self(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn index_and_key_are_inverse(item in 0u64..1 << 30, places in 1u32..100, iterations in 1u32..100, p: u32, i: u32) {
            let shape = Shape { places, iterations };
            let key = RunKey { item, place: p % places, iteration: i % iterations };
            prop_assert_eq!(shape.key(shape.index(key)), key);
        }

        #[test]
        fn digests_survive_their_text(bytes: [u8; 32]) {
            let digest = Digest::from_bytes(bytes);
            prop_assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
            prop_assert_eq!(digest.to_hex().parse::<Digest>().unwrap(), digest);
        }
    }

    #[test]
    fn the_digest_is_sha256() {
        assert_eq!(
            Digest::of(b"abc").to_string(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_bad_id_says_what_was_expected() {
        let error = "nonsense".parse::<JobId>().unwrap_err().to_string();
        assert!(error.starts_with("\"nonsense\" is not a job id"), "{error}");
    }
}
