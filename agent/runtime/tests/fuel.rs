//! Fuel: a bound that is the same on every machine, where the runtime was made to count it.

mod common;

use bytes::Bytes;
use common::{hostile, job, judge, lane, runs};
use pigeon_runtime::{Cause, Limits, Runtime, RuntimeConfig};

#[tokio::test]
async fn a_guest_that_uses_up_its_fuel_fails_and_the_others_have_their_own() {
    let config = RuntimeConfig { guest_threads: 1, pool_instances: 8, fuel: true, ..RuntimeConfig::default() };
    let runtime = Runtime::new(config).unwrap();
    let plugin = runtime.load(Bytes::from_static(pigeon_plugins::HOSTILE)).await.unwrap();
    let limits = Limits { fuel: Some(50_000_000), ..Limits::default() };
    for shared in [true, false] {
        let plugin = plugin.with_policy(shared);
        let reports = lane(&plugin, &runtime.slots(1), job(limits), runs(&["valid", "spin", "valid"])).await;
        let failure = reports[1].result.as_ref().unwrap_err();
        assert_eq!((failure.cause, failure.code.as_str()), (Cause::Fuel, "out-of-fuel"), "{failure:?}");
        assert!(failure.message.contains("50000000"), "{}", failure.message);
        assert!(reports[0].result.is_ok() && reports[2].result.is_ok());
    }
}

#[tokio::test]
async fn a_bound_that_cannot_be_held_is_not_ignored() {
    let limits = Limits { fuel: Some(1), ..Limits::default() };
    let reports = judge(&hostile().await, job(limits), &["valid"]).await;
    let failure = reports[0].result.as_ref().unwrap_err();
    assert_eq!(failure.cause, Cause::DoesNotFit);
    assert!(failure.message.contains("fuel"), "{}", failure.message);
}
