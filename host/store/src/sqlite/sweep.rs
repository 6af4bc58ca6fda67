//! Removing what need not be kept any longer, a little at a time, so that nobody who records waits for long.

use std::sync::Arc;

use pigeon_protocol::id::{Digest, JobId};
use rusqlite::{Connection, params};
use tokio::task::spawn_blocking;

use super::{Inner, int, number, writer::Work};
use crate::{Result, Retention, StoreError, Swept};

/// Rows that are deleted in one transaction: of up to 1 MiB each, as a rule far less.
const STEP_ROWS: i64 = 64;

/// Free pages that are given back in one transaction.
const STEP_PAGES: u64 = 4096;

/// A finished job, as a sweep sees it.
struct Due {
    job: JobId,
    key: i64,
    /// All of it goes, and not only its bodies.
    expired: bool,
}

impl Inner {
    /// Remove a finished job.
    pub(super) async fn delete(self: &Arc<Self>, job: JobId) -> Result<()> {
        let _lock = self.locks.job(job)?;
        let read = move |connection: &_| super::jobs::job(connection, job);
        if !self.readers.read(read).await?.state.is_finished() {
            return Err(StoreError::NotFinished(job));
        }
        Err(StoreError::Closed)
    }

    pub(super) async fn sweep(self: &Arc<Self>, now_ms: u64, retention: Retention) -> Result<Swept> {
        let mut swept = Swept::default();
        let kept_ms = u64::try_from(retention.results.as_millis()).unwrap_or(u64::MAX);
        let before_ms = now_ms.saturating_sub(kept_ms);
        for due in self.readers.read(move |connection| due(connection, before_ms, retention.keep_bodies)).await? {
            let lock = match self.locks.job(due.job) {
                Ok(lock) => lock,
                Err(StoreError::Busy { .. }) => continue,
                Err(error) => return Err(error),
            };
            swept.freed += self.drop_bodies(&due).await?;
            if due.expired {
                self.drop_job(&due).await?;
                self.locks.forget(due.job);
                swept.jobs.push(due.job);
            } else {
                swept.bodies.push(due.job);
            }
            drop(lock);
        }
        self.writer.write(move |work| drop_plugins(&work.connection, before_ms)).await?;
        swept.files = self.clone().drop_files().await?;
        swept.freed += self.clone().drop_spools().await?;
        swept.freed += self.shrink().await?;
        self.clone().write_back().await?;
        Ok(swept)
    }

    /// Remove a job's bodies; how many bytes of files.
    async fn drop_bodies(&self, due: &Due) -> Result<u64> {
        let key = due.key;
        self.delete_by_steps(key, "DELETE FROM body WHERE rowid IN (SELECT rowid FROM body WHERE job = ?1 LIMIT ?2)")
            .await?;
        let forget = move |work: &mut Work| {
            work.connection.prepare_cached("DELETE FROM body_file WHERE job = ?1")?.execute([key])?;
            work.connection.prepare_cached("UPDATE job SET has_bodies = 0 WHERE key = ?1")?.execute([key])?;
            Ok(())
        };
        self.writer.write(forget).await?;
        let (spools, job) = (self.spools.clone(), due.job);
        spawn_blocking(move || spools.remove(job)).await.map_err(|_| StoreError::Closed)?
    }

    /// Remove files of items that no row names: whoever forgot the rows died before the files were gone.
    async fn drop_spools(self: Arc<Self>) -> Result<u64> {
        let sweep = move || {
            let connection = super::schema::open_reader(&self.database)?;
            let mut freed = 0;
            for job in self.spools.jobs()? {
                if !has_bodies(&connection, job)? {
                    freed += self.spools.remove(job)?;
                }
            }
            Ok(freed)
        };
        spawn_blocking(sweep).await.map_err(|_| StoreError::Closed)?
    }

