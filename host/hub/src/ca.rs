//! The control host's own certificate authority.
//!
//! ECDSA P-256. It signs one kind of server certificate, for the hub and whatever else the control host serves, and one
//! kind of client certificate, for agents; extended key usages tell them apart, so that an agent can never pose as the hub.

use std::{
    fmt, fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use pigeon_protocol::{
    id::{AgentId, Digest},
    version::SERVER_NAME,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use ring::hmac;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// How long agents' certificates are good for if nothing else is said: a day. A certificate that was stolen and not noticed
/// is good for so long, and one that renews itself every 16 hours costs nothing. An agent that is away for longer has its
/// own renewed when it comes back.
pub const AGENT_CERTIFICATE_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// How long the CA itself is good for: 20 years. The hub's certificate lives as long; its key is made anew with every
/// start and is never written down.
const CA_LIFETIME: Duration = Duration::from_secs(20 * 365 * 24 * 3600);

/// Certificates are good from an hour ago, for the sake of agents whose clock is slow; those of a short life from half of it
/// ago, since they are renewed when two thirds of the whole are over.
const CLOCK_SLACK: Duration = Duration::from_secs(3600);

/// A CA: its key and its certificate. Clones share them.
#[derive(Clone)]
pub struct CertificateAuthority(Arc<Inner>);

struct Inner {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
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
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// One of its two files is there and the other is not.
    #[error("{found} is there and {missing} is not: restore it, or remove both to begin a new CA")]
    Half {
        /// The file that is there.
        found: PathBuf,
        /// The file that is not.
        missing: PathBuf,
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

/// A certificate of a server, with its key.
pub struct ServerCertificate {
    /// The server's own certificate first, then the CA's.
    pub chain: Vec<CertificateDer<'static>>,
    /// The server's key, made with the certificate and kept nowhere.
    pub key: PrivateKeyDer<'static>,
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCertificate").field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}

impl CertificateAuthority {
    /// A CA that lives as long as this process: for embedded control hosts.
    pub fn new_in_memory() -> Result<Self, CaError> {
        let key = KeyPair::generate().map_err(crypto("make the CA's key"))?;
        let certificate = ca_params().self_signed(&key).map_err(crypto("make the CA's certificate"))?;
        Self::from_parts(certificate.der().clone(), key)
    }

    /// The CA in this folder (`ca.crt`, DER, and `ca.key`, PKCS#8 DER with mode 0600), made if there is none.
    pub fn load_or_create(dir: &Path) -> Result<Self, CaError> {
        let (certificate_path, key_path) = (dir.join("ca.crt"), dir.join("ca.key"));
        match (read(&certificate_path)?, read(&key_path)?) {
            (Some(certificate), Some(key)) => {
                let key = KeyPair::from_pkcs8_der_and_sign_algo(
                    &PrivatePkcs8KeyDer::from(key),
                    &rcgen::PKCS_ECDSA_P256_SHA256,
                )
                .map_err(crypto("read the CA's key"))?;
                Self::from_parts(certificate.into(), key)
            }
            (None, None) => {
                let ca = Self::new_in_memory()?;
                let io = |attempt, path: &Path| {
                    let path = path.to_owned();
                    move |source| CaError::Io { attempt, path, source }
                };
                let private = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
                private.map_err(io("create", dir))?;
                write(&key_path, ca.0.issuer.key().serialized_der(), 0o600).map_err(io("write", &key_path))?;
                write(&certificate_path, &ca.0.certificate, 0o644).map_err(io("write", &certificate_path))?;
                fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(io("sync", dir))?;
                Ok(ca)
            }
            (Some(_), None) => Err(CaError::Half { found: certificate_path, missing: key_path }),
            (None, Some(_)) => Err(CaError::Half { found: key_path, missing: certificate_path }),
        }
    }

    fn from_parts(certificate: CertificateDer<'static>, key: KeyPair) -> Result<Self, CaError> {
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(crypto("understand the CA's certificate"))?;
        Ok(Self(Arc::new(Inner { certificate, issuer })))
    }

    /// Its certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.0.certificate
    }

    /// SHA-256 of its certificate: what join tokens pin.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.0.certificate)
    }

    /// A secret that this CA always has for this purpose, whichever life of its control host asks. It tells nothing of
    /// the CA's key.
    pub(crate) fn secret(&self, purpose: &str) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.issuer.key().serialized_der());
        let mut secret = [0; 32];
        secret.copy_from_slice(hmac::sign(&key, purpose.as_bytes()).as_ref());
        secret
    }

    /// A certificate for the hub, with a new key.
    pub(crate) fn hub(&self) -> Result<ServerCertificate, CaError> {
        self.server(&[SERVER_NAME])
    }

    /// A certificate for a server that is reached under these names: DNS names, or addresses. Its key is made anew with
    /// every call, and what it signs lives as long as the CA: whoever has pinned the CA needs nothing else.
    ///
    /// # Errors
    /// If a name cannot stand in a certificate.
    pub fn server<N: AsRef<str>>(&self, names: &[N]) -> Result<ServerCertificate, CaError> {
        let key = KeyPair::generate().map_err(crypto("make a server's key"))?;
        let mut params = leaf_params("pigeon control host", CA_LIFETIME);
        params.subject_alt_names = names.iter().map(|name| alternative(name.as_ref())).collect::<Result<_, _>>()?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = params.signed_by(&key, &self.0.issuer).map_err(crypto("make a server's certificate"))?;
        Ok(ServerCertificate {
            chain: vec![leaf.der().clone(), self.0.certificate.clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        })
    }

    /// A certificate for an agent's key. Of the request (PKCS#10, DER) only the public key counts, once the request's
    /// own signature has proved that the asker has the private one.
    pub(crate) fn agent(&self, agent: AgentId, request: &[u8], life: Duration) -> Result<Vec<u8>, CaError> {
        let request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(request))
            .map_err(crypto("read a certificate signing request"))?;
        let mut params = leaf_params(&agent.to_string(), life);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        // Webpki wants an alternative name in every certificate.
        params.subject_alt_names = vec![dns(&format!("{agent}.agent.pigeon.internal"))?];
        let leaf = CertificateSigningRequestParams { params, public_key: request.public_key }
            .signed_by(&self.0.issuer)
            .map_err(crypto("make an agent's certificate"))?;
        Ok(leaf.der().to_vec())
    }
}

impl fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CertificateAuthority").field(&self.fingerprint()).finish()
    }
}

