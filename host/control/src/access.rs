//! Who may come in over the API: tokens, and what their bearers may do.

use pigeon_api::Role;

/// The bearer of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The token's name: the author of what is done with it.
    pub name: String,
    /// What it may do.
    pub role: Role,
}
