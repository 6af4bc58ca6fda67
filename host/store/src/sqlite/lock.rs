//! Kernel locks on files. They die with their process, whatever kills it.
//!
//! A lock belongs to the open file and not to the process, so two owners within one process exclude each other as well.
//! Who holds a lock alone writes its process id into the file, for those who are turned away.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use pigeon_protocol::id::JobId;
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use crate::{Owned, Result, StoreError, bodies::io_error};

/// A lock that is held. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct FileLock {
    _file: File,
}

impl FileLock {
    /// Hold a lock alone, now or not at all.
    pub(super) fn alone(path: &Path, what: Owned) -> Result<Self> {
        let lock = Self::take(path, what, FlockOperation::NonBlockingLockExclusive)?;
        // Only a hint for others: the lock holds without it.
        let mut file = &lock._file;
        let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
        Ok(lock)
    }

    /// Hold a lock beside others who share it, now or not at all.
    pub(super) fn shared(path: &Path, what: Owned) -> Result<Self> {
        Self::take(path, what, FlockOperation::NonBlockingLockShared)
    }

    /// Hold a lock beside others who share it, as soon as nobody holds it alone.
    pub(super) fn wait_shared(path: &Path, what: Owned) -> Result<Self> {
        Self::take(path, what, FlockOperation::LockShared)
    }

    /// Hold a lock alone, as soon as nobody else holds it.
    pub(super) fn wait_alone(path: &Path, what: Owned) -> Result<Self> {
        Self::take(path, what, FlockOperation::LockExclusive)
    }

    fn take(path: &Path, what: Owned, operation: FlockOperation) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = file.map_err(|source| io_error("open", path, source))?;
        loop {
            match flock(&file, operation) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => {
                    let mut text = String::new();
                    let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                    return Err(StoreError::Busy { what, pid });
                }
                Err(errno) => return Err(io_error("lock", path, errno.into())),
            }
        }
    }
}

/// The locks of a state directory.
#[derive(Debug, Clone)]
pub(super) struct Locks {
    dir: PathBuf,
}

impl Locks {
    /// Locks in `dir`, which is made if it is missing.
    pub(super) fn open(dir: PathBuf) -> Result<Self> {
        fs::create_dir_all(&dir).map_err(|source| io_error("create", &dir, source))?;
        Ok(Self { dir })
    }

    /// Own a job.
    pub(super) fn job(&self, job: JobId) -> Result<FileLock> {
        FileLock::alone(&self.dir.join(job.to_string()), Owned::Job(job))
    }

    /// Remove the lock file of a job that is no more. Who holds or waits for it finds that there is no such job.
    pub(super) fn forget(&self, job: JobId) {
        // A file that stays is only litter.
        let _ = fs::remove_file(self.dir.join(job.to_string()));
    }

    /// Use the directory beside others.
    pub(super) fn directory_shared(&self) -> Result<FileLock> {
        FileLock::shared(&self.dir.join("directory"), Owned::Directory)
    }

    /// Use the directory alone.
    pub(super) fn directory_alone(&self) -> Result<FileLock> {
        FileLock::alone(&self.dir.join("directory"), Owned::Directory)
    }

    /// Make or change the database, one process at a time.
    pub(super) fn opening(&self) -> Result<FileLock> {
        FileLock::wait_alone(&self.dir.join("opening"), Owned::Database)
    }

    /// Put bodies, and name them in the database: until then nobody may sweep them away.
    pub(super) fn naming_bodies(&self) -> Result<FileLock> {
        FileLock::wait_shared(&self.dir.join("bodies"), Owned::Directory)
    }

    /// Sweep bodies that nobody names, if nobody puts some now.
    pub(super) fn sweeping_bodies(&self) -> Result<FileLock> {
        FileLock::alone(&self.dir.join("bodies"), Owned::Directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_has_one_owner_and_it_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let locks = Locks::open(dir.path().join("locks")).unwrap();
        let job = JobId::new();
        let lock = locks.job(job).unwrap();
        match locks.job(job) {
            Err(StoreError::Busy { what, pid }) => {
                assert_eq!((what, pid), (Owned::Job(job), Some(std::process::id())));
            }
            other => panic!("{other:?}"),
        }
        drop(lock);
        locks.job(job).unwrap();
    }

    #[test]
    fn a_directory_is_shared_or_alone() {
        let dir = tempfile::tempdir().unwrap();
        let locks = Locks::open(dir.path().to_owned()).unwrap();
        let one = locks.directory_shared().unwrap();
        let two = locks.directory_shared().unwrap();
        assert!(matches!(locks.directory_alone(), Err(StoreError::Busy { what: Owned::Directory, .. })));
        drop((one, two));
        let _alone = locks.directory_alone().unwrap();
        assert!(locks.directory_shared().is_err());
    }
}
