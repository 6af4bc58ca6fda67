//! A full disk: an error that says so, nothing half done, and work goes on when there is room again.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    fs::{self, File},
    io::Write as _,
    ops::Range,
    path::{Path, PathBuf},
    process::Command,
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
    Batch, Bodies, Claim, DirBodies, Items, ItemsBuilder, LARGE_ITEM, NewJob, Options, OutcomeRow, Result, Retention,
    SqliteStore, Store, StoreError,
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
    filled(1, size)
}

/// An item of so many of these bytes.
fn filled(byte: u8, size: usize) -> Items {
    let mut builder = ItemsBuilder::default();
    builder.push("item", 0, vec![byte; size].into());
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

/// Tells the child where its small disk is.
const DISK: &str = "PIGEON_STORE_SMALL_DISK";

#[test]
fn a_disk_that_is_full_indeed_loses_nothing_and_work_goes_on_when_there_is_room() {
    let unshare = ["-m", "-rm"].into_iter().find(|how| {
        let status = Command::new("unshare").args([how, "mount", "-t", "tmpfs", "none", "/mnt"]).status();
        status.is_ok_and(|status| status.success())
    });
    let Some(unshare) = unshare else {
        eprintln!("no file system may be mounted here: what is bounded stands for a full one");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let script = r#"mount -t tmpfs -o size=12m none "$1" && exec "$0" --exact on_a_small_disk --nocapture"#;
    let mut child = Command::new("unshare");
    child.args([unshare, "sh", "-c", script]).arg(std::env::current_exe().unwrap()).arg(dir.path());
    let child = child.env(DISK, dir.path()).output().unwrap();
    let told = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && told.contains("it was full"), "{told}{}", String::from_utf8_lossy(&child.stderr));
}

/// What the child does on its disk. As a test of its own it does nothing.
#[tokio::test]
async fn on_a_small_disk() {
    let Some(disk) = std::env::var_os(DISK).map(PathBuf::from) else { return };
    let (state, ballast) = (disk.join("state"), disk.join("ballast"));
    fs::write(&ballast, vec![1; 4 << 20]).unwrap();
    let mut store = SqliteStore::open(&state, Options::default()).unwrap();
    let mut claim = store.create(new_job()).await.unwrap();
    let (mut chunks, mut runs) = (Vec::new(), 0);
    for round in 0..3 {
        // In a file of its own, in a file of the job, in the database.
        for size in [LARGE_ITEM + 1, LARGE_ITEM / 2, 60 << 10] {
            let full = loop {
                let seq = chunks.len() as u64;
                match store.append(claim.job(), claim.epoch(), seq, filled(seq as u8, size), Bytes::new()).await {
                    Ok(_) => chunks.push(size),
                    Err(error) => break error,
                }
            };
            assert!(matches!(&full, StoreError::DiskFull { path } if path.starts_with(&state)), "{full:?}");
        }
        let full = loop {
            let mut batch = batch(&claim, runs);
            // More than one page.
            batch.outcomes[0].detail = vec![1; 9_000].into();
            match store.record(batch).await {
                Ok(_) => runs += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(&full, StoreError::DiskFull { path } if path.starts_with(&state)), "{full:?}");
        check(&store, claim.job(), &chunks, runs).await;
        println!("it was full");
        match round {
            // It goes on, as if nothing had been.
            0 => fs::File::options().write(true).open(&ballast).unwrap().set_len(2 << 20).unwrap(),
            // It is closed, and nothing at all is left of the room that this may have made.
            1 => {
                let job = claim.job();
                drop((claim, store));
                fill(&disk.join("more"));
                match SqliteStore::open(&state, Options::default()) {
                    Ok(store) => check(&store, job, &chunks, runs).await,
                    Err(error) => assert!(
                        matches!(&error, StoreError::DiskFull { path } if path.starts_with(&state)),
                        "{error:?}"
                    ),
                }
                fs::remove_file(disk.join("more")).unwrap();
                fs::remove_file(&ballast).unwrap();
                store = SqliteStore::open(&state, Options::default()).unwrap();
                claim = store.claim(job).await.unwrap();
            }
            // A sweep makes no room of what is needed still.
            _ => {
                store.sweep(1, Retention::default()).await.unwrap();
                check(&store, claim.job(), &chunks, runs).await;
            }
        }
    }
}

/// Write until there is no room for a byte.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    while file.write_all(&[1; 512]).is_ok() {}
}

/// What was acknowledged is there, and nothing else.
async fn check(store: &SqliteStore, job: JobId, chunks: &[usize], runs: u64) {
    assert_eq!(store.job(job).await.unwrap().chunks, chunks.len() as u64);
    for (seq, size) in (0..).zip(chunks) {
        assert!(store.items(job, seq).await.unwrap() == filled(seq as u8, *size), "chunk {seq}");
    }
    assert!(store.progress(job).await.unwrap().done.into_iter().flatten().eq(0..runs));
    assert_eq!(store.tally(job).await.unwrap().total().valid, runs);
}
