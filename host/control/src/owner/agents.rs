//! Agents: they come, live, and leave.

use std::time::Duration;

use pigeon_api::{EventKind, words::plural};
use pigeon_hub::{HubEvent, SessionEnd};
use pigeon_protocol::id::{AgentId, LeaseId, SessionId};
use pigeon_scheduler::{AgentInfo, Credit, Left, Time};
use pigeon_store::{AgentRecord, Mark};

use super::Owner;
use crate::{
    fleet::{Joined, Joining, Leaving},
    journal::About,
};

impl Owner {
    pub(super) fn event(&mut self, now: Time, event: HubEvent, known: Option<&AgentRecord>) {
        match event {
            HubEvent::Joined { session, agent, hello, address, certificate: _, ends_ms } => {
                let joining = Joining { session, agent, hello: &hello, address, ends_ms, known };
                let Joined { incarnation, labels, drained } = self.fleet.joined(&joining);
                self.scheduler.joined(now, session, AgentInfo { agent, incarnation, slots: hello.slots, labels });
                if drained {
                    self.scheduler.draining(now, session);
                }
                let slots = plural(hello.slots.into(), "slot");
                let message = format!("came from {address}, with {slots} and version {}", hello.version);
                self.note_agent(&hello.name, EventKind::AgentJoined, message);
            }
            HubEvent::Credit { session, received, batches, short } => {
                self.fleet.heard(session);
                self.scheduler.credit(now, session, received, Credit { batches, short });
            }
            HubEvent::Draining { session, reason } => {
                self.fleet.draining(session, &reason);
                self.scheduler.draining(now, session);
            }
            HubEvent::LeaseBroken { session, lease, fence, reason } => {
                // The hub has told of it, if nobody hears it too often.
                tracing::debug!(lease = lease.0, reason, "a lease's stream broke");
                self.attempts.remove(&lease);
                self.scheduler.lease_ended(now, session, lease, fence);
            }
            HubEvent::Left { session, end, .. } => self.left(now, session, &end),
        }
    }

    fn left(&mut self, now: Time, session: SessionId, end: &SessionEnd) {
        let (left, told) = match end {
            SessionEnd::Drained => (Left::Drained, None),
            SessionEnd::Closed(_) => (Left::Drained, Some("left in a hurry; what it was at is done again")),
            SessionEnd::Died => (Left::Died, Some("died; what it was at is done again")),
            SessionEnd::Unreachable => (Left::Unreachable, Some("cannot be reached; its runs go to others")),
            SessionEnd::Replaced => (Left::Unreachable, None),
            SessionEnd::Misbehaved(_) => (Left::Revoked, Some("broke the protocol and was sent away")),
            SessionEnd::Disconnected(_) => (Left::Revoked, None),
        };
        let leaving = Leaving::of(end);
        let died = matches!(end, SessionEnd::Died);
        if let Some(name) = self.fleet.left(session, leaving.as_ref(), died) {
            if let Some(told) = told {
                self.note_jobs(&format!("{name} {told}"));
            }
            match leaving {
                Some(Leaving::InOrder) => self.note_agent(&name, EventKind::AgentLeft, "left in order".to_owned()),
                Some(Leaving::Lost(how)) => self.note_agent(&name, EventKind::AgentLost, how),
                Some(Leaving::SentAway(why)) => self.note_agent(&name, EventKind::AgentRefused, why),
                None => {}
            }
        }
        self.gone(now, session, left);
    }

    /// A session holds nothing any more, as far as that follows from how it ended.
    fn gone(&mut self, now: Time, session: SessionId, left: Left) {
        self.scheduler.left(now, session, left);
        self.attempts.retain(|lease, _| self.scheduler.job_of(*lease).is_some());
    }

    /// An agent is connected and makes no progress: what it had goes to others. It is not told, so that what it delivers late
    /// shows that it moves again.
    pub(super) fn stalled(&mut self, session: SessionId, leases: &[LeaseId], after: Duration) {
        for lease in leases {
            self.attempts.remove(lease);
        }
        let Some(name) = self.fleet.stalled(session, true) else { return };
        let (after, leases) = (after.as_secs(), plural(leases.len() as u64, "lease"));
        self.note_jobs(&format!("{name} makes no progress; its runs go to others"));
        let message = format!("makes no progress for {after} s, though it is connected: its {leases} went to others");
        self.note_agent(&name, EventKind::AgentStalled, message);
    }

    /// An agent that made no progress does.
    pub(super) fn moves(&mut self, session: SessionId) {
        let Some(name) = self.fleet.stalled(session, false) else { return };
        self.note_agent(&name, EventKind::AgentMoves, "makes progress again".to_owned());
    }

    /// An agent is connected and says nothing. It may come back.
    pub(super) fn lost_sight(&mut self, session: SessionId) {
        let how = "is connected, and has said nothing for three beats";
        if let Some(name) = self.fleet.left(session, Some(&Leaving::Lost(how.to_owned())), false) {
            self.note_agent(&name, EventKind::AgentLost, how.to_owned());
        }
        self.tools.hub.disconnect(session, "the control host has heard no beat for too long", true);
    }

    /// Somebody wants an agent to take nothing, or to take work again.
    pub(super) fn drain(&mut self, now: Time, agent: AgentId, mark: Option<Mark>) {
        let drained = mark.is_some();
        match self.fleet.drained(agent, mark) {
            Some(session) if drained => self.scheduler.draining(now, session),
            Some(session) => self.scheduler.resumed(now, session),
            None => {}
        }
    }

    /// Nobody wants an agent any more: what it was at goes to others at once, whether it hears of it or not.
    pub(super) fn revoke(&mut self, now: Time, agent: AgentId, mark: Mark) {
        if let Some(session) = self.fleet.revoked(agent, mark) {
            self.gone(now, session, Left::Revoked);
        }
        self.tools.hub.disconnect_agent(agent, "the agent was revoked", false);
    }

    /// Whoever watches a job that has not ended is told.
    fn note_jobs(&self, message: &str) {
        for owned in self.jobs.values().filter(|owned| owned.end.is_none()) {
            owned.job.note(message.to_owned());
        }
    }

    fn note_agent(&self, name: &str, kind: EventKind, message: String) {
        if self.tools.serving {
            self.tools.journal.note(&format!("agent {name}"), kind, About::named(name), message);
        }
    }
}
