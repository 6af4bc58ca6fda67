//! The embedded store: a directory with one SQLite file, and files by digest beside it.
//!
//! ```text
//! DIR/pigeon.db        plugins, jobs, names of items, outcomes (WAL, synchronous=FULL)
//! DIR/items/JOB/       bodies of items, one behind the other ([`spool`])
//! DIR/bodies/HEX       components and large items, by SHA-256
//! DIR/locks/           kernel locks: one a job, one for the directory, one for `bodies`, one for backups
//! DIR/backups/         copies that are being taken ([`backup`])
//! ```
//!
//! All writes go through one thread ([`writer`]), reads through a small pool of connections ([`readers`]), and a thread
//! beside them brings the write-ahead log back into the database ([`checkpoint`]). Other processes may use the directory
//! at the same time: SQLite orders their writes, and kernel locks give each job one owner.

mod access;
mod agents;
mod backup;
mod checkpoint;
mod chunks;
#[cfg(test)]
mod cost;
mod dead;
mod events;
mod jobs;
mod lock;
mod outcomes;
mod plugins;
mod readers;
mod remove;
mod room;
mod schema;
mod spool;
mod store;
mod sweep;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use pigeon_protocol::id::Digest;
use tokio::task::spawn_blocking;

use self::{
    checkpoint::Checkpoints,
    lock::{FileLock, Locks},
    readers::Readers,
    room::FileBytes,
    spool::{Appender, Spools},
    writer::Writer,
};
use crate::{Bodies, DirBodies, NewEvent, Result, StoreError, bodies::io_error};

/// The database's name in its directory.
const DATABASE: &str = "pigeon.db";

/// How a store is opened.
#[derive(Debug, Default)]
pub struct Options {
    /// Who else may use the directory.
    pub access: Access,
    /// Where components and large items are: files in the directory, if not given.
    pub bodies: Option<Arc<dyn Bodies>>,
    /// The most that the database may take on disk, in bytes, and that may be written beside it; as much as there is,
    /// if not given.
    pub max_bytes: Option<u64>,
    /// Whether runs that could not be judged become dead letters. Those that were recorded without it are none.
    pub dead_letters: bool,
}

/// Who may use a state directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// Any number of processes; each job has one owner among them.
    #[default]
    Shared,
    /// This process alone.
    Alone,
}

/// The embedded store: a directory with one SQLite file, and files by digest beside it. Cheap to clone; the last clone
/// to be dropped waits for what was asked to be written.
///
/// Beside it stand the events that its changes are told by: see [`Store::telling`](crate::Store::telling).
#[derive(Debug, Clone)]
pub struct SqliteStore(Arc<Inner>, Vec<NewEvent>);

#[derive(Debug)]
struct Inner {
    // The order in which they are dropped: the writer is the last to close the database, and the directory's lock is
    // held until then.
    readers: Readers,
    _checkpoints: Checkpoints,
    writer: Writer,
    bodies: Arc<dyn Bodies>,
    spools: Spools,
    files: FileBytes,
    locks: Locks,
    state: PathBuf,
    database: PathBuf,
    _directory: FileLock,
}

impl SqliteStore {
    /// Open the store in `dir`, and make it if there is none. Takes some milliseconds on the calling thread.
    ///
    /// Fails with [`Busy`](StoreError::Busy) if another process uses the directory alone (or at all, if this one
    /// wants it alone), and with [`NewerSchema`](StoreError::NewerSchema) if a newer version wrote it.
    pub fn open(dir: &Path, options: Options) -> Result<Self> {
        std::fs::create_dir_all(dir).map_err(|source| io_error("create", dir, source))?;
        let mut locks = Locks::open(dir.join("locks"))?;
        let directory = match options.access {
            Access::Shared => locks.directory_shared()?,
            Access::Alone => locks.directory_alone()?,
        };
        let bodies = match options.bodies {
            Some(bodies) => bodies,
            None => Arc::new(DirBodies::open(dir.join("bodies"))?),
        };
        let database = dir.join(DATABASE);
        let spools = Spools::new(dir.join("items"));
        let opening = locks.opening()?;
        if !database.exists() {
            // Nobody names them in a new one: a sweep would remove all that is left.
            if !spools.jobs()?.is_empty() || bodies.bytes()? > 0 {
                let what = format!("{DATABASE} is missing, though there are items or components that it named");
                return Err(StoreError::Corrupt { what });
            }
            schema::create(&database).map_err(|error| error.in_database(&database))?;
        }
        let mut connection =
            schema::open_writer(&database, options.max_bytes).map_err(|error| error.in_database(&database))?;
        drop(opening);
        let checkpoints = Checkpoints::start(database.clone(), &mut connection)?;
        let readers = Readers::new(database.clone());
        let appender = Appender::new(spools.clone(), options.max_bytes);
        let writer = Writer::start(connection, appender, database.clone(), options.dead_letters)?;
        let inner = Inner {
            readers,
            _checkpoints: checkpoints,
            writer,
            bodies,
            spools,
            files: FileBytes::unknown(),
            locks,
            state: dir.to_owned(),
            database,
            _directory: directory,
        };
        Ok(Self(Arc::new(inner), Vec::new()))
    }
}

/// Whether a directory has a database that this version can open. Nobody uses it yet.
pub(crate) fn check(dir: &Path) -> Result<()> {
    let database = dir.join(DATABASE);
    if !database.exists() {
        return Err(StoreError::Archive { what: format!("it has no {DATABASE}") });
    }
    schema::check(&database)
}

impl Inner {
    /// Keep bodies. No sweep takes them, as long as what is returned is held, until they are named; nor files of items that are
    /// put meanwhile, if there are to be some.
    async fn put_bodies(self: &Arc<Self>, bodies: Vec<(Digest, Bytes)>, items: bool) -> Result<Option<FileLock>> {
        if bodies.is_empty() && !items {
            return Ok(None);
        }
        let inner = self.clone();
        let put = move || {
            let lock = inner.locks.naming_files()?;
            bodies.iter().try_for_each(|(digest, body)| inner.bodies.put(*digest, body))?;
            // Those that were there already count twice until they are measured.
            inner.files.more(bodies.iter().map(|(_, body)| body.len() as u64).sum());
            Ok(Some(lock))
        };
        spawn_blocking(put).await.map_err(|_| StoreError::Closed)?
    }
}

/// A number as SQLite keeps it. None that is used comes near 2^63.
fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number as SQLite kept it.
fn number(int: i64) -> u64 {
    u64::try_from(int).unwrap_or(0)
}
