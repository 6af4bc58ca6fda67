//! Jobs and their items, as SQL.

use bytes::Bytes;
use pigeon_protocol::id::{Digest, Epoch, JobId, Shape};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{int, number};
use crate::{JobCounts, JobEnd, JobFilter, JobRecord, JobState, NewJob, Result, StoreError};

/// A column with a digest.
pub(super) fn digest_of(row: &Row<'_>, column: &str) -> Result<Digest> {
    let digest = Digest::from_slice(row.get_ref(column)?.as_blob().unwrap_or_default());
    digest.ok_or_else(|| StoreError::Corrupt { what: "a digest has not 32 bytes".to_owned() })
}

/// A column of bytes.
pub(super) fn bytes_of(row: &Row<'_>, column: &str) -> Result<Bytes> {
    Ok(Bytes::from(row.get::<_, Vec<u8>>(column)?))
}

/// Insert a job whose first owner is the caller.
pub(super) fn create(connection: &Connection, job: &NewJob) -> Result<()> {
    let (id, plugin) = (job.id.to_bytes(), job.plugin.as_bytes());
    // One that is gone has its id still.
    let mut select = connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM job WHERE id = ?1)")?;
    if select.query_row([&id[..]], |row| row.get(0))? {
        return Err(StoreError::JobExists(job.id));
    }
    if let Some(submission) = &job.key {
        let mut select = connection.prepare_cached("SELECT id FROM job WHERE author = ?1 AND submission = ?2")?;
        let mut rows = select.query([&job.author, submission])?;
        if let Some(row) = rows.next()? {
            return Err(StoreError::KeyTaken(id_of(row)?));
        }
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO job (id, plugin, places, iterations, priority, created_ms, submission, author)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    let Shape { places, iterations } = job.shape;
    let (priority, created_ms) = (job.priority, int(job.created_ms));
    let key =
        insert.insert(params![&id[..], &plugin[..], places, iterations, priority, created_ms, job.key, job.author])?;
    connection
        .prepare_cached("INSERT INTO job_text (job, spec) VALUES (?1, ?2)")?
        .execute(params![key, &job.spec[..]])?;
    Ok(())
}

/// A job's key in the other tables, if there is such a job.
pub(super) fn key(connection: &Connection, job: JobId) -> Result<Option<i64>> {
    let mut select = connection.prepare_cached("SELECT key FROM job WHERE id = ?1 AND NOT gone")?;
    Ok(select.query_row([&job.to_bytes()[..]], |row| row.get(0)).optional()?)
}

/// A job's key in the other tables.
pub(super) fn known_key(connection: &Connection, job: JobId) -> Result<i64> {
    key(connection, job)?.ok_or(StoreError::UnknownJob(job))
}

/// Whether anything is left of a job, be it gone for everybody or not.
///
/// # Errors
/// [`StoreError::UnknownJob`] if nothing is.
pub(super) fn must_be_there(connection: &Connection, job: JobId) -> Result<()> {
    let mut select = connection.prepare_cached("SELECT 1 FROM job WHERE id = ?1")?;
    if select.exists([&job.to_bytes()[..]])? { Ok(()) } else { Err(StoreError::UnknownJob(job)) }
}

/// A finished job is gone for everybody, and what it was submitted with is free; its key in the other tables. `None` if it
/// is not finished; or at another time, if one is given: then it went on since.
pub(super) fn leave(connection: &Connection, job: JobId, finished_ms: Option<i64>) -> Result<Option<i64>> {
    let mut update = connection.prepare_cached(
        "UPDATE job SET gone = 1, submission = NULL
         WHERE id = ?1 AND (gone OR state <> 0 AND (?2 IS NULL OR finished_ms = ?2)) RETURNING key",
    )?;
    Ok(update.query_row(params![&job.to_bytes()[..], finished_ms], |row| row.get(0)).optional()?)
}

/// The bodies of a finished job go, though the first is there still; its key in the other tables. `None` if it is not
/// finished, or they may be needed.
pub(super) fn spend_bodies(connection: &Connection, job: JobId) -> Result<Option<i64>> {
    let mut update = connection.prepare_cached(
        "UPDATE job SET has_bodies = 2 WHERE id = ?1 AND state <> 0 AND (dead = 0 OR has_bodies = 2) RETURNING key",
    )?;
    Ok(update.query_row([&job.to_bytes()[..]], |row| row.get(0)).optional()?)
}

/// What a write of a job needs to know of it.
pub(super) struct Head {
    pub(super) key: i64,
    pub(super) items: u64,
    pub(super) chunks: u64,
    pub(super) sealed: bool,
    pub(super) state: JobState,
    pub(super) has_bodies: bool,
}

