//! From files, folders and streams to work items.
//!
//! A [`Walk`] names the files in order, a [`split`] rule says where in a file's bytes the next item ends, and the
//! [`Reader`] drives both and packs what it finds into [`Chunk`](pigeon_api::Chunk)s of about 1 MiB. Splitters see only bytes that are
//! there: they answer "an item", "nothing here" or "more", keep no half-read state, and so can start again at any item's
//! boundary, which is what a [`Cursor`] names.
//!
//! Files are read twice: [`check`] reads them through before a job is accepted, so that bad input means that nothing
//! ran; then the reader gives the items. Streams (standard input, pipes) are checked as they come.
//!
//! Invariant: memory is bounded by the largest item and the largest folder, never by the number of items.

mod array;
mod buffer;
mod check;
mod csv;
mod error;
mod lines;
mod reader;
mod source;
mod split;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use check::{Checked, check};
pub(crate) use error::InputError;
pub(crate) use reader::{Cursor, Reader};
pub(crate) use source::{Inputs, RootIdentity, STDIN};
pub(crate) use split::{Split, SplitRule};
