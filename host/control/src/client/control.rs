//! Jobs are paused, taken up again, cancelled and deleted.

use std::time::Duration;

use pigeon_api::{ApiError, ErrorKind, EventKind, JobState, Result, ResumePoint};
use pigeon_protocol::id::JobId;
use pigeon_scheduler::Why;
use pigeon_store::{JobEnd, JobRecord, StoreError};

use super::Client;
use crate::{
    clock,
    core::Core,
    error::store_error,
    journal::{About, entry},
    owner::Command,
    status,
};

/// How long a job that has just ended may be held by those who looked at it.
const LET_GO: Duration = Duration::from_secs(5);

impl Client {
    pub(super) async fn pause_job(&self, id: JobId) -> Result<()> {
        let record = self.core.record(id).await?;
        must_not_have_ended(&self.core, &record)?;
        if self.core.serving.is_none() {
            // Nobody else could have it go on: it is interrupted, and whoever comes takes it up.
            return match self.core.owned(id) {
                Some(_) => self.core.tell(Command::Stop(id, Why::Interrupt)).await,
                None => Err(ApiError::new(ErrorKind::Conflict, format!("job {id} was not taken up here"))),
            };
        }
        if record.paused {
            return Ok(());
        }
        let job = self.core.hold(&record).await?;
        let _alone = job.gate().write().await;
        if !job.is_at_work() {
            // What broke it may have left something under way.
            self.core.rested(&job).await?;
            self.core.journal.flush().await;
        }
        let told = entry(&self.author, EventKind::JobPaused, About::job(id), "was paused");
        let paused = self.core.journal.telling([told]).set_paused(id, job.epoch(), true).await;
        paused.map_err(|error| store_error(format!("failed to pause job {id}"), error))?;
        match job.is_at_work() {
            true => {
                // At once: whoever has it go on next waits until it has come to rest.
                job.change(|pulse| (pulse.stopping, pulse.pausing) = (true, true));
                self.core.tell(Command::Stop(id, Why::Pause)).await?;
            }
            false => {
                // Whatever broke it, it waits for somebody now.
                job.change(|pulse| pulse.broken = None);
                job.end(JobState::Paused);
            }
        }
        Ok(())
    }

    pub(super) async fn resume_job(&self, id: JobId) -> Result<ResumePoint> {
        let record = self.core.record(id).await?;
        if record.state.is_finished() {
            return self.point(&record);
        }
        self.core.must_be_open()?;
        let job = self.core.hold(&record).await?;
        let alone = job.gate().write().await;
        // What is under way of it ends first.
        if job.now().stopping {
            self.core.rested(&job).await?;
        }
        // From here on nobody else writes: what is read now stays true.
        let record = self.core.record(id).await?;
        let mut point = self.point(&record)?;
        if record.state.is_finished() {
            drop(alone);
            self.core.jobs.remove(id);
            return Ok(point);
        }
        if job.is_at_work() {
            self.core.tell_of_chunks(&job).await?;
            return Ok(point);
        }
        let told = entry(&self.author, EventKind::JobResumed, About::job(id), "was taken up again");
        if record.paused {
            let failed = |error| store_error(format!("failed to take up job {id}"), error);
            self.core.journal.written().await.map_err(failed)?;
            let going_on = self.core.journal.telling([told]).set_paused(id, job.epoch(), false).await;
            going_on.map_err(failed)?;
            self.core.take_up(&job, None).await?;
        } else {
            point.state = JobState::Interrupted;
            self.core.take_up(&job, Some(told)).await?;
        }
        Ok(point)
    }

    fn point(&self, record: &JobRecord) -> Result<ResumePoint> {
        Ok(ResumePoint {
            request: status::request(record)?,
            state: self.core.state(record),
            sealed: record.sealed.is_some(),
            next_seq: record.chunks,
            next_item: record.items,
            cursor: record.cursor.clone(),
        })
    }

    pub(super) async fn cancel_job(&self, id: JobId) -> Result<()> {
        let record = self.core.record(id).await?;
        if record.state == pigeon_store::JobState::Cancelled {
            return Ok(());
        }
        must_not_have_ended(&self.core, &record)?;
        let job = self.core.hold(&record).await?;
        let alone = job.gate().write().await;
        if job.is_at_work() {
            job.cancelled_by(&self.author);
            self.core.tell(Command::Stop(id, Why::Cancel)).await?;
        }
        // Nothing is said before it is on disk. Its end, another or none, may have been on its way already.
        self.core.rested(&job).await?;
        if job.now().ended.is_some_and(JobState::is_final) {
            return Ok(());
        }
        let end = JobEnd::new(pigeon_store::JobState::Cancelled, clock::now_ms());
        let told = entry(&self.author, EventKind::JobCancelled, About::job(id), "was cancelled");
        let store = self.core.journal.telling([told]);
        let finish = async || {
            self.core.journal.written().await?;
            store.finish(id, job.epoch(), end.clone()).await
        };
        match self.core.room.in_need(finish).await {
            Ok(()) => {}
            // It ended by itself while this waited.
            Err(StoreError::Finished(_)) => return Ok(()),
            Err(error) => return Err(store_error(format!("failed to cancel job {id}"), error)),
        }
        job.end(JobState::Cancelled);
        drop(alone);
        self.core.jobs.remove(id);
        Ok(())
    }

    pub(super) async fn delete_job(&self, id: JobId) -> Result<()> {
        let attempted = || format!("failed to delete job {id}");
        let deadline = tokio::time::Instant::now() + LET_GO;
        let told = entry(&self.author, EventKind::JobDeleted, About::job(id), "was deleted");
        let store = self.core.journal.telling([told]);
        loop {
            let record = self.core.record(id).await?;
            if self.core.owned(id).is_some() {
                // The store would only say that somebody has it: this process does.
                must_have_ended(&self.core, &record)?;
            }
            match self.core.room.in_need(|| store.delete(id)).await {
                Ok(()) => break,
                // If it is by now, it goes the next time.
                Err(StoreError::NotFinished(_)) => must_have_ended(&self.core, &self.core.record(id).await?)?,
                // Whoever looked at it when it ended lets it go in a moment.
                Err(StoreError::Busy { .. })
                    if record.state.is_finished() && tokio::time::Instant::now() < deadline =>
                {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => return Err(store_error(attempted(), error)),
            }
        }
        self.core.kept.forget();
        Ok(())
    }
}

fn must_have_ended(core: &Core, record: &JobRecord) -> Result<()> {
    let state = core.state(record);
    if state.is_final() {
        return Ok(());
    }
    let id = record.job.id;
    Err(ApiError::new(ErrorKind::Conflict, format!("job {id} has not ended: it is {}", status::word(&state)))
        .hint(format!("pigeon jobs cancel {id} ends it, if nobody wants the rest; then it can be deleted")))
}

fn must_not_have_ended(core: &Core, record: &JobRecord) -> Result<()> {
    let ended = match core.state(record) {
        JobState::Finished => "is finished",
        JobState::Stopped => "has stopped at a run that was invalid or failed",
        JobState::Cancelled => "was cancelled",
        JobState::Open | JobState::Sealed | JobState::Interrupted | JobState::Paused => return Ok(()),
    };
    Err(ApiError::new(ErrorKind::Conflict, format!("job {} {ended}", record.job.id)))
}
