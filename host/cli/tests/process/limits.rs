//! Limits, from the command line down to the guest that hits them. Its neighbours' verdicts are untouched.

use serde_json::Value;

use crate::support::{Place, verdicts};

/// A job of well-behaved items with this deed among them; the code of its failure.
fn failure_of(deed: &str, args: &[&str]) -> String {
    let place = Place::new();
    let hostile = place.hostile();
    place.write("a.txt", format!("valid:1\n{deed}\nvalid:2\ninvalid:3\n").as_bytes());
    let all = [&["-f", "a.txt", "--items", "-v", &hostile, "--option", "do=body", "-n", "2"], args].concat();
    let report = place.report(3, &all);
    assert_eq!(
        verdicts(&report),
        ["a.txt:1 valid", "a.txt:2 failure", "a.txt:3 valid", "a.txt:4 invalid"],
        "{deed}: {report:#}"
    );
    let code = |value: &Value| value.as_str().unwrap().to_owned();
    code(&report["items"][1]["failure"]["code"])
}

#[test]
fn time_is_bounded() {
    assert_eq!(failure_of("spin", &["--timeout", "300ms"]), "timeout");
    assert_eq!(failure_of("wait-forever", &["--wall-timeout", "500ms", "--real-clock"]), "wall-timeout");
}

#[test]
fn memory_and_stack_are_bounded() {
    assert_eq!(failure_of("eat-memory", &["--max-memory", "32MiB"]), "out-of-memory");
    assert_eq!(failure_of("recurse", &[]), "stack-overflow");
}

#[test]
fn output_is_bounded() {
    assert_eq!(failure_of("huge-output", &[]), "output-too-large");
    assert_eq!(failure_of("big-data:40000", &["--max-output", "16KiB"]), "output-too-large");
}

#[test]
fn traps_are_told_with_their_backtrace() {
    let place = Place::new();
    let hostile = place.hostile();
    place.write("a.txt", b"trap\n");
    let report = place.report(3, &["-f", "a.txt", "-v", &hostile, "--option", "do=body", "-k", "1"]);
    let failure = &report["items"][0]["failure"];
    assert_eq!(failure["code"], "trap");
    assert!(!failure["backtrace"].as_array().unwrap().is_empty(), "{report:#}");
}

#[test]
fn transient_failures_are_tried_again_and_counted_once() {
    let place = Place::with(&[("a.json", "{}")]);
    let args = ["-f", "a.json", "-v", "echo", "-k", "1", "--option", "fail=transient"];
    let report = place.report(3, &args);
    assert_eq!((&report["total_runs"], &report["failures"]), (&1.into(), &1.into()));
    let ended = place.process(&args).expect(3);
    assert!(ended.stdout.contains("1 run, 2 retried, in "), "{ended:#?}");
    assert_eq!(ended.stderr.matches("tried again: ").count(), 1, "{ended:#?}");
}

#[test]
fn what_is_tried_again_and_how_often_can_be_said() {
    let place = Place::with(&[("a.json", "{}")]);
    let hostile = place.hostile();
    let echo = ["-f", "a.json", "-v", "echo", "-k", "1", "--option", "fail=transient"];
    let crash = ["-f", "a.json", "-v", &hostile, "-k", "1", "--option", "do=trap", "--retry-backoff", "1ms..2ms"];
    let retried = |args: &[&str], more: &[&str]| {
        let ended = place.process(&[args, more].concat()).expect(3);
        let (_, told) = ended.stdout.split_once("1 run, ").unwrap_or_default();
        told.split_once(" retried").map_or(0, |(count, _)| count.parse::<u32>().unwrap())
    };
    assert_eq!(retried(&echo, &["--max-attempts", "1"]), 0);
    assert_eq!(retried(&echo, &["--max-attempts", "5", "--retry-backoff", "1ms"]), 4);
    assert_eq!(retried(&echo, &["--retry-on", "crash,timeout"]), 0);
    assert_eq!(retried(&crash, &[]), 0, "a crash is final unless it is said otherwise");
    assert_eq!(retried(&crash, &["--retry-on", "transient,crash", "--max-attempts", "2"]), 1);
    let refused = place.process(&[&echo[..], &["--max-attempts", "0"]].concat()).refused();
    assert!(refused.contains("at least one attempt"), "{refused}");
}
