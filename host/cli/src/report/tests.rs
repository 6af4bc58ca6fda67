//! Each form of report, over the same two jobs.

use pigeon_api::{Counts, FailureInfo, Finding, JobId, JobState, Place, RunResult, Severity, Work};

use unicode_width::UnicodeWidthStr as _;

use super::*;
use crate::{input::SplitRule, samples::status};

fn finding(severity: Severity, place: Place) -> Finding {
    Finding {
        severity,
        code: "syntax".to_owned(),
        message: "a value is <missing> \u{1}\u{7f} \"here\"".to_owned(),
        place,
    }
}

fn item(id: &str, line: u64, verdict: Verdict) -> ItemResult {
    ItemResult {
        id: id.to_owned(),
        index: 0,
        line,
        verdict,
        runs: 1,
        time_ms: 0.25,
        findings: Vec::new(),
        omitted: Counts::default(),
        score: None,
        data: None,
        failure: None,
    }
}

fn items() -> Vec<ItemResult> {
    let at = |line, column| Place { line: Some(line), column: Some(column), offset: Some(7), pointer: None };
    let pointer = Place { pointer: Some("/a/0".to_owned()), ..at(3, 2) };
    vec![
        item("d/a.jsonl:1", 1, Verdict::Valid),
        ItemResult {
            findings: vec![finding(Severity::Error, at(1, 5)), finding(Severity::Warning, Place::default())],
            omitted: Counts { errors: 0, warnings: 3, infos: 0 },
            score: Some(0.5),
            data: Some("{\"depth\": 3}".to_owned()),
            ..item("d/a.jsonl:4", 4, Verdict::Invalid)
        },
        ItemResult {
            findings: vec![finding(Severity::Error, pointer)],
            ..item("d/\u{e4} b.json[3]", 10, Verdict::Invalid)
        },
        ItemResult { findings: vec![finding(Severity::Info, at(1, 9))], ..item("d/b.csv:7", 7, Verdict::Valid) },
        ItemResult {
            failure: Some(FailureInfo {
                cause: "timeout".to_owned(),
                code: "timeout".to_owned(),
                message: "the run used up its 10 s of CPU time".to_owned(),
                backtrace: vec!["spin (src/lib.rs:3)".to_owned()],
            }),
            ..item("d/b.csv:9", 9, Verdict::Failure)
        },
    ]
}

fn setting(width: usize) -> Setting {
    let folder = std::env::temp_dir();
    let mut inputs = Inputs::new(&[folder], SplitRule::ByExtension, 1 << 20).unwrap();
    inputs.roots[0].given = "d".to_owned();
    Setting {
        paint: Paint::PLAIN,
        width,
        inputs: Some(inputs),
        count: Count { valid: 2, invalid: 2, failures: 1 },
        retried: 0,
        ending: Ending::Usual,
    }
}

fn report(format: Format, status: &JobStatus, items: &[ItemResult], setting: &Setting) -> String {
    let mut out = Vec::new();
    let mut report = begin(format, &mut out, status, setting).unwrap().unwrap();
    for item in items {
        if !report.item(&mut out, item).unwrap() {
            break;
        }
    }
    report.end(&mut out).unwrap();
    drop(report);
    String::from_utf8(out).unwrap()
}

fn many() -> JobStatus {
    status(Work::Many { iterations: 1, workers: None })
}

#[test]
fn the_table_of_many_items() {
    insta::assert_snapshot!(report(Format::Table, &many(), &items(), &setting(100)));
}

#[test]
fn a_job_that_no_agent_worked_for_was_shared_out_over_nobody() {
    let mut status = many();
    status.workers.clear();
    let text = report(Format::Table, &status, &items(), &setting(100));
    assert_eq!(text.lines().next(), Some("json 0.1.0  1,200 items x 1 iteration = 1,200 runs"));
}

