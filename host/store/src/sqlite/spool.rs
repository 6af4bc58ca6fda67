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
pub(super) const BLOCK: usize = 4 << 10;

/// Files that are held open.
const MAX_OPEN: usize = 64;

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

/// The files of all jobs, for those who read and remove them.
#[derive(Debug, Clone)]
pub(super) struct Spools {
    dir: PathBuf,
}

impl Spools {
    /// Files in `dir`, which is made when the first is written.
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Read bodies that are named.
    pub(super) fn read(&self, job: JobId, span: Span) -> Result<Bytes> {
        let path = self.path(job, span.spool);
        let cut = || StoreError::Corrupt { what: format!("{} has not all that was written", path.display()) };
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(cut()),
            opened => opened.map_err(|source| io_error("open", &path, source))?,
        };
        let length = file.metadata().map_err(|source| io_error("read", &path, source))?.len();
        // Before room is made: a row may be damaged, too.
        let end = span.start.checked_add(span.size).filter(|end| *end <= length);
        let size = end.and_then(|_| usize::try_from(span.size).ok()).ok_or_else(cut)?;
        let mut bodies = BytesMut::zeroed(size);
        file.read_exact_at(&mut bodies, span.start).map_err(|source| io_error("read", &path, source))?;
        Ok(bodies.freeze())
    }

    /// Remove a job's files; how many bytes they had.
    pub(super) fn remove(&self, job: JobId) -> Result<u64> {
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

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> Result<u64> {
        // What is removed meanwhile has none.
        let sizes = |job: &JobId| -> u64 {
            let entries = fs::read_dir(self.dir.join(job.to_string())).into_iter().flatten().flatten();
            entries.filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).sum()
        };
        Ok(self.jobs()?.iter().map(sizes).sum())
    }

    /// Where the owner of an epoch puts bodies of a job.
    pub(super) fn path(&self, job: JobId, epoch: Epoch) -> PathBuf {
        self.dir.join(job.to_string()).join(epoch.0.to_string())
    }
}

/// The files that the writer's thread appends to, in step with its transactions: [`put`](Self::put), then
/// [`sync`](Self::sync) before the commit, then [`committed`](Self::committed) or [`rolled_back`](Self::rolled_back).
#[derive(Debug)]
pub(super) struct Appender {
    spools: Spools,
    /// The most that may be written, in bytes.
    max_bytes: Option<u64>,
    files: HashMap<(JobId, Epoch), Spool>,
    /// Jobs to which nothing more is appended once the transaction is committed.
    closing: Vec<JobId>,
    /// A piece as it is written, with room to begin on a block.
    piece: Vec<u8>,
}

/// A file that is appended to.
#[derive(Debug)]
struct Spool {
    path: PathBuf,
    file: File,
    /// Whether writes go past the cache.
    direct: bool,
    /// Where the next chunk begins: on a block.
    end: u64,
    /// Where it began before this transaction.
    committed: u64,
    /// Where it began when the file was opened.
    first: u64,
}

impl Appender {
    /// An appender to files of `spools`.
    pub(super) fn new(spools: Spools, max_bytes: Option<u64>) -> Self {
        Self { spools, max_bytes, files: HashMap::new(), closing: Vec::new(), piece: Vec::new() }
    }

