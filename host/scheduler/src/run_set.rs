//! A set of runs that stays small whatever the order in which it grows.
//!
//! Runs are kept as bits in pages of 4,096; a page that is full or empty costs no bits. So 10^7 runs take at most
//! 1.3 MB however they are scattered, and a few tens of kilobytes when most pages are full.

use std::ops::Range;

use pigeon_protocol::id::RunIndex;

/// Runs of a page.
const PAGE: u64 = 4096;
/// Words of a page.
const WORDS: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum Page {
    #[default]
    Empty,
    Full,
    /// Some, but not all: at least 1, at most `PAGE - 1`, as counted.
    Bits(u32, Box<[u64; WORDS]>),
}

/// A set of run indices.
#[derive(Debug, Clone, Default)]
pub struct RunSet {
    pages: Vec<Page>,
    len: u64,
    /// No page before this one holds a run.
    lowest: usize,
}

impl RunSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self { pages: Vec::new(), len: 0, lowest: 0 }
    }

    /// How many runs it holds.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether it holds this run.
    pub fn contains(&self, run: RunIndex) -> bool {
        let (page, bit) = split(run.0);
        match self.pages.get(page) {
            None | Some(Page::Empty) => false,
            Some(Page::Full) => true,
            Some(Page::Bits(_, bits)) => bits[bit / 64] >> (bit % 64) & 1 == 1,
        }
    }

    /// Adds a run. Returns whether it is new.
    pub fn insert(&mut self, run: RunIndex) -> bool {
        // The usual case, once a run: a bit of a page that has some and does not become full.
        let (page, bit) = split(run.0);
        if let Some(Page::Bits(count, words)) = self.pages.get_mut(page)
            && u64::from(*count) + 1 < PAGE
        {
            let (word, mask) = (&mut words[bit / 64], 1 << (bit % 64));
            let new = *word & mask == 0;
            *word |= mask;
            *count += u32::from(new);
            self.len += u64::from(new);
            return new;
        }
        self.insert_range(run.0..run.0.saturating_add(1)) == 1
    }

    /// Takes a run out. Returns whether it was there.
    pub fn remove(&mut self, run: RunIndex) -> bool {
        self.remove_range(run.0..run.0.saturating_add(1)) == 1
    }

    /// Adds runs. Returns how many are new.
    pub fn insert_range(&mut self, runs: Range<u64>) -> u64 {
        let mut new = 0;
        for (page, bits) in pages(runs) {
            if page >= self.pages.len() {
                self.pages.resize(page + 1, Page::Empty);
            }
            self.lowest = if self.len + new == 0 { page } else { self.lowest.min(page) };
            new += self.pages[page].set(bits);
        }
        self.len += new;
        new
    }

    /// Takes runs out. Returns how many were there.
    pub fn remove_range(&mut self, runs: Range<u64>) -> u64 {
        let end = runs.end.min(self.pages.len() as u64 * PAGE);
        let mut gone = 0;
        for (page, bits) in pages(runs.start..end) {
            gone += self.pages[page].clear(bits);
        }
        self.len -= gone;
        while self.lowest < self.pages.len() && self.pages[self.lowest] == Page::Empty {
            self.lowest += 1;
        }
        gone
    }

    /// The first run at or behind `from` that it holds.
    pub fn next_from(&self, from: RunIndex) -> Option<RunIndex> {
        self.seek(from.0.max(self.lowest as u64 * PAGE), true).map(RunIndex)
    }

    /// The first run at or behind `from` that it does not hold.
    pub fn first_missing_from(&self, from: RunIndex) -> RunIndex {
        RunIndex(self.seek(from.0, false).unwrap_or(from.0.max(self.pages.len() as u64 * PAGE)))
    }

    /// What it holds, as ranges that neither touch nor overlap, in ascending order.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.ranges_from(RunIndex(0))
    }

    /// Like [`ranges`](Self::ranges), of the runs at or behind `from`.
    pub fn ranges_from(&self, from: RunIndex) -> impl Iterator<Item = Range<u64>> + '_ {
        let mut at = from;
        std::iter::from_fn(move || {
            let first = self.next_from(at)?;
            at = self.first_missing_from(first);
            Some(first.0..at.0)
        })
    }

    /// How many of these runs it holds.
    pub fn count_in(&self, runs: Range<u64>) -> u64 {
        let held = self.ranges_from(RunIndex(runs.start)).take_while(|range| range.start < runs.end);
        held.map(|range| range.end.min(runs.end) - range.start).sum()
    }

    /// Memory that it takes on the heap, in bytes.
    pub fn heap_bytes(&self) -> usize {
        let bits = self.pages.iter().filter(|page| matches!(page, Page::Bits(..))).count();
        self.pages.capacity() * size_of::<Page>() + bits * size_of::<[u64; WORDS]>()
    }

    /// The first index at or behind `from`, within the pages that exist, whose membership is `held`.
    fn seek(&self, from: u64, held: bool) -> Option<u64> {
        let (mut page, mut bit) = split(from);
        while let Some(content) = self.pages.get(page) {
            let found = match content {
                Page::Empty => (!held).then_some(bit),
                Page::Full => held.then_some(bit),
                Page::Bits(_, bits) => {
                    let mut word = bit / 64;
                    let flip = if held { 0 } else { u64::MAX };
                    let mut left = (bits[word] ^ flip) & (u64::MAX << (bit % 64));
                    while left == 0 && word + 1 < WORDS {
                        word += 1;
                        left = bits[word] ^ flip;
                    }
                    (left != 0).then(|| word * 64 + left.trailing_zeros() as usize)
                }
            };
            if let Some(bit) = found {
                return Some(page as u64 * PAGE + bit as u64);
            }
            (page, bit) = (page + 1, 0);
        }
        None
    }
}

