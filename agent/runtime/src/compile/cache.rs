//! Compiled code on disk, one file a component and engine: 32 bytes of MAC, then the code.
//!
//! Losing an entry costs one compilation and nothing else, so nothing is synced: a file torn by a power cut has a wrong
//! MAC and is made anew. A cache that cannot be written is done without, and says so once.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use ring::hmac;

use super::key::{KeyError, NoKey, NodeKey};
use super::{Fingerprint, MAX_COMPILED, hex};

/// Bytes of the MAC before the code.
const TAG_LEN: usize = 32;

/// How an entry's name ends.
const SUFFIX: &str = ".compiled";

/// How the name of an entry that is still being written ends.
const TEMPORARY: &str = ".tmp";

/// A temporary file older than this was left by a process that died.
const ABANDONED: Duration = Duration::from_secs(3600);

/// Where compiled code is kept.
#[derive(Clone, Debug)]
pub struct CacheConfig {
    /// The folder. Made if it is not there.
    pub dir: PathBuf,
    /// The file of the key that guards it, outside the folder. Made if it is not there.
    pub key_file: PathBuf,
    /// Bytes that the entries may have together; the least recently used go first.
    pub max_bytes: u64,
}

impl CacheConfig {
    /// A cache of 2 GiB.
    pub fn new(dir: impl Into<PathBuf>, key_file: impl Into<PathBuf>) -> CacheConfig {
        CacheConfig { dir: dir.into(), key_file: key_file.into(), max_bytes: 2 << 30 }
    }
}

/// Why compiled code is not kept. It costs later processes some time, and nothing else.
#[derive(Debug, thiserror::Error)]
#[error("compiled components cannot be kept: failed to {attempt} {}", path.display())]
pub struct CacheTrouble {
    attempt: &'static str,
    /// What cannot be written.
    pub path: PathBuf,
    source: io::Error,
}

/// The first trouble with a cache, once there was any.
pub(super) type Trouble = Arc<OnceLock<CacheTrouble>>;

pub(super) struct Cache {
    dir: PathBuf,
    max_bytes: u64,
    key: NodeKey,
    fingerprint: Fingerprint,
    trouble: Trouble,
    /// Numbers this process's temporary files.
    written: AtomicU64,
}

/// An entry whose MAC is right, as it lies in this process's own memory.
pub(super) struct Entry(Vec<u8>);

impl Entry {
    pub(super) fn compiled(&self) -> &[u8] {
        &self.0[TAG_LEN..]
    }
}

impl Cache {
    /// Open or make a cache. `None`, with a warning, if neither can be done. What goes wrong, now or later, is told
    /// once and left in `trouble`.
    pub(super) fn open(
        config: CacheConfig,
        fingerprint: Fingerprint,
        trouble: Trouble,
    ) -> Result<Option<Cache>, KeyError> {
        let CacheConfig { dir, key_file, max_bytes } = config;
        if key_file.starts_with(&dir) {
            return Err(KeyError::InsideCache { path: key_file, cache: dir });
        }
        let key = match NodeKey::load_or_create(&key_file) {
            Ok(key) => key,
            Err(NoKey::Refused(error)) => return Err(error),
            Err(NoKey::Unavailable(error)) => {
                tell_once(&trouble, "make the compile cache's key", key_file, error);
                return Ok(None);
            }
        };
        let cache = Cache { dir, max_bytes, key, fingerprint, trouble, written: AtomicU64::new(0) };
        if let Err(error) = DirBuilder::new().recursive(true).mode(0o700).create(&cache.dir) {
            cache.cannot_be_written(error);
        }
        Ok(Some(cache))
    }

