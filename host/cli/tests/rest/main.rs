//! The typed client against the real server, over a real control host with agents of its own.
#![expect(clippy::unwrap_used, clippy::panic, reason = "in tests a panic is the report")]

mod host;
mod jobs;
mod support;
mod trust;
