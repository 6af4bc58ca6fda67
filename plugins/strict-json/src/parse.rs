//! The walk over a text.
//!
//! ```text
//!            ,-------------------------------------------- next element, next member --,
//!            v                                                                         |
//!        [value] --scalar, {} or []--> [after] --depth 0--> white space, end of text   |
//!         |   ^                         |  ^  `--------------- comma ------------------'
//!         `---' { key : or [            `--' } or ]
//! ```
//!
//! The nesting is a stack of bits: 1 for an object, 0 for an array.

use crate::error::{Error, ErrorKind};

/// Learns what [`parse`] meets, in the order of the text.
///
/// All offsets are bytes from the start of the body, a byte order mark included. Spans of strings and keys include
/// their quotes; `escaped` says that the string holds a backslash, and so must be [unescaped](crate::unescape).
/// What was told stays told: an error that comes later takes nothing back.
pub trait Sink {
    /// An object begins; `at` is its brace.
    #[inline]
    fn begin_object(&mut self, at: usize) {
        let _ = at;
    }
    /// The innermost object ends; `end` is one past its brace.
    #[inline]
    fn end_object(&mut self, end: usize) {
        let _ = end;
    }
    /// An array begins; `at` is its bracket.
    #[inline]
    fn begin_array(&mut self, at: usize) {
        let _ = at;
    }
    /// The innermost array ends; `end` is one past its bracket.
    #[inline]
    fn end_array(&mut self, end: usize) {
        let _ = end;
    }
    /// A member's key. Its value follows.
    #[inline]
    fn key(&mut self, start: usize, end: usize, escaped: bool) {
        let _ = (start, end, escaped);
    }
    /// A string that is a value.
    #[inline]
    fn string(&mut self, start: usize, end: usize, escaped: bool) {
        let _ = (start, end, escaped);
    }
    /// A number, of any size.
    #[inline]
    fn number(&mut self, start: usize, end: usize) {
        let _ = (start, end);
    }
    /// `true`, `false` or `null`: the first byte tells.
    #[inline]
    fn literal(&mut self, start: usize, end: usize) {
        let _ = (start, end);
    }
}

/// For those who want no more than a yes or no.
impl Sink for () {}

/// What a text that is JSON looks like from afar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outline {
    /// It began with a byte order mark, which was skipped.
    pub bom: bool,
    /// Objects and arrays around the innermost value: 0 for a scalar, 1 for `[]`.
    pub depth: usize,
}

