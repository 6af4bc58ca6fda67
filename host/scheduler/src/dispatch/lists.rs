//! The lists from which decisions are read: sessions with room, jobs with work.

use std::cmp::Reverse;

use pigeon_protocol::id::{JobId, SessionId};

use crate::{
    Scheduler,
    group::Group,
    job::{Listed, Scope},
};

impl Scheduler {
    /// Lists a session anew, after its room or its leases have changed.
    pub(crate) fn refresh(&mut self, session: SessionId) {
        let Some(agent) = self.agents.get_mut(&session) else { return };
        let room = agent.room();
        let listed = (room > 0 && !agent.reserved).then(|| (agent.load(), session));
        if listed != agent.listed {
            if let Some(listed) = agent.listed {
                self.hungry.remove(&listed);
                self.needs.list(agent, listed, false);
            }
            if let Some(listed) = listed {
                self.hungry.insert(listed);
                self.needs.list(agent, listed, true);
            }
            agent.listed = listed;
        }
        let lanes = room + agent.leases.len() as u64;
        self.lanes = self.lanes - agent.lanes + lanes;
        self.needs.lanes(agent, agent.lanes, lanes);
        agent.lanes = lanes;
        self.dirty = true;
    }

    /// Lists a job anew, after its work, its leases or its members have changed.
    pub(crate) fn reindex(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let mut group = self.groups.get_mut(&job.group);
        let suspicious = job.may_lease() && job.work.has_suspects();
        let changed = if suspicious { self.suspicious.insert(id) } else { self.suspicious.remove(&id) };
        if let (Some(group), true) = (&mut group, changed) {
            group.suspicious = if suspicious { group.suspicious + 1 } else { group.suspicious.saturating_sub(1) };
        }
        let scope = job.scope();
        if scope.is_some() && job.listed.is_none() {
            // It shares from now on; what others got while it had nothing to do is not made good.
            let others = self.ready.share(job.need, job.priority).unwrap_or(0);
            let of_group = |group: &&mut Group| group.ready.share(job.need, job.priority);
            job.served = job.served.max(group.as_ref().map_or(Some(others), of_group).unwrap_or(others));
            job.waits_since = self.now;
            if let Some(group) = &mut group {
                group.comes(job.priority, job.served, others);
            }
            let ready = group.as_mut().map_or(&mut self.ready, |group| &mut group.ready);
            ready.comes(job.need, job.priority, job.served);
        }
        let rank = (Reverse(job.priority), job.served, id);
        let listed = scope.map(|scope| Listed { scope, rank, waits_since: job.waits_since });
        if listed != job.listed {
            let ready = group.map_or(&mut self.ready, |group| &mut group.ready);
            match job.listed {
                Some(old) if old.scope == Scope::All => ready.remove(job.need, &old),
                Some(old) => _ = self.ready_to_members.remove(&old.rank),
                None => {}
            }
            match listed {
                Some(new) if new.scope == Scope::All => ready.insert(job.need, &new),
                Some(new) => _ = self.ready_to_members.insert(new.rank),
                None => {}
            }
            job.listed = listed;
        }
        self.dirty = true;
    }

    /// Takes a job from all lists, until it is listed anew.
    pub(crate) fn unlist(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let mut group = self.groups.get_mut(&job.group);
        if let (true, Some(group)) = (self.suspicious.remove(&id), &mut group) {
            group.suspicious = group.suspicious.saturating_sub(1);
        }
        let ready = group.map_or(&mut self.ready, |group| &mut group.ready);
        match job.listed.take() {
            Some(old) if old.scope == Scope::All => ready.remove(job.need, &old),
            Some(old) => _ = self.ready_to_members.remove(&old.rank),
            None => {}
        }
    }
}
