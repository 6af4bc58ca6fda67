//! Groups: jobs that share limits, such as all jobs of a plugin.
//!
//! Each job is of one group, by a number that its owner chooses. A group without limits is no more than that number; one
//! with limits keeps its own list of the jobs that are ready, so that it opens and shuts in one step however many they
//! are.
//!
//! ```text
//!          leases < most, and runs enough for a batch are in the bucket
//!   shut ────────────────────────────────────────────────────────────────► open
//!        ◄────────────────────────────────────────────────────────────────
//!          as many leases as may be, or no run left in the bucket
//! ```
//!
//! The bucket holds as many runs as the rate names, is full at first and fills evenly. It is emptied by what is handed
//! out, and filled again by what was not sent after all, but not by what came back unmade: nobody knows how far that
//! was. Once empty it stays shut until there is enough in it for a batch, so that a high rate is not handed out run by
//! run.
//!
//! A suspect of the group goes before its other work: one lease and one run are held back for it, since the session that
//! is to make it alone may have to end something else first.
//!
//! Within a group jobs share as all jobs do. Towards the other jobs, a group that was shut makes good nothing of what
//! they got meanwhile: its jobs stand together behind an offset, which is raised when the group opens.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use pigeon_protocol::id::JobId;

use crate::{
    Scheduler, Time,
    job::{Job, Rank},
    ownership::Waiting,
    ready::Ready,
    time::micros,
};

/// Limits that the jobs of a group share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GroupLimits {
    /// At most this many leases of all its jobs at once; no bound if not said. 0 means 1.
    pub max_leases: Option<u32>,
    /// So many runs in such a time; no bound if not said. Never more of them at once, and in the long run no more in each
    /// such time: a stretch of it may see what had been saved up, and what comes in. No runs mean 1, no time a
    /// microsecond.
    pub rate: Option<(u32, Duration)>,
}

/// A group that has limits.
#[derive(Debug)]
pub(crate) struct Group {
    most_leases: usize,
    bucket: Option<Bucket>,
    /// Live leases of its jobs.
    pub(crate) leases: usize,
    /// Its jobs with suspects to lease.
    pub(crate) suspicious: usize,
    pub(crate) ready: Ready,
    /// By priority, what its jobs count as served beyond what they were, among the jobs of other groups.
    offsets: BTreeMap<i32, u64>,
    was_open: bool,
    /// When its bucket lets something out that it does not now.
    pub(crate) opens: Option<Time>,
}

/// What may be leased now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// Leases at once, in all.
    pub(crate) lanes: u64,
    /// Runs; none if there is no room for a lease either.
    pub(crate) runs: u64,
}

impl Room {
    /// Of a group without limits.
    pub(crate) const ALL: Self = Self { lanes: u64::MAX, runs: u64::MAX };
}

impl Group {
    fn new(limits: GroupLimits, now: Time) -> Self {
        Self {
            most_leases: limits.max_leases.map_or(usize::MAX, |most| most.max(1) as usize),
            bucket: limits.rate.map(|(runs, per)| Bucket::new(now, runs, per)),
            leases: 0,
            suspicious: 0,
            ready: Ready::default(),
            offsets: BTreeMap::new(),
            was_open: true,
            opens: None,
        }
    }

    /// What is held back for a suspect.
    fn held(&self) -> u64 {
        u64::from(self.suspicious > 0)
    }

    /// Room for work that is no suspect.
    pub(crate) fn room(&self) -> Room {
        let held = self.held();
        let lease = (self.leases as u64).saturating_add(held) < self.most_leases as u64;
        let runs = self.bucket.as_ref().map_or(u64::MAX, |bucket| bucket.open_runs().saturating_sub(held));
        Room { lanes: self.most_leases as u64, runs: if lease { runs } else { 0 } }
    }

    /// How many suspects may be leased.
    pub(crate) fn room_for_suspects(&self) -> usize {
        let leases = self.most_leases.saturating_sub(self.leases);
        let runs = self.bucket.as_ref().map_or(u64::MAX, Bucket::runs);
        leases.min(usize::try_from(runs).unwrap_or(usize::MAX))
    }

