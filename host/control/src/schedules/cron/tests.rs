use proptest::prelude::*;

use super::*;

fn cron(expression: &str) -> Cron {
    expression.parse().unwrap()
}

fn time(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

/// The next times, as the clocks on the wall of the zone show them.
fn walk(expression: &str, in_zone: &str, after: &str, count: usize) -> Vec<String> {
    let (cron, zone, mut at) = (cron(expression), zone(in_zone), time(after));
    let next = std::iter::repeat_with(|| {
        at = cron.next(&zone, at).unwrap();
        let zoned = Timestamp::from_millisecond(at).unwrap().to_zoned(zone.clone());
        zoned.strftime("%a %F %R %z").to_string()
    });
    next.take(count).collect()
}

fn wrong(expression: &str) -> String {
    expression.parse::<Cron>().unwrap_err().to_string()
}

#[test]
fn fields_are_read_as_ever() {
    assert_eq!(
        walk("*/20 9-17/4 * * mon-fri", "UTC", "2026-03-06T13:10:00Z", 4),
        [
            "Fri 2026-03-06 13:20 +0000",
            "Fri 2026-03-06 13:40 +0000",
            "Fri 2026-03-06 17:00 +0000",
            "Fri 2026-03-06 17:20 +0000"
        ]
    );
    assert_eq!(
        walk("0 0 1,15 jan,JUL *", "UTC", "2026-01-15T00:00:00Z", 3),
        ["Wed 2026-07-01 00:00 +0000", "Wed 2026-07-15 00:00 +0000", "Fri 2027-01-01 00:00 +0000"]
    );
    assert_eq!(
        walk("5/25 0 * * *", "UTC", "2026-01-01T00:06:00Z", 2),
        ["Thu 2026-01-01 00:30 +0000", "Thu 2026-01-01 00:55 +0000"]
    );
    for (one, other) in [("0 0 * * 7", "0 0 * * 0"), ("0 0 * * fri-sun", "0 0 * * 5,6,7"), ("@weekly", "0 0 * * sun")] {
        assert_eq!(cron(one), cron(other));
    }
    assert_eq!(cron("  @yearly "), cron("0 0 1 1 *"));
    assert_eq!(cron("0 0 * * */2"), Cron { weekdays: 0b101_0101, ..cron("0 0 * * *") });
    assert_eq!(cron("0\t0 1 * *").next(&TimeZone::UTC, -1), Some(0), "1970 began with a first");
}

#[test]
fn a_day_and_a_weekday_are_either_unless_one_begins_with_an_asterisk() {
    assert_eq!(
        walk("0 12 13 * fri", "UTC", "2026-03-01T00:00:00Z", 4),
        [
            "Fri 2026-03-06 12:00 +0000",
            "Fri 2026-03-13 12:00 +0000",
            "Fri 2026-03-20 12:00 +0000",
            "Fri 2026-03-27 12:00 +0000"
        ]
    );
    assert_eq!(walk("0 12 13 * fri", "UTC", "2026-04-10T12:00:00Z", 1), ["Mon 2026-04-13 12:00 +0000"]);
    assert_eq!(walk("0 12 */13 * fri", "UTC", "2026-02-28T00:00:00Z", 1), ["Fri 2026-03-27 12:00 +0000"]);
}

#[test]
fn leap_days_come_when_they_come() {
    assert_eq!(
        walk("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", 2),
        ["Tue 2028-02-29 00:00 +0000", "Sun 2032-02-29 00:00 +0000"]
    );
    assert_eq!(walk("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", 1), ["Fri 2104-02-29 00:00 +0000"], "2100 has none");
    assert_eq!(walk("0 0 31 * *", "UTC", "2026-03-31T00:00:00Z", 1), ["Sun 2026-05-31 00:00 +0000"]);
    assert_eq!(walk("0 0 31 12 *", "UTC", "2026-01-01T00:00:00Z", 1), ["Thu 2026-12-31 00:00 +0000"]);
}

#[test]
fn an_hour_that_clocks_skip_is_due_after_it() {
    // Berlin, 29 March 2026: 02:00 becomes 03:00.
    assert_eq!(
        walk("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 3),
        ["Sat 2026-03-28 02:30 +0100", "Sun 2026-03-29 03:30 +0200", "Mon 2026-03-30 02:30 +0200"]
    );
    // 02:30 comes to be 03:30, behind 03:15, and the same as 03:30.
    assert_eq!(
        walk("15,30 2,3 * * sun", "Europe/Berlin", "2026-03-28T12:00:00Z", 3),
        ["Sun 2026-03-29 03:15 +0200", "Sun 2026-03-29 03:30 +0200", "Sun 2026-04-05 02:15 +0200"]
    );
    // Samoa had no 30 December 2011.
    assert_eq!(
        walk("0 9 30 12 *", "Pacific/Apia", "2011-12-01T00:00:00Z", 2),
        ["Sat 2011-12-31 09:00 +1400", "Sun 2012-12-30 09:00 +1400"]
    );
    // Clocks of Asunción went from 23:59 to 01:00: what is skipped belongs to the day.
    assert_eq!(
        walk("30 0 * * *", "America/Asuncion", "2023-09-30T12:00:00Z", 2),
        ["Sun 2023-10-01 01:30 -0300", "Mon 2023-10-02 00:30 -0300"]
    );
}

#[test]
fn an_hour_that_comes_twice_is_due_once() {
    // Berlin, 25 October 2026: 03:00 becomes 02:00.
    assert_eq!(
        walk("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
        ["Sun 2026-10-25 02:30 +0200", "Mon 2026-10-26 02:30 +0100"]
    );
    assert_eq!(
        walk("30 1-3 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 4),
        [
            "Sun 2026-10-25 01:30 +0200",
            "Sun 2026-10-25 02:30 +0200",
            "Sun 2026-10-25 03:30 +0100",
            "Mon 2026-10-26 01:30 +0100"
        ]
    );
}

#[test]
fn what_follows_the_time_is_evenly_spaced_whatever_clocks_do() {
    for (after, count) in [("2026-03-28T20:00:00Z", 60), ("2026-10-24T20:00:00Z", 60)] {
        let (cron, zone, mut at) = (cron("*/10 * * * *"), zone("Europe/Berlin"), time(after));
        for _ in 0..count {
            let next = cron.next(&zone, at).unwrap();
            assert_eq!(next - at, 600_000);
            at = next;
        }
    }
    assert_eq!(
        walk("0 */2 * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", 3),
        ["Sun 2026-10-25 02:00 +0200", "Sun 2026-10-25 02:00 +0100", "Sun 2026-10-25 04:00 +0100"]
    );
    // Lord Howe: half an hour.
    assert_eq!(
        walk("*/15 * * * *", "Australia/Lord_Howe", "2026-10-03T15:15:00Z", 3),
        ["Sun 2026-10-04 02:30 +1100", "Sun 2026-10-04 02:45 +1100", "Sun 2026-10-04 03:00 +1100"]
    );
}

#[test]
fn mistakes_are_told_in_words() {
    assert_eq!(
        wrong("* * * *"),
        "a cron expression has five fields (minute, hour, day of the month, month, day of the week), and not 4"
    );
    assert!(wrong("").ends_with("and not 0") && wrong("0 0 0 1 1 *").ends_with("and not 6"));
    assert_eq!(wrong("60 * * * *"), "the minute cannot be \"60\": it is `*`, or made of numbers from 0 to 59");
    assert_eq!(wrong("* 9,24 * * *"), "the hour cannot be \"24\": it is `*`, or made of numbers from 0 to 23");
    assert_eq!(
        wrong("* * * Mai *"),
        "the month cannot be \"Mai\": it is `*`, or made of numbers from 1 to 12, or a name from jan to dec"
    );
    assert_eq!(
        wrong("* * * * 5-1"),
        "the day of the week cannot be \"5-1\": 5 is behind 1; say both parts, with a comma between them"
    );
    assert_eq!(wrong("*/0 * * * *"), "the minute cannot be \"*/0\": a step is a number from 1 to 59");
    assert_eq!(wrong("0 0 30 2 *"), "it names no day that there is");
    assert_eq!(wrong("@reboot"), "there is no \"@reboot\": there are @hourly, @daily, @weekly, @monthly and @yearly");
    for bad in [
        "+1 * * * *",
        "1- * * * *",
        "-1 * * * *",
        ", * * * *",
        "1,,2 * * * *",
        "** * * * *",
        "1/ * * * *",
        "1/2/3 * * * *",
        "0 0 * * 5L",
        "0 0 ? * *",
        "256 * * * *",
    ] {
        assert!(bad.parse::<Cron>().is_err(), "{bad}");
    }
}

fn field(first: u8, last: u8) -> impl Strategy<Value = String> {
    let part = prop_oneof![
        (first..=last).prop_map(|value| value.to_string()),
        (first..=last, first..=last).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        (first..=last, first..=last, 1..=last).prop_map(|(a, b, step)| format!("{}-{}/{step}", a.min(b), a.max(b))),
        (1..=last).prop_map(|step| format!("*/{step}")),
    ];
    prop_oneof![2 => Just("*".to_owned()), 3 => prop::collection::vec(part, 1..3).prop_map(|parts| parts.join(","))]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Going forward and looking back name the same times, in order and each once, in zones of all sorts.
    #[test]
    fn both_ways_lead_to_the_same_times(
        minute in field(0, 59), hour in field(0, 23), weekday in field(0, 6),
        start in 1_700_000_000_000_i64..1_900_000_000_000,
        name in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago"]),
    ) {
        let (cron, zone) = (cron(&format!("{minute} {hour} * * {weekday}")), zone(name));
        let (mut at, mut walked) = (start, Vec::new());
        while walked.len() < 40 && let Some(next) = cron.next(&zone, at) {
            prop_assert!(next > at);
            walked.push(next);
            at = next;
        }
        prop_assert_eq!(cron.last(&zone, start, at, 1000), walked.clone());
        prop_assert_eq!(cron.last(&zone, start, at, 7), &walked[walked.len() - 7..]);
        prop_assert_eq!(cron.last(&zone, start - 1, start - 1, 7), Vec::<i64>::new());
    }
}
