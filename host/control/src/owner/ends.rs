//! How jobs end, and what was begun for them.

use std::collections::hash_map::Entry;

use pigeon_api::{ApiError, ErrorKind, EventKind, JobState, Progress};
use pigeon_protocol::{
    id::{Digest, JobId, RunIndex},
    message::RunRange,
};
use pigeon_scheduler::{End, Why};
use pigeon_store::{JobEnd, NewEvent};
use tokio::sync::oneshot;

use super::{Owner, TakenBack};
use crate::{
    clock,
    error::store_error,
    job::Job,
    journal::{About, HOST, entry},
    status,
    watch::again,
    writes::{Done, Owned},
};

impl Owner {
    pub(super) fn done(&mut self, done: Done) {
        match done {
            Done::Write { job, verdicts, judged, ended, result } => {
                let counted = self.jobs.get_mut(&job).map(|owned| {
                    // None is left of a job whose tasks were lost.
                    owned.writes = owned.writes.saturating_sub(1);
                    owned.job.clone()
                });
                match (counted, result) {
                    (Some(counted), Ok(())) => {
                        self.tools.figures.landed(clock::now_ms(), verdicts);
                        counted.recorded(verdicts, judged);
                        if ended {
                            return self.rest(job, JobState::Finished);
                        }
                    }
                    (Some(_), Err(error)) => self.broke(job, error),
                    (None, _) => {}
                }
                self.finish(job);
            }
            Done::End { job, state, result } => self.ended(job, state, result),
            Done::TakenBack { job, taken_back } => {
                if let Some(owned) = self.jobs.get_mut(&job) {
                    owned.writes = owned.writes.saturating_sub(1);
                }
                if let Some(taken_back) = taken_back {
                    self.taken_back(job, taken_back);
                }
                self.finish(job);
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
            if let Some(owned) = self.jobs.get_mut(&job) {
                owned.writes = 0;
            }
            self.finish(job);
        }
    }

    /// The machinery failed for a job: nothing more of it is leased, and whoever watches is told. Once nothing of it is
    /// under way it is at rest, and may be taken up again.
    pub(super) fn broke(&mut self, job: JobId, error: ApiError) {
        let Some(owned) = self.jobs.get(&job) else { return };
        if owned.job.now().broken.is_some() {
            return;
        }
        tracing::error!(%job, error = &error as &dyn std::error::Error, "a job cannot go on");
        let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
        self.tools.journal.note(HOST, EventKind::JobBroken, About::job(job), format!("{error}{cause}"));
        owned.job.broke(error);
        let now = self.now();
        self.scheduler.stop(now, job, Why::Cancel);
    }

    /// Have a job not end before it is known which of its outcomes are taken back. False if it does not go on anyway.
    pub(super) fn hold(&mut self, id: JobId, taken_back: oneshot::Receiver<TakenBack>) -> bool {
        let goes_on = self.scheduler.goes_on(id);
        let Some(owned) = self.jobs.get_mut(&id).filter(|_| goes_on) else { return false };
        owned.writes += 1;
        self.tasks.spawn(async move { Done::TakenBack { job: id, taken_back: taken_back.await.ok() } });
        true
    }

    /// Outcomes of a job that is held are on disk no longer. One that is stopping takes nothing back: whoever takes it up
    /// reads what is on disk.
    fn taken_back(&mut self, id: JobId, TakenBack { runs, misfits, goes_on }: TakenBack) {
        let Some(owned) = self.jobs.get_mut(&id) else { return };
        if owned.end == Some(End::Complete) {
            // Every other run was done meanwhile. What is under way of it has to be on disk before it is given up.
            owned.taken_back = Some(goes_on);
            return;
        }
        let (job, now) = (owned.job.clone(), self.now());
        let ranges = runs.iter().map(|run| RunRange { first: run.0, count: 1 });
        let taken = self.scheduler.take_back(now, id, ranges);
        if !taken.is_empty()
            && let Some(owned) = self.jobs.get_mut(&id)
        {
            let since_ms = job.accepted_ms();
            // Each was asked for by itself.
            let unjudged = taken.iter().filter_map(|range| {
                let (_, chunk) = job.chunk_of(RunIndex(range.first))?;
                Some(owned.backlog.take_back(range.first..range.first + range.count, chunk, since_ms))
            });
            job.taken_back(taken.iter().map(|range| range.count).sum(), unjudged.sum());
            self.resolve(now, id, misfits);
        }
        // Who asked may have gone.
        let _ = goes_on.send(true);
    }

    /// What agents asked for is not in our store: no run of these jobs can be made, and none of them is to blame.
    pub(super) fn lacking(&mut self, plugin: Digest, error: &ApiError) {
        let lack = self.jobs.values().filter(|owned| owned.job.plugin.digest == plugin);
        let lack = lack.filter(|owned| owned.job.now().ended.is_none());
        for job in lack.map(|owned| owned.job.id).collect::<Vec<_>>() {
            self.broke(job, again(error));
        }
    }

    /// Write down how long the jobs were worked at of which something is leased. A job that has runs to make and that no
    /// agent is at, now as at the last look, rests: its time stands still, and is written once. Where none was before either,
    /// it was not worked at.
    pub(super) fn note_work(&mut self) {
        // What was leased a moment ago, the last time that it was asked, is not any more.
        let now = self.now();
        self.scheduler.tick(now);
        for (id, owned) in &mut self.jobs {
            if !owned.job.is_at_work() {
                continue;
            }
            let Some(view) = self.scheduler.job(*id) else { continue };
            let waits = !view.at_work && (view.ready || view.leases > 0);
            let rests = std::mem::replace(&mut owned.waits, waits) && waits;
            let noted = match rests {
                false => {
                    owned.job.rest(false);
                    // Whoever was lost sight of may be back, with what it holds.
                    owned.worked |= view.at_work;
                    view.leases > 0
                }
                true if std::mem::take(&mut owned.worked) => owned.job.rest(true),
                true => {
                    owned.job.waited();
                    false
                }
            };
            if !noted {
                continue;
            }
            let (store, job, worked_ms) = (self.tools.store.clone(), owned.job.clone(), owned.job.worked_ms());
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
        if owned.writes > 0 {
            return;
        }
        let Some(end) = owned.end.take() else { return };
        let (taken_back, broken) = (owned.taken_back.take(), owned.job.now().broken.is_some());
        if broken {
            // Who asked may have gone, here and below.
            let _ = taken_back.map(|goes_on| goes_on.send(true));
            return self.rest(id, JobState::Interrupted);
        }
        if let Some(goes_on) = taken_back {
            // It is not complete any more. Who asked has it taken up, or it rests.
            let job = owned.job.clone();
            self.forget(id);
            if goes_on.send(false).is_err() {
                job.end(JobState::Interrupted);
            }
            return;
        }
        debug_assert!(end != End::Complete || owned.job.now().backlog == 0, "bytes of {id} were not judged");
        let state = match end {
            End::Complete => JobState::Finished,
            End::Stopped(Why::FailFast) => JobState::Stopped,
            End::Stopped(Why::Cancel) => JobState::Cancelled,
            End::Stopped(Why::Pause) => JobState::Paused,
            End::Stopped(Why::Interrupt) => JobState::Interrupted,
        };
        let (job, worked_ms) = (owned.job.clone(), owned.job.worked_ms());
        let ending = ending(&job, state, &job.now().progress).map(|(end, told)| (end, owned.telling_at_last(told)));
        let store = self.tools.store.clone();
        self.tasks.spawn(async move {
            let result = match ending {
                Some((end, telling)) => telling.finish(id, job.epoch(), end).await,
                None => store.put_worked(id, job.epoch(), worked_ms).await,
            };
            let result = result.map_err(|error| store_error(format!("failed to end job {id}"), error));
            Done::End { job: id, state, result }
        });
    }

    /// A job's end is on disk, or could not be brought there.
    fn ended(&mut self, id: JobId, state: JobState, result: Result<(), ApiError>) {
        match result {
            Ok(()) => self.rest(id, state),
            Err(error) => {
                self.broke(id, error);
                self.rest(id, JobState::Interrupted);
            }
        }
    }

    /// Nothing more of a job happens here. One that has ended for good is given up.
    fn rest(&mut self, id: JobId, state: JobState) {
        let Some(owned) = self.forget(id) else { return };
        if state.is_final() {
            self.tools.kept.remove(id);
        }
        owned.job.end(state);
    }

    fn forget(&mut self, id: JobId) -> Option<Owned> {
        let now = self.now();
        self.scheduler.forget(now, id);
        let mut owned = self.jobs.remove(&id)?;
        owned.tell();
        Some(owned)
    }
}

/// A job's end when it is so far, and what the log says of it; nothing where it has not ended: whoever had it wait has told.
pub(super) fn ending(job: &Job, state: JobState, progress: &Progress) -> Option<(JobEnd, NewEvent)> {
    use pigeon_store::JobState::{Cancelled, Completed, FailedFast};
    let (kept, author, kind, how) = match state {
        JobState::Finished => (Completed, HOST, EventKind::JobFinished, "has ended"),
        JobState::Stopped => (FailedFast, HOST, EventKind::JobStopped, "stopped at a run that was not valid"),
        JobState::Cancelled => (Cancelled, job.canceller().unwrap_or(HOST), EventKind::JobCancelled, "was cancelled"),
        _ => return None,
    };
    let (summary, worked_ms, at_ms) = (status::summary(progress), job.worked_ms(), clock::now_ms());
    let end = JobEnd { state: kept, summary, worked_ms, at_ms };
    Some((end, entry(author, kind, About::job(job.id), format!("{how}: {}", figures(progress)))))
}

fn figures(progress: &Progress) -> String {
    let left = match progress.planned.saturating_sub(progress.done) {
        0 => String::new(),
        left => format!(", {left} not made"),
    };
    format!("{} valid, {} invalid, {} failures{left}", progress.valid, progress.invalid, progress.failures)
}
