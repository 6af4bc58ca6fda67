//! A job's figures, as people see them.

use std::collections::BTreeMap;

use bytes::Bytes;
use pigeon_api::{
    ApiError, ErrorGroup, ErrorKind, JobRequest, JobState, JobStatus, PluginInfo, Progress, Result, Times, Waiting,
    WorkerStatus,
};
use pigeon_store::{JobRecord, Stats, Tally};

use crate::{clock, convert::milliseconds, record::NOBODY};

/// What was asked for when the job was submitted.
pub(crate) fn request(record: &JobRecord) -> Result<JobRequest> {
    serde_json::from_slice(&record.job.spec).map_err(|error| {
        let what = format!("failed to read what was asked for in job {}", record.job.id);
        ApiError::new(ErrorKind::Internal, what).caused_by(error)
    })
}

/// What a job that ends writes down for those who list it.
pub(crate) fn summary(progress: &Progress) -> Bytes {
    // Three numbers can be written.
    serde_json::to_vec(&[progress.valid, progress.invalid, progress.failures]).unwrap_or_default().into()
}

/// How many runs of a job that has ended were valid, invalid, failures, if it wrote that down.
pub(crate) fn counted(record: &JobRecord) -> Option<[u64; 3]> {
    record.state.is_finished().then(|| serde_json::from_slice(&record.summary).ok()).flatten()
}

/// What has a word that stands for it in JSON, as that word.
pub(crate) fn word(what: &impl serde::Serialize) -> String {
    match serde_json::to_value(what) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// All figures of a job that was worked at for so many milliseconds.
pub(crate) fn status(
    record: &JobRecord,
    request: JobRequest,
    state: JobState,
    plugin: PluginInfo,
    tally: &Tally,
    worked_ms: u64,
    waiting: Option<Waiting>,
) -> JobStatus {
    // What nobody made has no time and no worker, but counts.
    let made = || tally.workers.iter().filter(|(name, _)| name.as_str() != NOBODY);
    let mut total = Stats::default();
    made().for_each(|(_, stats)| total.merge(stats));
    let times_made = times(&total);
    tally.workers.get(NOBODY).into_iter().for_each(|stats| total.merge(stats));
    let mut workers: Vec<_> = made()
        .map(|(name, stats)| WorkerStatus {
            name: name.clone(),
            total: stats.runs(),
            valid: stats.valid,
            invalid: stats.invalid,
            failures: stats.failures,
            times: times(stats),
            errors: errors(stats, tally),
        })
        .collect();
    workers.sort_by_cached_key(|worker| natural(&worker.name));
    JobStatus {
        id: record.job.id,
        plugin,
        state,
        request,
        accepted_ms: clock::signed(record.job.created_ms),
        wall_time_ms: worked_ms as f64,
        items: record.items,
        planned_runs: record.planned_runs(),
        total_runs: total.runs(),
        valid: total.valid,
        invalid: total.invalid,
        failures: total.failures,
        times: times_made,
        workers,
        errors: errors(&total, tally),
        author: record.job.author.clone(),
        finished_ms: record.finished_ms.map(clock::signed),
        dead: record.dead,
        waiting,
        broken: None,
    }
}

/// The times of some runs.
pub(crate) fn times(stats: &Stats) -> Times {
    let quantile = |quantile| milliseconds(stats.quantile_us(quantile));
    Times {
        total_ms: milliseconds(stats.time_us),
        mean_ms: stats.mean_us() / 1_000.0,
        p50_ms: quantile(0.5),
        p95_ms: quantile(0.95),
        p99_ms: quantile(0.99),
    }
}

/// Error groups, the most frequent first, and of those that tie the one that came first in the job.
fn errors(stats: &Stats, tally: &Tally) -> Vec<ErrorGroup> {
    let mut counted: BTreeMap<_, _> = BTreeMap::new();
    for (number, count) in &stats.errors {
        if let Some(group) = tally.groups.get(*number as usize) {
            counted.insert((std::cmp::Reverse(*count), group.first_run.0, *number), group);
        }
    }
    let told = counted.into_iter().map(|((count, ..), group)| ErrorGroup {
        code: group.code.clone(),
        message: group.message.clone(),
        count: count.0,
        example: group.example.clone(),
        first_ms: clock::signed(group.first_ms),
        last_ms: clock::signed(group.last_ms),
    });
    told.collect()
}

/// A name cut into what is digits and what is not, so that `worker-2` sorts before `worker-10`.
fn natural(name: &str) -> Vec<(String, u64)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let digits = rest[text..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |end| text + end);
        parts.push((rest[..text].to_owned(), rest[text..digits].parse().unwrap_or(u64::MAX)));
        rest = &rest[digits..];
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_sort_as_people_count() {
        let mut names = ["worker-10", "worker-2", "worker-1", "a", ""];
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["", "a", "worker-1", "worker-2", "worker-10"]);
    }
}
