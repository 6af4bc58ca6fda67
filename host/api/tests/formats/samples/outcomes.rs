//! What comes of jobs: results, dead letters, reports.

use std::collections::BTreeMap;

use bytes::Bytes;
use pigeon_api::{
    page::{DeadDocument, DeadPage},
    report::{Report, ReportError, ReportItem, ReportPlugin, ReportRun, ReportWorker},
    *,
};

use super::job;

pub(super) fn run_result() -> RunResult {
    RunResult {
        item: "a.json".to_owned(),
        index: 1,
        place: 2,
        iteration: 3,
        worker: "worker-1".to_owned(),
        verdict: Verdict::Failure,
        findings: findings(),
        omitted: Counts { errors: 1, warnings: 2, infos: 3 },
        score: Some(0.5),
        data: Some("{}".to_owned()),
        failure: Some(failure()),
        time_ms: 1.25,
        log: "said\n".to_owned(),
    }
}

pub(super) fn item_result() -> ItemResult {
    ItemResult {
        id: "a.json".to_owned(),
        index: 1,
        line: 2,
        verdict: Verdict::Invalid,
        runs: 3,
        time_ms: 4.5,
        findings: findings(),
        omitted: Counts::default(),
        score: Some(0.5),
        data: Some("1".to_owned()),
        failure: Some(failure()),
    }
}

pub(super) fn bare_item_result() -> ItemResult {
    ItemResult {
        verdict: Verdict::Valid,
        findings: Vec::new(),
        score: None,
        data: None,
        failure: None,
        ..item_result()
    }
}

fn failure() -> FailureInfo {
    FailureInfo {
        cause: "trap".to_owned(),
        code: "trap".to_owned(),
        message: "unreachable".to_owned(),
        backtrace: vec!["validate".to_owned()],
    }
}

fn findings() -> Vec<Finding> {
    let place = Place { line: Some(1), column: Some(2), offset: Some(3), pointer: Some("/a".to_owned()) };
    let finding = |severity, place| Finding { severity, code: "c".to_owned(), message: "m".to_owned(), place };
    vec![finding(Severity::Error, place), finding(Severity::Info, Place::default())]
}

pub(super) fn job_events() -> Vec<JobEvent> {
    vec![
        JobEvent::Landed(Landed { batch: 1, runs: vec![run_result()] }),
        JobEvent::Progress(Progress {
            planned: 5,
            sealed: true,
            done: 4,
            valid: 2,
            invalid: 1,
            failures: 1,
            retried: 3,
        }),
        JobEvent::Note("an agent was lost".to_owned()),
        JobEvent::Finished(JobState::Finished),
    ]
}

pub(super) fn dead_id() -> DeadId {
    DeadId { job: job(), run: 17 }
}

pub(super) fn dead_letter() -> DeadLetter {
    DeadLetter {
        id: dead_id(),
        item: "a.json".to_owned(),
        iteration: 1,
        place: 2,
        plugin: "json 0.1.0".to_owned(),
        digest: Digest::of(b"component"),
        worker: "worker-1".to_owned(),
        attempts: 3,
        failure: failure(),
        at_ms: 4,
        input_kept: true,
    }
}

pub(super) fn dead_document(input: Option<&'static [u8]>) -> DeadDocument {
    DeadDetail { letter: dead_letter(), input: input.map(Bytes::from_static), log: "said".to_owned() }.into()
}

pub(super) fn dead_filter() -> DeadFilter {
    DeadFilter {
        ids: vec![DeadName(dead_id())],
        job: Some(job()),
        code: Some("trap".to_owned()),
        message: Some("unreachable".to_owned()),
    }
}

pub(super) fn no_dead() -> DeadPage {
    DeadPage { dead: Vec::new(), next: None }
}

pub(super) fn report() -> Report {
    let plugin = ReportPlugin { name: "json".to_owned(), version: "0.1.0".to_owned(), digest: "sha256:00".to_owned() };
    let ItemResult { id, verdict, findings, runs, omitted, score, failure, .. } = item_result();
    let item =
        ReportItem { id, verdict, findings, runs, omitted: Some(omitted), score, data: Some([1].into()), failure };
    let errors = ["syntax", "timeout"].map(|code| ReportError {
        code: code.to_owned(),
        message: "m".to_owned(),
        count: 2,
        example: "a".to_owned(),
    });
    let worker = ReportWorker {
        total: 3,
        successes: 1,
        success_rate: 1.0 / 3.0,
        execution_time_ms: 4.5,
        invalid: 1,
        failures: 1,
        average_time_ms: 1.5,
        p50_ms: 1.0,
        p95_ms: 2.0,
        p99_ms: 2.5,
        error_details: errors.to_vec(),
    };
    Report {
        job_id: job().to_string(),
        plugin,
        planned_runs: 4,
        total_runs: 3,
        successes: 1,
        errors: 2,
        invalid: 1,
        failures: 1,
        success_rate: 1.0 / 3.0,
        average_time_ms: 1.5,
        p50_ms: 1.0,
        p95_ms: 2.0,
        p99_ms: 2.5,
        wall_time_ms: 12.25,
        worker_results: BTreeMap::from([("worker-1".to_owned(), worker)]),
        error_details: errors.to_vec(),
        seed: u64::MAX,
        items: vec![ReportItem { omitted: None, score: None, data: None, failure: None, ..item.clone() }, item],
    }
}

pub(super) fn report_run() -> ReportRun {
    let RunResult { item, iteration, worker, verdict, findings, time_ms, failure, .. } = run_result();
    let worker = Some(worker);
    ReportRun { job_id: job().to_string(), item, iteration, worker, verdict, findings, time_ms, failure }
}
