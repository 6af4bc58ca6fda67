//! The embedded store: it does what every store does, and what only it promises.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod conformance;

use std::path::Path;

use bytes::Bytes;
use conformance::{
    made::{all_results, batch, failed, items, new_job, outcome},
    model::{Model, Step, steps},
};
use pigeon_protocol::outcome::Verdict;
use pigeon_store::{Access, Claim, JobState, Options, Owned, SqliteStore, Store, StoreError};
use proptest::prelude::*;
use tempfile::TempDir;

fn open() -> (SqliteStore, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (reopen(dir.path()), dir)
}

/// A store in which failures become dead letters.
fn serving() -> (SqliteStore, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (SqliteStore::open(dir.path(), Options { dead_letters: true, ..Options::default() }).unwrap(), dir)
}

fn reopen(dir: &Path) -> SqliteStore {
    SqliteStore::open(dir, Options::default()).unwrap()
}

conformance::suite!(serving());

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn it_does_what_the_model_does(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(follow(steps));
    }
}

fn row(run: u64) -> pigeon_store::OutcomeRow {
    if run.is_multiple_of(5) { failed(run, "code", &format!("message {}", run % 10)) } else { outcome(run) }
}

/// Do the same to a store and to the model, and compare them.
async fn follow(steps: Vec<Step>) {
    let (mut store, dir) = open();
    let mut claim = store.create(new_job(1, 1)).await.unwrap();
    let job = claim.job();
    let mut model = Model { epoch: 1, ..Model::default() };
    for step in steps {
        match step {
            Step::Append { back, count } => {
                let next = model.chunks.len() as u64;
                let seq = next.saturating_sub(back);
                let first = model.items();
                let done = store.append(job, claim.epoch(), seq, items(first..first + count), Bytes::new()).await;
                if let Some(&(first, count)) = model.chunks.get(seq as usize) {
                    let done = done.unwrap();
                    assert_eq!((done.first, done.count, done.new), (first, count, false));
                } else if model.sealed {
                    assert!(matches!(done, Err(StoreError::Sealed(_))));
                } else {
                    let done = done.unwrap();
                    assert_eq!((done.first, done.count, done.new), (first, count, true));
                    model.chunks.push((first, count));
                }
            }
            Step::Record { worker, runs } => {
                let rows = runs.iter().map(|&run| row(run));
                let done = store.record(batch(&claim, &format!("worker-{worker}"), rows)).await.unwrap();
                let refused = model.record(worker, &runs);
                assert_eq!(done.refused.iter().map(|run| run.0).collect::<Vec<_>>(), refused);
                assert_eq!(done.recorded, (runs.len() - refused.len()) as u64);
            }
            Step::Seal => {
                store.seal(job, claim.epoch(), Bytes::new()).await.unwrap();
                model.sealed = true;
            }
            Step::Claim | Step::Reopen => {
                drop(claim);
                if matches!(step, Step::Reopen) {
                    drop(store);
                    store = reopen(dir.path());
                }
                claim = store.claim(job).await.unwrap();
                model.epoch += 1;
            }
        }
        compare(&store, &claim, &model).await;
    }
    // Another process reads from disk what this one has in memory.
    compare(&reopen(dir.path()), &claim, &model).await;
    store.finish(job, claim.epoch(), JobState::Completed, Bytes::new(), 1).await.unwrap();
    compare(&store, &claim, &model).await;
}

