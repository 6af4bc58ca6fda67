//! The binary `pigeon-agent` as a process, with a control host in this one: how it joins, works, and leaves.
#![expect(clippy::unwrap_used, clippy::panic, reason = "in tests a panic is the report")]

mod support;

mod joining;
mod leaving;
mod systemd;
mod upgrade;
