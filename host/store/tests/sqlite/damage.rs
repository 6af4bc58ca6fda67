//! Damage: what was lost is lost alone, what is missing is said, and nothing panics.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt as _,
    path::Path,
};

use bytes::Bytes;
use pigeon_protocol::id::{Digest, JobId, RunIndex};
use pigeon_store::{
    DeadQuery, ItemsBuilder, JobEnd, JobFilter, JobState, LARGE_ITEM, NewEvent, NewJob, Result, Retention, SqliteStore,
    Store, StoreError, TokenRecord,
};
use tempfile::TempDir;

use crate::{
    conformance::made::{batch, items, new_job, plugin},
    open, reopen, row, serve, serving,
};

/// The files of a store, as those find them who come after a crash at this moment. The database first: what is brought into
/// it meanwhile is in its log still.
fn crashed(dir: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_all(dir, copy.path());
    copy
}

fn copy_all(from: &Path, to: &Path) {
    let mut entries: Vec<_> = fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let (name, to) = (path.file_name().unwrap(), to.join(path.file_name().unwrap()));
        if path.is_dir() {
            fs::create_dir(&to).unwrap();
            copy_all(&path, &to);
        } else if !name.to_str().unwrap().ends_with("-shm") {
            fs::copy(&path, &to).unwrap();
        }
    }
}

fn change(path: &Path, at: u64, bytes: &[u8]) {
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
}

fn cut(path: &Path, length: u64) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
}

#[tokio::test]
async fn a_log_that_was_cut_or_damaged_loses_its_last_commits_alone() {
    let (store, dir) = open();
    let claim = store.create(new_job(1, 1)).await.unwrap();
    let (job, epoch) = (claim.job(), claim.epoch());
    let log = dir.path().join("pigeon.db-wal");
    // Where the log ended when a chunk was acknowledged.
    let mut ends = Vec::new();
    for seq in 0..5 {
        store.append(job, epoch, seq, items(seq * 3..seq * 3 + 3), Bytes::new()).await.unwrap();
        ends.push(fs::metadata(&log).unwrap().len());
    }
    assert!(ends.is_sorted_by(|before, after| before < after), "{ends:?}");
    let crashed_at = |length: u64, damaged: Option<u64>| {
        let copy = crashed(dir.path());
        cut(&copy.path().join("pigeon.db-wal"), length);
        if let Some(at) = damaged {
            change(&copy.path().join("pigeon.db-wal"), at, b"damaged");
        }
        copy
    };
    let mut cases = Vec::new();
    for (before, &end) in (0..).zip(&ends) {
        cases.extend([(crashed_at(end, None), before + 1), (crashed_at(end - 1, None), before)]);
        cases.push((crashed_at(ends[4], Some(end - 2_000)), before));
    }
    for (copy, chunks) in cases {
        let store = reopen(copy.path());
        assert_eq!(store.job(job).await.unwrap().chunks, chunks);
        // It goes on behind what is there, and nobody reads what was in the way.
        let claim = store.claim(job).await.unwrap();
        let next = items(90..93);
        assert!(store.append(job, claim.epoch(), chunks, next.clone(), Bytes::new()).await.unwrap().new);
        drop((claim, store));
        let store = reopen(copy.path());
        store.sweep(1, Retention::default()).await.unwrap();
        for seq in 0..chunks {
            assert_eq!(store.items(job, seq).await.unwrap(), items(seq * 3..seq * 3 + 3));
        }
        assert_eq!(store.items(job, chunks).await.unwrap(), next);
    }
}