    async fn drop_job(&self, due: &Due) -> Result<()> {
        let key = due.key;
        for sql in [
            "DELETE FROM outcome WHERE rowid IN (SELECT rowid FROM outcome WHERE job = ?1 LIMIT ?2)",
            "DELETE FROM chunk WHERE rowid IN (SELECT rowid FROM chunk WHERE job = ?1 LIMIT ?2)",
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
        self.writer.write(forget).await
    }

    async fn delete_by_steps(&self, key: i64, sql: &'static str) -> Result<()> {
        let step = move |work: &mut Work| Ok(work.connection.prepare_cached(sql)?.execute([key, STEP_ROWS])?);
        while self.writer.write(step).await? > 0 {}
        Ok(())
    }

    /// Remove files that no row names, unless somebody puts some now: then the next sweep does.
    async fn drop_files(self: Arc<Self>) -> Result<u64> {
        let sweep = move || {
            let _lock = match self.locks.sweeping_bodies() {
                Ok(lock) => lock,
                Err(StoreError::Busy { .. }) => return Ok(0),
                Err(error) => return Err(error),
            };
            let connection = super::schema::open_reader(&self.database)?;
            self.bodies.retain(&mut |digest| is_named(&connection, digest))
        };
        spawn_blocking(sweep).await.map_err(|_| StoreError::Closed)?
    }

    /// Bring what is in the WAL into the database, so that whoever closes it last need not wait for that.
    async fn write_back(self: Arc<Self>) -> Result<()> {
        let write_back = move || super::schema::write_back(&self.database);
        spawn_blocking(write_back).await.map_err(|_| StoreError::Closed)?
    }

    /// Give free pages back to the disk; how many bytes.
    async fn shrink(&self) -> Result<u64> {
        let mut freed = 0;
        loop {
            let step = self.writer.write(|work| shrink(&work.connection)).await?;
            if step == 0 {
                return Ok(freed);
            }
            freed += step;
        }
    }
}

/// Finished jobs of which something need not be kept.
fn due(connection: &Connection, before_ms: u64, keep_bodies: bool) -> Result<Vec<Due>> {
    let mut select = connection.prepare_cached(
        "SELECT key, id, finished_ms < ?1 AS expired FROM job
         WHERE state <> 0 AND (expired OR (has_bodies AND NOT ?2)) ORDER BY key",
    )?;
    let mut rows = select.query(params![int(before_ms), keep_bodies])?;
    let mut due = Vec::new();
    while let Some(row) = rows.next()? {
        let job = JobId::from_slice(row.get_ref("id")?.as_blob().unwrap_or_default());
        let job = job.ok_or_else(|| StoreError::Corrupt { what: "a job's id has not 16 bytes".to_owned() })?;
        due.push(Due { job, key: row.get("key")?, expired: row.get("expired")? });
    }
    Ok(due)
}

/// Plugins that were given for jobs alone, when the last of those is gone.
fn drop_plugins(connection: &Connection, before_ms: u64) -> Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM plugin WHERE NOT listed AND published_ms < ?1 AND digest NOT IN (SELECT plugin FROM job)",
        )?
        .execute([int(before_ms)])?;
    Ok(())
}

fn is_named(connection: &Connection, digest: Digest) -> Result<bool> {
    let mut select = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM plugin WHERE digest = ?1) OR EXISTS (SELECT 1 FROM body_file WHERE digest = ?1)",
    )?;
    Ok(select.query_row([&digest.as_bytes()[..]], |row| row.get(0))?)
}

/// Whether a job is known and has bodies. Its row is there before any file of it.
fn has_bodies(connection: &Connection, job: JobId) -> Result<bool> {
    let mut select = connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM job WHERE id = ?1 AND has_bodies)")?;
    Ok(select.query_row([&job.to_bytes()[..]], |row| row.get(0))?)
}

/// Give back some free pages; how many bytes.
fn shrink(connection: &Connection) -> Result<u64> {
    let pragma = |name| -> Result<u64> { Ok(number(connection.pragma_query_value(None, name, |row| row.get(0))?)) };
    let before = pragma("freelist_count")?;
    if before == 0 {
        return Ok(0);
    }
    // It yields a row for every page.
    let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({STEP_PAGES})"))?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    drop(rows);
    Ok(before.saturating_sub(pragma("freelist_count")?) * pragma("page_size")?)
}
