//! How jobs end, and what was begun for them.

use std::collections::hash_map::Entry;

use pigeon_api::{ApiError, ErrorKind, JobState};
use pigeon_protocol::id::{Digest, JobId};
use pigeon_scheduler::{End, Why};

use super::Owner;
use crate::{clock, error::store_error, watch::again, writes::Done};

impl Owner {
    pub(super) fn done(&mut self, done: Done) {
        match done {
            Done::Write { job, verdicts, judged, result } => {
                let Some(owned) = self.jobs.get_mut(&job) else { return };
                owned.writes -= 1;
                match result {
                    Ok(()) => owned.job.recorded(verdicts, judged),
                    Err(error) => self.broke(job, error),
                }
                self.finish(job);
            }
            Done::End { job, state, result } => {
                let Some(owned) = self.jobs.get(&job) else { return };
                match result {
                    Ok(()) => owned.job.change(|pulse| pulse.ended = Some(state)),
                    Err(error) => owned.job.broke(error),
                }
            }
            Done::Noted => {}
            Done::Fetched { job, needed, grant, result } => match result {
                Ok(()) => self.send(&needed, grant),
                Err(error) => {
                    let now = self.now();
                    self.scheduler.unsent(now, grant.session, grant.lease, grant.fence);
                    self.broke(job.id, error);
                }
            },
        }
    }

    /// A task panicked, and whose it was is not known: nothing here can go on as if it had ended well.
    pub(super) fn lost(&mut self, lost: &tokio::task::JoinError) {
        for job in self.jobs.keys().copied().collect::<Vec<_>>() {
            self.broke(job, ApiError::new(ErrorKind::Internal, format!("a task of the control host was lost: {lost}")));
        }
    }

    /// The machinery failed for a job: nothing more of it is leased, and whoever watches is told.
    pub(super) fn broke(&mut self, job: JobId, error: ApiError) {
        let Some(owned) = self.jobs.get(&job) else { return };
        if owned.job.pulse().borrow().broken.is_some() {
            return;
        }
        tracing::error!(%job, error = &error as &dyn std::error::Error, "a job cannot go on");
        owned.job.broke(error);
        let now = self.now();
        self.scheduler.stop(now, job, Why::Cancel);
    }

    /// What agents asked for is not in our store: no run of these jobs can be made, and none of them is to blame.
    pub(super) fn lacking(&mut self, plugin: Digest, error: &ApiError) {
        let lack = self.jobs.values().filter(|owned| owned.job.plugin.digest == plugin);
        let lack = lack.filter(|owned| owned.job.pulse().borrow().ended.is_none());
        for job in lack.map(|owned| owned.job.id).collect::<Vec<_>>() {
            self.broke(job, again(error));
        }
    }

    /// Write down how long the jobs were worked at of which something is leased. A job whose runs no agent has, now as
    /// at the last look, rests: its time stands still, and is written once.
    pub(super) fn note_work(&mut self) {
        for (id, owned) in &mut self.jobs {
            let pulse = owned.job.pulse();
            if pulse.borrow().ended.is_some() || pulse.borrow().broken.is_some() {
                continue;
            }
            let Some(view) = self.scheduler.job(*id) else { continue };
            let waits = view.ready && view.leases == 0;
            let waited = std::mem::replace(&mut owned.waits, waits);
            let changed = owned.job.rest(waits && waited);
            if view.leases == 0 && !changed {
                continue;
            }
            let (store, job, worked_ms) = (self.store.clone(), owned.job.clone(), owned.job.worked_ms());
            self.tasks.spawn(async move {
                if let Err(error) = store.put_worked(job.id, job.epoch(), worked_ms).await {
                    // Outcomes that cannot be written end the job; this alone does not.
                    tracing::debug!(job = %job.id, %error, "failed to note how long a job was worked at");
                }
                Done::Noted
            });
        }
    }

    /// End a job, if it has ended and all that it wrote is on disk.
    pub(super) fn finish(&mut self, id: JobId) {
        let Entry::Occupied(mut owned) = self.jobs.entry(id) else { return };
        let owned = owned.get_mut();
        if owned.writes > 0 || owned.job.pulse().borrow().broken.is_some() {
            return;
        }
        let Some(end) = owned.end.take() else { return };
        debug_assert!(end != End::Complete || owned.job.pulse().borrow().backlog == 0, "bytes of {id} were not judged");
        let (state, kept) = match end {
            End::Complete => (JobState::Finished, Some(pigeon_store::JobState::Completed)),
            End::Stopped(Why::FailFast) => (JobState::Stopped, Some(pigeon_store::JobState::FailedFast)),
            End::Stopped(Why::Cancel) => (JobState::Stopped, Some(pigeon_store::JobState::Cancelled)),
            End::Stopped(Why::Pause | Why::Interrupt) => (JobState::Interrupted, None),
        };
        let (store, epoch, worked_ms) = (self.store.clone(), owned.job.epoch(), owned.job.worked_ms());
        self.tasks.spawn(async move {
            let end = async {
                match kept {
                    Some(kept) => store.finish(id, epoch, kept, bytes::Bytes::new(), clock::now_ms()).await,
                    None => Ok(()),
                }
            };
            // At once, so that one commit does for both.
            let (worked, ended) = tokio::join!(store.put_worked(id, epoch, worked_ms), end);
            let result = ended.and(worked).map_err(|error| store_error(format!("failed to end job {id}"), error));
            Done::End { job: id, state, result }
        });
    }
}
