//! Removing jobs: each is gone for everybody at once, and what there is of it goes by steps.
//!
//! ```text
//! mark the job as gone      from here on nobody sees it, and its key is free
//! bodies, names of files
//! outcomes, chunks, letters
//! the job itself            last: whoever dies on the way leaves a job that is gone, and the next sweep goes on with it
//! files of items            what is left of them without a job, the next sweep removes too
//! ```
//!
//! A step is one transaction. It takes as many jobs as it may, so that hundreds of small ones cost one commit, and so little
//! of a large one that whoever writes meanwhile hardly waits.
//!
//! Bodies that go while their job stays are announced in the same way: they are not whole any more before the first is
//! missing, so that nobody takes outcomes back whose items are not there.

use std::sync::Arc;

use pigeon_protocol::id::JobId;
use rusqlite::{Connection, params, types::Value};
use tokio::task::spawn_blocking;

use super::{Inner, events, jobs, writer::Work};
use crate::{NewEvent, Result, StoreError};

/// Jobs that are removed side by side: each is locked meanwhile.
pub(super) const AT_ONCE: usize = 128;

/// Rows that are deleted in one transaction.
const STEP_ROWS: i64 = 2048;

/// Bytes of rows that are deleted in one transaction.
const STEP_BYTES: i64 = 4 << 20;

/// What a job costs besides its rows, in rows.
const JOB_ROWS: i64 = 4;

/// A job that goes, or its bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) job: JobId,
    pub(super) why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It was deleted, and something is left of it.
    Gone,
    /// Its time is over: of one that was finished then, and was not worked at since.
    Expired { finished_ms: i64 },
    /// There is no room for it; likewise.
    Room { finished_ms: i64 },
    /// It is finished, and nobody needs its bodies: these go, and the job stays.
    Bodies,
}

/// What was removed.
#[derive(Debug, Default)]
pub(super) struct Removed {
    /// Those of which nothing is left that was to go; without those that somebody owns, or had go on before.
    pub(super) done: Vec<Due>,
    /// Bytes of files.
    pub(super) bytes: u64,
    /// Whether files were named that nobody may name now.
    pub(super) named_files: bool,
}

/// How a step leaves a job.
#[derive(Debug, Clone, Copy, Default)]
struct Step {
    /// Somebody had it go on before.
    kept: bool,
    /// Nothing is left that is to go.
    done: bool,
    named_files: bool,
}

impl Inner {
    /// Remove a finished job; or the rest of one that is gone, where its removal was begun and failed.
    pub(super) async fn delete(self: &Arc<Self>, job: JobId, told: Vec<NewEvent>) -> Result<()> {
        // Before the lock's file is made.
        self.readers.read(move |connection| jobs::must_be_there(connection, job)).await?;
        let _lock = self.locks.job(job)?;
        let leave = move |work: &mut Work| {
            jobs::must_be_there(&work.connection, job)?;
            jobs::leave(&work.connection, job, None)?.ok_or(StoreError::NotFinished(job))
        };
        self.writer.write(events::telling(told, leave)).await?;
        if let Some(_removing) = self.locks.removing()? {
            self.remove_locked(vec![Due { job, why: Why::Gone }]).await?;
        }
        Ok(())
    }

    /// Remove jobs, at most [`AT_ONCE`], without those that somebody owns.
    pub(super) async fn remove(self: &Arc<Self>, due: &[Due]) -> Result<Removed> {
        let (mut locks, mut locked) = (Vec::with_capacity(due.len()), Vec::with_capacity(due.len()));
        for due in due {
            match self.locks.job(due.job) {
                Ok(lock) => locks.push(lock),
                Err(StoreError::Busy { .. }) => continue,
                Err(error) => return Err(error),
            }
            locked.push(*due);
        }
        let removed = self.remove_locked(locked).await;
        drop(locks);
        removed
    }

    /// Remove jobs that the caller has locked.
    async fn remove_locked(self: &Arc<Self>, mut due: Vec<Due>) -> Result<Removed> {
        let mut removed = Removed::default();
        while !due.is_empty() {
            let some = due.clone();
            let steps = self.writer.write(move |work| step(&work.connection, &some)).await?;
            let (mut done, mut left) = (Vec::new(), Vec::new());
            for (index, due) in due.into_iter().enumerate() {
                let step = steps.get(index).copied().unwrap_or_default();
                removed.named_files |= step.named_files;
                match step {
                    Step { kept: true, .. } => {}
                    Step { done: true, .. } => done.push(due),
                    _ => left.push(due),
                }
            }
            due = left;
            removed.bytes += self.clone().remove_files(done.clone()).await?;
            removed.done.append(&mut done);
        }
        Ok(removed)
    }

