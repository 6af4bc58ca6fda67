//! Which job a session works for next: the best that it may work for, whatever list that stands in.

use std::collections::BTreeMap;

use pigeon_protocol::id::{JobId, SessionId};

use super::sharing::Sharing;
use crate::{
    Scheduler, Time,
    agent::Agent,
    group::{Group, Room},
    job::{Job, Listed, Rank, Scope},
    labels::NeedId,
    ready::{List, Ready},
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
        let starving = self.starving(agent, &own);
        let own = own.into_iter().map(|listed| listed.rank);
        let plain = self.ready.list(NeedId::NONE);
        let ranked = ranked(own, plain, lists_for(&self.ready, &self.groups, agent)).map(|rank| rank.2);

        let (lanes, sessions) = (self.lanes, self.agents.len());
        let (now, needs, paces) = (self.now, &self.needs, &self.paces);
        let sharing = Sharing { config: &self.config, now, lanes, sessions, needs, paces };
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
    fn starving(&self, agent: &Agent, own: &[Listed]) -> Option<JobId> {
        let lists =
            lists_for(&self.ready, &self.groups, agent).map(|(_, list)| list).chain(self.ready.list(NeedId::NONE));
        let waiting = lists.filter_map(|list| list.waiting.first()).copied();
        let (since, job) = own.iter().map(|listed| (listed.waits_since, listed.rank.2)).chain(waiting).min()?;
        self.is_starving(since).then_some(job)
    }

    fn is_starving(&self, since: Time) -> bool {
        self.now.since(since) >= self.config.patience
    }

    /// The session to be served next: the one that is first for the job that goes first, of those jobs for which there is
    /// one with room.
    pub(super) fn next_session(&self) -> Option<SessionId> {
        let limited = open(&self.groups).flat_map(|group| group.ready.lists().map(move |of| (Some(group), of)));
        let lists = self.ready.lists().map(|of| (None, of)).chain(limited);
        let firsts = lists.filter_map(|(group, (need, list))| {
            let session = self.first_hungry(need)?;
            let rank = *list.ranks.first()?;
            let starving = list.waiting.first().map(|(since, _)| *since).filter(|since| self.is_starving(*since));
            let rank = group.map_or(rank, |group| group.stands(rank));
            Some(((starving.is_none(), starving, rank), session))
        });
        firsts.min_by_key(|(order, _)| *order).map(|(_, session)| session)
    }
}

fn open(groups: &BTreeMap<u64, Group>) -> impl Iterator<Item = &Group> {
    groups.values().filter(|group| group.is_open())
}

/// The lists of jobs that a session may work for, but for that of those without needs and limits: each with the group that
/// it is of.
fn lists_for<'a>(
    ready: &'a Ready,
    groups: &'a BTreeMap<u64, Group>,
    agent: &'a Agent,
) -> impl Iterator<Item = (Option<&'a Group>, &'a List)> {
    let needs = agent.meets.iter().filter_map(|(need, _)| ready.list(*need)).map(|list| (None, list));
    let of_group = |group: &'a Group| {
        group.ready.lists().filter(|(need, _)| agent.meets(*need)).map(move |(_, list)| (Some(group), list))
    };
    needs.chain(open(groups).flat_map(of_group))
}

/// All these jobs, in the order of their ranks.
fn ranked<'a>(
    own: impl Iterator<Item = Rank>,
    plain: Option<&'a List>,
    others: impl Iterator<Item = (Option<&'a Group>, &'a List)>,
) -> impl Iterator<Item = Rank> {
    let (mut own, mut all) = (own.peekable(), plain.into_iter().flat_map(|list| &list.ranks).copied().peekable());
    let standing = |(group, list): (Option<&'a Group>, &'a List)| {
        list.ranks.iter().map(move |rank| group.map_or(*rank, |group| group.stands(*rank))).peekable()
    };
    // As a rule there are no groups with limits and no needs, and this is empty.
    let mut others: Vec<_> = others.map(standing).collect();
    std::iter::from_fn(move || {
        let (one, other) = (own.peek(), all.peek());
        let before = |rank: &Rank, other: Option<&Rank>| other.is_none_or(|other| rank < other);
        let first = others.iter_mut().filter_map(|list| list.peek().copied().map(|rank| (rank, list)));
        match first.min_by_key(|(rank, _)| *rank) {
            Some((rank, list)) if before(&rank, one) && before(&rank, other) => list.next(),
            _ if one.is_some_and(|one| before(one, other)) => own.next(),
            _ => all.next(),
        }
    })
}