    /// Append bodies to a job's file. They may be named when [`sync`](Self::sync) has returned.
    pub(super) fn put(&mut self, job: JobId, epoch: Epoch, bodies: &[u8]) -> Result<Span> {
        let (path, size) = (self.spools.path(job, epoch), bodies.len() as u64);
        let written: u64 = self.files.values().map(|spool| spool.end - spool.first).sum();
        if self.max_bytes.is_some_and(|most| written.saturating_add(size) > most) {
            return Err(StoreError::DiskFull { path });
        }
        let spool = match self.files.entry((job, epoch)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Spool::open(path)?),
        };
        let start = spool.append(bodies, &mut self.piece)?;
        Ok(Span { spool: epoch, start, size })
    }

    /// Nothing more is appended to a job, if the transaction is committed.
    pub(super) fn close(&mut self, job: JobId) {
        self.closing.push(job);
    }

    /// Returns when all that was put is on disk.
    pub(super) fn sync(&self) -> Result<()> {
        let unsynced = self.files.values().filter(|spool| spool.end != spool.committed);
        for Spool { file, path, .. } in unsynced {
            file.sync_data().map_err(|source| io_error("write", path, source))?;
        }
        Ok(())
    }

    /// What was put is named.
    pub(super) fn committed(&mut self) {
        self.files.values_mut().for_each(|spool| spool.committed = spool.end);
        let closing = std::mem::take(&mut self.closing);
        self.files.retain(|(job, _), _| !closing.contains(job));
        // Jobs that were left unfinished are never closed. Whichever goes is opened again if it is needed.
        while self.files.len() > MAX_OPEN
            && let Some(any) = self.files.keys().next().copied()
        {
            self.files.remove(&any);
        }
    }

    /// What was put is not named, and what comes next is put in its place.
    pub(super) fn rolled_back(&mut self) {
        self.files.values_mut().for_each(|spool| spool.end = spool.committed);
        self.closing.clear();
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
        let end = length.next_multiple_of(BLOCK as u64);
        Ok(Self { file, direct, end, committed: end, first: end, path })
    }

    /// Write bodies behind the others, in whole blocks; where they begin.
    fn append(&mut self, bodies: &[u8], piece: &mut Vec<u8>) -> Result<u64> {
        let written = match self.write(bodies, piece) {
            // There are file systems that refuse only the write.
            Err(error) if self.direct && error.kind() == io::ErrorKind::InvalidInput => {
                self.direct = false;
                open_for_writing(&self.path, false).and_then(|file| {
                    self.file = file;
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

    fn appender(dir: &Path) -> (Spools, Appender) {
        let spools = Spools::new(dir.join("items"));
        (spools.clone(), Appender::new(spools, None))
    }

    fn put(appender: &mut Appender, epoch: u64, bodies: &[u8]) -> Span {
        let span = appender.put(JOB, Epoch(epoch), bodies).unwrap();
        appender.sync().unwrap();
        appender.committed();
        span
    }

    #[test]
    fn what_is_put_is_read_again_by_whoever_comes() {
        let dir = tempfile::tempdir().unwrap();
        let (spools, mut here) = appender(dir.path());
        let (first, second) = (put(&mut here, 1, b"first"), put(&mut here, 1, b"second"));
        assert_eq!((first.start, second.start, second.size), (0, 4096, 6));
        let (later, mut there) = appender(dir.path());
        assert_eq!(later.read(JOB, second).unwrap(), "second");
        // Behind what another life of the process left, named or not.
        let third = put(&mut there, 1, b"third");
        assert_eq!(third.start, 8192);
        assert_eq!(spools.read(JOB, first).unwrap(), "first");
        assert_eq!(spools.read(JOB, third).unwrap(), "third");
    }

    #[test]
    fn owners_do_not_write_into_each_others_files() {
        let dir = tempfile::tempdir().unwrap();
        let (spools, mut appender) = appender(dir.path());
        let (old, new) = (put(&mut appender, 1, b"old"), put(&mut appender, 2, b"new"));
        assert_eq!((spools.read(JOB, old).unwrap(), spools.read(JOB, new).unwrap()), ("old".into(), "new".into()));
        assert_eq!(spools.jobs().unwrap(), [JOB]);
        assert_eq!(spools.remove(JOB).unwrap(), 8192);
        assert_eq!(spools.remove(JOB).unwrap(), 0);
        assert_eq!(spools.jobs().unwrap(), []);
    }

    #[test]
    fn large_ones_are_written_in_pieces_and_nothing_of_them_gets_into_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let (spools, mut appender) = appender(dir.path());
        let large = vec![7; 2 * PIECE + 5];
        let (large_span, small_span) = (put(&mut appender, 1, &large), put(&mut appender, 1, b"small"));
        assert_eq!(spools.read(JOB, large_span).unwrap(), large);
        assert_eq!(spools.read(JOB, small_span).unwrap(), "small");
        let file = fs::read(spools.path(JOB, Epoch(1))).unwrap();
        assert!(file.get(small_span.start as usize + 5..).unwrap().iter().all(|byte| *byte == 0));
    }

    #[test]
    fn what_was_rolled_back_takes_no_room() {
        let dir = tempfile::tempdir().unwrap();
        let (spools, mut appender) = appender(dir.path());
        let kept = put(&mut appender, 1, b"kept");
        let lost = appender.put(JOB, Epoch(1), b"lost").unwrap();
        appender.close(JOB);
        appender.rolled_back();
        let next = put(&mut appender, 1, b"next");
        assert_eq!((next.start, appender.files.len()), (lost.start, 1));
        assert_eq!((spools.read(JOB, kept).unwrap(), spools.read(JOB, next).unwrap()), ("kept".into(), "next".into()));
    }

    #[test]
    fn without_direct_writes_it_is_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (spools, mut appender) = appender(dir.path());
        let first = put(&mut appender, 1, b"first");
        let spool = appender.files.get_mut(&(JOB, Epoch(1))).unwrap();
        spool.file = open_for_writing(&spool.path, false).unwrap();
        spool.direct = false;
        let second = put(&mut appender, 1, b"second");
        assert_eq!(
            (spools.read(JOB, first).unwrap(), spools.read(JOB, second).unwrap()),
            ("first".into(), "second".into())
        );
    }

    #[test]
    fn few_files_are_held_open() {
        let dir = tempfile::tempdir().unwrap();
        let (spools, mut appender) = appender(dir.path());
        let spans: Vec<_> = (0..2 * MAX_OPEN as u64).map(|epoch| put(&mut appender, epoch, b"body")).collect();
        assert_eq!(appender.files.len(), MAX_OPEN);
        assert!(spans.into_iter().all(|span| spools.read(JOB, span).unwrap() == "body"));
        appender.close(JOB);
        appender.committed();
        assert_eq!(appender.files.len(), 0);
    }

    #[test]
    fn a_file_that_was_cut_and_a_row_that_lies_are_damage() {
        let dir = tempfile::tempdir().unwrap();
        let (spools, mut appender) = appender(dir.path());
        let span = put(&mut appender, 1, b"whole");
        for (start, size) in [(span.start, 1 << 62), (u64::MAX, 1), (8192, 1)] {
            let lie = Span { start, size, ..span };
            assert!(matches!(spools.read(JOB, lie), Err(StoreError::Corrupt { .. })), "{lie:?}");
        }
        let file = OpenOptions::new().write(true).open(spools.path(JOB, Epoch(1))).unwrap();
        file.set_len(3).unwrap();
        assert!(matches!(spools.read(JOB, span), Err(StoreError::Corrupt { .. })));
        spools.remove(JOB).unwrap();
        assert!(matches!(spools.read(JOB, span), Err(StoreError::Corrupt { .. })));
    }
}