    /// Remove the files of jobs' items; how many bytes.
    async fn remove_files(self: Arc<Self>, done: Vec<Due>) -> Result<u64> {
        let remove = move || {
            let mut bytes = 0;
            for Due { job, why } in done {
                bytes += self.spools.remove(job)?;
                if why != Why::Bodies {
                    self.locks.forget(job);
                }
            }
            self.files.less(bytes);
            Ok(bytes)
        };
        spawn_blocking(remove).await.map_err(|_| StoreError::Closed)?
    }
}

/// Rows of a job in a table: what they are known by beside the job, with their size in bytes, and how one is deleted.
struct Rows {
    select: &'static str,
    delete: &'static str,
}

const BODIES: Rows = Rows {
    select: "SELECT rowid, length(lengths) + length(bodies) FROM body WHERE job = ?1",
    delete: "DELETE FROM body WHERE job = ?1 AND rowid = ?2",
};

const NAMED_FILES: Rows = Rows {
    select: "SELECT digest, 32 FROM body_file WHERE job = ?1",
    delete: "DELETE FROM body_file WHERE job = ?1 AND digest = ?2",
};

/// What else there is of a job.
const OTHERS: [Rows; 6] = [
    Rows {
        select: "SELECT rowid, length(body) FROM outcome WHERE job = ?1",
        delete: "DELETE FROM outcome WHERE job = ?1 AND rowid = ?2",
    },
    Rows {
        select: "SELECT rowid, length(names) FROM chunk WHERE job = ?1",
        delete: "DELETE FROM chunk WHERE job = ?1 AND rowid = ?2",
    },
    Rows {
        select: "SELECT run, octet_length(message) FROM dead WHERE job = ?1",
        delete: "DELETE FROM dead WHERE job = ?1 AND run = ?2",
    },
    Rows {
        select: "SELECT run, 16 FROM attempt WHERE job = ?1",
        delete: "DELETE FROM attempt WHERE job = ?1 AND run = ?2",
    },
    Rows {
        select: "SELECT job, length(body) FROM ledger WHERE job = ?1",
        delete: "DELETE FROM ledger WHERE job = ?1 AND job = ?2",
    },
    Rows {
        select: "SELECT job, length(spec) + length(note) + length(summary) FROM job_text WHERE job = ?1",
        delete: "DELETE FROM job_text WHERE job = ?1 AND job = ?2",
    },
];

/// What may be deleted still in a transaction. The first row always may, however large it is.
struct Budget {
    rows: i64,
    bytes: i64,
}

impl Budget {
    fn is_spent(&self) -> bool {
        self.rows <= 0 || self.bytes <= 0
    }

    /// Delete rows of a job while there is something to spend; how many, and whether there are more.
    fn delete(&mut self, connection: &Connection, key: i64, of: &Rows) -> Result<(u64, bool)> {
        let mut select = connection.prepare_cached(of.select)?;
        let mut rows = select.query([key])?;
        let (mut found, mut more) = (Vec::new(), false);
        while let Some(row) = rows.next()? {
            if self.is_spent() {
                more = true;
                break;
            }
            self.rows -= 1;
            self.bytes -= row.get::<_, i64>(1)?;
            found.push(row.get::<_, Value>(0)?);
        }
        drop(rows);
        if !found.is_empty() {
            let mut delete = connection.prepare_cached(of.delete)?;
            for row in &found {
                delete.execute(params![key, row])?;
            }
        }
        Ok((found.len() as u64, more))
    }
}

/// Remove as much of jobs as one transaction may; how it leaves the first of them. It did not come to the others.
fn step(connection: &Connection, due: &[Due]) -> Result<Vec<Step>> {
    let mut budget = Budget { rows: STEP_ROWS, bytes: STEP_BYTES };
    let mut steps = Vec::with_capacity(due.len());
    for due in due {
        if budget.is_spent() {
            break;
        }
        steps.push(remove_some(connection, *due, &mut budget)?);
    }
    Ok(steps)
}