fn crypto(attempt: &'static str) -> impl FnOnce(rcgen::Error) -> CaError {
    move |source| CaError::Crypto { attempt, source }
}

fn dns(name: &str) -> Result<SanType, CaError> {
    Ok(SanType::DnsName(name.try_into().map_err(crypto("write a name into a certificate"))?))
}

fn alternative(name: &str) -> Result<SanType, CaError> {
    name.parse().map_or_else(|_| dns(name), |address| Ok(SanType::IpAddress(address)))
}

fn ca_params() -> CertificateParams {
    let mut params = leaf_params("pigeon CA", CA_LIFETIME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn leaf_params(name: &str, life: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    let now = SystemTime::now();
    params.not_before = (now - CLOCK_SLACK.min(life / 2)).into();
    params.not_after = (now + life).into();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, CaError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CaError::Io { attempt: "read", path: path.to_owned(), source }),
    }
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_ca_on_disk_stays_the_same_and_keeps_its_key_to_itself() {
        let dir = tempfile::tempdir().unwrap();
        let first = CertificateAuthority::load_or_create(&dir.path().join("ca")).unwrap();
        let second = CertificateAuthority::load_or_create(&dir.path().join("ca")).unwrap();
        assert_eq!(first.fingerprint(), second.fingerprint());
        assert_eq!(first.secret("this"), second.secret("this"));
        assert_ne!(first.secret("this"), first.secret("that"));
        assert_ne!(first.secret("this"), CertificateAuthority::new_in_memory().unwrap().secret("this"));
        let mode = fs::metadata(dir.path().join("ca/ca.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::remove_file(dir.path().join("ca/ca.key")).unwrap();
        assert!(matches!(CertificateAuthority::load_or_create(&dir.path().join("ca")), Err(CaError::Half { .. })));
    }

    #[test]
    fn a_server_is_reached_under_its_names_and_addresses() {
        let ca = CertificateAuthority::new_in_memory().unwrap();
        let server = ca.server(&["localhost", "127.0.0.1", "::1"]).unwrap();
        let (_, certificate) = x509_parser::parse_x509_certificate(&server.chain[0]).unwrap();
        let names = certificate.subject_alternative_name().unwrap().unwrap().value;
        assert_eq!(names.general_names.len(), 3);
        let usage = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.server_auth && !usage.client_auth);
        assert!(ca.server(&["näh"]).is_err());
    }

    #[test]
    fn of_a_request_only_the_key_counts() {
        let ca = CertificateAuthority::new_in_memory().unwrap();
        let mut params = CertificateParams::new(vec![SERVER_NAME.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let request = params.serialize_request(&KeyPair::generate().unwrap()).unwrap();
        let agent = AgentId::new();
        let der = ca.agent(agent, request.der(), Duration::from_secs(60)).unwrap();
        let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
        let usage = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth);
        assert!(!format!("{certificate:?}").contains(SERVER_NAME));
        assert!(ca.agent(agent, b"garbage", Duration::from_secs(60)).is_err());
    }
}
