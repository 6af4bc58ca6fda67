//! Kernel locks on files. They die with their process, whatever kills it.
//!
//! A lock belongs to the open file and not to the process, so two owners within one process exclude each other as well.
//! Whoever holds a lock writes its process id into the file, for those who are turned away.
//!
//! A process that has the directory alone needs no locks on jobs: it keeps in memory which of them have an owner, however
//! many there are.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use pigeon_protocol::id::JobId;
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
    process::{Pid, test_kill_process},
};

use crate::{Owned, Result, StoreError, bodies::io_error};

/// The file of a shared lock forgets who holds it when it has so many bytes.
const MOST_NAMES: u64 = 4 << 10;

/// A lock that is held. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct FileLock {
    _file: File,
}

impl FileLock {
    /// Hold a lock alone, now or not at all.
    pub(super) fn alone(path: &Path, what: Owned) -> Result<Self> {
        let lock = Self::take(path, what, FlockOperation::NonBlockingLockExclusive)?;
        lock.sign(0);
        Ok(lock)
    }

    /// Hold a lock beside others who share it, now or not at all.
    pub(super) fn shared(path: &Path, what: Owned) -> Result<Self> {
        let lock = Self::take(path, what, FlockOperation::NonBlockingLockShared)?;
        lock.sign(MOST_NAMES);
        Ok(lock)
    }

    /// Say who holds it, behind others if these are few. Only a hint: the lock holds without it.
    fn sign(&self, most: u64) {
        let mut file = &self._file;
        let mut sign = || {
            if file.metadata()?.len() >= most {
                file.set_len(0)?;
            }
            file.seek(SeekFrom::End(0))?;
            // In one piece, as others may sign at the same time.
            file.write_all(format!("{}\n", std::process::id()).as_bytes())
        };
        let _ = sign();
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
                    // What cannot be read tells nothing.
                    let _ = file.read_to_string(&mut text);
                    let pid = text.lines().rev().filter_map(|line| line.parse().ok()).find(|pid| lives(*pid));
                    return Err(StoreError::Busy { what, pid });
                }
                Err(errno) => return Err(io_error("lock", path, errno.into())),
            }
        }
    }
}

/// Whether there is such a process.
fn lives(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // One of somebody else's may not be signalled, but is there.
    pid.is_some_and(|pid| matches!(test_kill_process(pid), Ok(()) | Err(Errno::PERM)))
}

/// A job that is owned. It is not any more when this is dropped.
#[derive(Debug)]
pub(super) enum JobLock {
    /// Among processes.
    File { _lock: FileLock },
    /// Within the process that has the directory.
    Memory { job: JobId, owned: Arc<Mutex<HashSet<JobId>>> },
}

impl Drop for JobLock {
    fn drop(&mut self) {
        if let JobLock::Memory { job, owned } = self {
            owned.lock().unwrap_or_else(PoisonError::into_inner).remove(job);
        }
    }
}

/// The locks of a state directory.
#[derive(Debug, Clone)]
pub(super) struct Locks {
    dir: PathBuf,
    /// The jobs that are owned, if this process has the directory alone.
    owned: Option<Arc<Mutex<HashSet<JobId>>>>,
}

impl Locks {
    /// Locks in `dir`, which is made if it is missing.
    pub(super) fn open(dir: PathBuf) -> Result<Self> {
        fs::create_dir_all(&dir).map_err(|source| io_error("create", &dir, source))?;
        Ok(Self { dir, owned: None })
    }

    /// Own a job.
    pub(super) fn job(&self, job: JobId) -> Result<JobLock> {
        let Some(owned) = &self.owned else {
            let _lock = FileLock::alone(&self.dir.join(job.to_string()), Owned::Job(job))?;
            return Ok(JobLock::File { _lock });
        };
        if !owned.lock().unwrap_or_else(PoisonError::into_inner).insert(job) {
            return Err(StoreError::Busy { what: Owned::Job(job), pid: Some(std::process::id()) });
        }
        Ok(JobLock::Memory { job, owned: owned.clone() })
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
    pub(super) fn directory_alone(&mut self) -> Result<FileLock> {
        let lock = FileLock::alone(&self.dir.join("directory"), Owned::Directory)?;
        self.owned = Some(Arc::default());
        Ok(lock)
    }

    /// Remove files that may be named in a backup, unless one is being taken.
    pub(super) fn removing(&self) -> Result<Option<FileLock>> {
        if_free(FileLock::shared(&self.dir.join("backup"), Owned::Directory))
    }

    /// Take a backup, as soon as nobody removes files and nobody else takes one.
    pub(super) fn backup(&self) -> Result<FileLock> {
        FileLock::wait_alone(&self.dir.join("backup"), Owned::Directory)
    }

    /// Make or change the database, one process at a time.
    pub(super) fn opening(&self) -> Result<FileLock> {
        FileLock::wait_alone(&self.dir.join("opening"), Owned::Database)
    }

    /// Write files and name them in the database: until then nobody may sweep them away.
    pub(super) fn naming_files(&self) -> Result<FileLock> {
        FileLock::wait_shared(&self.dir.join("bodies"), Owned::Directory)
    }

    /// Sweep files that nobody names, unless somebody is about to.
    pub(super) fn sweeping_files(&self) -> Result<Option<FileLock>> {
        if_free(FileLock::alone(&self.dir.join("bodies"), Owned::Directory))
    }
}

/// A lock, unless somebody else holds it.
fn if_free(lock: Result<FileLock>) -> Result<Option<FileLock>> {
    match lock {
        Err(StoreError::Busy { .. }) => Ok(None),
        lock => lock.map(Some),
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
    fn who_has_the_directory_alone_keeps_in_mind_what_is_owned() {
        let dir = tempfile::tempdir().unwrap();
        let mut locks = Locks::open(dir.path().to_owned()).unwrap();
        let _alone = locks.directory_alone().unwrap();
        let (job, other) = (JobId::new(), JobId::new());
        let lock = locks.job(job).unwrap();
        let _other = locks.clone().job(other).unwrap();
        let me = std::process::id();
        assert!(matches!(locks.clone().job(job), Err(StoreError::Busy { pid: Some(pid), .. }) if pid == me));
        drop(lock);
        locks.job(job).unwrap();
        assert!(!dir.path().join(job.to_string()).exists());
    }

    #[test]
    fn of_those_who_share_one_that_lives_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let shared = || FileLock::shared(&path, Owned::Directory);
        let _one = shared().unwrap();
        let _two = shared().unwrap();
        // The last to sign is dead: no process has this number.
        fs::write(&path, format!("{}\n{}\n", std::process::id(), i32::MAX)).unwrap();
        match FileLock::alone(&path, Owned::Directory) {
            Err(StoreError::Busy { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        fs::write(&path, vec![b'\n'; MOST_NAMES as usize]).unwrap();
        let _three = shared().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
    }

    #[test]
    fn a_directory_is_shared_or_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut locks = Locks::open(dir.path().to_owned()).unwrap();
        let one = locks.directory_shared().unwrap();
        let two = locks.directory_shared().unwrap();
        assert!(matches!(locks.directory_alone(), Err(StoreError::Busy { what: Owned::Directory, .. })));
        drop((one, two));
        let _alone = locks.directory_alone().unwrap();
        assert!(locks.directory_shared().is_err());
    }
}
