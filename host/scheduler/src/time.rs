//! Time as the scheduler sees it: what it is told.
//!
//! The scheduler asks no clock. Every event comes with the moment at which it happened, counted by the caller from a
//! zero of its own choice. A moment earlier than one already seen is taken for that one: a clock that jumps back
//! stands still here until it has caught up.

use std::{fmt, ops::Add, time::Duration};

/// A moment: microseconds since the caller's own zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Time(pub u64);

impl Time {
    /// The caller's zero.
    pub const ZERO: Self = Self(0);

    /// How long ago `earlier` was; zero if it was not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    /// Saturates: the end of time is a moment like others.
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(micros(span)))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06} s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Whole microseconds of a span, saturating.
pub(crate) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_saturates_at_both_ends() {
        assert_eq!(Time(u64::MAX) + Duration::from_secs(1), Time(u64::MAX));
        assert_eq!(Time(1).since(Time(2)), Duration::ZERO);
        assert_eq!(Time(5).since(Time(2)), Duration::from_micros(3));
    }
}
