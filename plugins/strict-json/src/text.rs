//! What strings mean once their escapes are undone.
//!
//! JSON's escapes can spell lone surrogates, which no Rust string can hold. So a string's meaning is bytes in WTF-8:
//! UTF-8, with a lone surrogate as the three bytes that its code point would have. Two strings mean the same if
//! these bytes are equal; a pair of escapes that makes one character is that character.

use std::borrow::Cow;

/// Appends to `out` what `raw` (the inside of a string that [`parse`](crate::parse) accepted) means, in WTF-8.
pub fn unescape(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain);
        let plain = match escape.get(1) {
            Some(b'u') => {
                let (code, length) = code_point(escape);
                push_wtf8(code, out);
                rest = escape.get(length..).unwrap_or_default();
                continue;
            }
            Some(b'b') => 0x08,
            Some(b'f') => 0x0C,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(&other) => other,
            None => return,
        };
        out.push(plain);
        rest = escape.get(2..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

/// What the string or key at `start..end` of `body`, quotes included, means, in WTF-8. Copies only if `escaped`.
#[must_use]
pub fn contents(body: &[u8], start: usize, end: usize, escaped: bool) -> Cow<'_, [u8]> {
    let raw = body.get(start + 1..end.saturating_sub(1)).unwrap_or_default();
    if !escaped {
        return Cow::Borrowed(raw);
    }
    let mut out = Vec::with_capacity(raw.len());
    unescape(raw, &mut out);
    Cow::Owned(out)
}

/// WTF-8 for people to read: each lone surrogate becomes U+FFFD.
#[must_use]
pub fn to_text(wtf8: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(wtf8) {
        return Cow::Borrowed(text);
    }
    // A lone surrogate is the only thing in WTF-8 that is not UTF-8: three bytes, of which 0xED is the first.
    let mut out = String::with_capacity(wtf8.len());
    let mut rest = wtf8;
    while let Err(error) = std::str::from_utf8(rest) {
        let (valid, bad) = rest.split_at(error.valid_up_to());
        out.push_str(std::str::from_utf8(valid).unwrap_or_default());
        out.push(char::REPLACEMENT_CHARACTER);
        rest = bad.get(3..).unwrap_or_default();
    }
    out.push_str(std::str::from_utf8(rest).unwrap_or_default());
    Cow::Owned(out)
}

/// The code point that the `\uXXXX` at the start of `escape` spells, alone or with a second one, and its length.
fn code_point(escape: &[u8]) -> (u32, usize) {
    let first = hex(escape.get(2..6));
    if (0xD800..0xDC00).contains(&first) && escape.get(6..8) == Some(b"\\u") {
        let second = hex(escape.get(8..12));
        if (0xDC00..0xE000).contains(&second) {
            return (0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00), 12);
        }
    }
    (first, 6)
}

fn hex(digits: Option<&[u8]>) -> u32 {
    digits.unwrap_or_default().iter().fold(0, |sum, digit| sum << 4 | (*digit as char).to_digit(16).unwrap_or(0))
}

fn push_wtf8(code: u32, out: &mut Vec<u8>) {
    match char::from_u32(code) {
        Some(char) => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        None => out.extend_from_slice(&[
            0xE0 | (code >> 12) as u8,
            0x80 | (code >> 6 & 0x3F) as u8,
            0x80 | (code & 0x3F) as u8,
        ]),
    }
}
