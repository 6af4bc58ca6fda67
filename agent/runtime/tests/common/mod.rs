//! What the tests of this crate share: one runtime a test process, and the hostile guest in it.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]
#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses some of it")]

use std::sync::{Arc, LazyLock, Mutex};

use bytes::Bytes;
use pigeon_runtime::{Event, Item, Job, Limits, Plugin, Run, RunReport, Runtime, RuntimeConfig, Slots, seed::run_seed};
use tokio_util::sync::CancellationToken;

/// Two guest threads, however many cores there are.
pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Runtime::new(RuntimeConfig { guest_threads: 2, pool_instances: 64, ..RuntimeConfig::default() }).unwrap()
});

/// The hostile guest.
pub(crate) async fn hostile() -> Plugin {
    RUNTIME.load(Bytes::from_static(pigeon_plugins::HOSTILE)).await.unwrap()
}

/// A job with these limits and no options.
pub(crate) fn job(limits: Limits) -> Job {
    Job { limits, ..Job::default() }
}

/// One run an item, of these bodies.
pub(crate) fn runs(bodies: &[&str]) -> Vec<Run> {
    let run = |(index, body): (usize, &&str)| Run {
        index: index as u64,
        item: Item { id: format!("item-{index}").into(), body: Bytes::copy_from_slice(body.as_bytes()) },
        place: 0,
        iteration: 0,
        seed: run_seed(7, index as u64, 0, 0),
    };
    bodies.iter().enumerate().map(run).collect()
}

/// Runs them in one lane on these slots; their reports in the order of the runs.
pub(crate) async fn lane(plugin: &Plugin, slots: &Slots, job: Job, runs: Vec<Run>) -> Vec<RunReport> {
    let landed = Arc::new(Mutex::new(vec![None; runs.len()]));
    let sink = Arc::clone(&landed);
    let sink = move |event| {
        if let Event::Landed(index, report) = event {
            let before = sink.lock().unwrap()[index as usize].replace(report);
            assert!(before.is_none(), "a run lands once");
        }
    };
    plugin.run_batch(slots, Arc::new(job), runs, CancellationToken::new(), sink).await;
    let landed = std::mem::take(&mut *landed.lock().unwrap());
    landed.into_iter().map(Option::unwrap).collect()
}

/// Runs these bodies in one lane of its own slot.
pub(crate) async fn judge(plugin: &Plugin, job: Job, bodies: &[&str]) -> Vec<RunReport> {
    lane(plugin, &RUNTIME.slots(1), job, runs(bodies)).await
}

/// What the one finding of a report says.
pub(crate) fn said(report: &RunReport) -> &str {
    let judgement = report.result.as_ref().unwrap();
    &judgement.findings.first().unwrap().message
}
