//! QUIC's numbers, and the reader that turns a stream into messages and bodies.
//!
//! Bounds of what the hub can make the agent hold in QUIC's own buffers: 32 MiB received and not read (8 MiB a stream:
//! a batch and more), 32 MiB sent and not acknowledged. On loopback it is half of the socket's own buffer, 4 MiB at most:
//! there nothing but that buffer limits the sender, and what overflows it looks to QUIC like a path that cannot carry
//! large datagrams.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use pigeon_protocol::frame::{Decoder, FrameError};
use prost::Message;
use quinn::{
    ConnectionError, MtuDiscoveryConfig, ReadError, RecvStream, TransportConfig, TransportErrorCode, VarInt,
    congestion::CubicConfig,
};
use rustls::AlertDescription;

/// Largest UDP payload that is ever probed for. The hub's transport has the same number.
const MAX_PAYLOAD: u16 = 6_528;

/// Most lease streams at once, beside the runs in flight: leases whose outcomes wait to be recorded.
const MORE_STREAMS: usize = 256;

/// How soon something is sent where nothing else is. Longer than most beats: it is for a hub that died and came back, which
/// can tell only those who write to it that it knows nothing of their connections.
const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// Silence after which a connection is dead if the hub asks for nothing less: three of the longest beats.
const IDLE: Duration = Duration::from_secs(90);

/// Bytes that may be on the way before the path is known. The usual ten packets of 1,200 bytes would be filled by one
/// probe for a large payload, and everything else would wait behind it.
const INITIAL_WINDOW: u64 = 64 << 10;

/// Socket buffers asked for, in bytes; the kernel gives what `net.core.[rw]mem_max` allows.
const SOCKET_BUFFER: usize = 8 << 20;

/// An agent's socket, and what QUIC should know of it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) endpoint: quinn::Endpoint,
    hub: SocketAddr,
    /// Bytes that the kernel holds for us.
    receive_buffer: usize,
}

impl Link {
    /// How many bytes may be received and not read: of a stream, and of all.
    fn windows(&self) -> (u32, u32) {
        if self.hub.ip().is_loopback() {
            let window = (self.receive_buffer / 2).clamp(128 << 10, 4 << 20) as u32;
            (window, window)
        } else {
            (8 << 20, 32 << 20)
        }
    }

    /// The numbers for a connection of an agent with so many runs in flight.
    pub(crate) fn transport(&self, in_flight: usize) -> TransportConfig {
        transport(in_flight, self.windows())
    }
}

fn transport(in_flight: usize, (stream_window, window): (u32, u32)) -> TransportConfig {
    let mut config = TransportConfig::default();
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(MAX_PAYLOAD);
    let mut congestion = CubicConfig::default();
    congestion.initial_window(INITIAL_WINDOW);
    let streams = u32::try_from(in_flight.saturating_add(MORE_STREAMS)).unwrap_or(u32::MAX);
    config
        .max_concurrent_bidi_streams(streams.into())
        .max_concurrent_uni_streams(0u32.into())
        .datagram_receive_buffer_size(None)
        .stream_receive_window(stream_window.into())
        .receive_window(window.into())
        .send_window(32 << 20)
        .mtu_discovery_config(Some(discovery))
        .congestion_controller_factory(Arc::new(congestion))
        .max_idle_timeout(IDLE.try_into().ok())
        .keep_alive_interval(Some(KEEP_ALIVE));
    config
}

/// An endpoint to connect from.
pub(crate) fn link(hub: SocketAddr) -> Result<Link, std::io::Error> {
    use socket2::{Domain, Protocol, Socket, Type};
    let any: SocketAddr = match hub {
        SocketAddr::V4(_) => (std::net::Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = Socket::new(Domain::for_address(any), Type::DGRAM, Some(Protocol::UDP))?;
    // Less than asked for is slower, not wrong.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    socket.bind(&any.into())?;
    let mut config = quinn::EndpointConfig::default();
    config.max_udp_payload_size(MAX_PAYLOAD).map_err(std::io::Error::other)?;
    let receive_buffer = socket.recv_buffer_size()?;
    let endpoint = quinn::Endpoint::new(config, None, socket.into(), Arc::new(quinn::TokioRuntime))?;
    Ok(Link { endpoint, hub, receive_buffer })
}

/// A code as QUIC carries it.
pub(crate) fn code(code: u32) -> VarInt {
    VarInt::from_u32(code)
}

/// Why a connection has ended or did not come about, as far as QUIC itself tells, for people.
pub(crate) fn told(error: &ConnectionError) -> String {
    let alert = |alert: AlertDescription| TransportErrorCode::crypto(alert.into());
    match error {
        error if is_other_version(error) => {
            "the hub speaks another version of the protocol: it and this agent are of different releases".to_owned()
        }
        // Ours: what the hub has shown was looked at.
        ConnectionError::TransportError(error) if (0x100..0x200).contains(&u64::from(error.code)) => {
            format!("the hub is not the control host that this agent trusts: {}", error.reason)
        }
        ConnectionError::ConnectionClosed(close) if close.error_code == alert(AlertDescription::CertificateExpired) => {
            "the agent's certificate has expired, and the time for its renewal is over: it has to enrol anew".to_owned()
        }
        ConnectionError::ConnectionClosed(close) if (0x100..0x200).contains(&u64::from(close.error_code)) => {
            format!("the hub does not take the agent's certificate for one of its own: {close}")
        }
        ConnectionError::Reset => "the hub knows nothing of this connection: it was restarted".to_owned(),
        ConnectionError::TimedOut => "the hub does not answer".to_owned(),
        error => error.to_string(),
    }
}

/// Whether the hub knows none of the protocol's versions that we know.
pub(crate) fn is_other_version(error: &ConnectionError) -> bool {
    let none = TransportErrorCode::crypto(AlertDescription::NoApplicationProtocol.into());
    match error {
        ConnectionError::VersionMismatch => true,
        ConnectionError::TransportError(error) => error.code == none,
        ConnectionError::ConnectionClosed(close) => close.error_code == none,
        _ => false,
    }
}

/// Reads messages, and raw bytes behind them, from a stream. [`message`](Self::message) can be dropped between two
/// polls and called again: nothing that was read is lost.
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

/// Room that is made at once for raw bytes; more of it grows with what arrives.
const ROOM: usize = 4 << 20;

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

    /// The message that has to come.
    pub(crate) async fn need<M: Message + Default>(&mut self) -> Result<M, ReadFailure> {
        Ok(self.message().await?.ok_or(FrameError::CutShort)?)
    }

    /// Append exactly `length` raw bytes. The caller has checked `length` against a bound of its own. What has arrived
    /// is in `out` even where this fails.
    pub(crate) async fn raw(&mut self, length: usize, out: &mut BytesMut) -> Result<(), ReadFailure> {
        let end = out.len() + length;
        out.reserve(length.min(ROOM));
        out.extend_from_slice(&self.decoder.raw(length));
        while out.len() < end {
            let missing = end - out.len();
            let chunk = self.stream.read_chunk(missing.min(PIECE), true).await?.ok_or(FrameError::CutShort)?;
            out.extend_from_slice(&chunk.bytes);
        }
        Ok(())
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
