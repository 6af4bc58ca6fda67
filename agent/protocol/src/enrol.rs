//! Enrolment: how a machine that only has a join token becomes an agent with a certificate.
//!
//! The token pins the control host's CA, so that nothing is trusted on first use. The exchange is one message each way,
//! over an ALPN of its own; the agent's private key never leaves it.

use prost::Message;

/// What the agent asks.
#[derive(Clone, PartialEq, Message)]
pub struct EnrolRequest {
    /// The token's secret, 32 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub secret: Vec<u8>,
    /// A PKCS#10 certificate signing request, DER.
    #[prost(bytes = "vec", tag = "2")]
    pub csr: Vec<u8>,
    /// The name that the agent would like to be shown by.
    #[prost(string, tag = "3")]
    pub name: String,
    /// The id that the agent already has, 16 bytes; empty for a new one.
    #[prost(bytes = "vec", tag = "4")]
    pub agent: Vec<u8>,
}

/// What it gets.
#[derive(Clone, PartialEq, Message)]
pub struct EnrolReply {
    /// Why it was refused; empty if it was not. Never says which part of a token was wrong.
    #[prost(string, tag = "1")]
    pub refused: String,
    /// The agent's certificate, DER.
    #[prost(bytes = "vec", tag = "2")]
    pub certificate: Vec<u8>,
    /// The CA's certificate, DER: the one that the token pins.
    #[prost(bytes = "vec", tag = "3")]
    pub ca: Vec<u8>,
    /// The agent's id, 16 bytes.
    #[prost(bytes = "vec", tag = "4")]
    pub agent: Vec<u8>,
    /// Ed25519 public keys of publishers whose plugins the agent shall run, 32 bytes each.
    #[prost(bytes = "vec", repeated, tag = "5")]
    pub trusted_keys: Vec<Vec<u8>>,
}
