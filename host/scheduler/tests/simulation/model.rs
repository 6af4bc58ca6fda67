//! What must hold, kept apart from the scheduler: who holds which lease, and which runs have an outcome.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use pigeon_protocol::{
    id::{Fence, JobId, LeaseId, RunIndex, SessionId},
    message::RunRange,
};
use pigeon_scheduler::{
    Action, Attempts, End, FailureClass, Grant, GroupLimits, Landing, LandingClass, RetryPolicy, Ruling, RunSet, Time,
};

/// A lease as the model sees it.
struct Held {
    session: SessionId,
    fence: Fence,
    job: JobId,
    open: BTreeSet<u64>,
    alone: bool,
    renewed: Time,
    /// Its session is gone, its agent perhaps not.
    orphan: bool,
}

/// A job as the model sees it.
#[derive(Default)]
pub(crate) struct Recorded {
    pub(crate) done: RunSet,
    /// Those of them that were resolved without a lease.
    resolved: RunSet,
    pub(crate) attempts: BTreeMap<u64, Attempts>,
    pub(crate) deaths: BTreeMap<u64, u32>,
    pub(crate) ends: Vec<End>,
    pub(crate) bad: bool,
    failed: BTreeSet<u64>,
    retry: Option<RetryPolicy>,
    group: u64,
}

/// What was handed out of a group under the limits that it has.
#[derive(Default)]
struct Given {
    limits: GroupLimits,
    grants: Vec<(Time, u64)>,
}

#[derive(Default)]
pub(crate) struct Model {
    held: BTreeMap<LeaseId, Held>,
    /// Leases of unreachable agents that have nothing left to do: a copy has done it. They may have ended without a
    /// word. Whatever comes under them must be refused anyway, as each of their runs is recorded.
    superfluous: BTreeSet<LeaseId>,
    pub(crate) jobs: BTreeMap<JobId, Recorded>,
    groups: BTreeMap<u64, Given>,
    fences: BTreeSet<u64>,
    /// Sessions that are stalled, and what they had.
    stalled: BTreeMap<SessionId, BTreeSet<LeaseId>>,
    life: Duration,
}

impl Model {
    pub(crate) fn new(life: Duration) -> Self {
        Self { life, ..Self::default() }
    }

    pub(crate) fn acted(&mut self, now: Time, action: &Action) {
        match action {
            Action::Lease(grant) => self.granted(now, grant),
            Action::Cancel { session, leases } => {
                for lease in leases {
                    if self.superfluous.remove(lease) {
                        continue;
                    }
                    let held = self.held.remove(lease).unwrap_or_else(|| panic!("{lease:?} cancelled, but not live"));
                    assert_eq!(held.session, *session, "{lease:?} cancelled at the wrong session");
                }
            }
            Action::Stalled { session, leases, .. } => {
                for lease in leases {
                    if let Some(held) = self.held.remove(lease) {
                        assert_eq!(held.session, *session, "{lease:?} taken from the wrong session");
                    } else {
                        assert!(self.superfluous.remove(lease), "{lease:?} taken, but not live");
                    }
                }
                self.stalled.insert(*session, leases.iter().copied().collect());
            }
            Action::Moves { session } => {
                assert!(self.stalled.remove(session).is_some(), "{session:?} moves, and was not stalled");
            }
            // Its session is over, as its world sees to.
            Action::Lost { .. } => {}
            Action::Held { job, runs, .. } => {
                for run in runs {
                    *self.jobs.entry(*job).or_default().deaths.entry(run.0).or_default() += 1;
                }
            }
            Action::Remember { job, run, attempts } => {
                self.jobs.entry(*job).or_default().attempts.insert(run.0, *attempts);
            }
            Action::DeadLetter { job, run, .. } => {
                let recorded = self.jobs.entry(*job).or_default();
                assert!(recorded.deaths.get(&run.0).is_some_and(|deaths| *deaths >= 2), "{run:?} died less than twice");
                assert!(recorded.done.insert(*run), "{run:?} dead-lettered though it has an outcome");
                recorded.bad = true;
                recorded.failed.insert(run.0);
            }
            Action::Finished { job, end } => self.jobs.entry(*job).or_default().ends.push(*end),
        }
    }

