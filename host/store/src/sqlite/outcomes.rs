//! Outcomes of runs, as SQL.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
};

use pigeon_protocol::id::{Epoch, JobId, RunIndex};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{chunks, dead, int, jobs, number, writer::Work};
use crate::{
    Attempts, Batch, ErrorGroup, JobEnd, JobState, LandedBatch, OutcomeRow, Progress, Recorded, Result, StoreError,
    Tally,
    ledger::{Counted, Group, Ledger},
    row::{ROW_SPAN, RowDecoder},
};

/// A page of results ends when its details have so many bytes.
const PAGE_BYTES: usize = 4 << 20;

/// Ledgers that are held open.
const MAX_OPEN: usize = 1024;

/// A job that this process owns.
#[derive(Debug)]
pub(super) struct Open {
    epoch: Epoch,
    ledger: Ledger,
}

/// A job's ledger, as it is on disk.
pub(super) fn ledger(connection: &Connection, key: i64) -> Result<Ledger> {
    let mut select = connection.prepare_cached("SELECT rows, body FROM ledger WHERE job = ?1")?;
    let written = select.query_row([key], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?))).optional()?;
    let mut ledger = match written {
        Some((rows, body)) => Ledger::decode(number(rows), body.into())?,
        None => Ledger::default(),
    };
    let mut select = connection.prepare_cached(
        "SELECT number, first_run, landed_ms, body FROM outcome WHERE job = ?1 AND number >= ?2 ORDER BY number",
    )?;
    let mut rows = select.query([key, int(ledger.rows)])?;
    while let Some(row) = rows.next()? {
        if number(row.get("number")?) != ledger.rows {
            return Err(StoreError::Corrupt { what: "a row of outcomes is missing".to_owned() });
        }
        let (first_run, landed_ms) = (number(row.get("first_run")?), number(row.get("landed_ms")?));
        ledger.fold(first_run, landed_ms, jobs::bytes_of(row, "body")?)?;
    }
    Ok(ledger)
}

impl Work {
    /// Do something with the ledger of a job that the caller owns and that is not finished.
    fn with_ledger<T>(
        &mut self,
        job: JobId,
        epoch: Epoch,
        act: impl FnOnce(&Connection, i64, &mut Ledger) -> Result<T>,
    ) -> Result<T> {
        let head = jobs::owned(&self.connection, job, epoch)?;
        if head.state.is_finished() {
            return Err(StoreError::Finished(job));
        }
        let (connection, ledger) = self.open(job, epoch, head.key)?;
        act(connection, head.key, ledger)
    }

    /// The ledger of a job that the caller owns. Those of jobs that were left unfinished are never closed; whichever goes
    /// is read again if it is needed.
    fn open(&mut self, job: JobId, epoch: Epoch, key: i64) -> Result<(&Connection, &mut Ledger)> {
        let open = match self.open.remove(&job) {
            Some(open) if open.epoch == epoch => open,
            _ => Open { epoch, ledger: ledger(&self.connection, key)? },
        };
        while self.open.len() >= MAX_OPEN
            && let Some(any) = self.open.keys().next().copied()
        {
            self.open.remove(&any);
        }
        Ok((&self.connection, &mut self.open.entry(job).insert_entry(open).into_mut().ledger))
    }

