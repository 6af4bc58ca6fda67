//! The QUIC server: accept, authenticate, one task an agent session.
