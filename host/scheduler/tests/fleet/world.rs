//! Thousands of agents in virtual time, with one scheduler: a world without a wire, large where that of the simulation is
//! cruel. Agents crash and come back, are cut off and come back, are slow, and a part of them vanishes for good at once.
//!
//! Everything follows from the seed. What the scheduler itself takes is measured; what must hold is asserted as it happens:
//! a run has one outcome, and a lease goes to an agent that is in and has the labels.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use pigeon_protocol::id::{AgentId, Fence, IncarnationId, JobId, LeaseId, RunIndex, SessionId, Shape};
use pigeon_scheduler::{
    Action, AgentInfo, Chunk, Config, Grant, JobAdmitted, Landing, LandingClass, Left, Progress, RetryPolicy, Ruling,
    Scheduler, Time,
};

use crate::{
    calendar::{Calendar, MS, Random, SECOND},
    figures::{Figures, Service},
};

/// From the scheduler to an agent, or back.
const WAY: u64 = 2 * MS;
/// How long a connection is silent before its end is noticed.
const SILENCE: u64 = 30 * SECOND;
/// Items of a chunk.
const CHUNK: u64 = 1000;

/// What happens in a world.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) agents: usize,
    /// All of one priority. The last one requires a label that one agent of ten has.
    pub(crate) jobs: Vec<JobPlan>,
    /// So many of each, drawn over this stretch.
    pub(crate) crashes: usize,
    pub(crate) partitions: usize,
    pub(crate) within: Duration,
    /// One agent of so many takes ten times as long.
    pub(crate) slow_of: u64,
    /// So many are gone for good, at this moment.
    pub(crate) vanish: usize,
    pub(crate) vanish_at: Duration,
}

/// A job: how many runs, and how long each takes, in microseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JobPlan {
    pub(crate) runs: u64,
    pub(crate) run_us: u64,
}

enum Event {
    Append(usize),
    Connect(usize),
    Beat(usize, u64),
    /// What an agent has begun is made.
    Made(usize, u64),
    Crash(usize),
    Cut(usize),
    Vanish,
    Notice(SessionId, Left),
    Sample,
}

struct Agent {
    id: AgentId,
    lives: u64,
    alive: bool,
    session: Option<SessionId>,
    slowness: u64,
    gpu: bool,
    received: u64,
    lanes: VecDeque<Grant>,
    /// Counts what it begins: what was planned before it was cut short does not happen.
    turn: u64,
    beats: u64,
    kept: Vec<(LeaseId, Fence, Vec<Landing>)>,
}

struct Job {
    id: JobId,
    plan: JobPlan,
    appended: u64,
    done: Vec<bool>,
    service: Service,
}

pub(crate) struct World {
    plan: Plan,
    scheduler: Scheduler,
    random: Random,
    clock: u64,
    agents: Vec<Agent>,
    sessions: BTreeMap<SessionId, usize>,
    last_session: u64,
    jobs: Vec<Job>,
    ids: BTreeMap<JobId, usize>,
    events: Calendar<Event>,
    rulings: Vec<Ruling>,
    ended: usize,
    /// Leases that those had who vanished.
    vanished: Vec<LeaseId>,
    figures: Figures,
}

impl World {
    pub(crate) fn new(plan: Plan) -> Self {
        let mut world = Self {
            scheduler: Scheduler::new(Config::default(), plan.seed),
            random: Random(plan.seed),
            clock: 0,
            agents: Vec::new(),
            sessions: BTreeMap::new(),
            last_session: 0,
            jobs: Vec::new(),
            ids: BTreeMap::new(),
            events: Calendar::new(),
            rulings: Vec::new(),
            ended: 0,
            vanished: Vec::new(),
            figures: Figures::default(),
            plan,
        };
        for number in 0..world.plan.agents {
            let id = AgentId::from_bytes(world.bytes());
            let slowness = if world.below(world.plan.slow_of) == 0 { 10 } else { 1 };
            world.agents.push(Agent {
                id,
                lives: 0,
                alive: true,
                session: None,
                slowness,
                gpu: (number + number / 10) % 10 == 0,
                received: 0,
                lanes: VecDeque::new(),
                turn: 0,
                beats: 0,
                kept: Vec::new(),
            });
            let at = world.below(2 * SECOND);
            world.plan_at(at, Event::Connect(number));
        }
        for number in 0..world.plan.jobs.len() {
            let (id, plan) = (JobId::from_bytes(world.bytes()), world.plan.jobs[number]);
            let (done, service) = (vec![false; plan.runs as usize], Service::default());
            world.jobs.push(Job { id, plan, appended: 0, done, service });
            world.ids.insert(id, number);
            world.plan_at(SECOND, Event::Append(number));
        }
        let within = world.plan.within.as_micros() as u64;
        for fault in 0..world.plan.crashes + world.plan.partitions {
            let (at, agent) = (2 * SECOND + world.below(within), world.below(world.plan.agents as u64) as usize);
            let crash = fault < world.plan.crashes;
            world.plan_at(at, if crash { Event::Crash(agent) } else { Event::Cut(agent) });
        }
        world.plan_at(world.plan.vanish_at.as_micros() as u64, Event::Vanish);
        world.plan_at(0, Event::Sample);
        world
    }

