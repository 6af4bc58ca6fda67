//! The items of a lease, as they stand in its message.

use std::ops::Range;

use prost::Message;

/// Neighbouring items of a batch, in columns: there are thousands of them, and none should cost an allocation.
#[derive(Clone, PartialEq, Message)]
pub struct LeasedItems {
    /// Index of the first in the job; each of the others is one behind the one before.
    #[prost(uint64, tag = "1")]
    pub first: u64,
    /// Their ids, one behind the other.
    #[prost(string, tag = "2")]
    pub ids: String,
    /// Length of each id, in bytes.
    #[prost(uint32, repeated, tag = "3")]
    pub id_sizes: Vec<u32>,
    /// Length of each body, in bytes.
    #[prost(uint64, repeated, tag = "4")]
    pub sizes: Vec<u64>,
}

impl LeasedItems {
    /// What a message spends on a stretch beside its items, and on an item beside its id, in bytes, at most.
    const AROUND: usize = 40;
    const EACH: usize = 15;

    /// No items yet; the first will have this index.
    pub fn new(first: u64) -> Self {
        Self { first, ..Self::default() }
    }

    /// Add the next item.
    pub fn push(&mut self, id: &str, size: u64) {
        self.ids.push_str(id);
        self.id_sizes.push(u32::try_from(id.len()).unwrap_or(u32::MAX));
        self.sizes.push(size);
    }

    /// How many items.
    pub fn len(&self) -> usize {
        self.sizes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }

    /// Index, place of the id in [`ids`](Self::ids), and length of the body of each; `None` if the columns do not fit
    /// together.
    pub fn items(&self) -> Option<impl Iterator<Item = (u64, Range<usize>, u64)> + '_> {
        let mut end = 0usize;
        for size in &self.id_sizes {
            end = end.checked_add(*size as usize).filter(|&end| self.ids.is_char_boundary(end))?;
        }
        self.first.checked_add(self.len() as u64)?;
        let whole = end == self.ids.len() && self.id_sizes.len() == self.len();
        let mut end = 0;
        let places = self.id_sizes.iter().map(move |size| {
            let start = end;
            end += *size as usize;
            start..end
        });
        // The indices come last, so that none is made behind the last.
        whole.then(|| places.zip(&self.sizes).zip(self.first..).map(|((id, size), index)| (index, id, *size)))
    }

    /// Encoded, it takes no more than this, in bytes.
    pub fn bound(&self) -> usize {
        Self::AROUND + self.ids.len() + Self::EACH * self.len()
    }

    /// Leave the first items, as many as surely fit into so many bytes, and give the others; `None` if all fit.
    pub fn split_for(&mut self, room: usize) -> Option<Self> {
        if self.bound() <= room {
            return None;
        }
        let (mut count, mut ids, mut bound) = (0, 0, Self::AROUND);
        for size in &self.id_sizes {
            bound += *size as usize + Self::EACH;
            if bound > room {
                break;
            }
            ids += *size as usize;
            count += 1;
        }
        let first = self.first + count as u64;
        let (ids, id_sizes) = (self.ids.split_off(ids), self.id_sizes.split_off(count));
        Some(Self { first, ids, id_sizes, sizes: self.sizes.split_off(count) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stretch(ids: &[String]) -> LeasedItems {
        let mut items = LeasedItems::new(7);
        ids.iter().for_each(|id| items.push(id, id.len() as u64 * 1000));
        items
    }

    fn seen(items: &LeasedItems) -> Vec<(u64, String, u64)> {
        items.items().unwrap().map(|(index, id, size)| (index, items.ids[id].to_owned(), size)).collect()
    }

    proptest! {
        #[test]
        fn what_is_cut_is_whole_together_and_fits(ids in prop::collection::vec(".{0,30}", 0..40), room in 0usize..600) {
            let whole = stretch(&ids);
            prop_assert!(whole.encoded_len() <= whole.bound());
            let (mut first, all) = (whole.clone(), seen(&whole));
            let rest = first.split_for(room);
            prop_assert!(first.is_empty() || first.bound() <= room);
            let mut together = seen(&first);
            together.extend(rest.iter().flat_map(seen));
            prop_assert_eq!(together, all);
        }

        #[test]
        fn columns_that_do_not_fit_together_are_seen(first: u64, ids: String, id_sizes: Vec<u32>, sizes: Vec<u64>) {
            let items = LeasedItems { first, ids, id_sizes, sizes };
            if let Some(seen) = items.items() {
                let ids: String = seen.map(|(_, id, _)| &items.ids[id]).collect();
                prop_assert_eq!(ids, items.ids.as_str());
            }
        }
    }

    #[test]
    fn ids_are_not_cut_within_a_character() {
        let mut items = stretch(&["\u{e4}".to_owned()]);
        items.id_sizes = vec![1, 1];
        items.sizes = vec![0, 0];
        assert!(items.items().is_none());
        let last = LeasedItems { first: u64::MAX, ..stretch(&["a".to_owned()]) };
        assert!(last.items().is_none(), "no item lies beyond the last number");
        let last = LeasedItems { first: u64::MAX - 1, ..last };
        assert_eq!(last.items().unwrap().map(|(index, ..)| index).collect::<Vec<_>>(), [u64::MAX - 1]);
    }
}
