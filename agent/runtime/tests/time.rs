//! Time and slots: budgets are CPU time, nobody starves, and who waits gives way.

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use common::{RUNTIME, hostile, job, lane, runs};
use futures::future::join_all;
use pigeon_runtime::{Cause, Clock, Event, Job, Limits};
use tokio_util::sync::CancellationToken;

fn cpu(milliseconds: u64) -> Limits {
    Limits { cpu: Duration::from_millis(milliseconds), ..Limits::default() }
}

#[tokio::test(flavor = "current_thread")]
async fn spinning_guests_starve_neither_their_neighbours_nor_the_callers_timers() {
    let plugin = hostile().await;
    let slots = RUNTIME.slots(8);
    let spinning: Vec<_> = (0..6)
        .map(|_| {
            let (plugin, slots) = (plugin.clone(), slots.clone());
            tokio::spawn(async move { lane(&plugin, &slots, job(cpu(60_000)), runs(&["spin"])).await })
        })
        .collect();
    while slots.computing() < 6 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Others are judged meanwhile, and this thread's timers fire.
    let ticks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&ticks);
    let timer = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let reports = lane(&plugin, &slots, job(cpu(10_000)), runs(&["valid", "busy:100", "invalid"])).await;
    assert!(reports.iter().all(|report| report.result.is_ok()));
    while ticks.load(Ordering::Relaxed) < 10 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    timer.abort();
    // Whoever drops the future ends the guest.
    spinning.iter().for_each(tokio::task::JoinHandle::abort);
    while slots.computing() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn waiting_for_a_core_is_not_charged() {
    let plugin = hostile().await;
    // Twice as much as each needs alone; on two threads, sixteen at once take eight times as long.
    let slots = RUNTIME.slots(16);
    let alone = &lane(&plugin, &slots, job(cpu(60_000)), runs(&["busy:40"])).await[0];
    let limits = Limits { cpu: alone.cpu * 3 + Duration::from_millis(50), ..Limits::default() };
    let all = join_all((0..16).map(|_| lane(&plugin, &slots, job(limits), runs(&["busy:40"])))).await;
    for reports in all {
        let report = &reports[0];
        assert!(report.result.is_ok(), "{report:?}");
    }
}

#[tokio::test]
async fn who_waits_in_a_host_call_gives_its_slot_back() {
    let plugin = hostile().await;
    let slots = RUNTIME.slots(1);
    let real = Job { clock: Clock::Real, ..Job::default() };
    let waiting = tokio::spawn({
        let (plugin, slots) = (plugin.clone(), slots.clone());
        async move { lane(&plugin, &slots, real, runs(&["sleep:600000"])).await }
    });
    while slots.waiting() < 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(slots.computing(), 0);
    // The only slot is free for others.
    assert!(lane(&plugin, &slots, Job::default(), runs(&["valid"])).await[0].result.is_ok());
    waiting.abort();
    while slots.waiting() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn cancelling_ends_a_spinning_guest() {
    let plugin = hostile().await;
    let slots = RUNTIME.slots(1);
    let cancel = CancellationToken::new();
    let fired = cancel.clone();
    let landed = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&landed);
    // It is cancelled by the sink, once the guest that spins is begun.
    let sink = move |event| match event {
        Event::Begun(1) => fired.cancel(),
        Event::Begun(_) => {}
        Event::Landed(..) => {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    };
    let begun = Instant::now();
    let bodies = runs(&["valid", "spin", "valid"]);
    plugin.run_batch(&slots, Arc::new(job(cpu(3_600_000))), bodies, cancel, sink).await;
    assert_eq!(landed.load(Ordering::Relaxed), 1);
    assert_eq!(slots.computing(), 0);
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn memory_for_all_is_shared_out() {
    // Each asks for 512 MiB of the 4 GiB that the runtime has: never more than eight at once, and all get their turn.
    let plugin = hostile().await;
    let slots = RUNTIME.slots(32);
    let limits = Limits { memory: Some(512 << 20), ..Limits::default() };
    let all = join_all((0..24).map(|_| lane(&plugin, &slots, job(limits), runs(&["busy:5", "valid"])))).await;
    assert!(all.iter().flatten().all(|report| report.result.is_ok()));
}

#[tokio::test]
async fn a_budget_is_charged_over_host_calls() {
    let plugin = hostile().await;
    let reports = lane(&plugin, &RUNTIME.slots(1), job(cpu(100)), runs(&["spin-host"])).await;
    assert_eq!(reports[0].result.as_ref().unwrap_err().cause, Cause::Timeout);
}
