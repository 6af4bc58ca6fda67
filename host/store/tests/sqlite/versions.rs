//! Databases that other versions wrote.

use std::path::Path;

use pigeon_protocol::id::{Digest, JobId, RunIndex};
use pigeon_store::{
    Attempts, DeadQuery, JobCounts, JobRecord, JobState, NewEvent, NewJob, Options, SqliteStore, Store, StoreError,
};

use crate::{
    conformance::made::{all_results, items, new_job, outcome},
    reopen,
};

/// A state directory with this database.
fn written(sql: &str) -> (SqliteStore, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let database = rusqlite::Connection::open(dir.path().join("pigeon.db")).unwrap();
    database.execute_batch(sql).unwrap();
    database.close().unwrap();
    (reopen(dir.path()), dir)
}

fn version(dir: &Path) -> u32 {
    let database = rusqlite::Connection::open(dir.join("pigeon.db")).unwrap();
    database.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let (store, dir) = crate::open();
    drop(store);
    let database = dir.path().join("pigeon.db");
    rusqlite::Connection::open(&database).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = std::fs::read(&database).unwrap();
    let error = SqliteStore::open(dir.path(), Options::default()).unwrap_err();
    let told = "the store has schema version 99, and this version of Pigeon knows 4 at most";
    assert_eq!(error.to_string(), told);
    assert!(matches!(error, StoreError::NewerSchema { found: 99, known: 4 }));
    assert_eq!(std::fs::read(&database).unwrap(), before);
}

