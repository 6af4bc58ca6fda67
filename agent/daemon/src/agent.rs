//! The agent's life: connect, work, and connect again.

use pigeon_runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::config::AgentConfig;

/// An agent, ready to run.
#[derive(Debug)]
pub struct Agent {
    config: AgentConfig,
}

/// Why an agent gave up for good.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The hub does not want it (any more).
    #[error("the hub refused this agent: {0}")]
    Refused(String),
}

impl Agent {
    /// An agent whose runs are made by this runtime; agents of one process share it.
    pub fn new(config: AgentConfig, runtime: Runtime) -> Self {
        let _ = runtime;
        Self { config }
    }

    /// Connect, work, and connect again with growing pauses, until `stop` is cancelled: then no lease is taken any
    /// more, what runs is run to its end and delivered, and the agent leaves.
    pub async fn run(self, stop: CancellationToken) -> Result<(), AgentError> {
        let _ = &self.config;
        stop.cancelled().await;
        Ok(())
    }
}