async fn compare(store: &SqliteStore, claim: &Claim, model: &Model) {
    let job = claim.job();
    let record = store.job(job).await.unwrap();
    assert_eq!((record.epoch.0, record.items, record.sealed.is_some()), (model.epoch, model.items(), model.sealed));
    let chunks = store.chunks(job).await.unwrap();
    assert_eq!(chunks.iter().map(|chunk| (chunk.first, chunk.count)).collect::<Vec<_>>(), model.chunks);
    if let Some(last) = chunks.last() {
        assert_eq!(store.items(job, last.seq).await.unwrap(), items(last.first..last.first + last.count));
    }

    let results = all_results(store, job, 50).await;
    assert_eq!(
        results.iter().map(|result| result.run.0).collect::<Vec<_>>(),
        model.outcomes.keys().copied().collect::<Vec<_>>()
    );
    assert_eq!(store.progress(job).await.unwrap().done, model.ranges());

    let tally = store.tally(job).await.unwrap();
    for worker in 0..3 {
        let runs = |verdict: Option<Verdict>| -> u64 {
            let of = |run: &&u64| verdict.is_none_or(|verdict| row(**run).verdict == verdict);
            model.outcomes.iter().filter(|(_, by)| **by == worker).map(|(run, _)| run).filter(of).count() as u64
        };
        let stats = tally.workers.get(&format!("worker-{worker}")).cloned().unwrap_or_default();
        assert_eq!((stats.runs(), stats.invalid), (runs(None), runs(Some(Verdict::Invalid))));
    }
    let total = tally.total();
    assert_eq!(total.time_us, results.iter().map(|result| result.time_us).sum::<u64>());
    assert_eq!(total.errors.values().sum::<u64>(), total.invalid);
    for (number, group) in (0..).zip(&tally.groups) {
        let of = |run: &&u64| row(**run).error.is_some_and(|error| error.message == group.message);
        assert_eq!(total.errors[&number], model.outcomes.keys().filter(of).count() as u64);
        assert_eq!(Some(&group.first_run.0), model.outcomes.keys().find(of));
    }
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let (store, dir) = open();
    drop(store);
    let database = dir.path().join("pigeon.db");
    rusqlite::Connection::open(&database).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = std::fs::read(&database).unwrap();
    let error = SqliteStore::open(dir.path(), Options::default()).unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { found: 99, known: 3 }), "{error}");
    assert_eq!(std::fs::read(&database).unwrap(), before);
}

#[tokio::test]
async fn version_1_opens() {
    let dir = tempfile::tempdir().unwrap();
    let database = rusqlite::Connection::open(dir.path().join("pigeon.db")).unwrap();
    database.execute_batch(include_str!("version-1.sql")).unwrap();
    database.close().unwrap();
    let store = reopen(dir.path());
    let jobs = store.jobs(Default::default()).await.unwrap();
    assert_eq!((jobs.len(), jobs[0].items, jobs[0].state), (1, 2, JobState::Active));
    let job = jobs[0].job.id;
    assert_eq!(store.items(job, 0).await.unwrap(), items(0..2));
    assert_eq!(all_results(&store, job, 9).await, [outcome(0)]);
    assert_eq!(store.tally(job).await.unwrap().workers["worker-1"].valid, 1);
    assert_eq!(store.claim(job).await.unwrap().epoch().0, 2);
}

#[test]
fn a_file_that_is_no_database_is_said_to_be_damaged() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("pigeon.db"), "not a database, but long enough to be looked at\n".repeat(100))
        .unwrap();
    let error = SqliteStore::open(dir.path(), Options::default()).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let error = SqliteStore::open(&dir.path().join("file/state"), Options::default()).unwrap_err();
    assert!(matches!(&error, StoreError::Io { path, .. } if path.ends_with("file/state")), "{error}");
}

#[test]
fn a_directory_is_shared_or_used_alone() {
    let (store, dir) = open();
    let alone = || SqliteStore::open(dir.path(), Options { access: Access::Alone, ..Options::default() });
    let _beside = reopen(dir.path());
    assert!(matches!(alone(), Err(StoreError::Busy { what: Owned::Directory, .. })));
    drop((store, _beside));
    let _alone = alone().unwrap();
    let error = SqliteStore::open(dir.path(), Options::default()).unwrap_err();
    assert!(matches!(error, StoreError::Busy { what: Owned::Directory, pid: Some(pid) } if pid == std::process::id()));
}

#[tokio::test]
async fn two_stores_on_one_directory_both_work() {
    let (one, dir) = open();
    let two = reopen(dir.path());
    let (first, second) = (one.create(new_job(1, 1)).await.unwrap(), two.create(new_job(1, 1)).await.unwrap());
    assert!(matches!(two.claim(first.job()).await, Err(StoreError::Busy { .. })));
    let work = async |store: &SqliteStore, claim: &Claim| {
        for run in 0..40 {
            store.record(batch(claim, "a", [outcome(run)])).await.unwrap();
        }
    };
    tokio::join!(work(&one, &first), work(&two, &second));
    for (store, job) in [(&two, first.job()), (&one, second.job())] {
        assert_eq!(all_results(store, job, 100).await.len(), 40);
        assert_eq!(store.tally(job).await.unwrap().total().valid, 40);
    }
}

