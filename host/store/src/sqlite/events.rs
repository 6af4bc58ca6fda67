//! The log of events, as SQL.
//!
//! Events are numbered by the one transaction that commits them, so their numbers ascend in the order in which they
//! become visible: who has seen number 7 and asks for what is behind it misses nothing.

use pigeon_protocol::id::JobId;
use rusqlite::{Connection, Row, params};

use super::{int, number};
use crate::{NewEvent, Result, StoreError, StoredEvent};

/// Events that are looked at to find out which are old enough to go, at a time.
const STEP_EVENTS: i64 = 1024;

/// Add events; the number of the last one there is.
pub(super) fn put(connection: &Connection, events: &[NewEvent]) -> Result<u64> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO event (at_ms, author, kind, job, subject, message) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for event in events {
        let NewEvent { at_ms, author, kind, job, subject, message } = event;
        let job = job.map(JobId::to_bytes);
        insert.execute(params![int(*at_ms), author, kind, job.as_ref().map(|job| &job[..]), subject, message])?;
    }
    // The table that numbers them remembers the last even if it is gone.
    let mut select =
        connection.prepare_cached("SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'event'")?;
    Ok(number(select.query_row([], |row| row.get(0))?))
}

/// Events behind a number.
pub(super) fn after(connection: &Connection, seq: u64, job: Option<JobId>, limit: usize) -> Result<Vec<StoredEvent>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    match job {
        None => {
            let mut select = connection.prepare_cached("SELECT * FROM event WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
            select.query_and_then([int(seq), limit], event_of)?.collect()
        }
        Some(job) => {
            let mut select =
                connection.prepare_cached("SELECT * FROM event WHERE job = ?3 AND seq > ?1 ORDER BY seq LIMIT ?2")?;
            select.query_and_then(params![int(seq), limit, &job.to_bytes()[..]], event_of)?.collect()
        }
    }
}

fn event_of(row: &Row<'_>) -> Result<StoredEvent> {
    let job = match row.get::<_, Option<Vec<u8>>>("job")? {
        None => None,
        Some(id) => Some(
            JobId::from_slice(&id)
                .ok_or_else(|| StoreError::Corrupt { what: "the id of an event's job has not 16 bytes".to_owned() })?,
        ),
    };
    let event = NewEvent {
        at_ms: number(row.get("at_ms")?),
        author: row.get("author")?,
        kind: row.get("kind")?,
        job,
        subject: row.get("subject")?,
        message: row.get("message")?,
    };
    Ok(StoredEvent { seq: number(row.get("seq")?), event })
}

/// Remove some of the events at the beginning of the log that are older; how many, and whether there may be more.
pub(super) fn forget(connection: &Connection, before_ms: u64) -> Result<(u64, bool)> {
    let mut select = connection.prepare_cached("SELECT seq, at_ms < ?1 FROM event ORDER BY seq LIMIT ?2")?;
    let mut rows = select.query([int(before_ms), STEP_EVENTS])?;
    let (mut last, mut more) = (None, true);
    while let Some(row) = rows.next()? {
        if !row.get::<_, bool>(1)? {
            more = false;
            break;
        }
        last = Some(row.get::<_, i64>(0)?);
    }
    let Some(last) = last else { return Ok((0, false)) };
    let gone = connection.prepare_cached("DELETE FROM event WHERE seq <= ?1")?.execute([last])?;
    Ok((gone as u64, more))
}

/// What an event takes beside its words, in bytes.
const EVENT_BYTES: u64 = 64;

/// The number of the last event that has to go, so that those behind it take no more than so many bytes; 0 if all may stay.
pub(super) fn surplus(connection: &Connection, most: u64) -> Result<u64> {
    let mut select = connection.prepare_cached(
        "SELECT seq, octet_length(author) + octet_length(kind) + ifnull(octet_length(subject), 0) + octet_length(message)
         FROM event ORDER BY seq DESC",
    )?;
    let mut rows = select.query([])?;
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        bytes += number(row.get(1)?) + EVENT_BYTES;
        if bytes > most {
            return Ok(number(row.get(0)?));
        }
    }
    Ok(0)
}

/// Remove some of the first events, up to this one; how many.
pub(super) fn forget_until(connection: &Connection, last: u64) -> Result<u64> {
    let mut delete = connection.prepare_cached(
        "DELETE FROM event WHERE seq IN (SELECT seq FROM event WHERE seq <= ?1 ORDER BY seq LIMIT ?2)",
    )?;
    Ok(delete.execute([int(last), STEP_EVENTS])? as u64)
}
