//! Enrolment: a join token, or a certificate that runs out, and what they buy.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use pigeon_protocol::{
    close,
    enrol::{EnrolReply, EnrolRequest, JoinToken},
    frame,
    id::{AgentId, Digest},
    version::{ENROL_ALPN, SERVER_NAME},
};
use quinn::crypto::rustls::QuicClientConfig;
use tokio::time::timeout;

use crate::{
    identity::Identity,
    tls,
    transport::{self, Reader, code},
};

/// Longest reply, in bytes: two certificates and some keys.
const MAX_REPLY: usize = 64 << 10;

/// Time for the whole exchange.
const PATIENCE: Duration = Duration::from_secs(15);

/// Enrolment failed.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The hub refused: the token is wrong, used up or expired, or the agent was revoked.
    #[error("the hub at {hub} refused to enrol this agent: {reason}")]
    Refused {
        /// Where.
        hub: SocketAddr,
        /// What it says.
        reason: String,
    },
    /// The hub cannot be reached, or is not the one that the token names.
    #[error("failed to enrol with the hub at {hub}")]
    Connect {
        /// Where.
        hub: SocketAddr,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It knows none of the protocol's versions that we know.
    #[error("the hub at {hub} speaks another version of the protocol than this agent, which is of release {}", env!("CARGO_PKG_VERSION"))]
    Version {
        /// Where.
        hub: SocketAddr,
    },
    /// It did not answer in time.
    #[error("the hub at {hub} did not answer within {} s", PATIENCE.as_secs())]
    Silent {
        /// Where.
        hub: SocketAddr,
    },
    /// Its answer makes no sense.
    #[error("the answer of the hub at {hub} is not an identity: {what}")]
    Senseless {
        /// Where.
        hub: SocketAddr,
        /// What is wrong with it.
        what: &'static str,
    },
    /// No key or signing request can be made.
    #[error("failed to make a key")]
    Key(#[from] rcgen::Error),
}

/// Enrol with the hub at `hub`: the private key is made here and stays here.
pub async fn enrol(hub: SocketAddr, token: &JoinToken, name: &str) -> Result<Identity, EnrolError> {
    let crypto = tls::pinned(token.ca()).map_err(|error| connect(hub, error))?;
    ask(hub, crypto, token.secret().to_vec(), token.ca(), name).await
}

/// Renew an identity's certificate, with a new key. It keeps its id and the publishers it trusts.
pub async fn renew(hub: SocketAddr, identity: &Identity, name: &str) -> Result<Identity, EnrolError> {
    let crypto = tls::mutual(identity, ENROL_ALPN).map_err(|error| connect(hub, error))?;
    let renewed = ask(hub, crypto, Vec::new(), Digest::of(&identity.ca), name).await?;
    if renewed.agent != identity.agent {
        return Err(EnrolError::Senseless { hub, what: "it names another agent" });
    }
    // The node's own file may have overridden the keys.
    Ok(Identity { trusted_keys: identity.trusted_keys.clone(), ..renewed })
}

/// When a certificate should be renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Renewal {
    /// How long until two thirds of its life are over. Zero if they are.
    pub(crate) due: Duration,
    /// Within what time after that, so that not all agents ask at once, and none asks all the time.
    pub(crate) spread: Duration,
}

/// When the certificate should be renewed; `None` if it cannot be read.
pub(crate) fn renewal(identity: &Identity) -> Option<Renewal> {
    let (_, certificate) = x509_parser::parse_x509_certificate(&identity.certificate).ok()?;
    let validity = certificate.validity();
    let (from, to) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    let (from, life) = (u64::try_from(from).ok()?, u64::try_from(to.checked_sub(from)?).ok()?);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let due = Duration::from_secs(from.saturating_add(life / 3 * 2)).saturating_sub(now);
    Some(Renewal { due, spread: Duration::from_secs(life) / 30 })
}

fn connect(hub: SocketAddr, error: impl std::error::Error + Send + Sync + 'static) -> EnrolError {
    EnrolError::Connect { hub, source: Box::new(error) }
}

async fn ask(
    hub: SocketAddr,
    crypto: QuicClientConfig,
    secret: Vec<u8>,
    ca: Digest,
    name: &str,
) -> Result<Identity, EnrolError> {
    let key = rcgen::KeyPair::generate()?;
    let csr = rcgen::CertificateParams::default().serialize_request(&key)?.der().to_vec();
    let request = EnrolRequest { secret, csr, name: name.to_owned() };
    let reply = timeout(PATIENCE, exchange(hub, crypto, &request)).await.map_err(|_| EnrolError::Silent { hub })??;
    if !reply.refused.is_empty() {
        return Err(EnrolError::Refused { hub, reason: reply.refused });
    }
    let senseless = |what| EnrolError::Senseless { hub, what };
    if Digest::of(&reply.ca) != ca {
        return Err(senseless("it brings another CA"));
    }
    let trusted_keys: Option<Vec<[u8; 32]>> = reply.trusted_keys.into_iter().map(|key| key.try_into().ok()).collect();
    let (_, certificate) =
        x509_parser::parse_x509_certificate(&reply.certificate).map_err(|_| senseless("its certificate is none"))?;
    if certificate.public_key().subject_public_key.data != key.public_key_raw() {
        return Err(senseless("its certificate is for another key"));
    }
    Ok(Identity {
        agent: AgentId::from_slice(&reply.agent).ok_or_else(|| senseless("it names no agent"))?,
        key: key.serialize_der(),
        ca: reply.ca,
        trusted_keys: trusted_keys.ok_or_else(|| senseless("a publisher's key has not 32 bytes"))?,
        certificate: reply.certificate,
    })
}

async fn exchange(hub: SocketAddr, crypto: QuicClientConfig, request: &EnrolRequest) -> Result<EnrolReply, EnrolError> {
    let link = transport::link(hub).map_err(|error| connect(hub, error))?;
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(link.transport(0)));
    let connection =
        link.endpoint.connect_with(config, hub, SERVER_NAME).map_err(|error| connect(hub, error))?.await.map_err(
            |error| match error {
                error if transport::is_other_version(&error) => EnrolError::Version { hub },
                error => EnrolError::Connect { hub, source: transport::told(&error).into() },
            },
        )?;
    let (mut send, recv) = connection.open_bi().await.map_err(|error| connect(hub, error))?;
    let frame = frame::encode(request).map_err(|error| connect(hub, error))?;
    send.write_chunk(frame).await.map_err(|error| connect(hub, error))?;
    // Cannot fail: it was not finished before.
    let _ = send.finish();
    let reply = Reader::new(recv, MAX_REPLY).need().await.map_err(|error| connect(hub, error))?;
    // The connection's own task says good-bye; to wait for it would be to wait for three round-trip timeouts.
    connection.close(code(close::DONE), b"");
    Ok(reply)
}