/// A job's head, for its owner alone.
pub(super) fn owned(connection: &Connection, job: JobId, given: Epoch) -> Result<Head> {
    let mut select = connection.prepare_cached(
        "SELECT key, epoch, items, chunks, sealed, state, has_bodies = 1 AS whole FROM job WHERE id = ?1 AND NOT gone",
    )?;
    let mut rows = select.query([&job.to_bytes()[..]])?;
    let row = rows.next()?.ok_or(StoreError::UnknownJob(job))?;
    let current = Epoch(number(row.get("epoch")?));
    if given != current {
        return Err(StoreError::StaleEpoch { job, given, current });
    }
    Ok(Head {
        key: row.get("key")?,
        items: number(row.get("items")?),
        chunks: number(row.get("chunks")?),
        sealed: row.get("sealed")?,
        state: state_of(row)?,
        has_bodies: row.get("whole")?,
    })
}

fn state_of(row: &Row<'_>) -> Result<JobState> {
    let state = JobState::from_number(row.get("state")?);
    state.ok_or_else(|| StoreError::Corrupt { what: "a job has a state that is not known".to_owned() })
}

/// Raise a job's epoch for a new owner.
pub(super) fn claim(connection: &Connection, job: JobId) -> Result<Epoch> {
    let mut update =
        connection.prepare_cached("UPDATE job SET epoch = epoch + 1 WHERE id = ?1 AND NOT gone RETURNING epoch")?;
    let epoch = update.query_row([&job.to_bytes()[..]], |row| row.get(0)).optional()?;
    epoch.map(|epoch| Epoch(number(epoch))).ok_or(StoreError::UnknownJob(job))
}

const RECORD: &str = "SELECT * FROM job JOIN job_text ON job_text.job = job.key";

/// A job as it stands.
pub(super) fn job(connection: &Connection, job: JobId) -> Result<JobRecord> {
    let mut select = connection.prepare_cached(&format!("{RECORD} WHERE id = ?1 AND NOT gone"))?;
    let record = select.query_row([&job.to_bytes()[..]], |row| Ok(record_of(row))).optional()?;
    record.ok_or(StoreError::UnknownJob(job))?
}

/// Jobs, the newest first.
pub(super) fn jobs(connection: &Connection, filter: &JobFilter) -> Result<Vec<JobRecord>> {
    let (behind_ms, behind_key) = match filter.before {
        Some(before) => place(connection, before)?,
        None => (i64::MAX, i64::MAX),
    };
    // Bits by the number of the state.
    let states = filter.states.iter().fold(0, |states, &state| states | 1u32 << state as u8);
    let states = if states == 0 { u32::MAX } else { states };
    // Those that are not finished are few among many: they have an index of their own.
    let unfinished = if filter.unfinished { "state = 0 AND" } else { "" };
    let sql = format!(
        "{RECORD} WHERE {unfinished} NOT gone AND (created_ms, key) < (?1, ?2) AND (1 << state & ?3) <> 0
         AND (?4 IS NULL OR paused = ?4) AND (?5 IS NULL OR plugin IN (SELECT digest FROM plugin WHERE name = ?5))
         ORDER BY created_ms DESC, key DESC LIMIT ?6"
    );
    let mut select = connection.prepare_cached(&sql)?;
    let limit = filter.limit.map_or(-1, i64::from);
    let params = params![behind_ms, behind_key, states, filter.paused, filter.plugin, limit];
    select.query_and_then(params, record_of)?.collect()
}

