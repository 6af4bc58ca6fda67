//! How an agent is set up.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use crate::identity::Identity;

/// An agent's settings.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// The name to show it by: `worker-1`.
    pub name: String,
    /// Where the hub listens.
    pub hub: SocketAddr,
    /// Who the agent is, and whom it trusts.
    pub identity: Identity,
    /// Runs that it computes at once; at least 1.
    pub slots: usize,
    /// Runs that it begins at once; at least `slots`.
    pub in_flight: usize,
    /// Memory that guests may use together, in bytes: told to the hub for placement.
    pub memory: u64,
    /// Memory that one run may be given, in bytes: told to the hub for placement.
    pub max_memory: u64,
    /// Labels for placement: `gpu`, `arch=x86_64`.
    pub labels: Vec<String>,
    /// How long running runs may take to end, and outcomes to be delivered, once the agent is told to stop.
    pub drain: Duration,
    /// Where a renewed identity is kept; `None` for agents that live as long as their process.
    pub state_dir: Option<PathBuf>,
}

/// Runs begun at once for each slot if nothing else is said.
pub const IN_FLIGHT_PER_SLOT: usize = 64;

/// How long a drain may take if nothing else is said.
pub const DRAIN: Duration = Duration::from_secs(30);

impl AgentConfig {
    /// An agent of so many slots, with 64 runs in flight for each, 4 GiB of memory for guests (1 GiB for one run),
    /// the labels `arch=...` and `os=...` of this machine, 30 s to drain, and nothing kept on disk.
    pub fn new(name: impl Into<String>, hub: SocketAddr, identity: Identity, slots: usize) -> Self {
        let slots = slots.max(1);
        Self {
            name: name.into(),
            hub,
            identity,
            slots,
            in_flight: slots.saturating_mul(IN_FLIGHT_PER_SLOT),
            memory: 4 << 30,
            max_memory: 1 << 30,
            labels: own_labels(),
            drain: DRAIN,
            state_dir: None,
        }
    }

    /// Adds labels. One that is there gives way to one with its key, so that what the agent says of itself can be told
    /// otherwise.
    pub fn add_labels(&mut self, labels: &[String]) {
        let key = |label: &str| label.split_once('=').map(|(key, _)| key.to_owned());
        self.labels.retain(|own| labels.iter().all(|label| key(label).is_none_or(|key_of| key(own) != Some(key_of))));
        self.labels.extend(labels.iter().cloned());
    }
}

/// What every agent says of itself: `arch=x86_64` and `os=linux`.
pub fn own_labels() -> Vec<String> {
    vec![format!("arch={}", std::env::consts::ARCH), format!("os={}", std::env::consts::OS)]
}

#[cfg(test)]
mod tests {
    use pigeon_protocol::id::AgentId;

    use super::*;

    #[test]
    fn what_an_agent_says_of_itself_can_be_told_otherwise() {
        let (agent, certificate, key, ca) = (AgentId::new(), Vec::new(), Vec::new(), Vec::new());
        let identity = Identity { agent, certificate, key, ca, trusted_keys: Vec::new() };
        let mut config = AgentConfig::new("a", SocketAddr::from(([127, 0, 0, 1], 1)), identity, 1);
        config.labels = vec!["arch=x86_64".to_owned(), "os=linux".to_owned()];
        let labels = ["gpu", "arch=wasm", "zone=a", "zone=b"].map(str::to_owned);
        config.add_labels(&labels);
        assert_eq!(config.labels, ["os=linux", "gpu", "arch=wasm", "zone=a", "zone=b"]);
    }
}
