//! The endpoint: who may come in, and the handle by which control reaches those who are in.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use pigeon_protocol::{
    close,
    id::{AgentId, LeaseId, SessionId},
    limits::MAX_BEAT_MS,
    version::{ALPN, ENROL_ALPN},
};
use quinn::crypto::rustls::QuicServerConfig;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{MissedTickBehavior, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    batch,
    ca::{AGENT_CERTIFICATE_LIFETIME, CaError, CertificateAuthority},
    enrol,
    handler::{HubHandler, LeaseError, LeaseOrder, SessionEnd},
    offence::{Offence, OffenceCounts},
    session,
    sessions::{Order, Sessions},
    tls,
    transport::{Link, ResetKeys, code},
};

/// Time that a peer has for each step until it is in: the handshake, its first message.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is looked whether there is something to sum up.
const SUMS: Duration = Duration::from_secs(10);

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
    /// How long an agent may take to end a lease that was taken from it, and how long it may read nothing of an answer,
    /// before the stream is broken off.
    pub patience: Duration,
}

impl HubConfig {
    /// The defaults of a server: beats every 10 s, certificates for a day, 10,000 agents, 256 handshakes at once.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            beat: Duration::from_secs(10),
            agent_certificates: AGENT_CERTIFICATE_LIFETIME,
            trusted_keys: Vec::new(),
            max_sessions: 10_000,
            max_handshakes: 256,
            patience: Duration::from_secs(30),
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
    /// TLS offers no cipher that QUIC can begin with.
    #[error("failed to set up QUIC")]
    Quic(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
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
    /// What peers did wrong, by kind: all of the two above, and what ends no session.
    pub offences: OffenceCounts,
}

/// What all connections of a hub share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: HubConfig,
    pub(crate) ca: CertificateAuthority,
    pub(crate) handler: Handler,
    pub(crate) sessions: Sessions,
    pub(crate) handshakes: Arc<Semaphore>,
    /// Fires when the hub shuts down.
    pub(crate) stop: CancellationToken,
}

/// The handler; it may be anything, so `Debug` leaves it out.
pub(crate) struct Handler(pub(crate) Arc<dyn HubHandler>);

impl std::fmt::Debug for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handler")
    }
}

/// A running hub. Dropping it closes every connection at once; [`shutdown`](Self::shutdown) does so in order.
#[derive(Debug)]
pub struct Hub {
    shared: Arc<Shared>,
    endpoint: quinn::Endpoint,
    address: SocketAddr,
    accepting: JoinSet<()>,
}

/// Reaches the sessions. No call waits. Clones reach the same hub.
#[derive(Debug, Clone)]
pub struct HubHandle(Arc<Shared>);

impl Hub {
    /// Listen, and accept agents from now on. Must be called within a tokio runtime.
    pub async fn bind(
        mut config: HubConfig,
        ca: CertificateAuthority,
        handler: Arc<dyn HubHandler>,
    ) -> Result<Self, HubError> {
        config.beat = config.beat.clamp(Duration::from_millis(10), Duration::from_millis(MAX_BEAT_MS));
        let crypto = QuicServerConfig::try_from(tls::server_config(&ca)?)?;
        let mut server = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        server.max_incoming(config.max_handshakes);
        let bind = |source| HubError::Bind { address: config.listen, source };
        let link = Link::listen(server, ResetKeys::of(&ca), config.listen, config.beat).map_err(bind)?;
        let address = link.endpoint.local_addr().map_err(bind)?;
        let shared = Arc::new(Shared {
            handshakes: Arc::new(Semaphore::new(config.max_handshakes)),
            sessions: Sessions::default(),
            handler: Handler(handler),
            stop: CancellationToken::new(),
            config,
            ca,
        });
        let mut accepting = JoinSet::new();
        let endpoint = link.endpoint.clone();
        accepting.spawn(accept(Arc::clone(&shared), link));
        Ok(Self { shared, endpoint, address, accepting })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// How control reaches the sessions.
    pub fn handle(&self) -> HubHandle {
        HubHandle(Arc::clone(&self.shared))
    }

    /// Accept nobody any more, let the sessions' acknowledgements go out, tell agents that they may come again, and
    /// close; what is not done after `grace` is cut off.
    pub async fn shutdown(mut self, grace: Duration) {
        // 1. No new connection; each session says good-bye, flushes and closes.
        self.shared.stop.cancel();
        if timeout(grace, self.accepting.join_next()).await.is_err() {
            tracing::warn!("sessions did not end within {grace:?} and are cut off");
        }
        // 2. What is left goes at once. 3. The last packets go out.
        self.endpoint.close(code(close::TRY_AGAIN), b"the hub shuts down");
        let _ = timeout(Duration::from_millis(500), self.endpoint.wait_idle()).await;
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        self.endpoint.close(code(close::TRY_AGAIN), b"the hub is gone");
    }
}

/// Owns every connection's task. Ends when the hub stops and all of them have.
async fn accept(shared: Arc<Shared>, link: Link) {
    let mut connections = JoinSet::new();
    let mut summing = tokio::time::interval(SUMS);
    summing.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // The hub shuts down.
            () = shared.stop.cancelled() => break,
            // Somebody knocks; `None` once the endpoint is closed.
            incoming = link.endpoint.accept() => match incoming {
                Some(incoming) => admit(&shared, &link, &mut connections, incoming),
                None => break,
            },
            // Ended connections are swept up, so that the set does not grow.
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            // What was done again and again may be told.
            _ = summing.tick() => shared.sessions.offences.sum_up(false),
        }
    }
    while connections.join_next().await.is_some() {}
    shared.sessions.offences.sum_up(true);
}

