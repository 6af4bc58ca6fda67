//! Memory returns to where it was. A process of its own: it measures this process.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{RUNTIME, hostile, job, lane, runs};
use futures::future::join_all;
use pigeon_runtime::Limits;

/// Bytes of memory that this process has.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[tokio::test]
async fn what_guests_took_is_given_back() {
    let plugin = hostile().await;
    let slots = RUNTIME.slots(4);
    let limits = Limits { memory: Some(128 << 20), ..Limits::default() };
    let bodies = ["eat-memory", "findings:100000", "flood-log:2", "eat-memory:100", "recurse", "huge-output:100"];
    let all = || join_all((0..4).map(|_| lane(&plugin, &slots, job(limits), runs(&bodies))));
    // The first time warms the pool's slots and the allocator.
    all().await;
    let before = resident();
    for _ in 0..2 {
        all().await;
    }
    let after = resident();
    let grown = after.saturating_sub(before) >> 20;
    assert!(grown < 96, "{grown} MiB more than before, of {} MiB", before >> 20);
}
