//! The elements of a JSON array, as the bytes that they are.
//!
//! ```text
//!  Start --[--> First --value--> Behind --,--> Next --value--> Behind ...
//!                 |                |
//!                 +------]---------+------]--> Done (only white space follows)
//! ```
//!
//! The array must be well-formed JSON (RFC 8259) through and through, or it is bad input: a bracket too many in one
//! element would shift the boundaries of all that follow. What else could be said of an element (duplicate keys, lone
//! surrogates, numbers out of range) is left to the validator.
//!
//! The scan is iterative and keeps one bit a level of nesting. It keeps nothing else between two calls: an element that
//! is not all there yet is scanned again when more of it is.

use super::{
    error::Problem,
    split::{Fault, Step},
    text::is_space,
};

/// Where between the elements we are. See the picture above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    #[default]
    Start,
    First,
    Next,
    Behind,
    Done,
}

/// Splits an array.
#[derive(Debug, Default)]
pub(crate) struct Array {
    pub(crate) phase: Phase,
    nesting: Nesting,
}

impl Array {
    pub(crate) fn at(phase: Phase) -> Self {
        Self { phase, nesting: Nesting::default() }
    }

    /// The next element; brackets and commas on the way to it are taken with it.
    pub(crate) fn step(&mut self, data: &[u8], end: bool) -> Result<Step, Fault> {
        let mut at = 0;
        let mut phase = self.phase;
        loop {
            while data.get(at).is_some_and(|byte| is_space(*byte)) {
                at += 1;
            }
            let Some(byte) = data.get(at) else {
                return match phase {
                    Phase::Done if end && at == 0 => Ok(Step::End),
                    Phase::Start if end => Err(Fault { at, problem: Problem::NotAnArray }),
                    Phase::First | Phase::Next | Phase::Behind if end => {
                        Err(Fault { at, problem: Problem::Unfinished })
                    }
                    _ if at == 0 => Ok(Step::More),
                    _ => {
                        self.phase = phase;
                        Ok(Step::Skip { taken: at, blank: false })
                    }
                };
            };
            phase = match (phase, byte) {
                (Phase::Start, b'[') => Phase::First,
                (Phase::Start, _) => return Err(Fault { at, problem: Problem::NotAnArray }),
                (Phase::First | Phase::Behind, b']') => Phase::Done,
                (Phase::Behind, b',') => Phase::Next,
                (Phase::Behind, _) => return Err(bad(at, "a comma or ] must stand here, behind the element")),
                (Phase::Next, b']') => return Err(bad(at, "an element must stand here, behind the comma")),
                (Phase::Done, _) => return Err(Fault { at, problem: Problem::BehindArray }),
                (Phase::First | Phase::Next, _) => {
                    return match self.nesting.value(data, at, end)? {
                        Some(stop) => {
                            self.phase = Phase::Behind;
                            Ok(Step::Item { body: at..stop, taken: stop })
                        }
                        None if end => Err(Fault { at: data.len(), problem: Problem::Unfinished }),
                        // The bracket or comma may be taken, the element may not.
                        None if at == 0 => Ok(Step::More),
                        None => {
                            self.phase = phase;
                            Ok(Step::Skip { taken: at, blank: false })
                        }
                    };
                }
            };
            at += 1;
        }
    }
}

/// `None` where the bytes end too early.
type Scan = Result<Option<usize>, Fault>;

fn bad(at: usize, what: &'static str) -> Fault {
    Fault { at, problem: Problem::BadJson(what) }
}

/// What a container that is open expects next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    /// The first value of an array, or its end.
    ValueOrEnd,
    /// The first key of an object, or its end.
    KeyOrEnd,
    Key,
    CommaOrEnd,
}

/// The containers that are open: one bit each, set for an object.
#[derive(Debug, Default)]
struct Nesting {
    bits: Vec<u64>,
    depth: usize,
}

impl Nesting {
    fn open(&mut self, object: bool) {
        let (word, bit) = (self.depth / 64, self.depth % 64);
        if word == self.bits.len() {
            self.bits.push(0);
        }
        self.bits[word] = self.bits[word] & !(1 << bit) | u64::from(object) << bit;
        self.depth += 1;
    }

    fn in_object(&self) -> bool {
        let last = self.depth - 1;
        self.bits[last / 64] >> (last % 64) & 1 == 1
    }

