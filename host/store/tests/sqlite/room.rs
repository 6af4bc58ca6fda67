//! Room on the disk: what is given back, and what goes to make some.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use pigeon_protocol::id::{JobId, RunIndex};
use pigeon_store::{
    ItemsBuilder, JobEnd, JobState, LARGE_ITEM, NewEvent, Options, Retention, SqliteStore, Store, StoreError,
};

use crate::{
    conformance::made::{batch, items, new_job, outcome},
    open, reopen,
};

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
    store.finish(claim.job(), claim.epoch(), JobEnd::new(JobState::Completed, 1)).await.unwrap();
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
    store.finish(over.job(), over.epoch(), JobEnd::new(JobState::Completed, 1)).await.unwrap();
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

/// A finished job of so many items, of 1 MB or so; those with a large one besides.
async fn finished(store: &SqliteStore, finished_ms: u64, large: bool) -> JobId {
    let claim = store.create(new_job(1, 1)).await.unwrap();
    let (job, epoch) = (claim.job(), claim.epoch());
    let mut builder = ItemsBuilder::default();
    builder.push("packed", 1, vec![7; 1_000_000].into());
    if large {
        builder.push("large", 1, vec![finished_ms as u8; LARGE_ITEM + 1].into());
    }
    store.append(job, epoch, 0, builder.take(), Bytes::new()).await.unwrap();
    store.record(batch(&claim, "a", [outcome(0)])).await.unwrap();
    store.finish(job, epoch, JobEnd::new(JobState::Completed, finished_ms)).await.unwrap();
    job
}

#[tokio::test]
async fn what_was_finished_first_goes_first_to_make_room() {
    let (store, _dir) = open();
    let unfinished = store.create(new_job(1, 1)).await.unwrap();
    store.append(unfinished.job(), unfinished.epoch(), 0, items(0..30), Bytes::new()).await.unwrap();
    let mut jobs = Vec::new();
    for (number, finished_ms) in [40, 10, 30, 20].into_iter().enumerate() {
        jobs.push(finished(&store, finished_ms, number % 2 == 1).await);
    }
    let kept = Retention { keep_bodies: true, ..Retention::default() };
    let all = store.sweep(50, kept).await.unwrap();
    assert_eq!((all.for_room, all.jobs), (vec![], vec![]));
    assert!(all.bytes > 6_000_000 && all.bytes == store.disk_bytes().await.unwrap());

    // Those of 10 and of 20, which have a large item each, and no more.
    let swept = store.sweep(50, Retention { max_bytes: Some(4_000_000), ..kept }).await.unwrap();
    assert_eq!((swept.for_room, swept.jobs, swept.files), (vec![jobs[1], jobs[3]], vec![], 2));
    assert_eq!(store.sweep(50, Retention { max_bytes: Some(4_000_000), ..kept }).await.unwrap().for_room, []);
    assert_eq!(store.items(jobs[2], 0).await.unwrap().len(), 1);

    // What is owned or unfinished stays, however little there may be.
    let owned = store.claim(jobs[2]).await.unwrap();
    let swept = store.sweep(50, Retention { max_bytes: Some(1), ..kept }).await.unwrap();
    assert_eq!(swept.for_room, [jobs[0]]);
    assert!(swept.bytes > 1_000_000);
    assert_eq!(store.jobs(Default::default()).await.unwrap().len(), 2);
    drop(owned);
}

#[tokio::test]
async fn the_log_makes_room_before_any_job_does() {
    let (store, _dir) = open();
    let job = finished(&store, 5, false).await;
    let events = |count: usize| vec![event(); count];
    store.put_events(events(6_000)).await.unwrap();
    let kept = Retention { keep_bodies: true, ..Retention::default() };
    let all = store.sweep(6, kept).await.unwrap();
    assert!((all.events_for_room, all.bytes > 6_000_000) == (0, true), "{all:?}");

    // An eighth of four million bytes is the log's: some hundreds of these.
    let small = Retention { max_bytes: Some(4_000_000), ..kept };
    let swept = store.sweep(6, small).await.unwrap();
    assert_eq!((swept.for_room, swept.events), (vec![], 0));
    assert!((5_300..5_700).contains(&swept.events_for_room), "{}", swept.events_for_room);
    assert_eq!(store.events(0, None, 1).await.unwrap()[0].seq, swept.events_for_room + 1);
    assert_eq!(store.put_events(Vec::new()).await.unwrap(), 6_000);
    assert_eq!(store.sweep(6, small).await.unwrap().events_for_room, 0);
    assert!(store.job(job).await.is_ok());
}

