//! Who an agent is: its certificate and key, the CA that it trusts, and the publishers whose plugins it runs.
//!
//! In a state folder it is one folder `identity/` of small files, all of mode 0600: `agent.crt`, `agent.key`, `ca.crt`
//! (DER), `agent.id` (text) and `trusted.keys` (a publisher's Ed25519 key a line, hexadecimal; an operator may edit it).

use std::{
    fmt, fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use pigeon_protocol::id::{AgentId, Digest};

/// Who an agent is. `Debug` leaves the key out.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its id, as the certificate names it.
    pub agent: AgentId,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// Its private key, PKCS#8 DER. Never leaves the machine.
    pub key: Vec<u8>,
    /// The CA's certificate, DER.
    pub ca: Vec<u8>,
    /// Ed25519 public keys of publishers whose plugins it runs.
    pub trusted_keys: Vec<[u8; 32]>,
}

/// An identity could not be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read or written.
    #[error("failed to {attempt} {path}")]
    Io {
        /// What was attempted: `read`, `write`, `lock`.
        attempt: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is there, and is not what it should be.
    #[error("{path} is not {expected}")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
    },
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("agent", &self.agent)
            .field("certificate", &Digest::of(&self.certificate))
            .field("ca", &Digest::of(&self.ca))
            .field("trusted_keys", &self.trusted_keys.len())
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// The identity in this state folder; `None` if there is none yet.
    pub fn load(state: &Path) -> Result<Option<Self>, IdentityError> {
        let dir = state.join("identity");
        // `agent.id` is written last: without it the others are the leavings of an enrolment that was cut off.
        let Some(id) = read(&dir.join("agent.id"))? else { return Ok(None) };
        let agent = std::str::from_utf8(&id)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .ok_or_else(|| malformed(&dir.join("agent.id"), "an agent id"))?;
        let need = |name: &str| {
            let path = dir.join(name);
            read(&path)?.ok_or(IdentityError::Io { attempt: "read", path, source: io::ErrorKind::NotFound.into() })
        };
        let keys = dir.join("trusted.keys");
        let trusted_keys = String::from_utf8(need("trusted.keys")?)
            .ok()
            .and_then(|text| text.split_whitespace().map(|hex| Some(*hex.parse::<Digest>().ok()?.as_bytes())).collect())
            .ok_or_else(|| malformed(&keys, "a list of keys, 64 hexadecimal digits a line"))?;
        Ok(Some(Self {
            agent,
            certificate: need("agent.crt")?,
            key: need("agent.key")?,
            ca: need("ca.crt")?,
            trusted_keys,
        }))
    }

    /// See that an identity could be kept in this state folder.
    pub fn prepare(state: &Path) -> Result<(), IdentityError> {
        let dir = state.join("identity");
        fs::create_dir_all(&dir).map_err(io("create", &dir))?;
        let probe = dir.join("probe");
        write(&probe, b"may be deleted").and_then(|()| fs::remove_file(&probe)).map_err(io("write to", &dir))
    }

    /// Keep it in this state folder. Each file is replaced as a whole and is on disk when this returns.
    pub fn save(&self, state: &Path) -> Result<(), IdentityError> {
        let dir = state.join("identity");
        fs::create_dir_all(&dir).map_err(io("create", &dir))?;
        let keys: String = self.trusted_keys.iter().map(|key| Digest::from_bytes(*key).to_hex() + "\n").collect();
        let agent = self.agent.to_string();
        let files: [(&str, &[u8]); 5] = [
            ("ca.crt", &self.ca),
            ("trusted.keys", keys.as_bytes()),
            ("agent.key", &self.key),
            ("agent.crt", &self.certificate),
            ("agent.id", agent.as_bytes()),
        ];
        for (name, bytes) in files {
            let path = dir.join(name);
            write(&path, bytes).map_err(io("write", &path))?;
        }
        fs::File::open(&dir).and_then(|dir| dir.sync_all()).map_err(io("sync", &dir))
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, IdentityError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(IdentityError::Io { attempt: "read", path: path.to_owned(), source }),
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    // An old one may be there, left by a crash, with whatever mode.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

pub(crate) fn io(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> IdentityError {
    let path = path.to_owned();
    move |source| IdentityError::Io { attempt, path, source }
}

fn malformed(path: &Path, expected: &'static str) -> IdentityError {
    IdentityError::Malformed { path: path.to_owned(), expected }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn identity() -> Identity {
        Identity {
            agent: AgentId::new(),
            certificate: vec![1; 10],
            key: vec![77; 10],
            ca: vec![3; 10],
            trusted_keys: vec![[4; 32], [5; 32]],
        }
    }

    #[test]
    fn what_is_saved_is_loaded_and_nobody_else_may_read_it() {
        let (state, identity) = (tempfile::tempdir().unwrap(), identity());
        Identity::prepare(state.path()).unwrap();
        assert_eq!(Identity::load(state.path()).unwrap(), None);
        identity.save(state.path()).unwrap();
        identity.save(state.path()).unwrap();
        assert_eq!(Identity::load(state.path()).unwrap(), Some(identity));
        for entry in fs::read_dir(state.path().join("identity")).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_damaged_file_is_named() {
        let state = tempfile::tempdir().unwrap();
        identity().save(state.path()).unwrap();
        fs::write(state.path().join("identity/trusted.keys"), "abc").unwrap();
        let error = Identity::load(state.path()).unwrap_err().to_string();
        assert!(error.contains("trusted.keys is not a list of keys"), "{error}");
    }

    #[test]
    fn debug_hides_the_key() {
        let debug = format!("{:?}", identity());
        assert!(!debug.contains("77, 77") && !debug.contains("4d4d4d"), "{debug}");
    }
}
