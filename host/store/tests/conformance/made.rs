//! What the cases are made of: jobs, items, outcomes, and all results of a job.

use std::ops::Range;

use bytes::Bytes;
use pigeon_protocol::{
    id::{Digest, JobId, RunIndex, Shape},
    outcome::Verdict,
};
use pigeon_store::{Batch, Claim, Items, ItemsBuilder, NewJob, OutcomeRow, PluginRecord, RunError, Store};

pub(crate) fn new_job(places: u32, iterations: u32) -> NewJob {
    NewJob {
        id: JobId::new(),
        spec: Bytes::from_static(b"{}"),
        plugin: Digest::of(b"component"),
        shape: Shape { places, iterations },
        priority: 3,
        created_ms: 1_000,
        key: None,
        author: String::new(),
    }
}

/// Items of which every third is so large that its chunk is kept as large ones are.
pub(crate) fn items(range: Range<u64>) -> Items {
    let mut builder = ItemsBuilder::default();
    for item in range {
        let body = format!("body {item}").repeat(if item % 3 == 2 { 12_000 } else { 1 });
        builder.push(&format!("item-{item}"), item + 1, body.into());
    }
    builder.take()
}

pub(crate) fn outcome(run: u64) -> OutcomeRow {
    OutcomeRow {
        run: RunIndex(run),
        verdict: Verdict::Valid,
        time_us: 10 + run % 7,
        attempts: 1,
        error: None,
        detail: Bytes::new(),
    }
}

pub(crate) fn failed(run: u64, code: &str, message: &str) -> OutcomeRow {
    OutcomeRow {
        verdict: Verdict::Invalid,
        error: Some(RunError { code: code.to_owned(), message: message.to_owned() }),
        detail: Bytes::from(format!("detail of {run}")),
        ..outcome(run)
    }
}

pub(crate) fn batch(claim: &Claim, worker: &str, outcomes: impl IntoIterator<Item = OutcomeRow>) -> Batch {
    Batch {
        job: claim.job(),
        epoch: claim.epoch(),
        worker: worker.into(),
        landed_ms: 0,
        outcomes: outcomes.into_iter().collect(),
    }
}

/// All results, read in pages of so many.
pub(crate) async fn all_results(store: &impl Store, job: JobId, limit: usize) -> Vec<OutcomeRow> {
    let mut all: Vec<OutcomeRow> = Vec::new();
    loop {
        let from = all.last().map_or(0, |outcome| outcome.run.0 + 1);
        let mut page = store.results(job, RunIndex(from), limit).await.unwrap();
        assert!(page.len() <= limit);
        if page.is_empty() {
            return all;
        }
        all.append(&mut page);
    }
}

pub(crate) fn plugin(component: &'static [u8], listed: bool) -> (PluginRecord, Bytes) {
    let record = PluginRecord {
        digest: Digest::of(component),
        name: "echo".to_owned(),
        version: "1.2.3".to_owned(),
        manifest: Bytes::from_static(b"signed"),
        listed,
        published_ms: 7,
    };
    (record, Bytes::from_static(component))
}
