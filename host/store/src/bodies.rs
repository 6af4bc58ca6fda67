//! Bodies that are too large to lie in the database, by their digest.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use pigeon_protocol::id::Digest;

use crate::{Result, StoreError};

/// Where large bodies are: a directory, or an object store. Calls may block; they are made off the async threads.
pub trait Bodies: std::fmt::Debug + Send + Sync + 'static {
    /// Keep a body. When it returns, the body is whole and on disk, and may be named. One that is there already stays.
    fn put(&self, digest: Digest, body: &[u8]) -> Result<()>;

    /// A body. What is returned has the digest that was asked for.
    fn read(&self, digest: Digest) -> Result<Option<Bytes>>;

    /// Have a body as a file of its own, which is as good as a copy; whether it was there.
    fn copy(&self, digest: Digest, to: &Path) -> Result<bool> {
        let Some(body) = self.read(digest)? else { return Ok(false) };
        fs::write(to, body).map_err(|source| io_error("write", to, source))?;
        Ok(true)
    }

    /// Bytes that they take on the disk of the state directory.
    fn bytes(&self) -> Result<u64>;

    /// Remove every body but those that are `named`, and whatever was left half written; how many bodies went. Nobody
    /// puts bodies meanwhile.
    fn retain(&self, named: &mut dyn FnMut(Digest) -> Result<bool>) -> Result<u64>;
}

/// Files in a directory, named by the hexadecimal digits of their digest.
#[derive(Debug)]
pub struct DirBodies {
    dir: PathBuf,
    /// Numbers the files that are being written.
    temporary: AtomicU64,
}

impl DirBodies {
    /// Bodies in `dir`, which is made if it is missing.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self> {
        let dir = dir.into();
        fs::create_dir_all(&dir).map_err(|source| io_error("create", &dir, source))?;
        Ok(Self { dir, temporary: AtomicU64::new(0) })
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.dir.join(digest.to_hex())
    }

    /// A file that nobody else writes: in another container there may be a process of the same number.
    fn temporary(&self) -> Result<(PathBuf, File)> {
        loop {
            let number = self.temporary.fetch_add(1, Ordering::Relaxed);
            let path = self.dir.join(format!(".{}-{number}", std::process::id()));
            match File::create_new(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return Ok((path.clone(), made.map_err(|source| io_error("create", &path, source))?)),
            }
        }
    }

    fn write(&self, path: &Path, body: &[u8]) -> Result<()> {
        let (temporary, mut file) = self.temporary()?;
        let mut write = || -> io::Result<()> {
            file.write_all(body)?;
            file.sync_all()?;
            fs::rename(&temporary, path)
        };
        write().map_err(|source| {
            // It holds nothing that anybody knows of; if it cannot be removed now, a sweep will.
            let _ = fs::remove_file(&temporary);
            io_error("write", path, source)
        })?;
        sync_dir(&self.dir)
    }
}

impl Bodies for DirBodies {
    fn put(&self, digest: Digest, body: &[u8]) -> Result<()> {
        let path = self.path(digest);
        if path.exists() {
            // Whoever renamed it there may not have synced the directory yet.
            return sync_dir(&self.dir);
        }
        self.write(&path, body)
    }

    fn read(&self, digest: Digest) -> Result<Option<Bytes>> {
        let path = self.path(digest);
        let body = match fs::read(&path) {
            Ok(body) => Bytes::from(body),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(io_error("read", &path, source)),
        };
        if Digest::of(&body) != digest {
            return Err(StoreError::Corrupt { what: format!("{} is not what was written", path.display()) });
        }
        Ok(Some(body))
    }

