//! The contexts of this user: which servers there are, how they are known again, and which of them is in use.
//!
//! They lie in one file, `$XDG_CONFIG_HOME/pigeon/contexts.toml`. It holds tokens: it is for its user alone, and is
//! replaced as a whole. Who changes it holds a lock beside it, so that two commands at once lose nothing.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use pigeon_api::{
    Digest,
    client::{Endpoint, Trust},
};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::{dirs, exit::Failed, words::nearest};

/// All of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The one in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// By name.
    #[serde(default)]
    pub(crate) contexts: BTreeMap<String, Context>,
}

/// A server, and how it is talked to. `Debug` leaves the token out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    /// `https://HOST:PORT`.
    pub(crate) server: String,
    /// What goes behind `Authorization: Bearer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
    /// SHA-256 of its CA's certificate; the certificates that the system trusts if there is neither this nor `ca`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fingerprint: Option<String>,
    /// Its CA's certificate, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<String>,
    /// The folder of the cluster that `pigeon up` made it for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<PathBuf>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("server", &self.server).field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

impl Context {
    /// How its server is reached.
    ///
    /// # Errors
    /// If the fingerprint in the file is none.
    pub(crate) fn endpoint(&self) -> Result<Endpoint, Failed> {
        let trust = match (&self.ca, &self.fingerprint) {
            (Some(ca), _) => Trust::Ca(ca.clone()),
            (None, Some(fingerprint)) => Trust::Fingerprint(fingerprint_of(fingerprint)?),
            (None, None) => Trust::System,
        };
        Ok(Endpoint { server: self.server.clone(), token: self.token.clone(), trust })
    }
}

/// A fingerprint as people write it: `sha256:` and 64 hexadecimal digits.
///
/// # Errors
/// If it is something else.
pub(crate) fn fingerprint_of(text: &str) -> Result<Digest, Failed> {
    text.trim().parse().map_err(|_| {
        Failed::usage(format!("{text:?} is no fingerprint of a CA"))
            .hint("it is sha256: and 64 hexadecimal digits, as `pigeon serve` prints it when it starts")
    })
}

/// The contexts of this user, and where they lie.
#[derive(Debug, Clone)]
pub(crate) struct ContextsFile {
    path: PathBuf,
}

impl ContextsFile {
    /// In this user's configuration.
    ///
    /// # Errors
    /// If the environment does not say where that is.
    pub(crate) fn of_user() -> Result<Self, Failed> {
        let path = dirs::config().map(|dir| dir.join("contexts.toml"));
        let none = || Failed::usage("failed to find a folder for the contexts").hint("set HOME or XDG_CONFIG_HOME");
        path.map(|path| Self { path }).ok_or_else(none)
    }

    /// What there is; nothing if there is no file.
    ///
    /// # Errors
    /// If the file cannot be read, or holds something else.
    pub(crate) fn read(&self) -> Result<Contexts, Failed> {
        let path = self.path.display();
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Contexts::default()),
            Err(error) => return Err(Failed::usage(format!("failed to read the contexts in {path}")).caused_by(error)),
        };
        toml::from_str(&text).map_err(|error| {
            // What it says of the place would show the line, and there may be a token on it.
            Failed::usage(format!("failed to read the contexts in {path}"))
                .caused_by(error.message().to_owned())
                .hint("mend the file, or move it aside and add the contexts again with `pigeon context add`")
        })
    }

    /// Change them.
    ///
    /// # Errors
    /// What `change` says, or if the file cannot be read or written.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Contexts) -> Result<T, Failed>) -> Result<T, Failed> {
        let failed = |error: io::Error| {
            Failed::machinery(format!("failed to write the contexts to {}", self.path.display()))
                .caused_by(error)
                .hint("see that the folder can be written, or name another by XDG_CONFIG_HOME")
        };
        let dir = self.path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.path.with_extension("lock"));
        let lock = lock.map_err(failed)?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|errno| failed(errno.into()))?;
        let mut contexts = self.read()?;
        let before = contexts.clone();
        let value = change(&mut contexts)?;
        if contexts != before {
            self.write(&contexts).map_err(failed)?;
        }
        Ok(value)
    }

    fn write(&self, contexts: &Contexts) -> io::Result<()> {
        let text = toml::to_string(contexts).map_err(io::Error::other)?;
        let new = self.path.with_extension("new");
        // Made anew: the mode of one that was left there is not ours.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(b"# Kept by `pigeon context`. It holds secrets.\n\n")?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        match self.path.parent() {
            Some(dir) => File::open(dir)?.sync_all(),
            None => Ok(()),
        }
    }
}

impl Contexts {
    /// The context of this name.
    ///
    /// # Errors
    /// If there is none; names that are close are suggested.
    pub(crate) fn named(&self, name: &str) -> Result<&Context, Failed> {
        self.contexts.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.contexts.keys().map(String::as_str).collect();
            let hint = match nearest(name, names.iter().copied()) {
                _ if names.is_empty() => {
                    "there are none yet: `pigeon context add NAME --server URL --token-file FILE`".to_owned()
                }
                Some(close) => format!("did you mean `{close}`? `pigeon context list` names all"),
                None => format!("there are {}", names.join(", ")),
            };
            Failed::usage(format!("there is no context {name:?}")).hint(hint)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn context(token: &str) -> Context {
        Context {
            server: "https://localhost:4780".to_owned(),
            token: Some(token.to_owned()),
            fingerprint: None,
            ca: None,
            cluster: None,
        }
    }

    fn file(dir: &tempfile::TempDir) -> ContextsFile {
        ContextsFile { path: dir.path().join("pigeon/contexts.toml") }
    }

    #[test]
    fn what_is_kept_is_read_again_and_is_for_its_user_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(&dir);
        assert_eq!(file.read().unwrap(), Contexts::default());
        let add = |name: &str| {
            file.change(|contexts| {
                contexts.current = Some(name.to_owned());
                contexts.contexts.insert(name.to_owned(), context(name));
                Ok(())
            })
        };
        add("one").unwrap();
        add("two").unwrap();
        let contexts = file.read().unwrap();
        assert_eq!((contexts.current.as_deref(), contexts.contexts.len()), (Some("two"), 2));
        assert_eq!(contexts.named("one").unwrap(), &context("one"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file.path), mode(file.path.parent().unwrap())), (0o600, 0o700));
        assert!(!format!("{:?}", context("hidden")).contains("hidden"));
    }

    #[test]
    fn a_change_that_fails_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(&dir);
        let failed = file.change(|contexts| {
            contexts.current = Some("x".to_owned());
            Err::<(), _>(Failed::usage("no"))
        });
        failed.unwrap_err();
        assert!(!file.path.exists());
    }

    #[test]
    fn an_error_in_the_file_shows_no_token() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(&dir);
        fs::create_dir_all(file.path.parent().unwrap()).unwrap();
        fs::write(&file.path, "[contexts.a]\nserver = 'x'\ntoken = 'secret' oops\n").unwrap();
        let told = format!("{:?}", file.read().unwrap_err());
        assert!(!told.contains("secret"), "{told}");
    }

    #[test]
    fn close_names_are_suggested() {
        let contexts = Contexts {
            current: None,
            contexts: [("staging".to_owned(), context("")), ("prod".to_owned(), context(""))].into(),
        };
        let hint = |name: &str| format!("{:?}", contexts.named(name).unwrap_err());
        assert!(hint("prd").contains("did you mean `prod`"), "{}", hint("prd"));
        assert!(hint("zzz").contains("there are prod, staging"), "{}", hint("zzz"));
    }
}
