//! Every hostile guest is contained: its run fails with a named cause, and its neighbours in the same lane, before and
//! behind it, are judged as if it were not there.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use common::{RUNTIME, hostile, job, judge, said};
use pigeon_runtime::{Cause, Clock, Limits, RunReport, Severity};

/// Limits that bite soon.
fn tight() -> Limits {
    Limits { cpu: Duration::from_millis(300), memory: Some(96 << 20), ..Limits::default() }
}

/// The report of this deed, run between good neighbours in a shared and in a fresh instance.
async fn contained(deed: &str, limits: Limits) -> RunReport {
    let plugin = hostile().await;
    let mut reports = Vec::new();
    for shared in [true, false] {
        let mut landed =
            judge(&plugin.with_policy(shared), job(limits), &["valid", "invalid", deed, "valid", "invalid"]).await;
        for (index, valid) in [(0, true), (1, false), (3, true), (4, false)] {
            let neighbour = landed[index].result.as_ref().unwrap();
            assert_eq!(neighbour.valid(), valid, "neighbour {index} of {deed}, shared: {shared}");
        }
        reports.push(landed.swap_remove(2));
    }
    let (shared, fresh) = (reports.remove(0), reports.remove(0));
    assert_eq!(shared.result.is_ok(), fresh.result.is_ok(), "{deed}: {shared:?} {fresh:?}");
    if let (Err(shared), Err(fresh)) = (&shared.result, &fresh.result) {
        assert_eq!(shared.cause, fresh.cause, "{deed}");
    }
    fresh
}

async fn cause(deed: &str) -> Cause {
    contained(deed, tight()).await.result.unwrap_err().cause
}

#[tokio::test]
async fn a_spinning_guest_times_out() {
    let report = contained("spin", tight()).await;
    let failure = report.result.unwrap_err();
    assert_eq!((failure.cause, failure.code.as_str()), (Cause::Timeout, "timeout"));
    assert!(report.cpu >= Duration::from_millis(300) && report.cpu < Duration::from_secs(2), "{:?}", report.cpu);
    assert_eq!(cause("spin-host").await, Cause::Timeout);
}

#[tokio::test]
async fn a_guest_that_waits_for_ever_runs_out_of_wall_time() {
    let plugin = hostile().await;
    let limits = Limits { wall: Duration::from_millis(200), ..tight() };
    let real = pigeon_runtime::Job { clock: Clock::Real, ..job(limits) };
    let reports = judge(&plugin, real, &["valid", "wait-forever", "valid"]).await;
    assert_eq!(reports[1].result.as_ref().unwrap_err().cause, Cause::WallTimeout);
    assert!(reports[0].result.is_ok() && reports[2].result.is_ok());
    // By the clock that guests see as a rule, the centuries are over at once.
    assert!(contained("wait-forever", tight()).await.result.unwrap().valid());
}

#[tokio::test]
async fn memory_is_bounded() {
    assert_eq!(cause("eat-memory").await, Cause::OutOfMemory);
    assert_eq!(cause("grow:4000").await, Cause::OutOfMemory);
    let report = contained("eat-memory:32", tight()).await;
    assert!(report.result.unwrap().valid());
    assert!(report.memory >= 32 << 20 && report.memory <= 96 << 20, "{}", report.memory);
}

#[tokio::test]
async fn a_run_that_can_never_fit_does_not_begin() {
    let plugin = hostile().await;
    // 4 bytes a byte of the item.
    let large = "valid\n".to_owned() + &" ".repeat(260 << 20);
    let reports = judge(&plugin, job(Limits::default()), &["valid", &large, "valid"]).await;
    assert_eq!(reports[1].result.as_ref().unwrap_err().cause, Cause::DoesNotFit);
    assert!(reports[0].result.is_ok() && reports[2].result.is_ok());
}

#[tokio::test]
async fn the_stack_is_bounded() {
    let failure = contained("recurse", tight()).await.result.unwrap_err();
    assert_eq!(failure.cause, Cause::Stack);
    assert!(failure.backtrace.lines().count() > 3, "{}", failure.backtrace);
}

#[tokio::test]
async fn traps_come_with_a_backtrace() {
    for deed in ["trap", "panic", "oob", "exit", "exit:0"] {
        let failure = contained(deed, tight()).await.result.unwrap_err();
        assert_eq!(failure.cause, Cause::Trap, "{deed}: {failure:?}");
        let frames: Vec<_> = failure.backtrace.lines().collect();
        assert!(frames.first().is_some_and(|frame| frame.starts_with("0: ")), "{deed}: {}", failure.backtrace);
        let ours = |frame: &&str| frame.contains("hostile.wasm!") && !frame.contains("<unknown>");
        assert!(frames.iter().any(ours), "{deed}: names are missing from {}", failure.backtrace);
    }
}

