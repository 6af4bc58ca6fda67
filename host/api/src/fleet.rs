//! Agents, as people see them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Digest, text};

/// An agent that is in, or is remembered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentStatus {
    /// Its id: of its certificate.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it is in.
    pub state: AgentState,
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
    /// Where it connected from.
    pub address: String,
    /// The version of its program.
    pub version: String,
    /// Runs that it computes at once.
    pub slots: u32,
    /// Leases that it holds.
    pub leases: u32,
    /// When it was last heard of, in milliseconds since 1970.
    pub heard_ms: i64,
    /// Runs that it answered since the control host started.
    pub runs: u64,
    /// Of those, failures.
    pub failures: u64,
    /// Whether it does well.
    pub health: Health,
    /// Why not, and what else there is to say of it, in words.
    pub reasons: Vec<String>,
    /// Its labels, for placement: those of the token that it joined with, and its own.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Runs that compute on it, as it said with its last beat.
    #[serde(default)]
    pub computing: u32,
    /// Runs that wait on it for something else than its processor, likewise.
    #[serde(default)]
    pub waiting: u32,
    /// Resident memory of its process, in bytes, likewise.
    #[serde(default)]
    pub rss: u64,
}

/// All that is known of an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentDetail {
    /// How it stands.
    #[serde(flatten)]
    pub status: AgentStatus,
    /// When it was first heard of, in milliseconds since 1970.
    pub first_ms: i64,
    /// The last life of its process, if it was ever in.
    pub incarnation: Option<String>,
    /// When its certificate ends, in milliseconds since 1970. It renews it before.
    pub certificate_ends_ms: Option<i64>,
    /// The token that it joined with, if that is known.
    pub token: Option<String>,
    /// Plugins that it has at hand.
    pub plugins: Vec<CachedPlugin>,
    /// Models that its node offers.
    pub models: Vec<String>,
    /// Who wants it to take nothing, if somebody does.
    pub drained: Option<AgentMark>,
    /// Who revoked it, if somebody did.
    pub revoked: Option<AgentMark>,
}

/// Somebody decided something about an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentMark {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Who: the name of a token.
    pub by: String,
    /// Why, in words; empty if that was not said.
    pub why: String,
}

/// A plugin that an agent has at hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CachedPlugin {
    /// SHA-256 of its component.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub digest: Digest,
    /// `name@version`, if the control host knows it.
    pub name: Option<String>,
}

/// Why an agent is revoked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// In words, for the log.
    #[serde(default)]
    #[schema(max_length = 1000)]
    pub why: String,
}

/// Whether an agent is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AgentState {
    /// It takes work.
    Ready,
    /// It ends what it has, and leaves.
    Draining,
    /// Somebody wants it to take nothing: it ends what it has, and stays.
    Drained,
    /// It is away.
    Away,
    /// Nobody wants it any more: it may not come back.
    Revoked,
}

impl AgentState {
    /// Whether it is in, in whatever state.
    #[must_use]
    pub fn is_in(self) -> bool {
        !matches!(self, AgentState::Away | AgentState::Revoked)
    }
}

/// Whether an agent does well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// It does.
    Good,
    /// Something is worth a look.
    Warning,
    /// It does nothing of use.
    Bad,
}
