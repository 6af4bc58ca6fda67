//! The embedded store: a directory with one SQLite file, and files by digest beside it.
//!
//! ```text
//! DIR/pigeon.db        plugins, jobs, names of items, outcomes (WAL, synchronous=FULL)
//! DIR/items/JOB/       bodies of items, one behind the other ([`spool`])
//! DIR/bodies/HEX       components and large items, by SHA-256
//! DIR/locks/           kernel locks: one a job, one for the directory, one for `bodies`
//! ```
//!
//! All writes go through one thread ([`writer`]), reads through a small pool of connections ([`readers`]). Other
//! processes may use the directory at the same time: SQLite orders their writes, and kernel locks give each job one
//! owner.

mod jobs;
mod lock;
mod outcomes;
mod readers;
mod schema;
mod spool;
mod sweep;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use pigeon_protocol::id::{Digest, Epoch, JobId, RunIndex};
use tokio::task::spawn_blocking;

use self::{
    jobs::{NewChunk, Packed},
    lock::{FileLock, Locks},
    readers::Readers,
    spool::{Appender, Spools},
    writer::Writer,
};
use crate::{
    Appended, Attempts, Batch, Bodies, ChunkInfo, Claim, DirBodies, ItemName, Items, JobFilter, JobRecord, JobState,
    LandedBatch, NewJob, OutcomeRow, PluginRecord, Progress, Recorded, Result, Retention, Store, StoreError, Swept,
    Tally, bodies::io_error, item::decode_sizes,
};

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
#[derive(Debug, Clone)]
pub struct SqliteStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    // The order in which they are dropped: the writer is the last to close the database, and the directory's lock is
    // held until then.
    readers: Readers,
    writer: Writer,
    bodies: Arc<dyn Bodies>,
    spools: Spools,
    locks: Locks,
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
        let locks = Locks::open(dir.join("locks"))?;
        let directory = match options.access {
            Access::Shared => locks.directory_shared()?,
            Access::Alone => locks.directory_alone()?,
        };
        let bodies = match options.bodies {
            Some(bodies) => bodies,
            None => Arc::new(DirBodies::open(dir.join("bodies"))?),
        };
        let database = dir.join(DATABASE);
        let opening = locks.opening()?;
        if !database.exists() {
            schema::create(&database).map_err(|error| error.in_database(&database))?;
        }
        let connection =
            schema::open_writer(&database, options.max_bytes).map_err(|error| error.in_database(&database))?;
        drop(opening);
        let readers = Readers::new(database.clone());
        let spools = Spools::new(dir.join("items"));
        let appender = Appender::new(spools.clone(), options.max_bytes);
        let writer = Writer::start(connection, appender, database.clone())?;
        Ok(Self(Arc::new(Inner { readers, writer, bodies, spools, locks, database, _directory: directory })))
    }
}

impl Inner {
    /// Keep bodies. They may be named as long as what is returned is held.
    async fn put_bodies(self: &Arc<Self>, bodies: Vec<(Digest, Bytes)>) -> Result<Option<FileLock>> {
        if bodies.is_empty() {
            return Ok(None);
        }
        let inner = self.clone();
        let put = move || {
            let lock = inner.locks.naming_bodies()?;
            bodies.iter().try_for_each(|(digest, body)| inner.bodies.put(*digest, body))?;
            Ok(Some(lock))
        };
        spawn_blocking(put).await.map_err(|_| StoreError::Closed)?
    }

