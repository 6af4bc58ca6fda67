//! The control host: its agents, tokens, figures and log, and what it says of deeds and errors.

use std::collections::BTreeMap;

use pigeon_api::*;

use super::{job, times};

pub(super) fn agent() -> AgentStatus {
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

pub(super) fn agent_detail() -> AgentDetail {
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

pub(super) fn join_token() -> JoinTokenInfo {
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

pub(super) fn token() -> TokenInfo {
    TokenInfo { name: "ci".to_owned(), role: Role::Submitter, created_ms: 1, expires_ms: Some(2), yours: true }
}

pub(super) fn host_status() -> HostStatus {
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

pub(super) fn host_stats() -> HostStats {
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

fn throughput() -> Throughput {
    Throughput { step_ms: 1000, runs: vec![1, 2], failures: vec![0, 1] }
}

pub(super) fn limited() -> PluginLimits {
    PluginLimits { max_parallel: Some(2), rate: Some(Rate { runs: 10, per_ms: 1000 }) }
}

pub(super) fn events() -> Vec<Event> {
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

pub(super) fn deeds() -> Deeds {
    let retried = Deed { runs: Some(3), ..Deed::done(job(), Done::Retried) };
    let resumed = Deed { next_ms: Some(5), ..Deed::done("nightly", Done::Resumed) };
    Deeds { deeds: vec![retried, resumed, Deed::failed("ci", problem())] }
}

pub(super) fn context() -> ContextInfo {
    let server = "https://pigeon.example.org:4780".to_owned();
    ContextInfo { name: "prod".to_owned(), server, current: true, trust: "system".to_owned(), token: true }
}

pub(super) fn problem() -> Problem {
    let inner = ApiError::new(ErrorKind::Internal, "the disk failed");
    Problem::from(ApiError::new(ErrorKind::Conflict, "it is sealed").hint("open another").caused_by(inner))
}