#[tokio::test]
async fn a_job_that_is_accepted_at_once_is_there_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path(), Options { max_bytes: Some(2 << 20), ..Options::default() }).unwrap();
    let of = |bytes: usize| {
        let mut builder = ItemsBuilder::default();
        for _ in 0..4 {
            builder.push("packed", 1, vec![7; bytes].into());
        }
        builder.take()
    };
    let (large, small) = (new_job(1, 1), new_job(1, 1));
    let full = store.create_with(large.clone(), of(900_000), Bytes::new()).await.unwrap_err();
    assert!(matches!(full, StoreError::DiskFull { .. }), "{full}");
    assert!(matches!(store.job(large.id).await, Err(StoreError::UnknownJob(_))));
    store.create_with(small.clone(), of(9_000), Bytes::new()).await.unwrap();
    assert_eq!(store.job(small.id).await.unwrap().items, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_accepted_with_its_items_keeps_them_while_others_sweep() {
    let (store, dir) = open();
    let stop = Arc::new(AtomicBool::new(false));
    let sweeper = tokio::spawn({
        let (store, stop) = (reopen(dir.path()), stop.clone());
        async move {
            while !stop.load(Ordering::SeqCst) {
                store.sweep(2, Retention::default()).await.unwrap();
            }
        }
    });
    for _ in 0..60 {
        // Of a size that lies in a file, which is there before the row is.
        let (job, accepted) = (new_job(1, 1), items(0..3));
        store.create_with(job.clone(), accepted.clone(), Bytes::new()).await.unwrap();
        assert_eq!(store.items(job.id, 0).await.unwrap(), accepted);
    }
    stop.store(true, Ordering::SeqCst);
    sweeper.await.unwrap();
}

fn event() -> NewEvent {
    NewEvent {
        at_ms: 5,
        author: "ann".to_owned(),
        kind: "job-submitted".to_owned(),
        job: None,
        subject: None,
        message: "m".repeat(1_000),
    }
}

#[tokio::test]
async fn many_small_jobs_go_one_after_the_other_to_make_room() {
    let (store, _dir) = open();
    let mut jobs = Vec::new();
    for finished_ms in 0..12 {
        jobs.push(finished(&store, finished_ms, false).await);
    }
    let kept = Retention { keep_bodies: true, ..Retention::default() };
    let before = store.sweep(20, kept).await.unwrap().bytes;
    // Half of them or so, and no more than one too many.
    let swept = store.sweep(20, Retention { max_bytes: Some(6_500_000), ..kept }).await.unwrap();
    assert!((6..=7).contains(&swept.for_room.len()), "{before} {swept:?}");
    assert_eq!(swept.for_room, jobs[..swept.for_room.len()]);
}

#[tokio::test]
async fn what_is_on_disk_is_counted_as_it_is_written_and_measured_by_a_sweep() {
    let (store, dir) = open();
    let idle = store.disk_bytes().await.unwrap();
    let kept = Retention { keep_bodies: true, ..Retention::default() };
    for large in [false, true] {
        finished(&store, 5, large).await;
    }
    let database = |bytes| bytes - std::fs::metadata(dir.path().join("pigeon.db")).unwrap().len();
    let counted = store.disk_bytes().await.unwrap();
    assert!(counted > idle + 3_000_000, "{idle} {counted}");
    assert!(database(store.sweep(6, kept).await.unwrap().bytes) > 3_000_000);
    // Somebody else puts a file: it is not looked for at each call.
    let measured = store.disk_bytes().await.unwrap();
    std::fs::create_dir_all(dir.path().join("bodies")).unwrap();
    std::fs::write(dir.path().join("bodies").join("other"), vec![7; 5_000_000]).unwrap();
    assert_eq!(store.disk_bytes().await.unwrap(), measured);
    assert!(store.sweep(6, kept).await.unwrap().bytes >= measured + 4_000_000);
}

#[tokio::test]
async fn a_job_that_was_left_half_removed_is_seen_by_nobody_and_goes() {
    let (store, dir) = open();
    let job = finished(&store, 5, true).await;
    let other = finished(&store, 5, true).await;
    // As those leave it who die behind the first step of removing a job, and behind that of removing its bodies.
    let database = rusqlite::Connection::open(dir.path().join("pigeon.db")).unwrap();
    database.execute("UPDATE job SET gone = 1 WHERE id = ?1", [&job.to_bytes()[..]]).unwrap();
    database.execute("UPDATE job SET has_bodies = 2 WHERE id = ?1", [&other.to_bytes()[..]]).unwrap();
    drop(database);
    assert!(matches!(store.job(job).await, Err(StoreError::UnknownJob(_))));
    let third = finished(&store, 5, true).await;
    let database = rusqlite::Connection::open(dir.path().join("pigeon.db")).unwrap();
    database.execute("UPDATE job SET gone = 1 WHERE id = ?1", [&third.to_bytes()[..]]).unwrap();
    drop(database);
    // Whoever repeats what failed half way removes the rest.
    store.delete(third).await.unwrap();
    assert!(matches!(store.delete(third).await, Err(StoreError::UnknownJob(_))));

    let claim = store.claim(other).await.unwrap();
    let refused = store.take_back(other, claim.epoch(), vec![RunIndex(0)]).await;
    assert!(matches!(refused, Err(StoreError::BodiesGone(_))));
    drop(claim);

    let swept = store.sweep(6, Retention { keep_bodies: true, ..Retention::default() }).await.unwrap();
    assert_eq!(
        (swept.deleted, swept.jobs, swept.bodies, swept.files),
        (1, vec![], vec![other], 1),
        "both had the same large item"
    );
    let database = rusqlite::Connection::open(dir.path().join("pigeon.db")).unwrap();
    for table in ["body", "body_file", "attempt"] {
        let rows: i64 = database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 0, "{table}");
    }
    for table in ["job", "job_text", "chunk", "outcome", "ledger"] {
        let rows: i64 = database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 1, "{table}");
    }
}
