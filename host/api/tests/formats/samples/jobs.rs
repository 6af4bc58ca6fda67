//! Jobs, and what asks for them: plugins, requests, submissions, schedules.

use std::{collections::BTreeMap, time::Duration};

use pigeon_api::{page::JobPage, *};

use super::problem;

pub(super) fn job() -> JobId {
    JobId::from_bytes(*b"0123456789abcdef")
}

pub(super) fn plugin() -> PluginInfo {
    PluginInfo {
        digest: Digest::of(b"component"),
        kind: PluginKind::BatchValidator,
        built_in: true,
        size: 12,
        metadata: PluginMetadata {
            name: "json".to_owned(),
            version: "0.1.0".to_owned(),
            description: "Judges JSON.".to_owned(),
            formats: vec!["application/json".to_owned()],
            options: vec![OptionSpec {
                name: "schema".to_owned(),
                description: "A schema.".to_owned(),
                default: Some("none".to_owned()),
                required: false,
            }],
            codes: vec![CodeSpec {
                code: "syntax".to_owned(),
                severity: Some(Severity::Error),
                description: "It is no JSON.".to_owned(),
            }],
            instances: InstancePolicy::Shared,
            vote: Vote::Majority,
            memory: MemoryNeed { base: 1 << 20, factor: 2.5 },
            models: vec!["llama".to_owned()],
            extensions: vec![("later".to_owned(), "more".to_owned())],
        },
        imports: vec!["wasi:config/store@0.2.0-rc.1".to_owned()],
        powers: vec!["llm".to_owned()],
    }
}

/// A request with everything in it.
pub(super) fn request() -> JobRequest {
    JobRequest {
        plugin: Digest::of(b"component"),
        options: BTreeMap::from([("schema".to_owned(), "{}".to_owned())]),
        work: Work::One { workers: 3, iterations: 5 },
        limits: Limits {
            cpu: Duration::from_micros(1500),
            wall: Duration::from_secs(60),
            memory: Some(1 << 30),
            output: 1000,
            log: 2000,
            fuel: Some(3000),
        },
        retry: RetryPolicy {
            attempts: 5,
            timeouts: 2,
            crashes: 3,
            backoff: Duration::from_millis(250),
            max_backoff: Duration::from_secs(9),
        },
        priority: -7,
        max_parallel: Some(4),
        require: vec!["arch=x86_64".to_owned()],
        prefer: vec!["gpu".to_owned()],
        fail_fast: true,
        seed: u64::MAX,
        clock: Clock::At(1_700_000_000_000_000_000),
        grants: vec!["llm".to_owned()],
        sources: serde_json::json!({"files": ["a.json"]}),
        key: Some("nightly".to_owned()),
    }
}

pub(super) fn least_request() -> JobRequest {
    JobRequest::new(Digest::of(b"component"), Work::Many { iterations: 1, workers: None })
}

pub(super) fn submission() -> Submission {
    Submission { items: Some(vec![InlineItem::Text("{}".to_owned())]), work: None, seed: None, ..request().into() }
}

pub(super) fn named_items() -> Submission {
    let item = InlineItem::Named { id: "a".to_owned(), body: "{}".to_owned() };
    Submission { items: Some(vec![item]), clock: Clock::Real, ..request().into() }
}

pub(super) fn job_states() -> Vec<JobStatus> {
    let waits = [
        None,
        Some(Waiting::NoAgent),
        Some(Waiting::NoLabel { labels: vec!["gpu".to_owned()] }),
        Some(Waiting::AgentsBusy),
        Some(Waiting::Backoff { until_ms: 5 }),
        Some(Waiting::Items),
        Some(Waiting::Paused),
        Some(Waiting::PluginBusy { max_parallel: 2 }),
        Some(Waiting::PluginRate { until_ms: 6 }),
        Some(Waiting::Nobody),
    ];
    let status = |(at, waiting): (usize, Option<Waiting>)| JobStatus {
        id: job(),
        plugin: plugin(),
        state: JobState::ALL[at % JobState::ALL.len()],
        request: request(),
        accepted_ms: 1,
        wall_time_ms: 2.5,
        items: 3,
        planned_runs: 45,
        total_runs: 6,
        valid: 3,
        invalid: 2,
        failures: 1,
        times: times(),
        workers: vec![WorkerStatus {
            name: "worker-1".to_owned(),
            total: 6,
            valid: 3,
            invalid: 2,
            failures: 1,
            times: times(),
            errors: vec![error_group()],
        }],
        errors: vec![error_group()],
        author: "ci".to_owned(),
        finished_ms: Some(9),
        dead: 1,
        waiting,
        broken: (JobState::ALL[at % JobState::ALL.len()] == JobState::Interrupted).then(problem),
    };
    waits.into_iter().enumerate().map(status).collect()
}

pub(super) fn times() -> Times {
    Times { total_ms: 10.5, mean_ms: 2.0, p50_ms: 1.5, p95_ms: 4.0, p99_ms: 4.5 }
}

fn error_group() -> ErrorGroup {
    ErrorGroup {
        code: "syntax".to_owned(),
        message: "no value".to_owned(),
        count: 2,
        example: "a.json:3".to_owned(),
        first_ms: 100,
        last_ms: 200,
    }
}

pub(super) fn job_summary() -> JobSummary {
    JobSummary {
        id: job(),
        plugin: "json 0.1.0".to_owned(),
        state: JobState::Open,
        accepted_ms: 1,
        planned_runs: 2,
        total_runs: 1,
        valid: 1,
        invalid: 0,
        failures: 0,
        priority: -3,
        author: "ci".to_owned(),
    }
}

pub(super) fn no_jobs() -> JobPage {
    JobPage { jobs: Vec::new(), next: None }
}

pub(super) fn schedule_specs() -> Vec<ScheduleSpec> {
    let spec = |when, catch_up, overlap| ScheduleSpec {
        name: "nightly".to_owned(),
        when,
        catch_up,
        overlap,
        job: submission(),
    };
    let zone = Some("Europe/Berlin".to_owned());
    vec![
        spec(When::Cron { expression: "0 3 * * *".to_owned(), zone }, CatchUp::Once, Overlap::Skip),
        spec(When::Every { ms: 1000 }, CatchUp::All, Overlap::Allow),
        spec(When::At { ms: -5 }, CatchUp::Skip, Overlap::Cancel),
    ]
}

pub(super) fn schedule() -> ScheduleInfo {
    ScheduleInfo {
        name: "nightly".to_owned(),
        when: When::Every { ms: 1000 },
        catch_up: CatchUp::Once,
        overlap: Overlap::Skip,
        plugin: "json".to_owned(),
        items: 1,
        author: "ci".to_owned(),
        paused: false,
        next_ms: Some(5),
        last_ms: Some(4),
        last_job: Some(job().to_string()),
        last_error: Some("no such plugin".to_owned()),
    }
}
