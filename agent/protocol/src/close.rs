//! Codes with which a connection or a stream is closed, so that the other side knows what to do next.

/// All was said. An agent closes so after draining, and says that in words: without any, its connection was dropped.
pub const DONE: u32 = 0;

/// Not admitted, or not any more: do not come back with this certificate.
pub const REFUSED: u32 = 1;

/// Not now: come back later.
pub const TRY_AGAIN: u32 = 2;

/// The other side broke the protocol.
pub const MISBEHAVED: u32 = 3;

/// On a stream: what it carried could not be taken.
pub const ABANDONED: u32 = 4;

/// The agent's certificate has expired: it is good for its renewal, and for nothing else.
pub const EXPIRED: u32 = 5;

/// Another process has connected with this agent's identity.
pub const ELSEWHERE: u32 = 6;