    /// A job's ledger: the one in memory, if this process writes it.
    async fn ledger(&self, job: JobId) -> Result<crate::ledger::Ledger> {
        let open = self.writer.write(move |work| Ok(work.open.get(&job).map(|open| open.ledger.clone()))).await?;
        match open {
            Some(ledger) => Ok(ledger),
            None => {
                let read = move |connection: &_| outcomes::ledger(connection, jobs::known_key(connection, job)?);
                self.readers.read(read).await
            }
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn put_plugin(&self, plugin: PluginRecord, component: Bytes) -> Result<()> {
        let _named = self.0.put_bodies(vec![(plugin.digest, component)]).await?;
        self.0.writer.write(move |work| jobs::put_plugin(&work.connection, &plugin)).await
    }

    async fn plugin(&self, digest: Digest) -> Result<Option<PluginRecord>> {
        self.0.readers.read(move |connection| jobs::plugin(connection, digest)).await
    }

    async fn plugins(&self) -> Result<Vec<PluginRecord>> {
        self.0.readers.read(jobs::plugins).await
    }

    async fn component(&self, digest: Digest) -> Result<Option<Bytes>> {
        let bodies = self.0.bodies.clone();
        let read = move |connection: &_| match jobs::plugin(connection, digest)? {
            Some(_) => bodies.read(digest),
            None => Ok(None),
        };
        self.0.readers.read(read).await
    }

    async fn create(&self, job: NewJob) -> Result<Claim> {
        let lock = self.0.locks.job(job.id)?;
        let id = job.id;
        self.0.writer.write(move |work| jobs::create(&work.connection, &job)).await?;
        Ok(Claim::new(id, Epoch(1), lock))
    }

    async fn claim(&self, job: JobId) -> Result<Claim> {
        // Before the lock's file is made.
        self.job(job).await?;
        let lock = self.0.locks.job(job)?;
        let epoch = self.0.writer.write(move |work| jobs::claim(&work.connection, job)).await?;
        Ok(Claim::new(job, epoch, lock))
    }

    async fn job(&self, job: JobId) -> Result<JobRecord> {
        self.0.readers.read(move |connection| jobs::job(connection, job)).await
    }

    async fn jobs(&self, filter: JobFilter) -> Result<Vec<JobRecord>> {
        self.0.readers.read(move |connection| jobs::jobs(connection, filter)).await
    }

    async fn append(&self, job: JobId, epoch: Epoch, seq: u64, items: Items, cursor: Bytes) -> Result<Appended> {
        let (lengths, files) = items.encode_lengths();
        let chunk = NewChunk {
            seq,
            count: items.len() as u64,
            bytes: items.bytes(),
            names: items.encode_names(),
            lengths,
            bodies: items.packed_bodies().clone(),
            files: files.iter().map(|(digest, _)| *digest).collect(),
            cursor,
        };
        let _named = self.0.put_bodies(files).await?;
        self.0.writer.write(move |work| jobs::append(work, job, epoch, &chunk)).await
    }

    async fn seal(&self, job: JobId, epoch: Epoch, note: Bytes) -> Result<()> {
        self.0.writer.write(move |work| jobs::seal(&work.connection, job, epoch, &note)).await
    }

    async fn chunks(&self, job: JobId) -> Result<Vec<ChunkInfo>> {
        self.0.readers.read(move |connection| jobs::chunks(connection, job)).await
    }

    async fn items(&self, job: JobId, seq: u64) -> Result<Items> {
        let (bodies, spools) = (self.0.bodies.clone(), self.0.spools.clone());
        let read = move |connection: &_| {
            let chunk = jobs::chunk(connection, job, seq)?;
            let packed = match chunk.bodies {
                Packed::Here(packed) => packed,
                Packed::Spooled(span) => spools.read(job, span)?,
            };
            Items::decode(chunk.names, chunk.lengths, packed, |digest| {
                let missing = || StoreError::Corrupt { what: format!("the body {digest} is missing") };
                bodies.read(digest)?.ok_or_else(missing)
            })
        };
        self.0.readers.read(read).await
    }

    async fn sizes(&self, job: JobId, seq: u64) -> Result<Vec<u64>> {
        self.0.readers.read(move |connection| decode_sizes(jobs::lengths(connection, job, seq)?)).await
    }

    async fn item_names(&self, job: JobId, first: u64, count: usize) -> Result<Vec<ItemName>> {
        let read = move |connection: &_| jobs::item_names(connection, jobs::known_key(connection, job)?, first, count);
        self.0.readers.read(read).await
    }

    async fn record(&self, mut batch: Batch) -> Result<Recorded> {
        self.0.writer.write(move |work| work.record(&mut batch)).await
    }

    async fn put_attempts(&self, job: JobId, epoch: Epoch, attempts: Vec<(RunIndex, Attempts)>) -> Result<()> {
        self.0.writer.write(move |work| work.put_attempts(job, epoch, &attempts)).await
    }

    async fn put_worked(&self, job: JobId, epoch: Epoch, worked_ms: u64) -> Result<()> {
        self.0.writer.write(move |work| jobs::put_worked(&work.connection, job, epoch, worked_ms)).await
    }

    async fn finish(&self, job: JobId, epoch: Epoch, state: JobState, summary: Bytes, now_ms: u64) -> Result<()> {
        self.0.writer.write(move |work| work.finish(job, epoch, state, &summary, now_ms)).await
    }

    async fn progress(&self, job: JobId) -> Result<Progress> {
        let ledger = self.0.ledger(job).await?;
        let read = move |connection: &_| outcomes::progress(connection, jobs::known_key(connection, job)?, &ledger);
        self.0.readers.read(read).await
    }

    async fn tally(&self, job: JobId) -> Result<Tally> {
        let ledger = self.0.ledger(job).await?;
        self.0.readers.read(move |connection| outcomes::tally(connection, job, ledger)).await
    }

    async fn results(&self, job: JobId, from: RunIndex, limit: usize) -> Result<Vec<OutcomeRow>> {
        let read = move |connection: &_| outcomes::results(connection, jobs::known_key(connection, job)?, from, limit);
        self.0.readers.read(read).await
    }

    async fn landed_after(&self, job: JobId, after: u64, limit: usize) -> Result<Vec<LandedBatch>> {
        let read =
            move |connection: &_| outcomes::landed_after(connection, jobs::known_key(connection, job)?, after, limit);
        self.0.readers.read(read).await
    }

    async fn sweep(&self, now_ms: u64, retention: Retention) -> Result<Swept> {
        self.0.sweep(now_ms, retention).await
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