    fn granted(&mut self, now: Time, grant: &Grant) {
        assert_ne!(grant.fence, Fence(0));
        assert!(self.fences.insert(grant.fence.0), "a fence drawn twice");
        let runs: Vec<u64> = grant.runs.iter().flat_map(|range| range.first..range.first + range.count).collect();
        let open: BTreeSet<u64> = runs.iter().copied().collect();
        assert!(!runs.is_empty() && open.len() == runs.len(), "an empty lease, or a run twice in one: {grant:?}");
        assert!(!grant.alone || runs.len() == 1);
        assert!(!self.stalled.contains_key(&grant.session), "{:?} is stalled, and gets {grant:?}", grant.session);
        let mut others = self.held.values().filter(|held| held.session == grant.session);
        assert!(others.all(|held| !held.alone && !grant.alone), "a suspect that is not alone: {grant:?}");
        let resolved = &self.jobs.entry(grant.job).or_default().resolved;
        assert!(!runs.iter().any(|run| resolved.contains(RunIndex(*run))), "leased though resolved: {grant:?}");
        self.within_limits(now, grant.job, runs.len() as u64);
        let (session, fence, job, alone) = (grant.session, grant.fence, grant.job, grant.alone);
        self.held.insert(grant.lease, Held { session, fence, job, open, alone, renewed: now, orphan: false });
    }

    /// No more is leased of a group than it may.
    fn within_limits(&mut self, now: Time, job: JobId, runs: u64) {
        let group = self.jobs[&job].group;
        let Some(given) = self.groups.get_mut(&group) else { return };
        if let Some(most) = given.limits.max_leases {
            // Orphans that have nothing left to do end without a word.
            let ended = |held: &Held| {
                held.orphan && held.open.iter().all(|run| self.jobs[&held.job].done.contains(RunIndex(*run)))
            };
            let held = self.held.values().filter(|held| self.jobs[&held.job].group == group && !ended(held)).count();
            assert!(held < most as usize, "group {group} has {held} leases, and is given one more than {most}");
        }
        if let Some((most, per)) = given.limits.rate {
            given.grants.push((now, runs));
            let mut sum = 0;
            for (at, runs) in given.grants.iter().rev() {
                sum += runs;
                let came_in = u128::from(most) * now.since(*at).as_micros() / per.as_micros();
                assert!(u128::from(sum) <= u128::from(most) + came_in, "group {group}: {sum} runs since {at}");
            }
        }
    }

    /// A group has other limits.
    pub(crate) fn limited(&mut self, group: u64, limits: GroupLimits) {
        // What is leased already stays leased: with a bound on leases, only what comes is looked at.
        self.groups.insert(group, Given { limits, grants: Vec::new() });
    }

    pub(crate) fn admitted(&mut self, job: JobId, retry: RetryPolicy, group: u64) {
        let job = self.jobs.entry(job).or_default();
        (job.retry, job.group) = (Some(retry), group);
    }

    /// A job is owned no longer: what unreachable agents have of it ends without a word, and makes room for others.
    pub(crate) fn forgotten(&mut self, job: JobId) {
        self.held.retain(|_, held| held.job != job || !held.orphan);
    }

    /// Sees that nothing is left of a job that was forgotten.
    pub(crate) fn has_nothing(&self, job: JobId) {
        let left = self.held.iter().find(|(_, held)| held.job == job).map(|(lease, _)| lease);
        assert!(left.is_none(), "{left:?} of a job that is forgotten was not cancelled");
    }

