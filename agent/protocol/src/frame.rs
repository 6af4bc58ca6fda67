//! Frames: a length (u32, little endian) and a protobuf message of that many bytes.
//!
//! [`encode`] makes one; [`Decoder`] takes pieces of bytes as the network brings them and gives messages back, and the
//! raw bytes that follow a message where that message says how many.
//!
//! Invariant: sans I/O. The decoder holds what has arrived and nothing more: a length that a peer claims makes it
//! reserve no memory, and a length over the bound is an error as soon as its four bytes are there.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use prost::Message;

use crate::limits::MAX_FRAME;

/// Bytes of the length before a message.
pub const HEADER: usize = 4;

/// Bytes that are no frame of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It claims to be longer than the bound.
    #[error("a message of {length} bytes is longer than the {bound} that are allowed")]
    TooLong {
        /// What it claims, in bytes.
        length: u64,
        /// What is allowed, in bytes.
        bound: usize,
    },
    /// Its bytes are not that message.
    #[error("a message cannot be decoded: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// The stream ended within a message, or within the bytes that a message announced.
    #[error("the stream ended in the middle of a message")]
    CutShort,
}

/// The message as a frame.
pub fn encode(message: &impl Message) -> Result<Bytes, FrameError> {
    let mut out = BytesMut::new();
    encode_into(message, &mut out)?;
    Ok(out.freeze())
}

/// Append the message as a frame.
pub fn encode_into(message: &impl Message, out: &mut BytesMut) -> Result<(), FrameError> {
    let length = message.encoded_len();
    out.reserve(HEADER + checked(length as u64, MAX_FRAME)?);
    out.put_u32_le(length as u32);
    // Cannot fail: the room was reserved.
    message.encode(out).map_err(|_| FrameError::TooLong { length: length as u64, bound: MAX_FRAME })
}

fn checked(length: u64, bound: usize) -> Result<usize, FrameError> {
    match usize::try_from(length) {
        Ok(length) if length <= bound => Ok(length),
        _ => Err(FrameError::TooLong { length, bound }),
    }
}

/// Takes bytes in, gives messages out.
#[derive(Debug)]
pub struct Decoder {
    /// What has arrived and was not given out. Usually one piece: pieces are only joined where a message spans them.
    held: Held,
    bound: usize,
}

#[derive(Debug)]
enum Held {
    /// One piece, as it came.
    Piece(Bytes),
    /// Several, joined.
    Joined(BytesMut),
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder for messages of up to [`MAX_FRAME`] bytes.
    pub const fn new() -> Self {
        Self::with_bound(MAX_FRAME)
    }

    /// A decoder with a lower bound, for streams whose messages are small.
    pub const fn with_bound(bound: usize) -> Self {
        Self { held: Held::Piece(Bytes::new()), bound }
    }

    /// Bytes have arrived. Callers take messages out between two pushes, so that what is held stays below one message
    /// and one piece.
    pub fn push(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        match &mut self.held {
            Held::Piece(held) if held.is_empty() => self.held = Held::Piece(piece),
            Held::Piece(held) => {
                let mut joined = BytesMut::with_capacity(held.len() + piece.len());
                joined.extend_from_slice(held);
                joined.extend_from_slice(&piece);
                self.held = Held::Joined(joined);
            }
            Held::Joined(joined) if joined.is_empty() => self.held = Held::Piece(piece),
            Held::Joined(joined) => joined.extend_from_slice(&piece),
        }
    }

    /// Bytes held: arrived and not given out.
    pub fn held(&self) -> usize {
        match &self.held {
            Held::Piece(held) => held.len(),
            Held::Joined(held) => held.len(),
        }
    }

    /// The next message, if all of it has arrived.
    pub fn message<M: Message + Default>(&mut self) -> Result<Option<M>, FrameError> {
        let held: &[u8] = match &self.held {
            Held::Piece(held) => held,
            Held::Joined(held) => held,
        };
        let Some(header) = held.first_chunk::<HEADER>() else { return Ok(None) };
        let length = checked(u64::from(u32::from_le_bytes(*header)), self.bound)?;
        if held.len() < HEADER + length {
            return Ok(None);
        }
        self.skip(HEADER);
        Ok(Some(M::decode(self.split(length))?))
    }

    /// Up to `most` raw bytes that have arrived, as few or many as there are; empty if there are none.
    pub fn raw(&mut self, most: usize) -> Bytes {
        self.split(most.min(self.held()))
    }

    /// The stream has ended: an error if that was within a message.
    pub fn finish(&self) -> Result<(), FrameError> {
        if self.held() == 0 { Ok(()) } else { Err(FrameError::CutShort) }
    }

    fn skip(&mut self, bytes: usize) {
        match &mut self.held {
            Held::Piece(held) => held.advance(bytes),
            Held::Joined(held) => held.advance(bytes),
        }
    }

    /// The first `length` bytes; there are that many.
    fn split(&mut self, length: usize) -> Bytes {
        match &mut self.held {
            Held::Piece(held) => held.split_to(length),
            Held::Joined(held) => held.split_to(length).freeze(),
        }
    }
}

#[cfg(test)]
mod tests;