impl PartialEq for RunSet {
    /// By content: trailing empty pages do not matter.
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.ranges().eq(other.ranges())
    }
}

impl Eq for RunSet {}

impl FromIterator<Range<u64>> for RunSet {
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(ranges: I) -> Self {
        let mut set = Self::new();
        for range in ranges {
            set.insert_range(range);
        }
        set
    }
}

impl Page {
    /// Sets bits; returns how many were not set.
    fn set(&mut self, bits: Range<usize>) -> u64 {
        if bits.is_empty() || *self == Page::Full {
            return 0;
        }
        if *self == Page::Empty {
            if bits.len() as u64 == PAGE {
                *self = Page::Full;
                return PAGE;
            }
            *self = Page::Bits(0, Box::new([0; WORDS]));
        }
        let Page::Bits(count, words) = self else { return 0 };
        let mut new = 0;
        for (word, mask) in masks(bits) {
            new += (mask & !words[word]).count_ones();
            words[word] |= mask;
        }
        *count += new;
        if u64::from(*count) == PAGE {
            *self = Page::Full;
        }
        u64::from(new)
    }

    /// Clears bits; returns how many were set.
    fn clear(&mut self, bits: Range<usize>) -> u64 {
        if bits.is_empty() || *self == Page::Empty {
            return 0;
        }
        if *self == Page::Full {
            if bits.len() as u64 == PAGE {
                *self = Page::Empty;
                return PAGE;
            }
            *self = Page::Bits(PAGE as u32, Box::new([u64::MAX; WORDS]));
        }
        let Page::Bits(count, words) = self else { return 0 };
        let mut gone = 0;
        for (word, mask) in masks(bits) {
            gone += (mask & words[word]).count_ones();
            words[word] &= !mask;
        }
        *count -= gone;
        if *count == 0 {
            *self = Page::Empty;
        }
        u64::from(gone)
    }
}

/// Page and bit of an index.
fn split(run: u64) -> (usize, usize) {
    ((run / PAGE) as usize, (run % PAGE) as usize)
}

/// The pages that a range touches, each with the bits of it that the range covers.
fn pages(runs: Range<u64>) -> impl Iterator<Item = (usize, Range<usize>)> {
    let first = runs.start / PAGE;
    let end = if runs.is_empty() { first } else { (runs.end - 1) / PAGE + 1 };
    (first..end).map(move |page| {
        let base = page * PAGE;
        let bits = runs.start.saturating_sub(base) as usize..(runs.end - base).min(PAGE) as usize;
        (page as usize, bits)
    })
}

/// The words that a range of bits touches, each with its mask.
fn masks(bits: Range<usize>) -> impl Iterator<Item = (usize, u64)> {
    (bits.start / 64..bits.end.div_ceil(64)).map(move |word| {
        let base = word * 64;
        let (low, high) = (bits.start.saturating_sub(base), (bits.end - base).min(64));
        (word, (u64::MAX >> (64 - (high - low))) << low)
    })
}

#[cfg(test)]
mod tests;