    /// Some run that has an outcome, and that no lease has.
    pub(crate) fn any_done(&self, job: JobId, drawn: u64) -> Option<RunIndex> {
        let run = self.jobs.get(&job)?.done.next_from(RunIndex(drawn))?;
        let held = self.held.values().any(|held| held.job == job && held.open.contains(&run.0));
        (!held && self.superfluous.is_empty()).then_some(run)
    }

    /// Runs of a job that failed.
    pub(crate) fn failed(&self, job: JobId) -> Vec<RunIndex> {
        self.jobs.get(&job).map_or_else(Vec::new, |job| job.failed.iter().copied().map(RunIndex).collect())
    }

    /// A run counts as never made.
    pub(crate) fn taken_back(&mut self, job: JobId, run: RunIndex) {
        let job = self.jobs.entry(job).or_default();
        assert!(job.done.remove(run), "{run:?} taken back, but not done");
        job.resolved.remove(run);
        job.failed.remove(&run.0);
        job.attempts.remove(&run.0);
        job.deaths.remove(&run.0);
    }

    /// Sees rulings on outcomes, and that none of them was too kind.
    pub(crate) fn ruled(
        &mut self,
        now: Time,
        session: SessionId,
        lease: LeaseId,
        fence: Fence,
        landings: &[Landing],
        rulings: &[Ruling],
    ) {
        assert_eq!(landings.len(), rulings.len());
        let live = self
            .held
            .get_mut(&lease)
            .filter(|held| held.fence == fence && held.session == session && now.since(held.renewed) <= self.life);
        let Some(held) = live else {
            let refused = rulings.iter().all(|ruling| matches!(ruling, Ruling::Refuse(_)));
            assert!(refused, "{lease:?} is not live, {rulings:?}");
            return;
        };
        held.renewed = now;
        let job = self.jobs.entry(held.job).or_default();
        for (landing, ruling) in landings.iter().zip(rulings) {
            let was_open = held.open.remove(&landing.run.0);
            match ruling {
                Ruling::Refuse(_) => assert!(!was_open || job.done.contains(landing.run), "{landing:?} refused"),
                Ruling::Record => {
                    assert!(was_open, "{landing:?} recorded, but not leased");
                    assert!(job.done.insert(landing.run), "{landing:?} recorded twice");
                    job.bad |= landing.class != LandingClass::Valid;
                    if let LandingClass::Failure(class) = landing.class {
                        let attempt = job.attempts.get(&landing.run.0).map_or(0, |tried| tried.failures) + 1;
                        assert!(attempt >= bound(job.retry, class), "{landing:?} is final after {attempt} attempts");
                        job.failed.insert(landing.run.0);
                    }
                }
                Ruling::Retry { attempt, not_before } => {
                    assert!(was_open && *not_before >= now);
                    let LandingClass::Failure(class) = landing.class else { panic!("{landing:?} retried") };
                    let made = job.attempts.get(&landing.run.0).map_or(0, |tried| tried.failures) + 1;
                    assert_eq!(*attempt, made + 1);
                    assert!(made < bound(job.retry, class), "{landing:?} retried after {made} attempts");
                    job.attempts.entry(landing.run.0).or_default().failures = attempt - 1;
                }
            }
        }
        if held.open.is_empty() {
            self.held.remove(&lease);
        }
    }

    /// Runs have their outcome without an agent.
    pub(crate) fn resolved(&mut self, job: JobId, runs: &[RunRange], class: LandingClass) {
        let job = self.jobs.entry(job).or_default();
        for run in runs.iter().flat_map(|range| range.first..range.first + range.count) {
            assert!(job.done.insert(RunIndex(run)), "{run} resolved though it has an outcome");
            job.resolved.insert(RunIndex(run));
            job.bad |= class != LandingClass::Valid;
            if matches!(class, LandingClass::Failure(_)) {
                job.failed.insert(run);
            }
        }
    }

