//! Leases out, outcomes back.

use std::sync::{Arc, atomic::Ordering::SeqCst};

use bytes::Bytes;
use pigeon_hub::{HubEvent, LeaseOrder};
use pigeon_protocol::{
    id::{LeaseId, RunIndex},
    outcome::{Cause, Verdict},
};

use crate::support::{COMPONENT, Control, FakeLanes, Gate, Host, bodies, order};

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_goes_out_and_every_outcome_comes_back_once() {
    let host = Host::start().await;
    let lanes = FakeLanes::default();
    let agent = host.agent(lanes.clone()).await;
    let (session, _) = host.control.joined().await;
    let sizes: Vec<usize> = (0..3000).map(|at| at % 1400).collect();
    host.hub.handle().lease(session, order(1, 5, &bodies(sizes.clone()))).unwrap();
    let landed = host.control.ended(1).await;
    let outcomes: Vec<_> = landed.iter().flat_map(|landed| &landed.outcomes).collect();
    assert_eq!(outcomes.len(), 3000);
    for (outcome, (index, size)) in outcomes.iter().zip((5..).zip(sizes)) {
        assert_eq!(outcome.run, index);
        assert_eq!(outcome.verdict(), Verdict::Valid);
        assert_eq!((outcome.time_us, outcome.cpu_us, outcome.memory), (12, 11, 65_536));
        let log = String::from_utf8(outcome.log.to_vec()).unwrap();
        assert!(log.starts_with(&format!("f:{index} {size} ")), "{log}");
    }
    assert!(landed.iter().all(|landed| landed.fence.0 == 1001 && !landed.kept && landed.session == session));
    assert_eq!(lanes.options.lock().unwrap().get("key").map(String::as_str), Some("välue"));
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_told_with_its_lease_is_not_asked_for_and_one_that_is_long_is() {
    for (value, asked) in [("short".to_owned(), 0), ("long".repeat(1000), 1)] {
        let host = Host::start().await;
        let lanes = FakeLanes::default();
        let agent = host.agent(lanes.clone()).await;
        let (session, _) = host.control.joined().await;
        let context = Some(Arc::new(host.control.answer(&value)));
        host.hub.handle().lease(session, LeaseOrder { context, ..order(1, 0, &bodies([1, 2])) }).unwrap();
        let landed = host.control.ended(1).await;
        assert_eq!(landed.iter().map(|landed| landed.outcomes.len()).sum::<usize>(), 2);
        assert_eq!(host.control.job_asked.load(SeqCst), asked);
        // Who is asked says something else.
        let expected = if asked > 0 { "välue" } else { &value };
        assert_eq!(lanes.options.lock().unwrap().get("key").map(String::as_str), Some(expected));
        agent.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_large_item_has_a_lease_to_itself() {
    let host = Host::start().await;
    let agent = host.agent(FakeLanes::default()).await;
    let (session, _) = host.control.joined().await;
    host.hub.handle().lease(session, order(1, 0, &bodies([24 << 20]))).unwrap();
    let landed = host.control.ended(1).await;
    let log = &landed[0].outcomes.first().or(landed.last().and_then(|l| l.outcomes.first())).unwrap().log;
    assert!(log.starts_with(format!("f:0 {} ", 24 << 20).as_bytes()));
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_comes_once_however_many_lanes_want_it() {
    let host = Host::start().await;
    let agent = host.agent(FakeLanes::default()).await;
    let (session, _) = host.control.joined().await;
    for lease in 1..=8 {
        host.hub.handle().lease(session, order(lease, lease * 10, &bodies([1, 2]))).unwrap();
    }
    for lease in 1..=8 {
        host.control.ended(lease).await;
    }
    assert_eq!(host.control.plugin_asked.load(SeqCst), 1);
    let digest = pigeon_protocol::id::Digest::of(&COMPONENT).as_bytes().to_vec();
    let named = |control: &Control| (*control.plugins.lock().unwrap() == [digest.clone()]).then_some(());
    host.control.until("a beat names the plugin", named).await;
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_cannot_be_loaded_fails_each_run_and_says_why() {
    let host = Host::start().await;
    let agent = host.agent(FakeLanes { refuses: Some("it is no component"), ..FakeLanes::default() }).await;
    let (session, _) = host.control.joined().await;
    host.hub.handle().lease(session, order(1, 0, &bodies([1, 2, 3]))).unwrap();
    let landed = host.control.ended(1).await;
    let outcomes: Vec<_> = landed.iter().flat_map(|landed| &landed.outcomes).collect();
    assert_eq!(outcomes.len(), 3);
    assert!(outcomes.iter().all(|outcome| outcome.cause() == Some(Cause::Load)));
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_of_a_publisher_that_is_not_trusted_does_not_run() {
    let host = Host::start().await;
    let mut identity = host.identity().await;
    identity.trusted_keys = vec![[1; 32]];
    let agent = host.agent_as(identity, FakeLanes::default());
    let (session, _) = host.control.joined().await;
    host.hub.handle().lease(session, order(1, 0, &bodies([1]))).unwrap();
    let landed = host.control.ended(1).await;
    let outcome = landed.iter().flat_map(|landed| &landed.outcomes).next().unwrap();
    assert_eq!(outcome.cause(), Some(Cause::Load));
    assert!(format!("{outcome:?}").contains("not trusted"), "{outcome:?}");
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_takes_long_is_named_as_begun_and_its_forerunners_are_not_held_back() {
    let host = Host::start().await;
    let gate = Arc::new(Gate::default());
    let agent = host.agent(FakeLanes { gate: Some((2, Arc::clone(&gate))), ..FakeLanes::default() }).await;
    let (session, _) = host.control.joined().await;
    host.hub.handle().lease(session, order(1, 0, &bodies([1, 1, 1, 1]))).unwrap();
    host.control.until("two runs land", |control| (control.landed_so_far() == 2).then_some(())).await;
    gate.open();
    let landed = host.control.ended(1).await;
    assert!(landed.iter().any(|landed| landed.begun == [RunIndex(2)]), "{landed:?}");
    assert_eq!(landed.iter().map(|landed| landed.outcomes.len()).sum::<usize>(), 4);
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_lease_ends_with_what_it_has() {
    let host = Host::start().await;
    let gate = Arc::new(Gate::default());
    let agent = host.agent(FakeLanes { gate: Some((1, gate)), ..FakeLanes::default() }).await;
    let (session, _) = host.control.joined().await;
    host.hub.handle().lease(session, order(1, 0, &bodies([1, 1]))).unwrap();
    host.hub.handle().lease(session, order(2, 10, &bodies([1]))).unwrap();
    host.control.until("a run lands", |control| (control.landed_so_far() == 1).then_some(())).await;
    host.hub.handle().cancel(session, vec![LeaseId(1)]);
    let landed = host.control.ended(1).await;
    assert_eq!(landed.iter().map(|landed| landed.outcomes.len()).sum::<usize>(), 1);
    // The other way to lose a lease: the answer to a beat does not know it.
    host.control.unknown.lock().unwrap().push(LeaseId(2));
    let landed = host.control.ended(2).await;
    assert_eq!(landed.iter().map(|landed| landed.outcomes.len()).sum::<usize>(), 0);
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_is_recorded_behind_everything_else_breaks_no_stream() {
    let host = Host::start().await;
    let gate = Arc::new(Gate::default());
    let agent = host.agent(FakeLanes { gate: Some((1, gate)), ..FakeLanes::default() }).await;
    let (session, _) = host.control.joined().await;
    *host.control.recorders.lock().unwrap() = Some(Vec::new());
    host.hub.handle().lease(session, order(1, 0, &bodies([1, 1]))).unwrap();
    host.control.until("a run lands", |control| (control.landed_so_far() == 1).then_some(())).await;
    // The end comes by itself, and nothing is recorded yet.
    host.hub.handle().cancel(session, vec![LeaseId(1)]);
    host.control.ended(1).await;
    let mut recorders = host.control.recorders.lock().unwrap().take().unwrap();
    let end = recorders.pop().unwrap();
    let held = |control: &Control| control.held.lock().unwrap().contains(&1);
    host.control.until("the lease is held", |control| held(control).then_some(())).await;
    recorders.into_iter().for_each(pigeon_hub::Recorder::done);
    // The agent knows that its outcomes are safe, and holds the lease no more; now the end is recorded as well.
    host.control.until("the lease is delivered", |control| (!held(control)).then_some(())).await;
    end.done();
    agent.stop().await.unwrap();
    host.control.left(session).await;
    assert!(!host.control.lease_broke(), "nothing was amiss");
}

#[tokio::test(flavor = "multi_thread")]
async fn credit_is_two_lanes_a_slot_at_first_and_comes_back() {
    let host = Host::start().await;
    let gate = Arc::new(Gate::default());
    let agent = host.agent(FakeLanes { gate: Some((0, Arc::clone(&gate))), ..FakeLanes::default() }).await;
    let (session, _) = host.control.joined().await;
    let credit = |event: &HubEvent| match event {
        HubEvent::Credit { received, batches, .. } => Some((*received, *batches)),
        _ => None,
    };
    assert_eq!(host.control.event("credit", credit).await, (0, 4));
    for lease in 1..=4 {
        host.hub.handle().lease(session, order(lease, lease * 10, &bodies([1]))).unwrap();
    }
    gate.open();
    for lease in 1..=4 {
        host.control.ended(lease).await;
    }
    // Told as often as it changes; in the end all four are free again, and more are wanted of lanes as short as these.
    let all = |event: &HubEvent| credit(event).filter(|(received, batches)| *received == 4 && *batches >= 4);
    host.control.event("all credit is back", all).await;
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_its_session_cannot_take_is_not_sent() {
    let host = Host::start().await;
    let agent = host.agent(FakeLanes::default()).await;
    let (session, _) = host.control.joined().await;
    let mut wrong = order(1, 0, &bodies([1]));
    wrong.bodies.push(Bytes::from_static(b"more"));
    assert!(matches!(host.hub.handle().lease(session, wrong), Err(pigeon_hub::LeaseError::TooLarge(_))));
    agent.stop().await.unwrap();
    host.control.left(session).await;
    let late = host.hub.handle().lease(session, order(1, 0, &bodies([1])));
    assert_eq!(late, Err(pigeon_hub::LeaseError::Gone));
}
