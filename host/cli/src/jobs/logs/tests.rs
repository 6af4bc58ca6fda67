use pigeon_api::{Counts, FailureInfo};

use super::*;
use crate::samples::{EVIL, assert_harmless, view};

fn run(verdict: Verdict, log: &str) -> RunResult {
    let failure = (verdict == Verdict::Failure).then(|| FailureInfo {
        cause: "trap".to_owned(),
        code: "trap".to_owned(),
        message: "unreachable".to_owned(),
        backtrace: vec!["judge (src/lib.rs:12)".to_owned(), "main".to_owned()],
    });
    RunResult {
        item: "orders.jsonl:17".to_owned(),
        index: 16,
        place: 0,
        iteration: 2,
        worker: "north-1".to_owned(),
        verdict,
        findings: Vec::new(),
        omitted: Counts::default(),
        score: None,
        data: None,
        failure,
        time_ms: 1.5,
        log: log.to_owned(),
    }
}

#[test]
fn runs_that_said_something() {
    let fits_nowhere = RunResult { worker: String::new(), place: 3, ..run(Verdict::Failure, "") };
    let runs = [run(Verdict::Valid, "began\nended\n"), run(Verdict::Failure, "began"), fits_nowhere];
    let text: String = runs.iter().map(|run| entry(run, &view(80))).collect();
    insta::assert_snapshot!(text);
}

#[test]
fn hostile_words_steer_nothing() {
    let mut run = run(Verdict::Failure, &format!("{EVIL}\n{EVIL}"));
    (run.item, run.worker) = (EVIL.to_owned(), EVIL.to_owned());
    if let Some(failure) = &mut run.failure {
        (failure.code, failure.message, failure.backtrace) = (EVIL.to_owned(), EVIL.to_owned(), vec![EVIL.to_owned()]);
    }
    assert_harmless(&entry(&run, &view(80)), usize::MAX);
}
