//! The endpoint: who may come in, and the handle by which control reaches those who are in.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use pigeon_protocol::id::{AgentId, LeaseId, SessionId};

use crate::{
    ca::{AGENT_CERTIFICATE_LIFETIME, CaError, CertificateAuthority},
    handler::{HubHandler, LeaseError, LeaseOrder},
    tokens::JoinTokens,
};

/// How a hub is set up.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// Where it listens; port 0 for any.
    pub listen: SocketAddr,
    /// Time between two beats of an agent; 30 s at most. A connection that is silent for three of them is dead.
    pub beat: Duration,
    /// How long agents' certificates are good for.
    pub agent_certificates: Duration,
    /// Ed25519 public keys of publishers, given to agents as they enrol.
    pub trusted_keys: Vec<[u8; 32]>,
    /// Most agents connected at once.
    pub max_sessions: usize,
    /// Most handshakes and enrolments in progress at once.
    pub max_handshakes: usize,
}

impl HubConfig {
    /// The defaults of a server: beats every 10 s, certificates for 7 days, 10,000 agents, 256 handshakes at once.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            beat: Duration::from_secs(10),
            agent_certificates: AGENT_CERTIFICATE_LIFETIME,
            trusted_keys: Vec::new(),
            max_sessions: 10_000,
            max_handshakes: 256,
        }
    }
}

/// The hub could not be brought up.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The address cannot be listened on.
    #[error("failed to listen on {address} (UDP)")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The server's certificate cannot be made.
    #[error("failed to make the hub's certificate")]
    Certificate(#[from] CaError),
    /// TLS cannot be set up.
    #[error("failed to set up TLS")]
    Tls(#[from] rustls::Error),
}

/// What the hub has counted since it was bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HubStats {
    /// Sessions that were welcomed.
    pub joined: u64,
    /// Certificates issued or renewed.
    pub enrolled: u64,
    /// Connections refused, at whatever point before a welcome.
    pub refused: u64,
    /// Sessions ended because their agent broke the protocol.
    pub misbehaved: u64,
}

/// A running hub. Dropping it closes every connection at once; [`shutdown`](Self::shutdown) does so in order.
#[derive(Debug)]
pub struct Hub {
    handle: HubHandle,
    address: SocketAddr,
}

/// Reaches the sessions. No call waits. Clones reach the same hub.
#[derive(Debug, Clone)]
pub struct HubHandle {}

impl Hub {
    /// Listen, and accept agents from now on. Must be called within a tokio runtime.
    pub async fn bind(
        config: HubConfig,
        ca: CertificateAuthority,
        tokens: JoinTokens,
        handler: Arc<dyn HubHandler>,
    ) -> Result<Self, HubError> {
        let _ = (ca, tokens, handler);
        Ok(Self { handle: HubHandle {}, address: config.listen })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// How control reaches the sessions.
    pub fn handle(&self) -> HubHandle {
        self.handle.clone()
    }

    /// Accept nobody any more, let the sessions' acknowledgements go out, tell agents that they may come again, and
    /// close; what is not done after `grace` is cut off.
    pub async fn shutdown(self, grace: Duration) {
        let _ = grace;
    }
}

impl HubHandle {
    /// Send a lease.
    pub fn lease(&self, session: SessionId, order: LeaseOrder) -> Result<(), LeaseError> {
        let _ = (session, order);
        Err(LeaseError::Gone)
    }

    /// These leases are the agent's no longer: it stops their runs.
    pub fn cancel(&self, session: SessionId, leases: Vec<LeaseId>) {
        let _ = (session, leases);
    }

    /// The agent shall take nothing more, end what runs within `grace`, and leave.
    pub fn drain(&self, session: SessionId, grace: Duration) {
        let _ = (session, grace);
    }

    /// End a session at once. `try_again` tells the agent whether it may come back.
    pub fn disconnect(&self, session: SessionId, reason: &str, try_again: bool) {
        let _ = (session, reason, try_again);
    }

    /// End every session of an agent at once, as when it is revoked.
    pub fn disconnect_agent(&self, agent: AgentId, reason: &str, try_again: bool) {
        let _ = (agent, reason, try_again);
    }

    /// What the hub has counted.
    pub fn stats(&self) -> HubStats {
        HubStats::default()
    }
}
