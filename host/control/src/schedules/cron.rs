//! Cron expressions: five fields that name minutes of the calendar.
//!
//! ```text
//!   minute     0-59
//!   │ hour     0-23
//!   │ │ day    1-31
//!   │ │ │ month 1-12 or jan-dec
//!   │ │ │ │ weekday 0-7 or sun-sat, 0 and 7 both Sunday
//!   * * * * *      each field: `*`, or some of `5`, `1-5`, `*/10`, `1-30/2`, with commas between them
//! ```
//!
//! As ever with cron: where neither the day nor the weekday begins with `*`, a day that either names is meant; else one
//! that both name. `@hourly`, `@daily`, `@weekly`, `@monthly` and `@yearly` stand for what they say.
//!
//! Clocks are put forward and back. An expression whose hours begin with `*` follows the time that passes: what is
//! skipped when clocks go forward is not due, and what comes twice when they go back is due twice, so that `*/10 * * * *`
//! is due every ten minutes on those days too. Any other names hours of the clock on the wall: each is due once a day; one
//! that is skipped, as long after as the clocks were put forward; one that comes twice, the first time.

use std::{collections::BTreeSet, str::FromStr};

use jiff::{
    Timestamp,
    civil::Date,
    tz::{AmbiguousOffset, TimeZone},
};

/// Days that are searched for the next time. 29 February may be 8 years away, and 40 as a given weekday.
const FAR: i32 = 41 * 366;

/// An expression, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    /// From 0, Sunday.
    weekdays: u64,
    /// A day that one of the two fields names is meant, not only one that both name.
    either: bool,
    /// It follows the time that passes, not the clock on the wall.
    passes: bool,
}

/// Why an expression cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CronError {
    #[error("a cron expression has five fields (minute, hour, day of the month, month, day of the week), and not {0}")]
    Fields(usize),
    #[error("there is no {0:?}: there are @hourly, @daily, @weekly, @monthly and @yearly")]
    Word(String),
    #[error("the {field} cannot be {found:?}: {what}")]
    Field { field: &'static str, found: String, what: String },
    #[error("it names no day that there is")]
    Never,
}

/// What may stand in a field.
struct Field {
    name: &'static str,
    first: u8,
    last: u8,
    /// Names of the values from `first` on.
    names: &'static [&'static str],
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const FIELDS: [Field; 5] = [
    Field { name: "minute", first: 0, last: 59, names: &[] },
    Field { name: "hour", first: 0, last: 23, names: &[] },
    Field { name: "day of the month", first: 1, last: 31, names: &[] },
    Field { name: "month", first: 1, last: 12, names: MONTHS },
    Field { name: "day of the week", first: 0, last: 7, names: WEEKDAYS },
];

impl FromStr for Cron {
    type Err = CronError;

    fn from_str(expression: &str) -> Result<Self, CronError> {
        let expression = expression.trim();
        let expression = match expression {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" | "@annually" => "0 0 1 1 *",
            word if word.starts_with('@') => return Err(CronError::Word(word.to_owned())),
            fields => fields,
        };
        let fields: Vec<&str> = expression.split_ascii_whitespace().collect();
        let &[minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(CronError::Fields(fields.len()));
        };
        let [minutes, hours, days, months, weekdays] = &FIELDS;
        let sundays = weekdays.read(weekday)?;
        let cron = Self {
            minutes: minutes.read(minute)?,
            hours: hours.read(hour)?,
            days: days.read(day)?,
            months: months.read(month)?,
            weekdays: (sundays | sundays >> 7) & 0x7F,
            either: !day.starts_with('*') && !weekday.starts_with('*'),
            passes: hour.starts_with('*'),
        };
        if cron.next(&TimeZone::UTC, 0).is_none() { Err(CronError::Never) } else { Ok(cron) }
    }
}

impl Field {
    /// The values that a field names, as bits.
    fn read(&self, field: &str) -> Result<u64, CronError> {
        field.split(',').try_fold(0, |bits, part| Ok(bits | self.read_part(part)?))
    }

    fn read_part(&self, part: &str) -> Result<u64, CronError> {
        let wrong = |what: String| CronError::Field { field: self.name, found: part.to_owned(), what };
        let (range, step) = match part.split_once('/') {
            None => (part, None),
            Some((range, step)) => match step.parse::<u8>() {
                Ok(step) if (1..=self.last).contains(&step) => (range, Some(step)),
                _ => return Err(wrong(format!("a step is a number from 1 to {}", self.last))),
            },
        };
        let (from, to) = match range.split_once('-') {
            None if range == "*" => (self.first, self.top()),
            None => {
                let from = self.value(range).ok_or_else(|| wrong(self.choice()))?;
                (from, if step.is_some() { self.top().max(from) } else { from })
            }
            Some((from, to)) => {
                let from = self.value(from).ok_or_else(|| wrong(self.choice()))?;
                let to = self.value(to).ok_or_else(|| wrong(self.choice()))?;
                // A week may end with Sunday.
                let to = if self.last == 7 && to == 0 && from > 0 { 7 } else { to };
                if from > to {
                    return Err(wrong(format!("{from} is behind {to}; say both parts, with a comma between them")));
                }
                (from, to)
            }
        };
        Ok((from..=to).step_by(usize::from(step.unwrap_or(1))).fold(0, |bits, value| bits | 1 << value))
    }

