//! Who makes which place of a job of one item.
//!
//! Such a job has N worker places with K runs each. A place belongs to a session: its report shall show N workers that
//! made K runs each. So free places go first to sessions that have none; only when the job's agents have had their time
//! to join does one of them take a second place. A session that is gone leaves its places to the others.

use std::collections::{BTreeMap, BTreeSet};

use pigeon_protocol::id::SessionId;

/// The places of a job.
#[derive(Debug)]
pub(crate) struct Places {
    owners: Vec<Option<SessionId>>,
    owned: BTreeMap<SessionId, BTreeSet<u32>>,
    free: BTreeSet<u32>,
}

impl Places {
    /// All of them free.
    pub(crate) fn new(places: u32) -> Self {
        Self { owners: vec![None; places as usize], owned: BTreeMap::new(), free: (0..places).collect() }
    }

    /// Whether there may be a free place with work.
    pub(crate) fn any_free(&self) -> bool {
        !self.free.is_empty()
    }

    /// The places of a session, in order.
    pub(crate) fn of(&self, session: SessionId) -> impl Iterator<Item = u32> + '_ {
        self.owned.get(&session).into_iter().flatten().copied()
    }

    /// How many sessions have a place.
    pub(crate) fn sessions(&self) -> usize {
        self.owned.len()
    }

    /// The first free place that has work. Those before it that have none are looked at no more, until work comes back
    /// to them.
    pub(crate) fn first_free(&mut self, has_work: impl Fn(u32) -> bool) -> Option<u32> {
        while let Some(&place) = self.free.first() {
            if has_work(place) {
                return Some(place);
            }
            self.free.pop_first();
        }
        None
    }

    /// A session takes a place.
    pub(crate) fn take(&mut self, place: u32, session: SessionId) {
        self.free.remove(&place);
        if let Some(owner) = self.owners.get_mut(place as usize) {
            *owner = Some(session);
            self.owned.entry(session).or_default().insert(place);
        }
    }

    /// A session leaves its places to the others.
    pub(crate) fn release(&mut self, session: SessionId) {
        for place in self.owned.remove(&session).unwrap_or_default() {
            self.owners[place as usize] = None;
            self.free.insert(place);
        }
    }

    /// Work came back to a place.
    pub(crate) fn work_came_back(&mut self, place: u32) {
        if self.owners.get(place as usize).is_some_and(Option::is_none) {
            self.free.insert(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_one_owner_and_comes_back() {
        let (one, two) = (SessionId(1), SessionId(2));
        let mut places = Places::new(3);
        places.take(0, one);
        places.take(1, two);
        assert_eq!(places.sessions(), 2);
        assert_eq!(places.first_free(|_| true), Some(2));
        places.take(2, one);
        assert_eq!(places.of(one).collect::<Vec<_>>(), [0, 2]);
        assert!(!places.any_free());
        places.release(one);
        assert_eq!(places.first_free(|place| place != 0), Some(2));
        assert_eq!(places.first_free(|_| true), Some(2), "place 0 had no work and is not looked at");
        places.work_came_back(0);
        places.work_came_back(1);
        assert_eq!(places.first_free(|_| true), Some(0));
        places.take(0, two);
        assert_eq!(places.of(two).collect::<Vec<_>>(), [0, 1]);
    }
}
