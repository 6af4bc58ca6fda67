//! Removing a job: in one transaction it is gone for everybody, and then what there is of it goes by steps.
//!
//! ```text
//! mark the job as gone      from here on nobody sees it, and its key is free
//! bodies, names of files    by steps; then the files of items
//! outcomes, chunks, letters by steps
//! the job itself            last: whoever dies on the way leaves a job that is gone, and the next sweep goes on with it
//! ```
//!
//! Bodies that go while their job stays are announced in the same way: they are not whole any more before the first is
//! missing, so that nobody takes outcomes back whose items are not there.

use std::sync::Arc;

use pigeon_protocol::id::JobId;
use tokio::task::spawn_blocking;

use super::{Inner, jobs, writer::Work};
use crate::{Result, StoreError};

/// Rows that are deleted in one transaction: of up to 1 MiB each, as a rule far less.
const STEP_ROWS: i64 = 64;

/// What was removed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Removed {
    /// Bytes of files.
    pub(super) bytes: u64,
    /// Whether files were named that nobody may name now.
    pub(super) named_files: bool,
}

impl Inner {
    /// Remove a finished job.
    pub(super) async fn delete(self: &Arc<Self>, job: JobId) -> Result<()> {
        // Before the lock's file is made.
        self.readers.read(move |connection| jobs::known_key(connection, job)).await?;
        let _lock = self.locks.job(job)?;
        let leave = move |work: &mut Work| {
            jobs::known_key(&work.connection, job)?;
            jobs::leave(&work.connection, job)?.ok_or(StoreError::NotFinished(job))
        };
        self.writer.write(leave).await?;
        if let Some(_removing) = self.locks.removing()? {
            self.remove_job(job).await?;
        }
        Ok(())
    }

    /// Remove a job that the caller has locked, unless somebody had it go on before.
    pub(super) async fn remove_job(&self, job: JobId) -> Result<Option<Removed>> {
        let Some(key) = self.writer.write(move |work| jobs::leave(&work.connection, job)).await? else {
            return Ok(None);
        };
        let removed = self.remove_all_bodies(job, key).await?;
        for sql in [
            "DELETE FROM outcome WHERE rowid IN (SELECT rowid FROM outcome WHERE job = ?1 LIMIT ?2)",
            "DELETE FROM chunk WHERE rowid IN (SELECT rowid FROM chunk WHERE job = ?1 LIMIT ?2)",
            "DELETE FROM dead WHERE job = ?1 AND run IN (SELECT run FROM dead WHERE job = ?1 LIMIT 64 * ?2)",
        ] {
            self.delete_by_steps(key, sql).await?;
        }
        let forget = move |work: &mut Work| {
            for sql in [
                "DELETE FROM attempt WHERE job = ?1",
                "DELETE FROM ledger WHERE job = ?1",
                "DELETE FROM job_text WHERE job = ?1",
                "DELETE FROM job WHERE key = ?1",
            ] {
                work.connection.prepare_cached(sql)?.execute([key])?;
            }
            Ok(())
        };
        self.writer.write(forget).await?;
        self.locks.forget(job);
        Ok(Some(removed))
    }

    /// Remove the bodies of a job that the caller has locked, unless somebody had it go on before.
    pub(super) async fn remove_bodies(&self, job: JobId) -> Result<Option<Removed>> {
        match self.writer.write(move |work| jobs::spend_bodies(&work.connection, job)).await? {
            Some(key) => Ok(Some(self.remove_all_bodies(job, key).await?)),
            None => Ok(None),
        }
    }

    async fn remove_all_bodies(&self, job: JobId, key: i64) -> Result<Removed> {
        self.delete_by_steps(key, "DELETE FROM body WHERE rowid IN (SELECT rowid FROM body WHERE job = ?1 LIMIT ?2)")
            .await?;
        let forget = move |work: &mut Work| {
            let files = work.connection.prepare_cached("DELETE FROM body_file WHERE job = ?1")?.execute([key])?;
            work.connection.prepare_cached("UPDATE job SET has_bodies = 0 WHERE key = ?1")?.execute([key])?;
            Ok(files > 0)
        };
        let named_files = self.writer.write(forget).await?;
        let spools = self.spools.clone();
        let bytes = spawn_blocking(move || spools.remove(job)).await.map_err(|_| StoreError::Closed)??;
        Ok(Removed { bytes, named_files })
    }

    async fn delete_by_steps(&self, key: i64, sql: &'static str) -> Result<()> {
        let step = move |work: &mut Work| Ok(work.connection.prepare_cached(sql)?.execute([key, STEP_ROWS])?);
        while self.writer.write(step).await? > 0 {}
        Ok(())
    }
}
