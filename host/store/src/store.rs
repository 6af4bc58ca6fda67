//! The trait that every store has to fulfil. The suite in `tests/conformance` says what it means.

use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use pigeon_protocol::id::{AgentId, Digest, Epoch, JobId, RunIndex};

use crate::{
    AgentRecord, AgentSeen, Appended, Attempts, Backup, Batch, Certified, ChunkInfo, Claim, Commits, DeadQuery,
    DeadRow, ItemName, Items, JobCounts, JobEnd, JobFilter, JobRecord, JoinTokenRecord, LandedBatch, Mark, NewEvent,
    NewJob, OutcomeRow, PluginRecord, Progress, Recorded, Result, Retention, ScheduleRecord, StoredEvent, Swept, Tally,
    TokenRecord,
};

/// The durable queue and registry.
///
/// A write that returned is on disk. A write of a job carries its owner's epoch, and is refused with
/// [`StaleEpoch`](crate::StoreError::StaleEpoch) once the job has a newer owner. Writes of one caller that waits for each of
/// them are seen in that order; those that wait at the same time are committed together.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// This store, for a change that the log tells of: these events are on disk with it, or neither is. They are left out where
    /// it is refused, or changes nothing. Of a change in several steps they go with the one that others see first.
    fn telling(&self, events: Vec<NewEvent>) -> Box<dyn Store>;

    /// Register a plugin, or take a new manifest for a component that is here already.
    async fn put_plugin(&self, plugin: PluginRecord, component: Bytes) -> Result<()>;

    /// A plugin by its digest.
    async fn plugin(&self, digest: Digest) -> Result<Option<PluginRecord>>;

    /// The plugins that are listed, by name and then the newest first.
    async fn plugins(&self) -> Result<Vec<PluginRecord>>;

    /// A plugin's component. What is returned has the digest that was asked for.
    async fn component(&self, digest: Digest) -> Result<Option<Bytes>>;

    /// Accept a job, and own it. Refused with [`KeyTaken`](crate::StoreError::KeyTaken) if a job of the same
    /// author that is kept has the same key.
    async fn create(&self, job: NewJob) -> Result<Claim>;

    /// Accept a job whose items are all here, at most a chunk of them, and own it: it is sealed with `note`. As
    /// [`create`](Self::create), [`append`](Self::append) and [`seal`](Self::seal) do; a store that can does it at once, so
    /// that whoever dies on the way leaves all of it or nothing.
    async fn create_with(&self, job: NewJob, items: Items, note: Bytes) -> Result<Claim> {
        let claim = self.create(job).await?;
        if !items.is_empty() {
            self.append(claim.job(), claim.epoch(), 0, items, Bytes::new()).await?;
        }
        self.seal(claim.job(), claim.epoch(), note).await?;
        Ok(claim)
    }

    /// Own a job that nobody owns now. Refused with [`Busy`](crate::StoreError::Busy) while another owner lives.
    async fn claim(&self, job: JobId) -> Result<Claim>;

    /// A job as it stands.
    async fn job(&self, job: JobId) -> Result<JobRecord>;

    /// Jobs, the newest first.
    async fn jobs(&self, filter: JobFilter) -> Result<Vec<JobRecord>>;

    /// How many jobs there are.
    async fn job_counts(&self) -> Result<JobCounts>;

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

    /// Record the last outcomes of a job, and end it: both, or neither.
    async fn record_last(&self, batch: Batch, end: JobEnd) -> Result<Recorded>;

    /// Remember attempts that brought no outcome. Each replaces what was known of its run.
    async fn put_attempts(&self, job: JobId, epoch: Epoch, attempts: Vec<(RunIndex, Attempts)>) -> Result<()>;

    /// Say how long a job was worked at so far, over all its owners, in milliseconds. Less than before changes nothing.
    async fn put_worked(&self, job: JobId, epoch: Epoch, worked_ms: u64) -> Result<()>;

    /// Have a job wait, or go on. Refused with [`Finished`](crate::StoreError::Finished) if nothing of it is left to do.
    async fn set_paused(&self, job: JobId, epoch: Epoch, paused: bool) -> Result<()>;

    /// End a job.
    async fn finish(&self, job: JobId, epoch: Epoch, end: JobEnd) -> Result<()>;

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

    /// Dead letters: of the jobs that were accepted last before the others, and of each job the highest run first. At
    /// most as many as the query says, and fewer where they are large, but one at least: only an empty page is the end.
    async fn dead(&self, query: DeadQuery) -> Result<Vec<DeadRow>>;

    /// A dead letter.
    async fn dead_letter(&self, job: JobId, run: RunIndex) -> Result<Option<DeadRow>>;

    /// How many dead letters there are, of one job or of all.
    async fn dead_count(&self, job: Option<JobId>) -> Result<u64>;

    /// Take outcomes back, as if those runs had never been made: they count no longer, they are in no batch that landed,
    /// they are no dead letters, attempts at them are forgotten, and each may be recorded again. A job that was completed is
    /// active again. Gives how many of the runs had an outcome; if none had, nothing changes.
    ///
    /// Refused with [`Stopped`](crate::StoreError::Stopped) if the job was cancelled or failed fast, and with
    /// [`BodiesGone`](crate::StoreError::BodiesGone) if the bodies of the job's items are not kept.
    async fn take_back(&self, job: JobId, epoch: Epoch, runs: Vec<RunIndex>) -> Result<u64>;

    /// Forget that these runs are dead letters: their outcomes stand. Gives how many were.
    async fn forget_dead(&self, job: JobId, runs: Vec<RunIndex>) -> Result<u64>;

    /// Remove a finished job with all that is known of it, at once. Refused with
    /// [`NotFinished`](crate::StoreError::NotFinished) before, and with [`Busy`](crate::StoreError::Busy) while somebody owns
    /// it. Its room is free after the next sweep at the latest. Where it failed half way, the job may be gone: to repeat it then
    /// removes the rest.
    async fn delete(&self, job: JobId) -> Result<()>;

    /// Add to the log, in this order. Gives the number of the last event there is.
    async fn put_events(&self, events: Vec<NewEvent>) -> Result<u64>;

    /// The log behind event number `after` (0 for its beginning), as far as it concerns this job if one is given: at most
    /// `limit` events.
    async fn events(&self, after: u64, job: Option<JobId>, limit: usize) -> Result<Vec<StoredEvent>>;

    /// The end of the log, or of what is before event number `before`, as far as it concerns this job if one is given: at
    /// most `limit` events, the oldest first.
    async fn last_events(&self, before: Option<u64>, job: Option<JobId>, limit: usize) -> Result<Vec<StoredEvent>>;

    /// Keep a token. Refused with [`NameTaken`](crate::StoreError::NameTaken) if there is one of that name.
    async fn put_token(&self, token: TokenRecord) -> Result<()>;

    /// All tokens, by name.
    async fn tokens(&self) -> Result<Vec<TokenRecord>>;

    /// Forget a token; whether there was one.
    async fn remove_token(&self, name: &str) -> Result<bool>;

    /// Keep a schedule. Refused with [`NameTaken`](crate::StoreError::NameTaken) if there is one of that name.
    async fn add_schedule(&self, schedule: ScheduleRecord) -> Result<()>;

    /// Keep what a schedule says and how far it is now; whether there is one of that name. Else nothing changes.
    async fn put_schedule(&self, schedule: ScheduleRecord) -> Result<bool>;

    /// All schedules, by name.
    async fn schedules(&self) -> Result<Vec<ScheduleRecord>>;

    /// Forget a schedule; whether there was one.
    async fn remove_schedule(&self, name: &str) -> Result<bool>;

    /// Keep the limits of the plugins of a name, or forget them.
    async fn put_plugin_limits(&self, name: &str, limits: Option<Bytes>) -> Result<()>;

    /// The limits of all plugins that have some, by name.
    async fn plugin_limits(&self) -> Result<Vec<(String, Bytes)>>;

    /// Bytes that the store takes on disk, as far as this process knows: what others write is seen by the next sweep.
    async fn disk_bytes(&self) -> Result<u64>;

    /// How long it took to put changes on disk, since this process opened the store.
    fn commits(&self) -> Commits;

    /// Copy all that is kept as of one moment, while others write. `beside` are files and directories that go with it:
    /// paths within the state directory, such as `ca`. Meanwhile nothing that takes much room is removed.
    async fn backup(&self, beside: Vec<PathBuf>) -> Result<Backup>;

    /// Remove what need not be kept at the time `now_ms`, and jobs that somebody owns never.
    async fn sweep(&self, now_ms: u64, retention: Retention) -> Result<Swept>;

    /// Keep a token with which agents join. Refused with [`NameTaken`](crate::StoreError::NameTaken) if there is one of that
    /// id or secret.
    async fn put_join_token(&self, token: JoinTokenRecord) -> Result<()>;

    /// The tokens with which agents join, in the order in which they were made.
    async fn join_tokens(&self) -> Result<Vec<JoinTokenRecord>>;

    /// Forget a token with which agents join; whether there was one.
    async fn remove_join_token(&self, id: &str) -> Result<bool>;

    /// Remember a new agent that joins with the token of this hash: that is used once, and the agent has its labels. Refused
    /// with [`NoJoin`](crate::StoreError::NoJoin) if the token is not good for it.
    async fn join_agent(&self, token: Digest, certified: Certified) -> Result<()>;

    /// Remember that an agent's certificate was renewed.
    async fn renew_agent(&self, certified: Certified) -> Result<()>;

    /// Remember that an agent came in, whether it was known or not. Gives all that is known of it now.
    async fn see_agent(&self, seen: AgentSeen) -> Result<AgentRecord>;

    /// Remember when an agent left.
    async fn agent_left(&self, agent: AgentId, at_ms: u64) -> Result<()>;

    /// An agent, as it is remembered.
    async fn agent(&self, agent: AgentId) -> Result<Option<AgentRecord>>;

    /// All agents, those that came or left last before the others.
    async fn agents(&self) -> Result<Vec<AgentRecord>>;

    /// Remember that an agent is revoked, for good. Gives who said so first; nothing if the agent is not known.
    async fn revoke_agent(&self, agent: AgentId, mark: Mark) -> Result<Option<Mark>>;

    /// Remember that an agent shall take nothing, or is to take work again; whether it is known.
    async fn set_agent_drained(&self, agent: AgentId, mark: Option<Mark>) -> Result<bool>;
}
