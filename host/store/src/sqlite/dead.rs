//! Dead letters, as SQL.
//!
//! A dead letter is a small row beside the packed outcome, keyed by job and run, with what it can be looked for by. It is
//! written, and goes, in the transaction of its outcome; so does the number of them that the job keeps.

use std::collections::HashMap;

use pigeon_protocol::id::{JobId, RunIndex};
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Row, params};

use super::{int, jobs, number};
use crate::{
    Batch, DeadQuery, DeadRow, OutcomeRow, Result, RunError, StoreError,
    ledger::{MAX_MESSAGE, clip},
    row::RowDecoder,
};

/// A page ends when so many bytes of outcomes were read for it.
const PAGE_BYTES: usize = 16 << 20;

/// Add the failures of a batch: by their index in it, and the number of the row that has them.
pub(super) fn put(connection: &Connection, key: i64, batch: &Batch, failures: &[(usize, u64)]) -> Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO dead (job, run, number, code, message, landed_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for &(index, row) in failures {
        let Some(outcome) = batch.outcomes.get(index) else { continue };
        let error = outcome.error.as_ref();
        let code = error.map_or("", |error| &error.code);
        let message = error.map_or("", |error| clip(&error.message, MAX_MESSAGE));
        insert.execute(params![key, int(outcome.run.0), int(row), code, message, int(batch.landed_ms)])?;
    }
    count_more(connection, key, i64::try_from(failures.len()).unwrap_or(i64::MAX))
}

fn count_more(connection: &Connection, key: i64, more: i64) -> Result<()> {
    connection.prepare_cached("UPDATE job SET dead = max(dead + ?2, 0) WHERE key = ?1")?.execute([key, more])?;
    Ok(())
}

/// Forget that runs are dead letters; how many were.
pub(super) fn forget(connection: &Connection, key: i64, runs: impl Iterator<Item = u64>) -> Result<u64> {
    let mut forgotten = 0;
    let mut delete = connection.prepare_cached("DELETE FROM dead WHERE job = ?1 AND run = ?2")?;
    for run in runs {
        forgotten += delete.execute([key, int(run)])? as u64;
    }
    if forgotten > 0 {
        count_more(connection, key, -int(forgotten))?;
    }
    Ok(forgotten)
}

/// How many dead letters there are.
pub(super) fn count(connection: &Connection, job: Option<JobId>) -> Result<u64> {
    match job {
        Some(job) => Ok(jobs::job(connection, job)?.dead),
        None => {
            let mut select =
                connection.prepare_cached("SELECT ifnull(sum(dead), 0) FROM job WHERE dead > 0 AND NOT gone")?;
            Ok(number(select.query_row([], |row| row.get(0))?))
        }
    }
}

const ENTRY: &str = "SELECT dead.*, job.id FROM dead CROSS JOIN job ON job.key = dead.job WHERE NOT gone";

/// An entry, without the outcome.
struct Entry {
    key: i64,
    job: JobId,
    run: u64,
    row: u64,
    error: RunError,
    landed_ms: u64,
}

fn entry_of(row: &Row<'_>) -> Result<Entry> {
    Ok(Entry {
        key: row.get("job")?,
        job: jobs::id_of(row)?,
        run: number(row.get("run")?),
        row: number(row.get("number")?),
        error: RunError { code: row.get("code")?, message: row.get("message")? },
        landed_ms: number(row.get("landed_ms")?),
    })
}

/// A dead letter.
pub(super) fn one(connection: &Connection, job: JobId, run: RunIndex) -> Result<Option<DeadRow>> {
    let key = jobs::known_key(connection, job)?;
    let mut select = connection.prepare_cached(&format!("{ENTRY} AND dead.job = ?1 AND run = ?2"))?;
    let entry = select.query_row([key, int(run.0)], |row| Ok(entry_of(row))).optional()?;
    Ok(with_outcomes(connection, entry.transpose()?.into_iter().collect())?.pop())
}

