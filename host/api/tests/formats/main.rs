//! What is written by this version and read by others, and the other way round: JSON Schemas, and formats of before.
#![expect(clippy::unwrap_used, clippy::panic, reason = "in tests a panic is the report")]

mod before;
mod samples;
mod schemas;
