//! The key that guards the cache of compiled code: 32 random bytes in a file that only its owner may read.
//!
//! It is made by whoever comes first. Two processes that race agree on one key: each writes a file of its own and
//! links it to the name, which only one can; then both read what stands there.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

const KEY_LEN: usize = 32;

/// Why a key file cannot be trusted. Each of these has to be looked at by a person.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Others may read or write it.
    #[error(
        "the compile cache's key file {} has mode {mode:04o}: others could read it and forge compiled code; \
         delete it to have a new one made, or set its mode to 0600", path.display()
    )]
    WiderMode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to another user.
    #[error(
        "the compile cache's key file {} belongs to user {owner}, not to user {user} who runs this; \
         name another file, or delete it to have a new one made", path.display()
    )]
    OtherOwner {
        /// The file.
        path: PathBuf,
        /// Its owner's user id.
        owner: u32,
        /// Our user id.
        user: u32,
    },
    /// It is no file of 32 bytes.
    #[error("the compile cache's key file {} is no key ({what}); delete it to have a new one made", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        what: String,
    },
    /// Whoever may write the cache could then replace the key.
    #[error("the compile cache's key file {} must not lie inside the cache {}", path.display(), cache.display())]
    InsideCache {
        /// The file.
        path: PathBuf,
        /// The folder.
        cache: PathBuf,
    },
}

/// What reading or making a key came to, other than a key.
#[derive(Debug)]
pub(super) enum NoKey {
    /// The file is there and must not be used.
    Refused(KeyError),
    /// The file can neither be read nor made: no permission, no room, a read-only disk.
    Unavailable(io::Error),
}

impl From<io::Error> for NoKey {
    fn from(error: io::Error) -> Self {
        NoKey::Unavailable(error)
    }
}

/// The key of this node and user.
pub(super) struct NodeKey([u8; KEY_LEN]);

impl NodeKey {
    /// Read the key at `path`, or make it if there is none.
    pub(super) fn load_or_create(path: &Path) -> Result<NodeKey, NoKey> {
        if let Some(key) = read(path)? {
            return Ok(key);
        }
        create(path)?;
        // Ours, or that of a process that was faster.
        read(path)?.ok_or_else(|| NoKey::Unavailable(io::ErrorKind::NotFound.into()))
    }

    /// A key for one purpose, named by `parts`: what it signs cannot be passed off as anything else.
    pub(super) fn derive(&self, parts: &[&[u8]]) -> hmac::Key {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &self.0));
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        hmac::Key::new(hmac::HMAC_SHA256, context.sign().as_ref())
    }
}

fn read(path: &Path) -> Result<Option<NodeKey>, NoKey> {
    let nofollow = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    let mut file = match OpenOptions::new().read(true).custom_flags(nofollow).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(malformed(path, "a symbolic link"));
        }
        Err(error) => return Err(error.into()),
    };
    // Asked of the open file, not of the name: it cannot be exchanged in between.
    let metadata = file.metadata()?;
    let user = rustix::process::geteuid().as_raw();
    let mode = metadata.mode() & 0o7777;
    if !metadata.is_file() {
        return Err(malformed(path, "not a regular file"));
    }
    if metadata.uid() != user {
        let owner = metadata.uid();
        return Err(NoKey::Refused(KeyError::OtherOwner { path: path.into(), owner, user }));
    }
    if mode & 0o077 != 0 {
        return Err(NoKey::Refused(KeyError::WiderMode { path: path.into(), mode }));
    }
    if metadata.len() != KEY_LEN as u64 {
        return Err(malformed(path, &format!("{} bytes instead of {KEY_LEN}", metadata.len())));
    }
    let mut key = [0; KEY_LEN];
    file.read_exact(&mut key)?;
    Ok(Some(NodeKey(key)))
}

fn create(path: &Path) -> Result<(), NoKey> {
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut bytes = [0; KEY_LEN + 8];
    let no_random = |_| io::Error::other("the system gives no random bytes");
    SystemRandom::new().fill(&mut bytes).map_err(no_random)?;
    let (key, name) = bytes.split_at(KEY_LEN);
    let temporary = folder.join(format!(".key-{}.tmp", super::hex(name)));
    let written = write_new(&temporary, key).and_then(|()| fs::hard_link(&temporary, path));
    let removed = fs::remove_file(&temporary);
    match written {
        Ok(()) => Ok(removed?),
        // Another process was faster: its key is as good.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn write_new(path: &Path, key: &[u8]) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(key)?;
    file.sync_all()
}

fn malformed(path: &Path, what: &str) -> NoKey {
    NoKey::Refused(KeyError::Malformed { path: path.into(), what: what.into() })
}
