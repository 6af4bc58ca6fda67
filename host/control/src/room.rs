//! Room on the disk of the state directory.
//!
//! Where too little is free, nothing new is taken: no job, no items, no plugin. What is under way goes on, and its outcomes
//! may take the rest. A control host that serves therefore keeps a file in reserve, which says nothing: it goes when the
//! disk is full and somebody wants a job cancelled or removed, and comes back once there is room again.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use pigeon_api::{ApiError, ErrorKind, Result};
use pigeon_store::StoreError;
use rustix::fs::FallocateFlags;

/// The file that is kept in reserve, and how large it is: enough to write down some ends.
const RESERVE: &str = "reserve";
const RESERVED: u64 = 8 << 20;

/// The disk of the state directory.
#[derive(Debug)]
pub(crate) struct Room {
    dir: PathBuf,
    /// Bytes that have to be free; 0 if it does not matter.
    least: AtomicU64,
    reserves: bool,
}

impl Room {
    /// The disk of this directory, of which so many bytes have to be free. Who `reserves` keeps a file there.
    pub(crate) fn new(dir: &Path, least: u64, reserves: bool) -> Self {
        let room = Self { dir: dir.to_owned(), least: least.into(), reserves };
        room.reserve();
        room
    }

    /// From now on so many bytes have to be free.
    pub(crate) fn set_least(&self, least: u64) {
        self.least.store(least, Relaxed);
    }

    /// Bytes that are free, for users.
    pub(crate) fn free(&self) -> Option<u64> {
        let disk = rustix::fs::statvfs(&self.dir).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// What is free, if that is too little.
    pub(crate) fn too_little(&self) -> Option<u64> {
        match self.least.load(Relaxed) {
            0 => None,
            least => self.free().filter(|free| *free < least),
        }
    }

    /// Refuse what is new where too little is free.
    ///
    /// # Errors
    /// [`ErrorKind::Exhausted`].
    pub(crate) fn must_be(&self) -> Result<()> {
        let Some(free) = self.too_little() else { return Ok(()) };
        let (free, least) = (free >> 20, self.least.load(Relaxed) >> 20);
        let message =
            format!("the disk of the state directory is nearly full: {free} MiB are free, of at least {least}");
        Err(ApiError::new(ErrorKind::Exhausted, message)
            .hint("free some space: pigeon jobs delete removes what has ended; what was acknowledged is safe"))
    }

    /// Do something that has to be possible though the disk is full.
    ///
    /// # Errors
    /// Its own.
    pub(crate) async fn in_need<T, F>(&self, mut does: impl FnMut() -> F) -> pigeon_store::Result<T>
    where
        F: Future<Output = pigeon_store::Result<T>>,
    {
        let reserved = self.reserves && self.dir.join(RESERVE).exists();
        match does().await {
            // Somebody else may have spent it meanwhile: what that left may do for both.
            Err(StoreError::DiskFull { .. }) if self.spend() || reserved => does().await,
            done => done,
        }
    }

    /// Keep the file in reserve, if it is not there and there is room.
    pub(crate) fn reserve(&self) {
        let (path, least) = (self.dir.join(RESERVE), self.least.load(Relaxed));
        let room = || self.free().is_some_and(|free| free >= least.saturating_add(RESERVED));
        // One that is shorter was left by a process that died while it made it.
        let is_whole = || fs::metadata(&path).is_ok_and(|file| file.len() == RESERVED);
        if !self.reserves || is_whole() || !room() {
            return;
        }
        if let Err(error) = make(&path) {
            tracing::debug!(%error, "no room is kept in reserve");
            self.spend();
        }
    }

    /// Give the file away; whether there was one.
    fn spend(&self) -> bool {
        self.reserves && fs::remove_file(self.dir.join(RESERVE)).is_ok()
    }
}

/// A file that takes as much of the disk as it is long.
fn make(path: &Path) -> io::Result<()> {
    let mut file = File::create(path)?;
    if rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, RESERVED).is_ok() {
        return Ok(());
    }
    // Not every file system can do that.
    let zeros = vec![0; 1 << 20];
    (0..RESERVED >> 20).try_for_each(|_| file.write_all(&zeros))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[tokio::test]
    async fn what_is_kept_in_reserve_is_spent_in_need_and_kept_again() {
        let dir = TempDir::new().unwrap();
        let (room, reserve) = (Room::new(dir.path(), 1, true), dir.path().join(RESERVE));
        assert_eq!(fs::metadata(&reserve).unwrap().len(), RESERVED);
        let full = || Err::<(), _>(StoreError::DiskFull { path: dir.path().to_owned() });
        let mut tried = 0;
        let done = room.in_need(|| {
            tried += 1;
            std::future::ready(if reserve.exists() { full() } else { Ok(()) })
        });
        done.await.unwrap();
        assert_eq!(tried, 2);
        // There is no more to spend.
        assert!(matches!(room.in_need(|| std::future::ready(full())).await, Err(StoreError::DiskFull { .. })));
        room.set_least(u64::MAX);
        room.reserve();
        assert!(!reserve.exists(), "there is no room");
        room.set_least(1);
        room.reserve();
        assert!(reserve.exists());
        // Two at once: one spends it, and both try again.
        let mut spent = 0;
        let other = room.in_need(|| {
            spent += 1;
            if spent == 1 {
                fs::remove_file(&reserve).unwrap();
            }
            std::future::ready(if spent == 1 { full() } else { Ok(()) })
        });
        other.await.unwrap();
        // A process died while it made one.
        fs::write(&reserve, "short").unwrap();
        room.reserve();
        assert_eq!(fs::metadata(&reserve).unwrap().len(), RESERVED);
        // Other errors are no need.
        let closed = || std::future::ready(Err::<(), _>(StoreError::Closed));
        assert!(room.in_need(closed).await.is_err() && reserve.exists());
    }

    #[test]
    fn nothing_new_is_taken_where_too_little_is_free() {
        let dir = TempDir::new().unwrap();
        let room = Room::new(dir.path(), 0, false);
        assert!(room.must_be().is_ok() && room.too_little().is_none());
        room.set_least(u64::MAX);
        assert_eq!(room.must_be().unwrap_err().kind, ErrorKind::Exhausted);
        assert!(!dir.path().join(RESERVE).exists());
    }
}
