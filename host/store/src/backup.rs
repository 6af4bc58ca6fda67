//! Backups: a copy of all that is kept as of one moment, as a tar archive, and the way back.
//!
//! ```text
//! backup                 which format it is
//! pigeon.db              the database
//! items/JOB/EPOCH        bodies of items
//! bodies/HEX             components and large items
//! ...                    what was to go with it
//! digests                what the entries before it are, and again after every so many more ([`digests`])
//! complete               last, and says what all the digests are: an archive without it was cut
//! ```
//!
//! A name, a mode or a byte of a content that was damaged since it was written is noticed before anything gets the name of a
//! state directory, and the entry is named. An archive of the first format has no digests: of that one only the database is
//! looked at.
//!
//! A state directory that is restored gets its name when all of it is on disk. Whoever dies before leaves a directory of
//! another name, which the next attempt removes.

mod digests;

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Component, Path, PathBuf},
};

use tar::{Archive, EntryType, Header};

use self::digests::{Digests, Hashed};
use crate::{
    Result, SqliteStore, StoreError,
    bodies::{io_error, sync_dir},
    sqlite,
};

/// The first entry, and what it says.
const FORMAT: &str = "backup";
const VERSION: &[u8] = b"pigeon backup 2\n";

/// What it said before there were digests.
const WITHOUT_DIGESTS: &[u8] = b"pigeon backup 1\n";

/// Entries that say what those before them are.
const DIGESTS: &str = "digests";

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
        append_bytes(&mut archive, FORMAT, VERSION).map_err(failed(FORMAT.as_ref()))?;
        let mut digests = Digests::default();
        for (number, Entry { name, size, mode }) in self.entries.iter().enumerate() {
            let appended = match size {
                Some(size) => File::open(self.dir.join(name)).and_then(|file| {
                    let mut content = Hashed::new(Exactly { content: file.take(*size), left: *size });
                    append(&mut archive, name, &mut content, *size, *mode)?;
                    Ok(Some(content.digest()))
                }),
                None => append_dir(&mut archive, name, *mode).map(|()| None),
            };
            digests.add(name, *mode, appended.map_err(failed(name))?);
            if digests.is_full() || number + 1 == self.entries.len() {
                append_bytes(&mut archive, DIGESTS, &digests.take()).map_err(failed(DIGESTS.as_ref()))?;
            }
        }
        append_bytes(&mut archive, COMPLETE, &digests.of_all())
            .and_then(|()| archive.into_inner()?.flush())
            .map_err(failed(COMPLETE.as_ref()))
    }
}

fn append_bytes(archive: &mut tar::Builder<impl Write>, name: &str, content: &[u8]) -> io::Result<()> {
    append(archive, Path::new(name), content, content.len() as u64, 0o600)
}

fn append(
    archive: &mut tar::Builder<impl Write>,
    name: &Path,
    content: impl Read,
    size: u64,
    mode: u32,
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(mode);
    header.set_size(size);
    archive.append_data(&mut header, name, content)
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
/// [`NotEmpty`](StoreError::NotEmpty), [`NoBackup`](StoreError::NoBackup) if it is something else,
/// [`Archive`](StoreError::Archive) if it was cut, was damaged or is of a newer version,
/// [`Corrupt`](StoreError::Corrupt) if its database is, and [`NewerSchema`](StoreError::NewerSchema) if a newer version wrote
/// it. Then there is nothing in `dir`.
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
    let mut archive = Ending { content: archive, has_ended: false };
    let unpacked = unpack(&mut archive, &temporary).map_err(|error| match error {
        // Whatever was missed then, it is that there is no more of it.
        StoreError::Archive { .. } if archive.has_ended => bad("it ends too early: it was cut"),
        error => error,
    });
    let restored = unpacked.and_then(|()| {
        sqlite::check(&temporary)?;
        SqliteStore::check_whole(&temporary)?;
        SqliteStore::leap(&temporary)?;
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

fn bad(what: impl Into<String>) -> StoreError {
    StoreError::Archive { what: what.into() }
}

/// What is read of an archive says so in words of its own, where it is not that nothing can be read.
fn unreadable(error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::Other | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            bad("it is damaged where the name and the size of a file ought to be")
        }
        _ => bad(error.to_string()),
    }
}

/// Tells whether it was read to its end.
struct Ending<R> {
    content: R,
    has_ended: bool,
}

impl<R: Read> Read for Ending<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        self.has_ended |= read == 0 && !buffer.is_empty();
        Ok(read)
    }
}

