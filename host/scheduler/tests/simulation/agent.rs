//! An agent of the simulation: lanes that make runs, outcomes that are kept until they are acknowledged.

use std::collections::{BTreeMap, VecDeque};

use pigeon_protocol::id::{AgentId, Fence, IncarnationId, LeaseId, SessionId};
use pigeon_scheduler::{Grant, Landing};

pub(crate) struct Agent {
    pub(crate) id: AgentId,
    pub(crate) incarnation: IncarnationId,
    pub(crate) slots: u32,
    /// By the bits of their places.
    pub(crate) labels: u8,
    /// Its process runs.
    pub(crate) alive: bool,
    /// Counts its lives: what was planned in a former one does not happen.
    pub(crate) life: u64,
    /// The connection that it has.
    pub(crate) link: Option<SessionId>,
    /// The last session that the hub knew it by.
    pub(crate) known_as: Option<(SessionId, IncarnationId)>,
    pub(crate) stopped_until: u64,
    /// What it has does not move until then.
    pub(crate) wedged_until: u64,
    pub(crate) slowness: u64,
    pub(crate) greedy: bool,
    pub(crate) draining: bool,
    pub(crate) received: u64,
    pub(crate) lanes: BTreeMap<LeaseId, Lane>,
    /// Outcomes that are not acknowledged.
    pub(crate) kept: BTreeMap<LeaseId, (Fence, Vec<Landing>)>,
}

pub(crate) struct Lane {
    pub(crate) grant: Grant,
    pub(crate) left: VecDeque<u64>,
}

impl Agent {
    pub(crate) fn new(slots: u32, labels: u8, greedy: bool) -> Self {
        Self {
            id: AgentId::new(),
            incarnation: IncarnationId::new(),
            slots,
            labels,
            alive: true,
            life: 0,
            link: None,
            known_as: None,
            stopped_until: 0,
            wedged_until: 0,
            slowness: 1,
            greedy,
            draining: false,
            received: 0,
            lanes: BTreeMap::new(),
            kept: BTreeMap::new(),
        }
    }

    /// Its process is gone, with all that it had.
    pub(crate) fn die(&mut self) {
        self.alive = false;
        self.life += 1;
        self.wedged_until = if self.wedged_until == u64::MAX { u64::MAX } else { 0 };
        self.link = None;
        self.draining = false;
        self.lanes.clear();
        self.kept.clear();
    }

    pub(crate) fn take(&mut self, grant: Grant) {
        self.received += 1;
        let left = grant.runs.iter().flat_map(|range| range.first..range.first + range.count).collect();
        self.lanes.insert(grant.lease, Lane { grant, left });
    }

    /// What it says of its room.
    pub(crate) fn wants(&self) -> u32 {
        if self.greedy { u32::MAX } else { (2 * self.slots).saturating_sub(self.lanes.len() as u32) }
    }

    pub(crate) fn acknowledged(&mut self, lease: LeaseId, landings: &[Landing]) {
        if let Some((_, kept)) = self.kept.get_mut(&lease) {
            kept.retain(|landing| !landings.contains(landing));
            if kept.is_empty() {
                self.kept.remove(&lease);
            }
        }
    }
}
