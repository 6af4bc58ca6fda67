//! What a control host that serves keeps to itself, in files that only its user can read.
//!
//! ```text
//! DIR/ca/ca.crt, ca.key      its certificate authority
//! DIR/ca/manifest.key        the key with which it signs plugins (Ed25519, PKCS#8 DER)
//! DIR/admin.token            the token that its first start made
//! ```

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use ring::{
    rand::{SecureRandom as _, SystemRandom},
    signature::Ed25519KeyPair,
};

use crate::ControlError;

/// A signing key for this process alone.
pub(crate) fn new_signing_key() -> Result<Ed25519KeyPair, ControlError> {
    Ed25519KeyPair::from_pkcs8(&new_pkcs8()?).map_err(|_| ControlError::NoRandomness)
}

/// The signing key in this folder, made if there is none.
pub(crate) fn signing_key(dir: &Path) -> Result<Ed25519KeyPair, ControlError> {
    let path = dir.join("manifest.key");
    let pkcs8 = match fs::read(&path) {
        Ok(pkcs8) => pkcs8,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let pkcs8 = new_pkcs8()?;
            write(&path, &pkcs8).map_err(|source| ControlError::Secret {
                attempt: "write",
                path: path.clone(),
                source,
            })?;
            pkcs8
        }
        Err(source) => return Err(ControlError::Secret { attempt: "read", path, source }),
    };
    Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|_| ControlError::SigningKey { path })
}

/// Make a folder that only its user can look into, or see to it that the one that is there is such a one.
pub(crate) fn private_dir(dir: &Path) -> Result<(), ControlError> {
    let failed = |source| ControlError::Secret { attempt: "create", path: dir.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(failed)
}

/// Write a file of which there is either all or nothing, and that only its user can read.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut new = PathBuf::from(path);
    new.set_extension("new");
    let _ = fs::remove_file(&new);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(dir) => fs::File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

/// So many random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], ControlError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| ControlError::NoRandomness)?;
    Ok(bytes)
}

fn new_pkcs8() -> Result<Vec<u8>, ControlError> {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| ControlError::NoRandomness)?;
    Ok(pkcs8.as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use ring::signature::KeyPair as _;

    use super::*;

    #[test]
    fn a_key_on_disk_stays_the_same_and_is_for_its_user_alone() {
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join("ca");
        private_dir(&ca).unwrap();
        let first = signing_key(&ca).unwrap();
        let second = signing_key(&ca).unwrap();
        assert_eq!(first.public_key().as_ref(), second.public_key().as_ref());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&ca), mode(&ca.join("manifest.key"))), (0o700, 0o600));
        fs::write(ca.join("manifest.key"), b"garbage").unwrap();
        assert!(matches!(signing_key(&ca), Err(ControlError::SigningKey { .. })));
    }
}
