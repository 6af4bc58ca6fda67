//! The network and the hub: messages that may be late or come twice, connections that come and go.

use pigeon_protocol::id::SessionId;
use pigeon_scheduler::{AgentInfo, Left, Time};

use super::{
    MS, SECOND, World,
    event::{Event, ToAgent, ToHub},
};
use crate::plan::labels;

impl World {
    pub(super) fn tell(&mut self, session: SessionId, message: ToAgent) {
        if let Some(agent) = self.sessions.get(&session).copied() {
            let after = self.below(5 * MS);
            self.plan(after, Event::Agent(agent, session, message));
        }
    }

    pub(super) fn say(&mut self, agent: usize, message: ToHub) {
        let Some(session) = self.agents[agent].link else { return };
        let late = self.below(40) == 0 && self.faults.duplicates > 0;
        let after = self.below(if late { 2 * SECOND } else { 3 * MS });
        if self.faults.duplicates > 0 && self.below(10) < u64::from(self.faults.duplicates) {
            let again = self.below(SECOND);
            self.plan(again, Event::Hub(session, message.clone()));
        }
        self.plan(after, Event::Hub(session, message));
    }

    pub(super) fn hear(&mut self, session: SessionId, message: ToHub) {
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
                let believed = self.model.believed(session);
                self.model.renewed(self.shown, session, &leases, &unknown, &believed);
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

    pub(super) fn receive(&mut self, agent: usize, session: SessionId, message: ToAgent) {
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

    pub(super) fn say_credit(&mut self, agent: usize) {
        let (received, wants) = (self.agents[agent].received, self.agents[agent].wants());
        let game = self.agents[agent].greedy && self.below(3) == 0;
        self.say(agent, ToHub::Credit(if game { u64::MAX } else { received }, wants));
    }

    pub(super) fn connect(&mut self, agent: usize) {
        let state = &mut self.agents[agent];
        if !state.alive || state.link.is_some() {
            return;
        }
        self.last_session += 1;
        let session = SessionId(self.last_session);
        let (labels, slots) = (labels(state.labels), state.slots);
        let info = AgentInfo { agent: state.id, incarnation: state.incarnation, slots, labels };
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
    pub(super) fn notice(&mut self, session: SessionId, left: Left) {
        let Some(agent) = self.sessions.remove(&session) else { return };
        let now = self.now();
        self.scheduler.left(now, session, left);
        match left {
            Left::Unreachable => self.model.orphaned(session),
            Left::Died => self.model.gone(self.shown, session, true),
            Left::Drained | Left::Revoked => self.model.gone(self.shown, session, false),
        }
        self.cut_off(agent, session);
    }

    /// The scheduler takes a session for lost, and the hub ends it.
    pub(super) fn lost(&mut self, session: SessionId) {
        let Some(agent) = self.sessions.remove(&session) else { panic!("{session:?} lost, but not in") };
        self.model.orphaned(session);
        self.cut_off(agent, session);
    }

    /// Cut off by the hub, an agent connects again, once it can.
    fn cut_off(&mut self, agent: usize, session: SessionId) {
        if self.agents[agent].link == Some(session) {
            self.agents[agent].link = None;
            self.agents[agent].life += 1;
            let after = self.agents[agent].stopped_until.saturating_sub(self.clock) + self.below(SECOND);
            self.plan(after, Event::Connect(agent));
            self.go_on(agent);
        }
    }
}
