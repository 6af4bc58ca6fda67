//! Lines: each is an item, without its line break. LF and CRLF end one, and the end of the file does.

use super::split::{Step, is_blank};

/// The next line.
pub(crate) fn step(data: &[u8], end: bool) -> Step {
    let (line, taken) = match memchr::memchr(b'\n', data) {
        Some(at) => (at, at + 1),
        None if data.is_empty() && end => return Step::End,
        None if end => (data.len(), data.len()),
        None => return Step::More,
    };
    let line = if data[..line].last() == Some(&b'\r') { line - 1 } else { line };
    if is_blank(&data[..line]) { Step::Skip { taken, blank: true } } else { Step::Item { body: 0..line, taken } }
}
