//! The times at which a schedule is due.

use jiff::{Timestamp, tz::TimeZone};
use pigeon_api::{ApiError, ErrorKind, When};

use super::cron::Cron;

/// Shortest time between two jobs of a schedule, in milliseconds.
const LEAST: u64 = 1000;

/// Longest, about ten years.
const MOST: u64 = 10 * 366 * 24 * 3600 * 1000;

/// All times of a schedule, in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Times {
    /// Those that an expression names in a time zone.
    Cron(Cron, TimeZone),
    /// Again and again.
    Every {
        /// The beginning; itself not due.
        from: i64,
        /// The step, more than 0.
        step: i64,
    },
    /// Once.
    At(i64),
}

impl Times {
    /// Those of a schedule that was added at this time.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`], in words.
    pub(crate) fn of(when: &When, added: i64) -> Result<Self, ApiError> {
        match when {
            When::Cron { expression, zone } => {
                let cron = expression.parse().map_err(|error| {
                    let message = format!("the cron expression {expression:?} cannot be read");
                    bad(message).caused_by(error).hint("`30 6 * * mon-fri` is half past six on working days")
                })?;
                Ok(Times::Cron(cron, zone.as_deref().map_or(Ok(TimeZone::UTC), zone_of)?))
            }
            When::Every { ms } if (LEAST..=MOST).contains(ms) => {
                Ok(Times::Every { from: added, step: i64::try_from(*ms).unwrap_or(i64::MAX) })
            }
            When::Every { ms } => Err(bad(format!(
                "a schedule cannot be due every {ms} ms: it is a second at least, and ten years at most"
            ))),
            When::At { ms } => match Timestamp::from_millisecond(*ms) {
                Ok(_) if *ms > added => Ok(Times::At(*ms)),
                Ok(past) => Err(bad(format!("{past} is past"))),
                Err(error) => Err(bad(format!("{ms} ms since 1970 is no time")).caused_by(error)),
            },
        }
    }

    /// The first behind `after`; `None` if there is none any more.
    pub(crate) fn next(&self, after: i64) -> Option<i64> {
        match self {
            Times::Cron(cron, zone) => cron.next(zone, after),
            Times::Every { from, step } => {
                let passed = after.saturating_sub(*from).max(0) / step;
                (passed + 1).checked_mul(*step)?.checked_add(*from)
            }
            Times::At(at) => Some(*at).filter(|at| *at > after),
        }
    }

    /// The last ones behind `after` up to `to`, in order: `most` of them, or fewer if there are no more.
    pub(crate) fn last(&self, after: i64, to: i64, most: usize) -> Vec<i64> {
        match self {
            Times::Cron(cron, zone) => cron.last(zone, after, to, most),
            Times::Every { from, step } => {
                let last = to.saturating_sub(*from).max(0) / step;
                let first = (after.saturating_sub(*from).max(0) / step).saturating_add(1);
                let first = first.max(last.saturating_sub(most as i64 - 1));
                (first..=last).map(|number| from + number * step).collect()
            }
            Times::At(at) => Some(*at).filter(|at| *at > after && *at <= to && most > 0).into_iter().collect(),
        }
    }
}

fn zone_of(name: &str) -> Result<TimeZone, ApiError> {
    TimeZone::get(name).map_err(|_| {
        let error = bad(format!("there is no time zone {name:?}"));
        let near = near(name);
        match near.as_slice() {
            [] => error.hint("zones are named as in the IANA database: `Europe/Berlin`, `UTC`"),
            near => error.hint(format!("perhaps {}", near.join(" or "))),
        }
    })
}

