//! What the double answers.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use pigeon_api::*;
use tokio::sync::watch;

use super::{
    Kept, Queue,
    values::{event, landed, letter, plugin, schedule},
};

/// What it tells whoever asks in this name.
pub(super) struct Client {
    pub(super) queue: Arc<Queue>,
    pub(super) author: String,
}

fn not_here<T>(what: &str) -> Result<T> {
    Err(ApiError::new(ErrorKind::NotFound, format!("the double has no {what}")))
}

/// Numbers behind `after` up to what the channel says, for ever, and what goes on while there is none.
fn numbers(after: u64, channel: watch::Receiver<u64>) -> BoxStream<'static, u64> {
    stream::unfold((after, channel), |(last, mut channel)| async move {
        channel.wait_for(|most| *most > last).await.ok()?;
        Some((last + 1, (last + 1, channel)))
    })
    .boxed()
}

#[async_trait]
impl Pigeon for Client {
    async fn plugins(&self) -> Result<Vec<PluginInfo>> {
        Ok(vec![plugin("echo")])
    }

    async fn plugin(&self, reference: &str) -> Result<PluginInfo> {
        let echo = plugin("echo");
        if [echo.metadata.name.as_str(), &echo.digest.to_string()].contains(&reference) {
            return Ok(echo);
        }
        Err(ApiError::new(ErrorKind::NotFound, format!("there is no plugin {reference:?}")).hint("there is echo"))
    }

    async fn publish(&self, component: Bytes) -> Result<PluginInfo> {
        match component.starts_with(b"\0asm") {
            true => Ok(plugin("published")),
            false => Err(ApiError::new(ErrorKind::BadRequest, "it is no component")),
        }
    }

    async fn submit(&self, request: JobRequest) -> Result<JobId> {
        let mut jobs = self.queue.jobs();
        if let Some(key) = &request.key
            && let Some((id, kept)) = jobs.iter().find(|(_, kept)| kept.request.key.as_ref() == Some(key))
        {
            return match kept.request == request {
                true => Ok(*id),
                false => Err(ApiError::new(ErrorKind::Conflict, format!("the key {key:?} is another request's"))),
            };
        }
        let id = JobId::new();
        let accepted_ms = i64::try_from(crate::clock::now_ms()).unwrap();
        let (author, chunks, state) = (self.author.clone(), BTreeMap::new(), JobState::Open);
        jobs.insert(id, Kept { author, request, chunks, state, accepted_ms });
        Ok(id)
    }

    async fn append(&self, job: JobId, chunk: Chunk) -> Result<()> {
        self.queue.appends.fetch_add(1, SeqCst);
        if self.queue.gated.load(SeqCst) {
            self.queue.gate.notified().await;
        }
        self.queue.with(job, |kept| {
            if kept.state != JobState::Open && !kept.chunks.contains_key(&chunk.seq) {
                return Err(ApiError::new(ErrorKind::Conflict, "it is sealed"));
            }
            if chunk.first != kept.items() && !kept.chunks.contains_key(&chunk.seq) {
                return Err(ApiError::new(ErrorKind::Conflict, "items are missing before it"));
            }
            kept.chunks.entry(chunk.seq).or_insert(chunk);
            Ok(())
        })
    }

    async fn seal(&self, job: JobId) -> Result<()> {
        self.queue.with(job, |kept| {
            kept.state = JobState::Sealed;
            Ok(())
        })
    }

