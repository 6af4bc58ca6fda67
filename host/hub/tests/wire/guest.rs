//! The wire with a real guest at its end.

use pigeon_agent::RuntimeLanes;
use pigeon_protocol::outcome::Verdict;
use pigeon_runtime::{Runtime, RuntimeConfig};

use crate::support::{Host, bodies, order};

#[tokio::test(flavor = "multi_thread")]
async fn echo_judges_what_comes_over_the_wire() {
    let host = Host::start().await;
    let echo = pigeon_plugins::BUILT_IN.iter().find(|plugin| plugin.name == "echo").unwrap();
    *host.control.component.lock().unwrap() = echo.component.into();
    // Compiled in this process and kept nowhere: the compile child and the cache have tests of their own.
    let runtime = Runtime::new(RuntimeConfig { guest_threads: 2, ..RuntimeConfig::default() }).unwrap();
    let agent = host.agent_as(host.identity().await, RuntimeLanes::new(runtime, 2));
    let (session, _) = host.control.joined().await;
    host.hub.handle().lease(session, order(1, 0, &bodies([846; 100]))).unwrap();
    host.hub.handle().lease(session, order(2, 100, &bodies([1; 100]))).unwrap();
    for lease in [1, 2] {
        let landed = host.control.ended(lease).await;
        let outcomes: Vec<_> = landed.iter().flat_map(|landed| &landed.outcomes).collect();
        assert_eq!(outcomes.len(), 100);
        assert!(outcomes.iter().all(|outcome| outcome.verdict() == Verdict::Valid), "{:?}", outcomes[0]);
        assert!(outcomes.iter().all(|outcome| outcome.memory > 0));
    }
    agent.stop().await.unwrap();
}
