//! Backups: a copy of all that is kept as of one moment, as a tar archive, and the way back.
//!
//! ```text
//! backup                 which format it is
//! pigeon.db              the database
//! items/JOB/EPOCH        bodies of items
//! bodies/HEX             components and large items
//! ...                    what was to go with it
//! complete               empty, and last: an archive without it was cut
//! ```
//!
//! A state directory that is restored gets its name when all of it is on disk. Whoever dies before leaves a directory of
//! another name, which the next attempt removes.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Component, Path, PathBuf},
};

use tar::{Archive, EntryType, Header};

use crate::{
    Result, StoreError,
    bodies::{io_error, sync_dir},
    sqlite,
};

/// The first entry, and what it says.
const FORMAT: &str = "backup";
const VERSION: &[u8] = b"pigeon backup 1\n";

/// The last entry.
const COMPLETE: &str = "complete";

/// Something in a backup.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its path, relative to the state directory.
    pub(crate) name: PathBuf,
    /// How many of its bytes are part of the backup; `None` for a directory.
    pub(crate) size: Option<u64>,
    /// Its mode.
    pub(crate) mode: u32,
}

/// A copy of all that is kept, on the same disk. It goes when this is dropped.
#[derive(Debug)]
pub struct Backup {
    dir: PathBuf,
    entries: Vec<Entry>,
    /// What sees to it that it goes.
    _guard: Box<dyn std::any::Any + Send + Sync>,
}

impl Backup {
    /// A copy in `dir`, which is there as long as `guard`.
    pub(crate) fn new(dir: PathBuf, entries: Vec<Entry>, guard: impl std::any::Any + Send + Sync) -> Self {
        Self { dir, entries, _guard: Box::new(guard) }
    }

    /// Bytes of all files in it.
    pub fn bytes(&self) -> u64 {
        self.entries.iter().filter_map(|entry| entry.size).sum()
    }

    /// Write it as a tar archive, which [`restore`] understands. Blocks.
    ///
    /// # Errors
    /// Those of `archive`, and of reading the copy.
    pub fn write_to(&self, archive: impl Write) -> Result<()> {
        let failed = |name: &Path| {
            let path = self.dir.join(name);
            move |source| io_error("copy", &path, source)
        };
        let mut archive = tar::Builder::new(archive);
        append(&mut archive, Path::new(FORMAT), VERSION, VERSION.len() as u64, 0o600)
            .map_err(failed(FORMAT.as_ref()))?;
        for Entry { name, size, mode } in &self.entries {
            let appended = match size {
                Some(size) => File::open(self.dir.join(name))
                    .and_then(|file| append(&mut archive, name, file.take(*size), *size, *mode)),
                None => append_dir(&mut archive, name, *mode),
            };
            appended.map_err(failed(name))?;
        }
        append(&mut archive, Path::new(COMPLETE), io::empty(), 0, 0o600)
            .and_then(|()| archive.into_inner()?.flush())
            .map_err(failed(COMPLETE.as_ref()))
    }
}

fn append(
    archive: &mut tar::Builder<impl Write>,
    name: &Path,
    mut content: impl Read,
    size: u64,
    mode: u32,
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(mode);
    header.set_size(size);
    archive.append_data(&mut header, name, Exactly { content: &mut content, left: size })
}

fn append_dir(archive: &mut tar::Builder<impl Write>, name: &Path, mode: u32) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Directory);
    header.set_mode(mode);
    header.set_size(0);
    archive.append_data(&mut header, name, io::empty())
}

/// Content of which the size was told: it does not end before.
struct Exactly<R> {
    content: R,
    left: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        if read == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}

/// Make a state directory of an archive that [`Backup::write_to`] wrote. `dir` is made; it may be there, but has to be empty.
/// It gets its name when it is whole and on disk. Blocks.
///
/// # Errors
/// [`NotEmpty`](StoreError::NotEmpty), [`Archive`](StoreError::Archive) if it is no backup or was cut, and
/// [`NewerSchema`](StoreError::NewerSchema) if a newer version wrote it. Then there is nothing in `dir`.
pub fn restore(archive: impl Read, dir: &Path) -> Result<()> {
    match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => {}
        Ok(false) => return Err(StoreError::NotEmpty { path: dir.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(io_error("read", dir, source)),
    }
    let name = dir.file_name().ok_or_else(|| StoreError::NotEmpty { path: dir.to_owned() })?;
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(|source| io_error("create", parent, source))?;
    let temporary = parent.join(format!(".{}.restoring", name.to_string_lossy()));
    remove(&temporary)?;
    let restored = unpack(archive, &temporary).and_then(|()| {
        sqlite::check(&temporary)?;
        fs::rename(&temporary, dir).map_err(|source| io_error("create", dir, source))?;
        sync_dir(parent)
    });
    if restored.is_err() {
        // The error that led here is told; what stays, the next attempt removes.
        let _ = remove(&temporary);
    }
    restored
}

fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(io_error("remove", dir, source)),
        _ => Ok(()),
    }
}

fn unpack(archive: impl Read, dir: &Path) -> Result<()> {
    let bad = |what: &str| StoreError::Archive { what: what.to_owned() };
    let unreadable = |error: io::Error| StoreError::Archive { what: error.to_string() };
    let mut dirs = BTreeSet::new();
    make_dir(dir, 0o700, &mut dirs)?;
    let mut archive = Archive::new(archive);
    let (mut begun, mut complete) = (false, false);
    for entry in archive.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        let name = entry.path().map_err(unreadable)?.into_owned();
        let kind = entry.header().entry_type();
        let mode = entry.header().mode().map_err(unreadable)? & 0o777;
        if !begun {
            let mut version = Vec::new();
            entry.by_ref().take(VERSION.len() as u64 + 1).read_to_end(&mut version).map_err(unreadable)?;
            if name != Path::new(FORMAT) || version != VERSION {
                return Err(bad("it does not begin as one"));
            }
            begun = true;
        } else if complete {
            return Err(bad("it goes on behind its end"));
        } else if name == Path::new(COMPLETE) {
            complete = true;
        } else if !name.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(StoreError::Archive { what: format!("it has {}", name.display()) });
        } else if kind == EntryType::Directory {
            make_dir(&dir.join(name), mode | 0o700, &mut dirs)?;
        } else if kind == EntryType::Regular {
            let path = dir.join(name);
            path.parent().map_or(Ok(()), |parent| make_dir(parent, 0o755, &mut dirs))?;
            write(&mut entry, &path, mode | 0o600)?;
        } else {
            return Err(StoreError::Archive { what: format!("{} is no file", name.display()) });
        }
    }
    if !complete {
        return Err(bad("its end is missing"));
    }
    dirs.iter().try_for_each(|dir| sync_dir(dir))
}

fn make_dir(dir: &Path, mode: u32, dirs: &mut BTreeSet<PathBuf>) -> Result<()> {
    if !dirs.contains(dir) {
        let made = DirBuilder::new().recursive(true).mode(mode).create(dir);
        made.map_err(|source| io_error("create", dir, source))?;
        dirs.extend(dir.ancestors().take(3).map(Path::to_owned));
    }
    Ok(())
}

fn write(entry: &mut impl Read, path: &Path, mode: u32) -> Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = file.map_err(|source| io_error("create", path, source))?;
    let written = io::copy(entry, &mut file).and_then(|_| file.sync_all());
    written.map_err(|source| match source.kind() {
        io::ErrorKind::UnexpectedEof => StoreError::Archive { what: format!("it ends in {}", path.display()) },
        _ => io_error("write", path, source),
    })
}
