//! Forms of report, and where they go.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::Stdio,
};

use serde_json::Value;

use crate::support::{FIBONACCI, Place};

const LINES: &str = "{\"a\": 1}\n{\"a\": }\n[1]\n";

fn place() -> Place {
    Place::with(&[("a.jsonl", LINES), ("fibonacci.json", FIBONACCI)])
}

const ARGS: [&str; 5] = ["-f", "a.jsonl", "--items", "-v", "json"];

fn format(name: &str) -> String {
    place().process(&[&ARGS[..], &["-o", name]].concat()).expect(1).stdout
}

#[test]
fn the_json_document_has_its_keys_and_no_others() {
    let report: Value = serde_json::from_str(&format("json")).unwrap();
    let mut keys: Vec<_> = report.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "average_time_ms",
            "error_details",
            "errors",
            "failures",
            "invalid",
            "items",
            "job_id",
            "p50_ms",
            "p95_ms",
            "p99_ms",
            "planned_runs",
            "plugin",
            "seed",
            "success_rate",
            "successes",
            "total_runs",
            "wall_time_ms",
            "worker_results",
        ]
    );
    let error = &report["error_details"][0];
    assert_eq!((&error["count"], &error["example"]), (&1.into(), &"a.jsonl:2".into()));
}

#[test]
fn jsonl_has_a_line_for_each_run() {
    let text = format("jsonl");
    let runs: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut items: Vec<_> = runs.iter().map(|run| run["item"].as_str().unwrap().to_owned()).collect();
    items.sort_unstable();
    assert_eq!(items, ["a.jsonl:1", "a.jsonl:2", "a.jsonl:3"]);
    for run in &runs {
        let mut keys: Vec<_> = run.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["findings", "item", "iteration", "job_id", "time_ms", "verdict", "worker"]);
    }
}

#[test]
fn junit_counts_its_cases() {
    let text = format("junit");
    assert!(text.contains("<testsuite name=\"json\" tests=\"3\" failures=\"1\" errors=\"0\""), "{text}");
    let mut reader = quick_xml::Reader::from_str(&text);
    while reader.read_event().unwrap() != quick_xml::events::Event::Eof {}
}

#[test]
fn sarif_places_findings_in_the_file() {
    let log: Value = serde_json::from_str(&format("sarif")).unwrap();
    let results = log["runs"][0]["results"].as_array().unwrap();
    let region = &results[0]["locations"][0]["physicalLocation"];
    assert_eq!(region["artifactLocation"]["uri"], "a.jsonl");
    assert_eq!(region["region"]["startLine"], 2);
}

#[test]
fn the_table_is_plain_where_it_is_piped_and_coloured_where_that_is_asked() {
    let place = place();
    let plain = place.process(&ARGS).expect(1);
    assert!(plain.stdout.contains("invalid a.jsonl:2"), "{}", plain.stdout);
    assert!(!plain.stdout.contains('\u{1b}') && !plain.stderr.contains('\u{1b}'), "{plain:#?}");
    let coloured = place.process(&[&ARGS[..], &["--color", "always"]].concat()).expect(1);
    assert!(coloured.stdout.contains('\u{1b}'), "{}", coloured.stdout);
}

#[test]
fn quiet_leaves_the_job_and_the_report() {
    let place = place();
    let ended = place.process(&[&ARGS[..], &["--quiet", "-o", "json"]].concat()).expect(1);
    let lines: Vec<_> = ended.stderr.lines().collect();
    assert!(matches!(lines[..], [line] if line.starts_with("job ")), "{lines:?}");
    assert_eq!(ended.job().unwrap(), serde_json::from_str::<Value>(&ended.stdout).unwrap()["job_id"]);
}

#[test]
fn the_report_goes_to_a_file() {
    let place = place();
    place.write("report.json", [b'x'; 100_000]);
    let ended = place.process(&[&ARGS[..], &["-o", "json", "--output-file", "report.json"]].concat()).expect(1);
    assert_eq!(ended.stdout, "");
    let report: Value = serde_json::from_str(&place.read("report.json")).unwrap();
    assert_eq!(report["total_runs"], 3);
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let place = Place::with(&[("a.jsonl", &"[1]\n".repeat(20_000))]);
    let mut child = place
        .process_command(&["-f", "a.jsonl", "--items", "-v", "json", "-o", "jsonl"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut String::new()).unwrap();
    drop(reader);
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    let code = child.wait().unwrap().code();
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert!(code == Some(130) && stderr.contains("pigeon process --resume"), "{code:?} {stderr}");
}
