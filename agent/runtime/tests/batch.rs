//! Batch validators: judged together, and narrowed down to the item that does harm.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{RUNTIME, job, judge, said};
use pigeon_runtime::{Cause, Job, Limits, Plugin, World};

async fn batch() -> Plugin {
    let plugin = RUNTIME.load(Bytes::from_static(pigeon_plugins::HOSTILE_BATCH)).await.unwrap();
    assert_eq!(plugin.world(), World::BatchValidator);
    plugin
}

#[tokio::test]
async fn items_are_judged_together() {
    let reports = judge(&batch().await, Job::default(), &["valid", "invalid", "keep-state", "keep-state"]).await;
    let valid: Vec<_> = reports.iter().map(|report| report.result.as_ref().unwrap().valid()).collect();
    assert_eq!(valid[..2], [true, false]);
    assert_eq!([said(&reports[2]), said(&reports[3])], ["3", "4"]);
}

#[tokio::test]
async fn harm_is_narrowed_down_by_halves() {
    let plugin = batch().await;
    let limits = Limits { cpu: Duration::from_millis(300), ..Limits::default() };
    for (deed, cause) in [("trap", Cause::Trap), ("spin", Cause::Timeout), ("fail-permanent", Cause::Permanent)] {
        let bodies = ["valid", "invalid", "valid", deed, "valid", "invalid", "valid"];
        let reports = judge(&plugin, job(limits), &bodies).await;
        for (index, (body, report)) in bodies.iter().zip(&reports).enumerate() {
            match &report.result {
                Ok(judgement) => assert_eq!(judgement.valid(), *body == "valid", "{deed}, item {index}"),
                Err(failure) => assert_eq!((failure.cause, *body), (cause, deed), "item {index}"),
            }
        }
    }
}

#[tokio::test]
async fn another_number_of_answers_is_a_failure_of_all() {
    for deed in ["answer-missing", "answer-extra"] {
        let reports = judge(&batch().await, Job::default(), &["valid", deed, "valid"]).await;
        for report in reports {
            assert_eq!(report.result.unwrap_err().cause, Cause::Contract, "{deed}");
        }
    }
}
