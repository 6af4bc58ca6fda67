//! Removing what need not be kept any longer, a little at a time, so that nobody who records waits for long.
//!
//! While a backup is taken nothing of this happens: the next sweep does it.

use std::{sync::Arc, time::Duration};

use pigeon_protocol::id::{Digest, JobId};
use rusqlite::{Connection, params};
use tokio::task::spawn_blocking;

use super::{
    Inner, agents, events, int, jobs,
    remove::{AT_ONCE, Due, Removed, Why},
    room::pragma,
    schema,
};
use crate::{Result, Retention, StoreError, Swept};

/// Free pages that are given back in one transaction.
const STEP_PAGES: u64 = 4096;

impl Inner {
    pub(super) async fn sweep(self: &Arc<Self>, now_ms: u64, retention: Retention) -> Result<Swept> {
        let mut swept = Swept::default();
        let Some(_removing) = self.locks.removing()? else {
            swept.bytes = self.clone().disk_bytes().await?;
            return Ok(swept);
        };
        let before = |kept: Duration| now_ms.saturating_sub(u64::try_from(kept.as_millis()).unwrap_or(u64::MAX));
        let before_ms = before(retention.results);
        let due = self.readers.read(move |connection| due(connection, before_ms, retention.keep_bodies)).await?;
        for due in due.chunks(AT_ONCE) {
            swept.count(&self.remove(due).await?);
        }
        let copies = self.clone();
        spawn_blocking(move || copies.remove_copies()).await.map_err(|_| StoreError::Closed)??;
        let events_ms = before(retention.events);
        let outdated = self.readers.read(move |connection| events::outdated(connection, events_ms, now_ms)).await?;
        swept.events = self.forget_events(outdated).await?;
        self.writer.write(move |work| drop_plugins(&work.connection, before_ms)).await?;
        let agents_ms = before(retention.agents);
        self.writer.write(move |work| agents::forget(&work.connection, now_ms, agents_ms)).await?;
        swept.files = self.clone().drop_files().await?;
        swept.freed += self.clone().drop_spools().await?;
        self.clone().measure_files().await?;
        if let Some(most) = retention.max_bytes {
            self.make_room(most, &mut swept).await?;
        }
        swept.freed += self.shrink().await?;
        swept.bytes = self.clone().disk_bytes().await?;
        Ok(swept)
    }

    /// Remove the events up to this one; how many there were.
    pub(super) async fn forget_events(&self, last: u64) -> Result<u64> {
        let mut forgotten = 0;
        loop {
            let some = self.writer.write(move |work| events::forget_until(&work.connection, last)).await?;
            if some == 0 {
                return Ok(forgotten);
            }
            forgotten += some;
        }
    }

    /// Remove files of items that no row names: whoever forgot the rows died before the files were gone. Those of a job that
    /// is accepted with its items are there before its row is, so they stay as long as somebody may do that.
    async fn drop_spools(self: Arc<Self>) -> Result<u64> {
        let sweep = move || {
            let connection = schema::open_reader(&self.database)?;
            let mut strays = Vec::new();
            for job in self.spools.jobs()? {
                if !has_bodies(&connection, job)? {
                    strays.push(job);
                }
            }
            if strays.is_empty() {
                return Ok(0);
            }
            let Some(_lock) = self.locks.sweeping_files()? else { return Ok(0) };
            let mut freed = 0;
            for job in strays {
                // Whoever was about to name it has done so by now.
                if !has_bodies(&connection, job)? {
                    freed += self.spools.remove(job)?;
                }
            }
            Ok(freed)
        };
        spawn_blocking(sweep).await.map_err(|_| StoreError::Closed)?
    }