fn remove_some(connection: &Connection, Due { job, why }: Due, budget: &mut Budget) -> Result<Step> {
    let key = match why {
        Why::Bodies => jobs::spend_bodies(connection, job)?,
        Why::Gone => jobs::leave(connection, job, None)?,
        Why::Expired { finished_ms } | Why::Room { finished_ms } => jobs::leave(connection, job, Some(finished_ms))?,
    };
    let Some(key) = key else { return Ok(Step { kept: true, ..Step::default() }) };
    budget.rows -= JOB_ROWS;
    let mut step = Step::default();
    if budget.delete(connection, key, &BODIES)?.1 {
        return Ok(step);
    }
    let (names, more) = budget.delete(connection, key, &NAMED_FILES)?;
    step.named_files = names > 0;
    if more {
        return Ok(step);
    }
    if why == Why::Bodies {
        connection.prepare_cached("UPDATE job SET has_bodies = 0 WHERE key = ?1")?.execute([key])?;
    } else {
        for rows in &OTHERS {
            if budget.delete(connection, key, rows)?.1 {
                return Ok(step);
            }
        }
        connection.prepare_cached("DELETE FROM job WHERE key = ?1")?.execute([key])?;
    }
    step.done = true;
    Ok(step)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use pigeon_protocol::{
        id::{Digest, RunIndex, Shape},
        outcome::Verdict,
    };

    use super::*;
    use crate::{
        Access, Batch, Claim, ItemsBuilder, JobEnd, JobState, NewJob, Options, OutcomeRow, SqliteStore, Store as _,
    };

    /// When those that are made here are finished.
    const FINISHED_MS: u64 = 3;

    const EXPIRED: Why = Why::Expired { finished_ms: FINISHED_MS as i64 };

    fn open() -> (SqliteStore, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { access: Access::Alone, dead_letters: true, ..Options::default() };
        (SqliteStore::open(dir.path(), options).unwrap(), dir)
    }

    /// A finished job, with something of it in every table.
    async fn finished(store: &SqliteStore, batches: u64, detail: usize) -> JobId {
        let new = NewJob {
            id: JobId::new(),
            spec: Bytes::from_static(b"{}"),
            plugin: Digest::of(b"component"),
            shape: Shape { places: 1, iterations: 1 },
            priority: 0,
            created_ms: 1,
            key: None,
            author: String::new(),
        };
        let claim: Claim = store.create(new).await.unwrap();
        let (job, epoch) = (claim.job(), claim.epoch());
        let mut items = ItemsBuilder::default();
        items.push("item", 1, Bytes::from_static(b"body"));
        store.append(job, epoch, 0, items.take(), Bytes::new()).await.unwrap();
        for run in 0..batches {
            let outcome = OutcomeRow {
                run: RunIndex(run),
                verdict: Verdict::Failure,
                time_us: 1,
                attempts: 1,
                error: None,
                detail: vec![7; detail].into(),
            };
            let batch = Batch { job, epoch, worker: "a".into(), landed_ms: 2, outcomes: vec![outcome] };
            store.record(batch).await.unwrap();
        }
        store.finish(job, epoch, JobEnd::new(JobState::Completed, FINISHED_MS)).await.unwrap();
        job
    }

    /// Steps until nothing is left of jobs.
    async fn steps(store: &SqliteStore, mut due: Vec<Due>) -> usize {
        for steps in 1.. {
            let some = due.clone();
            let done = store.0.writer.write(move |work| step(&work.connection, &some)).await.unwrap();
            assert!(!done.is_empty());
            let mut done = done.into_iter();
            due.retain(|_| !done.next().is_some_and(|step| step.done));
            if due.is_empty() {
                return steps;
            }
        }
        unreachable!("it ended")
    }

    #[tokio::test]
    async fn many_small_jobs_go_in_one_transaction() {
        let (store, _dir) = open();
        let mut jobs = Vec::new();
        for _ in 0..AT_ONCE {
            jobs.push(finished(&store, 1, 10).await);
        }
        let due = |why| jobs.iter().map(|&job| Due { job, why }).collect::<Vec<_>>();
        // Their letters go first: bodies are kept for them.
        for &job in &jobs {
            store.forget_dead(job, vec![RunIndex(0)]).await.unwrap();
        }
        assert_eq!(steps(&store, due(Why::Bodies)).await, 1);
        assert!(!store.job(jobs[0]).await.unwrap().has_bodies);
        assert_eq!(steps(&store, due(EXPIRED)).await, 1);
        assert_eq!(store.jobs(Default::default()).await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_large_job_goes_by_steps() {
        let (store, _dir) = open();
        let (large, small) = (finished(&store, 20, 1 << 20).await, finished(&store, 1, 1).await);
        let due = [large, small].map(|job| Due { job, why: EXPIRED }).to_vec();
        // Four outcomes of a megabyte each time, and what else there is of both.
        assert_eq!(steps(&store, due).await, 6);
        assert_eq!(store.jobs(Default::default()).await.unwrap(), []);
    }

    #[tokio::test]
    async fn what_went_on_since_it_was_found_due_stays() {
        let (store, _dir) = open();
        let (again, idle) = (finished(&store, 1, 1).await, finished(&store, 1, 1).await);
        // A sweep takes its time: meanwhile somebody has a dead letter tried again, and that is done.
        let claim = store.claim(again).await.unwrap();
        assert_eq!(store.take_back(again, claim.epoch(), vec![RunIndex(0)]).await.unwrap(), 1);
        store.finish(again, claim.epoch(), JobEnd::new(JobState::Completed, FINISHED_MS + 1)).await.unwrap();
        drop(claim);
        for why in [EXPIRED, Why::Room { finished_ms: FINISHED_MS as i64 }] {
            let removed = store.0.remove(&[Due { job: again, why }]).await.unwrap();
            assert_eq!(removed.done, []);
        }
        assert!(store.job(again).await.is_ok());
        let due = Due { job: idle, why: EXPIRED };
        assert_eq!(store.0.remove(&[due]).await.unwrap().done, [due]);
    }
}
