//! Bodies of items in files beside the database, one chunk behind the other.
//!
//! ```text
//! DIR/items/JOB/EPOCH      what the owner of that epoch appended to the job
//! ```
//!
//! A body is written once, read seldom and removed with all others of its job. The database would write it twice (into
//! the WAL, and from there into its own pages) and give its pages back one by one. So the database keeps only where
//! the bodies of a chunk lie: the writer puts them into the file first, syncs what it has put there in a transaction
//! before it commits, and so names nothing that is not on disk. What lies in a file and is not named was never
//! acknowledged; nobody reads it, and it goes with the file.
//!
//! Each owner has a file of its own, so that one who lost the job cannot write into the next one's.
//!
//! Files are written past the kernel's cache where the file system can: nobody reads what is in the cache, and filling
//! it costs several times what the disk does where memory has to be found first. Direct writes are whole blocks, so each
//! chunk begins on one.

use std::{
    collections::{HashMap, hash_map::Entry},
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{Bytes, BytesMut};
use pigeon_protocol::id::{Epoch, JobId};
use rustix::fs::OFlags;

use crate::{
    Result, StoreError,
    bodies::{io_error, sync_dir},
};

/// Smaller chunks lie in the database: one sync instead of two.
pub(super) const LEAST: usize = 64 << 10;

/// What a direct write begins on, ends on, and lies on in memory: no less than any disk asks for.
const BLOCK: usize = 4 << 10;

/// Bytes that are written at a time.
const PIECE: usize = 1 << 20;

/// Where the bodies of a chunk lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// Whose file.
    pub(super) spool: Epoch,
    /// Where they begin in it.
    pub(super) start: u64,
    /// How many bytes they have.
    pub(super) size: u64,
}

/// The files of all jobs.
#[derive(Debug)]
pub(super) struct Spools {
    dir: PathBuf,
    /// The most that this process may write, in bytes.
    max_bytes: Option<u64>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    written: u64,
    files: HashMap<(JobId, Epoch), Spool>,
    /// Files that were written to and are not synced.
    unsynced: Vec<(JobId, Epoch)>,
    /// A piece as it is written, with room to begin on a block.
    piece: Vec<u8>,
}

/// A file that this process appends to.
#[derive(Debug)]
struct Spool {
    path: PathBuf,
    file: Arc<File>,
    /// Whether writes go past the cache.
    direct: bool,
    /// Where the next chunk begins: on a block.
    end: u64,
}

impl Spools {
    /// Files in `dir`, which is made when the first is written.
    pub(super) fn new(dir: PathBuf, max_bytes: Option<u64>) -> Self {
        Self { dir, max_bytes, open: Mutex::default() }
    }

    /// Append bodies to a job's file. They may be named when [`sync`](Self::sync) returns.
    pub(super) fn put(&self, job: JobId, epoch: Epoch, bodies: &[u8]) -> Result<Span> {
        let mut open = self.lock();
        let Open { written, files, unsynced, piece } = &mut *open;
        let (path, size) = (self.path(job, epoch), bodies.len() as u64);
        if self.max_bytes.is_some_and(|most| written.saturating_add(size) > most) {
            return Err(StoreError::DiskFull { path });
        }
        let spool = match files.entry((job, epoch)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Spool::open(path)?),
        };
        let start = spool.append(bodies, piece)?;
        *written += size;
        if unsynced.last() != Some(&(job, epoch)) {
            unsynced.push((job, epoch));
        }
        Ok(Span { spool: epoch, start, size })
    }

    /// Returns when all that was put is on disk.
    pub(super) fn sync(&self) -> Result<()> {
        let mut open = self.lock();
        let unsynced = std::mem::take(&mut open.unsynced);
        let files = unsynced.iter().filter_map(|key| open.files.get(key));
        let files: Vec<_> = files.map(|spool| (spool.file.clone(), spool.path.clone())).collect();
        // Others may read and remove meanwhile.
        drop(open);
        files.iter().try_for_each(|(file, path)| file.sync_data().map_err(|source| io_error("write", path, source)))
    }

    /// Read bodies that are named.
    pub(super) fn read(&self, job: JobId, span: Span) -> Result<Bytes> {
        let path = self.path(job, span.spool);
        let size = usize::try_from(span.size).unwrap_or(usize::MAX);
        let mut bodies = BytesMut::zeroed(size);
        let read = File::open(&path).and_then(|file| file.read_exact_at(&mut bodies, span.start));
        match read {
            Ok(()) => Ok(bodies.freeze()),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => {
                Err(StoreError::Corrupt { what: format!("{} has not all that was written", path.display()) })
            }
            Err(source) => Err(io_error("read", &path, source)),
        }
    }

    /// Nothing more is appended to a job.
    pub(super) fn close(&self, job: JobId) {
        self.lock().files.retain(|(of, _), _| *of != job);
    }

    /// Remove a job's files; how many bytes they had.
    pub(super) fn remove(&self, job: JobId) -> Result<u64> {
        self.close(job);
        let dir = self.dir.join(job.to_string());
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            entries => entries.map_err(|source| io_error("read", &dir, source))?,
        };
        // Someone else may remove them at the same time: as good.
        let freed = entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).sum();
        match fs::remove_dir_all(&dir) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(io_error("remove", &dir, source)),
            _ => Ok(freed),
        }
    }

    /// The jobs that have files.
    pub(super) fn jobs(&self) -> Result<Vec<JobId>> {
        match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(io_error("read", &self.dir, source)),
            Ok(entries) => Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()),
        }
    }

    fn path(&self, job: JobId, epoch: Epoch) -> PathBuf {
        self.dir.join(job.to_string()).join(epoch.0.to_string())
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spool {
    /// Make the file, or go on behind what it has, and see to it that it is found again.
    fn open(path: PathBuf) -> Result<Self> {
        let make = |dir: &Path| fs::create_dir_all(dir).map_err(|source| io_error("create", dir, source));
        let dirs = path.ancestors().skip(1).take(3);
        path.parent().map_or(Ok(()), make)?;
        let (file, direct) = match open_for_writing(&path, true) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => (open_for_writing(&path, false), false),
            opened => (opened, true),
        };
        let file = file.map_err(|source| io_error("create", &path, source))?;
        let length = file.metadata().map_err(|source| io_error("read", &path, source))?.len();
        dirs.into_iter().try_for_each(sync_dir)?;
        Ok(Self { file: Arc::new(file), direct, end: length.next_multiple_of(BLOCK as u64), path })
    }

    /// Write bodies behind the others, in whole blocks; where they begin.
    fn append(&mut self, bodies: &[u8], piece: &mut Vec<u8>) -> Result<u64> {
        let written = match self.write(bodies, piece) {
            // There are file systems that refuse only the write.
            Err(error) if self.direct && error.kind() == io::ErrorKind::InvalidInput => {
                self.direct = false;
                open_for_writing(&self.path, false).and_then(|file| {
                    self.file = Arc::new(file);
                    self.write(bodies, piece)
                })
            }
            written => written,
        };
        let start = self.end;
        self.end = written.map_err(|source| io_error("write", &self.path, source))?;
        Ok(start)
    }

    /// Write bodies; where the next begin.
    fn write(&self, bodies: &[u8], piece: &mut Vec<u8>) -> io::Result<u64> {
        piece.resize(PIECE + BLOCK, 0);
        let lead = piece.as_ptr().align_offset(BLOCK).min(BLOCK);
        let mut end = self.end;
        for part in bodies.chunks(PIECE) {
            let whole = part.len().next_multiple_of(BLOCK);
            let block = &mut piece[lead..lead + whole];
            let (filled, rest) = block.split_at_mut(part.len());
            filled.copy_from_slice(part);
            // What stood there before must not get to the disk.
            rest.fill(0);
            self.file.write_all_at(block, end)?;
            end += whole as u64;
        }
        Ok(end)
    }
}