#[tokio::test]
async fn writes_that_wait_together_are_all_done() {
    let (store, _dir) = open();
    let claim = store.create(new_job(1, 1)).await.unwrap();
    let writes = (0..300).map(|run| {
        let (store, batch) = (store.clone(), batch(&claim, "a", [outcome(run)]));
        tokio::spawn(async move { store.record(batch).await })
    });
    for write in writes.collect::<Vec<_>>() {
        assert_eq!(write.await.unwrap().unwrap().recorded, 1);
    }
    assert!(store.progress(claim.job()).await.unwrap().done.into_iter().eq(std::iter::once(0..300)));
}

#[tokio::test]
async fn ledgers_are_written_down_and_added_to() {
    let (store, dir) = open();
    let claim = store.create(new_job(1, 1)).await.unwrap();
    // Enough rows for two ledgers, and some behind the second.
    for run in 0..1100 {
        store.record(batch(&claim, ["a", "b"][run as usize % 2], [row(run)])).await.unwrap();
    }
    let (tally, progress) = (store.tally(claim.job()).await.unwrap(), store.progress(claim.job()).await.unwrap());
    let other = reopen(dir.path());
    assert_eq!(other.tally(claim.job()).await.unwrap(), tally);
    assert_eq!(other.progress(claim.job()).await.unwrap(), progress);
    assert_eq!(tally.total().runs(), 1100);
}

#[tokio::test]
async fn what_was_swept_makes_the_file_smaller() {
    let (store, dir) = open();
    let claim = store.create(new_job(1, 1)).await.unwrap();
    let mut builder = pigeon_store::ItemsBuilder::default();
    while !builder.is_full() {
        builder.push("id", 1, vec![7; 1000].into());
    }
    let chunk = builder.take();
    for seq in 0..20 {
        store.append(claim.job(), claim.epoch(), seq, chunk.clone(), Bytes::new()).await.unwrap();
    }
    store.finish(claim.job(), claim.epoch(), JobState::Completed, Bytes::new(), 1).await.unwrap();
    drop(claim);
    let swept = store.sweep(2, Default::default()).await.unwrap();
    assert!(swept.freed > 20 << 20, "{swept:?}");
    drop(store);
    let size = std::fs::metadata(dir.path().join("pigeon.db")).unwrap().len();
    assert!(size < 4 << 20, "{size}");
}

#[tokio::test]
async fn files_of_items_go_with_their_job_and_no_sooner() {
    let (store, dir) = open();
    let spooled = |job: pigeon_protocol::id::JobId| dir.path().join("items").join(job.to_string());
    let mut claims = Vec::new();
    for _ in 0..2 {
        let claim = store.create(new_job(1, 1)).await.unwrap();
        store.append(claim.job(), claim.epoch(), 0, items(0..3), Bytes::new()).await.unwrap();
        assert!(spooled(claim.job()).exists());
        claims.push(claim);
    }
    let (open, over) = (claims.remove(0), claims.remove(0));
    // Somebody died after he had forgotten the rows, or before there were any.
    let stray = pigeon_protocol::id::JobId::new();
    std::fs::create_dir_all(spooled(stray)).unwrap();
    std::fs::write(spooled(stray).join("1"), [7; 4096]).unwrap();
    store.finish(over.job(), over.epoch(), JobState::Completed, Bytes::new(), 1).await.unwrap();
    let over_job = over.job();
    drop(over);

    let other = reopen(dir.path());
    let swept = other.sweep(2, Default::default()).await.unwrap();
    assert_eq!(swept.bodies, [over_job]);
    assert!(swept.freed >= 2 * 4096, "{swept:?}");
    assert!(!spooled(over_job).exists() && !spooled(stray).exists());
    assert!(matches!(store.items(over_job, 0).await, Err(StoreError::NoBodies { .. })));

    // The one that is open goes on, here and there.
    let job = open.job();
    store.append(job, open.epoch(), 1, items(3..6), Bytes::new()).await.unwrap();
    drop(open);
    let claim = other.claim(job).await.unwrap();
    other.append(job, claim.epoch(), 2, items(6..9), Bytes::new()).await.unwrap();
    for (seq, range) in [(0, 0..3), (1, 3..6), (2, 6..9)] {
        assert_eq!(store.items(job, seq).await.unwrap(), items(range));
    }
}