    pub(crate) fn is_open(&self) -> bool {
        self.room().runs > 0
    }

    /// How a job of it stands among those of other groups.
    pub(crate) fn stands(&self, (priority, served, job): Rank) -> Rank {
        (priority, served.saturating_add(self.offset(priority.0)), job)
    }

    /// What counts as served beyond what a job of this priority was.
    pub(crate) fn offset(&self, priority: i32) -> u64 {
        self.offsets.get(&priority).copied().unwrap_or(0)
    }

    /// A job has come that was served so much. If it is the only one of its priority, it is put beside the others.
    pub(crate) fn comes(&mut self, priority: i32, served: u64, others: u64) {
        if !self.ready.has(priority) {
            self.begin(priority, served, others);
        }
    }

    /// Its jobs of a priority are served again, the first of them `served` so much, where others had `share`.
    fn begin(&mut self, priority: i32, served: u64, share: u64) {
        let offset = self.offsets.entry(priority).or_insert(0);
        *offset = (*offset).max(share.saturating_sub(served));
    }

    /// Lets the bucket fill, before it is decided who gets what. `others` is what jobs without limits were served.
    fn fill(&mut self, now: Time, batch_time: Duration, others: &BTreeMap<i32, u64>) {
        let held = self.held();
        if let Some(bucket) = &mut self.bucket {
            bucket.fill(now, batch_time, held);
        }
        let open = self.is_open();
        if open && !self.was_open {
            let firsts: Vec<Rank> = self.ready.lists().flat_map(|(_, list)| list.firsts()).collect();
            for (Reverse(priority), served, _) in firsts {
                self.begin(priority, served, others.get(&priority).copied().unwrap_or(0));
            }
        }
        self.was_open = open;
    }

    /// A lease of so many runs was given.
    pub(crate) fn gave(&mut self, runs: u64) {
        self.leases += 1;
        let held = self.held();
        if let Some(bucket) = &mut self.bucket {
            bucket.take(runs, held);
        }
        self.was_open &= self.is_open();
    }

    /// So many runs that were given were not sent after all.
    pub(crate) fn unsent(&mut self, runs: u64) {
        if let Some(bucket) = &mut self.bucket {
            bucket.give_back(runs);
        }
    }

    /// Why nothing of a job that is ready is leased now, if that is because of the group.
    pub(crate) fn waiting(&self, job: &Job) -> Option<Waiting> {
        let only_suspects = !job.work.is_ready();
        if if only_suspects { self.room_for_suspects() > 0 } else { self.is_open() } {
            return None;
        }
        let held = if only_suspects { 0 } else { self.held() };
        match &self.bucket {
            Some(bucket) if (self.leases as u64).saturating_add(held) < self.most_leases as u64 => {
                Some(Waiting::GroupRate { until: bucket.next(held) })
            }
            _ => Some(Waiting::GroupBusy),
        }
    }
}

/// Runs that may be handed out. Counted in parts of a run, as many as its stretch has microseconds: so nothing is lost
/// in rounding.
#[derive(Debug)]
struct Bucket {
    /// Runs in a stretch, and most at once.
    runs: u64,
    /// The stretch, in microseconds.
    per: u64,
    level: u128,
    filled: Time,
    /// It was empty, and there is not enough in it yet for a batch.
    shut: bool,
    /// What is enough.
    enough: u64,
}

impl Bucket {
    fn new(now: Time, runs: u32, per: Duration) -> Self {
        let (runs, per) = (u64::from(runs.max(1)), micros(per).max(1));
        Self { runs, per, level: u128::from(runs) * u128::from(per), filled: now, shut: false, enough: 1 }
    }

    fn runs(&self) -> u64 {
        u64::try_from(self.level / u128::from(self.per)).unwrap_or(u64::MAX)
    }

    /// Those for work that is no suspect.
    fn open_runs(&self) -> u64 {
        if self.shut { 0 } else { self.runs() }
    }

