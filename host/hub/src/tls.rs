//! TLS: who may shake hands, and what a certificate says.
//!
//! One endpoint serves agents and enrolment, so TLS itself asks for a client certificate without insisting; the ALPN
//! decides at accept whether there had to be one. A certificate that has expired less than 30 days ago passes the
//! handshake too, for the one thing that it is still good for: its own renewal.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use pigeon_protocol::{
    id::{AgentId, Digest},
    version::{ALPN, ENROL_ALPN},
};
use rustls::{
    AlertDescription, CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, UnixTime},
    server::{
        NoServerSessionStorage, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use crate::{ca::CertificateAuthority, hub::HubError, offence::Offence};

/// How long after its end a certificate may still be renewed. The store must not forget agents sooner than that, see its
/// `Retention::agents` (host/store/src/retention.rs): one that is forgotten is not known to be revoked.
pub(crate) const RENEWAL_GRACE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Ring's algorithms, AES-128-GCM first: with the AES instructions of any server CPU it is the cheapest.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    provider.cipher_suites = vec![
        ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
        ring::cipher_suite::TLS13_AES_256_GCM_SHA384,
        ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    Arc::new(provider)
}

/// The TLS side of the hub's endpoint.
pub(crate) fn server_config(ca: &CertificateAuthority) -> Result<rustls::ServerConfig, HubError> {
    let provider = provider();
    let mut roots = RootCertStore::empty();
    roots.add(ca.certificate().clone())?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let certificate = ca.hub()?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(Verifier(verifier)))
        .with_single_cert(certificate.chain, certificate.key)?;
    config.alpn_protocols = vec![ALPN.to_vec(), ENROL_ALPN.to_vec()];
    // Every connection shows its certificate anew: no resumption, no early data.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

/// Webpki's verifier, which lets through those who have just expired.
#[derive(Debug)]
struct Verifier(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let expired = match self.0.verify_client_cert(end_entity, intermediates, now) {
            Err(
                error @ rustls::Error::InvalidCertificate(
                    CertificateError::Expired | CertificateError::ExpiredContext { .. },
                ),
            ) => error,
            other => return other,
        };
        let Some(until) = not_after(end_entity) else { return Err(expired) };
        if now.as_secs().saturating_sub(until) > RENEWAL_GRACE.as_secs() {
            return Err(expired);
        }
        // Everything but the time is judged as it was in the certificate's last second.
        self.0.verify_client_cert(end_entity, intermediates, UnixTime::since_unix_epoch(Duration::from_secs(until)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// The end of a certificate's life, in seconds since 1970.
pub(crate) fn not_after(certificate: &[u8]) -> Option<u64> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    parsed.validity().not_after.timestamp().try_into().ok()
}

/// Who a connection is, by the certificate that it showed and that the handshake has verified.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) agent: AgentId,
    pub(crate) certificate: Digest,
    /// When the certificate ends, in milliseconds since 1970.
    pub(crate) ends_ms: u64,
    /// Whether the certificate is past its end, and good for renewal only.
    pub(crate) expired: bool,
}

/// Who the connection is; `None` if it showed no certificate, or one that names no agent.
pub(crate) fn peer(connection: &quinn::Connection) -> Option<Peer> {
    let chain = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    let der = chain.first()?;
    let (_, parsed) = x509_parser::parse_x509_certificate(der).ok()?;
    let agent = parsed.subject().iter_common_name().next()?.as_str().ok()?.parse().ok()?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let ends = not_after(der)?;
    let expired = now.as_secs() > ends;
    Some(Peer { agent, certificate: Digest::of(der), ends_ms: ends.saturating_mul(1000), expired })
}

/// What was wrong where a handshake failed: TLS says it by the alert that it sent.
pub(crate) fn offence(error: &quinn::ConnectionError) -> Offence {
    let alert = |alert: AlertDescription| u64::from(quinn_proto::TransportErrorCode::crypto(alert.into()));
    let code = match error {
        quinn::ConnectionError::TransportError(error) => u64::from(error.code),
        quinn::ConnectionError::TimedOut => return Offence::Slow,
        _ => return Offence::Handshake,
    };
    // One that another CA of the same name has issued is one with a bad signature.
    let foreign = [
        AlertDescription::UnknownCA,
        AlertDescription::DecryptError,
        AlertDescription::BadCertificate,
        AlertDescription::UnsupportedCertificate,
        AlertDescription::CertificateUnknown,
    ];
    match code {
        code if code == alert(AlertDescription::NoApplicationProtocol) => Offence::Alpn,
        code if code == alert(AlertDescription::CertificateExpired) => Offence::ExpiredCertificate,
        code if foreign.into_iter().any(|foreign| code == alert(foreign)) => Offence::ForeignCertificate,
        _ => Offence::Handshake,
    }
}

/// The ALPN that was agreed on.
pub(crate) fn alpn(connection: &quinn::Connection) -> Option<Vec<u8>> {
    connection.handshake_data()?.downcast::<quinn::crypto::rustls::HandshakeData>().ok()?.protocol
}
