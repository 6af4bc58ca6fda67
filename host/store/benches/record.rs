//! What the store costs a run: append and record a million runs of 846-byte items, beside the disk's own fdatasync.
//!
//!     cargo bench -p pigeon-store --bench record [-- RUNS [ROUNDS]]
//!
//! Medians of the rounds. CPU is that of the whole process: caller, writer and SQLite, the kernel's share included.

#![expect(clippy::unwrap_used, reason = "a bench has nobody to tell")]

mod lap;

use std::{fs::File, io::Write as _, path::Path, time::Duration};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use lap::{Lap, Table};
use pigeon_protocol::{
    id::{Digest, JobId, RunIndex, Shape},
    outcome::Verdict,
};
use pigeon_store::{Batch, Claim, Items, ItemsBuilder, JobState, NewJob, Options, OutcomeRow, SqliteStore, Store};

/// Bytes of the fibonacci example.
const ITEM: usize = 846;

/// Runs of a batch of outcomes.
const BATCH: u64 = 500;

/// Batches and chunks on their way at once.
const AT_ONCE: usize = 4;

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<u64>().ok());
    let (runs, rounds) = (numbers.next().unwrap_or(1_000_000), numbers.next().unwrap_or(5));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let mut table = Table::default();
    for _ in 0..rounds {
        // Beside the build, not in a temporary directory: that may be memory.
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
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
    store.finish(claim.job(), claim.epoch(), JobState::Completed, Bytes::new(), 1).await.unwrap();
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
    let job = NewJob {
        id: JobId::new(),
        spec: Bytes::new(),
        plugin: Digest::of(b""),
        shape: Shape { places: 1, iterations: 1 },
        priority: 0,
        created_ms: 0,
        key: None,
        author: String::new(),
    };
    store.create(job).await.unwrap()
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
    stream::iter((0..runs).step_by(BATCH as usize))
        .map(|first| store.record(batch(claim, first, BATCH.min(runs - first))))
        .buffer_unordered(AT_ONCE)
        .for_each(|recorded| async move { assert_eq!(recorded.unwrap().refused, []) })
        .await;
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
