//! Jobs come, grow, and change their owner.

use pigeon_protocol::{
    id::{RunIndex, Shape},
    message::RunRange,
};
use pigeon_scheduler::{Chunk, FailureClass, GroupLimits, JobAdmitted, LandingClass, Progress};

use super::{Job, MS, World, event::Event};
use crate::plan::{WALL, wanted};

impl World {
    pub(super) fn append(&mut self, job: usize) {
        let now = self.now();
        if self.jobs[job].admissions == 0 {
            self.admit(job);
        }
        let (id, plan, from) = (self.jobs[job].id, self.jobs[job].plan, self.jobs[job].appended);
        let count = (1 + self.below(100)).min(plan.items - from);
        let chunk = Chunk { first: from, count: count as u32, bytes: self.below(2 << 20) };
        self.scheduler.append(now, id, chunk);
        assert!(!self.scheduler.append(now, id, chunk), "a repeat");
        self.jobs[job].appended += count;
        self.resolve_misfits(job, from);
        if self.jobs[job].appended == plan.items {
            self.scheduler.seal(now, id);
        } else {
            let after = self.below(200 * MS);
            self.plan(after, Event::Append(job));
        }
    }

    pub(super) fn admit(&mut self, job: usize) {
        let now = self.now();
        self.jobs[job].admissions += 1;
        let Job { id, plan, .. } = self.jobs[job];
        self.model.admitted(id, plan.retry, plan.group);
        let recorded = self.model.jobs.entry(id).or_default();
        let attempts = recorded.attempts.iter().map(|(run, attempts)| (RunIndex(*run), *attempts)).collect();
        let progress = Progress { done: recorded.done.clone(), attempts };
        self.scheduler.admit(
            now,
            JobAdmitted {
                job: id,
                shape: Shape { places: plan.places, iterations: plan.iterations },
                priority: plan.priority,
                max_parallel: plan.max_parallel,
                retry: plan.retry,
                wall: WALL,
                group: plan.group,
                fail_fast: plan.fail_fast,
                max_agents: plan.max_agents,
                require: wanted(plan.require),
                prefer: wanted(plan.prefer),
                progress,
            },
        );
    }

    /// Items from `first` on that fit nowhere have their outcome before they are leased.
    fn resolve_misfits(&mut self, job: usize, first: u64) {
        let (plan, end) = (self.jobs[job].plan, self.jobs[job].appended);
        let misfits: Vec<_> =
            (first..end).filter(|item| plan.is_misfit(*item)).map(|item| plan.runs_of(item)).collect();
        self.resolve(job, &misfits, LandingClass::Failure(FailureClass::Permanent));
    }

    /// The runs of some item have an outcome without further work, wherever they are.
    pub(super) fn resolve_any(&mut self, job: usize) {
        let appended = self.jobs[job].appended;
        if appended > 0 {
            let item = self.below(appended);
            let runs = self.jobs[job].plan.runs_of(item);
            self.resolve(job, &[runs], LandingClass::Valid);
        }
    }

    fn resolve(&mut self, job: usize, runs: &[RunRange], class: LandingClass) {
        let (now, id) = (self.now(), self.jobs[job].id);
        let resolved = self.scheduler.resolve(now, id, runs.iter().copied(), class);
        self.model.resolved(id, &resolved, class);
        assert_eq!(self.scheduler.resolve(now, id, runs.iter().copied(), class), [], "a repeat");
    }

    pub(super) fn limit(&mut self, group: u64, limits: GroupLimits) {
        let now = self.now();
        self.scheduler.set_group(now, group, limits);
        self.model.limited(group, limits);
    }

    /// A job is forgotten in the midst of its work, and taken up again.
    pub(super) fn forget(&mut self, job: usize) {
        let Job { id, admissions, .. } = self.jobs[job];
        let ends = self.model.jobs.get(&id).map_or(0, |recorded| recorded.ends.len());
        if admissions > ends {
            // This admission has no end.
            self.jobs[job].admissions -= 1;
            self.take_up_again(job);
        }
    }

    /// A run that has its outcome is to be made again.
    pub(super) fn take_back(&mut self, job: usize) {
        let (now, id) = (self.now(), self.jobs[job].id);
        let drawn = self.below(1000);
        let Some(run) = self.model.any_done(id, drawn) else { return };
        let range = RunRange { first: run.0, count: 1 };
        let taken = self.scheduler.take_back(now, id, [range]);
        if !taken.is_empty() {
            assert_eq!(taken, [range]);
            self.model.taken_back(id, run);
            assert_eq!(self.scheduler.take_back(now, id, [range]), [], "a repeat");
        }
    }

    /// A job has ended, and what failed of it is made again.
    pub(super) fn make_failures_again(&mut self, job: usize) {
        let id = self.jobs[job].id;
        for run in self.model.failed(id) {
            self.model.taken_back(id, run);
        }
        self.take_up_again(job);
    }

    /// A paused job is taken up by another owner, who knows what was recorded. What was resolved last may not have been.
    pub(super) fn take_up_again(&mut self, job: usize) {
        let (now, id) = (self.now(), self.jobs[job].id);
        self.scheduler.forget(now, id);
        self.model.forgotten(id);
        self.act();
        self.model.has_nothing(id);
        let (plan, appended, items) = (self.jobs[job].plan, self.jobs[job].appended, self.jobs[job].plan.items);
        for item in (0..appended).filter(|item| plan.is_misfit(*item)) {
            if self.below(2) == 0 {
                self.model.lost(id, plan.runs_of(item));
            }
        }
        self.admit(job);
        if appended > 0 {
            self.scheduler.append(now, id, Chunk { first: 0, count: appended as u32, bytes: 1 << 20 });
            self.resolve_misfits(job, 0);
        }
        if appended == items {
            self.scheduler.seal(now, id);
        }
    }
}
