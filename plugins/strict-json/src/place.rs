//! Where something stands: line, column and JSON Pointer, worked out only for what has to be told.

use crate::parse::{Sink, parse};
use crate::text::contents;

/// The most bytes a JSON Pointer may have in a finding; a longer one is left out.
pub const POINTER_LIMIT: usize = 1024;

/// A place in a text, in all the ways in which people and programs look for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Bytes from the start of the body, from 0.
    pub offset: usize,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1, in characters. A byte order mark is not counted.
    pub column: u32,
    /// JSON Pointer of the innermost value or member there; `None` where it would be longer than
    /// [`POINTER_LIMIT`] or hold a lone surrogate, which a pointer cannot spell.
    pub pointer: Option<String>,
}

/// Turns offsets into lines and columns. Linear over the body as long as the offsets ascend; one that is smaller
/// than the last starts again from the top.
#[derive(Debug, Clone)]
pub struct LineCursor<'a> {
    body: &'a [u8],
    offset: usize,
    line: u32,
    column: u32,
}

impl<'a> LineCursor<'a> {
    /// At the start of `body`.
    #[must_use]
    pub fn new(body: &'a [u8]) -> Self {
        LineCursor { body, offset: 0, line: 1, column: 1 }
    }

    /// Line and column of the byte at `offset`, both from 1. A line ends with a line feed. Behind the end of the body it is the end that is told.
    pub fn at(&mut self, offset: usize) -> (u32, u32) {
        let offset = offset.min(self.body.len());
        if offset < self.offset {
            *self = LineCursor::new(self.body);
        }
        let mut rest = self.body.get(self.offset..offset).unwrap_or_default();
        if self.offset == 0 {
            rest = rest.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(rest);
        }
        if let Some(last) = memchr::memrchr(b'\n', rest) {
            let (lines, tail) = rest.split_at(last + 1);
            let feeds = memchr::memchr_iter(b'\n', lines).count();
            self.line = self.line.saturating_add(u32::try_from(feeds).unwrap_or(u32::MAX));
            self.column = 1;
            rest = tail;
        }
        // Every byte but the continuations of a character begins one.
        let characters = rest.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
        self.column = self.column.saturating_add(u32::try_from(characters).unwrap_or(u32::MAX));
        self.offset = offset;
        (self.line, self.column)
    }
}

/// A JSON Pointer that grows and shrinks as a walk goes down and up. Pushing takes time linear in the token, popping
/// none; memory is bounded by [`POINTER_LIMIT`], however deep the walk goes.
#[derive(Debug, Clone, Default)]
pub struct Pointer {
    text: String,
    /// Length of `text` before each token that is in it.
    starts: Vec<u16>,
    /// Tokens that did not fit, or stand behind one that did not.
    unsaid: usize,
}

impl Pointer {
    /// The root: the empty string.
    #[must_use]
    pub fn new() -> Self {
        Pointer::default()
    }

    /// Down into the member whose key means `wtf8` (see [`unescape`](crate::unescape)).
    pub fn push_key(&mut self, wtf8: &[u8]) {
        if self.unsaid > 0 || self.text.len() + 1 + wtf8.len() > POINTER_LIMIT {
            self.unsaid += 1;
            return;
        }
        let Ok(key) = std::str::from_utf8(wtf8) else {
            self.unsaid += 1;
            return;
        };
        let start = self.text.len();
        self.text.push('/');
        for char in key.chars() {
            match char {
                '~' => self.text.push_str("~0"),
                '/' => self.text.push_str("~1"),
                other => self.text.push(other),
            }
        }
        self.close(start);
    }

    /// Down into the array's element `index`.
    pub fn push_index(&mut self, index: usize) {
        if self.unsaid > 0 {
            self.unsaid += 1;
            return;
        }
        let start = self.text.len();
        self.text.push('/');
        self.text.push_str(&index.to_string());
        self.close(start);
    }

    /// Up again.
    pub fn pop(&mut self) {
        if self.unsaid > 0 {
            self.unsaid -= 1;
        } else if let Some(start) = self.starts.pop() {
            self.text.truncate(usize::from(start));
        }
    }

