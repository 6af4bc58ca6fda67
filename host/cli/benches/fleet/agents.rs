//! Groups of agents. A group has a runtime of its own: with it, all its agents are gone between two packets.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread::sleep,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use pigeon_agent::{Agent, AgentConfig, Identity, enrol};
use pigeon_protocol::enrol::JoinToken;
use tokio::{runtime::Runtime, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    server::Server,
    sleeper::{Diary, Sleeper},
};

/// Enrolments at once.
const AT_ONCE: usize = 32;

/// Identities of agents that have joined the server and are not connected.
pub(crate) fn enrol_all(server: &Server, count: usize) -> (SocketAddr, Vec<Identity>) {
    let token = server.join_token(count);
    let (hub, token): (SocketAddr, JoinToken) = (token.hub.parse().unwrap(), token.secret.parse().unwrap());
    let enrolments = (0..count).map(|number| {
        let token = token.clone();
        async move { enrol(hub, &token, &format!("light-{number}")).await.unwrap() }
    });
    let identities = server.runtime.block_on(stream::iter(enrolments).buffer_unordered(AT_ONCE).collect());
    (hub, identities)
}

/// Agents that come and go together.
pub(crate) struct Group {
    number: usize,
    runtime: Runtime,
    agents: JoinSet<()>,
}

impl Group {
    pub(crate) fn new(number: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { number, runtime, agents: JoinSet::new() }
    }

    /// Connect these, all at once. Answers how long it took until each had been welcomed.
    pub(crate) fn connect(&mut self, hub: SocketAddr, identities: Vec<Identity>, diary: &Arc<Diary>) -> Duration {
        let begun = Instant::now();
        let wanted = diary.live.load(Relaxed) + identities.len() as u64;
        for identity in identities {
            let name = format!("light-{}-{}", self.number, self.agents.len());
            let config = AgentConfig::new(name, hub, identity, 1);
            let agent = Agent::with_lanes(config, Sleeper::new(diary, self.number));
            let life = async move { agent.run(CancellationToken::new()).await.unwrap() };
            self.agents.spawn_on(life, self.runtime.handle());
        }
        while diary.live.load(Relaxed) < wanted {
            sleep(Duration::from_millis(1));
        }
        begun.elapsed()
    }

    /// Gone without a word: sockets are closed, and nothing is sent on them any more.
    pub(crate) fn vanish(self) {
        drop(self.runtime);
    }

    /// Gone with a word to QUIC and none to the server: every connection is closed, which the server takes for leaving.
    pub(crate) fn hang_up(&mut self) {
        self.agents.abort_all();
    }
}
