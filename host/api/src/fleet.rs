//! Agents, as people see them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An agent that is in, or was since the control host started.
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
    /// Why not, in words; empty if it does.
    pub reasons: Vec<String>,
}

/// Whether an agent is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AgentState {
    /// It takes work.
    Ready,
    /// It ends what it has, and leaves.
    Draining,
    /// It is away.
    Away,
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
