//! Outcomes: those that land, those of runs that no agent makes, and what runs have been through without one.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use pigeon_api::JobState;
use pigeon_hub::Landed;
use pigeon_protocol::{
    id::{AgentId, JobId, RunIndex},
    message::RunRange,
};
use pigeon_scheduler::{self as scheduler, End, FailureClass, LandingClass, Refusal, Ruling, Time};
use tokio::sync::OwnedSemaphorePermit;

use super::{Owner, ends::ending};
use crate::{
    fit::Misfit,
    job,
    record::{self, Recording},
    writes::{fail, remember, write},
};

/// Outcomes that were refused, by why.
#[derive(Default)]
struct Refused {
    by_reason: [u64; 3],
}

impl Refused {
    fn count(&mut self, why: Refusal) {
        self.by_reason[why as usize] += 1;
    }

    /// Those of leases that the agent does not hold, though it should know. On the lease's own stream an answer may have
    /// been on its way when the lease was taken; what an agent delivers later it was told of by every beat.
    fn not_held(&self, kept: bool) -> u64 {
        self.by_reason[Refusal::NotLeased as usize] + if kept { self.by_reason[Refusal::Stale as usize] } else { 0 }
    }
}

impl Owner {
    pub(super) fn landed(&mut self, now: Time, landed: Landed, permit: OwnedSemaphorePermit) {
        let Landed { session, agent, lease, fence, job, outcomes, begun, end, kept, recorded } = landed;
        // Nothing of what an agent says is believed: a lease of one job buys no outcome of another.
        let matches = self.scheduler.job_of(lease).is_none_or(|leased| leased == job);
        if let Some(owned) = self.jobs.get_mut(&job).filter(|_| matches) {
            owned.is_worked_at();
            self.landings.clear();
            self.landings.extend(outcomes.iter().map(record::landing));
            let tally = self.scheduler.landed(now, session, lease, fence, &self.landings, &mut self.rulings);
            let worker = self.fleet.name(agent).unwrap_or_else(|| agent.to_string().into());
            let mut refused = Refused::default();
            let attempts = self.attempts.get(&lease).copied().unwrap_or(1);
            let mut recording = Recording::new(&owned.job, worker, outcomes.len());
            let mut retried = Vec::new();
            for (outcome, ruling) in outcomes.iter().zip(&self.rulings) {
                match ruling {
                    Ruling::Record => recording.push(outcome, attempts),
                    Ruling::Retry { attempt, .. } => {
                        retried
                            .push((RunIndex(outcome.run), pigeon_store::Attempts { failed: attempt - 1, deaths: 0 }));
                        owned.tried_again(|| record::reason(outcome));
                    }
                    Ruling::Refuse(why) => refused.count(*why),
                }
            }
            self.tools.figures.refused(refused.by_reason);
            let not_held = refused.not_held(kept) > 0;
            if !not_held {
                self.fleet.landed(agent, &outcomes);
            }
            recording.judged = owned.backlog.judge_each(recording.runs());
            if !retried.is_empty() {
                owned.job.retried(u64::from(tally.retried));
                self.tools.figures.retried.fetch_add(u64::from(tally.retried), Relaxed);
                remember(&mut self.tasks, owned, retried);
            }
            if recording.batch.outcomes.is_empty() {
                match not_held {
                    true => recorded.refused(),
                    false => recorded.done(),
                }
            } else {
                let progress = job::counted(owned.job.now().progress, recording.verdicts);
                // The scheduler may count a dead letter that it has not told of yet: its outcome comes first.
                let all = progress.done == progress.planned && owned.may_end();
                let ends = all && self.scheduler.end_of(job) == Some(End::Complete);
                let end = ends.then(|| ending(&owned.job, JobState::Finished, &progress)).flatten();
                write(&mut self.tasks, owned, recording, end, Some((recorded, permit)));
            }
        } else {
            // A job that is not ours (any more): nobody waits for it here. But its agent moves.
            self.scheduler.landed(now, session, lease, fence, &[], &mut self.rulings);
            let mut refused = Refused::default();
            outcomes.iter().for_each(|_| refused.count(Refusal::Stale));
            self.tools.figures.refused(refused.by_reason);
            match refused.not_held(kept || !matches) {
                0 => recorded.done(),
                _ => recorded.refused(),
            }
        }
        if end {
            self.attempts.remove(&lease);
            self.scheduler.lease_ended(now, session, lease, fence);
        } else if !begun.is_empty() {
            self.scheduler.begun(now, session, lease, fence, &begun);
        }
    }

    /// Runs of items that fit nowhere have their outcomes before they are leased.
    pub(super) fn resolve(&mut self, now: Time, id: JobId, misfits: Vec<Misfit>) {
        let Some(owned) = self.jobs.get_mut(&id).filter(|_| !misfits.is_empty()) else { return };
        let count = owned.job.shape.runs_per_item();
        let runs = misfits.iter().map(|misfit| RunRange { first: misfit.item.saturating_mul(count), count });
        let resolved = self.scheduler.resolve(now, id, runs, LandingClass::Failure(FailureClass::Permanent));
        if !resolved.is_empty() {
            fail(&mut self.tasks, &self.tools.store, &self.tools.figures, owned, resolved, misfits);
        }
    }

    /// An agent held runs for longer than all attempts at them may take: they are made alone, or are dead letters.
    pub(super) fn held(&mut self, agent: AgentId, job: JobId, runs: u64, after: Duration) {
        let name = self.fleet.name(agent).map_or_else(|| agent.to_string(), |name| name.to_string());
        tracing::warn!(%job, agent = %name, runs, seconds = after.as_secs(), "runs held beyond their time are taken away");
        if let Some(owned) = self.jobs.get_mut(&job) {
            owned.tried_again(|| format!("{name} held runs for longer than they may take"));
        }
    }

    pub(super) fn remember(&mut self, job: JobId, run: RunIndex, attempts: scheduler::Attempts) {
        let Some(owned) = self.jobs.get_mut(&job) else { return };
        owned.job.retried(1);
        self.tools.figures.retried.fetch_add(1, Relaxed);
        let attempts = pigeon_store::Attempts { failed: attempts.failures, deaths: attempts.deaths };
        remember(&mut self.tasks, owned, vec![(run, attempts)]);
    }

    pub(super) fn dead_letter(&mut self, job: JobId, run: RunIndex, evidence: &[scheduler::Death]) {
        let name = |death: &scheduler::Death| {
            self.fleet.name(death.agent).map_or_else(|| death.agent.to_string(), |name| name.to_string())
        };
        let worker = evidence.last().map_or_else(|| "unknown".to_owned(), &name);
        let outcome = record::agent_lost(run, evidence, name, |death| self.wall_before(death.at));
        let Some(owned) = self.jobs.get_mut(&job) else { return };
        let mut recording = Recording::new(&owned.job, worker.into(), 1);
        recording.push(&outcome, u32::try_from(evidence.len()).unwrap_or(u32::MAX).max(1));
        recording.judged = owned.backlog.judge(run.0..run.0.saturating_add(1));
        write(&mut self.tasks, owned, recording, None, None);
    }
}
