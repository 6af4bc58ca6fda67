//! A scheduler with agents and a clock that the test moves.

use std::{collections::BTreeMap, time::Duration};

use pigeon_protocol::id::{AgentId, IncarnationId, JobId, LeaseId, RunIndex, SessionId, Shape};
use pigeon_scheduler::{
    Action, AgentInfo, Chunk, Config, Credit, End, FailureClass, Grant, JobAdmitted, Landing, LandingClass, Progress,
    RetryPolicy, Ruling, Scheduler, Tally, Time,
};

pub(crate) const VALID: LandingClass = LandingClass::Valid;
pub(crate) const TRANSIENT: LandingClass = LandingClass::Failure(FailureClass::Transient);
pub(crate) const PERMANENT: LandingClass = LandingClass::Failure(FailureClass::Permanent);

pub(crate) struct Fleet {
    pub(crate) scheduler: Scheduler,
    pub(crate) now: Time,
    /// All that was to be done since the last time it was looked at.
    pub(crate) actions: Vec<Action>,
    pub(crate) rulings: Vec<Ruling>,
    received: BTreeMap<SessionId, u64>,
}

pub(crate) fn info() -> AgentInfo {
    AgentInfo { agent: AgentId::new(), incarnation: IncarnationId::new(), slots: 1, labels: Vec::new() }
}

/// A job of many items, each run once, without bounds.
pub(crate) fn job() -> JobAdmitted {
    JobAdmitted {
        job: JobId::new(),
        shape: Shape { places: 1, iterations: 1 },
        priority: 0,
        max_parallel: None,
        retry: RetryPolicy::default(),
        wall: Duration::from_secs(300),
        group: 0,
        fail_fast: false,
        max_agents: None,
        require: Vec::new(),
        prefer: Vec::new(),
        progress: Progress::default(),
    }
}

pub(crate) fn runs_of(grant: &Grant) -> Vec<u64> {
    grant.runs.iter().flat_map(|range| range.first..range.first + range.count).collect()
}

impl Fleet {
    /// So many agents of one slot, each with room for `room` leases.
    pub(crate) fn new(agents: u64, room: u32) -> Self {
        let (scheduler, now) = (Scheduler::new(Config::default(), 1), Time(1_000_000));
        let (actions, rulings, received) = (Vec::new(), Vec::new(), BTreeMap::new());
        let mut fleet = Self { scheduler, now, actions, rulings, received };
        for session in 1..=agents {
            fleet.join(session, info(), room);
        }
        fleet
    }

    pub(crate) fn join(&mut self, session: u64, info: AgentInfo, room: u32) {
        self.scheduler.joined(self.now, SessionId(session), info);
        self.credit(session, room);
    }

    /// The agent has received all that it was sent, and takes `room` more.
    pub(crate) fn credit(&mut self, session: u64, room: impl Into<Credit>) {
        let received = self.received.get(&SessionId(session)).copied().unwrap_or(0);
        self.scheduler.credit(self.now, SessionId(session), received, room);
    }

    /// When agents that have just come are looked at first.
    pub(crate) fn watched(&self) -> Time {
        self.now + Duration::from_secs(20) + Duration::from_micros(1)
    }

    pub(crate) fn submit(&mut self, admitted: JobAdmitted, items: u64) -> JobId {
        let job = admitted.job;
        self.scheduler.admit(self.now, admitted);
        for first in (0..items).step_by(1000) {
            let count = (items - first).min(1000) as u32;
            assert!(self.scheduler.append(self.now, job, Chunk { first, count, bytes: 1 << 20 }));
        }
        self.scheduler.seal(self.now, job);
        job
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.scheduler.tick(self.now);
    }

    /// All that the scheduler wants now; the leases among it.
    pub(crate) fn poll(&mut self) -> Vec<Grant> {
        let mut grants = Vec::new();
        self.actions.clear();
        while let Some(action) = self.scheduler.poll(self.now) {
            if let Action::Lease(grant) = &action {
                *self.received.entry(grant.session).or_default() += 1;
                grants.push(grant.clone());
            }
            self.actions.push(action);
        }
        grants
    }

    pub(crate) fn land_some(&mut self, grant: &Grant, runs: &[u64], class: LandingClass, time_us: u64) -> Tally {
        let landings: Vec<_> = runs.iter().map(|run| Landing { run: RunIndex(*run), class, time_us }).collect();
        let (session, lease, fence) = (grant.session, grant.lease, grant.fence);
        self.scheduler.landed(self.now, session, lease, fence, &landings, &mut self.rulings)
    }

    /// Every run of a lease lands.
    pub(crate) fn land(&mut self, grant: &Grant, class: LandingClass, time_us: u64) -> Tally {
        self.land_some(grant, &runs_of(grant), class, time_us)
    }

    pub(crate) fn ends(&self) -> Vec<End> {
        let ends = self.actions.iter().filter_map(|action| match action {
            Action::Finished { end, .. } => Some(*end),
            _ => None,
        });
        ends.collect()
    }

    pub(crate) fn cancelled(&self) -> Vec<LeaseId> {
        let cancelled = self.actions.iter().filter_map(|action| match action {
            Action::Cancel { leases, .. } => Some(leases.clone()),
            _ => None,
        });
        cancelled.flatten().collect()
    }
}
