//! Room on the disk: how much is taken, and what goes if that is too much.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use rusqlite::{Connection, params};
use tokio::task::spawn_blocking;

use super::{
    Inner, events, jobs, number,
    remove::{AT_ONCE, Due, Why},
};
use crate::{Result, StoreError, Swept, bodies::io_error};

/// The part of the room that the log of events may keep when there is too little: one of so many.
const EVENTS_PART: u64 = 8;

/// What a job takes at least, in bytes.
const LEAST_JOB: u64 = 2 << 10;

/// Bytes of the files of bodies: counted as they are written and removed, and measured by each sweep, which sees what other
/// processes did, too.
#[derive(Debug)]
pub(super) struct FileBytes(AtomicU64);

/// Nobody has measured them yet.
const UNKNOWN: u64 = u64::MAX;

impl FileBytes {
    /// They are measured when they are asked for.
    pub(super) fn unknown() -> Self {
        Self(AtomicU64::new(UNKNOWN))
    }

    fn get(&self) -> Option<u64> {
        Some(self.0.load(Relaxed)).filter(|bytes| *bytes != UNKNOWN)
    }

    /// More was written.
    pub(super) fn more(&self, bytes: u64) {
        self.change(|all| all.saturating_add(bytes).min(UNKNOWN - 1));
    }

    /// Something was removed.
    pub(super) fn less(&self, bytes: u64) {
        self.change(|all| all.saturating_sub(bytes));
    }

    fn change(&self, change: impl Fn(u64) -> u64) {
        // What is not known yet is measured with it.
        let _ = self.0.fetch_update(Relaxed, Relaxed, |all| (all != UNKNOWN).then(|| change(all)));
    }
}

impl Inner {
    /// Remove what is oldest until the rest fits: first events, if the log takes more than its part, and then finished jobs,
    /// those that were finished first before the others.
    pub(super) async fn make_room(self: &Arc<Self>, most: u64, swept: &mut Swept) -> Result<()> {
        if self.excess(most).await? > 0 {
            // Until the log takes no more than its part, or about that.
            let most = most / EVENTS_PART;
            let surplus = self.readers.read(move |connection| events::surplus(connection, most)).await?;
            swept.events_for_room = self.forget_events(surplus).await?;
        }
        let mut behind = (i64::MIN, i64::MIN);
        loop {
            let excess = self.excess(most).await?;
            if excess == 0 {
                return Ok(());
            }
            let oldest = self.readers.read(move |connection| oldest(connection, behind, excess)).await?;
            let Some((last, _)) = oldest.last() else { return Ok(()) };
            behind = *last;
            let due: Vec<Due> = oldest.into_iter().map(|(_, due)| due).collect();
            let removed = self.remove(&due).await?;
            swept.count(&removed);
            if removed.named_files {
                swept.files += self.clone().drop_files().await?;
                self.clone().measure_files().await?;
            }
        }
    }

    /// Bytes that are used beyond so many.
    async fn excess(self: &Arc<Self>, most: u64) -> Result<u64> {
        let files = self.clone().file_bytes().await?;
        Ok(self.readers.read(used_bytes).await?.saturating_add(files).saturating_sub(most))
    }

    /// Bytes that the store takes on disk.
    pub(super) async fn disk_bytes(self: Arc<Self>) -> Result<u64> {
        let files = self.clone().file_bytes().await?;
        let measure = move || {
            let wal = self.database.with_extension("db-wal");
            Ok(files + length(&self.database)? + length(&wal)?)
        };
        spawn_blocking(measure).await.map_err(|_| StoreError::Closed)?
    }

    /// Bytes of files of bodies.
    async fn file_bytes(self: Arc<Self>) -> Result<u64> {
        match self.files.get() {
            Some(bytes) => Ok(bytes),
            None => self.measure_files().await,
        }
    }

    /// Look at all files of bodies; how many bytes they have.
    pub(super) async fn measure_files(self: Arc<Self>) -> Result<u64> {
        let measure = move || {
            let bytes = self.spools.bytes()? + self.bodies.bytes()?;
            self.files.0.store(bytes, Relaxed);
            Ok(bytes)
        };
        spawn_blocking(measure).await.map_err(|_| StoreError::Closed)?
    }
}

/// How long a file is; one that is not there has nothing.
fn length(path: &Path) -> Result<u64> {
    match fs::metadata(path) {
        Ok(file) => Ok(file.len()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(source) => Err(io_error("read", path, source)),
    }
}

/// Some finished jobs, in the order in which they were finished, behind one of them: when and under which key. They are no
/// more than are needed for so many bytes, and at least one.
pub(super) fn oldest(connection: &Connection, behind: (i64, i64), excess: u64) -> Result<Vec<((i64, i64), Due)>> {
    // No less than goes with them; so no job goes that need not.
    let mut select = connection.prepare_cached(
        "SELECT key, id, finished_ms, CASE has_bodies WHEN 0 THEN 0 ELSE bytes END
            + (SELECT ifnull(sum(length(names)), 0) FROM chunk WHERE chunk.job = job.key)
            + (SELECT ifnull(sum(length(body)), 0) FROM outcome WHERE outcome.job = job.key) AS size
         FROM job WHERE state <> 0 AND NOT gone AND (finished_ms, key) > (?1, ?2) ORDER BY finished_ms, key",
    )?;
    let mut rows = select.query(params![behind.0, behind.1])?;
    let (mut some, mut bytes) = (Vec::new(), 0u64);
    while some.len() < AT_ONCE
        && let Some(row) = rows.next()?
    {
        bytes = bytes.saturating_add(number(row.get("size")?)).saturating_add(LEAST_JOB);
        if bytes > excess && !some.is_empty() {
            break;
        }
        let finished_ms = row.get("finished_ms")?;
        some.push(((finished_ms, row.get("key")?), Due { job: jobs::id_of(row)?, why: Why::Room { finished_ms } }));
    }
    Ok(some)
}

pub(super) fn pragma(connection: &Connection, name: &str) -> Result<u64> {
    Ok(number(connection.pragma_query_value(None, name, |row| row.get(0))?))
}

/// Bytes of the database that are in use.
fn used_bytes(connection: &Connection) -> Result<u64> {
    let pages = pragma(connection, "page_count")?.saturating_sub(pragma(connection, "freelist_count")?);
    Ok(pages * pragma(connection, "page_size")?)
}