/// The third call of an instance traps. In a shared one that is the third item's fate only until it is asked again.
#[tokio::test]
async fn what_traps_in_a_used_instance_is_judged_in_a_fresh_one() {
    let plugin = hostile().await.with_policy(true);
    let deeds = ["valid", "valid", "trap-at:3", "invalid", "trap-at:1"];
    let landed = judge(&plugin, job(tight()), &deeds).await;
    for (report, valid) in landed.iter().zip([true, true, true, false, true]) {
        assert_eq!(report.result.as_ref().unwrap().valid(), valid, "{report:?}");
    }
    let alone = judge(&plugin, job(tight()), &["trap-at:1"]).await;
    assert_eq!(alone[0].result.as_ref().unwrap_err().cause, Cause::Trap);
}

#[tokio::test]
async fn answers_are_bounded() {
    for deed in ["huge-output:100", "huge-output:4000", "big-data:2000000", "findings:1000000"] {
        let limits = Limits { cpu: Duration::from_secs(10), memory: Some(512 << 20), ..tight() };
        let failure = contained(deed, limits).await.result.unwrap_err();
        assert_eq!(failure.cause, Cause::OutputTooLarge, "{deed}: {failure:?}");
    }
    let small = Limits { output: 1_000, ..tight() };
    let failure = contained("big-data:1024", small).await.result.unwrap_err();
    assert_eq!(failure.cause, Cause::OutputTooLarge);
}

#[tokio::test]
async fn answers_that_break_the_contract_are_no_verdicts() {
    for deed in ["bad-utf8", "bad-data"] {
        assert_eq!(cause(deed).await, Cause::Contract, "{deed}");
    }
    assert!(matches!(cause("lying-length").await, Cause::Contract | Cause::OutputTooLarge));
    let judgement = contained("nan", tight()).await.result.unwrap();
    assert_eq!(judgement.score, None);
}

#[tokio::test]
async fn findings_beyond_the_first_thousand_are_counted() {
    let limits = Limits { cpu: Duration::from_secs(10), ..tight() };
    let judgement = contained("findings:5000", limits).await.result.unwrap();
    assert_eq!((judgement.findings.len(), judgement.omitted.errors), (1_000, 4_000));
    assert_eq!(judgement.findings[999].message, "finding 999");
    assert!(judgement.findings.iter().all(|finding| finding.severity == Severity::Error));
}

#[tokio::test]
async fn logs_keep_their_first_and_last_half() {
    let limits = Limits { cpu: Duration::from_secs(10), ..tight() };
    let report = contained("flood-log:4", limits).await;
    assert!(report.result.unwrap().valid());
    let log = String::from_utf8_lossy(&report.log).into_owned();
    assert!(log.len() > 60 << 10 && log.len() < 66 << 10, "{}", log.len());
    assert!(log.contains("0000000000 ffff") && log.contains("0000004095 ffff") && log.contains("left out"));
    let report = contained("long-log:8", limits).await;
    assert!(report.log.starts_with(b"info hostile: long long"));
}

#[tokio::test]
async fn handles_are_bounded() {
    assert_eq!(cause("many-resources:100000").await, Cause::Trap);
}

#[tokio::test]
async fn the_guests_own_failures_keep_their_words() {
    let failure = contained("fail-transient", tight()).await.result.unwrap_err();
    assert_eq!((failure.cause, failure.code.as_str()), (Cause::Transient, "not-now"));
    let failure = contained("fail-permanent", tight()).await.result.unwrap_err();
    assert_eq!((failure.cause, failure.code.as_str()), (Cause::Permanent, "will-not"));
}

#[tokio::test]
async fn a_shared_instance_is_thrown_away_after_a_failure() {
    let plugin = hostile().await;
    let bodies = ["keep-state", "keep-state", "trap", "keep-state", "keep-state"];
    let calls = |reports: &[RunReport]| [0, 1, 3, 4].map(|index| said(&reports[index]).to_owned());
    let shared = judge(&plugin.with_policy(true), job(tight()), &bodies).await;
    assert_eq!(calls(&shared), ["1", "2", "1", "2"]);
    let fresh = judge(&plugin.with_policy(false), job(tight()), &bodies).await;
    assert_eq!(calls(&fresh), ["1", "1", "1", "1"]);
}

#[tokio::test]
async fn what_a_shared_instance_got_wrong_is_asked_again_in_a_fresh_one() {
    // Traps at the second call of an instance: in a fresh one it is the first.
    let plugin = hostile().await.with_policy(true);
    let reports = judge(&plugin, job(tight()), &["valid", "trap-at:2", "keep-state"]).await;
    assert!(reports.iter().all(|report| report.result.is_ok()));
    assert_eq!(said(&reports[2]), "2");
}

#[tokio::test]
async fn the_metadata_is_what_the_guest_says() {
    let plugin = hostile().await;
    let metadata = plugin.metadata();
    assert_eq!((metadata.name.as_str(), metadata.shared, metadata.memory_base), ("hostile", true, 64 << 20));
    assert_eq!(plugin.powers(), ["llm"]);
    assert!(RUNTIME.loaded(plugin.digest()).is_some());
    let cases = plugin.generate_test_cases(3, 5).await.unwrap();
    assert_eq!(cases.len(), 3);
    assert_eq!(cases[1].item.body, "invalid:5-1");
}