#[test]
fn the_table_of_one_item_on_a_narrow_screen() {
    let mut status = status(Work::One { workers: 2, iterations: 600 });
    status.items = 1;
    let text = report(Format::Table, &status, &items()[1..2], &setting(60));
    assert!(text.lines().skip(2).all(|line| line.chars().count() <= 60), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn the_table_fits_whatever_the_width() {
    for width in [40, 50, 80] {
        let text = report(Format::Table, &many(), &items(), &setting(width));
        let table = text.lines().take_while(|line| !line.starts_with("... and")).take(16);
        for line in table {
            assert!(line.width() <= width, "{width}: {line:?}");
        }
        // The place of a finding stays whole.
        assert!(text.contains("(line 1, column 5)"), "{text}");
    }
    let whole = report(Format::Table, &many(), &items(), &setting(usize::MAX));
    assert!(!whole.contains('\u{2026}'), "{whole}");
}

#[test]
fn nothing_in_a_table_steers_the_terminal() {
    let evil = || "e\u{1b}[2J\nf".to_owned();
    let mut status = many();
    status.items = 1;
    status.workers[0].name = evil();
    (status.errors[0].code, status.errors[0].message, status.errors[0].example) = (evil(), evil(), evil());
    let failure = FailureInfo { cause: evil(), code: evil(), message: evil(), backtrace: vec![evil()] };
    let finding = Finding { code: evil(), message: evil(), ..finding(Severity::Error, Place::default()) };
    let item = ItemResult { findings: vec![finding], failure: Some(failure), ..item(&evil(), 1, Verdict::Failure) };
    let text = report(Format::Table, &status, &[item], &setting(200));
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    // A worker's name, an item's, a finding, a failure, its backtrace, and what went wrong most.
    assert_eq!(text.matches("[2J\u{fffd}f").count(), 1 + 1 + 2 + 2 + 1 + 3, "{text}");
}

#[test]
fn a_table_of_a_part_never_says_that_all_is_valid() {
    let mut status = many();
    (status.valid, status.invalid, status.failures) = (1200, 0, 0);
    let end = |status: &JobStatus, ending| {
        let text = report(Format::Table, status, &[], &Setting { ending, ..setting(100) });
        text.lines().rev().take(3).map(str::to_owned).collect::<Vec<_>>().join("\n")
    };
    assert!(end(&status, Ending::Usual).contains("all valid"));
    assert!(end(&status, Ending::Cut).contains("a part of the input is missing"));
    status.planned_runs = 5000;
    for (state, ending, why) in [
        (JobState::Interrupted, Ending::Usual, "the job was interrupted"),
        (JobState::Interrupted, Ending::Machinery, "the machinery failed"),
        (JobState::Paused, Ending::Usual, "the job is paused"),
        (JobState::Paused, Ending::Waited, "the job had to wait for too long"),
        (JobState::Cancelled, Ending::Usual, "the job was cancelled"),
        (JobState::Cancelled, Ending::Cut, "the job was cancelled"),
    ] {
        status.state = state;
        let end = end(&status, ending);
        assert!(!end.contains("all valid") && end.contains(&format!("3,800 runs not run: {why}")), "{end}");
    }
}

#[test]
fn the_table_tells_of_retries_where_there_were_any() {
    let last = |retried| {
        let text = report(Format::Table, &many(), &[], &Setting { retried, ..setting(100) });
        text.lines().last().unwrap().to_owned()
    };
    assert!(last(0).starts_with("1,200 runs in 1.23 s"), "{}", last(0));
    assert!(last(4321).starts_with("1,200 runs, 4,321 retried, in 1.23 s"), "{}", last(4321));
}

#[test]
fn the_table_of_a_job_that_was_stopped() {
    let mut status = many();
    (status.state, status.planned_runs) = (JobState::Stopped, 5000);
    let text = report(Format::Table, &status, &[], &setting(100));
    assert!(text.ends_with("3,800 runs not run: the job was stopped at its first error\n"), "{text}");
}

#[test]
fn colours_change_nothing_but_colours() {
    let plain = report(Format::Table, &many(), &items(), &setting(100));
    let paint = Paint::for_stream(crate::paint::Colours::Always, &std::io::stdout());
    let painted = report(Format::Table, &many(), &items(), &Setting { paint, ..setting(100) });
    assert_ne!(painted, plain);
    assert_eq!(anstream::adapter::strip_str(&painted).to_string(), plain);
}

/// It has the keys of the type whose schema is published, and no others.
fn assert_published<T: serde::Serialize + serde::de::DeserializeOwned>(text: &str) {
    let published: T = serde_json::from_str(text).unwrap();
    let written: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_value(published).unwrap(), written);
}

#[test]
fn the_json_document() {
    let text = report(Format::Json, &many(), &items(), &setting(100));
    assert_published::<pigeon_api::report::Report>(&text);
    insta::assert_snapshot!(text);
    let mut empty = many();
    (empty.total_runs, empty.valid) = (0, 0);
    let text = report(Format::Json, &empty, &[], &setting(100));
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&document["items"], &document["success_rate"]), (&serde_json::json!([]), &serde_json::json!(0.0)));
}

