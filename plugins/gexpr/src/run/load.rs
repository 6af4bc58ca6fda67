//! From literals on a tape to values.
//!
//! Each literal is loaded once, before the program runs, so that evaluating one costs the same whatever is in it.

use super::value::{Pool, Value};
use crate::names::{Name, Names};
use crate::number;
use crate::order::sort_and_keep_last;
use crate::tape::{Kind, Tape};

/// What is still to be loaded.
#[derive(Debug, Clone, Copy)]
enum Item {
    /// The values from `next` to `end` on the tape, into the pool's elements from `slot` on.
    Elements { next: u32, end: u32, slot: u32 },
    /// The value at this entry, into this member of the pool.
    Member { entry: u32, slot: u32 },
}

/// Loads literals of one text.
pub(crate) struct Loader<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) tape: &'a Tape,
    pub(crate) names: &'a mut Names,
    pub(crate) pool: &'a mut Pool,
}

impl Loader<'_> {
    /// The value at `entry`; [`Value::TooLarge`] if a number beyond 64-bit floats is anywhere in it.
    pub(crate) fn load(&mut self, entry: u32) -> Value {
        let mut items = Vec::new();
        let mut too_large = false;
        let root = self.value(entry, &mut items);
        too_large |= matches!(root, Value::TooLarge);
        while let Some(item) = items.pop() {
            let value = match item {
                Item::Elements { next, end, .. } if next >= end => continue,
                Item::Elements { next, end, slot } => {
                    items.push(Item::Elements { next: self.tape.next(next), end, slot: slot + 1 });
                    let value = self.value(next, &mut items);
                    self.pool.elements[slot as usize] = value;
                    value
                }
                Item::Member { entry, slot } => {
                    let value = self.value(entry, &mut items);
                    self.pool.members[slot as usize].1 = value;
                    value
                }
            };
            too_large |= matches!(value, Value::TooLarge);
        }
        if too_large { Value::TooLarge } else { root }
    }

    /// The value itself; what is in it goes onto `items`.
    fn value(&mut self, entry: u32, items: &mut Vec<Item>) -> Value {
        match self.tape.kind(entry) {
            Kind::Word => match self.tape.token(self.body, entry).first() {
                Some(b't') => Value::Bool(true),
                Some(b'f') => Value::Bool(false),
                _ => Value::Null,
            },
            Kind::Number => number::parse(self.tape.token(self.body, entry)).map_or(Value::TooLarge, Value::Number),
            Kind::String | Kind::Key => Value::Text(self.name(entry)),
            Kind::Array => {
                let start = self.pool.elements.len();
                let len = self.tape.elements(entry).count();
                self.pool.elements.resize(start + len, Value::Null);
                let (start, len) = (start as u32, len as u32);
                items.push(Item::Elements { next: entry + 1, end: self.tape.next(entry), slot: start });
                Value::Vector { start, len, functions: false }
            }
            Kind::Object => {
                let mut members = Vec::new();
                for key in self.tape.keys(entry) {
                    members.push((self.name(key), key + 1));
                }
                sort_and_keep_last(&mut members, &mut Vec::new());
                let start = self.pool.members.len() as u32;
                for (slot, (name, entry)) in (start..).zip(&members) {
                    self.pool.members.push((*name, Value::Null));
                    items.push(Item::Member { entry: *entry, slot });
                }
                Value::Object { start, len: members.len() as u32 }
            }
        }
    }

    fn name(&mut self, entry: u32) -> Name {
        let raw = self.tape.raw(self.body, entry);
        if !self.tape.escaped(entry) {
            return self.names.intern(raw);
        }
        let mut text = Vec::with_capacity(raw.len());
        strict_json::unescape(raw, &mut text);
        self.names.intern(&text)
    }
}
