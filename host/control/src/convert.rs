//! Outcomes as agents send them, turned into results as people see them.

use pigeon_api as api;
use pigeon_protocol::{
    id::{RunIndex, Shape},
    outcome::{Answer, Counts, Failure, Finding, Judgement, Outcome, Severity, Verdict},
};

/// A run's result. `item` is the item's id, `worker` the name of the agent that made it.
pub(crate) fn run_result(shape: Shape, item: &str, worker: &str, outcome: Outcome) -> api::RunResult {
    let key = shape.key(RunIndex(outcome.run));
    let verdict = verdict(outcome.verdict());
    let said = Said::from(outcome.answer);
    api::RunResult {
        item: item.to_owned(),
        index: key.item,
        place: key.place,
        iteration: key.iteration,
        worker: worker.to_owned(),
        verdict,
        findings: said.findings,
        omitted: said.omitted,
        score: said.score,
        data: said.data,
        failure: said.failure,
        time_ms: milliseconds(outcome.time_us),
        log: String::from_utf8_lossy(&outcome.log).into_owned(),
    }
}

/// Microseconds as the milliseconds of reports.
pub(crate) fn milliseconds(us: u64) -> f64 {
    // Exact up to 2^53 us: 285 years.
    us as f64 / 1_000.0
}

/// The same verdict in the API's words.
pub(crate) fn verdict(verdict: Verdict) -> api::Verdict {
    match verdict {
        Verdict::Valid => api::Verdict::Valid,
        Verdict::Invalid => api::Verdict::Invalid,
        Verdict::Failure => api::Verdict::Failure,
    }
}

/// What an answer says, judgement or failure, spread out.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) findings: Vec<api::Finding>,
    pub(crate) omitted: api::Counts,
    pub(crate) score: Option<f64>,
    pub(crate) data: Option<String>,
    pub(crate) failure: Option<api::FailureInfo>,
}

impl From<Option<Answer>> for Said {
    fn from(answer: Option<Answer>) -> Self {
        match answer {
            Some(Answer::Judgement(Judgement { findings, omitted, score, data })) => Said {
                findings: findings.into_iter().map(finding).collect(),
                omitted: omitted.map(counts).unwrap_or_default(),
                score,
                data,
                failure: None,
            },
            Some(Answer::Failure(it)) => Said { failure: Some(failure(it)), ..Said::default() },
            None => Said {
                failure: Some(api::FailureInfo {
                    cause: "unknown".to_owned(),
                    code: "unknown-answer".to_owned(),
                    message: "the agent answered in words of a newer version".to_owned(),
                    backtrace: Vec::new(),
                }),
                ..Said::default()
            },
        }
    }
}

fn finding(it: Finding) -> api::Finding {
    let severity = match it.severity() {
        Severity::Error => api::Severity::Error,
        Severity::Warning => api::Severity::Warning,
        Severity::Info => api::Severity::Info,
    };
    let place = it.place.map(|place| api::Place {
        line: place.line,
        column: place.column,
        offset: place.offset,
        pointer: place.pointer,
    });
    api::Finding { severity, code: it.code, message: it.message, place: place.unwrap_or_default() }
}

fn counts(it: Counts) -> api::Counts {
    api::Counts { errors: it.errors, warnings: it.warnings, infos: it.infos }
}

fn failure(it: Failure) -> api::FailureInfo {
    api::FailureInfo {
        cause: it.cause().code().to_owned(),
        code: it.code,
        message: it.message,
        backtrace: it.backtrace.lines().map(str::to_owned).collect(),
    }
}
