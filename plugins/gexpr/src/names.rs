//! Names as numbers: equal texts get equal ids, so that everything else compares ids.
//!
//! The texts lie in a crit-bit tree: an inner node asks for one bit, and the texts on its two sides differ in it.
//! Looking a text up costs time in proportion to its own length, whatever else is in the tree. There is nothing to
//! hash, so there are no collisions that somebody could arrange, and nothing random.

/// The id of a text.
pub(crate) type Name = u32;

/// In a link of the tree: this is a text's id, not a node.
const LEAF: u32 = 1 << 31;

/// An inner node of the tree.
#[derive(Debug, Clone, Copy)]
struct Fork {
    /// Which bit is asked for: 9 for each byte, of which the first says that there is such a byte. So no text is a
    /// prefix of another.
    bit: u32,
    sides: [u32; 2],
    /// Some text below: what all texts below have in common can be read from it.
    sample: Name,
}

/// The texts seen so far. Ids count from 0 in the order of first sight.
#[derive(Debug, Default, Clone)]
pub(crate) struct Names {
    text: Vec<u8>,
    spans: Vec<(u32, u32)>,
    forks: Vec<Fork>,
    root: u32,
}

impl Names {
    /// With `known` texts that get the ids from 0 on.
    pub(crate) fn with(known: &[&str]) -> Names {
        let mut names = Names::default();
        for text in known {
            names.intern(text.as_bytes());
        }
        names
    }

    /// How many there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Becomes a copy of `start`, keeping memory that an ordinary item needs.
    pub(crate) fn reset(&mut self, start: &Names) {
        self.text.clear();
        self.text.shrink_to(1 << 16);
        self.text.extend_from_slice(&start.text);
        self.spans.clear();
        self.spans.shrink_to(1 << 12);
        self.spans.extend_from_slice(&start.spans);
        self.forks.clear();
        self.forks.shrink_to(1 << 12);
        self.forks.extend_from_slice(&start.forks);
        self.root = start.root;
    }

    /// The text of an id.
    pub(crate) fn text(&self, name: Name) -> &[u8] {
        let (start, end) = self.spans.get(name as usize).copied().unwrap_or_default();
        self.text.get(start as usize..end as usize).unwrap_or_default()
    }

    /// The id of `text`, a new one if it was not seen before.
    pub(crate) fn intern(&mut self, text: &[u8]) -> Name {
        let Some(nearest) = self.nearest(text) else {
            self.root = self.add(text) | LEAF;
            return self.root & !LEAF;
        };
        let Some(bit) = first_difference(text, self.text(nearest)) else { return nearest };
        let name = self.add(text);
        self.insert(text, name, bit);
        name
    }

    /// The text that is `text` if any is, and else one that shares as long a beginning with it as any does.
    fn nearest(&self, text: &[u8]) -> Option<Name> {
        if self.spans.is_empty() {
            return None;
        }
        // Bits behind this one are asked for only where all texts are longer than this one.
        let last = text.len() as u32 * 9;
        let mut link = self.root;
        while link & LEAF == 0 {
            let fork = self.forks[link as usize];
            if fork.bit > last {
                return Some(fork.sample);
            }
            link = fork.sides[bit(text, fork.bit)];
        }
        Some(link & !LEAF)
    }

    fn add(&mut self, text: &[u8]) -> Name {
        let start = self.text.len() as u32;
        self.text.extend_from_slice(text);
        self.spans.push((start, self.text.len() as u32));
        self.spans.len() as u32 - 1
    }

    /// Hangs `name` into the tree: it differs first in bit `at` from the texts that are nearest to it.
    fn insert(&mut self, text: &[u8], name: Name, at: u32) {
        let new = self.forks.len() as u32;
        let side = bit(text, at);
        let mut above = None;
        let mut link = self.root;
        while link & LEAF == 0 && self.forks[link as usize].bit < at {
            let taken = bit(text, self.forks[link as usize].bit);
            above = Some((link, taken));
            link = self.forks[link as usize].sides[taken];
        }
        let mut sides = [link; 2];
        sides[side] = name | LEAF;
        self.forks.push(Fork { bit: at, sides, sample: name });
        match above {
            Some((fork, taken)) => self.forks[fork as usize].sides[taken] = new,
            None => self.root = new,
        }
    }
}

/// Bit `at` of `text`: 0 behind its end.
#[inline]
fn bit(text: &[u8], at: u32) -> usize {
    let (byte, within) = ((at / 9) as usize, at % 9);
    match text.get(byte) {
        Some(_) if within == 0 => 1,
        Some(byte) => usize::from(byte >> (8 - within) & 1),
        None => 0,
    }
}

/// The first bit in which two texts differ, if there is one.
#[inline]
fn first_difference(left: &[u8], right: &[u8]) -> Option<u32> {
    let same = left.iter().zip(right).take_while(|(left, right)| left == right).count();
    match (left.get(same), right.get(same)) {
        (None, None) => None,
        (Some(left), Some(right)) => Some(same as u32 * 9 + 1 + (left ^ right).leading_zeros()),
        _ => Some(same as u32 * 9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_names_come_first() {
        let known = Names::with(&["+", "and"]);
        let mut names = Names::default();
        names.reset(&known);
        assert_eq!((names.intern(b"and"), names.intern(b"+"), names.intern(b"x"), names.intern(b"")), (1, 0, 2, 3));
        names.reset(&known);
        assert_eq!((names.intern(b"y"), names.len()), (2, 3));
    }

    #[test]
    fn a_short_name_is_found_beneath_ever_longer_ones() {
        let mut names = Names::default();
        let ids: Vec<_> = (0..2000).map(|length| names.intern(&vec![0; length])).collect();
        assert_eq!(ids, (0..2000).collect::<Vec<_>>());
        assert_eq!(names.intern(b""), 0);
        assert_eq!(names.intern(b"\0\0"), 2);
    }

    proptest! {
        #[test]
        fn ids_are_equal_where_texts_are(texts in prop::collection::vec(prop::collection::vec(0u8..3, 0..6), 0..60)) {
            let mut names = Names::default();
            let ids: Vec<_> = texts.iter().map(|text| names.intern(text)).collect();
            for (text, id) in texts.iter().zip(&ids) {
                prop_assert_eq!(names.text(*id), &text[..]);
            }
            for (left, left_id) in texts.iter().zip(&ids) {
                for (right, right_id) in texts.iter().zip(&ids) {
                    prop_assert_eq!(left == right, left_id == right_id);
                }
            }
        }
    }
}
