//! What the store costs a run: append and record a million runs of 846-byte items, beside the disk's own fdatasync.
//!
//!     cargo bench -p pigeon-store --bench record [-- RUNS [ROUNDS]]
//!
//! Medians of the rounds. CPU is that of the whole process: caller, writer and SQLite, the kernel's share included.

#![expect(clippy::unwrap_used, reason = "a bench has nobody to tell")]

mod common;

use std::{fs::File, io::Write as _, path::Path, time::Duration};

use bytes::Bytes;
use common::{AT_ONCE, Lap, Table};
use futures::{StreamExt as _, stream};
use pigeon_protocol::{id::RunIndex, outcome::Verdict};
use pigeon_store::{Batch, Claim, Items, ItemsBuilder, JobEnd, JobState, Options, OutcomeRow, SqliteStore, Store};

/// Bytes of the fibonacci example.
const ITEM: usize = 846;

/// Runs of a batch of outcomes.
const BATCH: u64 = 500;

fn main() {
    let (runs, rounds) = common::arguments(1_000_000, 5);
    let runtime = common::runtime();
    let mut table = Table::default();
    for _ in 0..rounds {
        let dir = common::dir();
        table.add("fdatasync of 16 KiB", 1, fdatasync(dir.path()));
        runtime.block_on(round(dir.path(), runs, &mut table));
    }
    table.print(rounds);
}

async fn round(dir: &Path, runs: u64, table: &mut Table) {
    let opening = Lap::start();
    let store = SqliteStore::open(dir, Options::default()).unwrap();
    table.add("open a new store", 1, opening.end());

    let claim = new_job(&store).await;
    let lap = Lap::start();
    append(&store, &claim, runs).await;
    table.add("append", runs, lap.end());
    let lap = Lap::start();
    record(&store, &claim, runs).await;
    table.add("record", runs, lap.end());
    let lap = Lap::start();
    results(&store, &claim, runs).await;
    table.add("results in run order", runs, lap.end());
    let lap = Lap::start();
    store.finish(claim.job(), claim.epoch(), JobEnd::new(JobState::Completed, 1)).await.unwrap();
    table.add("finish", 1, lap.end());

    let both = new_job(&store).await;
    let lap = Lap::start();
    tokio::join!(append(&store, &both, runs), record(&store, &both, runs));
    table.add("append and record", runs, lap.end());

    let alone = new_job(&store).await;
    for run in 0..100 {
        let lap = Lap::start();
        store.record(batch(&alone, run, 1)).await.unwrap();
        table.add("record one run alone", 1, lap.end());
    }

    drop(claim);
    let lap = Lap::start();
    let swept = store.sweep(2, Default::default()).await.unwrap();
    assert_eq!(swept.bodies.len(), 1);
    table.add("sweep the bodies", runs, lap.end());
}

async fn new_job(store: &SqliteStore) -> Claim {
    common::new_job(store, b"").await
}

/// A chunk of up to so many items.
fn chunk(left: u64) -> Items {
    let mut builder = ItemsBuilder::default();
    let body = Bytes::from(vec![b'x'; ITEM]);
    for item in 0..left {
        if builder.is_full() {
            break;
        }
        builder.push(&format!("items.jsonl:{item}"), item, body.clone());
    }
    builder.take()
}

async fn append(store: &SqliteStore, claim: &Claim, items: u64) {
    let full = chunk(items);
    let count = full.len() as u64;
    let append = |seq| {
        let items = if (seq + 1) * count <= items { full.clone() } else { chunk(items - seq * count) };
        store.append(claim.job(), claim.epoch(), seq, items, Bytes::new())
    };
    // In order, because a chunk may not overtake another.
    stream::iter((0..items.div_ceil(count)).map(append))
        .buffered(AT_ONCE)
        .for_each(|appended| async move { assert!(appended.unwrap().new) })
        .await;
}

async fn record(store: &SqliteStore, claim: &Claim, runs: u64) {
    common::record(store, runs, BATCH, |first, count| batch(claim, first, count)).await;
}

fn batch(claim: &Claim, first: u64, count: u64) -> Batch {
    let outcome = |run| OutcomeRow {
        run: RunIndex(run),
        verdict: Verdict::Valid,
        time_us: 12 + run % 5,
        attempts: 1,
        error: None,
        detail: Bytes::new(),
    };
    let outcomes = (first..first + count).map(outcome).collect();
    Batch { job: claim.job(), epoch: claim.epoch(), worker: "worker-1".into(), landed_ms: 0, outcomes }
}

async fn results(store: &SqliteStore, claim: &Claim, runs: u64) {
    let mut read = 0;
    loop {
        let page = store.results(claim.job(), RunIndex(read), 8192).await.unwrap();
        if page.is_empty() {
            break;
        }
        read += page.len() as u64;
    }
    assert_eq!(read, runs);
}

/// The median of some fdatasyncs behind a write of one page.
fn fdatasync(dir: &Path) -> (Duration, Duration) {
    let mut file = File::create(dir.join("fdatasync")).unwrap();
    let mut times: Vec<_> = (0..100)
        .map(|_| {
            let lap = Lap::start();
            file.write_all(&[1; 16 << 10]).unwrap();
            file.sync_data().unwrap();
            lap.end()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}
