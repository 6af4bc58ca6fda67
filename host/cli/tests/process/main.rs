//! `pigeon process` and `pigeon plugins`, from the command line to the exit code: the binary itself, over real files.
//!
//! What a module can hold alone is proved there; here is the wiring, one thing a test.
#![expect(clippy::unwrap_used, clippy::panic, reason = "in tests a panic is the report")]

#[path = "../common/mod.rs"]
mod common;
mod support;
#[path = "../common/unshare.rs"]
mod unshare;

mod errors;
mod fit;
mod formats;
mod full_disk;
mod items;
mod limits;
mod plugins;
mod resume;
mod runs;
mod upgrade;