    /// The pointer; `None` while it cannot be said.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        (self.unsaid == 0).then_some(self.text.as_str())
    }

    /// Keeps the token that was written from `start` on, if all of it fits.
    fn close(&mut self, start: usize) {
        match u16::try_from(start) {
            Ok(kept) if self.text.len() <= POINTER_LIMIT => self.starts.push(kept),
            _ => {
                self.text.truncate(start);
                self.unsaid += 1;
            }
        }
    }
}

/// The places of `offsets`, which must ascend, in one walk over `body`. Works for texts that are not JSON too: from
/// the first error on, the pointer is that of where the error is.
#[must_use]
pub fn locate(body: &[u8], offsets: &[usize]) -> Vec<Place> {
    let mut walk = Walk {
        body,
        lines: LineCursor::new(body),
        wanted: offsets,
        pointer: Pointer::new(),
        levels: Vec::new(),
        unsaid_levels: 0,
        places: Vec::with_capacity(offsets.len()),
    };
    // What cannot be parsed was told by whoever parsed it before.
    let _ = parse(body, &mut walk);
    walk.reach(usize::MAX);
    walk.places
}

struct Walk<'a> {
    body: &'a [u8],
    lines: LineCursor<'a>,
    wanted: &'a [usize],
    pointer: Pointer,
    /// For each open level whose own pointer can be said: the index that the next element has, or `None` in an object.
    levels: Vec<Option<usize>>,
    /// Open levels within those. No pointer reaches into them, so that a number is all that is kept of them.
    unsaid_levels: usize,
    places: Vec<Place>,
}

impl Walk<'_> {
    /// Tells the places of all wanted offsets before `end`, as the pointer stands.
    #[inline]
    fn reach(&mut self, end: usize) {
        while let Some((&offset, rest)) = self.wanted.split_first()
            && offset < end
        {
            self.wanted = rest;
            let (line, column) = self.lines.at(offset);
            self.places.push(Place { offset, line, column, pointer: self.pointer.as_str().map(str::to_owned) });
        }
    }

    /// A value begins at `at`: in an array it is the next element.
    #[inline]
    fn enter(&mut self, at: usize) {
        self.reach(at);
        if self.unsaid_levels > 0 {
            self.pointer.push_index(0);
        } else if let Some(Some(index)) = self.levels.last_mut() {
            self.pointer.push_index(*index);
            *index += 1;
        }
    }

    /// A level opens in the value just entered.
    #[inline]
    fn open(&mut self, first_index: Option<usize>) {
        if self.unsaid_levels > 0 || self.pointer.as_str().is_none() {
            self.unsaid_levels += 1;
        } else {
            self.levels.push(first_index);
        }
    }

    /// The innermost level and the value that it is end.
    #[inline]
    fn close(&mut self, end: usize) {
        self.reach(end);
        if self.unsaid_levels > 0 {
            self.unsaid_levels -= 1;
        } else {
            self.levels.pop();
        }
        self.pointer.pop();
    }

    /// The innermost value ends; its member or element is left.
    #[inline]
    fn leave(&mut self, end: usize) {
        self.reach(end);
        self.pointer.pop();
    }
}

impl Sink for Walk<'_> {
    fn begin_object(&mut self, at: usize) {
        self.enter(at);
        self.open(None);
    }
    fn end_object(&mut self, end: usize) {
        self.close(end);
    }
    fn begin_array(&mut self, at: usize) {
        self.enter(at);
        self.open(Some(0));
    }
    fn end_array(&mut self, end: usize) {
        self.close(end);
    }
    fn key(&mut self, start: usize, end: usize, escaped: bool) {
        self.reach(start);
        // Below what can be said it is the value that counts, so that levels need not be told apart.
        if self.unsaid_levels == 0 {
            self.pointer.push_key(&contents(self.body, start, end, escaped));
        }
    }
    fn string(&mut self, start: usize, end: usize, _escaped: bool) {
        self.enter(start);
        self.leave(end);
    }
    fn number(&mut self, start: usize, end: usize) {
        self.enter(start);
        self.leave(end);
    }
    fn literal(&mut self, start: usize, end: usize) {
        self.enter(start);
        self.leave(end);
    }
}
