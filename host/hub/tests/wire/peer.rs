//! Peers that do as they like, over a QUIC connection of their own; and an honest agent beside them.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use pigeon_agent::Identity;
use pigeon_hub::{HubEvent, Offence};
use pigeon_protocol::{
    frame::{self, Decoder},
    id::{IncarnationId, LeaseId, SessionId},
    message::{FromBatch, Hello, Request, ToHub, request::Ask, to_hub},
    outcome::{Answer, Judgement, Outcome},
    version::{ALPN, SERVER_NAME},
};
use prost::Message;
use quinn::{ClientConfig, Connection, Endpoint, RecvStream, SendStream, crypto::rustls::QuicClientConfig};
use rustls::{RootCertStore, pki_types::PrivatePkcs8KeyDer};
use tokio::time::timeout;

use crate::support::{FakeLanes, Host, LONG, Running, bodies, order};

/// Whether this is a process in which nothing but this test runs. Else one is started, and has to end well.
pub(crate) fn alone(test: &str) -> bool {
    const ALONE: &str = "PIGEON_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let output = command.args([test, "--exact", "--nocapture"]).env(ALONE, "1").output().unwrap();
    assert!(output.status.success(), "{output:#?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "there is no test {test}");
    false
}

/// How a peer shakes hands: with an identity's certificate or without one.
pub(crate) fn handshake(host: &Host, identity: Option<&Identity>, alpn: &[u8]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(host.ca.certificate().clone()).unwrap();
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        Some(identity) => builder
            .with_client_auth_cert(
                vec![identity.certificate.clone().into()],
                PrivatePkcs8KeyDer::from(identity.key.clone()).into(),
            )
            .unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    // It would resume and send early, were it let.
    config.enable_early_data = true;
    ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()))
}

pub(crate) fn endpoint() -> Endpoint {
    Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap()
}

/// A QUIC connection of whoever likes.
pub(crate) async fn knock(
    host: &Host,
    identity: Option<&Identity>,
    alpn: &[u8],
) -> (Endpoint, Result<Connection, String>) {
    knock_at(host.hub.addr(), handshake(host, identity, alpn)).await
}

pub(crate) async fn knock_at(address: SocketAddr, config: ClientConfig) -> (Endpoint, Result<Connection, String>) {
    let endpoint = endpoint();
    let connection = endpoint.connect_with(config, address, SERVER_NAME).unwrap().await;
    (endpoint, connection.map_err(|error| error.to_string()))
}

/// Waits for the hub to close the connection, and gives its words.
pub(crate) async fn thrown_out(connection: &Connection) -> String {
    timeout(LONG, connection.closed()).await.unwrap().to_string()
}

pub(crate) fn hello() -> Hello {
    let incarnation = IncarnationId::new().to_bytes().to_vec();
    Hello { name: "agent".to_owned(), incarnation, slots: 1, in_flight: 1, ..Hello::default() }
}

pub(crate) fn framed(say: to_hub::Say) -> Bytes {
    frame::encode(&ToHub { say: Some(say) }).unwrap()
}

/// Says something on a stream of its own; the first of these is the control stream.
pub(crate) async fn say(connection: &Connection, say: to_hub::Say) -> (SendStream, RecvStream) {
    let (mut send, recv) = connection.open_bi().await.unwrap();
    send.write_chunk(framed(say)).await.unwrap();
    (send, recv)
}

/// Asks something on a stream of its own.
pub(crate) async fn ask(connection: &Connection, ask: Ask) -> (SendStream, RecvStream) {
    let (mut send, recv) = connection.open_bi().await.unwrap();
    send.write_chunk(frame::encode(&Request { ask: Some(ask) }).unwrap()).await.unwrap();
    (send, recv)
}