/// A page of dead letters, in the order of their keys, backwards.
pub(super) fn list(connection: &Connection, query: &DeadQuery) -> Result<Vec<DeadRow>> {
    let DeadQuery { job, code, message, after, limit } = query;
    let limit = i64::try_from(*limit).unwrap_or(i64::MAX);
    let (behind_key, behind_run) = match after {
        Some((job, run)) => match jobs::place_key(connection, *job)? {
            Ok(key) => (key, int(run.0)),
            Err(before) => (before, i64::MAX),
        },
        None => (i64::MAX, i64::MAX),
    };
    let wanted = "(?1 IS NULL OR code = ?1) AND (?2 IS NULL OR instr(message, ?2) > 0)";
    let entries: Result<Vec<Entry>> = match job {
        Some(job) => {
            let key = jobs::known_key(connection, *job)?;
            let behind_run = match behind_key.cmp(&key) {
                std::cmp::Ordering::Less => return Ok(Vec::new()),
                std::cmp::Ordering::Equal => behind_run,
                std::cmp::Ordering::Greater => i64::MAX,
            };
            let sql = format!("{ENTRY} AND dead.job = ?3 AND run < ?4 AND {wanted} ORDER BY run DESC LIMIT ?5");
            let mut select = connection.prepare_cached(&sql)?;
            select.query_and_then(params![code, message, key, behind_run, limit], entry_of)?.collect()
        }
        None => {
            let sql = format!(
                "{ENTRY} AND (dead.job, run) < (?3, ?4) AND {wanted} ORDER BY dead.job DESC, run DESC LIMIT ?5"
            );
            let mut select = connection.prepare_cached(&sql)?;
            select.query_and_then(params![code, message, behind_key, behind_run, limit], entry_of)?.collect()
        }
    };
    with_outcomes(connection, entries?)
}

/// Entries with their outcomes: as many of the first as can be had for a page's bytes.
fn with_outcomes(connection: &Connection, entries: Vec<Entry>) -> Result<Vec<DeadRow>> {
    let mut wanted: HashMap<(i64, u64), Vec<u64>> = HashMap::new();
    // Backwards, so that those of a row are in ascending order.
    for entry in entries.iter().rev() {
        wanted.entry((entry.key, entry.row)).or_default().push(entry.run);
    }
    let mut select = connection.prepare_cached("SELECT first_run, body FROM outcome WHERE job = ?1 AND number = ?2")?;
    let (mut bytes, mut letters) = (0, Vec::with_capacity(entries.len()));
    let mut read: HashMap<(i64, u64), Outcomes> = HashMap::new();
    for entry in entries {
        let place = (entry.key, entry.row);
        if let Some(runs) = wanted.remove(&place) {
            // The first of its row.
            if bytes >= PAGE_BYTES {
                break;
            }
            let outcomes = Outcomes::read(&mut select, place, &runs)?;
            bytes += outcomes.bytes;
            read.insert(place, outcomes);
        }
        let missing = || StoreError::Corrupt { what: format!("the outcome of run {} is not in its row", entry.run) };
        let outcomes = read.get_mut(&place).ok_or_else(missing)?;
        let outcome = outcomes.by_run.remove(&entry.run).ok_or_else(missing)?;
        letters.push(DeadRow {
            job: entry.job,
            run: RunIndex(entry.run),
            worker: outcomes.worker.clone(),
            outcome: OutcomeRow { error: Some(entry.error), ..outcome },
            landed_ms: entry.landed_ms,
        });
    }
    Ok(letters)
}

/// Some outcomes of a row.
struct Outcomes {
    worker: std::sync::Arc<str>,
    by_run: HashMap<u64, OutcomeRow>,
    bytes: usize,
}

impl Outcomes {
    /// Those of the runs, which are in ascending order.
    fn read(select: &mut CachedStatement<'_>, (key, row): (i64, u64), runs: &[u64]) -> Result<Self> {
        let mut rows = select.query([key, int(row)])?;
        let Some(row) = rows.next()? else {
            return Err(StoreError::Corrupt { what: "a dead letter's row of outcomes is missing".to_owned() });
        };
        let body = jobs::bytes_of(row, "body")?;
        let bytes = body.len();
        let mut decoder = RowDecoder::new(number(row.get("first_run")?), body)?;
        let mut by_run = HashMap::with_capacity(runs.len());
        while by_run.len() < runs.len()
            && let Some((outcome, _)) = decoder.next()?
        {
            if runs.binary_search(&outcome.run.0).is_ok() {
                by_run.insert(outcome.run.0, outcome);
            }
        }
        Ok(Self { worker: decoder.worker.into(), by_run, bytes })
    }
}
