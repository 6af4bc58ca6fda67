//! Components from elsewhere: nothing of our SDK is in them, and they are judged by the same rules.
//!
//! One is written by hand in the text format. Those that other toolchains make are built by
//! `plugins/cases/foreign/run.sh`, which names their folder in `PIGEON_FOREIGN`; without it there are none to test.
//! All of them ask for the same: the item `pigeon`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::PathBuf;

use bytes::Bytes;
use common::{RUNTIME, job, judge};
use pigeon_runtime::{Limits, LoadError, Plugin};

const BY_HAND: &str = include_str!("components/by_hand.wat");

async fn load(wat: &str) -> Result<Plugin, LoadError> {
    RUNTIME.load(wat::parse_str(wat).unwrap().into()).await
}

#[tokio::test]
async fn a_component_written_by_hand_judges() {
    let plugin = load(BY_HAND).await.unwrap();
    let metadata = plugin.metadata();
    assert_eq!((metadata.name.as_str(), metadata.version.as_str()), ("by-hand", "1.2.3"));
    assert_eq!(metadata.description, "Asks for one word. Written by hand.");
    assert!(plugin.powers().is_empty());

    let large = "pigeon".repeat(1 << 17);
    let bodies = ["pigeon", "pigeons", "pigs", "", &large];
    let offsets = [None, Some(6), Some(3), Some(0), Some(6)];
    for shared in [true, false] {
        let reports = judge(&plugin.with_policy(shared), job(Limits::default()), &bodies).await;
        for (report, offset) in reports.iter().zip(offsets) {
            let judgement = report.result.as_ref().unwrap();
            assert_eq!(judgement.valid(), offset.is_none());
            let place = judgement.findings.first().and_then(|finding| finding.place.as_ref());
            assert_eq!(place.and_then(|place| place.offset), offset);
        }
    }
    assert!(plugin.generate_test_cases(3, 1).await.unwrap().is_empty());
}

#[tokio::test]
async fn types_that_differ_are_told_in_words() {
    let told = async |from: &str, to: &str| {
        assert!(BY_HAND.contains(from), "{from}");
        load(&BY_HAND.replace(from, to)).await.err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(
        told(r#"(enum "worst" "majority")"#, r#"(enum "worst" "majority" "best")"#).await,
        "the plugin could not say what it is: the answer does not fit the contract: expected enum of 2 names, found 3 \
         names"
    );
    assert_eq!(
        told(r#"(field "id" string) (field "body""#, r#"(field "name" string) (field "body""#).await,
        "the plugin could not say what it is: the answer does not fit the contract: expected record field named id, \
         found name"
    );
    let import = |function: &str| {
        let instance = format!(r#"(instance (export "{function}" (func (result string))))"#);
        format!("(component (import \"pigeon:plugin/run@0.1.0\" {instance})")
    };
    assert_eq!(
        told("(component\n", &import("seed")).await,
        "the component does not fit the contract: its import pigeon:plugin/run@0.1.0 does not fit what this host \
         offers: `seed`: its result differs from the contract's: expected `u64` found `string`"
    );
    assert_eq!(
        told("(component\n", &import("weather")).await,
        "the component does not fit the contract: its import pigeon:plugin/run@0.1.0 does not fit what this host \
         offers: `weather`: this host has no such function; it may be newer than the host"
    );
    let message = told(r#"(export "metadata" (func $metadata-func))"#, "").await;
    assert!(message.contains("pigeon:plugin/validation@0.1.0 lacks `metadata`"), "{message}");
}

#[tokio::test]
async fn components_of_other_toolchains_judge() {
    let Some(folder) = std::env::var_os("PIGEON_FOREIGN").map(PathBuf::from) else { return };
    let mut judged = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "wasm") {
            continue;
        }
        let component = std::fs::read(&path).unwrap();
        let plugin = RUNTIME.load(Bytes::from(component)).await.unwrap();
        let reports = judge(&plugin, job(Limits::default()), &["pigeon", "crow", "pigeon", "fail", "pigeon"]).await;
        let verdicts: Vec<_> = reports
            .iter()
            .map(|report| match &report.result {
                Ok(judgement) if judgement.valid() => "valid".to_owned(),
                Ok(judgement) => judgement.findings.first().unwrap().code.clone(),
                Err(failure) => format!("{:?} {}", failure.cause, failure.code),
            })
            .collect();
        let expected = ["valid", "wrong-word", "valid", "Permanent asked-to-fail", "valid"];
        assert_eq!(verdicts, expected, "{}: {reports:?}", path.display());
        let wall: Vec<_> = reports.iter().map(|report| report.wall).collect();
        println!("{}: {} took {wall:?}", path.display(), plugin.metadata().name);
        judged += 1;
    }
    assert!(judged > 0, "the folder holds no component");
}