#[tokio::test]
async fn items_whose_file_was_cut_are_missed_and_all_others_are_there() {
    let (store, dir) = open();
    let claim = store.create(new_job(1, 1)).await.unwrap();
    let other = store.create_with(new_job(1, 1), items(0..3), Bytes::new()).await.unwrap().job();
    let (job, epoch) = (claim.job(), claim.epoch());
    for seq in 0..3 {
        store.append(job, epoch, seq, items(seq * 3..seq * 3 + 3), Bytes::new()).await.unwrap();
    }
    drop((claim, store));
    let file = dir.path().join("items").join(job.to_string()).join("1");
    cut(&file, fs::metadata(&file).unwrap().len() - 5_000);

    let store = serve(dir.path());
    let missing = async |seq| match store.items(job, seq).await {
        Err(StoreError::Corrupt { what }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(missing(2).await, format!("{} has not all that was written", file.display()));
    // Whoever goes on with the job writes nothing where that was.
    let claim = store.claim(job).await.unwrap();
    store.append(job, claim.epoch(), 3, items(9..12), Bytes::new()).await.unwrap();
    missing(2).await;
    for seq in [0, 1, 3] {
        assert_eq!(store.items(job, seq).await.unwrap(), items(seq * 3..seq * 3 + 3));
    }
    assert_eq!(store.items(other, 0).await.unwrap(), items(0..3));

    // What has no file at all is missed as well, and the job can go.
    fs::remove_file(&file).unwrap();
    missing(0).await;
    store.finish(job, claim.epoch(), JobEnd::new(JobState::Cancelled, 5)).await.unwrap();
    drop(claim);
    store.delete(job).await.unwrap();
    assert!(!file.parent().unwrap().exists());
}

#[test]
fn a_directory_that_lost_its_database_is_left_alone() {
    for (dir, name) in [("items", JobId::new().to_string()), ("bodies", Digest::of(b"body").to_hex())] {
        let state = tempfile::tempdir().unwrap();
        let kept = state.path().join(dir).join(name);
        fs::create_dir_all(kept.parent().unwrap()).unwrap();
        fs::write(&kept, "body").unwrap();
        let error = SqliteStore::open(state.path(), Default::default()).unwrap_err();
        assert!(matches!(&error, StoreError::Corrupt { what } if what.contains("pigeon.db is missing")), "{error}");
        assert!(kept.exists() && !state.path().join("pigeon.db").exists());
    }
}

/// Numbers that look drawn, and are the same each time.
struct Drawn(u64);

impl Drawn {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

#[tokio::test]
async fn whatever_is_damaged_nothing_panics() {
    let (store, dir) = serving();
    let job = fill(&store).await;
    let in_log = crashed(dir.path());
    drop(store);
    let in_database = crashed(dir.path());
    let files = ["pigeon.db", "pigeon.db-wal", "items", "bodies"];
    let mut told = 0;
    for round in 0..80 {
        let mut drawn = Drawn(round);
        let state = crashed(if round % 2 == 0 { in_log.path() } else { in_database.path() });
        let mut path =
            state.path().join(files[if round % 8 < 5 { round as usize % 2 } else { 2 + round as usize % 2 }]);
        while path.is_dir() {
            path = fs::read_dir(&path).unwrap().next().unwrap().unwrap().path();
        }
        if !path.exists() {
            path = state.path().join("pigeon.db");
        }
        let length = fs::metadata(&path).unwrap().len().max(1);
        match drawn.next(4) {
            0 => cut(&path, drawn.next(length)),
            1 => change(&path, drawn.next(length.div_ceil(4096)) * 4096, &[drawn.next(256) as u8; 4096]),
            _ => (0..8).for_each(|_| change(&path, drawn.next(length), &[drawn.next(256) as u8])),
        }
        let store = SqliteStore::open(state.path(), pigeon_store::Options { dead_letters: true, ..Default::default() });
        match store {
            Ok(store) => told += use_all(&store, job).await,
            Err(error) => told += is_told(&error),
        }
    }
    assert!(told > 20, "{told}");
}

/// Whoever panics over something closes the store, or leaves his caller without an answer.
fn is_told(error: &StoreError) -> usize {
    assert!(!matches!(error, StoreError::Closed), "{error}");
    1
}

/// A job with something of it everywhere, and something of all else.
async fn fill(store: &SqliteStore) -> JobId {
    let (record, component) = plugin(b"listed", true);
    store.put_plugin(record, component).await.unwrap();
    let claim = store.create(NewJob { key: Some("k".to_owned()), ..new_job(1, 1) }).await.unwrap();
    let (job, epoch) = (claim.job(), claim.epoch());
    let mut large = ItemsBuilder::default();
    large.push("large", 1, vec![7; LARGE_ITEM + 1].into());
    for (seq, items) in [items(0..2), items(2..30), large.take()].into_iter().enumerate() {
        store.append(job, epoch, seq as u64, items, Bytes::new()).await.unwrap();
    }
    for first in 0..8 {
        store.record(batch(&claim, "a", (first * 4..first * 4 + 3).map(row))).await.unwrap();
    }
    store.take_back(job, epoch, vec![RunIndex(1)]).await.unwrap();
    let token = TokenRecord {
        name: "ann".to_owned(),
        role: "admin".to_owned(),
        hash: Digest::of(b"secret"),
        created_ms: 1,
        expires_ms: None,
    };
    store.put_token(token).await.unwrap();
    store.put_events(vec![event(Some(job)), event(None)]).await.unwrap();
    job
}

fn event(job: Option<JobId>) -> NewEvent {
    NewEvent {
        at_ms: 1,
        author: "ann".to_owned(),
        kind: "note".to_owned(),
        job,
        subject: None,
        message: "it happened".to_owned(),
    }
}

/// Do all that can be done; how much of it failed.
async fn use_all(store: &SqliteStore, job: JobId) -> usize {
    let mut told = 0;
    let mut see = |done: Result<()>| told += done.err().map_or(0, |error| is_told(&error));
    see(store.plugins().await.map(drop));
    see(store.component(Digest::of(b"listed")).await.map(drop));
    see(store.jobs(JobFilter::default()).await.map(drop));
    see(store.job_counts().await.map(drop));
    see(store.chunks(job).await.map(drop));
    for seq in 0..3 {
        see(store.items(job, seq).await.map(drop));
        see(store.sizes(job, seq).await.map(drop));
    }
    see(store.item_names(job, 0, 100).await.map(drop));
    see(store.progress(job).await.map(drop));
    see(store.tally(job).await.map(|tally| _ = tally.total()));
    see(store.results(job, RunIndex(0), 100).await.map(drop));
    see(store.landed_after(job, 0, 100).await.map(drop));
    see(store.dead(DeadQuery { limit: 100, ..DeadQuery::default() }).await.map(drop));
    see(store.dead_count(None).await.map(drop));
    see(store.events(0, None, 100).await.map(drop));
    see(store.tokens().await.map(drop));
    see(store.backup(Vec::new()).await.and_then(|backup| backup.write_to(std::io::sink())));
    see(store.put_events(vec![event(None)]).await.map(drop));
    see(store.create_with(new_job(1, 1), items(0..3), Bytes::new()).await.map(drop));
    match store.claim(job).await {
        Ok(claim) => {
            let epoch = claim.epoch();
            see(store.append(job, epoch, 3, items(30..33), Bytes::new()).await.map(drop));
            see(store.record(batch(&claim, "b", (20..60).map(row))).await.map(drop));
            see(store.take_back(job, epoch, (0..60).map(RunIndex).collect()).await.map(drop));
            see(store.finish(job, epoch, JobEnd::new(JobState::Completed, 5)).await);
        }
        Err(error) => see(Err(error)),
    }
    see(store.sweep(1 << 40, Retention { max_bytes: Some(1), ..Retention::default() }).await.map(drop));
    told
}
