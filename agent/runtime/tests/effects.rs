//! What a run can see: nothing but its item, options, seed and clock, and so always the same.

mod common;

use std::time::Duration;

use common::{RUNTIME, hostile, judge, lane, runs, said};
use pigeon_runtime::{Clock, Job, Limits, RunReport};

fn virtual_clock() -> Job {
    Job { clock: Clock::Virtual { start_ns: 1_700_000_000_000_000_000 }, ..Job::default() }
}

/// What is promised to be the same.
fn promised(report: &RunReport) -> (String, Vec<u8>) {
    (format!("{:?}", report.result), report.log.to_vec())
}

#[tokio::test]
async fn a_run_is_a_function_of_its_seed_and_clock() {
    let plugin = hostile().await.with_policy(false);
    let bodies = ["random"; 12];
    let alone: Vec<_> = judge(&plugin, virtual_clock(), &bodies).await.iter().map(promised).collect();
    // The same runs on three lanes at once.
    let slots = RUNTIME.slots(2);
    let mut parts: Vec<Vec<_>> = vec![Vec::new(); 3];
    for run in runs(&bodies) {
        parts[run.index as usize % 3].push(run);
    }
    let lanes = parts.into_iter().map(|mut part| {
        let indices: Vec<_> = part.iter().map(|run| run.index).collect();
        part.iter_mut().zip(0..).for_each(|(run, index)| run.index = index);
        let (plugin, slots) = (plugin.clone(), slots.clone());
        async move { (indices, lane(&plugin, &slots, virtual_clock(), part).await) }
    });
    for (indices, reports) in futures::future::join_all(lanes).await {
        for (index, report) in indices.into_iter().zip(&reports) {
            assert_eq!(alone[index as usize], promised(report));
        }
    }
    assert_ne!(alone[0], alone[1], "each run has a seed of its own");
}

#[tokio::test]
async fn the_clock_moves_only_as_it_is_looked_at() {
    let plugin = hostile().await.with_policy(false);
    let reports = judge(&plugin, virtual_clock(), &["random", "sleep:3600000"]).await;
    let text = said(&reports[0]);
    assert!(text.contains("wall 1700000000.00000"), "{text}");
    assert!(text.contains("wall-later 1700000000.005"), "{text}");
    // An hour is over at once.
    assert!(reports[1].result.is_ok());
    assert!(reports[1].wall < Duration::from_secs(60), "{:?}", reports[1].wall);
}

#[tokio::test]
async fn the_real_clock_is_the_nodes() {
    let plugin = hostile().await;
    let job = Job { clock: Clock::Real, ..Job::default() };
    let reports = judge(&plugin, job, &["sleep:50"]).await;
    assert!(reports[0].result.is_ok());
    assert!(reports[0].wall >= Duration::from_millis(50));
    assert!(reports[0].cpu < reports[0].wall);
}

#[tokio::test]
async fn there_is_nothing_outside() {
    let plugin = hostile().await;
    let reports = judge(&plugin, Job::default(), &["peek"]).await;
    let text = said(&reports[0]);
    for nothing in ["arguments: []", "variables: []", "preopens: 0", "stdin: \"\""] {
        assert!(text.contains(nothing), "{nothing}: {text}");
    }
    for refused in ["read", "write", "connect", "metadata", "listen", "udp", "resolve"] {
        assert!(text.contains(&format!("{refused}: error")), "{refused}: {text}");
    }
}

#[tokio::test]
async fn a_power_that_was_not_granted_answers_denied() {
    let plugin = hostile().await;
    let text = said(&judge(&plugin, Job::default(), &["ask-llm"]).await[0]).to_owned();
    assert_eq!(text.matches("Denied").count(), 2, "{text}");
}

#[tokio::test]
async fn options_reach_the_guest() {
    let plugin = hostile().await;
    let options = vec![("do".to_owned(), "option".to_owned()), ("text".to_owned(), "grüße".to_owned())];
    let job = Job { options, ..Job::default() };
    assert_eq!(said(&judge(&plugin, job, &["", ""]).await[1]), "grüße");
}

#[tokio::test]
async fn a_log_belongs_to_its_run() {
    let plugin = hostile().await.with_policy(true);
    let limits = Limits { log: 0, ..Limits::default() };
    let reports = judge(&plugin, Job::default(), &["log:2", "valid", "log:1"]).await;
    assert_eq!(reports[0].log, "info hostile: line 0\ninfo hostile: line 1\n");
    assert_eq!(reports[1].log, "");
    assert_eq!(reports[2].log, "info hostile: line 0\n");
    let silent = Job { limits, ..Job::default() };
    assert_eq!(judge(&plugin, silent, &["log:2"]).await[0].log, "");
}