    /// Until every job has ended.
    pub(crate) fn run(mut self) -> Figures {
        while self.ended < self.jobs.len() {
            let wake = self.scheduler.next_wakeup().map(|at| at.0.max(self.clock));
            let next = self.events.next();
            let Some(at) = wake.into_iter().chain(next).min() else { panic!("nothing happens any more") };
            assert!(at < 24 * 3600 * SECOND, "not done within a day");
            self.clock = at;
            if next != Some(at) {
                self.timed(|scheduler, now, _| scheduler.tick(now));
            }
            while let Some(event) = self.events.take(at) {
                self.happen(event);
            }
            self.act();
        }
        for job in &self.jobs {
            assert!(job.done.iter().all(|done| *done), "a run of {:?} has no outcome", job.plan);
        }
        self.figures.seconds = self.clock as f64 / SECOND as f64;
        self.figures.services = self.jobs.into_iter().map(|job| job.service).collect();
        self.figures
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Append(job) => self.append(job),
            Event::Connect(agent) => self.connect(agent),
            Event::Beat(agent, beats) => self.beat(agent, beats),
            Event::Made(agent, turn) => self.made(agent, turn),
            Event::Crash(agent) if self.agents[agent].alive => {
                self.die(agent, Left::Died);
                let back = SECOND + self.below(5 * SECOND);
                self.plan_at(back, Event::Connect(agent));
            }
            Event::Cut(agent) => {
                if let Some(session) = self.agents[agent].session.take() {
                    self.plan_at(SILENCE, Event::Notice(session, Left::Unreachable));
                    let back = SECOND + self.below(60 * SECOND);
                    self.plan_at(back, Event::Connect(agent));
                }
            }
            Event::Vanish => self.vanish(),
            Event::Notice(session, left) => {
                self.sessions.remove(&session);
                self.timed(|scheduler, now, _| scheduler.left(now, session, left));
            }
            Event::Sample => {
                let queue = self.scheduler.queue();
                self.figures.depth.push((queue.runs, queue.leases));
                for job in &mut self.jobs {
                    if self.scheduler.job(job.id).is_some_and(|view| !view.ready) {
                        job.service.rests(self.clock);
                    }
                }
                self.plan_at(SECOND, Event::Sample);
            }
            Event::Crash(_) => {}
        }
    }

    fn append(&mut self, number: usize) {
        let (id, plan, first) = (self.jobs[number].id, self.jobs[number].plan, self.jobs[number].appended);
        let count = CHUNK.min(plan.runs - first);
        self.jobs[number].appended += count;
        let sealed = first + count == plan.runs;
        let require = if number + 1 == self.jobs.len() { vec!["gpu".to_owned()] } else { Vec::new() };
        self.timed(|scheduler, now, _| {
            if first == 0 {
                scheduler.admit(now, admitted(id, require));
            }
            assert!(scheduler.append(now, id, Chunk { first, count: count as u32, bytes: 1 << 20 }));
            if sealed {
                scheduler.seal(now, id);
            }
        });
        if !sealed {
            self.plan_at(10 * MS, Event::Append(number));
        }
    }

    fn connect(&mut self, number: usize) {
        let agent = &mut self.agents[number];
        if agent.session.is_some() || agent.lives == u64::MAX {
            return;
        }
        if !agent.alive {
            (agent.alive, agent.lives) = (true, agent.lives + 1);
        }
        self.last_session += 1;
        let session = SessionId(self.last_session);
        (agent.session, agent.received) = (Some(session), 0);
        let labels = if agent.gpu { vec!["gpu".to_owned()] } else { Vec::new() };
        let mut incarnation = agent.id.to_bytes();
        incarnation[0] = agent.lives as u8;
        let incarnation = IncarnationId::from_bytes(incarnation);
        let info = AgentInfo { agent: agent.id, incarnation, slots: 1, labels };
        let kept = std::mem::take(&mut agent.kept);
        agent.beats += 1;
        let beats = agent.beats;
        self.sessions.insert(session, number);
        self.timed(|scheduler, now, _| scheduler.joined(now, session, info));
        for (lease, fence, landings) in kept {
            self.land(session, lease, fence, &landings);
        }
        self.beat(number, beats);
        self.credit(number);
    }

    fn beat(&mut self, number: usize, beats: u64) {
        let agent = &self.agents[number];
        let (Some(session), true) = (agent.session, agent.beats == beats) else { return };
        let leases: Vec<LeaseId> = agent.lanes.iter().map(|grant| grant.lease).collect();
        let unknown = self.timed(|scheduler, now, _| scheduler.beat(now, session, &leases));
        self.cancelled(number, &unknown);
        self.plan_at(10 * SECOND, Event::Beat(number, beats));
    }

    /// An agent has two leases: one that it makes, and one that waits.
    fn credit(&mut self, number: usize) {
        let agent = &self.agents[number];
        let Some(session) = agent.session else { return };
        let (received, batches) = (agent.received, 2u32.saturating_sub(agent.lanes.len() as u32));
        self.timed(|scheduler, now, _| scheduler.credit(now, session, received, batches));
    }

    /// An agent begins what it has next.
    fn begin(&mut self, number: usize) {
        self.agents[number].turn += 1;
        let agent = &self.agents[number];
        let Some(grant) = agent.lanes.front() else { return };
        let run_us = self.jobs[self.ids[&grant.job]].plan.run_us * agent.slowness;
        let runs: u64 = grant.runs.iter().map(|range| range.count).sum();
        let turn = agent.turn;
        if let (Some(session), true) = (agent.session, run_us > 20 * MS) {
            let (lease, fence, first) = (grant.lease, grant.fence, RunIndex(grant.runs[0].first));
            self.timed(|scheduler, now, _| scheduler.begun(now, session, lease, fence, &[first]));
        }
        self.plan_at(WAY + runs * run_us, Event::Made(number, turn));
    }

    fn made(&mut self, number: usize, turn: u64) {
        let agent = &mut self.agents[number];
        if agent.turn != turn || !agent.alive {
            return;
        }
        let Some(grant) = agent.lanes.pop_front() else { return };
        let (session, slowness) = (agent.session, agent.slowness);
        let time_us = self.jobs[self.ids[&grant.job]].plan.run_us * slowness;
        let runs = grant.runs.iter().flat_map(|range| range.first..range.first + range.count);
        let landings: Vec<Landing> =
            runs.map(|run| Landing { run: RunIndex(run), class: LandingClass::Valid, time_us }).collect();
        match session {
            Some(session) => self.land(session, grant.lease, grant.fence, &landings),
            None => self.agents[number].kept.push((grant.lease, grant.fence, landings)),
        }
        self.begin(number);
        self.credit(number);
    }

    fn land(&mut self, session: SessionId, lease: LeaseId, fence: Fence, landings: &[Landing]) {
        let job = self.scheduler.job_of(lease);
        self.timed(|scheduler, now, rulings| scheduler.landed(now, session, lease, fence, landings, rulings));
        for (landing, ruling) in landings.iter().zip(&self.rulings) {
            if *ruling == Ruling::Record {
                let job = &mut self.jobs[self.ids[&job.expect("recorded of a lease that is not there")]];
                let done = std::mem::replace(&mut job.done[landing.run.0 as usize], true);
                assert!(!done, "{landing:?} has two outcomes");
                job.service.served(self.clock, landing.time_us);
            } else {
                self.figures.refused += 1;
            }
        }
    }

    fn cancelled(&mut self, number: usize, leases: &[LeaseId]) {
        let agent = &mut self.agents[number];
        let first = agent.lanes.front().map(|grant| grant.lease);
        agent.lanes.retain(|grant| !leases.contains(&grant.lease));
        if first.is_some_and(|first| leases.contains(&first)) {
            self.begin(number);
        }
        if !leases.is_empty() {
            self.credit(number);
        }
    }

    fn die(&mut self, number: usize, left: Left) {
        let agent = &mut self.agents[number];
        (agent.alive, agent.turn) = (false, agent.turn + 1);
        agent.lanes.clear();
        agent.kept.clear();
        if let Some(session) = agent.session.take() {
            let noticed = if left == Left::Died { self.below(SECOND) } else { SILENCE };
            self.plan_at(noticed, Event::Notice(session, left));
        }
    }

    fn vanish(&mut self) {
        for number in 0..self.plan.vanish {
            // Spread over all, so that some of them have the label.
            let number = number * self.agents.len() / self.plan.vanish;
            self.vanished.extend(self.agents[number].lanes.iter().map(|grant| grant.lease));
            self.die(number, Left::Unreachable);
            self.agents[number].lives = u64::MAX;
        }
        self.figures.vanished(self.clock, self.vanished.len());
    }

    /// Carries out what the scheduler wants.
    fn act(&mut self) {
        while let Some(action) = self.timed(|scheduler, now, _| scheduler.poll(now)) {
            match action {
                Action::Lease(grant) => self.lease(grant),
                Action::Cancel { session, leases } => {
                    if let Some(number) = self.sessions.get(&session).copied() {
                        self.cancelled(number, &leases);
                    }
                }
                Action::DeadLetter { job, run, evidence } => {
                    assert!(evidence.len() >= 2, "{run:?} is dead after {evidence:?}");
                    let done = &mut self.jobs[self.ids[&job]].done[run.0 as usize];
                    assert!(!std::mem::replace(done, true), "{run:?} has two outcomes");
                    self.figures.dead += 1;
                }
                Action::Finished { job, .. } => {
                    self.jobs[self.ids[&job]].service.rests(self.clock);
                    self.ended += 1;
                }
                Action::Lost { session } => {
                    if let Some(number) = self.sessions.remove(&session)
                        && self.agents[number].session == Some(session)
                    {
                        panic!("an agent that beats was taken for lost");
                    }
                }
                Action::Held { runs, .. } => panic!("{runs:?} are made in time and were found held"),
                Action::Stalled { session, .. } => panic!("{session:?} moves and was found stalled"),
                Action::Moves { .. } | Action::Remember { .. } => {}
            }
        }
        if !self.vanished.is_empty() {
            let scheduler = &self.scheduler;
            self.vanished.retain(|lease| scheduler.job_of(*lease).is_some());
            if self.vanished.is_empty() {
                self.figures.moved(self.clock);
            }
        }
    }

    fn lease(&mut self, grant: Grant) {
        self.figures.leases += 1;
        let job = self.ids[&grant.job];
        self.jobs[job].service.given(self.clock);
        let number = *self.sessions.get(&grant.session).expect("a lease for a session that is over");
        let agent = &mut self.agents[number];
        assert!(agent.gpu || job + 1 < self.jobs.len(), "a lease for an agent that lacks the label");
        if agent.session == Some(grant.session) {
            agent.received += 1;
            agent.lanes.push_back(grant);
            if agent.lanes.len() == 1 {
                self.begin(number);
            }
        }
    }

    /// Does something with the scheduler, and counts how long that takes.
    fn timed<T>(&mut self, act: impl FnOnce(&mut Scheduler, Time, &mut Vec<Ruling>) -> T) -> T {
        let began = Instant::now();
        let done = act(&mut self.scheduler, Time(self.clock), &mut self.rulings);
        self.figures.spent += began.elapsed();
        self.figures.calls += 1;
        done
    }

    fn plan_at(&mut self, after: u64, event: Event) {
        self.events.plan(self.clock + after, event);
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    fn bytes(&mut self) -> [u8; 16] {
        let (one, two) = (self.below(u64::MAX), self.below(u64::MAX));
        (u128::from(one) << 64 | u128::from(two)).to_be_bytes()
    }
}

fn admitted(job: JobId, require: Vec<String>) -> JobAdmitted {
    JobAdmitted {
        job,
        shape: Shape { places: 1, iterations: 1 },
        priority: 0,
        max_parallel: None,
        retry: RetryPolicy::default(),
        wall: Duration::from_secs(60),
        group: 0,
        fail_fast: false,
        max_agents: None,
        require,
        prefer: Vec::new(),
        progress: Progress::default(),
    }
}