    fn copy(&self, digest: Digest, to: &Path) -> Result<bool> {
        let path = self.path(digest);
        match fs::hard_link(&path, to).or_else(|_| fs::copy(&path, to).map(|_| ())) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(io_error("copy", &path, source)),
        }
    }

    fn bytes(&self) -> Result<u64> {
        let entries = fs::read_dir(&self.dir).map_err(|source| io_error("read", &self.dir, source))?;
        // What is removed meanwhile has none.
        Ok(entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).sum())
    }

    fn retain(&self, named: &mut dyn FnMut(Digest) -> Result<bool>) -> Result<u64> {
        let mut removed = 0;
        for entry in fs::read_dir(&self.dir).map_err(|source| io_error("read", &self.dir, source))? {
            let path = entry.map_err(|source| io_error("read", &self.dir, source))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let stale = match name.parse::<Digest>() {
                Ok(digest) => !named(digest)?,
                Err(_) if name.starts_with('.') => true,
                // Not ours.
                Err(_) => continue,
            };
            if stale {
                fs::remove_file(&path).map_err(|source| io_error("remove", &path, source))?;
                removed += u64::from(!name.starts_with('.'));
            }
        }
        Ok(removed)
    }
}

/// Make what was created, renamed or removed in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|source| io_error("sync", dir, source))
}

/// What became of a file operation: no room, a quota and a limit on file sizes are all a full disk.
pub(crate) fn io_error(doing: &'static str, path: &Path, source: io::Error) -> StoreError {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    match source.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => StoreError::DiskFull { path: path.to_owned() },
        _ => StoreError::Io { doing, path: path.to_owned(), source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_kept_once_and_read_whole() {
        let dir = tempfile::tempdir().unwrap();
        let bodies = DirBodies::open(dir.path().join("bodies")).unwrap();
        let digest = Digest::of(b"body");
        assert_eq!(bodies.read(digest).unwrap(), None);
        bodies.put(digest, b"body").unwrap();
        bodies.put(digest, b"body").unwrap();
        assert_eq!(bodies.read(digest).unwrap().unwrap(), "body");
    }

    #[test]
    fn a_damaged_body_is_not_given_out() {
        let dir = tempfile::tempdir().unwrap();
        let bodies = DirBodies::open(dir.path()).unwrap();
        let digest = Digest::of(b"body");
        bodies.put(digest, b"body").unwrap();
        fs::write(bodies.path(digest), b"b0dy").unwrap();
        assert!(matches!(bodies.read(digest), Err(StoreError::Corrupt { .. })));
    }

    #[test]
    fn a_file_that_somebody_else_writes_is_left_to_him() {
        let dir = tempfile::tempdir().unwrap();
        let bodies = DirBodies::open(dir.path()).unwrap();
        let other = dir.path().join(format!(".{}-0", std::process::id()));
        fs::write(&other, b"half").unwrap();
        bodies.put(Digest::of(b"body"), b"body").unwrap();
        assert_eq!(bodies.read(Digest::of(b"body")).unwrap().unwrap(), "body");
        assert_eq!(fs::read(&other).unwrap(), b"half");
    }

    #[test]
    fn what_nobody_names_goes() {
        let dir = tempfile::tempdir().unwrap();
        let bodies = DirBodies::open(dir.path()).unwrap();
        let (kept, lost) = (Digest::of(b"kept"), Digest::of(b"lost"));
        bodies.put(kept, b"kept").unwrap();
        bodies.put(lost, b"lost").unwrap();
        fs::write(dir.path().join(".1-2"), b"half").unwrap();
        fs::write(dir.path().join("README"), b"not ours").unwrap();
        assert_eq!(bodies.retain(&mut |digest| Ok(digest == kept)).unwrap(), 1);
        assert!(bodies.read(kept).unwrap().is_some());
        assert_eq!(bodies.read(lost).unwrap(), None);
        assert!(!dir.path().join(".1-2").exists());
        assert!(dir.path().join("README").exists());
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), b"").unwrap();
        let error = DirBodies::open(dir.path().join("file/bodies")).unwrap_err();
        assert!(error.to_string().contains("file/bodies"), "{error}");
    }
}
