//! Items that are too large for the memory that a run may have: failures, without being sent to anyone.

use serde_json::Value;

use crate::support::{Place, verdicts};

/// `json` asks for 16 MiB and 24 times the item: more than 1 GiB from 42 MiB on.
const LARGE: usize = 43 << 20;

/// A folder with an item too large between two others.
fn folder() -> Place {
    let place = Place::with(&[("in/a.json", "1"), ("in/c.json", "[")]);
    let mut large = vec![b' '; LARGE];
    large.push(b'2');
    place.write("in/b.json", &large);
    place
}

#[test]
fn an_item_that_cannot_fit_fails_before_it_is_sent() {
    let place = folder();
    let args = ["-f", "in", "-v", "json", "-k", "2", "-n", "1"];
    let report = place.report(3, &args);
    assert_eq!(verdicts(&report), ["in/a.json valid", "in/b.json failure", "in/c.json invalid"]);
    assert_eq!((&report["total_runs"], &report["failures"]), (&6.into(), &2.into()));
    let made: u64 =
        report["worker_results"].as_object().unwrap().values().map(|it| it["total"].as_u64().unwrap()).sum();
    assert_eq!(made, 4, "no worker made the others: {report:#}");
    let failure = &report["items"][1]["failure"];
    assert_eq!(failure["code"], "does-not-fit");
    assert!(failure["message"].as_str().unwrap().ends_with("--max-memory 1049MiB would give it that"), "{failure}");

    // What the message says helps.
    let all = [&args[..], &["--max-memory", "1049MiB"]].concat();
    assert_eq!(verdicts(&place.report(1, &all)), ["in/a.json valid", "in/b.json valid", "in/c.json invalid"]);
}

#[test]
fn an_item_larger_than_the_given_memory_is_told_of_as_a_run_of_nobody() {
    let place = Place::with(&[("a.txt", "1\n22222222\n")]);
    let ended = place.process(&["-f", "a.txt", "--items", "-v", "json", "--max-memory", "7B", "-o", "jsonl"]).expect(3);
    let runs: Vec<Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let run = runs.iter().find(|run| run["item"] == "a.txt:2").unwrap();
    assert_eq!((&run["worker"], &run["verdict"]), (&Value::Null, &"failure".into()));
    assert_eq!(run["failure"]["code"], "does-not-fit");
    let other = runs.iter().find(|run| run["item"] == "a.txt:1").unwrap();
    assert_eq!((runs.len(), &other["failure"]["code"]), (2, &"out-of-memory".into()), "it was tried");
}
