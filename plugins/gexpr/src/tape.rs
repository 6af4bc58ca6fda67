//! A JSON text as a flat tape: one small entry for each value and key, in the order of the text.
//!
//! The tape borrows nothing and copies nothing: an entry knows where its token stands in the body, and an object or
//! array knows where its subtree ends on the tape, so that walking over a value costs the same whatever is in it.
//! An entry takes 8 bytes, which bounds what a body full of brackets can ask for.

use strict_json::{Outline, Sink};

/// An index that stands for nothing.
pub(crate) const NONE: u32 = u32::MAX;

/// Bodies must be smaller than this, in bytes: an entry has 28 bits for an offset.
pub(crate) const MAX_BODY: usize = 1 << OFFSET_BITS;

const OFFSET_BITS: u32 = 28;

/// From this size on, in bytes, the tape's length is counted before it is filled: growing by doubling would ask for
/// one and a half times the memory at the worst moment.
const COUNT_FROM: usize = 1 << 20;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    /// `true`, `false` or `null`.
    Word,
    /// A member's key; its value is the next entry.
    Key,
}

const OBJECT: u32 = 0;
const ARRAY: u32 = 1;
const STRING: u32 = 2;
const ESCAPED_STRING: u32 = 3;
const NUMBER: u32 = 4;
const WORD: u32 = 5;
const KEY: u32 = 6;
const ESCAPED_KEY: u32 = 7;

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The kind in the upper 4 bits, the token's first byte in the lower 28.
    head: u32,
    /// Objects and arrays: the entry behind their last one (while they are open, the one that holds them). Others:
    /// one past the token's last byte.
    link: u32,
}

/// The tape. Filled by [`strict_json::parse`].
#[derive(Debug)]
pub(crate) struct Tape {
    entries: Vec<Entry>,
    /// The innermost object or array that is still open.
    open: u32,
}

impl Default for Tape {
    fn default() -> Self {
        Tape { entries: Vec::new(), open: NONE }
    }
}

impl Tape {
    /// Forgets what it holds and takes `body` in, which must be smaller than [`MAX_BODY`].
    ///
    /// # Errors
    /// The first thing in it that is not JSON.
    pub(crate) fn fill(&mut self, body: &[u8]) -> Result<Outline, strict_json::Error> {
        self.entries.clear();
        self.open = NONE;
        if body.len() >= COUNT_FROM {
            self.entries.reserve_exact(count_entries(body));
        }
        strict_json::parse(body, self)
    }

    /// Gives memory back that an ordinary body does not need.
    pub(crate) fn shrink(&mut self) {
        self.entries.clear();
        self.entries.shrink_to(COUNT_FROM / 16);
    }

    /// How many entries there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    #[inline]
    pub(crate) fn kind(&self, at: u32) -> Kind {
        match self.entries[at as usize].head >> OFFSET_BITS {
            OBJECT => Kind::Object,
            ARRAY => Kind::Array,
            STRING | ESCAPED_STRING => Kind::String,
            NUMBER => Kind::Number,
            WORD => Kind::Word,
            _ => Kind::Key,
        }
    }

    /// Whether a string or key holds an escape.
    #[inline]
    pub(crate) fn escaped(&self, at: u32) -> bool {
        matches!(self.entries[at as usize].head >> OFFSET_BITS, ESCAPED_STRING | ESCAPED_KEY)
    }

    /// Where the entry's token begins in the body, in bytes.
    #[inline]
    pub(crate) fn offset(&self, at: u32) -> usize {
        (self.entries[at as usize].head & (MAX_BODY as u32 - 1)) as usize
    }

