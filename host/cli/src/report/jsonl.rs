//! `jsonl`: one object for each run, as it lands. The keys are published, and there are no others.

use std::io::{self, Write};

use pigeon_api::{FailureInfo, Finding, JobId, RunResult, Verdict};
use serde::Serialize;

use super::milliseconds;

#[derive(Serialize)]
struct Run<'a> {
    job_id: &'a str,
    item: &'a str,
    iteration: u32,
    /// Null where no agent made it.
    worker: Option<&'a str>,
    verdict: Verdict,
    findings: &'a [Finding],
    time_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a FailureInfo>,
}

/// Write some runs, a line each.
pub(crate) fn write(out: &mut dyn Write, job: JobId, runs: &[RunResult]) -> io::Result<()> {
    let job_id = job.to_string();
    let mut lines = Vec::with_capacity(runs.len() * 200);
    for run in runs {
        let run = Run {
            job_id: &job_id,
            item: &run.item,
            iteration: run.iteration,
            worker: Some(&*run.worker).filter(|worker| !worker.is_empty()),
            verdict: run.verdict,
            findings: &run.findings,
            time_ms: milliseconds(run.time_ms),
            failure: run.failure.as_ref(),
        };
        serde_json::to_writer(&mut lines, &run)?;
        lines.push(b'\n');
    }
    out.write_all(&lines)
}
