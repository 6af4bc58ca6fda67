//! What can go wrong in a store.

use std::{io, path::PathBuf};

use pigeon_protocol::id::{Epoch, JobId};

/// A result of the store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why the store could not do what it was asked. Nothing of it was done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk, a quota or a bound of the store is full.
    #[error("the disk is full: failed to write {path}")]
    DiskFull {
        /// The file that had no room.
        path: PathBuf,
    },
    /// What is on disk is not what was written.
    #[error("the store is damaged: {what}")]
    Corrupt {
        /// What could not be understood.
        what: String,
    },
    /// A newer Pigeon wrote this store.
    #[error("the store has schema version {found}, and this version of Pigeon knows {known} at most")]
    NewerSchema {
        /// The version on disk.
        found: u32,
        /// The newest that is known here.
        known: u32,
    },
    /// SQLite itself is older than it may be: before 3.51.3 a reset of the WAL could corrupt the file.
    #[error("SQLite {found} is too old: 3.51.3 or newer is needed")]
    OldSqlite {
        /// The version that is linked.
        found: &'static str,
    },
    /// Somebody else who lives owns it, or the database stayed locked for longer than is waited.
    #[error("{what} is in use by another process{}", pid.map_or_else(String::new, |pid| format!(" (process {pid})")))]
    Busy {
        /// What is owned.
        what: Owned,
        /// Who owns it, if that is known.
        pid: Option<u32>,
    },
    /// The job has a newer owner.
    #[error("job {job} has another owner since: epoch {} was given, {} is current", given.0, current.0)]
    StaleEpoch {
        /// The job.
        job: JobId,
        /// The epoch that the write carried.
        given: Epoch,
        /// The epoch of the job's owner.
        current: Epoch,
    },
    /// There is no such job.
    #[error("there is no job {0}")]
    UnknownJob(JobId),
    /// There is a job of that id already.
    #[error("there is a job {0} already")]
    JobExists(JobId),
    /// A job of the same author that is kept was submitted with this key already.
    #[error("job {0} has the same key")]
    KeyTaken(JobId),
    /// There is something of that kind and name already.
    #[error("there is one of the name {0:?} already")]
    NameTaken(String),
    /// An agent may not join with this token.
    #[error(transparent)]
    NoJoin(#[from] crate::JoinRefusal),
    /// The job is not finished.
    #[error("job {0} is not finished")]
    NotFinished(JobId),
    /// The bodies of the job's items were dropped, so none of it can run again.
    #[error("the items of job {0} are not kept any more")]
    BodiesGone(JobId),
    /// The job is sealed: it takes no more items.
    #[error("job {0} is sealed and takes no more items")]
    Sealed(JobId),
    /// The job is finished: it takes no more outcomes.
    #[error("job {0} is finished")]
    Finished(JobId),
    /// The job was cancelled or failed fast: it does not go on.
    #[error("job {0} was cancelled or failed fast: it does not go on")]
    Stopped(JobId),
    /// A chunk of items was left out.
    #[error("job {job} was given chunk {found} where chunk {expected} is next")]
    ChunkGap {
        /// The job.
        job: JobId,
        /// The chunk that is next.
        expected: u64,
        /// The chunk that came.
        found: u64,
    },
    /// The job has no such chunk, or the bodies of its items were dropped.
    #[error("job {job} has no bodies of chunk {chunk}")]
    NoBodies {
        /// The job.
        job: JobId,
        /// The chunk.
        chunk: u64,
    },
    /// A directory into which a backup is restored has something in it.
    #[error("{path} is not empty")]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// What ought to be a backup is something else.
    #[error("it is no backup of Pigeon: {what}")]
    NoBackup {
        /// By what that is seen.
        what: &'static str,
    },
    /// A backup is not whole, or was damaged.
    #[error("it is not a whole backup: {what}")]
    Archive {
        /// What is wrong with it.
        what: String,
    },
    /// A file or directory could not be used.
    #[error("failed to {doing} {path}")]
    Io {
        /// What was attempted: `write`, `read`, `lock`.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// SQLite refused for a reason that is not told apart.
    #[error("the database failed")]
    Sqlite(#[source] rusqlite::Error),
    /// The store was closed, or its writer is gone.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Whether a write was turned down before it began, for what it was, and not because the disk or the database
    /// failed.
    pub fn is_refusal(&self) -> bool {
        use StoreError::{
            BodiesGone, ChunkGap, Finished, JobExists, KeyTaken, NameTaken, NoBodies, NoJoin, NotFinished, Sealed,
            StaleEpoch, Stopped, UnknownJob,
        };
        matches!(
            self,
            StaleEpoch { .. }
                | UnknownJob(_)
                | JobExists(_)
                | KeyTaken(_)
                | NameTaken(_)
                | NoJoin(_)
                | NotFinished(_)
                | BodiesGone(_)
                | Sealed(_)
                | Finished(_)
                | Stopped(_)
                | ChunkGap { .. }
                | NoBodies { .. }
        )
    }
}

/// What can be in use by another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owned {
    /// One job.
    Job(JobId),
    /// The whole directory.
    Directory,
    /// The database, for as long as another process writes.
    Database,
}

impl std::fmt::Display for Owned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Owned::Job(job) => write!(f, "job {job}"),
            Owned::Directory => f.write_str("the state directory"),
            Owned::Database => f.write_str("the database"),
        }
    }
}