/// The job of two items of which the first was judged, as the store of today sees and goes on with it.
async fn check_active(store: &SqliteStore, record: &JobRecord) {
    assert_eq!((record.items, record.state), (2, JobState::Active));
    let (author, key) = (record.job.author.as_str(), record.job.key.as_deref());
    assert_eq!((author, key, record.paused, record.has_bodies, record.dead), ("", None, false, true, 0));
    let job = record.job.id;
    // Its bodies lie in a row, and the file of no job is looked for.
    assert_eq!(
        store.items(job, 0).await.unwrap().iter().map(|item| item.body).collect::<Vec<_>>(),
        ["body 0", "body 1"]
    );
    assert_eq!(all_results(store, job, 9).await, [outcome(0)]);
    assert_eq!(store.tally(job).await.unwrap().workers["worker-1"].valid, 1);
    assert_eq!(store.landed_after(job, 0, 9).await.unwrap()[0].landed_ms, 0);
    let claim = store.claim(job).await.unwrap();
    assert_eq!(claim.epoch().0, 2);
    store.set_paused(job, claim.epoch(), true).await.unwrap();
    assert_eq!(store.take_back(job, claim.epoch(), vec![RunIndex(0)]).await.unwrap(), 1);
    assert_eq!(store.progress(job).await.unwrap().done, []);
    store
        .put_events(vec![NewEvent {
            at_ms: 1,
            author: "ann".to_owned(),
            kind: "job-paused".to_owned(),
            job: Some(job),
            subject: None,
            message: String::new(),
        }])
        .await
        .unwrap();
    assert_eq!(store.events(0, Some(job), 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn version_1_opens() {
    let (store, dir) = written(include_str!("../version-1.sql"));
    let jobs = store.jobs(Default::default()).await.unwrap();
    assert_eq!(jobs.len(), 1);
    check_active(&store, &jobs[0]).await;
    drop(store);
    assert_eq!(version(dir.path()), 4);
}

#[tokio::test]
async fn version_2_opens() {
    let (store, dir) = written(include_str!("../version-2.sql"));
    let jobs = store.jobs(Default::default()).await.unwrap();
    assert_eq!(jobs.len(), 2);
    let finished = jobs.iter().find(|record| record.state.is_finished()).unwrap();
    check_active(&store, jobs.iter().find(|record| !record.state.is_finished()).unwrap()).await;

    let job = finished.job.id;
    assert_eq!((job, finished.worked_ms, finished.finished_ms), (JobId::from_bytes([2; 16]), 700, Some(2_000)));
    // The ledger that version 2 wrote down knows no times.
    let tally = store.tally(job).await.unwrap();
    let groups: Vec<_> = tally.groups.iter().map(|group| (&*group.code, &*group.example, group.first_ms)).collect();
    assert_eq!(groups, [("syntax", "item-1", 0), ("trap", "item-2", 0)]);
    let total = tally.total();
    assert_eq!((total.valid, total.invalid, total.failures, total.quantile_us(1.0)), (1, 1, 1, 12));

    let claim = store.claim(job).await.unwrap();
    assert_eq!(store.take_back(job, claim.epoch(), vec![RunIndex(2)]).await.unwrap(), 1);
    let again = crate::conformance::made::batch(&claim, "worker-3", [outcome(2)]);
    store.record(again).await.unwrap();
    let (before, other) = (store.tally(job).await.unwrap(), reopen(dir.path()));
    assert_eq!((before.total().valid, before.total().failures), (2, 0));
    assert_eq!(other.tally(job).await.unwrap(), before);
    drop((claim, store, other));
    assert_eq!(version(dir.path()), 4);
}

#[tokio::test]
async fn version_3_opens() {
    let (store, dir) = written(include_str!("../version-3.sql"));
    let (active, finished) = (JobId::from_bytes([1; 16]), JobId::from_bytes([2; 16]));
    // The bodies of its second chunk lie in a file.
    let spool = dir.path().join("items").join(active.to_string()).join("1");
    std::fs::create_dir_all(spool.parent().unwrap()).unwrap();
    std::fs::write(spool, items(2..3).get(0).unwrap().body).unwrap();

    let counts = JobCounts { paused: 1, completed: 1, ..JobCounts::default() };
    assert_eq!(store.job_counts().await.unwrap(), counts);
    let record = store.job(active).await.unwrap();
    assert_eq!((record.items, record.chunks, record.cursor, record.sealed), (3, 2, "after 3".into(), None));
    assert_eq!((&*record.job.author, record.job.key.as_deref(), record.paused), ("ann", Some("nightly"), true));
    assert_eq!(store.items(active, 0).await.unwrap(), items(0..2));
    assert_eq!(store.items(active, 1).await.unwrap(), items(2..3));
    let attempts = Attempts { failed: 2, deaths: 1 };
    assert_eq!(store.progress(active).await.unwrap().attempts, [(RunIndex(2), attempts)]);
    let claim = store.claim(active).await.unwrap();
    store.set_paused(active, claim.epoch(), false).await.unwrap();
    assert_eq!(store.job_counts().await.unwrap(), JobCounts { active: 1, completed: 1, ..JobCounts::default() });
    assert_eq!(store.take_back(active, claim.epoch(), vec![RunIndex(1)]).await.unwrap(), 1);
    assert_eq!(all_results(&store, active, 9).await, [outcome(0)]);

    let record = store.job(finished).await.unwrap();
    assert_eq!((&*record.job.author, record.dead, record.worked_ms), ("bob", 1, 700));
    let letters = store.dead(DeadQuery { limit: 9, ..DeadQuery::default() }).await.unwrap();
    let told: Vec<_> =
        letters.iter().map(|letter| (letter.job, letter.run.0, &*letter.worker, letter.landed_ms)).collect();
    assert_eq!(told, [(finished, 1, "worker-2", 1_800)]);
    let tally = store.tally(finished).await.unwrap();
    let groups: Vec<_> =
        tally.groups.iter().map(|group| (&*group.code, &*group.example, group.first_ms, group.last_ms)).collect();
    assert_eq!(groups, [("syntax", "item-0", 1_600, 1_600), ("trap", "item-1", 1_800, 1_800)]);
    let taken = NewJob { key: Some("nightly".to_owned()), author: "bob".to_owned(), ..new_job(1, 1) };
    assert!(matches!(store.create(taken).await, Err(StoreError::KeyTaken(job)) if job == finished));

    let events = store.events(1, None, 9).await.unwrap();
    assert_eq!(
        events.iter().map(|event| (event.seq, event.event.job)).collect::<Vec<_>>(),
        [(2, None), (3, Some(finished))]
    );
    assert_eq!(store.put_events(Vec::new()).await.unwrap(), 3);
    assert_eq!(store.tokens().await.unwrap()[0].hash, Digest::of(b"secret"));
    assert_eq!(store.schedules().await.unwrap()[0].spec, "daily");
    assert_eq!(store.plugin_limits().await.unwrap(), [("echo".to_owned(), "{}".into())]);
    drop((claim, store));
    assert_eq!(version(dir.path()), 4);
}

/// What there is in a database: each table, index and trigger, as it was made.
fn shape(dir: &Path) -> Vec<(String, String)> {
    let database = rusqlite::Connection::open(dir.join("pigeon.db")).unwrap();
    let mut select =
        database.prepare("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").unwrap();
    let words = |sql: String| sql.split_whitespace().collect::<Vec<_>>().join(" ");
    let shape = select.query_map([], |row| Ok((row.get(0)?, words(row.get(1)?)))).unwrap();
    shape.map(Result::unwrap).collect()
}

#[test]
fn whichever_version_it_was_it_is_as_a_new_one_is() {
    let (store, dir) = crate::open();
    drop(store);
    let new = shape(dir.path());
    assert_eq!(version(dir.path()), 4);
    for sql in [include_str!("../version-1.sql"), include_str!("../version-2.sql"), include_str!("../version-3.sql")] {
        let (store, dir) = written(sql);
        drop(store);
        assert_eq!(shape(dir.path()), new);
    }
}
