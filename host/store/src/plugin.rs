//! Plugins as they are registered.

use bytes::Bytes;
use pigeon_protocol::id::Digest;

/// A published plugin. Its component is kept apart, by digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginRecord {
    /// SHA-256 of the component.
    pub digest: Digest,
    /// Its name.
    pub name: String,
    /// Its semantic version.
    pub version: String,
    /// The signed manifest, encoded. The store does not look into it.
    pub manifest: Bytes,
    /// Whether it stands in the list. One that does not was given for its jobs alone, and goes with the last of them.
    pub listed: bool,
    /// When it was published, in milliseconds since 1970.
    pub published_ms: u64,
}
