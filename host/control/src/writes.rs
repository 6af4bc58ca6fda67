//! What the owner begins and does not wait for: writes to the store, each in a task that ends in a [`Done`].

use std::sync::Arc;

use pigeon_api::{ApiError, JobState};
use pigeon_hub::Recorder;
use pigeon_protocol::id::{JobId, RunIndex};
use pigeon_scheduler::{End, Grant};
use pigeon_store::Store;
use tokio::{sync::OwnedSemaphorePermit, task::JoinSet};

use crate::{dispatch::Needed, error::store_error, job::Job, record::Recording};

/// A job, with what the owner knows of it besides.
pub(crate) struct Owned {
    pub(crate) job: Arc<Job>,
    /// Writes under way.
    pub(crate) writes: usize,
    /// How it ended, for the scheduler.
    pub(crate) end: Option<End>,
}

/// How a task of the owner's ended.
pub(crate) enum Done {
    /// A write of the job.
    Write { job: JobId, verdicts: [u64; 3], result: Result<(), ApiError> },
    /// The job's end is on disk.
    End { job: JobId, state: JobState, result: Result<(), ApiError> },
    /// A lease's bodies were read.
    Fetched { job: Arc<Job>, needed: Needed, grant: Grant, result: Result<(), ApiError> },
}

/// Record outcomes in a task; then their agent may forget them.
pub(crate) fn write(
    tasks: &mut JoinSet<Done>,
    store: &Arc<dyn Store>,
    owned: &mut Owned,
    recording: Recording,
    told: Option<(Recorder, OwnedSemaphorePermit)>,
) {
    owned.writes += 1;
    let (store, job) = (store.clone(), owned.job.id);
    let Recording { batch, verdicts } = recording;
    tasks.spawn(async move {
        let result = store.record(batch).await;
        let result = match result {
            Ok(_) => {
                if let Some((recorder, _permit)) = told {
                    recorder.done();
                }
                Ok(())
            }
            // Dropping the recorder tells the agent to keep them.
            Err(error) => Err(store_error(format!("failed to record outcomes of job {job}"), error)),
        };
        Done::Write { job, verdicts, result }
    });
}

/// Keep in mind what runs have been through, in a task.
pub(crate) fn remember(
    tasks: &mut JoinSet<Done>,
    store: &Arc<dyn Store>,
    owned: &mut Owned,
    attempts: Vec<(RunIndex, pigeon_store::Attempts)>,
) {
    owned.writes += 1;
    let (store, job, epoch) = (store.clone(), owned.job.id, owned.job.epoch());
    tasks.spawn(async move {
        let result = store.put_attempts(job, epoch, attempts).await;
        let result = result.map_err(|error| store_error(format!("failed to record attempts of job {job}"), error));
        Done::Write { job, verdicts: [0; 3], result }
    });
}
