//! Sessions begin, break, and end.

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use pigeon_agent::AgentError;
use pigeon_hub::{HubEvent, SessionEnd};

use crate::support::{FakeLanes, Gate, Host, LONG, bodies, order};

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_stopped_ends_its_runs_and_leaves() {
    let host = Host::start().await;
    let gate = Arc::new(Gate::default());
    let agent = host.agent(FakeLanes { gate: Some((1, Arc::clone(&gate))), ..FakeLanes::default() }).await;
    let (session, _) = host.control.joined().await;
    host.hub.handle().lease(session, order(1, 0, &bodies([1, 1]))).unwrap();
    host.control.until("a run lands", |control| (control.landed_so_far() == 1).then_some(())).await;
    agent.stop.cancel();
    host.control.event("it drains", |event| matches!(event, HubEvent::Draining { .. }).then_some(())).await;
    gate.open();
    let landed = host.control.ended(1).await;
    assert_eq!(landed.iter().map(|landed| landed.outcomes.len()).sum::<usize>(), 2);
    assert_eq!(host.control.left(session).await, SessionEnd::Drained);
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn control_can_drain_and_disconnect() {
    let host = Host::start().await;
    let drained = host.agent(FakeLanes::default()).await;
    let (session, _) = host.control.joined().await;
    host.hub.handle().drain(session, LONG);
    assert_eq!(host.control.left(session).await, SessionEnd::Drained);
    drained.task.await.unwrap().unwrap();

    let revoked = host.agent(FakeLanes::default()).await;
    let (session, who) = host.control.joined().await;
    host.hub.handle().disconnect_agent(who, "revoked", false);
    assert_eq!(host.control.left(session).await, SessionEnd::Disconnected("revoked".into()));
    assert!(matches!(revoked.task.await.unwrap(), Err(AgentError::Refused(reason)) if reason == "revoked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_recorded_is_delivered_in_the_next_session() {
    let host = Host::start().await;
    host.control.records.store(false, SeqCst);
    let gate = Arc::new(Gate::default());
    let agent = host.agent(FakeLanes { gate: Some((2, Arc::clone(&gate))), ..FakeLanes::default() }).await;
    let (first, who) = host.control.joined().await;
    host.hub.handle().lease(first, order(1, 0, &bodies([1, 1, 1]))).unwrap();
    host.control.until("two runs land", |control| (control.landed_so_far() >= 2).then_some(())).await;
    host.hub.handle().disconnect(first, "cut in the middle", true);
    host.control.left(first).await;
    // While there is no session, the lane runs on.
    gate.open();
    host.control.records.store(true, SeqCst);
    let (second, again) = host.control.joined().await;
    assert_eq!(again, who);
    assert_ne!(first, second);
    let landed = host.control.ended(1).await;
    let late: Vec<_> = landed.iter().filter(|landed| landed.session == second).collect();
    assert!(late.iter().all(|landed| landed.kept && landed.fence.0 == 1001));
    let runs: Vec<u64> = late.iter().flat_map(|landed| &landed.outcomes).map(|outcome| outcome.run).collect();
    assert_eq!(runs, [0, 1, 2], "none was recorded, so all come again, and the last");
    agent.stop().await.unwrap();
    assert_eq!(host.control.left(second).await, SessionEnd::Drained);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_finds_a_hub_that_comes_back() {
    let host = Host::start().await;
    let agent = host.agent(FakeLanes::default()).await;
    let (session, _) = host.control.joined().await;
    let (address, ca, control) = (host.hub.addr(), host.ca.clone(), Arc::clone(&host.control));
    host.hub.shutdown(LONG).await;
    assert!(matches!(control.left(session).await, SessionEnd::Disconnected(_)));
    let host = Host::start_at(address, ca).await;
    let (session, _) = host.control.joined().await;
    host.hub.handle().lease(session, order(1, 0, &bodies([1]))).unwrap();
    host.control.ended(1).await;
    agent.stop().await.unwrap();
}

#[test]
fn an_agent_of_a_hub_that_was_killed_learns_so_from_the_next_one() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // Silence alone would tell it after 90 seconds.
    let slow = |config: &mut pigeon_hub::HubConfig| config.beat = Duration::from_secs(30);
    let (lives, dies) = (runtime(), runtime());
    let ca = pigeon_hub::CertificateAuthority::new_in_memory().unwrap();
    let first = dies.block_on(Host::start_with("127.0.0.1:0".parse().unwrap(), ca.clone(), slow));
    let (address, identity) = (first.hub.addr(), dies.block_on(first.identity()));
    let agent = {
        let _within = lives.enter();
        first.agent_as(identity, FakeLanes::default())
    };
    dies.block_on(first.control.joined());
    // Nothing of it runs any more: it cannot say good-bye.
    dies.shutdown_timeout(Duration::from_secs(60));
    drop(first);
    lives.block_on(async {
        let second = Host::start_with(address, ca, slow).await;
        second.control.joined().await;
        agent.stop().await.unwrap();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn another_life_of_the_same_agent_ends_the_first() {
    let host = Host::start().await;
    let identity = host.identity().await;
    let first = host.agent_as(identity.clone(), FakeLanes::default());
    let (session, _) = host.control.joined().await;
    let second = host.agent_as(identity, FakeLanes::default());
    assert_eq!(host.control.left(session).await, SessionEnd::Died);
    assert!(matches!(first.task.await.unwrap(), Err(AgentError::Elsewhere)));
    second.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn beats_go_on_and_a_silent_agent_is_unreachable() {
    let host = Host::start().await;
    // An agent whose whole runtime stands still, as under SIGSTOP: its own thread, which we block.
    let identity = host.identity().await;
    let config = pigeon_agent::AgentConfig::new("frozen", host.hub.addr(), identity, 1);
    let (freeze, frozen) = std::sync::mpsc::channel::<()>();
    let thaw = tokio_util::sync::CancellationToken::new();
    let thread = std::thread::spawn({
        let thaw = thaw.clone();
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let agent = pigeon_agent::Agent::with_lanes(config, FakeLanes::default()).run(thaw.clone());
                tokio::pin!(agent);
                loop {
                    tokio::select! {
                        result = &mut agent => return result,
                        () = tokio::time::sleep(Duration::from_millis(5)) => {
                            if frozen.try_recv().is_ok() {
                                // Until the test drops its end.
                                let _ = frozen.recv();
                            }
                        }
                    }
                }
            })
        }
    });
    let (session, _) = host.control.joined().await;
    host.control.until("some beats", |control| (control.beats.load(SeqCst) >= 3).then_some(())).await;
    freeze.send(()).unwrap();
    assert_eq!(host.control.left(session).await, SessionEnd::Unreachable);
    thaw.cancel();
    drop(freeze);
    tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap().unwrap();
}
