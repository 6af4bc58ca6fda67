//! Whom the client believes to be the control host.
//!
//! A control host has a CA of its own, and what is pinned is that CA: by its certificate, or by the SHA-256 of it, which
//! a person can read out. With only the fingerprint at hand the certificate is looked for in the chain that the server
//! presents; from there on everything is checked as with any other root: signatures, times, names, purposes.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use pigeon_protocol::id::Digest;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use rustls_platform_verifier::BuilderVerifierExt as _;

use crate::{ApiError, ErrorKind, Result};

/// Whom to believe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trust {
    /// The authorities that this machine believes.
    #[default]
    System,
    /// The CA with this certificate, and no other: PEM.
    Ca(String),
    /// The CA whose certificate has this SHA-256, and no other. The server has to present it.
    Fingerprint(Digest),
}

/// A control host's CA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedCa {
    /// Its certificate, for [`Trust::Ca`].
    pub pem: String,
    /// SHA-256 of its certificate.
    pub fingerprint: Digest,
}

/// The server is not the one that is pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NotPinned {
    /// The fingerprint that was expected.
    pub(super) expected: Digest,
    /// The fingerprint of the last certificate that the server presented: of its CA, if it presents one.
    pub(super) presented: Digest,
}

impl fmt::Display for NotPinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "its CA is {}, and {} was expected", self.presented, self.expected)
    }
}

impl std::error::Error for NotPinned {}

/// How TLS is spoken with whoever is to be believed.
pub(super) fn config(trust: &Trust) -> Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider());
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| broken("set up TLS", error))?;
    let builder = match trust {
        Trust::System => builder
            .with_platform_verifier()
            .map_err(|error| broken("read the authorities that this machine believes", error))?,
        Trust::Ca(pem) => {
            let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| {
                ApiError::new(ErrorKind::BadRequest, "the CA's certificate is no PEM").caused_by(error)
            })?;
            let fingerprint = Some(Digest::of(&certificate));
            let known = Known::new(certificate).map_err(|error| broken("understand the CA's certificate", error))?;
            let pinned = Pinned { fingerprint, known: known.into() };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(pinned))
        }
        Trust::Fingerprint(fingerprint) => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Pinned::new(Some(*fingerprint))))
        }
    };
    Ok(builder.with_no_client_auth())
}

/// The CA of the control host at this URL, so that it can be pinned. What is not expected is only shown: whoever asks
/// has to compare the fingerprint with one that came by another way before it is believed.
///
/// # Errors
/// [`ErrorKind::Unreachable`] if nobody is there, or the CA is not the one that is expected;
/// [`ErrorKind::Unsupported`] if the server presents no CA that its own certificate can be checked with.
pub async fn fetch_ca(server: &str, expected: Option<Digest>) -> Result<FetchedCa> {
    let url = super::base(server)?;
    if url.scheme() != "https" {
        let message = format!("there is no CA behind {url}: it is not reached over TLS");
        return Err(ApiError::new(ErrorKind::BadRequest, message));
    }
    let shown = Arc::new(Pinned::new(expected));
    let builder = ClientConfig::builder_with_provider(provider());
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| broken("set up TLS", error))?;
    let config = builder.dangerous().with_custom_certificate_verifier(shown.clone()).with_no_client_auth();
    let http = super::http(&url, config, None)?;
    let asked = tokio::time::timeout(Duration::from_secs(20), http.get(url.clone()).send()).await;
    match (shown.known.get(), asked) {
        (Some(Known { certificate: ca, .. }), _) => Ok(FetchedCa { fingerprint: Digest::of(ca), pem: pem(ca) }),
        (None, Ok(Err(error))) => Err(super::call::unsent(&url, &error).error),
        (None, _) => Err(super::call::silent(&url).error),
    }
}

/// The process's cryptography; ring's if it has not chosen one.
fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(ring::default_provider()))
}

fn broken(attempt: &str, error: impl std::error::Error + Send + Sync + 'static) -> ApiError {
    ApiError::new(ErrorKind::Internal, format!("failed to {attempt}")).caused_by(error)
}

/// A certificate (DER) as text.
pub fn pem(certificate: &[u8]) -> String {
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in data_encoding::BASE64.encode(certificate).as_bytes().chunks(64) {
        pem.extend(line.iter().copied().map(char::from));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

/// Whom a server has to be: one whose chain ends in a certain CA.
#[derive(Debug)]
struct Pinned {
    /// The CA. If none is said it is whichever the server presents, for a person to look at.
    fingerprint: Option<Digest>,
    /// The CA, once its certificate is known and a server was one of its own.
    known: OnceLock<Known>,
}

/// A CA that is known.
#[derive(Debug, Clone)]
struct Known {
    certificate: CertificateDer<'static>,
    /// What checks against it and no other.
    verifier: Arc<WebPkiServerVerifier>,
}

impl Pinned {
    fn new(fingerprint: Option<Digest>) -> Self {
        Self { fingerprint, known: OnceLock::new() }
    }
}

impl Known {
    fn new(certificate: CertificateDer<'static>) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        let verifier = verifier.map_err(|error| Error::General(error.to_string()))?;
        Ok(Self { certificate, verifier })
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let presented = Digest::of(intermediates.last().unwrap_or(end_entity));
        let expected = self.fingerprint.unwrap_or(presented);
        let other = || {
            let error = NotPinned { expected, presented };
            Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
        };
        let found;
        let known = match self.known.get() {
            Some(known) => known,
            None => {
                let mut chain = std::iter::once(end_entity).chain(intermediates);
                let ca = chain.find(|certificate| Digest::of(certificate) == expected).ok_or_else(other)?;
                found = Known::new(ca.clone().into_owned())?;
                &found
            }
        };
        let verified = known.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let verified = verified.map_err(|error| match error {
            Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => other(),
            error => error,
        })?;
        self.known.get_or_init(|| known.clone());
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