/// The next message of a stream.
pub(crate) async fn read<M: Message + Default>(recv: &mut RecvStream) -> M {
    let mut decoder = Decoder::new();
    timeout(LONG, async {
        loop {
            if let Some(message) = decoder.message().unwrap() {
                return message;
            }
            // Byte by byte: what follows is the next reader's.
            let mut byte = [0];
            recv.read_exact(&mut byte).await.unwrap();
            decoder.push(Bytes::copy_from_slice(&byte));
        }
    })
    .await
    .unwrap()
}

/// Outcomes of these runs, all valid.
pub(crate) fn outcomes(runs: impl IntoIterator<Item = u64>, end: bool) -> Bytes {
    let valid = |run| Outcome { run, answer: Some(Answer::Judgement(Judgement::default())), ..Outcome::default() };
    let outcomes = runs.into_iter().map(valid).collect();
    frame::encode(&FromBatch { outcomes, end, ..FromBatch::default() }).unwrap()
}

/// A peer that was let in: an agent by its certificate and its hello, and nothing else.
pub(crate) struct Hostile {
    _endpoint: Endpoint,
    pub(crate) connection: Connection,
    /// Its control stream.
    pub(crate) send: SendStream,
    pub(crate) _recv: RecvStream,
    pub(crate) session: SessionId,
}

impl Hostile {
    pub(crate) async fn enter(host: &Host) -> Self {
        let identity = host.identity().await;
        let (_endpoint, connection) = knock(host, Some(&identity), ALPN).await;
        let connection = connection.unwrap();
        let (send, _recv) = say(&connection, to_hub::Say::Hello(hello())).await;
        let (session, _) = host.control.joined().await;
        Self { _endpoint, connection, send, _recv, session }
    }

    /// Sends it a lease of one run, which it takes.
    pub(crate) async fn lease(&self, host: &Host, lease: u64) -> (SendStream, RecvStream) {
        host.hub.handle().lease(self.session, order(lease, lease, &bodies([1]))).unwrap();
        timeout(LONG, self.connection.accept_bi()).await.unwrap().unwrap()
    }
}

/// An honest agent, which goes on whatever others do.
pub(crate) struct Honest {
    agent: Running,
    session: SessionId,
    leases: u64,
}

impl Honest {
    pub(crate) async fn beside(host: &Host) -> Self {
        let agent = host.agent(FakeLanes::default()).await;
        let (session, _) = host.control.joined().await;
        Self { agent, session, leases: 1_000_000 }
    }

    /// It judges a few items, in the session that it had from the beginning.
    pub(crate) async fn judges(&mut self, host: &Host) {
        self.leases += 1;
        host.hub.handle().lease(self.session, order(self.leases, 0, &bodies([1, 2, 3]))).unwrap();
        let landed = host.control.ended(self.leases).await;
        assert_eq!(landed.iter().map(|landed| landed.outcomes.len()).sum::<usize>(), 3);
    }

    pub(crate) async fn leaves(mut self, host: &Host) {
        self.judges(host).await;
        self.agent.stop().await.unwrap();
        assert_eq!(host.control.left(self.session).await, pigeon_hub::SessionEnd::Drained);
    }
}

impl Host {
    /// Waits until an offence was counted so often, and no oftener.
    pub(crate) async fn offended(&self, offence: Offence, times: u64) {
        self.offended_at_least(offence, times).await;
        assert_eq!(self.hub.handle().stats().offences.of(offence), times, "{offence:?}");
    }

    pub(crate) async fn offended_at_least(&self, offence: Offence, times: u64) {
        timeout(LONG, async {
            while self.hub.handle().stats().offences.of(offence) < times {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("no {offence:?}: {:?}", self.hub.handle().stats()));
    }

    /// Waits until a lease's stream broke, and says why.
    pub(crate) async fn broke(&self, which: u64) -> String {
        self.control
            .event("a lease's stream breaks", |event| match event {
                HubEvent::LeaseBroken { lease, reason, .. } if *lease == LeaseId(which) => Some(reason.clone()),
                _ => None,
            })
            .await
    }
}