    /// The token of a string, key, number or word, quotes included.
    #[inline]
    pub(crate) fn token<'b>(&self, body: &'b [u8], at: u32) -> &'b [u8] {
        body.get(self.offset(at)..self.entries[at as usize].link as usize).unwrap_or_default()
    }

    /// What a string or key holds between its quotes, escapes and all.
    #[inline]
    pub(crate) fn raw<'b>(&self, body: &'b [u8], at: u32) -> &'b [u8] {
        body.get(self.offset(at) + 1..(self.entries[at as usize].link as usize).saturating_sub(1)).unwrap_or_default()
    }

    /// The entry behind the value at `at` and all that is in it.
    #[inline]
    pub(crate) fn next(&self, at: u32) -> u32 {
        match self.entries[at as usize] {
            Entry { head, link } if head >> OFFSET_BITS <= ARRAY => link,
            _ => at + 1,
        }
    }

    /// The elements of the array at `at`.
    #[inline]
    pub(crate) fn elements(&self, at: u32) -> impl Iterator<Item = u32> + '_ {
        let end = self.entries[at as usize].link;
        let mut cursor = at + 1;
        std::iter::from_fn(move || {
            let element = (cursor < end).then_some(cursor)?;
            cursor = self.next(element);
            Some(element)
        })
    }

    /// The keys of the object at `at`; the value of each is the entry behind it.
    #[inline]
    pub(crate) fn keys(&self, at: u32) -> impl Iterator<Item = u32> + '_ {
        let end = self.entries[at as usize].link;
        let mut cursor = at + 1;
        std::iter::from_fn(move || {
            let key = (cursor < end).then_some(cursor)?;
            cursor = self.next(key + 1);
            Some(key)
        })
    }

    /// Whether `good` holds for the entries of all numbers.
    pub(crate) fn numbers_all(&self, good: impl Fn(u32) -> bool) -> bool {
        (0..self.entries.len() as u32).filter(|entry| self.kind(*entry) == Kind::Number).all(good)
    }

    #[inline]
    fn push(&mut self, kind: u32, start: usize, link: u32) {
        self.entries.push(Entry { head: kind << OFFSET_BITS | start as u32, link });
    }

    #[inline]
    fn begin(&mut self, kind: u32, at: usize) {
        let index = self.entries.len() as u32;
        self.push(kind, at, self.open);
        self.open = index;
    }

    #[inline]
    fn end(&mut self) {
        let behind = self.entries.len() as u32;
        if let Some(entry) = self.entries.get_mut(self.open as usize) {
            self.open = std::mem::replace(&mut entry.link, behind);
        }
    }
}

impl Sink for Tape {
    #[inline]
    fn begin_object(&mut self, at: usize) {
        self.begin(OBJECT, at);
    }
    #[inline]
    fn end_object(&mut self, _end: usize) {
        self.end();
    }
    #[inline]
    fn begin_array(&mut self, at: usize) {
        self.begin(ARRAY, at);
    }
    #[inline]
    fn end_array(&mut self, _end: usize) {
        self.end();
    }
    #[inline]
    fn key(&mut self, start: usize, end: usize, escaped: bool) {
        self.push(if escaped { ESCAPED_KEY } else { KEY }, start, end as u32);
    }
    #[inline]
    fn string(&mut self, start: usize, end: usize, escaped: bool) {
        self.push(if escaped { ESCAPED_STRING } else { STRING }, start, end as u32);
    }
    #[inline]
    fn number(&mut self, start: usize, end: usize) {
        self.push(NUMBER, start, end as u32);
    }
    #[inline]
    fn literal(&mut self, start: usize, end: usize) {
        self.push(WORD, start, end as u32);
    }
}

/// At least as many entries as parsing `body` makes: each but the first stands behind a bracket, brace, comma or
/// colon that is not in a string.
fn count_entries(body: &[u8]) -> usize {
    let mut count = 1;
    let (mut quoted, mut escaped) = (false, false);
    for byte in body {
        if quoted {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => quoted = true,
                b'[' | b'{' | b',' | b':' => count += 1,
                _ => {}
            }
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tape(text: &str) -> Tape {
        let mut tape = Tape::default();
        tape.fill(text.as_bytes()).unwrap();
        tape
    }

    #[test]
    fn walks_over_subtrees() {
        let text = r#" {"a": [1, [2, 3], {}], "b\n": "x", "c": null}"#;
        let tape = tape(text);
        let keys: Vec<_> = tape.keys(0).map(|key| tape.token(text.as_bytes(), key)).collect();
        assert_eq!(keys, [&b"\"a\""[..], b"\"b\\n\"", b"\"c\""]);
        let array = tape.keys(0).next().unwrap() + 1;
        let kinds: Vec<_> = tape.elements(array).map(|element| tape.kind(element)).collect();
        assert_eq!(kinds, [Kind::Number, Kind::Array, Kind::Object]);
        assert_eq!(tape.next(0) as usize, tape.len());
        assert_eq!(tape.offset(0), 1);
    }

    #[test]
    fn counts_never_too_few() {
        for text in ["1", "[]", "[1,2]", r#"{"a":{"b":[",",":"]}}"#, r#"["\"",[[]]]"#] {
            assert!(count_entries(text.as_bytes()) >= tape(text).len(), "{text}");
        }
    }

    #[test]
    fn a_large_body_is_counted_first() {
        let text = format!("[{}0]", "0,".repeat(COUNT_FROM));
        let tape = tape(&text);
        assert_eq!(tape.len(), COUNT_FROM + 2);
        assert!(tape.entries.capacity() <= COUNT_FROM + 16);
    }
}
