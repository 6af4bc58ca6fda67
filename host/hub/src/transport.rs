//! QUIC's numbers, and the reader that turns a stream into messages.
//!
//! Bounds of what one agent can make the hub hold in QUIC's own buffers: 16 MiB received and not read (2 MiB a stream),
//! 64 MiB sent and not acknowledged, 28 streams opened by the agent. On loopback what is received and not read is half
//! of the socket's own buffer, 4 MiB at most: there nothing but that buffer limits the sender, and what overflows it
//! looks to QUIC like a path that cannot carry large datagrams.

use std::{
    io::{self, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use pigeon_protocol::frame::{Decoder, FrameError};
use prost::Message;
use quinn::{
    AsyncUdpSocket, MtuDiscoveryConfig, ReadError, RecvStream, Runtime as _, TransportConfig, UdpPoller, VarInt,
    congestion::CubicConfig,
    udp::{RecvMeta, Transmit},
};
use quinn_proto::HashedConnectionIdGenerator;
use ring::hmac;
use socket2::{Domain, Protocol, Socket, Type};

use crate::ca::CertificateAuthority;

/// Largest UDP payload that is ever probed for: loopback carries it, and a real path stops the search long before. Quinn
/// hands the kernel up to ten payloads at a time, and those have to fit into the 65,507 bytes of one UDP datagram:
/// with larger ones the kernel refuses the whole burst, which looks like loss.
const MAX_PAYLOAD: u16 = 6_528;

/// Streams that an agent may have open: its control stream, and requests. Quinn has an entry in two tables for each, open or
/// not: so many are as many as fit into tables of 32.
const AGENT_STREAMS: u32 = 28;

/// Payloads handed to the kernel at a time. Quinn makes room for so many in each connection, and keeps it: with its ten
/// that is 12,000 bytes for every agent, and 65,000 once it was sent a large lease.
const BURST: usize = 4;

/// How many bytes may be received and not read of an agent: of a stream, and of all.
type Windows = (u32, u32);

/// For agents elsewhere.
const WINDOWS: Windows = (2 << 20, 16 << 20);

/// For agents on this machine.
fn loopback_windows(receive_buffer: usize) -> Windows {
    let window = (receive_buffer / 2).clamp(128 << 10, 4 << 20) as u32;
    (window.min(WINDOWS.0), window)
}

/// The hub's transport: a connection is dead when it was silent for three beats.
fn transport(beat: Duration, (stream_window, window): Windows) -> TransportConfig {
    let mut config = TransportConfig::default();
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(MAX_PAYLOAD);
    let mut congestion = CubicConfig::default();
    congestion.initial_window(INITIAL_WINDOW);
    config
        .max_concurrent_bidi_streams(AGENT_STREAMS.into())
        .max_concurrent_uni_streams(0u32.into())
        .datagram_receive_buffer_size(None)
        .stream_receive_window(stream_window.into())
        .receive_window(window.into())
        .send_window(64 << 20)
        .mtu_discovery_config(Some(discovery))
        .congestion_controller_factory(Arc::new(congestion))
        // A beat lost or late by one interval must not end a session.
        .max_idle_timeout(idle(beat * 3))
        .keep_alive_interval(Some(beat));
    config
}

fn idle(time: Duration) -> Option<quinn::IdleTimeout> {
    time.try_into().ok()
}

/// What a hub needs to tell agents of an earlier life of it, whose connections it knows nothing of, that those are over.
/// They are believed because they are the same in every life of one CA.
pub(crate) struct ResetKeys {
    /// Makes the tokens that agents were given, and know a reset by.
    tokens: hmac::Key,
    /// Tells connections that a hub of this CA has named from noise, to which nothing is answered.
    connections: u64,
}

impl ResetKeys {
    pub(crate) fn of(ca: &CertificateAuthority) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = ca.secret("pigeon QUIC connection ids");
        Self {
            tokens: hmac::Key::new(hmac::HMAC_SHA256, &ca.secret("pigeon QUIC stateless resets")),
            connections: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        }
    }
}

/// Between two resets. A fleet that was left behind by a hub comes back with each agent asking once or a few times, and
/// each answer is shorter than what asked for it.
const RESET_PAUSE: Duration = Duration::from_millis(1);

/// The hub's endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) endpoint: quinn::Endpoint,
    /// For agents on this machine.
    loopback: Arc<quinn::ServerConfig>,
}