    /// The highest value; a week has only one Sunday.
    fn top(&self) -> u8 {
        if self.last == 7 { 6 } else { self.last }
    }

    fn value(&self, text: &str) -> Option<u8> {
        if let Some(named) = self.names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            return Some(self.first + u8::try_from(named).ok()?);
        }
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|value| digits && (self.first..=self.last).contains(value))
    }

    /// What may be said.
    fn choice(&self) -> String {
        let names = match (self.names.first(), self.names.last()) {
            (Some(first), Some(last)) => format!(", or a name from {first} to {last}"),
            _ => String::new(),
        };
        format!("it is `*`, or made of numbers from {} to {}{names}", self.first, self.last)
    }
}

impl Cron {
    /// The first time behind `after`, both in milliseconds since 1970; `None` if there is none for decades.
    pub(crate) fn next(&self, zone: &TimeZone, after: i64) -> Option<i64> {
        let mut found: Option<i64> = None;
        // Clocks that are put forward may carry a time into the next day.
        let mut day = day_of(zone, after)?.yesterday().ok()?;
        for _ in 0..FAR {
            let first = self.times(zone, day).filter(|time| *time > after).min();
            if found.is_some() {
                return found.into_iter().chain(first).min();
            }
            found = first;
            day = day.tomorrow().ok()?;
        }
        None
    }

    /// The last times behind `after` up to `to`, in order: `most` of them, or fewer if there are no more.
    pub(crate) fn last(&self, zone: &TimeZone, after: i64, to: i64, most: usize) -> Vec<i64> {
        let (Some(first), Some(last)) = (day_of(zone, after), day_of(zone, to)) else { return Vec::new() };
        let (mut found, mut day, mut enough) = (BTreeSet::new(), last, false);
        while day >= first.yesterday().unwrap_or(first) {
            found.extend(self.times(zone, day).filter(|time| *time > after && *time <= to));
            if enough {
                break;
            }
            // One day more: clocks may have carried a time of it into this one.
            enough = found.len() >= most;
            match day.yesterday() {
                Ok(before) => day = before,
                Err(_) => break,
            }
        }
        let surplus = found.len().saturating_sub(most);
        found.into_iter().skip(surplus).collect()
    }

    /// The times of a day, in milliseconds since 1970. Where clocks are put forward or back they are not in order.
    fn times(&self, zone: &TimeZone, day: Date) -> impl Iterator<Item = i64> {
        let hours = if self.names(day) { self.hours } else { 0 };
        let minutes =
            bits(hours).flat_map(move |hour| bits(self.minutes).map(move |minute| day.at(hour, minute, 0, 0)));
        let times = minutes.flat_map(|minute| {
            let offsets = match zone.to_ambiguous_timestamp(minute).offset() {
                AmbiguousOffset::Unambiguous { offset } => [Some(offset), None],
                AmbiguousOffset::Gap { .. } if self.passes => [None, None],
                AmbiguousOffset::Fold { before, after } if self.passes => [Some(before), Some(after)],
                AmbiguousOffset::Gap { before, .. } | AmbiguousOffset::Fold { before, .. } => [Some(before), None],
            };
            offsets.into_iter().flatten().filter_map(move |offset| offset.to_timestamp(minute).ok())
        });
        times.map(Timestamp::as_millisecond)
    }

    /// Whether a day is named.
    fn names(&self, day: Date) -> bool {
        let has = |bits: u64, value: i8| bits >> value & 1 == 1;
        let month_day = has(self.days, day.day());
        let weekday = has(self.weekdays, day.weekday().to_sunday_zero_offset());
        has(self.months, day.month()) && if self.either { month_day || weekday } else { month_day && weekday }
    }
}

fn day_of(zone: &TimeZone, time: i64) -> Option<Date> {
    Some(zone.to_datetime(Timestamp::from_millisecond(time).ok()?).date())
}

fn bits(bits: u64) -> impl Iterator<Item = i8> {
    (0..60).filter(move |value| bits >> value & 1 == 1)
}

#[cfg(test)]
mod tests;
