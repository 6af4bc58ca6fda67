//! Agents that are remembered, and the tokens with which they join.

use pigeon_protocol::id::{AgentId, Digest, IncarnationId};

/// A token with which agents join. Its secret is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinTokenRecord {
    /// What it is called.
    pub id: String,
    /// SHA-256 of its secret.
    pub hash: Digest,
    /// Who made it.
    pub author: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it ends, in milliseconds since 1970.
    pub expires_ms: u64,
    /// How many agents may join with it in all.
    pub uses: u32,
    /// How many have.
    pub used: u32,
    /// Labels that agents have who joined with it.
    pub labels: Vec<String>,
}

/// Why nobody joins with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinRefusal {
    /// There is none with this secret.
    #[error("there is no such join token")]
    Unknown,
    /// Its time is over.
    #[error("the join token has expired")]
    Expired,
    /// As many have joined with it as may.
    #[error("the join token is used up")]
    UsedUp,
}

/// A certificate was made for an agent: a new one, or one that renews its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    /// The agent.
    pub agent: AgentId,
    /// The name that it would like to be shown by.
    pub name: String,
    /// SHA-256 of the certificate.
    pub certificate: Digest,
    /// When the certificate ends, in milliseconds since 1970.
    pub ends_ms: u64,
    /// When it was made, in milliseconds since 1970.
    pub at_ms: u64,
}

/// An agent came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSeen {
    /// The agent.
    pub agent: AgentId,
    /// Its name.
    pub name: String,
    /// The labels that it says itself.
    pub labels: Vec<String>,
    /// This life of its process.
    pub incarnation: IncarnationId,
    /// SHA-256 of the certificate that it showed.
    pub certificate: Digest,
    /// When that ends, in milliseconds since 1970.
    pub ends_ms: u64,
    /// When it came, in milliseconds since 1970.
    pub at_ms: u64,
}

/// An agent, as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRecord {
    /// Its id.
    pub agent: AgentId,
    /// Its name, as it said it last.
    pub name: String,
    /// The token that it joined with, if that is known.
    pub token: Option<String>,
    /// The labels that it has of that token.
    pub granted: Vec<String>,
    /// The labels that it said last itself.
    pub labels: Vec<String>,
    /// When it was first heard of, in milliseconds since 1970.
    pub first_ms: u64,
    /// When it last came or left, in milliseconds since 1970.
    pub last_ms: u64,
    /// The last life of its process, if it was ever in.
    pub incarnation: Option<IncarnationId>,
    /// SHA-256 of its newest certificate.
    pub certificate: Option<Digest>,
    /// When that ends, in milliseconds since 1970.
    pub ends_ms: u64,
    /// Somebody wants it to take nothing.
    pub drained: Option<Mark>,
    /// Nobody wants it any more.
    pub revoked: Option<Mark>,
}

/// Somebody decided something about an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Who.
    pub by: String,
    /// Why, in words; empty if that was not said.
    pub why: String,
}
