//! Enrolment: a join token, and what it buys.

use std::net::SocketAddr;

use pigeon_protocol::enrol::JoinToken;

use crate::identity::Identity;

/// Enrolment failed.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The hub refused: the token is wrong, used up or expired; it does not say which.
    #[error("the hub refused to enrol this agent: {0}")]
    Refused(String),
    /// The hub cannot be reached, or is not the one that the token names.
    #[error("failed to connect to the hub at {hub}")]
    Connect {
        /// Where.
        hub: SocketAddr,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Enrol with the hub at `hub`.
pub async fn enrol(hub: SocketAddr, token: &JoinToken, name: &str) -> Result<Identity, EnrolError> {
    let _ = (hub, token, name);
    Err(EnrolError::Refused(String::new()))
}