/// Three bytes that some editors put in front of a text. One of them is skipped.
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Walks `body` and tells `sink` what it holds.
///
/// # Errors
/// The first thing that is not JSON; bytes that are not UTF-8 come before anything else.
#[inline]
pub fn parse<S: Sink>(body: &[u8], sink: &mut S) -> Result<Outline, Error> {
    if let Err(error) = std::str::from_utf8(body) {
        return Err(fail(ErrorKind::NotUtf8, error.valid_up_to()));
    }
    let bom = body.starts_with(BOM);
    let mut at = skip_space(body, if bom { BOM.len() } else { 0 });
    if at == body.len() {
        return Err(fail(ErrorKind::Empty, at));
    }
    let mut nesting = Nesting::default();
    'value: loop {
        match byte(body, at) {
            b'{' => {
                sink.begin_object(at);
                at = skip_space(body, at + 1);
                match byte(body, at) {
                    b'"' => {
                        nesting.push(true);
                        at = member(body, at, sink)?;
                        continue 'value;
                    }
                    b'}' => {
                        nesting.touch();
                        at += 1;
                        sink.end_object(at);
                    }
                    _ => return Err(unexpected(body, ErrorKind::ExpectedKey, at)),
                }
            }
            b'[' => {
                sink.begin_array(at);
                at = skip_space(body, at + 1);
                if byte(body, at) != b']' {
                    nesting.push(false);
                    continue 'value;
                }
                nesting.touch();
                at += 1;
                sink.end_array(at);
            }
            b'"' => {
                let (end, escaped) = string(body, at)?;
                sink.string(at, end, escaped);
                at = end;
            }
            b'-' | b'0'..=b'9' => {
                let end = number(body, at)?;
                sink.number(at, end);
                at = end;
            }
            b't' => at = literal(body, at, b"true", sink)?,
            b'f' => at = literal(body, at, b"false", sink)?,
            b'n' => at = literal(body, at, b"null", sink)?,
            _ => return Err(unexpected(body, ErrorKind::ExpectedValue, at)),
        }
        // A value has ended; so may those around it.
        loop {
            at = skip_space(body, at);
            if nesting.depth == 0 {
                if at < body.len() {
                    return Err(fail(ErrorKind::TrailingData, at));
                }
                return Ok(Outline { bom, depth: nesting.deepest });
            }
            let found = byte(body, at);
            if nesting.object {
                match found {
                    b',' => {
                        at = skip_space(body, at + 1);
                        at = match byte(body, at) {
                            b'"' => member(body, at, sink)?,
                            b'}' => return Err(fail(ErrorKind::TrailingComma, at)),
                            _ => return Err(unexpected(body, ErrorKind::ExpectedKey, at)),
                        };
                        continue 'value;
                    }
                    b'}' => {
                        nesting.pop();
                        at += 1;
                        sink.end_object(at);
                    }
                    _ => return Err(unexpected(body, ErrorKind::ExpectedComma, at)),
                }
            } else {
                match found {
                    b',' => {
                        at = skip_space(body, at + 1);
                        if byte(body, at) == b']' {
                            return Err(fail(ErrorKind::TrailingComma, at));
                        }
                        continue 'value;
                    }
                    b']' => {
                        nesting.pop();
                        at += 1;
                        sink.end_array(at);
                    }
                    _ => return Err(unexpected(body, ErrorKind::ExpectedComma, at)),
                }
            }
        }
    }
}

/// Which of the open levels are objects. The innermost is kept apart: it is asked for all the time.
#[derive(Default)]
struct Nesting {
    /// The levels around the innermost, 64 to a word.
    outer: Vec<u64>,
    depth: usize,
    deepest: usize,
    object: bool,
}

impl Nesting {
    #[inline]
    fn push(&mut self, object: bool) {
        let (word, bit) = (self.depth / 64, self.depth % 64);
        if word == self.outer.len() {
            self.outer.push(0);
        }
        if let Some(word) = self.outer.get_mut(word) {
            *word = *word & !(1 << bit) | u64::from(self.object) << bit;
        }
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        self.object = object;
    }

    #[inline]
    fn pop(&mut self) {
        self.depth -= 1;
        let (word, bit) = (self.depth / 64, self.depth % 64);
        self.object = self.outer.get(word).is_some_and(|word| word >> bit & 1 == 1);
    }

    /// An empty object or array: it opens and closes a level at once.
    #[inline]
    fn touch(&mut self) {
        self.deepest = self.deepest.max(self.depth + 1);
    }
}

/// The byte at `at`, and 0 behind the end: no JSON has a 0 outside of a string, nor unescaped in one.
#[inline(always)]
fn byte(body: &[u8], at: usize) -> u8 {
    body.get(at).copied().unwrap_or(0)
}

#[inline(always)]
fn skip_space(body: &[u8], mut at: usize) -> usize {
    while matches!(byte(body, at), b' ' | b'\n' | b'\r' | b'\t') {
        at += 1;
    }
    at
}

/// A key, its colon, and the white space up to the value.
#[inline]
fn member<S: Sink>(body: &[u8], at: usize, sink: &mut S) -> Result<usize, Error> {
    let (end, escaped) = string(body, at)?;
    sink.key(at, end, escaped);
    let colon = skip_space(body, end);
    if byte(body, colon) != b':' {
        return Err(unexpected(body, ErrorKind::ExpectedColon, colon));
    }
    Ok(skip_space(body, colon + 1))
}

