//! What the scheduler decides, one rule a test.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test: a panic is the report")]

mod fleet;
mod leasing;
mod trouble;