impl Link {
    /// Listen. The socket has buffers that hold a burst, and its datagrams may be large.
    pub(crate) fn listen(
        mut config: quinn::ServerConfig,
        ResetKeys { tokens, connections }: ResetKeys,
        address: SocketAddr,
        beat: Duration,
    ) -> Result<Self, io::Error> {
        let socket = socket(address)?;
        let mut endpoint = quinn::EndpointConfig::new(Arc::new(tokens));
        endpoint.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(connections)));
        endpoint.min_reset_interval(RESET_PAUSE);
        endpoint.max_udp_payload_size(MAX_PAYLOAD).map_err(io::Error::other)?;
        let mut loopback = config.clone();
        let mut near = transport(beat, loopback_windows(socket.recv_buffer_size()?));
        // Nothing has to be probed there: the handshake is one datagram, and each connection's buffer as long as that.
        near.initial_mtu(MAX_PAYLOAD);
        loopback.transport_config(Arc::new(near));
        config.transport_config(Arc::new(transport(beat, WINDOWS)));
        let runtime = Arc::new(quinn::TokioRuntime);
        let socket = Arc::new(ShortBursts(runtime.wrap_udp_socket(socket.into())?));
        let endpoint = quinn::Endpoint::new_with_abstract_socket(endpoint, Some(config), socket, runtime)?;
        Ok(Self { endpoint, loopback: Arc::new(loopback) })
    }

    /// Begin the handshake with somebody, with the numbers that fit where they are.
    pub(crate) fn accept(&self, incoming: quinn::Incoming) -> Result<quinn::Connecting, quinn::ConnectionError> {
        if incoming.remote_address().ip().is_loopback() {
            incoming.accept_with(Arc::clone(&self.loopback))
        } else {
            incoming.accept()
        }
    }
}

/// Bytes that may be on the way before the path is known. The usual ten packets of 1,200 bytes would be filled by one
/// probe for a large payload, and everything else would wait behind it.
const INITIAL_WINDOW: u64 = 64 << 10;

/// Socket buffers asked for, in bytes; the kernel gives what `net.core.[rw]mem_max` allows.
const SOCKET_BUFFER: usize = 8 << 20;

fn socket(address: SocketAddr) -> Result<Socket, io::Error> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // Less than asked for is slower, not wrong.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Quinn's socket, except that it is handed [`BURST`] payloads at a time.
#[derive(Debug)]
struct ShortBursts(Arc<dyn AsyncUdpSocket>);

impl AsyncUdpSocket for ShortBursts {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.0).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.0.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_recv(cx, bufs, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.0.max_transmit_segments().min(BURST)
    }

    fn max_receive_segments(&self) -> usize {
        self.0.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.0.may_fragment()
    }
}

/// A code as QUIC carries it.
pub(crate) fn code(code: u32) -> VarInt {
    VarInt::from_u32(code)
}

/// Reads messages, and raw bytes behind them, from a stream. Every method can be dropped between two polls and called
/// again: nothing that was read is lost.
#[derive(Debug)]
pub(crate) struct Reader {
    stream: RecvStream,
    decoder: Decoder,
}

/// What can go wrong while a stream is read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadFailure {
    /// The bytes are not what they should be: the peer's fault.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The stream or its connection broke.
    #[error(transparent)]
    Stream(#[from] ReadError),
}

/// How much is read at a time, at most.
const PIECE: usize = 256 << 10;

impl Reader {
    pub(crate) fn new(stream: RecvStream, bound: usize) -> Self {
        Self { stream, decoder: Decoder::with_bound(bound) }
    }

    /// The next message; `None` where the stream ended properly, between two messages.
    pub(crate) async fn message<M: Message + Default>(&mut self) -> Result<Option<M>, ReadFailure> {
        loop {
            if let Some(message) = self.decoder.message()? {
                return Ok(Some(message));
            }
            match self.piece().await? {
                Some(piece) => self.decoder.push(piece),
                None => {
                    self.decoder.finish()?;
                    return Ok(None);
                }
            }
        }
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, ReadError> {
        Ok(self.stream.read_chunk(PIECE, true).await?.map(|chunk| chunk.bytes))
    }

    /// Tell the peer that nothing more is read.
    pub(crate) fn stop(&mut self, reason: u32) {
        // Already over: as good.
        let _ = self.stream.stop(code(reason));
    }
}
