//! Sets of runs, as ranges.

use std::{collections::BTreeMap, ops::Range};

/// Runs that have an outcome: disjoint ranges that do not touch, so that a job that goes on from its beginning to its
/// end costs one entry and not one a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Runs {
    /// Start of a range to its end.
    ranges: BTreeMap<u64, u64>,
}

impl Runs {
    /// Where the gap ends in which this run lies: the next run that is in the set. `None` if this one is.
    pub(crate) fn gap_end(&self, run: u64) -> Option<u64> {
        match self.ranges.range(..=run).next_back() {
            Some((_, &end)) if end > run => None,
            _ => Some(self.ranges.range(run..).next().map_or(u64::MAX, |(&start, _)| start)),
        }
    }

    /// Add a range, of which parts may be there.
    pub(crate) fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let Range { mut start, mut end } = range;
        // The last range that begins before or at the start may reach it; all others that it touches begin inside.
        if let Some((&before, &before_end)) = self.ranges.range(..=start).next_back()
            && before_end >= start
        {
            start = before;
            end = end.max(before_end);
        }
        while let Some((&inside, &inside_end)) = self.ranges.range(start..=end).next() {
            end = end.max(inside_end);
            self.ranges.remove(&inside);
        }
        self.ranges.insert(start, end);
    }

    /// Take a range out, of which parts may be there.
    pub(crate) fn remove(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        // The last range that begins before may reach into it and even beyond; all others begin inside.
        if let Some((_, end)) = self.ranges.range_mut(..range.start).next_back()
            && *end > range.start
        {
            let reached = std::mem::replace(end, range.start);
            if reached > range.end {
                self.ranges.insert(range.end, reached);
            }
        }
        while let Some((&inside, &inside_end)) = self.ranges.range(range.clone()).next() {
            self.ranges.remove(&inside);
            if inside_end > range.end {
                self.ranges.insert(range.end, inside_end);
            }
        }
    }

    /// Whether a run is in the set.
    pub(crate) fn contains(&self, run: u64) -> bool {
        self.gap_end(run).is_none()
    }

    /// The ranges, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Range<u64>> {
        self.ranges.iter().map(|(&start, &end)| start..end)
    }

    /// How many ranges.
    pub(crate) fn len(&self) -> usize {
        self.ranges.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_are_a_set(steps in proptest::collection::vec((any::<bool>(), 0u64..60, 0u64..12), 0..20)) {
            let (mut runs, mut model) = (Runs::default(), BTreeSet::new());
            for (inserts, start, length) in steps {
                if inserts {
                    runs.insert(start..start + length);
                    model.extend(start..start + length);
                } else {
                    runs.remove(start..start + length);
                    model.retain(|run| !(start..start + length).contains(run));
                }
            }
            prop_assert_eq!(runs.iter().flatten().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            let ranges: Vec<_> = runs.iter().collect();
            prop_assert_eq!(ranges.len(), runs.len());
            prop_assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
            for run in 0..80 {
                let expected = (!model.contains(&run)).then(|| model.range(run..).next().copied().unwrap_or(u64::MAX));
                prop_assert_eq!(runs.gap_end(run), expected);
                prop_assert_eq!(runs.contains(run), model.contains(&run));
            }
        }
    }
}