    /// What was resolved of these did not come onto the disk.
    pub(crate) fn lost(&mut self, job: JobId, runs: RunRange) {
        let job = self.jobs.entry(job).or_default();
        for run in (runs.first..runs.first + runs.count).map(RunIndex) {
            if job.resolved.remove(run) {
                job.failed.remove(&run.0);
                job.done.remove(run);
            }
        }
    }

    /// What a stalled session is left in the belief to have.
    pub(crate) fn believed(&self, session: SessionId) -> BTreeSet<LeaseId> {
        self.stalled.get(&session).cloned().unwrap_or_default()
    }

    pub(crate) fn renewed(
        &mut self,
        now: Time,
        session: SessionId,
        leases: &[LeaseId],
        unknown: &[LeaseId],
        believed: &BTreeSet<LeaseId>,
    ) {
        for lease in leases.iter().filter(|lease| !self.superfluous.contains(lease) && !believed.contains(lease)) {
            let life = self.life;
            let live = self.held.get_mut(lease).filter(|h| h.session == session && now.since(h.renewed) <= life);
            assert_eq!(live.is_none(), unknown.contains(lease), "{lease:?}");
            if let Some(held) = live {
                held.renewed = now;
            }
        }
    }

    pub(crate) fn ended(&mut self, session: SessionId, lease: LeaseId, fence: Fence) {
        if self.held.get(&lease).is_some_and(|held| held.session == session && held.fence == fence) {
            self.held.remove(&lease);
        }
    }

    /// A session is over, and with it its leases.
    pub(crate) fn gone(&mut self, now: Time, session: SessionId, died: bool) {
        let (life, jobs) = (self.life, &mut self.jobs);
        self.held.retain(|_, held| {
            if held.session == session && died && held.alone && now.since(held.renewed) <= life {
                for run in &held.open {
                    *jobs.entry(held.job).or_default().deaths.entry(*run).or_default() += 1;
                }
            }
            held.session != session
        });
    }

    pub(crate) fn orphaned(&mut self, session: SessionId) {
        self.held.values_mut().filter(|held| held.session == session).for_each(|held| held.orphan = true);
    }

    /// An agent is back in the same life.
    pub(crate) fn adopted(&mut self, former: SessionId, session: SessionId) {
        for held in self.held.values_mut().filter(|held| held.session == former) {
            (held.session, held.orphan) = (session, false);
        }
    }

    /// Orphans of which nothing is heard end without a word.
    pub(crate) fn passed(&mut self, now: Time) {
        let life = self.life;
        self.held.retain(|_, held| !held.orphan || now.since(held.renewed) <= life);
    }

    /// Looks for leases of unreachable agents that have nothing left to do.
    pub(crate) fn settle(&mut self) {
        let jobs = &self.jobs;
        let undone = |held: &Held, run: &u64| !jobs.get(&held.job).is_some_and(|job| job.done.contains(RunIndex(*run)));
        let settled = self.held.extract_if(.., |_, held| held.orphan && !held.open.iter().any(|run| undone(held, run)));
        self.superfluous.extend(settled.map(|(lease, _)| lease));
    }

    /// Sees how many live leases a job is said to have.
    pub(crate) fn counted(&self, job: JobId, leases: usize) {
        let held = self.held.values().filter(|held| held.job == job).count();
        assert!(held <= leases && leases <= held + self.superfluous.len(), "{leases} leases of {job}, and not {held}");
    }

    /// No lease is left that should have expired.
    pub(crate) fn none_outlives(&self, now: Time) {
        for (lease, held) in &self.held {
            assert!(now.since(held.renewed) <= self.life, "{lease:?} outlives, last renewed at {}", held.renewed);
        }
    }
}

fn bound(retry: Option<RetryPolicy>, class: FailureClass) -> u32 {
    let retry = retry.unwrap();
    match class {
        FailureClass::Transient => retry.transient.max(1),
        FailureClass::Timeout => retry.timeouts.max(1),
        FailureClass::Crash => retry.crashes.max(1),
        FailureClass::Permanent => 1,
    }
}