fn open_for_writing(path: &Path, direct: bool) -> io::Result<File> {
    let flags = if direct { OFlags::DIRECT } else { OFlags::empty() };
    OpenOptions::new().write(true).create(true).truncate(false).custom_flags(flags.bits() as i32).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: JobId = JobId::from_bytes([3; 16]);

    fn spools(dir: &Path) -> Spools {
        Spools::new(dir.join("items"), None)
    }

    #[test]
    fn what_is_put_is_read_again_by_whoever_comes() {
        let dir = tempfile::tempdir().unwrap();
        let spools_here = spools(dir.path());
        let first = spools_here.put(JOB, Epoch(1), b"first").unwrap();
        let second = spools_here.put(JOB, Epoch(1), b"second").unwrap();
        assert_eq!((first.start, second.start, second.size), (0, 4096, 6));
        spools_here.sync().unwrap();
        let later = spools(dir.path());
        assert_eq!(later.read(JOB, second).unwrap(), "second");
        // Behind what another life of the process left, named or not.
        let third = later.put(JOB, Epoch(1), b"third").unwrap();
        assert_eq!(third.start, 8192);
        assert_eq!(spools_here.read(JOB, first).unwrap(), "first");
        assert_eq!(spools_here.read(JOB, third).unwrap(), "third");
    }

    #[test]
    fn owners_do_not_write_into_each_others_files() {
        let dir = tempfile::tempdir().unwrap();
        let spools = spools(dir.path());
        let (old, new) = (spools.put(JOB, Epoch(1), b"old").unwrap(), spools.put(JOB, Epoch(2), b"new").unwrap());
        assert_eq!((spools.read(JOB, old).unwrap(), spools.read(JOB, new).unwrap()), ("old".into(), "new".into()));
        assert_eq!(spools.jobs().unwrap(), [JOB]);
        assert_eq!(spools.remove(JOB).unwrap(), 8192);
        assert_eq!(spools.remove(JOB).unwrap(), 0);
        assert_eq!(spools.jobs().unwrap(), []);
    }

    #[test]
    fn large_ones_are_written_in_pieces_and_nothing_of_them_gets_into_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let spools = spools(dir.path());
        let large = vec![7; 2 * PIECE + 5];
        let (large_span, small_span) =
            (spools.put(JOB, Epoch(1), &large).unwrap(), spools.put(JOB, Epoch(1), b"small").unwrap());
        assert_eq!(spools.read(JOB, large_span).unwrap(), large);
        assert_eq!(spools.read(JOB, small_span).unwrap(), "small");
        let file = fs::read(spools.path(JOB, Epoch(1))).unwrap();
        assert!(file.get(small_span.start as usize + 5..).unwrap().iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_file_that_was_cut_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let spools = spools(dir.path());
        let span = spools.put(JOB, Epoch(1), b"whole").unwrap();
        let file = OpenOptions::new().write(true).open(spools.path(JOB, Epoch(1))).unwrap();
        file.set_len(3).unwrap();
        assert!(matches!(spools.read(JOB, span), Err(StoreError::Corrupt { .. })));
        spools.remove(JOB).unwrap();
        assert!(matches!(spools.read(JOB, span), Err(StoreError::Corrupt { .. })));
    }
}
