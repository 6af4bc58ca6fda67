//! A session of an agent: what it has, and what it still takes.
//!
//! Credit is absolute. An agent says how many batches it takes beside the leases that it has received so far; those
//! that were sent and had not arrived when it spoke are subtracted. So a credit that crosses a lease on its way counts
//! it once, and a repeated or delayed one does no harm.

use std::collections::BTreeSet;

use pigeon_protocol::id::{JobId, LeaseId, SessionId};

use crate::{
    Time,
    event::AgentInfo,
    labels::{NeedId, sorted},
    stalls::Signs,
};

/// Most leases that a session may hold, whatever credit it claims.
const LEASES: u64 = 4096;
/// Most slots that a session is believed to have.
const SLOTS: u32 = 4096;

/// What an agent takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Credit {
    /// So many leases.
    pub batches: u32,
    /// As many of these only if their runs are known to be short. An agent that lately had short runs wants many of them, so as
    /// not to run dry; would long ones take their place, whatever comes next waited behind them.
    pub short: u32,
}

impl From<u32> for Credit {
    fn from(batches: u32) -> Self {
        Self { batches, short: 0 }
    }
}

/// A session.
#[derive(Debug)]
pub(crate) struct Agent {
    /// Its labels are sorted.
    pub(crate) info: AgentInfo,
    /// The needs that it meets, sorted, each with how many of the preferred labels it lacks.
    pub(crate) meets: Vec<(NeedId, u32)>,
    /// Its live leases.
    pub(crate) leases: BTreeSet<LeaseId>,
    /// Jobs that it is a member of.
    pub(crate) jobs: BTreeSet<JobId>,
    /// The suspect that it makes.
    pub(crate) alone: Option<LeaseId>,
    /// Gets nothing until its leases have ended, and then a suspect.
    pub(crate) reserved: bool,
    pub(crate) draining: bool,
    /// Let a lease expire and has not been heard since.
    pub(crate) mute: bool,
    pub(crate) signs: Signs,
    sent: u64,
    received: u64,
    credit: Credit,
    /// Under what it stands among the sessions with room, if it does.
    pub(crate) listed: Option<(u64, SessionId)>,
    /// What it was counted with in the sum of lanes.
    pub(crate) lanes: u64,
}

impl Agent {
    pub(crate) fn new(now: Time, info: AgentInfo) -> Self {
        let labels = sorted(info.labels.iter());
        Self {
            info: AgentInfo { slots: info.slots.clamp(1, SLOTS), labels, ..info },
            meets: Vec::new(),
            leases: BTreeSet::new(),
            jobs: BTreeSet::new(),
            alone: None,
            reserved: false,
            draining: false,
            mute: false,
            signs: Signs::new(now),
            sent: 0,
            received: 0,
            credit: Credit::default(),
            listed: None,
            lanes: 0,
        }
    }

    /// It said how much it takes.
    pub(crate) fn credit(&mut self, received: u64, credit: impl Into<Credit>) {
        // Messages of a session come in order; one that tells of fewer leases than before, or more than were sent,
        // is a game that wins nothing.
        self.received = received.clamp(self.received, self.sent);
        self.credit = credit.into();
    }

    /// A lease was sent to it.
    pub(crate) fn send(&mut self, lease: LeaseId) {
        self.sent += 1;
        self.leases.insert(lease);
    }

    /// A lease was not sent to it after all.
    pub(crate) fn unsend(&mut self) {
        self.sent = self.sent.saturating_sub(1).max(self.received);
    }

    /// How many more leases it takes now.
    pub(crate) fn room(&self) -> u64 {
        if !self.is_usable() || self.alone.is_some() {
            return 0;
        }
        let wanted = u64::from(self.credit.batches).saturating_sub(self.sent - self.received);
        wanted.min(LEASES.saturating_sub(self.leases.len() as u64))
    }

    /// Whether what it takes now is for short runs alone.
    pub(crate) fn is_for_short(&self) -> bool {
        self.room() <= u64::from(self.credit.short)
    }

    /// Leases for each 1,024 slots: who has least gets first.
    pub(crate) fn load(&self) -> u64 {
        self.leases.len() as u64 * 1024 / u64::from(self.info.slots)
    }

    /// How many preferred labels it lacks; `None` if it does not meet the need at all.
    pub(crate) fn lacks(&self, need: NeedId) -> Option<u32> {
        if need == NeedId::NONE {
            return Some(0);
        }
        let met = self.meets.binary_search_by_key(&need, |(met, _)| *met).ok()?;
        self.meets.get(met).map(|(_, lacking)| *lacking)
    }

    /// Whether it has all labels that are required.
    pub(crate) fn meets(&self, need: NeedId) -> bool {
        self.lacks(need).is_some()
    }

    /// Whether it can be given a suspect now.
    pub(crate) fn is_empty_handed(&self) -> bool {
        self.leases.is_empty() && self.room() > 0
    }

    /// Whether it might be given a suspect at all.
    pub(crate) fn is_usable(&self) -> bool {
        !self.draining && !self.mute && !self.signs.is_stalled()
    }
}

#[cfg(test)]
mod tests {
    use pigeon_protocol::id::{AgentId, IncarnationId};

    use super::*;

    fn agent() -> Agent {
        Agent::new(
            Time::ZERO,
            AgentInfo { agent: AgentId::new(), incarnation: IncarnationId::new(), slots: 2, labels: Vec::new() },
        )
    }

    #[test]
    fn what_is_on_the_way_counts_once() {
        let mut agent = agent();
        agent.credit(0, 4);
        assert_eq!(agent.room(), 4);
        agent.send(LeaseId(1));
        agent.send(LeaseId(2));
        assert_eq!(agent.room(), 2);
        agent.credit(0, 4);
        assert_eq!(agent.room(), 2, "said before they arrived");
        agent.credit(1, 3);
        assert_eq!(agent.room(), 2, "said when one had");
        agent.credit(2, 4);
        assert_eq!(agent.room(), 4, "one of them has ended by now");
    }

    #[test]
    fn games_with_credit_win_nothing() {
        let mut agent = agent();
        agent.credit(u64::MAX, u32::MAX);
        assert_eq!(agent.room(), LEASES);
        for lease in 0..LEASES {
            agent.send(LeaseId(lease));
        }
        assert_eq!(agent.room(), 0);
        agent.credit(10, 5);
        agent.credit(0, 5);
        assert_eq!(agent.room(), 0);
        agent.draining = true;
        agent.leases.clear();
        agent.credit(u64::MAX, 5);
        assert_eq!(agent.room(), 0);
    }
}
