//! Where a new secret goes: into a file that only its user can read, and nowhere else unless that is asked for.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use crate::{exit::Failed, stdout};

/// A place for a secret. It is made before the secret is, so that none is lost.
pub(crate) struct SecretFile {
    to: To,
}

enum To {
    Stdout,
    File { file: File, path: PathBuf, kept: bool },
}

impl SecretFile {
    /// Make it; `-` is standard output.
    ///
    /// # Errors
    /// If it cannot be made, or is there already: what lies in it may be needed.
    pub(crate) fn create(path: &Path) -> Result<Self, Failed> {
        if path.as_os_str() == "-" {
            stdout::check("name a file instead")?;
            return Ok(Self { to: To::Stdout });
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = file.map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::AlreadyExists => {
                    "a file that is there is not written over: name another, or move it aside"
                }
                _ => "does its folder exist, and may you write there?",
            };
            Failed::usage(format!("failed to make {} for the secret", path.display())).caused_by(error).hint(hint)
        })?;
        Ok(Self { to: To::File { file, path: path.to_owned(), kept: false } })
    }

    /// Write it down.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub(crate) fn keep(mut self, secret: &str) -> Result<(), Failed> {
        let failed = |error| Failed::machinery("failed to write down the secret: it is lost").caused_by(error);
        match &mut self.to {
            To::Stdout => writeln!(io::stdout(), "{secret}").map_err(failed),
            To::File { file, kept, .. } => {
                writeln!(file, "{secret}").and_then(|()| file.sync_all()).map_err(failed)?;
                *kept = true;
                Ok(())
            }
        }
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        if let To::File { path, kept: false, .. } = &self.to {
            // An empty file that stays does no harm.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_for_its_user_alone_and_writes_over_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        SecretFile::create(&path).unwrap().keep("s3cret").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "s3cret\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        SecretFile::create(&path).err().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "s3cret\n");
        let unused = dir.path().join("unused");
        drop(SecretFile::create(&unused).unwrap());
        assert!(!unused.exists(), "a secret that never came leaves nothing");
    }
}
