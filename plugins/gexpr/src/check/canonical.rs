//! Which literals are equal, without comparing each with each.
//!
//! A literal is written down in one way only: numbers as floats, strings as the ids of their texts, members in the
//! order of their names' ids. Two literals are equal if these bytes are, and a [`Names`] tells in linear time whether
//! bytes were seen before.

use crate::names::{Name, Names};
use crate::number;
use crate::order::sort_and_keep_last;
use crate::tape::{Kind, NONE, Tape};
use crate::tree::NodeId;

/// What is still to be written down, the last first.
#[derive(Debug, Clone, Copy)]
enum Item {
    /// The values from the first to before the second, then the end of an array.
    Elements(u32, u32),
    Member(Name, u32),
    End(u8),
}

/// The literals seen so far.
#[derive(Debug, Default)]
pub(crate) struct Canonical {
    literals: Names,
    /// For each literal: the match in which it was last seen.
    seen: Vec<NodeId>,
    bytes: Vec<u8>,
    items: Vec<Item>,
    members: Vec<(Name, u32)>,
    room: Vec<(Name, u32)>,
    unescaped: Vec<u8>,
}

impl Canonical {
    /// Forgets all literals.
    pub(crate) fn clear(&mut self) {
        self.literals.reset(&Names::default());
        self.seen.clear();
        self.seen.shrink_to(1 << 12);
        self.bytes.clear();
        self.bytes.shrink_to(1 << 12);
        self.items.clear();
        self.items.shrink_to(1 << 12);
        self.members.clear();
        self.members.shrink_to(1 << 12);
        self.room.clear();
        self.room.shrink_to(1 << 12);
        self.unescaped.clear();
        self.unescaped.shrink_to(1 << 12);
    }

    /// Whether the value at `value` is the first of its like in `match_id`. One that holds a number beyond 64-bit
    /// floats equals nothing.
    pub(crate) fn first_in(
        &mut self,
        match_id: NodeId,
        tape: &Tape,
        body: &[u8],
        value: u32,
        names: &mut Names,
    ) -> bool {
        self.bytes.clear();
        self.items.clear();
        if self.write(tape, body, value, names).is_none() {
            return true;
        }
        let literal = self.literals.intern(&self.bytes) as usize;
        if self.seen.len() <= literal {
            self.seen.resize(literal + 1, NONE);
        }
        std::mem::replace(&mut self.seen[literal], match_id) != match_id
    }

    fn write(&mut self, tape: &Tape, body: &[u8], value: u32, names: &mut Names) -> Option<()> {
        self.value(tape, body, value, names)?;
        while let Some(item) = self.items.pop() {
            match item {
                Item::Elements(next, end) if next < end => {
                    self.items.push(Item::Elements(tape.next(next), end));
                    self.value(tape, body, next, names)?;
                }
                Item::Elements(..) => self.bytes.push(b']'),
                Item::Member(name, value) => {
                    self.bytes.extend_from_slice(&name.to_le_bytes());
                    self.value(tape, body, value, names)?;
                }
                Item::End(byte) => self.bytes.push(byte),
            }
        }
        Some(())
    }

    fn value(&mut self, tape: &Tape, body: &[u8], value: u32, names: &mut Names) -> Option<()> {
        match tape.kind(value) {
            Kind::Word => self.bytes.extend(tape.token(body, value).first()),
            Kind::Number => {
                let number = number::parse(tape.token(body, value))?;
                if number.fract() == 0.0 && (0.0..100.0).contains(&number) {
                    // What most literals are takes one byte, none of which is a letter or bracket.
                    self.bytes.push(0x80 | number as u8);
                } else {
                    self.bytes.push(b'd');
                    self.bytes.extend_from_slice(&number.to_bits().to_le_bytes());
                }
            }
            Kind::String | Kind::Key => {
                let name = self.name(tape, body, value, names);
                self.bytes.push(b's');
                self.bytes.extend_from_slice(&name.to_le_bytes());
            }
            Kind::Array => {
                self.bytes.push(b'[');
                self.items.push(Item::Elements(value + 1, tape.next(value)));
            }
            Kind::Object => {
                self.members.clear();
                for key in tape.keys(value) {
                    let name = self.name(tape, body, key, names);
                    self.members.push((name, key + 1));
                }
                sort_and_keep_last(&mut self.members, &mut self.room);
                // How many there are goes first: a name's bytes may be anything, an end could not be told from them.
                self.bytes.push(b'{');
                self.bytes.extend_from_slice(&(self.members.len() as u32).to_le_bytes());
                self.items.push(Item::End(b'}'));
                self.items.extend(self.members.iter().rev().map(|(name, value)| Item::Member(*name, *value)));
            }
        }
        Some(())
    }

    fn name(&mut self, tape: &Tape, body: &[u8], entry: u32, names: &mut Names) -> Name {
        let raw = tape.raw(body, entry);
        if !tape.escaped(entry) {
            return names.intern(raw);
        }
        self.unescaped.clear();
        strict_json::unescape(raw, &mut self.unescaped);
        names.intern(&self.unescaped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether two literals are told to be equal.
    fn equal(left: &str, right: &str) -> bool {
        let body = format!("[{left},{right}]");
        let mut tape = Tape::default();
        tape.fill(body.as_bytes()).unwrap();
        let mut canonical = Canonical::default();
        let mut names = Names::default();
        let both: Vec<_> = tape.elements(0).collect();
        assert!(canonical.first_in(7, &tape, body.as_bytes(), both[0], &mut names));
        assert!(canonical.first_in(8, &tape, body.as_bytes(), both[0], &mut names), "another match is another match");
        canonical.clear();
        canonical.first_in(7, &tape, body.as_bytes(), both[0], &mut names);
        !canonical.first_in(7, &tape, body.as_bytes(), both[1], &mut names)
    }

    #[test]
    fn equal_values_however_written() {
        for (left, right) in [
            ("1", "1.0"),
            ("0", "-0.0"),
            ("100", "1e2"),
            (r#""a""#, r#""\u0061""#),
            (r#""\ud83d\ude00""#, r#""😀""#),
            (r#"{"a":1,"b":[2,{}]}"#, r#"{"b":[2.0,{}],"a":1}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            (r#""\ud800""#, r#""\uD800""#),
        ] {
            assert!(equal(left, right), "{left} {right}");
        }
    }

    #[test]
    fn values_that_differ() {
        for (left, right) in [
            ("1", r#""1""#),
            ("1", "true"),
            ("0", "false"),
            ("null", "[]"),
            ("[]", "{}"),
            ("[[],[]]", "[[[]]]"),
            ("[1,2]", "[2,1]"),
            (r#"{"a":1}"#, r#"{"a":1,"b":1}"#),
            (r#"{"a":{"b":1}}"#, r#"{"a":{},"b":1}"#),
            (r#""\ud800""#, r#""\ud801""#),
            ("1e400", "1e400"),
        ] {
            assert!(!equal(left, right), "{left} {right}");
        }
    }
}