/// Where a job stands in the list. One that is not kept any more stood about where its id says: that begins with the
/// time at which it was made.
fn place(connection: &Connection, job: JobId) -> Result<(i64, i64)> {
    let id = job.to_bytes();
    let mut select = connection.prepare_cached("SELECT created_ms, key FROM job WHERE id = ?1")?;
    let place = select.query_row([&id[..]], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let made_ms = id.iter().take(6).fold(0, |ms, &byte| ms << 8 | i64::from(byte));
    Ok(place.unwrap_or((made_ms, i64::MAX)))
}

/// The key of a job; or, if it is not kept any more, that of the one before it.
pub(super) fn place_key(connection: &Connection, job: JobId) -> Result<Result<i64, i64>> {
    let mut select = connection.prepare_cached("SELECT key FROM job WHERE id = ?1")?;
    if let Some(key) = select.query_row([&job.to_bytes()[..]], |row| row.get(0)).optional()? {
        return Ok(Ok(key));
    }
    let (made_ms, _) = place(connection, job)?;
    let mut select = connection
        .prepare_cached("SELECT key FROM job WHERE created_ms <= ?1 ORDER BY created_ms DESC, key DESC LIMIT 1")?;
    Ok(Err(select.query_row([made_ms], |row| row.get(0)).optional()?.unwrap_or(0)))
}

/// How many jobs there are.
pub(super) fn counts(connection: &Connection) -> Result<JobCounts> {
    let mut select = connection.prepare_cached("SELECT state, paused, jobs FROM job_count WHERE jobs > 0")?;
    let mut rows = select.query([])?;
    let mut counts = JobCounts::default();
    while let Some(row) = rows.next()? {
        let counted = match (state_of(row)?, row.get("paused")?) {
            (JobState::Active, false) => &mut counts.active,
            (JobState::Active, true) => &mut counts.paused,
            (JobState::Completed, _) => &mut counts.completed,
            (JobState::FailedFast, _) => &mut counts.failed_fast,
            (JobState::Cancelled, _) => &mut counts.cancelled,
        };
        *counted += number(row.get(2)?);
    }
    Ok(counts)
}

/// A column with a job's id.
pub(super) fn id_of(row: &Row<'_>) -> Result<JobId> {
    let id = JobId::from_slice(row.get_ref("id")?.as_blob().unwrap_or_default());
    id.ok_or_else(|| StoreError::Corrupt { what: "a job's id has not 16 bytes".to_owned() })
}

fn record_of(row: &Row<'_>) -> Result<JobRecord> {
    let sealed: bool = row.get("sealed")?;
    Ok(JobRecord {
        job: NewJob {
            id: id_of(row)?,
            spec: bytes_of(row, "spec")?,
            plugin: digest_of(row, "plugin")?,
            shape: Shape { places: row.get("places")?, iterations: row.get("iterations")? },
            priority: row.get("priority")?,
            created_ms: number(row.get("created_ms")?),
            key: row.get("submission")?,
            author: row.get("author")?,
        },
        state: state_of(row)?,
        epoch: Epoch(number(row.get("epoch")?)),
        items: number(row.get("items")?),
        chunks: number(row.get("chunks")?),
        bytes: number(row.get("bytes")?),
        cursor: bytes_of(row, "cursor")?,
        sealed: if sealed { Some(bytes_of(row, "note")?) } else { None },
        summary: bytes_of(row, "summary")?,
        worked_ms: number(row.get("worked_ms")?),
        finished_ms: row.get::<_, Option<i64>>("finished_ms")?.map(number),
        paused: row.get("paused")?,
        has_bodies: row.get::<_, i64>("has_bodies")? == 1,
        dead: number(row.get("dead")?),
    })
}

/// Seal a job, unless it is sealed.
pub(super) fn seal(connection: &Connection, job: JobId, epoch: Epoch, note: &[u8]) -> Result<()> {
    let head = owned(connection, job, epoch)?;
    if !head.sealed {
        connection.prepare_cached("UPDATE job SET sealed = 1 WHERE key = ?1")?.execute([head.key])?;
        connection.prepare_cached("UPDATE job_text SET note = ?2 WHERE job = ?1")?.execute(params![head.key, note])?;
    }
    Ok(())
}

/// Say how long a job was worked at.
pub(super) fn put_worked(connection: &Connection, job: JobId, epoch: Epoch, worked_ms: u64) -> Result<()> {
    let head = owned(connection, job, epoch)?;
    connection
        .prepare_cached("UPDATE job SET worked_ms = max(worked_ms, ?2) WHERE key = ?1")?
        .execute([head.key, int(worked_ms)])?;
    Ok(())
}

/// Have a job wait, or go on.
pub(super) fn set_paused(connection: &Connection, job: JobId, epoch: Epoch, paused: bool) -> Result<()> {
    let head = owned(connection, job, epoch)?;
    if head.state.is_finished() {
        return Err(StoreError::Finished(job));
    }
    connection.prepare_cached("UPDATE job SET paused = ?2 WHERE key = ?1")?.execute(params![head.key, paused])?;
    Ok(())
}

/// End a job.
pub(super) fn finish(connection: &Connection, key: i64, end: &JobEnd) -> Result<()> {
    let mut update = connection.prepare_cached(
        "UPDATE job SET state = ?2, finished_ms = ?3, worked_ms = max(worked_ms, ?4), paused = 0 WHERE key = ?1",
    )?;
    update.execute(params![key, end.state as u8, int(end.at_ms), int(end.worked_ms)])?;
    connection
        .prepare_cached("UPDATE job_text SET summary = ?2 WHERE job = ?1")?
        .execute(params![key, &end.summary[..]])?;
    connection.prepare_cached("DELETE FROM attempt WHERE job = ?1")?.execute([key])?;
    Ok(())
}

/// A job is active, whether it was or is again.
pub(super) fn reopen(connection: &Connection, key: i64) -> Result<()> {
    connection.prepare_cached("UPDATE job SET state = 0, finished_ms = NULL WHERE key = ?1")?.execute([key])?;
    connection.prepare_cached("UPDATE job_text SET summary = x'' WHERE job = ?1")?.execute([key])?;
    Ok(())
}
