//! A full disk: an error that says so, nothing half done, and work goes on when there is room again.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use pigeon_protocol::{
    id::{Digest, JobId, RunIndex, Shape},
    outcome::Verdict,
};
use pigeon_store::{
    Batch, Bodies, Claim, DirBodies, Items, ItemsBuilder, LARGE_ITEM, NewJob, Options, OutcomeRow, Result, SqliteStore,
    Store, StoreError,
};

fn new_job() -> NewJob {
    NewJob {
        id: JobId::new(),
        spec: Bytes::new(),
        plugin: Digest::of(b""),
        shape: Shape { places: 1, iterations: 1 },
        priority: 0,
        created_ms: 0,
        key: None,
        author: String::new(),
    }
}

fn items(size: usize) -> Items {
    let mut builder = ItemsBuilder::default();
    builder.push("item", 0, vec![1; size].into());
    builder.take()
}

fn batch(claim: &Claim, run: u64) -> Batch {
    let row = OutcomeRow {
        run: RunIndex(run),
        verdict: Verdict::Valid,
        time_us: 1,
        attempts: 1,
        error: None,
        detail: Bytes::new(),
    };
    Batch { job: claim.job(), epoch: claim.epoch(), worker: "a".into(), landed_ms: 0, outcomes: vec![row] }
}

#[tokio::test]
async fn a_full_database_says_so_and_goes_on_when_there_is_room() {
    // Of a size that lies in the database.
    full_and_room_again(60 << 10, 30..70, "pigeon.db").await;
}

#[tokio::test]
async fn a_file_of_items_without_room_says_so_and_goes_on_when_there_is_some() {
    full_and_room_again(LARGE_ITEM, 4..5, "items").await;
}

/// Fill what holds `fits` chunks of one item of this size, and see what is left.
async fn full_and_room_again(size: usize, fits: Range<u64>, where_full: &str) {
    let dir = tempfile::tempdir().unwrap();
    let options = |max_bytes| Options { max_bytes, ..Options::default() };
    let store = SqliteStore::open(dir.path(), options(Some(4 << 20))).unwrap();
    let claim = store.create(new_job()).await.unwrap();
    let (job, epoch) = (claim.job(), claim.epoch());
    let mut chunks = 0;
    let error = loop {
        match store.append(job, epoch, chunks, items(size), Bytes::new()).await {
            Ok(_) => chunks += 1,
            Err(error) => break error,
        }
    };
    let is_there = |path: &Path| path.starts_with(dir.path().join(where_full));
    assert!(matches!(&error, StoreError::DiskFull { path } if is_there(path)), "{error}");
    assert!(fits.contains(&chunks), "{chunks}");

    // What still fits is done, though what does not fit waits beside it.
    let too_large = tokio::spawn({
        let store = store.clone();
        async move { store.append(job, epoch, chunks, items(size), Bytes::new()).await }
    });
    for run in 0..20 {
        assert_eq!(store.record(batch(&claim, run)).await.unwrap().recorded, 1);
    }
    assert!(matches!(too_large.await.unwrap(), Err(StoreError::DiskFull { .. })));
    let record = store.job(job).await.unwrap();
    assert_eq!((record.items, record.chunks), (chunks, chunks));
    drop(claim);
    drop(store);

    let store = SqliteStore::open(dir.path(), options(None)).unwrap();
    let claim = store.claim(job).await.unwrap();
    store.append(job, claim.epoch(), chunks, items(size), Bytes::new()).await.unwrap();
    assert_eq!(store.job(job).await.unwrap().chunks, chunks + 1);
    assert!(store.progress(job).await.unwrap().done.into_iter().eq(std::iter::once(0..20)));
    assert_eq!(store.tally(job).await.unwrap().total().valid, 20);
}

/// Files on a disk that is full as long as `full` is set.
#[derive(Debug)]
struct FullDisk {
    files: DirBodies,
    full: AtomicBool,
}

impl Bodies for FullDisk {
    fn put(&self, digest: Digest, body: &[u8]) -> Result<()> {
        if self.full.load(Ordering::SeqCst) {
            return Err(StoreError::DiskFull { path: digest.to_hex().into() });
        }
        self.files.put(digest, body)
    }

    fn read(&self, digest: Digest) -> Result<Option<Bytes>> {
        self.files.read(digest)
    }

    fn bytes(&self) -> Result<u64> {
        self.files.bytes()
    }

    fn retain(&self, named: &mut dyn FnMut(Digest) -> Result<bool>) -> Result<u64> {
        self.files.retain(named)
    }
}

#[tokio::test]
async fn a_body_that_has_no_room_is_not_named() {
    let dir = tempfile::tempdir().unwrap();
    let files = DirBodies::open(dir.path().join("elsewhere")).unwrap();
    let bodies = Arc::new(FullDisk { files, full: AtomicBool::new(true) });
    let options = Options { bodies: Some(bodies.clone()), ..Options::default() };
    let store = SqliteStore::open(dir.path(), options).unwrap();
    let claim = store.create(new_job()).await.unwrap();
    let append = || store.append(claim.job(), claim.epoch(), 0, items(LARGE_ITEM + 1), Bytes::new());
    assert!(matches!(append().await, Err(StoreError::DiskFull { .. })));
    assert_eq!(store.job(claim.job()).await.unwrap().chunks, 0);

    bodies.full.store(false, Ordering::SeqCst);
    assert!(append().await.unwrap().new);
    assert_eq!(store.items(claim.job(), 0).await.unwrap(), items(LARGE_ITEM + 1));
}