/// The end of the string whose opening quote is at `start`, and whether it holds an escape.
#[inline]
fn string(body: &[u8], start: usize) -> Result<(usize, bool), Error> {
    let mut at = start + 1;
    let mut escaped = false;
    loop {
        at = plain_run(body, at);
        match byte(body, at) {
            b'"' => return Ok((at + 1, escaped)),
            b'\\' => {
                escaped = true;
                at = escape(body, start, at)?;
            }
            _ if at >= body.len() => return Err(fail(ErrorKind::UnclosedString, start)),
            _ => return Err(fail(ErrorKind::ControlCharacter, at)),
        }
    }
}

/// The first byte from `at` on that is a quote, a backslash or a control character; eight bytes at a time.
#[inline]
fn plain_run(body: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // In each byte of the result the high bit is set where `word` has a 0 there; a borrow may set wrong ones, but
    // only above a right one, and it is the lowest that counts.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    while let Some(eight) = body.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*eight);
        let quote = zeros(word ^ (ONES * b'"' as u64));
        let backslash = zeros(word ^ (ONES * b'\\' as u64));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let found = quote | backslash | control;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while !matches!(byte(body, at), b'"' | b'\\' | 0..=0x1F) {
        at += 1;
    }
    at
}

/// What follows the escape whose backslash is at `at`, in the string that begins at `start`.
fn escape(body: &[u8], start: usize, at: usize) -> Result<usize, Error> {
    match byte(body, at + 1) {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(at + 2),
        b'u' => {
            for digit in at + 2..at + 6 {
                if !byte(body, digit).is_ascii_hexdigit() {
                    if digit >= body.len() {
                        return Err(fail(ErrorKind::UnclosedString, start));
                    }
                    return Err(fail(ErrorKind::BadUnicodeEscape, digit));
                }
            }
            Ok(at + 6)
        }
        _ if at + 1 >= body.len() => Err(fail(ErrorKind::UnclosedString, start)),
        _ => Err(fail(ErrorKind::BadEscape, at + 1)),
    }
}

/// The end of the number that begins at `start`.
#[inline]
fn number(body: &[u8], start: usize) -> Result<usize, Error> {
    let mut at = start + usize::from(byte(body, start) == b'-');
    if byte(body, at) == b'0' {
        at += 1;
        if byte(body, at).is_ascii_digit() {
            return Err(fail(ErrorKind::LeadingZero, at - 1));
        }
    } else {
        at = digits(body, at)?;
    }
    if byte(body, at) == b'.' {
        at = digits(body, at + 1)?;
    }
    if matches!(byte(body, at), b'e' | b'E') {
        at += 1;
        at = digits(body, at + usize::from(matches!(byte(body, at), b'+' | b'-')))?;
    }
    Ok(at)
}

/// One digit or more.
#[inline]
fn digits(body: &[u8], start: usize) -> Result<usize, Error> {
    let mut at = start;
    while byte(body, at).is_ascii_digit() {
        at += 1;
    }
    if at == start { Err(fail(ErrorKind::BadNumber, at)) } else { Ok(at) }
}

#[inline]
fn literal<S: Sink>(body: &[u8], at: usize, word: &[u8], sink: &mut S) -> Result<usize, Error> {
    if !body.get(at..).is_some_and(|rest| rest.starts_with(word)) {
        return Err(fail(ErrorKind::ExpectedValue, at));
    }
    let end = at + word.len();
    sink.literal(at, end);
    Ok(end)
}

#[cold]
fn fail(kind: ErrorKind, offset: usize) -> Error {
    Error { kind, offset }
}

/// `kind`, or the end of the text where that is what stands in the way.
#[cold]
fn unexpected(body: &[u8], kind: ErrorKind, offset: usize) -> Error {
    fail(if offset >= body.len() { ErrorKind::UnexpectedEnd } else { kind }, offset)
}