    /// Remove files that no row names, unless somebody puts some now: then the next sweep does.
    pub(super) async fn drop_files(self: Arc<Self>) -> Result<u64> {
        let sweep = move || {
            let Some(_lock) = self.locks.sweeping_files()? else { return Ok(0) };
            let connection = schema::open_reader(&self.database)?;
            self.bodies.retain(&mut |digest| is_named(&connection, digest))
        };
        spawn_blocking(sweep).await.map_err(|_| StoreError::Closed)?
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

impl Swept {
    /// Tell of jobs that were removed.
    pub(super) fn count(&mut self, removed: &Removed) {
        self.freed += removed.bytes;
        for Due { job, why } in &removed.done {
            match why {
                Why::Bodies => self.bodies.push(*job),
                Why::Expired { .. } => self.jobs.push(*job),
                Why::Room { .. } => self.for_room.push(*job),
                Why::Gone => self.deleted += 1,
            }
        }
    }
}

/// Jobs of which something need not be kept: each part by an index that has little else, however many jobs are kept.
const DUE: &str = "
    SELECT id, finished_ms, 1 AS gone, 0 AS expired FROM job INDEXED BY job_gone WHERE gone
    UNION ALL
    SELECT id, finished_ms, 0, 1 FROM job INDEXED BY job_by_end WHERE state <> 0 AND NOT gone AND finished_ms < ?1
    UNION ALL
    SELECT id, finished_ms, 0, 0 FROM job INDEXED BY job_with_bodies WHERE state <> 0 AND NOT gone AND has_bodies <> 0
        AND (has_bodies = 2 OR dead = 0 AND NOT ?2) AND finished_ms >= ?1";

/// Jobs of which something need not be kept.
fn due(connection: &Connection, before_ms: u64, keep_bodies: bool) -> Result<Vec<Due>> {
    let mut select = connection.prepare_cached(DUE)?;
    let due = select.query_and_then(params![int(before_ms), keep_bodies], |row| {
        let why = match (row.get("gone")?, row.get("expired")?) {
            (true, _) => Why::Gone,
            (false, true) => Why::Expired { finished_ms: row.get("finished_ms")? },
            (false, _) => Why::Bodies,
        };
        Ok(Due { job: jobs::id_of(row)?, why })
    })?;
    due.collect()
}

/// Plugins that were given for jobs alone, when the last of those is gone.
fn drop_plugins(connection: &Connection, before_ms: u64) -> Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM plugin WHERE NOT listed AND published_ms < ?1
             AND NOT EXISTS (SELECT 1 FROM job WHERE job.plugin = plugin.digest)",
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

/// Whether a job is known and has bodies.
fn has_bodies(connection: &Connection, job: JobId) -> Result<bool> {
    let mut select = connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM job WHERE id = ?1 AND has_bodies)")?;
    Ok(select.query_row([&job.to_bytes()[..]], |row| row.get(0))?)
}

/// Give back some free pages; how many bytes.
fn shrink(connection: &Connection) -> Result<u64> {
    let before = pragma(connection, "freelist_count")?;
    if before == 0 {
        return Ok(0);
    }
    // It yields a row for every page.
    let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({STEP_PAGES})"))?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    drop(rows);
    Ok(before.saturating_sub(pragma(connection, "freelist_count")?) * pragma(connection, "page_size")?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use bytes::Bytes;
    use pigeon_protocol::id::Epoch;

    use super::*;
    use crate::{ItemsBuilder, Options, SqliteStore};

    #[tokio::test]
    async fn files_that_somebody_is_about_to_name_stay() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path(), Options::default()).unwrap().0.clone();
        let path = store.spools.path(JobId::new(), Epoch(1));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "body").unwrap();
        let naming = store.locks.naming_files().unwrap();
        assert_eq!(store.clone().drop_spools().await.unwrap(), 0);
        assert!(path.exists());
        drop(naming);
        assert_eq!(store.clone().drop_spools().await.unwrap(), 4);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn who_accepts_a_job_with_its_items_is_about_to_name_files() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path(), Options::default()).unwrap().0.clone();
        let items = |bytes: usize| {
            let mut builder = ItemsBuilder::default();
            builder.push("item", 1, vec![7; bytes].into());
            builder.take()
        };
        // A small chunk lies in the database, and of a job that is known a sweep knows the files.
        for (bytes, is_known, is_free) in [(100_000, false, false), (100, false, true), (100_000, true, true)] {
            let chunk = store.prepare(0, &items(bytes), Bytes::new(), is_known).await.unwrap();
            assert_eq!(store.locks.sweeping_files().unwrap().is_some(), is_free, "{bytes} {is_known}");
            drop(chunk);
            assert!(store.locks.sweeping_files().unwrap().is_some());
        }
    }

    #[test]
    fn jobs_that_stay_as_they_are_are_not_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pigeon.db");
        schema::create(&path).unwrap();
        let connection = schema::open_reader(&path).unwrap();
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {DUE}")).unwrap();
        let plan: Vec<String> =
            explain.query_map(params![1, false], |row| row.get("detail")).unwrap().collect::<Result<_, _>>().unwrap();
        let reads: Vec<&String> = plan.iter().filter(|step| step.contains(" job ")).collect();
        assert_eq!(reads.len(), 3, "{plan:?}");
        for (step, index) in reads.into_iter().zip(["job_gone", "job_by_end", "job_with_bodies"]) {
            assert!(step.contains(index), "{step}");
        }
    }
}