    /// The compiled form of the component with this digest, if it is there and ours.
    pub(super) fn find(&self, digest: &[u8; 32]) -> Option<Entry> {
        let path = self.path(digest);
        let bytes = match read_whole(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                self.discard(digest, &error.to_string());
                return None;
            }
        };
        let right = bytes
            .split_at_checked(TAG_LEN)
            .is_some_and(|(tag, compiled)| hmac::verify(&self.entry_key(digest), compiled, tag).is_ok());
        if !right {
            self.discard(digest, "its MAC is wrong: it is torn, or was not written by this node and user");
            return None;
        }
        Some(Entry(bytes))
    }

    /// Keep `compiled`. What goes wrong here costs a later process some time, and this one nothing.
    pub(super) fn put(&self, digest: &[u8; 32], compiled: &[u8]) {
        let size = (TAG_LEN + compiled.len()) as u64;
        if size > self.max_bytes {
            return;
        }
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let name = format!(".{}-{}-{number}{TEMPORARY}", self.name(digest), std::process::id());
        let temporary = self.dir.join(name);
        let tag = hmac::sign(&self.entry_key(digest), compiled);
        let written = write_entry(&temporary, tag.as_ref(), compiled)
            .and_then(|()| fs::rename(&temporary, self.path(digest)))
            .and_then(|()| self.evict(&self.path(digest)));
        if let Err(error) = written {
            // As a rule it is not there any more, or was never made.
            let _ = fs::remove_file(&temporary);
            self.cannot_be_written(error);
        }
    }

    /// Delete an entry that cannot be used.
    pub(super) fn discard(&self, digest: &[u8; 32], why: &str) {
        let path = self.path(digest);
        tracing::warn!(entry = %path.display(), why, "deleting an entry of the compile cache and compiling anew");
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            self.cannot_be_written(error);
        }
    }

    fn name(&self, digest: &[u8; 32]) -> String {
        // Half of the fingerprint tells engines apart; the MAC covers all of it.
        format!("{}-{}{SUFFIX}", hex(digest), hex(&self.fingerprint.as_bytes()[..16]))
    }

    fn path(&self, digest: &[u8; 32]) -> PathBuf {
        self.dir.join(self.name(digest))
    }

    /// An entry's own key: an entry of another component or engine has a wrong MAC under this name.
    fn entry_key(&self, digest: &[u8; 32]) -> hmac::Key {
        self.key.derive(&[b"pigeon compiled component 1", digest, self.fingerprint.as_bytes()])
    }

    /// Delete what was used longest ago, until the rest fits; `newest` stays in any case.
    fn evict(&self, newest: &Path) -> io::Result<()> {
        let now = SystemTime::now();
        let mut total = 0;
        let mut entries = Vec::new();
        for file in fs::read_dir(&self.dir)? {
            let file = file?;
            let name = file.file_name();
            let name = name.to_string_lossy();
            // Another process may delete it at the same time.
            let Ok(metadata) = file.metadata() else { continue };
            let used = metadata.modified()?;
            if name.ends_with(TEMPORARY) && now.duration_since(used).is_ok_and(|age| age > ABANDONED) {
                let _ = fs::remove_file(file.path());
            } else if name.ends_with(SUFFIX) {
                total += metadata.len();
                entries.push((used, file.path(), metadata.len()));
            }
        }
        entries.sort();
        for (_, path, size) in entries {
            if total <= self.max_bytes {
                break;
            }
            if path == newest {
                continue;
            }
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => total -= size,
            }
        }
        Ok(())
    }

    fn cannot_be_written(&self, error: io::Error) {
        tell_once(&self.trouble, "write to", self.dir.clone(), error);
    }
}

/// The first trouble is warned of and kept: those that follow have the same cause as a rule.
fn tell_once(trouble: &Trouble, attempt: &'static str, path: PathBuf, source: io::Error) {
    if let Ok(()) = trouble.set(CacheTrouble { attempt, path, source })
        && let Some(CacheTrouble { path, source, .. }) = trouble.get()
    {
        tracing::warn!(
            path = %path.display(), error = %source,
            "compiled components cannot be kept, so each process compiles them anew: see that this can be written"
        );
    }
}

/// The whole of a file in memory of our own, and a note that it was used just now.
fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > MAX_COMPILED {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no file, or too large"));
    }
    // One more byte than it has: the read that finds the end needs no second allocation.
    let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
    (&mut file).take(MAX_COMPILED).read_to_end(&mut bytes)?;
    // The order in which entries go. On a read-only disk nothing goes.
    let _ = file.set_modified(SystemTime::now());
    Ok(bytes)
}

fn write_entry(path: &Path, tag: &[u8], compiled: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(tag)?;
    file.write_all(compiled)
}