#[test]
fn junit_is_well_formed_and_counts() {
    let text = report(Format::Junit, &many(), &items(), &setting(100));
    let mut reader = quick_xml::Reader::from_str(&text);
    reader.config_mut().check_end_names = true;
    let (mut cases, mut depth) = (0, 0);
    loop {
        match reader.read_event().unwrap() {
            quick_xml::events::Event::Start(tag) => {
                depth += 1;
                tag.attributes().for_each(|attribute| drop(attribute.unwrap()));
                cases += usize::from(tag.name().as_ref() == "testcase");
            }
            quick_xml::events::Event::Empty(tag) => cases += usize::from(tag.name().as_ref() == "testcase"),
            quick_xml::events::Event::End(_) => depth -= 1,
            quick_xml::events::Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!((cases, depth), (5, 0));
    assert!(!text.contains('\u{1}'), "a character that XML forbids");
    insta::assert_snapshot!(text);
}

#[test]
fn sarif_has_what_the_standard_asks_for() {
    let text = report(Format::Sarif, &many(), &items(), &setting(100));
    let log: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(log["version"], "2.1.0");
    assert!(log["runs"][0]["tool"]["driver"]["name"].is_string());
    let results = log["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), 5);
    let lines: Vec<_> = results
        .iter()
        .map(|result| {
            assert!(result["message"]["text"].is_string());
            assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
            result["locations"][0]["physicalLocation"]["region"]["startLine"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(lines, [4, 4, 12, 7, 9]);
    insta::assert_snapshot!(text);
    let none: serde_json::Value = serde_json::from_str(&report(Format::Sarif, &many(), &[], &setting(9))).unwrap();
    assert_eq!(none["runs"][0]["results"], serde_json::json!([]));
}

#[test]
fn jsonl_has_these_keys_and_no_others() {
    let failed = items().pop().unwrap().failure;
    let run = RunResult {
        item: "a.json".to_owned(),
        index: 0,
        place: 1,
        iteration: 2,
        worker: "worker-2".to_owned(),
        verdict: Verdict::Failure,
        findings: vec![finding(Severity::Error, Place::default())],
        omitted: Counts::default(),
        score: Some(1.0),
        data: None,
        failure: failed,
        time_ms: 1.2345678,
        log: "log".to_owned(),
    };
    let valid = RunResult { verdict: Verdict::Valid, findings: Vec::new(), failure: None, ..run.clone() };
    let mut out = Vec::new();
    jsonl::write(&mut out, JobId::from_bytes([0x11; 16]), &[run, valid]).unwrap();
    let text = String::from_utf8(out).unwrap();
    text.lines().for_each(assert_published::<pigeon_api::report::ReportRun>);
    insta::assert_snapshot!(text);
}

#[test]
fn items_are_traced_to_their_files() {
    let inputs = setting(1).inputs;
    let file = |id| file_of(id, inputs.as_ref());
    assert_eq!(file("d/a.jsonl:17"), ("d/a.jsonl", Split::Jsonl));
    assert_eq!(file("d/a.txt:17"), ("d/a.txt", Split::Lines));
    assert_eq!(file("d/a.json[0]"), ("d/a.json", Split::Array));
    assert_eq!(file("d/a:b.csv:2"), ("d/a:b.csv", Split::Csv));
    let mut whole = inputs.clone().unwrap();
    whole.rule = SplitRule::Whole;
    assert_eq!(file_of("a:1", Some(&whole)), ("a:1", Split::Whole));
    assert_eq!(file_of("a.json[1]", Some(&whole)), ("a.json[1]", Split::Whole));
    whole.rule = SplitRule::As(Split::Lines);
    assert_eq!(file_of("-:3", Some(&whole)), (STDIN_NAME, Split::Lines));
    assert_eq!(file_of("a:1", None), ("a:1", Split::Whole));
}

const STDIN_NAME: &str = crate::input::STDIN;

#[test]
fn xml_text_is_escaped_and_cleaned() {
    use super::junit::escape;
    assert_eq!(escape("plain \u{e4}"), "plain \u{e4}");
    assert_eq!(
        escape("<a b='c' d=\"e\">&\n\0\u{b}\u{ffff}"),
        "&lt;a b=&apos;c&apos; d=&quot;e&quot;&gt;&amp;&#10;\u{fffd}\u{fffd}\u{fffd}"
    );
    // DEL and the C1 controls are allowed in XML 1.0, if discouraged.
    assert_eq!(escape("\u{7f}"), "\u{7f}");
}
