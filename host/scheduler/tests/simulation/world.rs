//! The world of the simulation: a clock that may jump, a network that may not deliver, a hub, and what befalls them.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    time::Duration,
};

use pigeon_protocol::id::{Fence, IncarnationId, JobId, LeaseId, RunIndex, SessionId, Shape};
use pigeon_scheduler::{
    Action, AgentInfo, Chunk, Config, End, Grant, JobAdmitted, Landing, Left, Progress, RetryPolicy, Scheduler, Time,
    Why,
};

use crate::{
    agent::Agent,
    model::Model,
    plan::{Faults, JobPlan, mix},
};

const MS: u64 = 1000;
const SECOND: u64 = 1000 * MS;
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

enum Event {
    Hub(SessionId, ToHub),
    Agent(usize, SessionId, ToAgent),
    Beat(usize, u64),
    Step(usize, u64, LeaseId),
    Connect(usize),
    Restart(usize),
    Notice(SessionId, Left),
    Append(usize),
    Pause(usize),
    Fault(Fault),
}

#[derive(Clone)]
enum ToHub {
    Credit(u64, u32),
    Beat(Vec<LeaseId>),
    Outcomes(LeaseId, Fence, Vec<Landing>, Vec<RunIndex>),
    Ended(LeaseId, Fence),
}

enum ToAgent {
    Lease(Grant),
    Cancel(Vec<LeaseId>),
}

#[derive(Clone, Copy)]
enum Fault {
    Crash,
    Partition,
    Stop,
    Drain,
    Slow,
    Jump,
}

pub(crate) struct World {
    scheduler: Scheduler,
    model: Model,
    beat: u64,
    random: u64,
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
    events: BinaryHeap<Reverse<(u64, u64)>>,
    contents: BTreeMap<u64, Event>,
    planned: u64,
}

impl World {
    pub(crate) fn new(seed: u64, agents: usize, jobs: Vec<JobPlan>, faults: Faults) -> Self {
        let config = Config { beat: Duration::from_secs(1), ..Config::default() };
        let job = |plan| Job { id: JobId::new(), plan, appended: 0, admissions: 0 };
        let mut world = Self {
            scheduler: Scheduler::new(config, seed),
            model: Model::new(config.beat * config.lease_beats),
            beat: SECOND,
            random: seed,
            clock: 0,
            skew: 100 * SECOND as i64,
            shown: Time::ZERO,
            faults,
            agents: Vec::new(),
            sessions: BTreeMap::new(),
            last_session: 0,
            jobs: jobs.into_iter().map(job).collect(),
            events: BinaryHeap::new(),
            contents: BTreeMap::new(),
            planned: 0,
        };
        for agent in 0..agents {
            let (slots, greedy) = (1 + world.below(3) as u32, faults.games && agent == 0);
            world.agents.push(Agent::new(slots, greedy));
            let at = world.below(500 * MS);
            world.plan(at, Event::Connect(agent));
        }
        for job in 0..world.jobs.len() {
            let at = world.below(SECOND);
            world.plan(at, Event::Append(job));
            if world.jobs[job].plan.paused {
                let at = SECOND + world.below(10 * SECOND);
                world.plan(at, Event::Pause(job));
            }
        }
        let kinds = [
            (Fault::Crash, faults.crashes),
            (Fault::Partition, faults.partitions),
            (Fault::Stop, faults.stops),
            (Fault::Drain, faults.stops / 2),
            (Fault::Slow, faults.stops),
            (Fault::Jump, faults.jumps),
        ];
        for (fault, times) in kinds {
            for _ in 0..times * 2 {
                let within = if world.below(2) == 0 { 3 * SECOND } else { CALM };
                let at = world.below(within);
                world.plan(at, Event::Fault(fault));
            }
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
            let next = self.events.peek().map(|Reverse((at, _))| *at);
            let Some(at) = wake.into_iter().chain(next).min() else { panic!("nothing happens any more") };
            self.clock = at;
            assert!(
                at < END,
                "not done in time: {:?}",
                self.jobs.iter().map(|j| self.scheduler.job(j.id)).collect::<Vec<_>>()
            );
            self.pass();
            if next == Some(at)
                && let Some(Reverse((_, number))) = self.events.pop()
                && let Some(event) = self.contents.remove(&number)
            {
                self.happen(event);
            }
            self.act();
            self.model.none_outlives(self.shown);
            for job in &self.jobs {
                let leases = self.scheduler.job(job.id).map_or(0, |view| view.leases);
                self.model.counted(job.id, leases);
            }
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

    /// SplitMix64: an even draw below a bound.
    fn below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.random) % bound.max(1)
    }

