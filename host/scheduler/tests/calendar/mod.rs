//! Virtual time: what is to come in a world, and what it draws. Everything follows from the seed.

use std::collections::BTreeMap;

pub(crate) const MS: u64 = 1000;
pub(crate) const SECOND: u64 = 1000 * MS;

/// What is to come, in the order of its moments; what has the same one in the order in which it was planned.
pub(crate) struct Calendar<E> {
    events: BTreeMap<(u64, u64), E>,
    planned: u64,
}

impl<E> Calendar<E> {
    pub(crate) fn new() -> Self {
        Self { events: BTreeMap::new(), planned: 0 }
    }

    pub(crate) fn plan(&mut self, at: u64, event: E) {
        self.planned += 1;
        self.events.insert((at, self.planned), event);
    }

    /// When something is to come next.
    pub(crate) fn next(&self) -> Option<u64> {
        self.events.first_key_value().map(|((at, _), _)| *at)
    }

    /// What comes next, if it comes at this moment.
    pub(crate) fn take(&mut self, at: u64) -> Option<E> {
        self.events.first_entry().filter(|next| next.key().0 == at).map(|next| next.remove())
    }
}

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// An even draw below a bound.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0) % bound.max(1)
    }
}

/// The finish of SplitMix64.
pub(crate) fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}
