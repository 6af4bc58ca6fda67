//! Servers, contexts and whole clusters, from the command line to the exit code: the binary itself, as real processes.
//!
//! Whatever a test starts has ended when the test does, however it does.
#![expect(clippy::unwrap_used, clippy::panic, reason = "in tests a panic is the report")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../faults/draws.rs"]
#[expect(dead_code, reason = "most ways to draw are for the harness of faults")]
mod draws;
mod support;
#[path = "../common/unshare.rs"]
mod unshare;

mod agents;
mod context;
mod full_disk;
mod http;
mod killed;
mod overload;
mod process;
mod queue;
mod serve;
mod settings;
mod up;
