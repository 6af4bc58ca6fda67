//! A process that dies while it writes: what it was told is on disk is there, whole and once.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod kill;

use std::{collections::BTreeSet, path::Path};

use bytes::Bytes;
use kill::tell;
use pigeon_protocol::{
    id::{Digest, JobId, RunIndex, Shape},
    outcome::Verdict,
};
use pigeon_store::{
    Batch, Claim, Items, ItemsBuilder, LARGE_ITEM, NewJob, Options, OutcomeRow, Retention, RunError, SqliteStore, Store,
};

/// Tells the child where to work.
const DIR: &str = "PIGEON_STORE_CRASH_DIR";

/// Runs of a batch.
const BATCH: u64 = 50;

const JOB: JobId = JobId::from_bytes([7; 16]);

/// Chunk number `seq`, of which every fifth has a large item, and every third is large enough for a file of its job.
fn chunk(seq: u64) -> Items {
    let mut builder = ItemsBuilder::default();
    for item in 0..40 {
        let size = match (seq % 5, seq % 3) {
            (4, _) if item == 7 => LARGE_ITEM + 1,
            (_, 1) => 3000 + item,
            _ => 500 + item,
        };
        builder.push(&format!("{seq}:{item}"), item as u64, vec![seq as u8; size].into());
    }
    builder.take()
}

/// Batch number `number`: its runs lie beside those of others.
fn outcomes(number: u64) -> Vec<OutcomeRow> {
    let run = |place: u64| {
        let run = (number / 4 * BATCH + place) * 4 + number % 4;
        let invalid = run.is_multiple_of(7);
        OutcomeRow {
            run: RunIndex(run),
            verdict: if invalid { Verdict::Invalid } else { Verdict::Valid },
            time_us: run % 1000,
            attempts: 1,
            error: invalid.then(|| RunError { code: format!("code-{}", run % 3), message: "no".to_owned() }),
            detail: if invalid { Bytes::from(vec![1; 100]) } else { Bytes::new() },
        }
    };
    (0..BATCH).map(run).collect()
}

/// What the child process does until it is killed. As a test of its own it does nothing.
#[tokio::test]
async fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let store = SqliteStore::open(Path::new(&dir), Options::default()).unwrap();
    let claim = match store.claim(JOB).await {
        Ok(claim) => claim,
        Err(_) => {
            let shape = Shape { places: 1, iterations: 1 };
            let job = NewJob {
                id: JOB,
                spec: Bytes::new(),
                plugin: Digest::of(b""),
                shape,
                priority: 0,
                created_ms: 0,
                key: None,
                author: String::new(),
            };
            store.create(job).await.unwrap()
        }
    };
    tokio::join!(append(&store, &claim), record(&store, &claim, 0), record(&store, &claim, 1));
}

async fn append(store: &SqliteStore, claim: &Claim) {
    for seq in store.job(JOB).await.unwrap().chunks.. {
        store.append(JOB, claim.epoch(), seq, chunk(seq), Bytes::from(seq.to_string())).await.unwrap();
        tell("chunk", seq);
    }
}

/// Record every batch whose number leaves this remainder, from the first that is not there on.
async fn record(store: &SqliteStore, claim: &Claim, remainder: u64) {
    let done: BTreeSet<u64> = store.progress(JOB).await.unwrap().done.into_iter().flatten().collect();
    for number in (remainder..).step_by(2) {
        let outcomes = outcomes(number);
        if !done.contains(&outcomes[0].run.0) {
            let batch = Batch {
                job: JOB,
                epoch: claim.epoch(),
                worker: format!("worker-{remainder}").into(),
                landed_ms: 0,
                outcomes,
            };
            assert_eq!(store.record(batch).await.unwrap().recorded, BATCH);
            tell("batch", number);
        }
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_there_whole_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let (mut chunks, mut batches) = (BTreeSet::new(), BTreeSet::new());
    for life in 0..6 {
        kill::run_and_kill(DIR, dir.path(), 40 + 37 * life, |what, number| match what {
            "chunk" => chunks.insert(number),
            "batch" => batches.insert(number),
            _ => false,
        });
        check(dir.path(), &chunks, &batches).await;
    }
    assert!(chunks.len() > 10 && batches.len() > 10, "{} chunks and {} batches", chunks.len(), batches.len());
}

async fn check(dir: &Path, chunks: &BTreeSet<u64>, batches: &BTreeSet<u64>) {
    let store = SqliteStore::open(dir, Options::default()).unwrap();
    // Its owner is dead, so it can be owned.
    drop(store.claim(JOB).await.unwrap());
    let record = store.job(JOB).await.unwrap();
    let acknowledged = chunks.last().map_or(0, |last| last + 1);
    assert!(record.chunks >= acknowledged);
    assert_eq!(record.items, record.chunks * 40);
    assert_eq!(record.cursor, record.chunks.checked_sub(1).map_or_else(String::new, |last| last.to_string()));
    for seq in 0..record.chunks {
        assert_eq!(store.items(JOB, seq).await.unwrap(), chunk(seq));
    }

    let mut results: Vec<OutcomeRow> = Vec::new();
    loop {
        let from = RunIndex(results.last().map_or(0, |result| result.run.0 + 1));
        let page = store.results(JOB, from, 1000).await.unwrap();
        if page.is_empty() {
            break;
        }
        results.extend(page);
    }
    assert!(results.windows(2).all(|pair| pair[0].run < pair[1].run), "a run has two outcomes");
    let runs: BTreeSet<u64> = results.iter().map(|result| result.run.0).collect();
    // A batch is there or it is not, and it is there if it was acknowledged.
    for number in 0..batches.last().map_or(0, |last| last + 8) {
        let there = outcomes(number).iter().filter(|outcome| runs.contains(&outcome.run.0)).count() as u64;
        assert!(there == BATCH || there == 0, "{there} runs of batch {number}");
        assert!(there == BATCH || !batches.contains(&number), "batch {number} was acknowledged and is gone");
    }

    // Counters are those of the outcomes that are there.
    let count = |verdict| results.iter().filter(|result| result.verdict == verdict).count() as u64;
    let tally = store.tally(JOB).await.unwrap();
    let total = tally.total();
    assert_eq!((total.valid, total.invalid, total.failures), (count(Verdict::Valid), count(Verdict::Invalid), 0));
    assert_eq!(total.time_us, results.iter().map(|result| result.time_us).sum::<u64>());
    assert_eq!(total.errors.values().sum::<u64>(), total.invalid);
    let progress = store.progress(JOB).await.unwrap();
    assert_eq!(progress.done.into_iter().flatten().collect::<BTreeSet<_>>(), runs);

    store.sweep(0, Retention::default()).await.unwrap();
    drop(store);
    kill::check_files(dir);
}
