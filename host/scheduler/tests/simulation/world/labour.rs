//! Agents at work: they beat, make runs, and keep outcomes until they are acknowledged.

use pigeon_protocol::id::{JobId, LeaseId, RunIndex};

use super::{
    CALM, MS, World,
    event::{Event, ToHub},
};

impl World {
    pub(super) fn beat(&mut self, agent: usize, life: u64) {
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

    pub(super) fn job_of(&self, id: JobId) -> usize {
        self.jobs.iter().position(|job| job.id == id).unwrap()
    }

    /// How many runs a lane makes before it sends their outcomes.
    pub(super) fn flush(run_us: u64) -> usize {
        (5 * MS / run_us).clamp(1, 200) as usize
    }

    pub(super) fn plan_step(&mut self, agent: usize, life: u64, lease: LeaseId) {
        let Some(lane) = self.agents[agent].lanes.get(&lease) else { return };
        let run_us = self.jobs[self.job_of(lane.grant.job)].plan.run_us;
        let runs = Self::flush(run_us).min(lane.left.len()) as u64;
        let slowness = if self.clock < CALM { self.agents[agent].slowness } else { 1 };
        let after = runs * run_us * slowness;
        self.plan(after, Event::Step(agent, life, lease));
    }

    pub(super) fn step(&mut self, agent: usize, life: u64, lease: LeaseId) {
        let state = &mut self.agents[agent];
        if state.life != life {
            return;
        }
        if state.stopped_until > self.clock {
            let after = state.stopped_until - self.clock;
            return self.plan(after, Event::Step(agent, life, lease));
        }
        match state.wedged_until {
            u64::MAX => return,
            until if until > self.clock => return self.plan(until - self.clock, Event::Step(agent, life, lease)),
            _ => {}
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

    /// Lanes go on without a connection.
    pub(super) fn go_on(&mut self, agent: usize) {
        let (life, lanes) = (self.agents[agent].life, self.agents[agent].lanes.keys().copied().collect::<Vec<_>>());
        for lease in lanes {
            self.plan_step(agent, life, lease);
        }
    }
}
