//! TLS: with the certificate that the control host was given, TLS 1.2 and later, by rustls and ring.

use std::sync::Arc;

use axum_server::tls_rustls::RustlsConfig;
use pigeon_hub::ca::ServerCertificate;
use rustls::{ServerConfig, crypto::ring};

/// What connections are taken with.
pub(super) fn config(certificate: ServerCertificate) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_single_cert(certificate.chain, certificate.key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The same, so that it can be changed while connections come.
pub(super) fn changeable(certificate: ServerCertificate) -> Result<RustlsConfig, rustls::Error> {
    Ok(RustlsConfig::from_config(config(certificate)?))
}
