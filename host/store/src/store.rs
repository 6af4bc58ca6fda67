//! The trait that every store has to fulfil. The suite in `tests/conformance` says what it means.

use async_trait::async_trait;
use bytes::Bytes;
use pigeon_protocol::id::{Digest, Epoch, JobId, RunIndex};

use crate::{
    Appended, Attempts, Batch, ChunkInfo, Claim, ItemName, Items, JobFilter, JobRecord, JobState, LandedBatch, NewJob,
    OutcomeRow, PluginRecord, Progress, Recorded, Result, Retention, Swept, Tally,
};

/// The durable queue and registry.
///
/// A write that returned is on disk. A write of a job carries its owner's epoch, and is refused with
/// [`StaleEpoch`](crate::StoreError::StaleEpoch) once the job has a newer owner. Writes of one caller that waits for each of
/// them are seen in that order; those that wait at the same time are committed together.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Register a plugin, or take a new manifest for a component that is here already.
    async fn put_plugin(&self, plugin: PluginRecord, component: Bytes) -> Result<()>;

    /// A plugin by its digest.
    async fn plugin(&self, digest: Digest) -> Result<Option<PluginRecord>>;

    /// The plugins that are listed, by name and then the newest first.
    async fn plugins(&self) -> Result<Vec<PluginRecord>>;

    /// A plugin's component. What is returned has the digest that was asked for.
    async fn component(&self, digest: Digest) -> Result<Option<Bytes>>;

    /// Accept a job, and own it.
    async fn create(&self, job: NewJob) -> Result<Claim>;

    /// Own a job that nobody owns now. Refused with [`Busy`](crate::StoreError::Busy) while another owner lives.
    async fn claim(&self, job: JobId) -> Result<Claim>;

    /// A job as it stands.
    async fn job(&self, job: JobId) -> Result<JobRecord>;

    /// Jobs, the newest first.
    async fn jobs(&self, filter: JobFilter) -> Result<Vec<JobRecord>>;

    /// Append chunk number `seq`, from 0. `cursor` says where the reader stands behind it. A chunk that was appended
    /// already is ignored.
    async fn append(&self, job: JobId, epoch: Epoch, seq: u64, items: Items, cursor: Bytes) -> Result<Appended>;

    /// Say that no more items come. `note` is kept for those who ask later. Sealing again changes nothing.
    async fn seal(&self, job: JobId, epoch: Epoch, note: Bytes) -> Result<()>;

    /// The chunks appended so far, in order.
    async fn chunks(&self, job: JobId) -> Result<Vec<ChunkInfo>>;

    /// The items of a chunk, with their bodies.
    async fn items(&self, job: JobId, seq: u64) -> Result<Items>;

    /// How many bytes the bodies of a chunk's items have, in order, without reading them.
    async fn sizes(&self, job: JobId, seq: u64) -> Result<Vec<u64>>;

    /// Ids and places of the items from number `first` on: `count` of them, or fewer where there are no more.
    async fn item_names(&self, job: JobId, first: u64, count: usize) -> Result<Vec<ItemName>>;

    /// Record the outcomes of runs. A run that has one keeps it.
    async fn record(&self, batch: Batch) -> Result<Recorded>;

    /// Remember attempts that brought no outcome. Each replaces what was known of its run.
    async fn put_attempts(&self, job: JobId, epoch: Epoch, attempts: Vec<(RunIndex, Attempts)>) -> Result<()>;

    /// Say how long a job was worked at so far, over all its owners, in milliseconds. Less than before changes nothing.
    async fn put_worked(&self, job: JobId, epoch: Epoch, worked_ms: u64) -> Result<()>;

    /// End a job. `state` is one of those that are finished; `summary` is kept for those who ask later.
    async fn finish(&self, job: JobId, epoch: Epoch, state: JobState, summary: Bytes, now_ms: u64) -> Result<()>;

    /// Which runs have an outcome, and attempts at those that have none.
    async fn progress(&self, job: JobId) -> Result<Progress>;

    /// Counters, times and error groups.
    async fn tally(&self, job: JobId) -> Result<Tally>;

    /// A page of outcomes in the order of their runs, from run `from` on: at most `limit`, and fewer where they are large.
    /// Empty if there are no more.
    async fn results(&self, job: JobId, from: RunIndex, limit: usize) -> Result<Vec<OutcomeRow>>;

    /// What landed behind batch number `after` (0 for the beginning), in the order in which it was committed: at most
    /// `limit` batches, and fewer where they are large. Empty if there is nothing more yet.
    async fn landed_after(&self, job: JobId, after: u64, limit: usize) -> Result<Vec<LandedBatch>>;

    /// Remove what need not be kept at the time `now_ms`, and jobs that somebody owns never.
    async fn sweep(&self, now_ms: u64, retention: Retention) -> Result<Swept>;
}
