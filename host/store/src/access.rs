//! What is kept by name: tokens and schedules.

use bytes::Bytes;
use pigeon_protocol::id::Digest;

/// A token for the API. Its secret is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its name.
    pub name: String,
    /// What its bearer may do. The store does not look into it.
    pub role: String,
    /// SHA-256 of its secret.
    pub hash: Digest,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it ends, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
}

/// A schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleRecord {
    /// Its name.
    pub name: String,
    /// What it says. The store does not look into it.
    pub spec: Bytes,
    /// How far it is. The store does not look into it.
    pub state: Bytes,
}
