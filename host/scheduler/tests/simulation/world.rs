//! The world of the simulation: a clock that may jump, a network that may not deliver, a hub, and what befalls them.
//!
//! Here time passes and the scheduler's wishes are carried out; what the parts of the world do stands in `wire`,
//! `labour`, `trouble` and `queue`.

mod event;
mod labour;
mod queue;
mod trouble;
mod wire;

use std::{collections::BTreeMap, time::Duration};

use pigeon_protocol::id::{IncarnationId, JobId, SessionId};
use pigeon_scheduler::{Action, Config, End, Scheduler, Time, Why};

use self::event::{Event, Fault, ToAgent};
use crate::{
    agent::Agent,
    calendar::{Calendar, MS, Random, SECOND},
    model::Model,
    plan::{Faults, GroupPlan, JobPlan, WALL, meets, wanted},
};

/// Faults cease here.
const CALM: u64 = 40 * SECOND;
/// By then everything must be done.
const END: u64 = 4 * 3600 * SECOND;

struct Job {
    id: JobId,
    plan: JobPlan,
    appended: u64,
    admissions: usize,
}

pub(crate) struct World {
    scheduler: Scheduler,
    model: Model,
    beat: u64,
    random: Random,
    clock: u64,
    /// What the scheduler's clock shows beyond the true one.
    skew: i64,
    shown: Time,
    faults: Faults,
    agents: Vec<Agent>,
    /// Sessions that the hub has.
    sessions: BTreeMap<SessionId, usize>,
    last_session: u64,
    jobs: Vec<Job>,
    events: Calendar<Event>,
}

impl World {
    pub(crate) fn new(seed: u64, agents: usize, jobs: Vec<JobPlan>, groups: GroupPlan, faults: Faults) -> Self {
        let config = Config { beat: Duration::from_secs(1), start: WALL, ..Config::default() };
        let job = |plan| Job { id: JobId::new(), plan, appended: 0, admissions: 0 };
        let mut world = Self {
            scheduler: Scheduler::new(config, seed),
            model: Model::new(config.beat * config.lease_beats),
            beat: SECOND,
            random: Random(seed),
            clock: 0,
            skew: 100 * SECOND as i64,
            shown: Time::ZERO,
            faults,
            agents: Vec::new(),
            sessions: BTreeMap::new(),
            last_session: 0,
            jobs: jobs.into_iter().map(job).collect(),
            events: Calendar::new(),
        };
        for agent in 0..agents {
            let (slots, greedy) = (1 + world.below(3) as u32, faults.games && agent == 0);
            // Nobody waits for ever for somebody who can make his job.
            let able = if faults.wedged { (agents - 1).max(1) } else { agents };
            let of_jobs = world
                .jobs
                .iter()
                .skip(agent)
                .step_by(able)
                .take_while(|_| agent < able)
                .filter(|job| job.plan.require != 0);
            let labels = of_jobs.fold(0, |labels, _| labels | 0b1111) | world.below(16) as u8;
            world.agents.push(Agent::new(slots, labels, greedy));
            let at = world.below(500 * MS);
            world.plan(at, Event::Connect(agent));
        }
        for job in 0..world.jobs.len() {
            let at = world.below(SECOND);
            world.plan(at, Event::Append(job));
            if world.jobs[job].plan.misfits {
                for _ in 0..3 {
                    let at = world.below(5 * SECOND);
                    world.plan(at, Event::Resolve(job));
                }
            }
            let plan = world.jobs[job].plan;
            if plan.paused {
                let at = SECOND + world.below(10 * SECOND);
                world.plan(at, Event::Pause(job));
            }
            if plan.forgotten {
                let at = SECOND + world.below(3 * SECOND);
                world.plan(at, Event::Forget(job));
            }
            for _ in 0..if plan.taken_back { 5 } else { 0 } {
                let at = world.below(10 * SECOND);
                world.plan(at, Event::TakeBack(job));
            }
        }
        for (group, limits) in (1..).zip(groups.limits) {
            world.limit(group, limits);
        }
        if let Some(limits) = groups.later {
            let at = world.below(5 * SECOND);
            world.plan(at, Event::Limit(1, limits));
        }
        let kinds = [
            (Fault::Crash, faults.crashes),
            (Fault::Partition, faults.partitions),
            (Fault::Stop, faults.stops),
            (Fault::Drain, faults.stops / 2),
            (Fault::Slow, faults.stops),
            (Fault::Wedge, faults.wedges),
            (Fault::Jump, faults.jumps),
        ];
        for (fault, times) in kinds {
            for _ in 0..times * 2 {
                let within = if world.below(2) == 0 { 3 * SECOND } else { CALM };
                let at = world.below(within);
                world.plan(at, Event::Fault(fault));
            }
        }
        if faults.wedged && agents > 1 {
            let at = world.below(10 * SECOND);
            world.plan(at, Event::Wedge(agents - 1));
        }
        world
    }

