//! The log of events, as SQL.
//!
//! Events are numbered by the one transaction that commits them, so their numbers ascend in the order in which they
//! become visible: who has seen number 7 and asks for what is behind it misses nothing.

use std::time::{SystemTime, UNIX_EPOCH};

use pigeon_protocol::id::JobId;
use rusqlite::{Connection, Row, params};

use super::{int, number, writer::Work};
use crate::{NewEvent, Result, StoreError, StoredEvent};

/// Events that are removed in one transaction.
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

/// A deed that these events tell of, unless it changes nothing: then there is nothing to tell.
pub(super) fn telling<T>(
    events: Vec<NewEvent>,
    mut deed: impl FnMut(&mut Work) -> Result<T>,
) -> impl FnMut(&mut Work) -> Result<T> {
    move |work| {
        let before = work.connection.total_changes();
        let done = deed(work)?;
        if !events.is_empty() && work.connection.total_changes() > before {
            put(&work.connection, &events)?;
        }
        Ok(done)
    }
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

/// The last events before a number, if one is given; the oldest of them first.
pub(super) fn last(
    connection: &Connection,
    before: Option<u64>,
    job: Option<JobId>,
    limit: usize,
) -> Result<Vec<StoredEvent>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let before = before.map_or(i64::MAX, int);
    let events: Result<Vec<StoredEvent>> = match job {
        None => {
            let mut select =
                connection.prepare_cached("SELECT * FROM event WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2")?;
            select.query_and_then([before, limit], event_of)?.collect()
        }
        Some(job) => {
            let mut select = connection
                .prepare_cached("SELECT * FROM event WHERE job = ?3 AND seq < ?1 ORDER BY seq DESC LIMIT ?2")?;
            select.query_and_then(params![before, limit, &job.to_bytes()[..]], event_of)?.collect()
        }
    };
    let mut events = events?;
    events.reverse();
    Ok(events)
}

/// How far the numbers of a restored log are from those that its backup had, where the clock says nothing: more events than
/// anybody saw since.
const LEAP: i64 = 10_000_000_000;

/// Have numbers go on far behind the last: whoever followed the log until it was lost has seen numbers that would come
/// again, and would miss what they stand for now. They go on with the microseconds since 1970, so that no two restored logs
/// have the same, be it of one backup; these stay below 2^53 for centuries.
pub(super) fn leap(connection: &Connection) -> Result<()> {
    // A database of the first versions has no log yet.
    let is_there = "SELECT EXISTS (SELECT * FROM sqlite_master WHERE name = 'event')";
    if connection.query_row(is_there, [], |row| row.get(0))? {
        // Nor is there a last number where nothing was written to it.
        let first = "INSERT INTO sqlite_sequence (name, seq)
             SELECT 'event', 0 WHERE NOT EXISTS (SELECT * FROM sqlite_sequence WHERE name = 'event')";
        connection.execute(first, [])?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_us = i64::try_from(now.as_micros()).unwrap_or(0);
        // A log that was restored before is behind the clock as well, unless that was set back.
        let leap = "UPDATE sqlite_sequence SET seq = iif(seq < ?1, ?1, seq + ?2) WHERE name = 'event'";
        connection.execute(leap, [now_us, LEAP])?;
    }
    Ok(())
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

/// The number of the last event that has to go for its age; 0 if all may stay. Events are in the order in which they came,
/// so all before an old one are old, what time soever they bear: one that a wrong clock dated ahead keeps no others.
pub(super) fn outdated(connection: &Connection, before_ms: u64, now_ms: u64) -> Result<u64> {
    let mut select = connection.prepare_cached("SELECT seq, at_ms FROM event ORDER BY seq")?;
    let mut rows = select.query([])?;
    let mut last = 0;
    while let Some(row) = rows.next()? {
        match number(row.get(1)?) {
            at_ms if at_ms < before_ms => last = number(row.get(0)?),
            at_ms if at_ms <= now_ms => break,
            _ => {}
        }
    }
    Ok(last)
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
