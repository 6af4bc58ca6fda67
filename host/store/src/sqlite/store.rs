//! What every store has to do, done with SQLite.

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use pigeon_protocol::id::{AgentId, Digest, Epoch, JobId, RunIndex};

use super::{
    Inner, SqliteStore, access, agents,
    chunks::{self, NewChunk, Packed},
    dead, events, jobs, outcomes, plugins,
    writer::Work,
};
use crate::{
    AgentRecord, AgentSeen, Appended, Attempts, Backup, Batch, Certified, ChunkInfo, Claim, Commits, DeadQuery,
    DeadRow, ItemName, Items, JobCounts, JobEnd, JobFilter, JobRecord, JoinTokenRecord, LandedBatch, Mark, NewEvent,
    NewJob, OutcomeRow, PluginRecord, Progress, Recorded, Result, Retention, ScheduleRecord, Store, StoreError,
    StoredEvent, Swept, Tally, TokenRecord, item::decode_sizes,
};

#[async_trait]
impl Store for SqliteStore {
    fn telling(&self, events: Vec<NewEvent>) -> Box<dyn Store> {
        Box::new(Self(self.0.clone(), events))
    }

    async fn put_plugin(&self, plugin: PluginRecord, component: Bytes) -> Result<()> {
        let named = self.0.put_bodies(vec![(plugin.digest, component)], false).await?;
        let put = move |work: &mut Work| {
            let _named = &named;
            plugins::put(&work.connection, &plugin)
        };
        self.write(put).await
    }

    async fn plugin(&self, digest: Digest) -> Result<Option<PluginRecord>> {
        self.0.readers.read(move |connection| plugins::one(connection, digest)).await
    }

    async fn plugins(&self) -> Result<Vec<PluginRecord>> {
        self.0.readers.read(plugins::listed).await
    }

    async fn component(&self, digest: Digest) -> Result<Option<Bytes>> {
        let bodies = self.0.bodies.clone();
        let read = move |connection: &_| match plugins::one(connection, digest)? {
            Some(_) => bodies.read(digest),
            None => Ok(None),
        };
        self.0.readers.read(read).await
    }

    async fn create(&self, job: NewJob) -> Result<Claim> {
        self.create_and(job, |_, _| Ok(())).await
    }

    async fn create_with(&self, job: NewJob, items: Items, note: Bytes) -> Result<Claim> {
        let chunk = self.0.prepare(0, &items, Bytes::new(), false).await?;
        let spooled = chunk.spooled_bytes();
        let created = self.create_and(job, move |work, job| {
            if chunk.count > 0 {
                chunks::append(work, job, Epoch(1), &chunk)?;
            }
            jobs::seal(&work.connection, job, Epoch(1), &note)
        });
        let claim = created.await?;
        self.0.files.more(spooled);
        Ok(claim)
    }

    async fn claim(&self, job: JobId) -> Result<Claim> {
        // Before the lock's file is made.
        self.job(job).await?;
        let lock = self.0.locks.job(job)?;
        let epoch = self.write(move |work| jobs::claim(&work.connection, job)).await?;
        Ok(Claim::new(job, epoch, lock))
    }

    async fn job(&self, job: JobId) -> Result<JobRecord> {
        self.0.readers.read(move |connection| jobs::job(connection, job)).await
    }

    async fn jobs(&self, filter: JobFilter) -> Result<Vec<JobRecord>> {
        self.0.readers.read(move |connection| jobs::jobs(connection, &filter)).await
    }

    async fn job_counts(&self) -> Result<JobCounts> {
        self.0.readers.read(jobs::counts).await
    }

    async fn append(&self, job: JobId, epoch: Epoch, seq: u64, items: Items, cursor: Bytes) -> Result<Appended> {
        let chunk = self.0.prepare(seq, &items, cursor, true).await?;
        let spooled = chunk.spooled_bytes();
        let appended = self.write(move |work| chunks::append(work, job, epoch, &chunk)).await?;
        if appended.new {
            self.0.files.more(spooled);
        }
        Ok(appended)
    }

    async fn seal(&self, job: JobId, epoch: Epoch, note: Bytes) -> Result<()> {
        self.write(move |work| jobs::seal(&work.connection, job, epoch, &note)).await
    }

    async fn chunks(&self, job: JobId) -> Result<Vec<ChunkInfo>> {
        self.0.readers.read(move |connection| chunks::chunks(connection, job)).await
    }