    /// Where the value that begins at `at` ends.
    fn value(&mut self, data: &[u8], mut at: usize, end: bool) -> Scan {
        self.depth = 0;
        let mut expect = Expect::Value;
        loop {
            while data.get(at).is_some_and(|byte| is_space(*byte)) {
                at += 1;
            }
            let Some(&byte) = data.get(at) else { return Ok(None) };
            match (expect, byte) {
                (Expect::CommaOrEnd, b',') => {
                    expect = if self.in_object() { Expect::Key } else { Expect::Value };
                    at += 1;
                    continue;
                }
                (Expect::CommaOrEnd | Expect::KeyOrEnd, b'}') if self.in_object() => {
                    self.depth -= 1;
                    at += 1;
                }
                (Expect::CommaOrEnd | Expect::ValueOrEnd, b']') if !self.in_object() => {
                    self.depth -= 1;
                    at += 1;
                }
                (Expect::CommaOrEnd, _) if self.in_object() => return Err(bad(at, "a comma or } must stand here")),
                (Expect::CommaOrEnd, _) => return Err(bad(at, "a comma or ] must stand here")),
                (Expect::Key | Expect::KeyOrEnd, b'"') => {
                    let Some(stop) = string(data, at)? else { return Ok(None) };
                    at = stop;
                    while data.get(at).is_some_and(|byte| is_space(*byte)) {
                        at += 1;
                    }
                    match data.get(at) {
                        None => return Ok(None),
                        Some(b':') => at += 1,
                        Some(_) => return Err(bad(at, "a colon must stand here, behind the key")),
                    }
                    expect = Expect::Value;
                    continue;
                }
                (Expect::Key | Expect::KeyOrEnd, _) => return Err(bad(at, "a key must stand here, in quotes")),
                (Expect::Value | Expect::ValueOrEnd, b'{' | b'[') => {
                    let object = byte == b'{';
                    self.open(object);
                    expect = if object { Expect::KeyOrEnd } else { Expect::ValueOrEnd };
                    at += 1;
                    continue;
                }
                (Expect::Value | Expect::ValueOrEnd, _) => {
                    let Some(stop) = scalar(data, at, end)? else { return Ok(None) };
                    at = stop;
                }
            }
            // A value has ended.
            if self.depth == 0 {
                return Ok(Some(at));
            }
            expect = Expect::CommaOrEnd;
        }
    }
}

/// Where the string, number or literal that begins at `at` ends.
fn scalar(data: &[u8], at: usize, end: bool) -> Scan {
    match data[at] {
        b'"' => string(data, at),
        b't' => literal(data, at, b"true"),
        b'f' => literal(data, at, b"false"),
        b'n' => literal(data, at, b"null"),
        b'-' | b'0'..=b'9' => number(data, at, end),
        _ => Err(bad(at, "a JSON value must stand here")),
    }
}

fn literal(data: &[u8], at: usize, word: &[u8]) -> Scan {
    let there = &data[at..data.len().min(at + word.len())];
    match word.strip_prefix(there) {
        Some([]) => Ok(Some(at + word.len())),
        Some(_) => Ok(None),
        None => Err(bad(at, "a JSON value must stand here")),
    }
}

fn number(data: &[u8], at: usize, end: bool) -> Scan {
    let digits = |mut at: usize| {
        while data.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let mut stop = at + usize::from(data[at] == b'-');
    let part = |from: usize, zero: bool| -> Result<Option<usize>, Fault> {
        let stop = digits(from);
        match data.get(from) {
            None => Ok(None),
            Some(b'0') if zero && stop > from + 1 => Err(bad(from, "a number must not begin with a zero")),
            Some(_) if stop == from => Err(bad(from, "a digit must stand here")),
            Some(_) => Ok(Some(stop)),
        }
    };
    match part(stop, true)? {
        Some(next) => stop = next,
        None => return Ok(None),
    }
    if data.get(stop) == Some(&b'.') {
        match part(stop + 1, false)? {
            Some(next) => stop = next,
            None => return Ok(None),
        }
    }
    if let Some(b'e' | b'E') = data.get(stop) {
        let sign = usize::from(matches!(data.get(stop + 1), Some(b'+' | b'-')));
        match part(stop + 1 + sign, false)? {
            Some(next) => stop = next,
            None => return Ok(None),
        }
    }
    // At the end of the bytes shown more digits may follow.
    if stop == data.len() && !end { Ok(None) } else { Ok(Some(stop)) }
}

const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);

/// Whether one of eight bytes is a quote, a backslash or a control character. May say yes wrongly, never no.
fn needs_a_look(eight: u64) -> bool {
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let control = eight.wrapping_sub(ONES * 0x20) & !eight & HIGHS;
    (zero(eight ^ (ONES * u64::from(b'"'))) | zero(eight ^ (ONES * u64::from(b'\\'))) | control) != 0
}

/// Behind the closing quote of the string whose opening quote is at `open`.
fn string(data: &[u8], open: usize) -> Scan {
    let mut at = open + 1;
    loop {
        while let Some(eight) = data.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()) {
            if needs_a_look(u64::from_ne_bytes(eight)) {
                break;
            }
            at += 8;
        }
        let Some(&byte) = data.get(at) else { return Ok(None) };
        match byte {
            b'"' => return Ok(Some(at + 1)),
            b'\\' => match data.get(at + 1) {
                None => return Ok(None),
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at += 2,
                Some(b'u') => {
                    let hex = &data[at + 2..data.len().min(at + 6)];
                    if !hex.iter().all(u8::is_ascii_hexdigit) {
                        return Err(bad(at, "four hexadecimal digits must stand behind \\u"));
                    }
                    if hex.len() < 4 {
                        return Ok(None);
                    }
                    at += 6;
                }
                Some(_) => return Err(bad(at, "JSON knows no such escape in a string")),
            },
            0..0x20 => return Err(bad(at, "a control character in a string must be escaped")),
            _ => at += 1,
        }
    }
}
