//! `json`: one document. The keys are published.

use std::io::{self, Write};

use pigeon_api::{Counts, ErrorGroup, FailureInfo, Finding, ItemResult, JobStatus, Times, Verdict, WorkerStatus};
use serde::Serialize;

use super::{Report, milliseconds, rate};

#[derive(Serialize)]
struct Head<'a> {
    job_id: String,
    plugin: Plugin<'a>,
    planned_runs: u64,
    total_runs: u64,
    successes: u64,
    errors: u64,
    invalid: u64,
    failures: u64,
    success_rate: f64,
    #[serde(flatten)]
    times: TimesMs,
    wall_time_ms: f64,
    worker_results: Workers<'a>,
    error_details: Errors<'a>,
    seed: u64,
}

#[derive(Serialize)]
struct Plugin<'a> {
    name: &'a str,
    version: &'a str,
    digest: String,
}

#[derive(Serialize)]
struct TimesMs {
    average_time_ms: f64,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
}

impl From<Times> for TimesMs {
    fn from(times: Times) -> Self {
        Self {
            average_time_ms: milliseconds(times.mean_ms),
            p50_ms: milliseconds(times.p50_ms),
            p95_ms: milliseconds(times.p95_ms),
            p99_ms: milliseconds(times.p99_ms),
        }
    }
}

/// By name, in the order of the report.
struct Workers<'a>(&'a [WorkerStatus]);

impl Serialize for Workers<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|worker| (&worker.name, Worker::from(worker))))
    }
}

#[derive(Serialize)]
struct Worker<'a> {
    total: u64,
    successes: u64,
    success_rate: f64,
    execution_time_ms: f64,
    invalid: u64,
    failures: u64,
    #[serde(flatten)]
    times: TimesMs,
    error_details: Errors<'a>,
}

impl<'a> From<&'a WorkerStatus> for Worker<'a> {
    fn from(worker: &'a WorkerStatus) -> Self {
        Self {
            total: worker.total,
            successes: worker.valid,
            success_rate: rate(worker.valid, worker.total),
            execution_time_ms: milliseconds(worker.times.total_ms),
            invalid: worker.invalid,
            failures: worker.failures,
            times: worker.times.into(),
            error_details: Errors(&worker.errors),
        }
    }
}

/// Error groups, with the keys that are published.
struct Errors<'a>(&'a [ErrorGroup]);

impl Serialize for Errors<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Error<'a> {
            code: &'a str,
            message: &'a str,
            count: u64,
            example: &'a str,
        }
        serializer.collect_seq(self.0.iter().map(|group| Error {
            code: &group.code,
            message: &group.message,
            count: group.count,
            example: &group.example,
        }))
    }
}

#[derive(Serialize)]
struct Item<'a> {
    id: &'a str,
    verdict: Verdict,
    findings: &'a [Finding],
    runs: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    omitted: Option<Counts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a FailureInfo>,
}

/// Writes the document, item by item.
pub(super) struct Json {
    any: bool,
    /// The item that is written, as text.
    text: Vec<u8>,
}

impl Json {
    pub(super) fn begin(out: &mut dyn Write, status: &JobStatus) -> io::Result<Self> {
        let head = Head {
            job_id: status.id.to_string(),
            plugin: Plugin {
                name: &status.plugin.metadata.name,
                version: &status.plugin.metadata.version,
                digest: status.plugin.digest.to_string(),
            },
            planned_runs: status.planned_runs,
            total_runs: status.total_runs,
            successes: status.valid,
            errors: status.invalid + status.failures,
            invalid: status.invalid,
            failures: status.failures,
            success_rate: rate(status.valid, status.total_runs),
            times: status.times.into(),
            wall_time_ms: milliseconds(status.wall_time_ms),
            worker_results: Workers(&status.workers),
            error_details: Errors(&status.errors),
            seed: status.request.seed,
        };
        let head = serde_json::to_string_pretty(&head)?;
        // The items go inside the document's last brace.
        let open = head.strip_suffix("\n}").unwrap_or(&head);
        write!(out, "{open},\n  \"items\": [")?;
        Ok(Self { any: false, text: Vec::new() })
    }
}

impl Report for Json {
    fn item(&mut self, out: &mut dyn Write, item: &ItemResult) -> io::Result<bool> {
        self.text.clear();
        self.text.extend_from_slice(if self.any { b",\n    " } else { b"\n    " });
        self.any = true;
        let item = Item {
            id: &item.id,
            verdict: item.verdict,
            findings: &item.findings,
            runs: item.runs,
            omitted: (item.omitted != Counts::default()).then_some(item.omitted),
            score: item.score,
            // Data that is no JSON, whatever the plugin says, is told as the text that it is.
            data: item.data.as_ref().map(|data| serde_json::from_str(data).unwrap_or_else(|_| data.clone().into())),
            failure: item.failure.as_ref(),
        };
        serde_json::to_writer(&mut self.text, &item)?;
        out.write_all(&self.text)?;
        Ok(true)
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(if self.any { b"\n  ]\n}\n" } else { b"]\n}\n" })
    }
}