    async fn watch(&self, job: JobId, watch: Watch) -> Result<BoxStream<'static, Result<JobEvent>>> {
        self.job(job).await?;
        let batches = *self.queue.landed.borrow();
        if watch.past {
            let past = stream::iter(watch.after + 1..=batches).map(landed);
            return Ok(past.chain(stream::once(async { JobEvent::Finished(JobState::Open) })).map(Ok).boxed());
        }
        let runs = match watch.runs {
            true => numbers(watch.after, self.queue.landed.subscribe()).map(landed).boxed(),
            false => stream::pending().boxed(),
        };
        let mut ended = self.queue.ended.subscribe();
        let end = async move { ended.wait_for(|ended| *ended).await.map(|_| ()).unwrap() };
        let last = stream::once(async { JobEvent::Finished(JobState::Finished) });
        let note = stream::once(async { JobEvent::Note("it begins".to_owned()) });
        Ok(note.chain(runs.take_until(Box::pin(end))).chain(last).map(Ok).boxed())
    }

    async fn job(&self, id: JobId) -> Result<JobStatus> {
        let ended = *self.queue.ended.borrow();
        self.queue.with(id, |kept| {
            Ok(JobStatus {
                id,
                plugin: plugin("echo"),
                state: if ended { JobState::Finished } else { kept.state },
                request: kept.request.clone(),
                accepted_ms: kept.accepted_ms,
                wall_time_ms: 0.0,
                items: kept.items(),
                planned_runs: 0,
                total_runs: 0,
                valid: 0,
                invalid: 0,
                failures: 0,
                times: Times::default(),
                workers: Vec::new(),
                errors: Vec::new(),
                author: kept.author.clone(),
                finished_ms: None,
                dead: 0,
                waiting: None,
                broken: None,
            })
        })
    }

    async fn jobs(&self, filter: JobFilter) -> Result<Vec<JobSummary>> {
        let jobs = self.queue.jobs();
        let before = filter.before.unwrap_or(JobId::from_bytes([0xff; 16]));
        let newest =
            jobs.range(..before).rev().filter(|(_, kept)| filter.state.is_none_or(|state| state == kept.state));
        let summaries = newest.map(|(id, kept)| JobSummary {
            id: *id,
            plugin: "echo 1.0.0".to_owned(),
            state: kept.state,
            accepted_ms: kept.accepted_ms,
            planned_runs: 0,
            total_runs: 0,
            valid: 0,
            invalid: 0,
            failures: 0,
            priority: 0,
            author: kept.author.clone(),
        });
        Ok(summaries.take(filter.limit.unwrap_or(usize::MAX)).collect())
    }

    async fn job_ids(&self) -> Result<Vec<JobId>> {
        Ok(self.queue.jobs().keys().rev().copied().collect())
    }

    async fn results(&self, job: JobId) -> Result<BoxStream<'static, Result<Vec<ItemResult>>>> {
        let items = self.queue.with(job, |kept| Ok(kept.items()))?;
        let result = |index: u64| ItemResult {
            id: (index + 1).to_string(),
            index,
            line: 0,
            verdict: Verdict::Valid,
            runs: 1,
            time_ms: 1.0,
            findings: Vec::new(),
            omitted: Counts::default(),
            score: None,
            data: None,
            failure: None,
        };
        let all = stream::once(async move { Ok((0..items).map(result).collect()) });
        // A job without items breaks off.
        let broken = (items == 0).then(|| Err(ApiError::new(ErrorKind::Internal, "the disk is gone")));
        Ok(all.chain(stream::iter(broken)).boxed())
    }

    async fn stop(&self, job: JobId, stop: Stop) -> Result<()> {
        self.queue.with(job, |kept| {
            kept.state = match stop {
                Stop::Pause => JobState::Paused,
                Stop::Cancel => JobState::Cancelled,
            };
            Ok(())
        })
    }

    async fn resume(&self, job: JobId) -> Result<ResumePoint> {
        self.queue.with(job, |kept| {
            let (state, sealed) = (kept.state, kept.state == JobState::Sealed);
            if state == JobState::Paused {
                kept.state = JobState::Open;
            }
            let (next_seq, next_item) = (kept.chunks.len() as u64, kept.items());
            Ok(ResumePoint { request: kept.request.clone(), state, sealed, next_seq, next_item, cursor: Bytes::new() })
        })
    }

    async fn delete(&self, job: JobId) -> Result<()> {
        self.queue.with(job, |kept| match kept.state.is_final() {
            true => Ok(()),
            false => Err(ApiError::new(ErrorKind::Conflict, "it has not ended")),
        })?;
        self.queue.jobs().remove(&job);
        Ok(())
    }

    async fn dead(&self, filter: DeadFilter, after: Option<DeadId>, limit: usize) -> Result<Vec<DeadLetter>> {
        self.queue.selections.lock().unwrap().push(filter);
        let last = after.map_or(u64::MAX, |after| after.run);
        let letters = (0..5).rev().filter(|run| *run < last).map(|run| letter(run, JobId::from_bytes([0; 16])));
        Ok(letters.take(limit.min(self.queue.letters.load(SeqCst))).collect())
    }

    async fn dead_letter(&self, id: DeadId) -> Result<DeadDetail> {
        let input = Some(Bytes::from_static(b"\xff\0"));
        Ok(DeadDetail { letter: letter(id.run, id.job), input, log: "it said".to_owned() })
    }

    async fn retry_dead(&self, filter: DeadFilter) -> Result<u64> {
        self.queue.selections.lock().unwrap().push(filter);
        Ok(2)
    }

    async fn discard_dead(&self, filter: DeadFilter) -> Result<u64> {
        self.queue.selections.lock().unwrap().push(filter);
        Ok(3)
    }

    async fn plugin_limits(&self, _: &str) -> Result<PluginLimits> {
        Ok(PluginLimits { max_parallel: Some(4), rate: None })
    }

    async fn set_plugin_limits(&self, _: &str, _: PluginLimits) -> Result<()> {
        Ok(())
    }

    async fn schedules(&self) -> Result<Vec<ScheduleInfo>> {
        Ok(Vec::new())
    }

    async fn add_schedule(&self, spec: ScheduleSpec) -> Result<ScheduleInfo> {
        Ok(schedule(&spec.name, false, &self.author))
    }

    async fn pause_schedule(&self, name: &str, paused: bool) -> Result<ScheduleInfo> {
        Ok(schedule(name, paused, &self.author))
    }

    async fn remove_schedule(&self, _: &str) -> Result<()> {
        Ok(())
    }

    async fn agents(&self) -> Result<Vec<AgentStatus>> {
        Ok(Vec::new())
    }

    async fn agent(&self, _: &str) -> Result<AgentDetail> {
        not_here("agents")
    }

    async fn drain_agent(&self, _: &str, _: bool) -> Result<AgentDetail> {
        not_here("agents")
    }

    async fn revoke_agent(&self, _: &str, _: &str) -> Result<AgentDetail> {
        not_here("agents")
    }

    async fn join_tokens(&self) -> Result<Vec<JoinTokenInfo>> {
        Ok(Vec::new())
    }

    async fn revoke_join_token(&self, _: &str) -> Result<()> {
        Ok(())
    }

    async fn create_join_token(&self, _: JoinSpec) -> Result<NewJoinToken> {
        let info = JoinTokenInfo {
            id: "join-1".to_owned(),
            author: self.author.clone(),
            created_ms: 1,
            expires_ms: 5,
            uses: 1,
            left: 1,
            labels: Vec::new(),
        };
        Ok(NewJoinToken { info, secret: "join me".to_owned(), hub: "localhost:4781".to_owned() })
    }

    async fn tokens(&self) -> Result<Vec<TokenInfo>> {
        Ok(Vec::new())
    }

    async fn create_token(&self, spec: TokenSpec) -> Result<NewToken> {
        let info = TokenInfo { name: spec.name, role: spec.role, created_ms: 5, expires_ms: None, yours: false };
        Ok(NewToken { info, secret: "hush".to_owned() })
    }

    async fn revoke_token(&self, _: &str) -> Result<()> {
        Ok(())
    }

    async fn status(&self) -> Result<HostStatus> {
        // A request that goes on for a while, for tests of what happens meanwhile.
        tokio::time::sleep(Duration::from_millis(200)).await;
        not_here("status")
    }

    async fn stats(&self) -> Result<HostStats> {
        assert!(!self.queue.panics.load(SeqCst), "the double panics as it was told");
        not_here("figures")
    }

    async fn events(&self, filter: EventFilter, limit: usize) -> Result<Vec<Event>> {
        let last = *self.queue.log.borrow();
        Ok((filter.after + 1..=last).take(limit).map(event).collect())
    }

    async fn last_events(&self, _: Option<JobId>, before: Option<u64>, limit: usize) -> Result<Vec<Event>> {
        let last = self.queue.log.borrow().min(before.unwrap_or(u64::MAX).saturating_sub(1));
        Ok((1..=last).skip((last as usize).saturating_sub(limit)).map(event).collect())
    }

    async fn follow_events(&self, filter: EventFilter) -> Result<BoxStream<'static, Result<Event>>> {
        Ok(numbers(filter.after, self.queue.log.subscribe()).map(event).map(Ok).boxed())
    }

    async fn backup(&self) -> Result<BoxStream<'static, Result<Bytes>>> {
        Ok(stream::iter(["one ", "two"]).map(|piece| Ok(Bytes::from_static(piece.as_bytes()))).boxed())
    }
}