    fn fill(&mut self, now: Time, batch_time: Duration, held: u64) {
        let passed = micros(now.since(self.filled));
        self.add(u128::from(self.runs) * u128::from(passed));
        self.filled = self.filled.max(now);
        let batch = u128::from(self.runs) * u128::from(micros(batch_time)) / u128::from(self.per);
        let batch = u64::try_from(batch).unwrap_or(u64::MAX).max(1);
        self.enough = batch.saturating_add(held).min(self.runs);
        self.shut &= self.runs() < self.enough;
    }

    fn take(&mut self, runs: u64, held: u64) {
        self.level = self.level.saturating_sub(u128::from(runs) * u128::from(self.per));
        self.shut |= self.runs() <= held;
    }

    fn give_back(&mut self, runs: u64) {
        self.add(u128::from(runs) * u128::from(self.per));
    }

    fn add(&mut self, parts: u128) {
        self.level = self.level.saturating_add(parts).min(u128::from(self.runs) * u128::from(self.per));
    }

    /// When it holds so many runs, if it is filled only.
    fn holds(&self, runs: u64) -> Time {
        let missing = (u128::from(runs) * u128::from(self.per)).saturating_sub(self.level);
        let time = missing.div_ceil(u128::from(self.runs));
        self.filled + Duration::from_micros(u64::try_from(time).unwrap_or(u64::MAX))
    }

    /// When it lets something out, after `held` runs that it keeps.
    fn next(&self, held: u64) -> Time {
        self.holds(if self.shut { self.enough } else { held.saturating_add(1).min(self.runs) })
    }
}

impl Scheduler {
    /// A group has these limits from now on; none, with the default. What is leased already stays leased.
    pub fn set_group(&mut self, now: Time, group: u64, limits: GroupLimits) {
        self.pass(now);
        let jobs = self.jobs.iter().filter(|(_, job)| job.group == group);
        let jobs: Vec<(JobId, usize)> = jobs.map(|(id, job)| (*id, job.leases.len())).collect();
        jobs.iter().for_each(|(job, _)| self.unlist(*job));
        let former = self.groups.remove(&group);
        for job in self.jobs.values_mut().filter(|job| job.group == group) {
            let offset = former.as_ref().map_or(0, |former| former.offset(job.priority));
            job.served = job.served.saturating_add(offset);
        }
        if limits != GroupLimits::default() {
            let mut limited = Group::new(limits, self.now);
            limited.leases = jobs.iter().map(|(_, leases)| leases).sum();
            limited.ready.shares = self.ready.shares.clone();
            if let (Some(bucket), Some(former)) = (&mut limited.bucket, former.and_then(|former| former.bucket)) {
                // Other limits are no reason to begin with a full bucket again.
                bucket.level = bucket.level.min(u128::from(former.runs()) * u128::from(bucket.per));
            }
            self.groups.insert(group, limited);
        }
        jobs.iter().for_each(|(job, _)| self.reindex(*job));
        self.dirty = true;
    }

    /// Lets the buckets fill.
    pub(crate) fn fill_groups(&mut self) {
        for group in self.groups.values_mut() {
            group.fill(self.now, self.config.batch_time, &self.ready.shares);
        }
    }

    /// Looks ahead to when buckets let something out, if there is a session that waits for it.
    pub(crate) fn look_ahead(&mut self) {
        let hungry = !self.hungry.is_empty();
        for group in self.groups.values_mut() {
            let held = group.held();
            let dry = group.bucket.as_ref().filter(|bucket| hungry && bucket.open_runs() <= held);
            let opens = dry.map(|bucket| if held > bucket.runs() { bucket.holds(held) } else { bucket.next(held) });
            group.opens = opens.filter(|at| *at > self.now);
        }
    }

    /// What may be leased of a job's group, suspects left aside.
    pub(crate) fn room_of(&self, group: u64) -> Room {
        self.groups.get(&group).map_or(Room::ALL, Group::room)
    }

    /// Whether a suspect of a group may be leased.
    pub(crate) fn may_suspect(&self, group: u64) -> bool {
        self.groups.get(&group).is_none_or(|group| group.room_for_suspects() > 0)
    }
}