/// See that it begins as a backup does. Gives whether it has digests.
fn begin(first: Option<io::Result<tar::Entry<'_, impl Read>>>) -> Result<bool> {
    let other = |_| StoreError::NoBackup { what: "it does not begin as one" };
    let mut first = first.ok_or(StoreError::NoBackup { what: "there is nothing in it" })?.map_err(other)?;
    if first.path().map_err(other)? != Path::new(FORMAT) {
        return Err(StoreError::NoBackup { what: "it does not begin as one" });
    }
    match &*read_short(&mut first, VERSION.len())? {
        VERSION => Ok(true),
        WITHOUT_DIGESTS => Ok(false),
        part if VERSION.starts_with(part) => Err(bad("its beginning is not whole")),
        newer if newer.starts_with(b"pigeon backup ") => Err(bad("a newer version of Pigeon made it")),
        _ => Err(StoreError::NoBackup { what: "it does not begin as one" }),
    }
}

fn unpack(archive: impl Read, dir: &Path) -> Result<()> {
    let mut dirs = BTreeSet::new();
    make_dir(dir, 0o700, &mut dirs)?;
    let mut archive = Archive::new(archive);
    let mut entries = archive.entries().map_err(unreadable)?;
    let digested = begin(entries.next())?;
    let (mut digests, mut complete) = (Digests::default(), false);
    for entry in entries {
        let mut entry = entry.map_err(unreadable)?;
        let name = entry.path().map_err(unreadable)?.into_owned();
        let kind = entry.header().entry_type();
        let mode = entry.header().mode().map_err(unreadable)? & 0o777;
        if complete {
            return Err(bad("it goes on behind its end"));
        } else if name == Path::new(COMPLETE) {
            let said = if digested { digests.of_all() } else { Vec::new() };
            if !digests.are_checked() && digested || read_short(&mut entry, said.len())? != said {
                return Err(bad("its end does not fit what is before it"));
            }
            complete = true;
        } else if name == Path::new(DIGESTS) {
            let said = read_short(&mut entry, digests.size())?;
            digests.check(&said).map_err(bad)?;
        } else if !name.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(bad(format!("it has {}", name.display())));
        } else if kind == EntryType::Directory {
            make_dir(&dir.join(&name), mode | 0o700, &mut dirs)?;
            digests.add(&name, mode, None);
        } else if kind == EntryType::Regular {
            let path = dir.join(&name);
            path.parent().map_or(Ok(()), |parent| make_dir(parent, 0o755, &mut dirs))?;
            let mut content = Hashed::new(&mut entry);
            write(&mut content, &path, mode | 0o600)?;
            digests.add(&name, mode, Some(content.digest()));
        } else {
            return Err(bad(format!("{} is no file", name.display())));
        }
        if !digested {
            digests = Digests::default();
        } else if digests.is_overdue() {
            return Err(bad("digests are missing"));
        }
    }
    if !complete {
        return Err(bad("its end is missing"));
    }
    only_zeros(archive.into_inner())?;
    dirs.iter().try_for_each(|dir| sync_dir(dir))
}

/// All of something that has at most so many bytes, or more than that of it.
fn read_short(entry: &mut impl Read, most: usize) -> Result<Vec<u8>> {
    let mut read = Vec::new();
    entry.take(most as u64 + 1).read_to_end(&mut read).map_err(unreadable)?;
    Ok(read)
}

/// Read what fills the archive up.
fn only_zeros(mut rest: impl Read) -> Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match rest.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) if buffer[..read].iter().all(|byte| *byte == 0) => {}
            Ok(_) => return Err(bad("it goes on behind its end")),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
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