    fn plan(&mut self, after: u64, event: Event) {
        self.planned += 1;
        self.events.push(Reverse((self.clock + after, self.planned)));
        self.contents.insert(self.planned, event);
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
                    assert!(self.sessions.contains_key(&grant.session), "a lease for a session that is over");
                    self.tell(grant.session, ToAgent::Lease(grant));
                }
                Action::Cancel { session, leases } => self.tell(session, ToAgent::Cancel(leases)),
                Action::Finished { job, end: End::Stopped(Why::Pause) } => {
                    if let Some(job) = self.jobs.iter().position(|other| other.id == job) {
                        self.take_up_again(job);
                    }
                }
                Action::Finished { .. } | Action::Remember { .. } | Action::DeadLetter { .. } => {}
            }
        }
        self.model.settle();
    }

    fn tell(&mut self, session: SessionId, message: ToAgent) {
        if let Some(agent) = self.sessions.get(&session).copied() {
            let after = self.below(5 * MS);
            self.plan(after, Event::Agent(agent, session, message));
        }
    }

    fn say(&mut self, agent: usize, message: ToHub) {
        let Some(session) = self.agents[agent].link else { return };
        let late = self.below(40) == 0 && self.faults.duplicates > 0;
        let after = self.below(if late { 2 * SECOND } else { 3 * MS });
        if self.faults.duplicates > 0 && self.below(10) < u64::from(self.faults.duplicates) {
            let again = self.below(SECOND);
            self.plan(again, Event::Hub(session, message.clone()));
        }
        self.plan(after, Event::Hub(session, message));
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
            Event::Fault(fault) if self.clock < CALM => self.fault(fault),
            Event::Fault(_) => {}
        }
    }

    fn hear(&mut self, session: SessionId, message: ToHub) {
        let (now, agent) = (self.now(), self.sessions.get(&session).copied());
        // The hub may have queued it before the session was over.
        if agent.is_none() && self.below(2) == 0 {
            return;
        }
        let linked = agent.filter(|agent| self.agents[*agent].link == Some(session));
        if agent.is_some() && linked.is_none() && self.below(2) == 0 {
            return;
        }
        match message {
            ToHub::Credit(received, batches) => self.scheduler.credit(now, session, received, batches),
            ToHub::Beat(leases) => {
                let unknown = self.scheduler.beat(now, session, &leases);
                self.model.renewed(self.shown, session, &leases, &unknown);
                self.tell(session, ToAgent::Cancel(unknown));
            }
            ToHub::Outcomes(lease, fence, landings, begun) => {
                let mut rulings = Vec::new();
                let tally = self.scheduler.landed(now, session, lease, fence, &landings, &mut rulings);
                assert_eq!((tally.recorded + tally.refused + tally.retried) as usize, landings.len());
                self.model.ruled(self.shown, session, lease, fence, &landings, &rulings);
                self.scheduler.begun(now, session, lease, fence, &begun);
                if let Some(agent) = linked {
                    self.agents[agent].acknowledged(lease, &landings);
                }
            }
            ToHub::Ended(lease, fence) => {
                self.scheduler.lease_ended(now, session, lease, fence);
                self.model.ended(session, lease, fence);
            }
        }
    }

    fn receive(&mut self, agent: usize, session: SessionId, message: ToAgent) {
        let state = &mut self.agents[agent];
        if state.link != Some(session) || !state.alive {
            return;
        }
        if state.stopped_until > self.clock {
            let after = state.stopped_until - self.clock;
            return self.plan(after, Event::Agent(agent, session, message));
        }
        match message {
            ToAgent::Lease(grant) => {
                let (lease, life) = (grant.lease, state.life);
                state.take(grant);
                self.plan_step(agent, life, lease);
                self.say_credit(agent);
            }
            ToAgent::Cancel(leases) => {
                for lease in leases {
                    state.lanes.remove(&lease);
                }
                self.say_credit(agent);
            }
        }
    }

    fn say_credit(&mut self, agent: usize) {
        let (received, wants) = (self.agents[agent].received, self.agents[agent].wants());
        let game = self.agents[agent].greedy && self.below(3) == 0;
        self.say(agent, ToHub::Credit(if game { u64::MAX } else { received }, wants));
    }

    fn beat(&mut self, agent: usize, life: u64) {
        let state = &self.agents[agent];
        if state.life != life || !state.alive {
            return;
        }
        if state.stopped_until > self.clock {
            let after = state.stopped_until - self.clock;
            return self.plan(after, Event::Beat(agent, life));
        }
        let leases = state.lanes.keys().chain(state.kept.keys()).copied().collect();
        self.say(agent, ToHub::Beat(leases));
        self.say_credit(agent);
        self.plan(self.beat, Event::Beat(agent, life));
    }

    fn job_of(&self, id: JobId) -> usize {
        self.jobs.iter().position(|job| job.id == id).unwrap()
    }

    /// How many runs a lane makes before it sends their outcomes.
    fn flush(run_us: u64) -> usize {
        (5 * MS / run_us).clamp(1, 200) as usize
    }

    fn plan_step(&mut self, agent: usize, life: u64, lease: LeaseId) {
        let Some(lane) = self.agents[agent].lanes.get(&lease) else { return };
        let run_us = self.jobs[self.job_of(lane.grant.job)].plan.run_us;
        let runs = Self::flush(run_us).min(lane.left.len()) as u64;
        let slowness = if self.clock < CALM { self.agents[agent].slowness } else { 1 };
        let after = runs * run_us * slowness;
        self.plan(after, Event::Step(agent, life, lease));
    }

    fn step(&mut self, agent: usize, life: u64, lease: LeaseId) {
        let state = &mut self.agents[agent];
        if state.life != life {
            return;
        }
        if state.stopped_until > self.clock {
            let after = state.stopped_until - self.clock;
            return self.plan(after, Event::Step(agent, life, lease));
        }
        let Some(lane) = state.lanes.get_mut(&lease) else { return };
        let job = self.jobs.iter().position(|job| job.id == lane.grant.job).unwrap();
        let plan = &self.jobs[job].plan;
        let made = lane.left.len().min(Self::flush(plan.run_us));
        let runs: Vec<u64> = lane.left.drain(..made).collect();
        if runs.iter().any(|run| plan.kills(*run)) {
            return self.crash(agent);
        }
        let (fence, attempt) = (lane.grant.fence, lane.grant.attempt);
        let landings: Vec<_> = runs.iter().map(|run| plan.outcome(*run, attempt)).collect();
        let begun = lane.left.front().map(|run| RunIndex(*run)).into_iter().collect();
        let over = lane.left.is_empty();
        state.kept.entry(lease).or_insert_with(|| (fence, Vec::new())).1.extend(&landings);
        if over {
            state.lanes.remove(&lease);
        }
        let begun = if self.below(2) == 0 { begun } else { Vec::new() };
        self.say(agent, ToHub::Outcomes(lease, fence, landings, begun));
        if over {
            self.say(agent, ToHub::Ended(lease, fence));
            self.say_credit(agent);
        } else {
            self.plan_step(agent, life, lease);
        }
    }

    fn crash(&mut self, agent: usize) {
        if let Some(session) = self.agents[agent].link {
            let left = if self.below(2) == 0 { Left::Died } else { Left::Unreachable };
            let after = self.below(2 * SECOND);
            self.plan(after, Event::Notice(session, left));
        }
        self.agents[agent].die();
        let after = 100 * MS + self.below(5 * SECOND);
        self.plan(after, Event::Restart(agent));
    }

    fn connect(&mut self, agent: usize) {
        let state = &mut self.agents[agent];
        if !state.alive || state.link.is_some() {
            return;
        }
        self.last_session += 1;
        let session = SessionId(self.last_session);
        let info = AgentInfo { agent: state.id, incarnation: state.incarnation, slots: state.slots };
        if let Some((former, incarnation)) = state.known_as.replace((session, state.incarnation)) {
            self.sessions.remove(&former);
            if incarnation == state.incarnation {
                self.model.adopted(former, session);
            } else {
                self.model.gone(self.shown, former, true);
            }
        }
        state.link = Some(session);
        state.received = 0;
        let life = state.life;
        self.sessions.insert(session, agent);
        self.scheduler.joined(Time(self.clock.saturating_add_signed(self.skew)), session, info);
        self.plan(0, Event::Beat(agent, life));
        let kept: Vec<_> = self.agents[agent].kept.iter().map(|(lease, kept)| (*lease, kept.clone())).collect();
        for (lease, (fence, landings)) in kept {
            self.say(agent, ToHub::Outcomes(lease, fence, landings, Vec::new()));
        }
    }

    /// The hub notices that a session is over.
    fn notice(&mut self, session: SessionId, left: Left) {
        let Some(agent) = self.sessions.remove(&session) else { return };
        let now = self.now();
        self.scheduler.left(now, session, left);
        match left {
            Left::Unreachable => self.model.orphaned(session),
            Left::Died => self.model.gone(self.shown, session, true),
            Left::Drained | Left::Revoked | Left::Stalled => self.model.gone(self.shown, session, false),
        }
        if self.agents[agent].link == Some(session) {
            // Cut off by the hub: it connects again, once it can.
            self.agents[agent].link = None;
            self.agents[agent].life += 1;
            let after = self.agents[agent].stopped_until.saturating_sub(self.clock) + self.below(SECOND);
            self.plan(after, Event::Connect(agent));
            self.go_on(agent);
        }
    }

    /// Lanes go on without a connection.
    fn go_on(&mut self, agent: usize) {
        let (life, lanes) = (self.agents[agent].life, self.agents[agent].lanes.keys().copied().collect::<Vec<_>>());
        for lease in lanes {
            self.plan_step(agent, life, lease);
        }
    }

    fn fault(&mut self, fault: Fault) {
        let agent = self.below(self.agents.len() as u64) as usize;
        let (alive, link) = (self.agents[agent].alive, self.agents[agent].link);
        match (fault, link) {
            (Fault::Crash, _) if alive => self.crash(agent),
            (Fault::Partition, Some(session)) => {
                self.agents[agent].link = None;
                self.agents[agent].life += 1;
                self.go_on(agent);
                let away = if self.below(2) == 0 { 2 } else { 20 } * SECOND;
                let (noticed, back) = (self.below(3 * SECOND), self.below(away));
                self.plan(noticed, Event::Notice(session, Left::Unreachable));
                self.plan(back, Event::Connect(agent));
            }
            (Fault::Stop, Some(session)) => {
                let stop = self.below(10 * SECOND);
                self.agents[agent].stopped_until = self.clock + stop;
                if self.below(2) == 0 {
                    self.plan(2 * SECOND, Event::Notice(session, Left::Stalled));
                }
            }
            (Fault::Drain, Some(session)) => {
                let now = self.now();
                self.scheduler.draining(now, session);
                let left = if self.below(2) == 0 { Left::Drained } else { Left::Revoked };
                let after = self.below(2 * SECOND);
                self.plan(after, Event::Notice(session, left));
            }
            (Fault::Slow, _) => self.agents[agent].slowness = [1, 5, 50][self.below(3) as usize],
            (Fault::Jump, _) => {
                let by = [-5, -60, 2, 60, 3600][self.below(5) as usize];
                self.skew += by * SECOND as i64;
                self.pass();
            }
            _ => {}
        }
    }

    fn append(&mut self, job: usize) {
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
        if self.jobs[job].appended == plan.items {
            self.scheduler.seal(now, id);
        } else {
            let after = self.below(200 * MS);
            self.plan(after, Event::Append(job));
        }
    }

    fn admit(&mut self, job: usize) {
        let now = self.now();
        self.jobs[job].admissions += 1;
        let Job { id, plan, .. } = self.jobs[job];
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
                retry: RetryPolicy::default(),
                fail_fast: plan.fail_fast,
                max_agents: plan.max_agents,
                progress,
            },
        );
    }

    /// A paused job is taken up by another owner, who knows what was recorded.
    fn take_up_again(&mut self, job: usize) {
        let (now, id) = (self.now(), self.jobs[job].id);
        self.scheduler.forget(now, id);
        self.admit(job);
        let (appended, items) = (self.jobs[job].appended, self.jobs[job].plan.items);
        if appended > 0 {
            self.scheduler.append(now, id, Chunk { first: 0, count: appended as u32, bytes: 1 << 20 });
        }
        if appended == items {
            self.scheduler.seal(now, id);
        }
    }
}
