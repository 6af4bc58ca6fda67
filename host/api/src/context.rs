//! Servers that a user keeps on his own machine, as the command line shows them. No server knows of them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A server that is kept, but for its token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContextInfo {
    /// What the user calls it.
    pub name: String,
    /// Where its API is: `https://HOST:PORT`.
    pub server: String,
    /// Whether commands mean it if they do not say otherwise.
    pub current: bool,
    /// How the server is known: by the fingerprint of its CA (`sha256:...`), by the `system`, or by `nothing`, where it
    /// speaks in the clear.
    pub trust: String,
    /// Whether a token is kept.
    pub token: bool,
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContextList {
    /// By name.
    pub contexts: Vec<ContextInfo>,
}
