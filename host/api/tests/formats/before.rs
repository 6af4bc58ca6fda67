//! What earlier versions wrote down is read.

use std::time::Duration;

use pigeon_api::{
    Clock, DeadLetter, ErrorGroup, JobRequest, JobStatus, JobSummary, Limits, PluginInfo, Progress, RetryPolicy, Work,
};
use serde_json::{Value, json};

use crate::samples;

/// Specifications of jobs as version 0.1 kept them before jobs had keys: times in seconds and nanoseconds, and one bound
/// on attempts.
const JOBS: [&str; 2] = [
    r#"{"plugin":"sha256:3fb5dfc0f7706a8e24a2be17cf0914fc3956d5c38461b8f6b252ad65d784b705","options":{},"work":{"of":"one","workers":3,"iterations":5},"limits":{"cpu":{"secs":10,"nanos":0},"wall":{"secs":300,"nanos":0},"memory":null,"output":1048576,"log":65536,"fuel":null},"retry":{"attempts":3,"backoff":{"secs":0,"nanos":100000000},"max_backoff":{"secs":30,"nanos":0}},"priority":0,"max_parallel":null,"fail_fast":false,"seed":5221573679091163,"clock":"acceptance","grants":[],"sources":{"identities":[{"bytes":846,"digest":"9bea5634a7cc44a3480ccf6e3d511a8b0499fba74592974a0a0f14d8e773e206","files":1}],"inputs":{"max_item":67108864,"roots":[{"given":"fibonacci.json","kind":"file","path":"/a/fibonacci.json"}],"rule":"whole"},"items":1}}"#,
    r#"{"plugin":"sha256:a726ca13218657fb6321746f62387c16b56c3a48171b3f27a85a231d257ad30a","options":{"fail":"transient"},"work":{"of":"many","iterations":1,"workers":null},"limits":{"cpu":{"secs":0,"nanos":1500000},"wall":{"secs":300,"nanos":0},"memory":1073741824,"output":1048576,"log":65536,"fuel":7},"retry":{"attempts":5,"backoff":{"secs":1,"nanos":500000000},"max_backoff":{"secs":30,"nanos":0}},"priority":-2,"max_parallel":4,"fail_fast":true,"seed":3476240827257942,"clock":{"at":1700000000000000000},"grants":["llm"],"sources":null}"#,
];

#[test]
fn jobs_of_before_are_read() {
    let [first, second] = JOBS.map(|text| serde_json::from_str::<JobRequest>(text).unwrap());
    assert_eq!((first.limits, first.retry), (Limits::default(), RetryPolicy::default()));
    assert_eq!((first.work, first.key), (Work::One { workers: 3, iterations: 5 }, None));
    assert_eq!(first.sources["items"], json!(1));
    assert_eq!(second.limits.cpu, Duration::from_micros(1500));
    assert_eq!((second.limits.memory, second.limits.fuel), (Some(1 << 30), Some(7)));
    let retry = RetryPolicy { attempts: 5, backoff: Duration::from_millis(1500), ..RetryPolicy::default() };
    // Timeouts and crashes were final then, and are.
    assert_eq!((second.retry, second.retry.timeouts, second.retry.crashes), (retry, 1, 1));
    assert_eq!(second.clock, Clock::At(1_700_000_000_000_000_000));
}

#[test]
fn jobs_of_before_are_written_as_those_of_today() {
    for text in JOBS {
        let request: JobRequest = serde_json::from_str(text).unwrap();
        let written = serde_json::to_value(&request).unwrap();
        assert!(written["limits"]["cpu_ms"].is_number() && written["limits"].get("cpu").is_none(), "{written}");
        assert_eq!(serde_json::from_value::<JobRequest>(written).unwrap(), request);
    }
}

#[test]
fn a_fraction_of_a_millisecond_is_kept() {
    for nanos in [1, 999_999, 1_000_000, 1_500_000, 86_400_000_000_001_000] {
        let limits = Limits { cpu: Duration::from_nanos(nanos), ..Limits::default() };
        let back: Limits = serde_json::from_str(&serde_json::to_string(&limits).unwrap()).unwrap();
        let off = back.cpu.abs_diff(limits.cpu);
        assert!(off.as_secs_f64() <= limits.cpu.as_secs_f64() * 1e-12 + 1e-9, "{nanos}: {off:?}");
    }
    for bad in [json!({"cpu_ms": -1}), json!({"cpu_ms": 1e300}), json!({"cpu_ms": "10s"}), json!({"cpus_ms": 1})] {
        assert!(serde_json::from_value::<Limits>(bad.clone()).is_err(), "{bad}");
    }
}

/// What came to an answer since version 0.1 may be missing: an older control host does not say it.
#[test]
fn what_was_not_told_before_may_be_missing() {
    fn without<T: serde::de::DeserializeOwned>(name: &str, fields: &[&str]) {
        let all = samples::all();
        let (_, values) = all.iter().find(|(sample, _)| *sample == name).unwrap();
        let mut value = values[0].clone();
        for field in fields {
            assert!(value.as_object_mut().unwrap().remove(*field).is_some(), "{name} has no {field}");
        }
        serde_json::from_value::<T>(value.clone()).unwrap_or_else(|error| panic!("{error} in {value}"));
    }
    without::<JobStatus>("job-status", &["author", "finished_ms", "dead", "waiting", "broken"]);
    without::<JobSummary>("job-summary", &["valid", "invalid", "failures", "priority", "author"]);
    without::<JobRequest>("job-request", &["key"]);
    without::<PluginInfo>("plugin-info", &["extensions"]);
    without::<DeadLetter>("dead-letter", &[]);
    let group = json!({"code": "c", "message": "m", "count": 1, "example": "a"});
    assert_eq!(serde_json::from_value::<ErrorGroup>(group).unwrap().first_ms, 0);
}

/// What a newer control host says besides is passed over.
#[test]
fn what_is_said_besides_is_passed_over() {
    let more = |name: &str| -> Value {
        let all = samples::all();
        let (_, values) = all.iter().find(|(sample, _)| *sample == name).unwrap();
        let mut value = values[0].clone();
        value.as_object_mut().unwrap().insert("of_tomorrow".to_owned(), json!({}));
        value
    };
    serde_json::from_value::<JobStatus>(more("job-status")).unwrap();
    serde_json::from_value::<JobSummary>(more("job-summary")).unwrap();
    serde_json::from_value::<PluginInfo>(more("plugin-info")).unwrap();
    let progress = json!({"planned": 1, "sealed": true, "done": 1, "valid": 1, "invalid": 0, "failures": 0, "retried": 0,
        "of_tomorrow": 1});
    serde_json::from_value::<Progress>(progress).unwrap();
}
