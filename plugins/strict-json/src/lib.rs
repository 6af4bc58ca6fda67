//! RFC 8259 to the letter, over bytes.
//!
//! [`parse`] walks a text once, from left to right, and tells a [`Sink`] what it meets: where objects and arrays
//! begin and end, keys, strings, numbers and literals, each as a span of bytes. It builds nothing, copies nothing,
//! takes linear time and spends one bit of memory on a level of nesting, so that no text, however deep or long, can
//! hurt it. The first thing that is not JSON ends it with an [`Error`].
//!
//! What is rarely needed is computed only when it is: [`unescape`] for strings that hold a backslash, and [`locate`]
//! for the line, the column and the JSON Pointer of a place that a finding is about.
//!
//! Invariant: nothing here recurses, and nothing looks at a number's value or at duplicate keys: that is the sink's.

mod error;
mod parse;
mod place;
mod text;

pub use error::{Error, ErrorKind};
pub use parse::{Outline, Sink, parse};
pub use place::{LineCursor, POINTER_LIMIT, Place, Pointer, locate};
pub use text::{contents, to_text, unescape};

#[cfg(test)]
mod tests;