    pub(crate) fn run(mut self) {
        for step in 0.. {
            assert!(step < 3_000_000, "it turns in circles at {} us", self.clock);
            if self.clock > CALM && self.jobs.iter().all(|job| self.has_ended(job)) {
                break;
            }
            let wake = self.scheduler.next_wakeup().map(|at| at.0.saturating_add_signed(-self.skew).max(self.clock));
            let next = self.events.next();
            let Some(at) = wake.into_iter().chain(next).min() else { panic!("nothing happens any more") };
            self.clock = at;
            assert!(
                at < END,
                "not done in time: {:?}",
                self.jobs.iter().map(|j| self.scheduler.job(j.id)).collect::<Vec<_>>()
            );
            self.pass();
            if next == Some(at)
                && let Some(event) = self.events.take(at)
            {
                self.happen(event);
            }
            self.act();
            self.model.none_outlives(self.shown);
            let mut total = 0;
            for job in &self.jobs {
                let leases = self.scheduler.job(job.id).map_or(0, |view| view.leases);
                self.model.counted(job.id, leases);
                total += leases;
            }
            assert_eq!(self.scheduler.queue().leases, total);
        }
        self.check();
    }

    fn check(&self) {
        for job in &self.jobs {
            let recorded = &self.model.jobs[&job.id];
            let total = job.plan.items * u64::from(job.plan.places) * u64::from(job.plan.iterations);
            assert_eq!(recorded.ends.len(), job.admissions, "{:?} ended {:?}", job.plan, recorded.ends);
            match recorded.ends.last() {
                Some(End::Complete) => assert!(recorded.done.ranges().eq(std::iter::once(0..total)), "{:?}", job.plan),
                Some(End::Stopped(Why::FailFast)) => assert!(job.plan.fail_fast && recorded.bad),
                end => panic!("{:?} ended {end:?}", job.plan),
            }
            assert!(self.scheduler.done(job.id).is_some_and(|done| *done == recorded.done));
        }
    }

    fn has_ended(&self, job: &Job) -> bool {
        let ends = self.model.jobs.get(&job.id).map(|recorded| &recorded.ends);
        ends.is_some_and(|ends| {
            ends.len() == job.admissions && !matches!(ends.last(), Some(End::Stopped(Why::Pause)) | None)
        })
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    fn plan(&mut self, after: u64, event: Event) {
        self.events.plan(self.clock + after, event);
    }

    /// What the scheduler is told that it is.
    fn now(&self) -> Time {
        Time(self.clock.saturating_add_signed(self.skew))
    }

    fn pass(&mut self) {
        self.shown = self.shown.max(self.now());
        self.scheduler.tick(self.now());
        self.model.passed(self.shown);
        self.act();
    }

    /// Carries out what the scheduler wants.
    fn act(&mut self) {
        while let Some(action) = self.scheduler.poll(self.now()) {
            self.model.acted(self.shown, &action);
            match action {
                Action::Lease(grant) => {
                    let agent = self.sessions.get(&grant.session).expect("a lease for a session that is over");
                    let require = self.jobs[self.job_of(grant.job)].plan.require;
                    assert!(meets(self.agents[*agent].labels, require), "{grant:?} requires {:?}", wanted(require));
                    self.tell(grant.session, ToAgent::Lease(grant));
                }
                Action::Cancel { session, leases } => self.tell(session, ToAgent::Cancel(leases)),
                Action::Stalled { session, .. } => {
                    let agent = &self.agents[self.sessions[&session]];
                    let reason = agent.wedged_until > 0 || agent.stopped_until > 0 || agent.link != Some(session);
                    assert!(reason || self.faults.jumps > 0, "a session that moves is said to be stalled");
                }
                Action::Moves { .. } => {}
                Action::Lost { session } => self.lost(session),
                Action::Finished { job, end: End::Stopped(Why::Pause) } => {
                    if let Some(job) = self.jobs.iter().position(|other| other.id == job) {
                        self.take_up_again(job);
                    }
                }
                Action::Finished { job, end: End::Complete } => {
                    if let Some(job) = self.jobs.iter().position(|other| other.id == job)
                        && self.jobs[job].plan.taken_back
                        && self.jobs[job].admissions < 3
                    {
                        self.make_failures_again(job);
                    }
                }
                Action::Finished { .. } | Action::Held { .. } | Action::Remember { .. } | Action::DeadLetter { .. } => {
                }
            }
        }
        self.model.settle();
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Hub(session, message) => self.hear(session, message),
            Event::Agent(agent, session, message) => self.receive(agent, session, message),
            Event::Beat(agent, life) => self.beat(agent, life),
            Event::Step(agent, life, lease) => self.step(agent, life, lease),
            Event::Connect(agent) => self.connect(agent),
            Event::Restart(agent) => {
                let agent_state = &mut self.agents[agent];
                agent_state.alive = true;
                agent_state.incarnation = IncarnationId::new();
                self.connect(agent);
            }
            Event::Notice(session, left) => self.notice(session, left),
            Event::Append(job) => self.append(job),
            Event::Pause(job) => {
                let now = self.now();
                self.scheduler.stop(now, self.jobs[job].id, Why::Pause);
            }
            Event::Resolve(job) => self.resolve_any(job),
            Event::Forget(job) => self.forget(job),
            Event::TakeBack(job) => self.take_back(job),
            Event::Limit(group, limits) => self.limit(group, limits),
            Event::Fault(fault) if self.clock < CALM => self.fault(fault),
            Event::Fault(_) => {}
            Event::Wedge(agent) => self.wedge(agent, u64::MAX),
        }
    }
}
