//! Durations, sizes, labels and such, as people write them.

use std::{
    fmt,
    num::{IntErrorKind, ParseIntError},
    str::FromStr,
    time::Duration,
};

use pigeon_agent::daemon::measure::{self, BYTES, MeasureError};
use pigeon_protocol::label::{self, LabelError};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(pub(crate) u64);

/// A text that is no size or no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnitError {
    #[error("a size is a number and a unit, such as 64MiB, 1GiB, 500kB or 4096B")]
    Size,
    #[error("a duration is a number and a unit, such as 500ms, 10s, 2m, 1h or 7d")]
    Duration,
    #[error("{0:?} is not a whole number")]
    NotWhole(String),
    #[error("it must not be negative")]
    Negative,
    #[error("a whole number from 1 on is wanted")]
    NotCount,
    #[error("a time is written like 2026-01-31T12:00:00Z, and is between the years 1678 and 2262")]
    Time,
    #[error("it must be more than zero")]
    Zero,
    #[error("it is too small")]
    TooSmall,
    #[error("it is too large")]
    TooLarge,
}

impl FromStr for Size {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        measure::size(text).map(Self).map_err(|error| UnitError::of(error, UnitError::Size))
    }
}

impl UnitError {
    /// What is wrong with a measure, where one that is none is told so.
    fn of(error: MeasureError, malformed: Self) -> Self {
        match error {
            MeasureError::Malformed => malformed,
            MeasureError::Zero => Self::Zero,
            MeasureError::TooLarge => Self::TooLarge,
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, factor) = BYTES[..5].iter().rev().find(|(_, factor)| self.0 >= *factor).unwrap_or(&BYTES[0]);
        if self.0.is_multiple_of(*factor) {
            write!(f, "{} {name}", self.0 / factor)
        } else {
            write!(f, "{:.1} {name}", self.0 as f64 / *factor as f64)
        }
    }
}

/// Read a whole number.
///
/// # Errors
/// If it is something else, or does not fit.
pub(crate) fn whole<T: FromStr<Err = ParseIntError>>(text: &str) -> Result<T, UnitError> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().map_err(|error: ParseIntError| match error.kind() {
        IntErrorKind::PosOverflow => UnitError::TooLarge,
        IntErrorKind::NegOverflow => UnitError::TooSmall,
        _ if text.strip_prefix('-').is_some_and(digits) => UnitError::Negative,
        _ => UnitError::NotWhole(text.to_owned()),
    })
}

/// Read how many there are to be. That 0 is too few is told elsewhere: there is more to say about it.
///
/// # Errors
/// If it is no whole number, is negative, or does not fit.
pub(crate) fn count(text: &str) -> Result<u32, UnitError> {
    whole(text).map_err(|error| match error {
        UnitError::Negative => UnitError::NotCount,
        error => error,
    })
}

/// Read a label: one that agents have, or are to have.
///
/// # Errors
/// If it is none.
pub(crate) fn label(text: &str) -> Result<String, LabelError> {
    label::check(text).map(|()| text.to_owned())
}

/// Read a point in time.
///
/// # Errors
/// If it is something else, or so far from now that its nanoseconds since 1970 do not fit into 64 bits.
pub(crate) fn time(text: &str) -> Result<jiff::Timestamp, UnitError> {
    let time: jiff::Timestamp = text.parse().map_err(|_| UnitError::Time)?;
    i64::try_from(time.as_nanosecond()).map(|_| time).map_err(|_| UnitError::Time)
}

/// Read a duration: `500ms`, `10s`, `2m`, `1h`, `7d`, `1.5s`.
///
/// # Errors
/// If it is something else, zero, or longer than 10 years.
pub(crate) fn duration(text: &str) -> Result<Duration, UnitError> {
    let nanos = measure::measure(text, |unit| match unit {
        "us" => Some(1_000),
        "ms" => Some(1_000_000),
        "s" => Some(1_000_000_000),
        "m" | "min" => Some(60_000_000_000),
        "h" => Some(3_600_000_000_000),
        "d" => Some(86_400_000_000_000),
        _ => None,
    });
    let nanos = nanos.map_err(|error| UnitError::of(error, UnitError::Duration))?;
    let duration = Duration::from_nanos(nanos);
    if duration > Duration::from_secs(10 * 365 * 86_400) { Err(UnitError::TooLarge) } else { Ok(duration) }
}

/// A duration as [`duration`] reads it: in the largest unit of which it is a whole number.
pub(crate) fn in_units(duration: Duration) -> String {
    let units = [("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000)];
    let us = duration.as_micros();
    match units.into_iter().find(|(_, factor)| us >= *factor && us.is_multiple_of(*factor)) {
        Some((name, factor)) => format!("{}{name}", us / factor),
        None => format!("{us}us"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes, shown) in [
            ("64MiB", 64 << 20, "64 MiB"),
            ("1GiB", 1 << 30, "1 GiB"),
            ("1.5 KiB", 1536, "1.5 KiB"),
            ("500kb", 500_000, "488.3 KiB"),
            ("7B", 7, "7 B"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.0, size.to_string().as_str()), (bytes, shown));
        }
        assert_eq!("64".parse::<Size>(), Err(UnitError::Size));
        assert_eq!("MiB".parse::<Size>(), Err(UnitError::Size));
        assert_eq!("-1MiB".parse::<Size>(), Err(UnitError::Size));
        assert_eq!("0MiB".parse::<Size>(), Err(UnitError::Zero));
        assert_eq!("99999999999TiB".parse::<Size>(), Err(UnitError::TooLarge));
    }

    #[test]
    fn whole_numbers_are_read() {
        assert_eq!(whole::<u32>("7"), Ok(7));
        assert_eq!(whole::<i32>("-7"), Ok(-7));
        for text in ["x", "", "1.5", "-", "1e3"] {
            assert_eq!(whole::<u32>(text), Err(UnitError::NotWhole(text.to_owned())));
        }
        assert_eq!(whole::<u32>("-1"), Err(UnitError::Negative));
        assert_eq!(whole::<u32>("4294967296"), Err(UnitError::TooLarge));
        assert_eq!(whole::<i32>("-4294967296"), Err(UnitError::TooSmall));
        assert_eq!((count("7"), count("-1")), (Ok(7), Err(UnitError::NotCount)));
        assert_eq!(count("4294967296"), Err(UnitError::TooLarge));
    }

    #[test]
    fn times_are_read() {
        assert_eq!(time("1970-01-01T00:00:01Z").unwrap().as_second(), 1);
        for text in ["noon", "", "9999-12-31T23:59:59Z", "1600-01-01T00:00:00Z"] {
            assert_eq!(time(text), Err(UnitError::Time), "{text}");
        }
    }

    #[test]
    fn durations_are_read() {
        for (text, ms) in [("500ms", 500), ("10s", 10_000), ("2m", 120_000), ("1500ms", 1_500), ("1h", 3_600_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)));
            assert_eq!(in_units(Duration::from_millis(ms)), text);
        }
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(duration("7d").map(in_units).as_deref(), Ok("7d"));
        assert_eq!(in_units(Duration::from_micros(1_001)), "1001us");
        for text in ["10", "s", "ten", "", "10 parsecs", "1.2.3s", "1.s"] {
            assert_eq!(duration(text), Err(UnitError::Duration), "{text}");
        }
        assert_eq!(duration("0s"), Err(UnitError::Zero));
        assert_eq!(duration("99999999h"), Err(UnitError::TooLarge));
    }
}
