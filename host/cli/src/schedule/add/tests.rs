use std::path::Path;

use super::*;
use crate::{
    input::{Split, SplitRule},
    samples::{NOW, view},
};

fn when(cron: Option<&str>, every: Option<Duration>, at: Option<&str>, zone: Option<&str>) -> Result<When, String> {
    let args = WhenArgs { cron: cron.map(str::to_owned), every, at: at.map(str::to_owned) };
    let here = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    due(&args, zone, Timestamp::from_millisecond(NOW).unwrap(), &here).map_err(|error| error.to_string())
}

#[test]
fn times_are_those_of_the_zone_that_is_meant() {
    let at = |text, zone| when(None, None, Some(text), zone);
    let noon = Timestamp::from_millisecond(NOW).unwrap().as_millisecond() / 86_400_000 * 86_400_000 + 43_200_000;
    assert_eq!(at("2026-11-18T12:00:00Z", None), Ok(When::At { ms: noon }));
    // Where we are, an hour ahead of UTC.
    assert_eq!(at("2026-11-18 13:00", None), Ok(When::At { ms: noon }));
    assert_eq!(at("2026-11-18 12:00", Some("UTC")), Ok(When::At { ms: noon }));
    assert_eq!(at("2026-11-18T11:00:00Z", None), Err("2026-11-18T11:00:00Z is past".to_owned()));
    assert_eq!(at("tomorrow", None), Err("\"tomorrow\" is no time".to_owned()));
    let far = "9999-12-31T23:59:59Z";
    assert_eq!(at(far, None), Err(format!("{far} is too far away")));
    assert_eq!(at("9999-12-31 23:59", Some("UTC")), Err("9999-12-31 23:59 is too far away".to_owned()));
    assert_eq!(at("9999-13-31", None), Err("\"9999-13-31\" is no time".to_owned()));
    assert_eq!(at("2026-11-19 12:00", Some("Mars/Olympus")), Err("there is no time zone \"Mars/Olympus\"".to_owned()));

    // Clocks are put forward and back.
    assert_eq!(
        at("2027-03-28 02:30", None),
        Err("there is no 2027-03-28 02:30 where we are: clocks are put forward then".to_owned())
    );
    assert_eq!(
        at("2027-10-31 02:30", Some("Europe/Berlin")),
        Err("2027-10-31 02:30 comes twice in Europe/Berlin: clocks are put back then".to_owned())
    );
    assert!(at("2027-10-31T02:30:00+01:00", None).is_ok());

    assert_eq!(when(None, Some(Duration::from_secs(900)), None, None), Ok(When::Every { ms: 900_000 }));
    assert!(when(None, Some(Duration::from_micros(900)), None, None).is_err());
    let cron = When::Cron { expression: "0 3 * * *".to_owned(), zone: Some("UTC".to_owned()) };
    assert_eq!(when(Some("0 3 * * *"), None, None, Some("UTC")), Ok(cron));
}

#[test]
fn of_a_time_that_is_not_one_those_are_told_that_may_be_meant() {
    let hint = |text: &str| {
        let args = WhenArgs { cron: None, every: None, at: Some(text.to_owned()) };
        let wrong = due(&args, Some("Europe/Berlin"), Timestamp::from_millisecond(NOW).unwrap(), &TimeZone::UTC);
        wrong.unwrap_err().problem().hint.unwrap()
    };
    assert_eq!(hint("2027-03-28 02:30"), "say which is meant: 2027-03-28T01:30:00+01:00 or 2027-03-28T03:30:00+02:00");
    assert_eq!(hint("2027-10-31 02:30"), "say which is meant: 2027-10-31T02:30:00+02:00 or 2027-10-31T02:30:00+01:00");
}

fn read(path: &Path, split: SplitRule) -> Result<Vec<InlineItem>, String> {
    let inputs = Inputs::new(&[path.to_owned()], split, 64 << 20).unwrap();
    items(inputs).map_err(|error| error.to_string())
}

#[test]
fn items_are_kept_as_text_with_their_ids() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.txt");
    std::fs::write(&path, "one\n\nzw\u{f6}lf\n").unwrap();
    let name = path.display();
    let named = |id: String, body: &str| InlineItem::Named { id, body: body.to_owned() };
    let lines = read(&path, SplitRule::As(Split::Lines)).unwrap();
    assert_eq!(lines, [named(format!("{name}:1"), "one"), named(format!("{name}:3"), "zw\u{f6}lf")]);
    assert_eq!(read(&path, SplitRule::Whole).unwrap(), [named(name.to_string(), "one\n\nzw\u{f6}lf\n")]);

    std::fs::write(&path, b"a\xff").unwrap();
    assert_eq!(read(&path, SplitRule::Whole), Err(format!("{name} is not UTF-8")));
    std::fs::write(&path, vec![b'x'; MOST_BYTES + 1]).unwrap();
    let error = read(&path, SplitRule::Whole).unwrap_err();
    assert!(error.contains("more than the 8 MiB that a schedule keeps"), "{error}");
}

#[test]
fn it_is_told_what_was_added() {
    let added = ScheduleInfo {
        name: "nightly".to_owned(),
        when: When::Every { ms: 900_000 },
        catch_up: CatchUp::Once,
        overlap: Overlap::Skip,
        plugin: "json".to_owned(),
        items: 3,
        author: String::new(),
        paused: false,
        next_ms: Some(NOW + 900_000),
        last_ms: None,
        last_job: None,
        last_error: None,
    };
    let expected = "schedule nightly (every 15 min): 3 items for json, first 2026-11-18 11:21:40 UTC (in 15 min)\n";
    assert_eq!(told(&added, &view(80)), expected);
}
