//! Which job a session works for next: the best that it may work for, whatever list that stands in.

use std::collections::BTreeMap;

use pigeon_protocol::id::{JobId, SessionId};

use super::sharing::Sharing;
use crate::{
    Scheduler,
    group::{Group, Ready, Room},
    job::{Job, Listed, Rank, Scope},
    work::Batch,
};

impl Scheduler {
    /// The batch that a session gets next.
    pub(super) fn pick(&mut self, session: SessionId) -> Option<(JobId, Batch)> {
        let mut failed = Vec::new();
        let found = self.draw(session, &mut failed);
        for job in failed {
            self.reindex(job);
        }
        found
    }

    /// Draws from the first job that has something for a session. Those before it that had not are `failed`.
    fn draw(&mut self, session: SessionId, failed: &mut Vec<JobId>) -> Option<(JobId, Batch)> {
        let agent = self.agents.get(&session)?;
        let mut own: Vec<Listed> = agent.jobs.iter().filter_map(|job| self.own(self.jobs.get(job)?)).collect();
        own.sort_unstable_by_key(|listed| listed.rank);
        let starving = self.starving(&own);
        let own = own.into_iter().map(|listed| listed.rank);
        let ranked = ranked(own, &self.ready, &self.groups).map(|rank| rank.2);

        let sharing = Sharing { config: &self.config, now: self.now, lanes: self.lanes, sessions: self.agents.len() };
        for id in starving.into_iter().chain(ranked) {
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            let room = self.groups.get(&job.group).map_or(Room::ALL, Group::room);
            match sharing.draw(job, session, agent, room) {
                Some(batch) => return Some((id, batch)),
                None => failed.push(id),
            }
        }
        None
    }

    /// How a job stands that is open to its members alone, if anything of it may be leased.
    fn own(&self, job: &Job) -> Option<Listed> {
        let listed = job.listed.filter(|listed| listed.scope == Scope::Members)?;
        match self.groups.get(&job.group) {
            None => Some(listed),
            Some(group) => group.is_open().then(|| Listed { rank: group.stands(listed.rank), ..listed }),
        }
    }

    /// The job that has waited longest, if that is too long; `own` are those that are for this session beside the rest.
    fn starving(&self, own: &[Listed]) -> Option<JobId> {
        let limited = open(&self.groups).filter_map(|group| group.ready.waiting.first());
        let waiting = self.ready.waiting.first().into_iter().chain(limited).copied();
        let (since, job) = own.iter().map(|listed| (listed.waits_since, listed.rank.2)).chain(waiting).min()?;
        (self.now.since(since) >= self.config.patience).then_some(job)
    }
}

fn open(groups: &BTreeMap<u64, Group>) -> impl Iterator<Item = &Group> {
    groups.values().filter(|group| group.is_open())
}

/// All these jobs, in the order of their ranks.
fn ranked<'a>(
    own: impl Iterator<Item = Rank>,
    ready: &'a Ready,
    groups: &'a BTreeMap<u64, Group>,
) -> impl Iterator<Item = Rank> {
    let (mut own, mut all) = (own.peekable(), ready.ranks.iter().copied().peekable());
    // As a rule there are no groups with limits, and this is empty.
    let mut limited: Vec<_> = open(groups).map(|group| group.standing().peekable()).collect();
    std::iter::from_fn(move || {
        let (one, other) = (own.peek(), all.peek());
        let before = |rank: &Rank, other: Option<&Rank>| other.is_none_or(|other| rank < other);
        let first = limited.iter_mut().filter_map(|list| list.peek().copied().map(|rank| (rank, list)));
        match first.min_by_key(|(rank, _)| *rank) {
            Some((rank, list)) if before(&rank, one) && before(&rank, other) => list.next(),
            _ if one.is_some_and(|one| before(one, other)) => own.next(),
            _ => all.next(),
        }
    })
}
