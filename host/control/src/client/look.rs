//! What is told of jobs.

use std::sync::Arc;

use futures::stream::BoxStream;
use pigeon_api::{
    ErrorKind, ItemResult, JobEvent, JobFilter, JobState, JobStatus, JobSummary, PluginInfo, Problem, Result, Waiting,
    Watch,
};
use pigeon_protocol::id::JobId;
use pigeon_store::JobRecord;

use super::Client;
use crate::{clock, core::Core, error::store_error, owner::Command, results, status, watch};

/// Jobs read at a time where not all of them are told.
const PAGE: u32 = 256;

impl Client {
    pub(super) async fn watch_job(&self, id: JobId, watch: Watch) -> Result<BoxStream<'static, Result<JobEvent>>> {
        match self.core.owned(id).filter(|_| !watch.past) {
            Some(job) => Ok(watch::events(self.core.store.clone(), &job, watch)),
            None => {
                let record = self.core.record(id).await?;
                let state = self.core.state(&record);
                Ok(watch::past(self.core.store.clone(), &record, state, watch))
            }
        }
    }

    pub(super) async fn job_status(&self, id: JobId) -> Result<JobStatus> {
        // Looked at first: what has ended by now is on disk with all its time.
        let at_work = self.core.owned(id).filter(|job| job.is_at_work());
        let record = self.core.record(id).await?;
        let tally = self.core.store.tally(id).await;
        let tally = tally.map_err(|error| store_error(format!("failed to read the figures of job {id}"), error))?;
        let plugin = self.core.registry.by_digest(record.job.plugin).await?;
        let state = self.core.state(&record);
        let worked_ms = at_work.map_or(record.worked_ms, |job| job.worked_ms());
        let waiting = self.core.waiting(id, state).await?;
        let request = self.core.request(&record)?;
        let broken = if state == JobState::Interrupted { self.core.broken(id) } else { None };
        Ok(JobStatus {
            broken: broken.map(|error| Problem::from(&*error)),
            ..status::status(&record, request, state, Arc::unwrap_or_clone(plugin), &tally, worked_ms, waiting)
        })
    }

    pub(super) async fn list_jobs(&self, filter: JobFilter) -> Result<Vec<JobSummary>> {
        let limit = filter.limit.unwrap_or(usize::MAX);
        let mut wanted = pigeon_store::JobFilter {
            unfinished: filter.unfinished,
            plugin: filter.plugin,
            before: filter.before,
            ..Default::default()
        };
        // What the store cannot tell apart is looked at here, page by page.
        let exact = match filter.state {
            None => true,
            Some(state) => narrow(&mut wanted, state),
        };
        wanted.limit = match exact {
            true => filter.limit.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX)),
            false => Some(PAGE),
        };
        let mut summaries = Vec::new();
        while summaries.len() < limit {
            let records = self.core.store.jobs(wanted.clone()).await;
            let records = records.map_err(|error| store_error("failed to list the jobs", error))?;
            let last = records.last().map(|record| record.job.id);
            let more = wanted.limit.is_some_and(|page| records.len() == page as usize);
            for record in records {
                let state = self.core.state(&record);
                if summaries.len() < limit && filter.state.is_none_or(|wanted| wanted == state) {
                    summaries.push(self.core.summary(&record, state).await?);
                }
            }
            if exact || !more {
                break;
            }
            wanted.before = last;
        }
        Ok(summaries)
    }

    pub(super) async fn list_ids(&self) -> Result<Vec<JobId>> {
        let records = self.core.store.jobs(pigeon_store::JobFilter::default()).await;
        let records = records.map_err(|error| store_error("failed to list the jobs", error))?;
        Ok(records.into_iter().map(|record| record.job.id).collect())
    }

    pub(super) async fn job_results(&self, id: JobId) -> Result<BoxStream<'static, Result<Vec<ItemResult>>>> {
        let record = self.core.record(id).await?;
        let vote = self.core.registry.by_digest(record.job.plugin).await?.metadata.vote;
        Ok(results::items(self.core.store.clone(), id, record.job.shape, vote))
    }
}

impl Core {
    /// Why nothing of a job is under way, if nothing is and it has not ended.
    async fn waiting(&self, id: JobId, state: JobState) -> Result<Option<Waiting>> {
        Ok(match state {
            JobState::Paused => Some(Waiting::Paused),
            JobState::Interrupted => Some(Waiting::Nobody),
            JobState::Open | JobState::Sealed => self.ask(|answer| Command::Waiting(id, answer)).await?,
            JobState::Stopped | JobState::Cancelled | JobState::Finished => None,
        })
    }

    /// A job in a list. Its runs are counted where they are known: a job that is at work counts them in memory, one that
    /// has ended has written them down.
    async fn summary(&self, record: &JobRecord, state: JobState) -> Result<JobSummary> {
        let id = record.job.id;
        let at_work = self.owned(id).filter(|job| job.is_at_work());
        let counted = match at_work {
            Some(job) => {
                let progress = job.now().progress;
                Some([progress.valid, progress.invalid, progress.failures])
            }
            None => status::counted(record),
        };
        let [valid, invalid, failures] = match counted {
            Some(counted) => counted,
            None => match self.store.tally(id).await {
                Ok(tally) => {
                    let total = tally.total();
                    [total.valid, total.invalid, total.failures]
                }
                // It was deleted a moment ago.
                Err(pigeon_store::StoreError::UnknownJob(_)) => [0; 3],
                Err(error) => return Err(store_error("failed to list the jobs", error)),
            },
        };
        Ok(JobSummary {
            id,
            plugin: self.plugin_name(record).await?,
            state,
            accepted_ms: clock::signed(record.job.created_ms),
            planned_runs: record.planned_runs(),
            total_runs: valid + invalid + failures,
            valid,
            invalid,
            failures,
            priority: record.job.priority,
            author: record.job.author.clone(),
        })
    }

    /// Name and version of a job's plugin; its digest if nothing more is known of it.
    pub(crate) async fn plugin_name(&self, record: &JobRecord) -> Result<String> {
        match self.registry.by_digest(record.job.plugin).await {
            Ok(plugin) => Ok(named(&plugin)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(record.job.plugin.to_string()),
            Err(error) => Err(error),
        }
    }
}

/// `gexpr 0.1.0`.
pub(crate) fn named(plugin: &PluginInfo) -> String {
    format!("{} {}", plugin.metadata.name, plugin.metadata.version)
}

/// Ask the store for jobs in this state alone, as far as it can tell. Whether it can.
fn narrow(filter: &mut pigeon_store::JobFilter, state: JobState) -> bool {
    use pigeon_store::JobState as Kept;
    let (kept, paused, exact) = match state {
        JobState::Open | JobState::Sealed | JobState::Interrupted => (Kept::Active, Some(false), false),
        JobState::Paused => (Kept::Active, Some(true), true),
        JobState::Stopped => (Kept::FailedFast, None, true),
        JobState::Cancelled => (Kept::Cancelled, None, true),
        JobState::Finished => (Kept::Completed, None, true),
    };
    (filter.states, filter.paused) = (vec![kept], paused);
    exact
}