    async fn items(&self, job: JobId, seq: u64) -> Result<Items> {
        let (bodies, spools) = (self.0.bodies.clone(), self.0.spools.clone());
        let read = move |connection: &_| {
            let chunk = chunks::chunk(connection, job, seq)?;
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
        self.0.readers.read(move |connection| decode_sizes(chunks::lengths(connection, job, seq)?)).await
    }

    async fn item_names(&self, job: JobId, first: u64, count: usize) -> Result<Vec<ItemName>> {
        let read =
            move |connection: &_| chunks::item_names(connection, jobs::known_key(connection, job)?, first, count);
        self.0.readers.read(read).await
    }

    async fn record(&self, mut batch: Batch) -> Result<Recorded> {
        self.write(move |work| work.record(&mut batch)).await
    }

    async fn record_last(&self, mut batch: Batch, end: JobEnd) -> Result<Recorded> {
        let record = move |work: &mut Work| {
            let recorded = work.record(&mut batch)?;
            work.finish(batch.job, batch.epoch, &end)?;
            Ok(recorded)
        };
        self.write(record).await
    }

    async fn put_attempts(&self, job: JobId, epoch: Epoch, attempts: Vec<(RunIndex, Attempts)>) -> Result<()> {
        self.write(move |work| work.put_attempts(job, epoch, &attempts)).await
    }

    async fn put_worked(&self, job: JobId, epoch: Epoch, worked_ms: u64) -> Result<()> {
        self.write(move |work| jobs::put_worked(&work.connection, job, epoch, worked_ms)).await
    }

    async fn set_paused(&self, job: JobId, epoch: Epoch, paused: bool) -> Result<()> {
        self.write(move |work| jobs::set_paused(&work.connection, job, epoch, paused)).await
    }

    async fn finish(&self, job: JobId, epoch: Epoch, end: JobEnd) -> Result<()> {
        self.write(move |work| work.finish(job, epoch, &end)).await
    }

    async fn progress(&self, job: JobId) -> Result<Progress> {
        self.0.readers.read(move |connection| outcomes::progress(connection, job)).await
    }

    async fn tally(&self, job: JobId) -> Result<Tally> {
        self.0.readers.read(move |connection| outcomes::tally(connection, job)).await
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

    async fn dead(&self, query: DeadQuery) -> Result<Vec<DeadRow>> {
        self.0.readers.read(move |connection| dead::list(connection, &query)).await
    }

    async fn dead_letter(&self, job: JobId, run: RunIndex) -> Result<Option<DeadRow>> {
        self.0.readers.read(move |connection| dead::one(connection, job, run)).await
    }

    async fn dead_count(&self, job: Option<JobId>) -> Result<u64> {
        self.0.readers.read(move |connection| dead::count(connection, job)).await
    }

    async fn take_back(&self, job: JobId, epoch: Epoch, runs: Vec<RunIndex>) -> Result<u64> {
        self.write(move |work| work.take_back(job, epoch, &runs)).await
    }

    async fn forget_dead(&self, job: JobId, runs: Vec<RunIndex>) -> Result<u64> {
        let forget = move |work: &mut Work| {
            let key = jobs::known_key(&work.connection, job)?;
            dead::forget(&work.connection, key, runs.iter().map(|run| run.0))
        };
        self.write(forget).await
    }

    async fn delete(&self, job: JobId) -> Result<()> {
        self.0.delete(job, self.1.clone()).await
    }

    async fn put_events(&self, events: Vec<NewEvent>) -> Result<u64> {
        self.0.writer.write(move |work| events::put(&work.connection, &events)).await
    }

    async fn events(&self, after: u64, job: Option<JobId>, limit: usize) -> Result<Vec<StoredEvent>> {
        self.0.readers.read(move |connection| events::after(connection, after, job, limit)).await
    }

    async fn last_events(&self, before: Option<u64>, job: Option<JobId>, limit: usize) -> Result<Vec<StoredEvent>> {
        self.0.readers.read(move |connection| events::last(connection, before, job, limit)).await
    }

    async fn put_token(&self, token: TokenRecord) -> Result<()> {
        self.write(move |work| access::put_token(&work.connection, &token)).await
    }

    async fn tokens(&self) -> Result<Vec<TokenRecord>> {
        self.0.readers.read(access::tokens).await
    }

    async fn remove_token(&self, name: &str) -> Result<bool> {
        let name = name.to_owned();
        self.write(move |work| access::remove_token(&work.connection, &name)).await
    }

    async fn add_schedule(&self, schedule: ScheduleRecord) -> Result<()> {
        self.write(move |work| access::add_schedule(&work.connection, &schedule)).await
    }

    async fn put_schedule(&self, schedule: ScheduleRecord) -> Result<bool> {
        self.write(move |work| access::put_schedule(&work.connection, &schedule)).await
    }

    async fn schedules(&self) -> Result<Vec<ScheduleRecord>> {
        self.0.readers.read(access::schedules).await
    }

    async fn remove_schedule(&self, name: &str) -> Result<bool> {
        let name = name.to_owned();
        self.write(move |work| access::remove_schedule(&work.connection, &name)).await
    }

    async fn put_plugin_limits(&self, name: &str, limits: Option<Bytes>) -> Result<()> {
        let name = name.to_owned();
        self.write(move |work| access::put_plugin_limits(&work.connection, &name, limits.as_deref())).await
    }

    async fn plugin_limits(&self) -> Result<Vec<(String, Bytes)>> {
        self.0.readers.read(access::plugin_limits).await
    }

    async fn disk_bytes(&self) -> Result<u64> {
        self.0.clone().disk_bytes().await
    }

    fn commits(&self) -> Commits {
        self.0.writer.commits()
    }

    async fn backup(&self, beside: Vec<PathBuf>) -> Result<Backup> {
        self.0.clone().backup(beside).await
    }

    async fn sweep(&self, now_ms: u64, retention: Retention) -> Result<Swept> {
        self.0.sweep(now_ms, retention).await
    }

    async fn put_join_token(&self, token: JoinTokenRecord) -> Result<()> {
        self.write(move |work| agents::put_token(&work.connection, &token)).await
    }

    async fn join_tokens(&self) -> Result<Vec<JoinTokenRecord>> {
        self.0.readers.read(agents::tokens).await
    }

    async fn remove_join_token(&self, id: &str) -> Result<bool> {
        let id = id.to_owned();
        self.write(move |work| agents::remove_token(&work.connection, &id)).await
    }

    async fn join_agent(&self, token: Digest, certified: Certified) -> Result<()> {
        self.write(move |work| agents::join(&work.connection, token, &certified)).await
    }

    async fn renew_agent(&self, certified: Certified) -> Result<()> {
        self.write(move |work| agents::certify(&work.connection, &certified)).await
    }

    async fn see_agent(&self, seen: AgentSeen) -> Result<AgentRecord> {
        self.write(move |work| agents::seen(&work.connection, &seen)).await
    }

    async fn agent_left(&self, agent: AgentId, at_ms: u64) -> Result<()> {
        self.write(move |work| agents::left(&work.connection, agent, at_ms)).await
    }

    async fn agent(&self, agent: AgentId) -> Result<Option<AgentRecord>> {
        self.0.readers.read(move |connection| agents::one(connection, agent)).await
    }

    async fn agents(&self) -> Result<Vec<AgentRecord>> {
        self.0.readers.read(agents::all).await
    }

    async fn revoke_agent(&self, agent: AgentId, mark: Mark) -> Result<Option<Mark>> {
        self.write(move |work| agents::revoke(&work.connection, agent, &mark)).await
    }

    async fn set_agent_drained(&self, agent: AgentId, mark: Option<Mark>) -> Result<bool> {
        self.write(move |work| agents::set_drained(&work.connection, agent, mark.as_ref())).await
    }
}

impl SqliteStore {
    /// Do something in a transaction, and tell of it.
    async fn write<T: Send + 'static>(&self, call: impl FnMut(&mut Work) -> Result<T> + Send + 'static) -> Result<T> {
        self.0.writer.write(events::telling(self.1.clone(), call)).await
    }

    /// Accept a job, and do something with it in the same transaction, which is not refused.
    async fn create_and(
        &self,
        job: NewJob,
        mut then: impl FnMut(&mut Work, JobId) -> Result<()> + Send + 'static,
    ) -> Result<Claim> {
        let (lock, id) = (self.0.locks.job(job.id)?, job.id);
        let create = move |work: &mut Work| {
            jobs::create(&work.connection, &job)?;
            then(work, id)
        };
        let created = self.write(create).await;
        if let Err(StoreError::KeyTaken(_)) = created {
            // There is no job of this id, and nobody else asks for one.
            self.0.locks.forget(id);
        }
        created.map(|()| Claim::new(id, Epoch(1), lock))
    }
}

impl Inner {
    /// A chunk as it is written. `is_known` says whether its job's row is there already: then a sweep knows whose files of
    /// items they are.
    pub(super) async fn prepare(
        self: &Arc<Self>,
        seq: u64,
        items: &Items,
        cursor: Bytes,
        is_known: bool,
    ) -> Result<NewChunk> {
        let (lengths, files) = items.encode_lengths();
        let mut chunk = NewChunk {
            seq,
            count: items.len() as u64,
            bytes: items.bytes(),
            names: items.encode_names(),
            lengths,
            bodies: items.packed_bodies().clone(),
            files: files.iter().map(|(digest, _)| *digest).collect(),
            cursor,
            _named: None,
        };
        chunk._named = self.put_bodies(files, !is_known && chunk.spooled_bytes() > 0).await?;
        Ok(chunk)
    }
}
