//! Jobs that have work for every session that meets their needs, in the order in which they are served.
//!
//! Jobs that need the same stand in one list, so that a session looks at no job that it cannot work for. Lists compete
//! for the sessions that they have in common, by the ranks of their jobs; but what is rare is soon fallen behind, and what
//! many have is ahead. So a job that comes begins beside those of its own list, if there are any of its priority, and
//! where the last one began that was served if there are none.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use pigeon_protocol::id::JobId;

use crate::{
    Time,
    job::{Listed, Rank},
    labels::NeedId,
};

/// Jobs with work for whoever meets their needs.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    lists: BTreeMap<NeedId, List>,
    /// What the jobs of a priority had been served when the last of them was.
    pub(crate) shares: BTreeMap<i32, u64>,
}

/// Those that need the same.
#[derive(Debug, Default)]
pub(crate) struct List {
    pub(crate) ranks: BTreeSet<Rank>,
    /// The same, by how long they have waited.
    pub(crate) waiting: BTreeSet<(Time, JobId)>,
    /// What those of a priority had been served when the last of them was.
    shares: BTreeMap<i32, u64>,
}

impl List {
    /// The first job of a priority.
    fn first_of(&self, priority: i32) -> Option<&Rank> {
        let from = (Reverse(priority), 0, JobId::from_bytes([0; 16]));
        self.ranks.range(from..).next().filter(|(first, ..)| first.0 == priority)
    }

    /// The first job of each priority.
    pub(crate) fn firsts(&self) -> impl Iterator<Item = Rank> + '_ {
        let mut from = Some(i32::MAX);
        std::iter::from_fn(move || {
            let first = *self.ranks.range((Reverse(from?), 0, JobId::from_bytes([0; 16]))..).next()?;
            from = first.0.0.checked_sub(1);
            Some(first)
        })
    }
}

impl Ready {
    /// The jobs that need this.
    pub(crate) fn list(&self, need: NeedId) -> Option<&List> {
        self.lists.get(&need)
    }

    /// All lists that have jobs.
    pub(crate) fn lists(&self) -> impl Iterator<Item = (NeedId, &List)> {
        self.lists.iter().filter(|(_, list)| !list.ranks.is_empty()).map(|(need, list)| (*need, list))
    }

    pub(crate) fn insert(&mut self, need: NeedId, listed: &Listed) {
        let list = self.lists.entry(need).or_default();
        list.ranks.insert(listed.rank);
        list.waiting.insert((listed.waits_since, listed.rank.2));
    }

    pub(crate) fn remove(&mut self, need: NeedId, listed: &Listed) {
        if let Some(list) = self.lists.get_mut(&need) {
            list.ranks.remove(&listed.rank);
            list.waiting.remove(&(listed.waits_since, listed.rank.2));
        }
    }

    /// No job has this need any more.
    pub(crate) fn forget(&mut self, need: NeedId) {
        self.lists.remove(&need);
    }

    /// Whether it has a job of this priority.
    pub(crate) fn has(&self, priority: i32) -> bool {
        self.lists.values().any(|list| list.first_of(priority).is_some())
    }

    /// Where a job of this priority begins; `None` if none was served yet.
    pub(crate) fn share(&self, need: NeedId, priority: i32) -> Option<u64> {
        let own = self.lists.get(&need).filter(|list| list.first_of(priority).is_some());
        own.and_then(|list| list.shares.get(&priority)).or_else(|| self.shares.get(&priority)).copied()
    }

    /// A job comes that was served so much. If it is the first of its list, others that come begin beside it.
    pub(crate) fn comes(&mut self, need: NeedId, priority: i32, served: u64) {
        let list = self.lists.entry(need).or_default();
        if list.first_of(priority).is_none() {
            list.shares.insert(priority, served);
        }
    }

    /// A job is served that had been served so much.
    pub(crate) fn serve(&mut self, need: NeedId, priority: i32, served: u64) {
        for shares in [&mut self.lists.entry(need).or_default().shares, &mut self.shares] {
            let share = shares.entry(priority).or_insert(0);
            *share = (*share).max(served);
        }
    }
}
