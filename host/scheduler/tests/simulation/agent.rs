//! An agent of the simulation: lanes that make runs, outcomes that are kept until they are acknowledged.

use std::collections::{BTreeMap, VecDeque};

use pigeon_protocol::id::{AgentId, Fence, IncarnationId, LeaseId, SessionId};
use pigeon_scheduler::{Grant, Landing};

pub struct Agent {
    pub id: AgentId,
    pub incarnation: IncarnationId,
    pub slots: u32,
    /// Its process runs.
    pub alive: bool,
    /// Counts its lives: what was planned in a former one does not happen.
    pub life: u64,
    /// The connection that it has.
    pub link: Option<SessionId>,
    /// The last session that the hub knew it by.
    pub known_as: Option<(SessionId, IncarnationId)>,
    pub stopped_until: u64,
    pub slowness: u64,
    pub greedy: bool,
    pub draining: bool,
    pub received: u64,
    pub lanes: BTreeMap<LeaseId, Lane>,
    /// Outcomes that are not acknowledged.
    pub kept: BTreeMap<LeaseId, (Fence, Vec<Landing>)>,
}

pub struct Lane {
    pub grant: Grant,
    pub left: VecDeque<u64>,
}

impl Agent {
    pub fn new(slots: u32, greedy: bool) -> Self {
        Self {
            id: AgentId::new(),
            incarnation: IncarnationId::new(),
            slots,
            alive: true,
            life: 0,
            link: None,
            known_as: None,
            stopped_until: 0,
            slowness: 1,
            greedy,
            draining: false,
            received: 0,
            lanes: BTreeMap::new(),
            kept: BTreeMap::new(),
        }
    }

    /// Its process is gone, with all that it had.
    pub fn die(&mut self) {
        self.alive = false;
        self.life += 1;
        self.link = None;
        self.draining = false;
        self.lanes.clear();
        self.kept.clear();
    }

    pub fn take(&mut self, grant: Grant) {
        self.received += 1;
        let left = grant.runs.iter().flat_map(|range| range.first..range.first + range.count).collect();
        self.lanes.insert(grant.lease, Lane { grant, left });
    }

    /// What it says of its room.
    pub fn wants(&self) -> u32 {
        if self.greedy { u32::MAX } else { (2 * self.slots).saturating_sub(self.lanes.len() as u32) }
    }

    pub fn acknowledged(&mut self, lease: LeaseId, landings: &[Landing]) {
        if let Some((_, kept)) = self.kept.get_mut(&lease) {
            kept.retain(|landing| !landings.contains(landing));
            if kept.is_empty() {
                self.kept.remove(&lease);
            }
        }
    }
}
