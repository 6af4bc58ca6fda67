//! What is asked of a store that has a job of ten million runs: lists, counters, dead letters, and a backup.
//!
//!     cargo bench -p pigeon-store --bench large [-- RUNS [ROUNDS]]
//!
//! Every hundredth run failed and is a dead letter. Medians of the rounds; each asks a store that was just opened, as
//! another process would, and then the one that recorded.

#![expect(clippy::unwrap_used, reason = "a bench has nobody to tell")]

mod common;

use bytes::Bytes;
use common::{Lap, Table, record};
use pigeon_protocol::{id::RunIndex, outcome::Verdict};
use pigeon_store::{
    Batch, Claim, DeadQuery, ItemsBuilder, JobEnd, JobFilter, JobState, Options, OutcomeRow, RunError, SqliteStore,
    Store,
};

/// Runs of a batch of outcomes.
const BATCH: u64 = 2_000;

/// Jobs beside the large one, of one item each.
const JOBS: u64 = 1_000;

/// Messages of errors, each a group.
const MESSAGES: u64 = 200;

fn main() {
    let (runs, rounds) = common::arguments(10_000_000, 5);
    common::runtime().block_on(measure(runs, rounds));
}

async fn measure(runs: u64, rounds: u64) {
    let mut table = Table::default();
    let dir = common::dir();
    let open = || SqliteStore::open(dir.path(), Options { dead_letters: true, ..Options::default() }).unwrap();
    let store = open();
    for _ in 0..JOBS {
        let claim = new_job(&store).await;
        store.record(batch(&claim, 0, 1)).await.unwrap();
        store.finish(claim.job(), claim.epoch(), JobEnd::new(JobState::Completed, 1)).await.unwrap();
    }
    let claim = new_job(&store).await;
    let lap = Lap::start();
    append(&store, &claim, runs).await;
    table.add("append", runs, lap.end());
    let lap = Lap::start();
    record(&store, runs, BATCH, |first, count| batch(&claim, first, count)).await;
    table.add("record", runs, lap.end());

    for round in 0..rounds {
        ask(&open(), &claim, runs, ["list (opened)", "counts (opened)", "tally (opened)", "dead (opened)"], &mut table)
            .await;
        ask(&store, &claim, runs, ["list", "counts", "tally", "dead letters"], &mut table).await;
        let lap = Lap::start();
        store.put_events(Vec::new()).await.unwrap();
        table.add("a write that waits for none", 1, lap.end());
        let taken = (round * 100_000..).step_by(100).take(1_000).map(RunIndex).collect();
        let lap = Lap::start();
        let taken = store.take_back(claim.job(), claim.epoch(), taken).await.unwrap();
        table.add("take 1,000 runs back", 1, lap.end());
        assert!(taken == 1_000 || runs < 10_000_000);
    }
    let lap = Lap::start();
    let backup = store.backup(Vec::new()).await.unwrap();
    table.add("take a backup", 1, lap.end());
    let lap = Lap::start();
    backup.write_to(std::io::sink()).unwrap();
    table.add("write it, KiB", backup.bytes() >> 10, lap.end());
    table.print(rounds);
}

/// What a list of jobs, the status of the large one and a page of its dead letters ask for.
async fn ask(store: &SqliteStore, claim: &Claim, runs: u64, names: [&'static str; 4], table: &mut Table) {
    let [list, counts, tally, dead] = names;
    let lap = Lap::start();
    let page = store.jobs(JobFilter { limit: Some(100), ..JobFilter::default() }).await.unwrap();
    assert_eq!(page.len(), 100);
    let unfinished = store.jobs(JobFilter { unfinished: true, ..JobFilter::default() }).await.unwrap();
    assert_eq!(unfinished.len(), 1);
    for record in page {
        store.tally(record.job.id).await.unwrap();
    }
    table.add(list, 1, lap.end());
    let lap = Lap::start();
    assert_eq!(store.job_counts().await.unwrap().completed, JOBS);
    let count = store.dead_count(None).await.unwrap();
    table.add(counts, 1, lap.end());
    let lap = Lap::start();
    let told = store.tally(claim.job()).await.unwrap();
    table.add(tally, 1, lap.end());
    assert!(told.total().runs() <= runs && told.total().failures >= count - JOBS.min(count));
    let lap = Lap::start();
    let page = store.dead(DeadQuery { job: Some(claim.job()), limit: 100, ..DeadQuery::default() }).await.unwrap();
    table.add(dead, 1, lap.end());
    assert_eq!(page.len(), 100);
}

async fn new_job(store: &SqliteStore) -> Claim {
    common::new_job(store, &[b'x'; 500]).await
}

async fn append(store: &SqliteStore, claim: &Claim, items: u64) {
    let (mut builder, mut seq) = (ItemsBuilder::default(), 0);
    for item in 0..items {
        builder.push(&format!("items.jsonl:{item}"), item, Bytes::from_static(b"0123456789"));
        if builder.is_full() || item + 1 == items {
            store.append(claim.job(), claim.epoch(), seq, builder.take(), Bytes::new()).await.unwrap();
            seq += 1;
        }
    }
}

fn batch(claim: &Claim, first: u64, count: u64) -> Batch {
    let outcome = |run| {
        let fails = run % 100 == 0;
        let message = || format!("failed for reason {}", run / 100 % MESSAGES);
        OutcomeRow {
            run: RunIndex(run),
            verdict: if fails { Verdict::Failure } else { Verdict::Valid },
            time_us: 12 + run % 5_000,
            attempts: 1,
            error: fails.then(|| RunError { code: "failed".to_owned(), message: message() }),
            detail: if fails { Bytes::from_static(&[b'x'; 200]) } else { Bytes::new() },
        }
    };
    let worker = format!("worker-{}", first / BATCH % 16).into();
    let outcomes = (first..first + count).map(outcome).collect();
    Batch { job: claim.job(), epoch: claim.epoch(), worker, landed_ms: first, outcomes }
}
