//! A control host and its agents inside this process.
//!
//! The road is the one that a remote agent takes: the agents enrol with a token over QUIC on loopback, present their
//! certificates, fetch the signed plugin, and are leased runs. What they share is one [`Runtime`]: one engine, one pool
//! of instances, and each plugin compiled once.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use futures::future::try_join_all;
use pigeon_agent::{Agent, AgentConfig, AgentError, EnrolError};
use pigeon_api::Pigeon;
use pigeon_control::{App, Config, ControlError, MOST_MEMORY};
use pigeon_runtime::{CacheConfig, CompileMode, Runtime, RuntimeConfig, RuntimeError};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::inspector::RuntimeInspector;

/// How to set it up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the queue lives.
    pub state_dir: PathBuf,
    /// Where compiled plugins are kept; nowhere if not said.
    pub cache: Option<CacheConfig>,
    /// Where plugins are compiled.
    pub compile: CompileMode,
    /// Linear memory that one run may have at most, in bytes.
    pub max_memory: u64,
}

impl Options {
    /// No cache, compiling in this process, 1 GiB a run: for tests and benches.
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self { state_dir: state_dir.into(), cache: None, compile: CompileMode::InProcess, max_memory: MOST_MEMORY }
    }
}

/// It could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// The runtime that guests run in.
    #[error("failed to start the runtime for validators")]
    Runtime(#[from] RuntimeError),
    /// The control host.
    #[error("failed to start the embedded control host")]
    Control(#[from] ControlError),
    /// An agent.
    #[error("failed to enrol {name}")]
    Enrol {
        /// Its name.
        name: String,
        /// Why.
        source: EnrolError,
    },
    /// A task of ours was lost.
    #[error("failed to start")]
    Lost(#[from] tokio::task::JoinError),
}

/// A control host with agents of its own. Stop it with [`stop`](Self::stop).
pub struct Embedded {
    app: App,
    runtime: Runtime,
    max_memory: u64,
    memory: u64,
    agents: Vec<JoinHandle<Result<(), AgentError>>>,
    stop: CancellationToken,
    /// How many of the agents are at work.
    alive: watch::Sender<usize>,
}

/// How long a token of ours is good for: it is used at once.
const TOKEN_LIFETIME: Duration = Duration::from_secs(60);

/// Agents that enrol at once: the hub takes only so many handshakes.
const ENROLLING: usize = 32;

/// An agent at work, until it is dropped.
struct Alive(watch::Sender<usize>);

impl Alive {
    fn begin(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|alive| *alive += 1);
        Self(count.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.send_modify(|alive| *alive -= 1);
    }
}

impl Embedded {
    /// Bring up the runtime and the control host, without agents yet.
    ///
    /// # Errors
    /// If the engine, the state directory or the hub cannot be had.
    pub async fn start(options: Options) -> Result<Self, EmbeddedError> {
        let memory = guest_memory().max(options.max_memory);
        let runtime_config = RuntimeConfig {
            memory,
            max_memory: options.max_memory,
            compile: options.compile,
            cache: options.cache,
            ..RuntimeConfig::default()
        };
        let runtime = tokio::task::spawn_blocking(move || Runtime::new(runtime_config)).await??;
        let config = Config::embedded(options.state_dir);
        let app = App::build(config, Arc::new(RuntimeInspector::new(runtime.clone()))).await?;
        let stop = CancellationToken::new();
        Ok(Self {
            app,
            runtime,
            max_memory: options.max_memory,
            memory,
            agents: Vec::new(),
            stop,
            alive: watch::Sender::new(0),
        })
    }

    /// What takes work.
    pub fn client(&self) -> Arc<dyn Pigeon> {
        self.app.client()
    }

    /// The control host.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// The runtime that all agents here share.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Enrol and start agents of one slot each: `worker-1` to `worker-N`, on top of those already there.
    ///
    /// # Errors
    /// If one of them cannot enrol.
    pub async fn add_agents(&mut self, count: u32) -> Result<(), EmbeddedError> {
        let first = self.agents.len() + 1;
        let hub = self.app.hub_address();
        let numbers: Vec<usize> = (first..first + count as usize).collect();
        for numbers in numbers.chunks(ENROLLING) {
            let uses = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
            let token = self.app.join_token(uses, TOKEN_LIFETIME)?;
            let enrolled = numbers.iter().map(|number| enrol(hub, &token, format!("worker-{number}")));
            let enrolled = try_join_all(enrolled).await?;
            self.start_agents(hub, enrolled);
        }
        Ok(())
    }

    fn start_agents(&mut self, hub: SocketAddr, enrolled: Vec<(String, pigeon_agent::Identity)>) {
        for (name, identity) in enrolled {
            let mut config = AgentConfig::new(name, hub, identity, 1);
            config.max_memory = self.max_memory;
            config.memory = self.memory;
            let agent = Agent::new(config, self.runtime.clone());
            let stop = self.stop.clone();
            let alive = Alive::begin(&self.alive);
            self.agents.push(tokio::spawn(async move {
                let _alive = alive;
                let ended = agent.run(stop).await;
                if let Err(error) = &ended {
                    tracing::error!(error = error as &dyn std::error::Error, "an embedded agent gave up");
                }
                ended
            }));
        }
    }

    /// Wait until no agent is left, though nobody stopped them. Without agents there is none to lose.
    pub async fn lost(&self) {
        if self.agents.is_empty() || self.alive.subscribe().wait_for(|alive| *alive == 0).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Stop the agents, then the control host, each within `grace`.
    pub async fn stop(self, grace: Duration) {
        self.stop.cancel();
        let agents = futures::future::join_all(self.agents);
        if tokio::time::timeout(grace, agents).await.is_err() {
            tracing::debug!("agents were still at work when the process ended");
        }
        self.app.drain(grace).await;
    }
}

async fn enrol(
    hub: SocketAddr,
    token: &pigeon_protocol::enrol::JoinToken,
    name: String,
) -> Result<(String, pigeon_agent::Identity), EmbeddedError> {
    match pigeon_agent::enrol(hub, token, &name).await {
        Ok(identity) => Ok((name, identity)),
        Err(source) => Err(EmbeddedError::Enrol { name, source }),
    }
}

/// Memory for guests: three quarters of the machine's, 4 GiB where that cannot be told.
pub(crate) fn guest_memory() -> u64 {
    let total = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
        line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()
    });
    total.map_or(4 << 30, |kib| kib * 1024 / 4 * 3)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn agents_that_ended_are_missed() {
        let dir = tempfile::tempdir().unwrap();
        let mut embedded = Embedded::start(Options::new(dir.path())).await.unwrap();
        assert!(embedded.lost().now_or_never().is_none(), "there were none to lose");
        embedded.add_agents(2).await.unwrap();
        embedded.agents[0].abort();
        assert!(embedded.lost().now_or_never().is_none(), "one is at work");
        embedded.agents[1].abort();
        embedded.lost().await;
        embedded.stop(Duration::ZERO).await;
    }
}
