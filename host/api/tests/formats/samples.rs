//! Values of all types that travel or are kept, as rich as they get and as poor as they get.

use std::{collections::BTreeMap, fmt::Debug, time::Duration};

use bytes::Bytes;
use pigeon_api::{
    page::{
        AgentList, AllTokens, Broken, Count, DeadDocument, DeadPage, DeadSelection, EventPage, JobList, JobPage,
        JoinTokenList, PluginList, RunList, ScheduleList, TokenList,
    },
    report::{Report, ReportError, ReportItem, ReportPlugin, ReportRun, ReportWorker},
    *,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// All of them as they are written, by the name of their schema. That each comes back as it was is seen to on the way.
pub(crate) fn all() -> Vec<(&'static str, Vec<Value>)> {
    vec![
        ("agent-list", written([AgentList { agents: vec![agent()] }])),
        ("agent-status", written([agent(), AgentStatus { state: AgentState::Away, health: Health::Bad, ..agent() }])),
        ("broken", written([Broken { error: problem() }])),
        ("context-info", written([context()])),
        ("context-list", written([ContextList { contexts: vec![context()] }])),
        ("count", written([Count { count: 7 }])),
        ("dead-document", written([dead_document(Some(b"{}")), dead_document(Some(&[0xff])), dead_document(None)])),
        ("dead-letter", written([dead_letter()])),
        ("dead-page", written([DeadPage { dead: vec![dead_letter()], next: Some(dead_id()) }, no_dead()])),
        ("dead-selection", written([DeadSelection::from(dead_filter()), DeadSelection::from(DeadFilter::default())])),
        ("deeds", written([deeds(), Deeds::default()])),
        ("event", written(events())),
        ("event-page", written([EventPage { events: events(), next: 9 }])),
        ("host-stats", written([host_stats()])),
        ("host-status", written([host_status()])),
        ("item-result", written([item_result(), bare_item_result()])),
        ("job-event", written(job_events())),
        ("job-list", written([JobList { jobs: job_states() }])),
        ("job-page", written([JobPage { jobs: vec![job_summary()], next: Some(job()) }, no_jobs()])),
        ("job-request", written([request(), least_request()])),
        ("job-status", written(job_states())),
        ("job-summary", written([job_summary()])),
        ("join-info", written([JoinInfo { info: join_token(), hub: "h:4781".to_owned() }])),
        ("join-token-list", written([JoinTokenList { tokens: vec![join_token()] }])),
        ("agent-detail", written([agent_detail()])),
        ("all-tokens", written([AllTokens { tokens: Vec::new(), join_tokens: vec![join_token()] }])),
        ("landed", written([Landed { batch: 3, runs: vec![run_result()] }])),
        (
            "new-join-token",
            written([NewJoinToken { info: join_token(), secret: "s".to_owned(), hub: "h:4781".to_owned() }]),
        ),
        ("new-token", written([NewToken { info: token(), secret: "s".to_owned() }])),
        ("plugin-info", written([plugin()])),
        ("plugin-limits", written([PluginLimits::default(), limited()])),
        ("plugin-list", written([PluginList { plugins: vec![plugin()] }])),
        ("problem", written([problem(), Problem::of_status(404, "No such page", "")])),
        ("report", written([report()])),
        ("report-run", written([report_run(), ReportRun { worker: None, failure: None, ..report_run() }])),
        ("run-list", written([RunList { runs: vec![run_result()] }])),
        ("run-result", written([run_result()])),
        ("schedule-info", written([schedule()])),
        ("schedule-list", written([ScheduleList { schedules: vec![schedule()] }])),
        ("schedule-spec", written(schedule_specs())),
        ("submission", written([submission(), Submission::from(least_request()), named_items()])),
        ("token-info", written([token(), TokenInfo { expires_ms: None, ..token() }])),
        ("token-list", written([TokenList { tokens: vec![token()] }])),
    ]
}

fn written<T>(values: impl IntoIterator<Item = T>) -> Vec<Value>
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let write = |value: T| {
        let text = serde_json::to_string(&value).unwrap();
        let back: T = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"));
        assert_eq!(back, value, "{text}");
        serde_json::from_str(&text).unwrap()
    };
    values.into_iter().map(write).collect()
}