    /// Record a batch.
    pub(super) fn record(&mut self, batch: &mut Batch) -> Result<Recorded> {
        let dead_letters = self.dead_letters;
        self.with_ledger(batch.job, batch.epoch, |connection, key, ledger| {
            let Counted { rows, refused, failures } = ledger.record(batch);
            let mut insert = connection.prepare_cached(
                "INSERT INTO outcome (job, number, first_run, last_run, body, landed_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            let landed_ms = int(batch.landed_ms);
            for row in rows {
                let (number, first, last) = (int(row.number), int(row.first_run), int(row.last_run));
                insert.execute(params![key, number, first, last, row.body, landed_ms])?;
            }
            if dead_letters && !failures.is_empty() {
                dead::put(connection, key, batch, &failures)?;
            }
            if ledger.is_due() {
                write_ledger(connection, key, ledger)?;
            }
            Ok(Recorded { recorded: (batch.outcomes.len() - refused.len()) as u64, refused })
        })
    }

    /// Take outcomes back.
    ///
    /// The rows without them, the ledger that does not count them and the job that is active again are one transaction: there
    /// is no moment at which one is and another is not.
    pub(super) fn take_back(&mut self, job: JobId, epoch: Epoch, runs: &[RunIndex]) -> Result<u64> {
        let head = jobs::owned(&self.connection, job, epoch)?;
        if matches!(head.state, JobState::Cancelled | JobState::FailedFast) {
            return Err(StoreError::Stopped(job));
        }
        let (connection, ledger) = self.open(job, epoch, head.key)?;
        let mut runs: BTreeSet<u64> = runs.iter().map(|run| run.0).filter(|run| ledger.done.contains(*run)).collect();
        if runs.is_empty() {
            return Ok(0);
        }
        if !head.has_bodies {
            return Err(StoreError::BodiesGone(job));
        }
        let (key, taken) = (head.key, runs.len() as u64);
        dead::forget(connection, key, runs.iter().copied())?;
        let mut forget = connection.prepare_cached("DELETE FROM attempt WHERE job = ?1 AND run = ?2")?;
        for &run in &runs {
            forget.execute([key, int(run)])?;
        }
        take_out(connection, key, &mut runs, ledger)?;
        write_ledger(connection, key, ledger)?;
        jobs::reopen(connection, key)?;
        Ok(taken)
    }

    /// Remember attempts.
    pub(super) fn put_attempts(&mut self, job: JobId, epoch: Epoch, attempts: &[(RunIndex, Attempts)]) -> Result<()> {
        let key = jobs::owned(&self.connection, job, epoch)?.key;
        let mut insert = self
            .connection
            .prepare_cached("INSERT OR REPLACE INTO attempt (job, run, failed, deaths) VALUES (?1, ?2, ?3, ?4)")?;
        for (run, Attempts { failed, deaths }) in attempts {
            insert.execute(params![key, int(run.0), failed, deaths])?;
        }
        Ok(())
    }

    /// End a job.
    pub(super) fn finish(&mut self, job: JobId, epoch: Epoch, end: &JobEnd) -> Result<()> {
        self.with_ledger(job, epoch, |connection, key, ledger| {
            write_ledger(connection, key, ledger)?;
            jobs::finish(connection, key, end)
        })?;
        self.open.remove(&job);
        self.spools.close(job);
        Ok(())
    }
}

/// Rewrite the rows that have these runs without them, and count them no longer.
fn take_out(connection: &Connection, key: i64, runs: &mut BTreeSet<u64>, ledger: &mut Ledger) -> Result<()> {
    let mut select = connection.prepare_cached(
        "SELECT number, first_run, body FROM outcome WHERE job = ?1 AND first_run > ?2 AND first_run <= ?3 AND last_run >= ?3",
    )?;
    let mut update = connection.prepare_cached("UPDATE outcome SET body = ?3 WHERE job = ?1 AND number = ?2")?;
    while let Some(&run) = runs.first() {
        // Rows overlap, so there may be several in which it could be.
        let mut rows = select.query([key, int(run.saturating_sub(ROW_SPAN - 1)) - 1, int(run)])?;
        let mut changed = Vec::new();
        while let Some(row) = rows.next()? {
            let decoder = RowDecoder::new(number(row.get("first_run")?), jobs::bytes_of(row, "body")?)?;
            let worker = decoder.worker.clone();
            let (body, taken) = decoder.without(|run| !runs.contains(&run.0))?;
            if !taken.is_empty() {
                taken.iter().for_each(|(outcome, _)| _ = runs.remove(&outcome.run.0));
                ledger.take_back(&worker, &taken)?;
                changed.push((row.get::<_, i64>("number")?, body));
            }
        }
        for (number, body) in changed {
            update.execute(params![key, number, body])?;
        }
        if runs.remove(&run) {
            return Err(StoreError::Corrupt { what: format!("the outcome of run {run} is in no row") });
        }
    }
    Ok(())
}

fn write_ledger(connection: &Connection, key: i64, ledger: &mut Ledger) -> Result<()> {
    let body = ledger.encode()?;
    connection
        .prepare_cached("INSERT OR REPLACE INTO ledger (job, rows, body) VALUES (?1, ?2, ?3)")?
        .execute(params![key, int(ledger.rows), body])?;
    Ok(())
}

/// Which runs have an outcome, and attempts at those that have none.
pub(super) fn progress(connection: &Connection, job: JobId) -> Result<Progress> {
    let key = jobs::known_key(connection, job)?;
    let ledger = ledger(connection, key)?;
    let mut select =
        connection.prepare_cached("SELECT run, failed, deaths FROM attempt WHERE job = ?1 ORDER BY run")?;
    let attempts = select.query_map([key], |row| {
        Ok((RunIndex(number(row.get(0)?)), Attempts { failed: row.get(1)?, deaths: row.get(2)? }))
    })?;
    let attempts: Vec<_> = attempts.collect::<Result<_, _>>()?;
    let open = |(run, _): &(RunIndex, Attempts)| ledger.done.gap_end(run.0).is_some();
    Ok(Progress { done: ledger.done.iter().collect(), attempts: attempts.into_iter().filter(open).collect() })
}

/// Counters, times and error groups, each with an example.
pub(super) fn tally(connection: &Connection, job: JobId) -> Result<Tally> {
    let key = jobs::known_key(connection, job)?;
    let ledger = ledger(connection, key)?;
    let runs_per_item = jobs::job(connection, job)?.job.shape.runs_per_item();
    let item = |group: &Group| group.first_run / runs_per_item.max(1);
    let items: BTreeSet<u64> = ledger.groups.iter().map(item).collect();
    let names = chunks::names_of(connection, key, &items)?;
    let groups = ledger.groups.into_iter().map(|group| ErrorGroup {
        example: names.get(&item(&group)).cloned().unwrap_or_default(),
        code: group.error.code,
        message: group.error.message,
        first_run: RunIndex(group.first_run),
        first_ms: group.first_ms,
        last_ms: group.last_ms,
    });
    let groups = groups.collect();
    Ok(Tally { workers: ledger.workers, groups })
}

/// A page of outcomes in the order of their runs.
///
/// Rows overlap, because batches do. They are read in the order of their first runs, and as many are open at once as
/// overlap; no run of a row is further than [`ROW_SPAN`] from its first.
pub(super) fn results(connection: &Connection, key: i64, from: RunIndex, limit: usize) -> Result<Vec<OutcomeRow>> {
    let from = from.0;
    let mut select = connection.prepare_cached(
        "SELECT first_run, body FROM outcome WHERE job = ?1 AND first_run > ?2 AND last_run >= ?3
         ORDER BY first_run, last_run",
    )?;
    // A row that begins at 0 is wanted too.
    let mut rows = select.query([key, int(from.saturating_sub(ROW_SPAN)) - 1, int(from)])?;
    let mut open: Vec<(RowDecoder, Option<OutcomeRow>)> = Vec::new();
    let mut heads = BinaryHeap::new();
    let (mut page, mut bytes) = (Vec::with_capacity(limit.min(8192)), 0);
    let mut next = rows.next()?;
    while page.len() < limit && bytes < PAGE_BYTES {
        // Every row that may hold a run before the first of those that are open.
        while let Some(row) = next {
            let first = number(row.get("first_run")?);
            if heads.peek().is_some_and(|&Reverse((head, _))| head < first) {
                next = Some(row);
                break;
            }
            let mut decoder = RowDecoder::new(first, jobs::bytes_of(row, "body")?)?;
            let mut head = decoder.next()?;
            while head.as_ref().is_some_and(|(outcome, _)| outcome.run.0 < from) {
                head = decoder.next()?;
            }
            if let Some((outcome, _)) = head {
                heads.push(Reverse((outcome.run.0, open.len())));
                open.push((decoder, Some(outcome)));
            }
            next = rows.next()?;
        }
        let Some(mut least) = heads.peek_mut() else { break };
        let Reverse((_, index)) = *least;
        let Some((decoder, head)) = open.get_mut(index) else { break };
        let following = decoder.next()?;
        let outcome = match following {
            Some((following, _)) => {
                *least = Reverse((following.run.0, index));
                head.replace(following)
            }
            None => {
                std::collections::binary_heap::PeekMut::pop(least);
                head.take()
            }
        };
        if let Some(outcome) = outcome {
            bytes += outcome.detail.len();
            page.push(outcome);
        }
    }
    Ok(page)
}

/// What landed behind a batch, in the order in which it was committed. Batches are numbered from 1, rows from 0.
pub(super) fn landed_after(connection: &Connection, key: i64, after: u64, limit: usize) -> Result<Vec<LandedBatch>> {
    let mut select = connection.prepare_cached(
        "SELECT number, first_run, body, landed_ms FROM outcome WHERE job = ?1 AND number >= ?2 ORDER BY number",
    )?;
    let mut rows = select.query([key, int(after)])?;
    let (mut batches, mut bytes) = (Vec::new(), 0);
    while batches.len() < limit
        && (bytes < PAGE_BYTES || batches.is_empty())
        && let Some(row) = rows.next()?
    {
        let body = jobs::bytes_of(row, "body")?;
        bytes += body.len();
        let mut decoder = RowDecoder::new(number(row.get("first_run")?), body)?;
        let mut outcomes = Vec::with_capacity(decoder.left());
        while let Some((outcome, _)) = decoder.next()? {
            outcomes.push(outcome);
        }
        if outcomes.is_empty() {
            // All of them were taken back.
            continue;
        }
        batches.push(LandedBatch {
            number: number(row.get("number")?) + 1,
            worker: decoder.worker.into(),
            landed_ms: number(row.get("landed_ms")?),
            outcomes,
        });
    }
    Ok(batches)
}
