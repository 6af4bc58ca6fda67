//! Suspects: runs of which an agent may have died. Each is made by a session that makes nothing else meanwhile. At most half of
//! the sessions are set aside for them, of all and of those that have the labels of any job.

use std::collections::BTreeMap;

use pigeon_protocol::id::{JobId, SessionId};

use crate::{Scheduler, agent::Agent, job::Job, labels::NeedId};

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
        if self.reserved.len() >= wanted {
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
        let mut reserved: BTreeMap<NeedId, usize> = BTreeMap::new();
        for session in &self.reserved {
            self.count_reserved(*session, &mut reserved);
        }
        for (leases, session) in useful {
            if self.reserved.len() >= wanted {
                break;
            }
            if self.is_too_many(session, &reserved) {
                continue;
            }
            self.count_reserved(session, &mut reserved);
            self.reserve(session, true);
            if let (Some(job), 0) = (self.suspect_for(session), leases) {
                self.give_suspect(session, job);
            }
        }
    }

    /// Counts a session that is set aside, for each need that it meets.
    fn count_reserved(&self, session: SessionId, reserved: &mut BTreeMap<NeedId, usize>) {
        for (need, _) in self.agents.get(&session).iter().flat_map(|agent| &agent.meets) {
            *reserved.entry(*need).or_default() += 1;
        }
    }

    /// Whether more than half of those that meet a need would be set aside with this one: jobs with that need wait for others.
    fn is_too_many(&self, session: SessionId, reserved: &BTreeMap<NeedId, usize>) -> bool {
        let is_spent = |need: &NeedId| {
            let meet = self.needs.of(*need).map_or(0, |need| need.sessions);
            reserved.get(need).is_some_and(|reserved| *reserved >= (meet / 2).max(1))
        };
        self.agents.get(&session).is_some_and(|agent| agent.meets.iter().any(|(need, _)| is_spent(need)))
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