fn admit(shared: &Arc<Shared>, link: &Link, connections: &mut JoinSet<()>, incoming: quinn::Incoming) {
    let address = incoming.remote_address();
    // Under load, addresses have to prove themselves before they cost us a handshake.
    let busy = shared.handshakes.available_permits() * 2 < shared.config.max_handshakes;
    if busy && !incoming.remote_address_validated() && incoming.may_retry() {
        // Fails only where `may_retry` was false.
        let _ = incoming.retry();
        return;
    }
    let Ok(permit) = Arc::clone(&shared.handshakes).try_acquire_owned() else {
        shared.sessions.refused(address, Offence::Busy, "too many handshakes at once");
        incoming.refuse();
        return;
    };
    let (shared, connecting) = (Arc::clone(shared), link.accept(incoming));
    connections.spawn(async move {
        let connection = match connecting {
            Ok(connecting) => timeout(PATIENCE, connecting).await,
            Err(error) => return shared.sessions.refused(address, tls::offence(&error), error),
        };
        let connection = match connection {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return shared.sessions.refused(address, tls::offence(&error), error),
            Err(_) => return shared.sessions.refused(address, Offence::Slow, "the handshake took too long"),
        };
        match tls::alpn(&connection).as_deref() {
            Some(ALPN) => session::run(shared, connection, permit).await,
            Some(ENROL_ALPN) => enrol::serve(&shared, &connection, permit).await,
            // TLS has refused every other already.
            _ => shared.sessions.refused(address, Offence::Alpn, "no ALPN of ours"),
        }
    });
}

impl HubHandle {
    /// Send a lease.
    pub fn lease(&self, session: SessionId, order: LeaseOrder) -> Result<(), LeaseError> {
        batch::check(&order)?;
        self.0.sessions.order(session, Order::Lease(Box::new(order)))
    }

    /// These leases are the agent's no longer: it stops their runs.
    pub fn cancel(&self, session: SessionId, leases: Vec<LeaseId>) {
        self.order_or_end(session, Order::Cancel(leases));
    }

    /// The agent shall take nothing more, end what runs within `grace`, and leave.
    pub fn drain(&self, session: SessionId, grace: Duration) {
        self.order_or_end(session, Order::Drain(grace));
    }

    /// End a session at once. `try_again` tells the agent whether it may come back.
    pub fn disconnect(&self, session: SessionId, reason: &str, try_again: bool) {
        self.0.sessions.end(session, SessionEnd::Disconnected(reason.to_owned()), try_again);
    }

    /// End every session of an agent at once, as when it is revoked.
    pub fn disconnect_agent(&self, agent: AgentId, reason: &str, try_again: bool) {
        for session in self.0.sessions.of(agent) {
            self.disconnect(session, reason, try_again);
        }
    }

    /// What the hub has counted.
    pub fn stats(&self) -> HubStats {
        self.0.sessions.stats()
    }

    /// An order that must not be lost: an agent that takes none of hundreds is cut off.
    fn order_or_end(&self, session: SessionId, order: Order) {
        if self.0.sessions.order(session, order) == Err(LeaseError::Full) {
            self.disconnect(session, "the agent takes no orders", true);
        }
    }
}
