//! QUIC's numbers, and the reader that turns a stream into messages.
//!
//! Bounds of what one agent can make the hub hold in QUIC's own buffers: 16 MiB received and not read (2 MiB a stream),
//! 64 MiB sent and not acknowledged, 65 streams opened by the agent.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use pigeon_protocol::frame::{Decoder, FrameError};
use prost::Message;
use quinn::{MtuDiscoveryConfig, ReadError, RecvStream, TransportConfig, VarInt, congestion::CubicConfig};

/// Largest UDP payload that is ever probed for: loopback carries it, and a real path stops the search long before.
/// A power of two and a little: bodies of 4 MiB then go in 256 datagrams.
const MAX_PAYLOAD: u16 = 16_384 + 128;

/// Streams that an agent may have open: its control stream, and requests.
const AGENT_STREAMS: u32 = 65;

/// The hub's transport: a connection is dead when it was silent for three beats.
pub(crate) fn transport(beat: Duration) -> TransportConfig {
    let mut config = TransportConfig::default();
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(MAX_PAYLOAD);
    let mut congestion = CubicConfig::default();
    congestion.initial_window(INITIAL_WINDOW);
    config
        .max_concurrent_bidi_streams(AGENT_STREAMS.into())
        .max_concurrent_uni_streams(0u32.into())
        .datagram_receive_buffer_size(None)
        .stream_receive_window((2u32 << 20).into())
        .receive_window((16u32 << 20).into())
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

/// The endpoint: its socket has buffers that hold a burst, its datagrams may be large.
pub(crate) fn endpoint(config: quinn::ServerConfig, address: SocketAddr) -> Result<quinn::Endpoint, std::io::Error> {
    let socket = socket(address)?;
    let mut endpoint_config = quinn::EndpointConfig::default();
    endpoint_config.max_udp_payload_size(MAX_PAYLOAD).map_err(std::io::Error::other)?;
    quinn::Endpoint::new(endpoint_config, Some(config), socket, Arc::new(quinn::TokioRuntime))
}

/// Bytes that may be on the way before the path is known. The usual ten packets of 1,200 bytes would be filled by one
/// probe for a large payload, and everything else would wait behind it.
const INITIAL_WINDOW: u64 = 64 << 10;

/// Socket buffers asked for, in bytes; the kernel gives what `net.core.[rw]mem_max` allows.
const SOCKET_BUFFER: usize = 8 << 20;

fn socket(address: SocketAddr) -> Result<std::net::UdpSocket, std::io::Error> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // Less than asked for is slower, not wrong.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    socket.bind(&address.into())?;
    Ok(socket.into())
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
