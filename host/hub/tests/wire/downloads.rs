//! A connection that breaks in the middle of a plugin: what has arrived is not sent again.
//!
//! Between hub and agent stands a relay that carries datagrams until so many bytes of the hub's have passed. Then it
//! carries none, until the agent has given the connection up and begins a new one.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use pigeon_agent::{Agent, AgentConfig};
use tokio::{net::UdpSocket, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::support::{COMPONENT, FakeLanes, Host, LONG, Running, bodies, order};

/// Where the line breaks: most of the component has passed, even if a handshake took its share.
const BREAK: usize = COMPONENT.len() / 5 * 4;

/// Between one agent and its hub.
struct Relay {
    address: SocketAddr,
    /// Bytes of the hub's that passed after the break.
    later: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Relay {
    async fn start(hub: SocketAddr) -> Self {
        let front = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let back = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        back.connect(hub).await.unwrap();
        let (address, later) = (front.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let task = tokio::spawn(relay(front, back, later.clone()));
        Self { address, later, task }
    }
}

async fn relay(front: UdpSocket, back: UdpSocket, later: Arc<AtomicUsize>) {
    let (mut up, mut down) = ([0; 65_536], [0; 65_536]);
    let (mut agent, mut passed, mut broken) = (None, 0, false);
    loop {
        tokio::select! {
            received = front.recv_from(&mut up) => {
                let (length, from) = received.unwrap();
                agent = Some(from);
                // QUIC's Initial packet begins a connection: a long header of type 0.
                broken &= up[0] & 0xf0 != 0xc0;
                if !broken {
                    back.send(&up[..length]).await.unwrap();
                }
            }
            received = back.recv(&mut down) => {
                let length = received.unwrap();
                let before = passed;
                passed += length;
                broken |= before < BREAK && passed >= BREAK;
                if !broken && let Some(agent) = agent {
                    front.send_to(&down[..length], agent).await.unwrap();
                    if before >= BREAK {
                        later.fetch_add(length, SeqCst);
                    }
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_whose_connection_broke_goes_on_where_it_was() {
    let host = Host::start().await;
    let relay = Relay::start(host.hub.addr()).await;
    let mut config = AgentConfig::new("worker", relay.address, host.identity().await, 2);
    config.drain = LONG;
    let stop = CancellationToken::new();
    let lanes = FakeLanes::default();
    let agent = Running { task: tokio::spawn(Agent::with_lanes(config, lanes.clone()).run(stop.clone())), stop };

    let (first, _) = host.control.joined().await;
    host.hub.handle().lease(first, order(1, 0, &bodies([1]))).unwrap();
    host.control.left(first).await;
    assert!(!lanes.loaded.load(SeqCst), "the line did not break in the middle of the plugin");

    let (second, _) = host.control.joined().await;
    host.hub.handle().lease(second, order(2, 10, &bodies([1]))).unwrap();
    let landed = host.control.ended(2).await;
    assert_eq!(landed.iter().map(|landed| landed.outcomes.len()).sum::<usize>(), 1);
    // The lanes have seen that it is whole; the whole of it has not come a second time.
    assert!(lanes.loaded.load(SeqCst));
    assert_eq!(host.control.plugin_asked.load(SeqCst), 2);
    let later = relay.later.load(SeqCst);
    assert!(later < COMPONENT.len(), "{later} bytes came after the break, of {}", COMPONENT.len());
    agent.stop().await.unwrap();
    relay.task.abort();
}
