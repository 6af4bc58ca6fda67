//! The last stretch between an agent and the server: datagrams are carried as they come, or as bad weather has it.
//!
//! A kernel does this too (tc netem), if it was built with it. Where it was not, what a link does to datagrams is done here,
//! between the agent's end and the server's; the agent and the server are the same, and so are their sockets.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tokio::{net::UdpSocket, task::JoinHandle, time::sleep};

use crate::{draws::Draws, plan::Weather};

/// What a datagram may be at most.
const DATAGRAM: usize = 1 << 16;

/// How a link is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Conditions {
    pub(crate) cut: bool,
    pub(crate) weather: Option<Weather>,
}

/// What became of the datagrams that came while it was not fair.
#[derive(Debug, Default)]
pub(crate) struct Toll {
    pub(crate) lost: AtomicU64,
    pub(crate) late: AtomicU64,
    pub(crate) twice: AtomicU64,
}

struct Road {
    /// The end that the agent knows.
    near: UdpSocket,
    server: SocketAddr,
    conditions: Mutex<Conditions>,
    draws: Mutex<Draws>,
    toll: Arc<Toll>,
}

/// Carries until it is dropped.
pub(crate) struct Relay {
    road: Arc<Road>,
    task: JoinHandle<()>,
}

impl Relay {
    /// Between whoever comes to `near` and the server.
    pub(crate) async fn start(near: SocketAddr, server: SocketAddr, draws: Draws, toll: Arc<Toll>) -> Self {
        let near = UdpSocket::bind(near).await.unwrap();
        let road = Arc::new(Road { near, server, conditions: Mutex::default(), draws: Mutex::new(draws), toll });
        let task = tokio::spawn(road.clone().carry());
        Self { road, task }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.road.near.local_addr().unwrap()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Conditions)) {
        change(&mut self.road.conditions.lock().unwrap());
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Road {
    async fn carry(self: Arc<Self>) {
        // A socket towards the server for each that the agent has had, so that answers find their way.
        let mut far: HashMap<SocketAddr, (Arc<UdpSocket>, Back)> = HashMap::new();
        let mut datagram = vec![0; DATAGRAM];
        loop {
            // An earlier datagram may have found nobody, which is told here.
            let Ok((length, agent)) = self.near.recv_from(&mut datagram).await else { continue };
            let socket = match far.entry(agent) {
                Entry::Occupied(known) => known.get().0.clone(),
                Entry::Vacant(unknown) => {
                    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
                    socket.connect(self.server).await.unwrap();
                    let back = Back(tokio::spawn(self.clone().carry_back(socket.clone(), agent)));
                    unknown.insert((socket, back)).0.clone()
                }
            };
            let send = move |datagram: Vec<u8>| {
                let socket = socket.clone();
                // Nobody may be there, here and below.
                async move { drop(socket.send(&datagram).await) }
            };
            self.send(&datagram[..length], send).await;
        }
    }

    async fn carry_back(self: Arc<Self>, far: Arc<UdpSocket>, agent: SocketAddr) {
        let mut datagram = vec![0; DATAGRAM];
        loop {
            let Ok(length) = far.recv(&mut datagram).await else { continue };
            let road = self.clone();
            let send = move |datagram: Vec<u8>| {
                let road = road.clone();
                async move { drop(road.near.send_to(&datagram, agent).await) }
            };
            self.send(&datagram[..length], send).await;
        }
    }

    async fn send<F: Future<Output = ()> + Send + 'static>(
        &self,
        datagram: &[u8],
        send: impl Fn(Vec<u8>) -> F + Send + 'static,
    ) {
        let Conditions { cut, weather } = *self.conditions.lock().unwrap();
        if cut {
            self.toll.lost.fetch_add(1, Relaxed);
            return;
        }
        let Some(Weather { delay, jitter, loss, twice }) = weather else { return send(datagram.to_vec()).await };
        let delays: Vec<_> = {
            let mut draws = self.draws.lock().unwrap();
            let copies = if draws.below(100) < loss { 0 } else { 1 + u64::from(draws.below(100) < twice) };
            let jitter = u64::try_from(jitter.as_micros()).unwrap_or_default();
            let mut late = || delay + std::time::Duration::from_micros(draws.between(0, jitter));
            (0..copies).map(|_| late()).collect()
        };
        match delays.len() {
            0 => self.toll.lost.fetch_add(1, Relaxed),
            1 => self.toll.late.fetch_add(1, Relaxed),
            _ => self.toll.twice.fetch_add(1, Relaxed),
        };
        for delay in delays {
            let sent = send(datagram.to_vec());
            tokio::spawn(async move {
                sleep(delay).await;
                sent.await;
            });
        }
    }
}

/// A way back, which ends with its socket.
struct Back(JoinHandle<()>);

impl Drop for Back {
    fn drop(&mut self) {
        self.0.abort();
    }
}