/// Up to three zones whose names are like this one, the likest first. Half of most names is the continent, so cities
/// count by themselves as well.
fn near(name: &str) -> Vec<String> {
    let city = |name: &str| name.rsplit('/').next().unwrap_or(name).to_lowercase();
    let likeness = |other: &str| {
        let whole = strsim::jaro_winkler(&name.to_lowercase(), &other.to_lowercase());
        whole.max(strsim::jaro_winkler(&city(name), &city(other)) - 0.01)
    };
    let names = jiff::tz::db().available().map(|name| name.as_str().to_owned());
    let mut near: Vec<(f64, String)> =
        names.map(|name| (likeness(&name), name)).filter(|(near, _)| *near > 0.85).collect();
    near.sort_by(|one, other| other.0.total_cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
    near.into_iter().take(3).map(|(_, name)| name).collect()
}

fn bad(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::BadRequest, message)
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    const NOW: i64 = 1_780_000_000_000;
    const NONE: [i64; 0] = [];

    fn wrong(when: When) -> ApiError {
        Times::of(&when, NOW).unwrap_err()
    }

    fn cron(expression: &str, zone: Option<&str>) -> When {
        When::Cron { expression: expression.to_owned(), zone: zone.map(str::to_owned) }
    }

    #[test]
    fn every_counts_from_when_it_was_added() {
        let times = Times::of(&When::Every { ms: 60_000 }, NOW).unwrap();
        assert_eq!(times.next(NOW), Some(NOW + 60_000));
        assert_eq!(times.next(NOW - 5_000_000), Some(NOW + 60_000));
        assert_eq!(times.next(NOW + 60_000), Some(NOW + 120_000));
        assert_eq!(times.next(NOW + 60_001), Some(NOW + 120_000));
        assert_eq!(times.last(NOW, NOW + 59_999, 100), NONE);
        assert_eq!(times.last(NOW, NOW + 200_000, 100), [NOW + 60_000, NOW + 120_000, NOW + 180_000]);
        assert_eq!(times.last(NOW + 60_000, NOW + 1_000_000_000_000, 2).len(), 2);
        assert_eq!(times.last(NOW + 60_000, NOW + 121_000, 2), [NOW + 120_000]);
        assert_eq!(times.last(NOW + 500_000, NOW, 2), NONE, "the clock went back");
        assert_eq!(times.next(i64::MAX - 5), None);
    }

    #[test]
    fn at_is_due_once() {
        let times = Times::of(&When::At { ms: NOW + 1 }, NOW).unwrap();
        assert_eq!((times.next(NOW), times.next(NOW + 1)), (Some(NOW + 1), None));
        assert_eq!(times.last(NOW, NOW + 5, 100), [NOW + 1]);
        assert_eq!(times.last(NOW + 1, NOW + 5, 100), NONE);
        assert_eq!(times.last(NOW, NOW, 100), NONE);
    }

    #[test]
    fn what_can_never_be_due_is_refused_in_words() {
        assert_eq!(wrong(When::At { ms: NOW }).message, "2026-05-28T20:26:40Z is past");
        assert_eq!(wrong(When::At { ms: i64::MAX }).message, "9223372036854775807 ms since 1970 is no time");
        let told = "a schedule cannot be due every 999 ms: it is a second at least, and ten years at most";
        assert_eq!(wrong(When::Every { ms: 999 }).message, told);
        assert!(Times::of(&When::Every { ms: u64::MAX }, NOW).is_err());
        let error = wrong(cron("0 24 * * *", None));
        assert_eq!(error.message, "the cron expression \"0 24 * * *\" cannot be read");
        let source = error.source().unwrap().to_string();
        assert_eq!(source, "the hour cannot be \"24\": it is `*`, or made of numbers from 0 to 23");
    }

    #[test]
    fn an_unknown_zone_is_told_with_those_that_are_like_it() {
        let zone = |name| wrong(cron("0 0 * * *", Some(name)));
        let error = zone("Europe/Berln");
        assert_eq!(error.message, "there is no time zone \"Europe/Berln\"");
        assert!(error.hint.as_deref().unwrap().starts_with("perhaps Europe/Berlin"), "{:?}", error.hint);
        assert!(zone("Tokio").hint.unwrap().contains("Asia/Tokyo"));
        assert!(zone("xq").hint.unwrap().contains("IANA"));
        assert!(Times::of(&cron("0 0 * * *", Some("europe/berlin")), NOW).is_ok(), "case is no matter");
    }
}
