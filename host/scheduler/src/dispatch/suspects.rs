//! Suspects: runs of which an agent may have died. Each is made by a session that makes nothing else meanwhile.

use std::collections::BTreeMap;

use pigeon_protocol::id::{JobId, SessionId};

use crate::{Scheduler, agent::Agent, job::Job};

impl Scheduler {
    /// Gives suspects to sessions that have nothing else, and sets sessions aside for those that are left.
    pub(super) fn give_suspects(&mut self) {
        if self.suspicious.is_empty() && self.reserved.is_empty() {
            return;
        }
        for session in self.reserved.clone() {
            let Some(agent) = self.agents.get(&session) else { continue };
            match self.suspect_for(session) {
                Some(job) if agent.is_empty_handed() => self.give_suspect(session, job),
                // Busy, and gets it when it has ended what it has.
                Some(_) if agent.is_usable() && !agent.leases.is_empty() => {}
                _ => self.reserve(session, false),
            }
        }
        let wanted = self.suspects_to_give().min((self.agents.len() / 2).max(1));
        let missing = wanted.saturating_sub(self.reserved.len());
        if missing == 0 {
            return;
        }
        let useful = |session: &SessionId, agent: &Agent| {
            let has_something = agent.is_empty_handed() || !agent.leases.is_empty();
            !agent.reserved && agent.is_usable() && has_something && self.suspect_for(*session).is_some()
        };
        let useful = self.agents.iter().filter(|(session, agent)| useful(session, agent));
        let mut useful: Vec<(usize, SessionId)> =
            useful.map(|(session, agent)| (agent.leases.len(), *session)).collect();
        useful.sort_unstable();
        for (leases, session) in useful.into_iter().take(missing) {
            self.reserve(session, true);
            if let (Some(job), 0) = (self.suspect_for(session), leases) {
                self.give_suspect(session, job);
            }
        }
    }

    /// The first job with a suspect that a session may be given.
    fn suspect_for(&self, session: SessionId) -> Option<JobId> {
        let agent = self.agents.get(&session)?;
        let fits = |job: &Job| job.admits(session, agent) && self.may_suspect(job.group);
        self.suspicious.iter().find(|job| self.jobs.get(job).is_some_and(fits)).copied()
    }

    /// How many suspects may be given, if there are sessions for them.
    fn suspects_to_give(&self) -> usize {
        let mut rooms: BTreeMap<u64, usize> = BTreeMap::new();
        let suspects = self.suspicious.iter().filter_map(|job| {
            let job = self.jobs.get(job)?;
            let Some(group) = self.groups.get(&job.group) else { return Some(job.work.suspects()) };
            let room = rooms.entry(job.group).or_insert_with(|| group.room_for_suspects());
            let suspects = job.work.suspects().min(*room);
            *room -= suspects;
            Some(suspects)
        });
        suspects.sum()
    }

    fn give_suspect(&mut self, session: SessionId, id: JobId) {
        match self.jobs.get_mut(&id).and_then(|job| job.work.take_suspect()) {
            Some(batch) => self.grant(session, id, batch, true, None),
            None => self.reindex(id),
        }
    }

    fn reserve(&mut self, session: SessionId, reserved: bool) {
        if let Some(agent) = self.agents.get_mut(&session) {
            agent.reserved = reserved;
        }
        if reserved {
            self.reserved.insert(session);
        } else {
            self.reserved.remove(&session);
        }
        self.refresh(session);
    }
}
