//! Dead letters, as SQL.

use pigeon_protocol::id::{Epoch, JobId, RunIndex};
use rusqlite::Connection;

use super::{jobs, number, writer::Work};
use crate::{DeadQuery, DeadRow, Result, StoreError};

/// A page of dead letters.
pub(super) fn list(_connection: &Connection, _query: &DeadQuery) -> Result<Vec<DeadRow>> {
    Ok(Vec::new())
}

/// A dead letter.
pub(super) fn one(connection: &Connection, job: JobId, _run: RunIndex) -> Result<Option<DeadRow>> {
    jobs::known_key(connection, job)?;
    Ok(None)
}

/// How many dead letters there are.
pub(super) fn count(connection: &Connection, job: Option<JobId>) -> Result<u64> {
    let Some(job) = job else {
        let mut select = connection.prepare_cached("SELECT ifnull(sum(dead), 0) FROM job WHERE NOT gone")?;
        return Ok(number(select.query_row([], |row| row.get(0))?));
    };
    Ok(jobs::job(connection, job)?.dead)
}

/// Forget that runs are dead letters.
pub(super) fn forget(connection: &Connection, job: JobId, _runs: &[RunIndex]) -> Result<u64> {
    jobs::known_key(connection, job)?;
    Ok(0)
}

impl Work {
    /// Take outcomes back.
    pub(super) fn take_back(&mut self, job: JobId, epoch: Epoch, _runs: &[RunIndex]) -> Result<u64> {
        jobs::owned(&self.connection, job, epoch)?;
        Err(StoreError::BodiesGone(job))
    }
}
