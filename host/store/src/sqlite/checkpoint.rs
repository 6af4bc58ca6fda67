//! Bringing the write-ahead log back into the database, beside the writer.
//!
//! SQLite's own way is that the commit that makes the log too long writes all of it back, and waits for the disk: whoever
//! submits at that moment waits with it. So a thread of its own does it, a little at a time, while the writer goes on. Once
//! all of the log is written back, the writer begins it anew by itself. If the thread cannot keep up (somebody reads behind
//! it, or writes never pause), a commit that leaves the log longer than [`LONGEST`] waits for it, and does what is left: that
//! bounds the file.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use rusqlite::{Connection, hooks::Wal, wal::CheckpointMode};

use super::schema;
use crate::{Result, StoreError};

/// Pages that wait to be written back, before the thread is woken: 1 MiB.
const SOME: u32 = 256;

/// Pages of the log from which on commits write back as well: 16 MiB.
pub(super) const LONGEST: u32 = 4 << 10;

/// The thread that writes back. It ends with this.
#[derive(Debug)]
pub(super) struct Checkpoints {
    calls: SyncSender<Call>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Debug)]
enum Call {
    /// There is something to write back.
    Some,
    /// Nothing more will be written.
    Leave,
}

/// What the writer and the thread know of one another.
#[derive(Debug, Default)]
struct Shared {
    /// Pages from the log's beginning that are written back.
    done: AtomicU32,
    /// Held by who writes back.
    at_work: Mutex<()>,
}

impl Checkpoints {
    /// Start the thread, and have it woken by what `writer` commits.
    pub(super) fn start(database: PathBuf, writer: &mut Connection) -> Result<Self> {
        let (calls, called) = sync_channel(1);
        let shared = Arc::<Shared>::default();
        hook(writer, calls.clone(), shared.clone())?;
        let connection = schema::open_beside(&database)?;
        let thread = thread::Builder::new().name("pigeon-wal".to_owned());
        let thread = thread.spawn(move || run(&connection, &called, &shared));
        match thread {
            Ok(thread) => Ok(Self { calls, thread: Some(thread) }),
            Err(source) => Err(StoreError::Io { doing: "start a thread for", path: database, source }),
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        let _ = self.calls.send(Call::Leave);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// After each commit: wake the thread if it has something to do, and help it if it cannot keep up.
fn hook(writer: &mut Connection, calls: SyncSender<Call>, shared: Arc<Shared>) -> Result<()> {
    let hook = move |log: &mut Wal, pages| {
        let pages = u32::try_from(pages).unwrap_or(0);
        let done = match shared.done.load(Relaxed) {
            // The log was begun anew.
            done if done > pages => {
                shared.done.store(0, Relaxed);
                0
            }
            done => done,
        };
        if pages >= LONGEST {
            // What fails here failed for nobody: it was committed, and is written back another time.
            let _ = shared.write_back(|| log.checkpoint_v2(CheckpointMode::PASSIVE));
        } else if pages - done >= SOME {
            // If it was woken already, that is enough.
            let _ = calls.try_send(Call::Some);
        }
        Ok(())
    };
    writer.wal_hook(Some(hook))?;
    Ok(())
}

fn run(connection: &Connection, called: &Receiver<Call>, shared: &Shared) {
    while let Ok(Call::Some) = called.recv() {
        if let Err(error) = shared.write_back(|| connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE)) {
            // Another process may do it.
            tracing::debug!(%error, "the write-ahead log was not written back");
        }
    }
}

impl Shared {
    /// Write back, as far as nobody reads behind it: `call` tells how many pages the log has, and how many of them are done.
    fn write_back(&self, call: impl FnOnce() -> rusqlite::Result<(i32, i32)>) -> rusqlite::Result<()> {
        let _alone = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, done) = call()?;
        self.done.store(u32::try_from(done).unwrap_or(0), Relaxed);
        Ok(())
    }
}
