//! Who may do what: roles, the tokens that carry them, and the tokens with which agents join.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the bearer of a token may do. Each may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look at everything but secrets.
    Viewer,
    /// Submit jobs, and control those that it submitted.
    Submitter,
    /// Publish plugins.
    Publisher,
    /// Control every job, the dead letters, schedules, plugins' limits and agents.
    Operator,
    /// Make and revoke tokens, take backups.
    Admin,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Role; 5] = [Role::Viewer, Role::Submitter, Role::Publisher, Role::Operator, Role::Admin];

    /// `viewer`, `submitter` ...
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Submitter => "submitter",
            Role::Publisher => "publisher",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Role::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is no role: viewer, submitter, publisher, operator and admin are"))
    }
}

/// A token for the API to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenSpec {
    /// What it is called: the author of what is done with it. Unique among those that are not revoked.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// How long it is good for, in milliseconds; for ever if not said.
    #[serde(default)]
    pub ttl_ms: Option<u64>,
}

/// A token for the API, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenInfo {
    /// What it is called.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// When it ends, in milliseconds since 1970.
    pub expires_ms: Option<i64>,
    /// Whether it is the one with which this was asked.
    #[serde(default)]
    pub yours: bool,
}

/// A token that was just made. The secret is shown once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewToken {
    /// What is kept of it.
    #[serde(flatten)]
    pub info: TokenInfo,
    /// What goes behind `Authorization: Bearer`.
    pub secret: String,
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewToken").field("info", &self.info).finish_non_exhaustive()
    }
}

/// A token for agents to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinSpec {
    /// How many agents may join with it.
    pub uses: u32,
    /// How long it is good for, in milliseconds.
    pub ttl_ms: u64,
    /// Labels that agents have who join with it: `rack=7`, `gpu`. Where an agent says another value of the same key itself,
    /// this one counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 64)]
    pub labels: Vec<String>,
}

/// A token with which agents join, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JoinTokenInfo {
    /// What it is called.
    pub id: String,
    /// Who made it.
    pub author: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// When it ends, in milliseconds since 1970.
    pub expires_ms: i64,
    /// How many agents may join with it in all.
    pub uses: u32,
    /// How many still may.
    pub left: u32,
    /// Labels that agents have who joined with it.
    pub labels: Vec<String>,
}

/// A token with which agents join. The secret is shown once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewJoinToken {
    /// What is kept of it.
    #[serde(flatten)]
    pub info: JoinTokenInfo,
    /// What an agent is given, by a file or a credential. It pins the control host's CA.
    pub secret: String,
    /// Where agents connect: `HOST:PORT` over UDP, as far as the control host knows.
    pub hub: String,
}

/// The same without its secret, where that has gone elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JoinInfo {
    /// What is kept of it.
    #[serde(flatten)]
    pub info: JoinTokenInfo,
    /// Where agents connect: `HOST:PORT` over UDP, as far as the control host knows.
    pub hub: String,
}

impl fmt::Debug for NewJoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewJoinToken").field("hub", &self.hub).finish_non_exhaustive()
    }
}
