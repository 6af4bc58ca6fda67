use pigeon_api::CatchUp;

use super::*;
use crate::samples::{EVIL, NOW, assert_harmless, long, view};

fn schedule(name: &str, when: When) -> ScheduleInfo {
    ScheduleInfo {
        name: name.to_owned(),
        when,
        catch_up: CatchUp::Once,
        overlap: Overlap::Skip,
        plugin: "json".to_owned(),
        items: 12,
        author: "alice".to_owned(),
        paused: false,
        next_ms: Some(NOW + 3_600_000 * 16),
        last_ms: Some(NOW - 3_600_000 * 8),
        last_job: Some("01890a5d-ac96-774b-bcce-b302099a8057".to_owned()),
        last_error: None,
    }
}

fn list() -> ScheduleList {
    let cron = When::Cron { expression: "0 3 * * *".to_owned(), zone: Some("Europe/Berlin".to_owned()) };
    let failed = ScheduleInfo {
        last_error: Some("an earlier job of it goes on".to_owned()),
        last_job: None,
        ..schedule("pulse", When::Every { ms: 900_000 })
    };
    let over = ScheduleInfo { next_ms: None, last_job: None, ..schedule("once", When::At { ms: NOW - 5000 }) };
    let paused = ScheduleInfo {
        paused: true,
        last_ms: None,
        last_job: None,
        ..schedule("hourly", When::Every { ms: 3_600_000 })
    };
    ScheduleList { schedules: vec![schedule("nightly", cron), failed, over, paused] }
}

#[test]
fn schedules_at_several_widths() {
    for width in [40, 80, 140] {
        let text = table(&list(), &view(width));
        assert_harmless(&text, width);
        insta::assert_snapshot!(format!("schedules_{width}"), text);
    }
}

#[test]
fn an_empty_list_says_what_to_do() {
    let text = table(&ScheduleList { schedules: Vec::new() }, &view(80));
    let expected = "no schedule is kept: pigeon schedule add nightly --cron '0 3 * * *' -f FILE -v json adds one\n";
    assert_eq!(text, expected);
}

#[test]
fn hostile_words_steer_nothing() {
    let mut list = list();
    for schedule in &mut list.schedules {
        (schedule.name, schedule.plugin, schedule.author) = (long(), EVIL.to_owned(), long());
        schedule.when = When::Cron { expression: long(), zone: Some(EVIL.to_owned()) };
        schedule.last_error = Some(long());
    }
    list.schedules[0].last_error = None;
    list.schedules[0].last_job = Some(EVIL.to_owned());
    for width in [40, 80, 200] {
        assert_harmless(&table(&list, &view(width)), width);
    }
}
