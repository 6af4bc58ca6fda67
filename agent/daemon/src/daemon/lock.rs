//! The state folder belongs to one agent at a time: of two with one identity the hub would end the first.
//!
//! The lock is the kernel's, on the file `lock` in the folder, and dies with its process, whatever kills it. Compile
//! children do not inherit it. Whoever holds it writes its process id into the file, for those who are turned away.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use crate::identity::io;

/// Another agent lives in the state folder.
#[derive(Debug, thiserror::Error)]
#[error("the state folder {} is in use by {}", dir.display(), whom(*pid))]
pub(crate) struct FolderInUse {
    dir: PathBuf,
    /// By whom, if that can be told.
    pid: Option<u32>,
}

fn whom(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// A state folder that is ours until this is dropped.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Have the folder, which is made if it is missing, now or not at all.
    pub(crate) fn take(dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).map_err(io("create", dir))?;
        let path = dir.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io("open", &path))?;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => {
                    let mut text = String::new();
                    // What cannot be read tells nothing.
                    let _ = file.read_to_string(&mut text);
                    return Err(FolderInUse { dir: dir.to_owned(), pid: text.trim().parse().ok() }.into());
                }
                Err(errno) => return Err(io("lock", &path)(errno.into()).into()),
            }
        }
        // Only a hint: the lock holds without it.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_one_agents_until_it_ends() {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("not/there/yet");
        let lock = FolderLock::take(&dir).unwrap();
        let error = FolderLock::take(&dir).unwrap_err().to_string();
        let words = format!("the state folder {} is in use by process {}", dir.display(), std::process::id());
        assert_eq!(error, words);
        // Who holds it has not yet said who it is.
        fs::write(dir.join("lock"), "").unwrap();
        let error = FolderLock::take(&dir).unwrap_err().to_string();
        assert!(error.ends_with("is in use by another process"), "{error}");
        drop(lock);
        FolderLock::take(&dir).unwrap();
    }
}
