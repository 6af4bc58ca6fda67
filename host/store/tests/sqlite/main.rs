//! The embedded store: it does what every store does, and what only it promises.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod backup;
#[path = "../conformance/mod.rs"]
mod conformance;
mod damage;
mod follow;
mod log;
mod room;
mod versions;

use std::path::Path;

use conformance::made::{all_results, batch, failed, new_job, outcome};
use futures::future::join_all;
use pigeon_protocol::outcome::Verdict;
use pigeon_store::{Access, Claim, Options, OutcomeRow, Owned, SqliteStore, Store, StoreError};
use tempfile::TempDir;

fn open() -> (SqliteStore, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (reopen(dir.path()), dir)
}

/// A store in which failures become dead letters.
fn serving() -> (SqliteStore, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (serve(dir.path()), dir)
}

fn serve(dir: &Path) -> SqliteStore {
    SqliteStore::open(dir, Options { dead_letters: true, ..Options::default() }).unwrap()
}

fn reopen(dir: &Path) -> SqliteStore {
    SqliteStore::open(dir, Options::default()).unwrap()
}

conformance::suite!(serving());

/// A store that has its directory alone does the same.
mod alone {
    use pigeon_store::{Access, Options, SqliteStore};

    fn open() -> (SqliteStore, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { access: Access::Alone, dead_letters: true, ..Options::default() };
        (SqliteStore::open(dir.path(), options).unwrap(), dir)
    }

    crate::conformance::suite!(open());
}

/// What is recorded of a run: of some it is that they were invalid, of some that they could not be judged.
fn row(run: u64) -> OutcomeRow {
    let message = format!("message {}", run % 10);
    match (run % 5, run % 7) {
        (0, _) => failed(run, "code", &message),
        (_, 3) => OutcomeRow { verdict: Verdict::Failure, ..failed(run, "dead", &message) },
        _ => outcome(run),
    }
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
    let error = alone().unwrap_err();
    assert!(matches!(error, StoreError::Busy { what: Owned::Directory, pid: Some(pid) } if pid == std::process::id()));
    drop((store, _beside));
    let _alone = alone().unwrap();
    for options in [Options::default(), Options { access: Access::Alone, ..Options::default() }] {
        let error = SqliteStore::open(dir.path(), options).unwrap_err();
        let told = format!("the state directory is in use by another process (process {})", std::process::id());
        assert_eq!(error.to_string(), told);
    }
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
async fn more_jobs_than_ledgers_are_held_open_all_count() {
    let dir = tempfile::tempdir().unwrap();
    // Each is owned, without a file for each.
    let store = SqliteStore::open(dir.path(), Options { access: Access::Alone, ..Options::default() }).unwrap();
    let claims = join_all((0..1_100).map(|_| store.create(new_job(1, 1)))).await;
    let claims: Vec<Claim> = claims.into_iter().map(Result::unwrap).collect();
    for (runs, refused) in [(0..2, 0), (1..3, 1)] {
        let records = claims.iter().map(|claim| store.record(batch(claim, "a", runs.clone().map(outcome))));
        for recorded in join_all(records).await {
            assert_eq!(recorded.unwrap().refused.len(), refused);
        }
    }
    for claim in &claims {
        assert_eq!(store.tally(claim.job()).await.unwrap().total().valid, 3);
    }
}
