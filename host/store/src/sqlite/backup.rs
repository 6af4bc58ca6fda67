//! A copy of all that is kept as of one moment, while others write.
//!
//! ```text
//! hold the lock             nothing that takes room is removed; appends, outcomes and all else go on
//! copy the database         in one read transaction: this is the moment
//! link the files it names   they were on disk before it named them, so none is missing; a file of items has grown since, and
//!                           what is behind the part that is named is read by nobody
//! let go of the lock        the links hold what is removed from here on
//! ```
//!
//! The copy lies in the state directory, so that links can be made; whoever dies leaves it, and the next backup or sweep
//! removes it.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use pigeon_protocol::id::Epoch;
use rusqlite::Connection;
use tokio::task::spawn_blocking;

use super::{
    DATABASE, Inner, events,
    jobs::{digest_of, id_of},
    lock::FileLock,
    number, schema,
};
use crate::{Backup, Owned, Result, SqliteStore, StoreError, backup::Entry, bodies::io_error};

/// Numbers the backups of this process.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A copy that goes when this is dropped.
#[derive(Debug)]
struct Copy {
    dir: PathBuf,
    lock: PathBuf,
    _held: FileLock,
}

impl Drop for Copy {
    fn drop(&mut self) {
        // What stays, the next backup or sweep removes.
        let _ = fs::remove_dir_all(&self.dir);
        let _ = fs::remove_file(&self.lock);
    }
}

impl SqliteStore {
    /// Whether each page of the database in a directory is as it has to be. Nobody uses it yet. Blocks, for as long as it
    /// takes to read it.
    pub(crate) fn check_whole(dir: &Path) -> Result<()> {
        let connection = schema::open_beside(&dir.join(DATABASE))?;
        let found: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
        if found != "ok" {
            return Err(StoreError::Corrupt { what: format!("{DATABASE}: {found}") });
        }
        connection.close().map_err(|(_, error)| error.into())
    }

    /// See that what is added to the log of a database that was restored gets numbers that nobody saw before. Nobody uses it
    /// yet.
    pub(crate) fn leap(dir: &Path) -> Result<()> {
        let connection = schema::open_beside(&dir.join(DATABASE))?;
        events::leap(&connection)?;
        connection.close().map_err(|(_, error)| error.into())
    }
}

impl Inner {
    /// Copy all that is kept.
    pub(super) async fn backup(self: Arc<Self>, beside: Vec<PathBuf>) -> Result<Backup> {
        let take = move || {
            let _alone = self.locks.backup()?;
            self.remove_copies()?;
            let copy = self.new_copy()?;
            let mut entries = vec![self.copy_database(&copy.dir).map_err(|error| error.in_database(&self.database))?];
            let named = schema::open_reader(&copy.dir.join(DATABASE))?;
            self.link_items(&named, &copy.dir, &mut entries)?;
            self.link_bodies(&named, &copy.dir, &mut entries)?;
            drop(named);
            for path in beside {
                copy_beside(&self.state, &copy.dir, &path, &mut entries)?;
            }
            Ok(Backup::new(copy.dir.clone(), entries, copy))
        };
        spawn_blocking(take).await.map_err(|_| StoreError::Closed)?
    }

    fn copies(&self) -> PathBuf {
        self.state.join("backups")
    }

    /// A place for a copy. The caller has the lock, so nobody takes it for one that was left.
    fn new_copy(&self) -> Result<Copy> {
        let name = format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let dir = self.copies().join(&name);
        fs::create_dir_all(&dir).map_err(|source| io_error("create", &dir, source))?;
        let lock = self.copies().join(format!("{name}.lock"));
        let held = FileLock::alone(&lock, Owned::Directory)?;
        Ok(Copy { dir, lock, _held: held })
    }