pub(crate) fn job() -> JobId {
    JobId::from_bytes(*b"0123456789abcdef")
}

fn dead_id() -> DeadId {
    DeadId { job: job(), run: 17 }
}

fn context() -> ContextInfo {
    let server = "https://pigeon.example.org:4780".to_owned();
    ContextInfo { name: "prod".to_owned(), server, current: true, trust: "system".to_owned(), token: true }
}

fn report() -> Report {
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

fn report_run() -> ReportRun {
    let RunResult { item, iteration, worker, verdict, findings, time_ms, failure, .. } = run_result();
    let worker = Some(worker);
    ReportRun { job_id: job().to_string(), item, iteration, worker, verdict, findings, time_ms, failure }
}

fn deeds() -> Deeds {
    let retried = Deed { runs: Some(3), ..Deed::done(job(), Done::Retried) };
    let resumed = Deed { next_ms: Some(5), ..Deed::done("nightly", Done::Resumed) };
    Deeds { deeds: vec![retried, resumed, Deed::failed("ci", problem())] }
}

fn no_dead() -> DeadPage {
    DeadPage { dead: Vec::new(), next: None }
}

fn no_jobs() -> JobPage {
    JobPage { jobs: Vec::new(), next: None }
}

pub(crate) fn plugin() -> PluginInfo {
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
pub(crate) fn request() -> JobRequest {
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

fn least_request() -> JobRequest {
    JobRequest::new(Digest::of(b"component"), Work::Many { iterations: 1, workers: None })
}

fn submission() -> Submission {
    Submission { items: Some(vec![InlineItem::Text("{}".to_owned())]), work: None, seed: None, ..request().into() }
}

fn named_items() -> Submission {
    let item = InlineItem::Named { id: "a".to_owned(), body: "{}".to_owned() };
    Submission { items: Some(vec![item]), clock: Clock::Real, ..request().into() }
}

fn times() -> Times {
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

fn job_states() -> Vec<JobStatus> {
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
    let states = [
        JobState::Open,
        JobState::Sealed,
        JobState::Interrupted,
        JobState::Paused,
        JobState::Stopped,
        JobState::Cancelled,
        JobState::Finished,
    ];
    let status = |(at, waiting): (usize, Option<Waiting>)| JobStatus {
        id: job(),
        plugin: plugin(),
        state: states[at % states.len()],
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
        broken: (states[at % states.len()] == JobState::Interrupted).then(problem),
    };
    waits.into_iter().enumerate().map(status).collect()
}

fn job_summary() -> JobSummary {
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

fn run_result() -> RunResult {
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

fn item_result() -> ItemResult {
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

fn bare_item_result() -> ItemResult {
    ItemResult {
        verdict: Verdict::Valid,
        findings: Vec::new(),
        score: None,
        data: None,
        failure: None,
        ..item_result()
    }
}

fn job_events() -> Vec<JobEvent> {
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

fn dead_letter() -> DeadLetter {
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

fn dead_document(input: Option<&'static [u8]>) -> DeadDocument {
    DeadDetail { letter: dead_letter(), input: input.map(Bytes::from_static), log: "said".to_owned() }.into()
}

fn dead_filter() -> DeadFilter {
    DeadFilter {
        ids: vec![DeadName(dead_id())],
        job: Some(job()),
        code: Some("trap".to_owned()),
        message: Some("unreachable".to_owned()),
    }
}

fn events() -> Vec<Event> {
    let event = |kind, job, subject: Option<&str>| Event {
        seq: 8,
        at_ms: 1,
        author: "schedule nightly".to_owned(),
        kind,
        job,
        subject: subject.map(str::to_owned),
        message: "submitted".to_owned(),
    };
    vec![event(EventKind::JobSubmitted, Some(job()), None), event(EventKind::AgentLost, None, Some("worker-1"))]
}

fn join_token() -> JoinTokenInfo {
    JoinTokenInfo {
        id: "join-1f3a9c04".to_owned(),
        author: "ann".to_owned(),
        created_ms: 1,
        expires_ms: 5,
        uses: 3,
        left: 2,
        labels: vec!["rack=7".to_owned()],
    }
}

fn agent_detail() -> AgentDetail {
    let mark = AgentMark { at_ms: 5, by: "ann".to_owned(), why: "it was stolen".to_owned() };
    AgentDetail {
        status: agent(),
        first_ms: 1,
        incarnation: Some("0198f3c2-7d4e-7c11-9a51-0a4d2b8f6e02".to_owned()),
        certificate_ends_ms: Some(9),
        token: Some("join-1f3a9c04".to_owned()),
        plugins: vec![CachedPlugin { digest: Digest::of(b"plugin"), name: Some("gexpr@0.1.0".to_owned()) }],
        models: vec!["codellama:7b".to_owned()],
        drained: Some(AgentMark { why: String::new(), ..mark.clone() }),
        revoked: Some(mark),
    }
}

fn agent() -> AgentStatus {
    AgentStatus {
        id: "0198f3c2-7d4e-7c11-9a51-0a4d2b8f6e01".to_owned(),
        name: "worker-1".to_owned(),
        state: AgentState::Ready,
        since_ms: 1,
        address: "[::1]:4781".to_owned(),
        version: "0.1.0".to_owned(),
        slots: 2,
        leases: 1,
        heard_ms: 3,
        runs: 40,
        failures: 2,
        health: Health::Warning,
        reasons: vec!["it is slow".to_owned()],
        labels: vec!["arch=x86_64".to_owned()],
        computing: 2,
        waiting: 1,
        rss: 90 << 20,
    }
}

fn throughput() -> Throughput {
    Throughput { step_ms: 1000, runs: vec![1, 2], failures: vec![0, 1] }
}

fn host_status() -> HostStatus {
    HostStatus {
        version: "0.1.0".to_owned(),
        started_ms: 1,
        now_ms: 2,
        jobs: BTreeMap::from([("open".to_owned(), 3)]),
        queue: QueueStatus { runs: 4, paused: 1, leases: 2, oldest_ms: 500 },
        throughput: throughput(),
        dead: 5,
        plugins: 3,
        agents: vec![agent()],
        disk_bytes: 1 << 40,
    }
}

fn host_stats() -> HostStats {
    let figures = Figures { runs: 4, valid: 2, invalid: 1, failures: 1, success_rate: 0.5, times: times() };
    HostStats {
        total: figures,
        plugins: BTreeMap::from([("json 0.1.0".to_owned(), figures)]),
        workers: BTreeMap::from([("worker-1".to_owned(), Figures::default())]),
        errors: vec![ErrorStats {
            code: "trap".to_owned(),
            message: "unreachable".to_owned(),
            count: 1,
            plugin: "json 0.1.0".to_owned(),
            job: job().to_string(),
            example: "a.json".to_owned(),
            first_ms: 1,
            last_ms: 2,
        }],
        throughput: throughput(),
    }
}

fn limited() -> PluginLimits {
    PluginLimits { max_parallel: Some(2), rate: Some(Rate { runs: 10, per_ms: 1000 }) }
}

fn problem() -> Problem {
    let inner = ApiError::new(ErrorKind::Internal, "the disk failed");
    Problem::from(ApiError::new(ErrorKind::Conflict, "it is sealed").hint("open another").caused_by(inner))
}

fn schedule_specs() -> Vec<ScheduleSpec> {
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

fn schedule() -> ScheduleInfo {
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

fn token() -> TokenInfo {
    TokenInfo { name: "ci".to_owned(), role: Role::Submitter, created_ms: 1, expires_ms: Some(2), yours: true }
}
