//! Points in time, as people see them: where they are, or how long ago.

use jiff::{Timestamp, tz::TimeZone};

/// Now, and here: what times are told by.
#[derive(Debug, Clone)]
pub(crate) struct Moment {
    /// Milliseconds since 1970.
    now_ms: i64,
    zone: TimeZone,
}

impl Moment {
    /// By the clock and the time zone of this machine.
    pub(crate) fn now() -> Self {
        Self { now_ms: Timestamp::now().as_millisecond(), zone: TimeZone::system() }
    }

    #[cfg(test)]
    pub(crate) fn utc(now_ms: i64) -> Self {
        Self { now_ms, zone: TimeZone::UTC }
    }

    #[cfg(test)]
    pub(crate) fn in_zone(self, zone: TimeZone) -> Self {
        Self { zone, ..self }
    }

    /// By another clock: that of a control host, whose times are told.
    pub(crate) fn at(&self, now_ms: i64) -> Self {
        Self { now_ms, ..self.clone() }
    }

    /// `3 min ago`; `in 3 min` of what is to come.
    pub(crate) fn relative(&self, ms: i64) -> String {
        match ms.saturating_sub(self.now_ms) {
            // Two clocks are never quite alike.
            away @ -999..=999 => if away > 0 { "now" } else { "just now" }.to_owned(),
            away if away < 0 => format!("{} ago", span(away.unsigned_abs())),
            away => format!("in {}", span(away.unsigned_abs())),
        }
    }

    /// `in 3 min`, or `now` if it is past: of something that is awaited.
    pub(crate) fn until(&self, ms: i64) -> String {
        if ms > self.now_ms { self.relative(ms) } else { "now".to_owned() }
    }

    /// `2026-11-21 19:03:11 CET`: where we are.
    pub(crate) fn local(&self, ms: i64) -> String {
        let Ok(time) = Timestamp::from_millisecond(ms) else { return format!("{ms} ms since 1970") };
        time.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
    }

    /// `19:03:11`: where we are, on whichever day.
    pub(crate) fn time(&self, ms: i64) -> String {
        let Ok(time) = Timestamp::from_millisecond(ms) else { return "--:--:--".to_owned() };
        time.to_zoned(self.zone.clone()).strftime("%H:%M:%S").to_string()
    }

    /// Both.
    pub(crate) fn both(&self, ms: i64) -> String {
        format!("{} ({})", self.local(ms), self.relative(ms))
    }
}

/// A stretch of time in its largest unit, cut down: `59 s`, `3 min`, `5 h`, `12 days`.
pub(crate) fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms} ms"),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_000_000_000;

    #[test]
    fn times_are_told_from_now() {
        let told = |away: i64| Moment::utc(NOW).relative(NOW + away);
        assert_eq!([0, -400, 400, -1000].map(told), ["just now", "just now", "now", "1 s ago"]);
        assert_eq!([-59_999, -60_000, -3_600_000].map(told), ["59 s ago", "1 min ago", "1 h ago"]);
        assert_eq!([172_799_000, 172_800_000, 1_500].map(told), ["in 47 h", "in 2 days", "in 1 s"]);
        assert_eq!([-9, 9000].map(|away| Moment::utc(NOW).until(NOW + away)), ["now", "in 9 s"]);
        assert_eq!(Moment::utc(i64::MAX).relative(i64::MIN), "106751991167 days ago");
    }

    #[test]
    fn times_are_told_where_we_are() {
        assert_eq!(Moment::utc(NOW).local(NOW), "2026-11-18 11:06:40 UTC");
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let moment = Moment::utc(NOW).in_zone(zone);
        assert_eq!(moment.local(NOW), "2026-11-18 12:06:40 CET");
        assert_eq!(moment.local(NOW - 150 * 86_400_000), "2026-06-21 13:06:40 CEST");
        assert_eq!(moment.both(NOW - 5000), "2026-11-18 12:06:35 CET (5 s ago)");
        assert_eq!((moment.time(NOW), moment.time(i64::MAX)), ("12:06:40".to_owned(), "--:--:--".to_owned()));
        assert_eq!(moment.local(i64::MAX), "9223372036854775807 ms since 1970");
    }
}