    /// Remove copies that nobody needs any more: their processes died. The caller holds a lock that keeps others from
    /// beginning one.
    pub(super) fn remove_copies(&self) -> Result<()> {
        let dir = self.copies();
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(|source| io_error("read", &dir, source))?,
        };
        for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
            let lock = path.with_extension("lock");
            match FileLock::alone(&lock, Owned::Directory) {
                Ok(_held) => {
                    fs::remove_dir_all(&path).map_err(|source| io_error("remove", &path, source))?;
                    fs::remove_file(&lock).map_err(|source| io_error("remove", &lock, source))?;
                }
                Err(StoreError::Busy { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn copy_database(&self, to: &Path) -> Result<Entry> {
        let path = to.join(DATABASE);
        let bad_path = || StoreError::Io {
            doing: "name",
            path: path.clone(),
            source: io::Error::new(io::ErrorKind::InvalidFilename, "it is not UTF-8"),
        };
        let connection = schema::open_beside(&self.database)?;
        connection.execute("VACUUM INTO ?1", [path.to_str().ok_or_else(bad_path)?])?;
        entry(to, DATABASE.into())
    }

    fn link_items(&self, named: &Connection, to: &Path, entries: &mut Vec<Entry>) -> Result<()> {
        let mut select = named.prepare(
            "SELECT DISTINCT id, spool FROM body JOIN job ON job.key = body.job WHERE spool IS NOT NULL ORDER BY id, spool",
        )?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (job, epoch) = (id_of(row)?, Epoch(number(row.get("spool")?)));
            let (from, name) = (self.spools.path(job, epoch), format!("items/{job}/{}", epoch.0));
            link(&from, &to.join(&name))?;
            entries.push(entry(to, name.into())?);
        }
        Ok(())
    }

    fn link_bodies(&self, named: &Connection, to: &Path, entries: &mut Vec<Entry>) -> Result<()> {
        let mut select = named.prepare("SELECT digest FROM plugin UNION SELECT digest FROM body_file")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let digest = digest_of(row, "digest")?;
            let name = format!("bodies/{}", digest.to_hex());
            let path = to.join(&name);
            path.parent().map_or(Ok(()), make_dir)?;
            if !self.bodies.copy(digest, &path)? {
                return Err(StoreError::Corrupt { what: format!("the body {digest} is missing") });
            }
            entries.push(entry(to, name.into())?);
        }
        Ok(())
    }
}

fn make_dir(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).map_err(|source| io_error("create", dir, source))
}

/// A file by another name, or a copy of it where there are no links.
fn link(from: &Path, to: &Path) -> Result<()> {
    to.parent().map_or(Ok(()), make_dir)?;
    if fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    fs::copy(from, to).map(|_| ()).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => StoreError::Corrupt { what: format!("{} is missing", from.display()) },
        _ => io_error("copy", from, source),
    })
}

/// What is in the copy by this name, as it is now.
fn entry(copy: &Path, name: PathBuf) -> Result<Entry> {
    let path = copy.join(&name);
    let file = fs::metadata(&path).map_err(|source| io_error("read", &path, source))?;
    Ok(Entry { name, size: file.is_file().then_some(file.len()), mode: file.mode() & 0o777 })
}

/// Copy a file or a directory out of the state directory, with its modes; what is not there needs no copy.
fn copy_beside(state: &Path, to: &Path, name: &Path, entries: &mut Vec<Entry>) -> Result<()> {
    let (from, path) = (state.join(name), to.join(name));
    let file = match fs::symlink_metadata(&from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file.map_err(|source| io_error("read", &from, source))?,
    };
    if file.is_dir() {
        make_dir(&path)?;
        let mode = fs::Permissions::from_mode(file.mode() & 0o777 | 0o700);
        fs::set_permissions(&path, mode).map_err(|source| io_error("create", &path, source))?;
        entries.push(entry(to, name.to_owned())?);
        for inner in fs::read_dir(&from).map_err(|source| io_error("read", &from, source))?.flatten() {
            copy_beside(state, to, &name.join(inner.file_name()), entries)?;
        }
    } else if file.is_file() {
        path.parent().map_or(Ok(()), make_dir)?;
        // With its mode.
        fs::copy(&from, &path).map_err(|source| io_error("copy", &from, source))?;
        entries.push(entry(to, name.to_owned())?);
    }
    Ok(())
}
