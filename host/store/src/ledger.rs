//! What is known of a job's runs: which have an outcome, and how they count.
//!
//! A ledger is a fold over the job's rows of outcomes. Its owner keeps it in memory; now and then it is written down
//! with the number of rows that it covers, in the transaction of the row that made it due. Whoever needs it later
//! takes the last one written and folds the rows behind it, so it can neither miss a run nor count one twice; these are
//! few, so that it costs some milliseconds however many runs there are.
//!
//! When outcomes are taken back it is written down in the same transaction, so that no older one is ever folded with the
//! rows that changed.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2Serializer};
use pigeon_protocol::{id::RunIndex, outcome::Verdict};

use crate::{
    Batch, MAX_GROUPS, Result, RunError, Stats, StoreError,
    codec::{Reader, put_slice, put_varint},
    row::{Grouped, RowDecoder, RowEncoder},
    runs::Runs,
};

/// A ledger is written down when so many runs were counted since.
const SNAPSHOT_RUNS: u64 = 50_000;

/// And when so many rows were.
const SNAPSHOT_ROWS: u64 = 512;

/// And when so many bytes of rows were.
const SNAPSHOT_BYTES: u64 = 8 << 20;

/// Runs are grouped by so many bytes of their message.
pub(crate) const MAX_MESSAGE: usize = 512;

/// Bytes before the payload of a V2 histogram; its length stands in bytes 4 to 8, big-endian.
const HISTOGRAM_HEADER: usize = 40;

/// Version 1 did not know when the runs of a group landed.
const VERSION: u8 = 2;

/// See the [module](self).
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    /// Rows that it covers: those with a number below.
    pub(crate) rows: u64,
    /// The runs that have an outcome.
    pub(crate) done: Runs,
    /// Counters and times.
    pub(crate) workers: BTreeMap<String, Stats>,
    /// The groups that these count, in the order in which they came.
    pub(crate) groups: Vec<Group>,
    /// Number of a group by its key.
    numbers: HashMap<String, u32>,
    /// What was counted since it was written down.
    since: Since,
}

#[derive(Debug, Clone, Copy, Default)]
struct Since {
    rows: u64,
    runs: u64,
    bytes: u64,
}

/// An error group. Of one that counts no run, as all were taken back, it is as if it had never been seen.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) error: RunError,
    /// The lowest of its runs, those included that were taken back.
    pub(crate) first_run: u64,
    /// When the first and the last of them landed.
    pub(crate) first_ms: u64,
    pub(crate) last_ms: u64,
}

impl Group {
    fn new(error: RunError) -> Self {
        Self { error, first_run: u64::MAX, first_ms: 0, last_ms: 0 }
    }

    fn see(&mut self, run: u64, landed_ms: u64) {
        self.first_ms = if self.first_run == u64::MAX { landed_ms } else { self.first_ms.min(landed_ms) };
        self.last_ms = self.last_ms.max(landed_ms);
        self.first_run = self.first_run.min(run);
    }
}

/// What became of a batch.
pub(crate) struct Counted {
    /// The rows that it makes.
    pub(crate) rows: Vec<NewRow>,
    /// Runs that have an outcome already.
    pub(crate) refused: Vec<RunIndex>,
    /// The indices of outcomes that are failures and were counted, each with the number of its row.
    pub(crate) failures: Vec<(usize, u64)>,
}

/// A row that is to be written.
pub(crate) struct NewRow {
    /// Its number in the job.
    pub(crate) number: u64,
    pub(crate) first_run: u64,
    pub(crate) last_run: u64,
    pub(crate) body: Vec<u8>,
}

impl Ledger {
    /// Count a batch, and pack it. Sorts its outcomes. Runs that have an outcome already are left out.
    pub(crate) fn record(&mut self, batch: &mut Batch) -> Counted {
        batch.outcomes.sort_by_key(|outcome| outcome.run);
        let (mut rows, mut refused, mut failures) = (Vec::new(), Vec::new(), Vec::new());
        let mut row: Option<RowEncoder> = None;
        let mut stats = self.workers.remove(&*batch.worker).unwrap_or_default();
        // No run in `free` has an outcome; `fresh` are the runs of this batch that were not added to `done` yet.
        let (mut free, mut fresh) = (0..0, 0..0);
        let mut last = None;
        for (index, outcome) in batch.outcomes.iter().enumerate() {
            let run = outcome.run.0;
            if !free.contains(&run) {
                free = run..self.done.gap_end(run).unwrap_or(run);
            }
            if free.is_empty() || last == Some(run) {
                refused.push(outcome.run);
                continue;
            }
            last = Some(run);
            if fresh.end != run {
                self.done.insert(fresh);
                fresh = run..run;
            }
            fresh.end = run + 1;
            if row.as_ref().is_some_and(|row| row.is_full(outcome.run)) {
                rows.extend(row.take().map(|row| self.seal(row, &batch.worker)));
            }
            let row = row.get_or_insert_with(|| RowEncoder::new(outcome.run));
            let group = outcome.error.as_ref().map(|error| self.number(error, run, batch.landed_ms, row));
            row.push(outcome, group);
            stats.add(outcome.verdict, outcome.time_us, group);
            if outcome.verdict == Verdict::Failure {
                // The row that it was pushed to is numbered next.
                failures.push((index, self.rows));
            }
            self.since.runs += 1;
        }
        self.done.insert(fresh);
        rows.extend(row.map(|row| self.seal(row, &batch.worker)));
        if stats.runs() > 0 {
            self.workers.insert(batch.worker.to_string(), stats);
        }
        Counted { rows, refused, failures }
    }

    fn seal(&mut self, row: RowEncoder, worker: &str) -> NewRow {
        let (first_run, last_run) = row.span();
        let number = self.rows;
        let body = row.finish(worker);
        self.rows += 1;
        self.since.rows += 1;
        self.since.bytes += body.len() as u64;
        NewRow { number, first_run, last_run, body }
    }

    /// The number of an error's group. A new one is added to the row.
    fn number(&mut self, error: &RunError, run: u64, landed_ms: u64, row: &mut RowEncoder) -> u32 {
        let message = clip(&error.message, MAX_MESSAGE);
        let key = key(&error.code, message);
        let number = match self.numbers.get(&key) {
            Some(&number) => number,
            None if self.groups.len() < MAX_GROUPS => {
                self.bring(row, key, RunError { code: error.code.clone(), message: message.to_owned() })
            }
            // The last group is that of all the rest.
            None if self.groups.len() == MAX_GROUPS => {
                let rest = RunError { code: "other".to_owned(), message: "all further errors".to_owned() };
                self.bring(row, String::new(), rest)
            }
            None => MAX_GROUPS as u32,
        };
        if let Some(group) = self.groups.get_mut(number as usize) {
            group.see(run, landed_ms);
        }
        number
    }

    fn bring(&mut self, row: &mut RowEncoder, key: String, error: RunError) -> u32 {
        // There are at most MAX_GROUPS + 1.
        let number = self.groups.len() as u32;
        row.push_group(error.clone());
        self.numbers.insert(key, number);
        self.groups.push(Group::new(error));
        number
    }

    /// Count a row that was written.
    pub(crate) fn fold(&mut self, first_run: u64, landed_ms: u64, body: Bytes) -> Result<()> {
        self.since.bytes += body.len() as u64;
        let mut row = RowDecoder::new(first_run, body)?;
        for error in std::mem::take(&mut row.groups) {
            self.add_group(Group::new(error));
        }
        let mut stats = self.workers.remove(&row.worker).unwrap_or_default();
        let mut fresh = 0..0;
        while let Some((outcome, group)) = row.next()? {
            let run = outcome.run.0;
            if fresh.end != run {
                self.done.insert(fresh);
                fresh = run..run;
            }
            fresh.end = run.saturating_add(1);
            if let Some(number) = group {
                let group = self.groups.get_mut(number as usize).ok_or_else(|| corrupt("an unknown error group"))?;
                group.see(run, landed_ms);
            }
            stats.add(outcome.verdict, outcome.time_us, group);
            self.since.runs += 1;
        }
        self.done.insert(fresh);
        if stats.runs() > 0 {
            self.workers.insert(row.worker, stats);
        }
        self.rows += 1;
        self.since.rows += 1;
        Ok(())
    }

    /// Count no longer some outcomes of a worker, which are out of their row. It has to be written down with them.
    pub(crate) fn take_back(&mut self, worker: &str, taken: &[Grouped]) -> Result<()> {
        let (mut less, mut gap) = (Stats::default(), 0..0);
        for (outcome, group) in taken {
            let run = outcome.run.0;
            if gap.end != run {
                self.done.remove(gap);
                gap = run..run;
            }
            gap.end = run.saturating_add(1);
            less.add(outcome.verdict, outcome.time_us, *group);
        }
        self.done.remove(gap);
        let unknown = || corrupt("outcomes that were not counted");
        let stats = self.workers.get_mut(worker).ok_or_else(unknown)?;
        stats.subtract(&less).ok_or_else(unknown)?;
        if stats.runs() == 0 {
            self.workers.remove(worker);
        }
        for number in less.errors.keys() {
            let counts = |stats: &Stats| stats.errors.contains_key(number);
            if !self.workers.values().any(counts)
                && let Some(group) = self.groups.get_mut(*number as usize)
            {
                *group = Group::new(group.error.clone());
            }
        }
        Ok(())
    }

    fn add_group(&mut self, group: Group) {
        let rest = self.groups.len() == MAX_GROUPS;
        let key = if rest { String::new() } else { key(&group.error.code, &group.error.message) };
        self.numbers.insert(key, self.groups.len() as u32);
        self.groups.push(group);
    }

    /// Whether it should be written down.
    pub(crate) fn is_due(&self) -> bool {
        let Since { rows, runs, bytes } = self.since;
        rows >= SNAPSHOT_ROWS || runs >= SNAPSHOT_RUNS || bytes >= SNAPSHOT_BYTES
    }

    /// What is written down.
    pub(crate) fn encode(&mut self) -> Result<Vec<u8>> {
        self.since = Since::default();
        let mut out = vec![VERSION];
        put_varint(&mut out, self.done.len() as u64);
        let mut before = 0;
        for range in self.done.iter() {
            put_varint(&mut out, range.start - before);
            put_varint(&mut out, range.end - range.start);
            before = range.end;
        }
        put_varint(&mut out, self.groups.len() as u64);
        for group in &self.groups {
            put_slice(&mut out, group.error.code.as_bytes());
            put_slice(&mut out, group.error.message.as_bytes());
            for number in [group.first_run, group.first_ms, group.last_ms] {
                put_varint(&mut out, number);
            }
        }
        put_varint(&mut out, self.workers.len() as u64);
        let mut serializer = V2Serializer::new();
        let mut histogram = Vec::new();
        for (worker, stats) in &self.workers {
            put_slice(&mut out, worker.as_bytes());
            for counter in [stats.valid, stats.invalid, stats.failures, stats.time_us] {
                put_varint(&mut out, counter);
            }
            put_varint(&mut out, stats.errors.len() as u64);
            for (&group, &count) in &stats.errors {
                put_varint(&mut out, u64::from(group));
                put_varint(&mut out, count);
            }
            histogram.clear();
            if let Some(times) = &stats.times {
                serializer
                    .serialize(times, &mut histogram)
                    .map_err(|_| corrupt("a histogram that cannot be written"))?;
            }
            put_slice(&mut out, &histogram);
        }
        Ok(out)
    }

    /// What was written down when it covered so many rows.
    pub(crate) fn decode(rows: u64, body: Bytes) -> Result<Self> {
        let mut reader = Reader::new(body, "a job's ledger");
        let version = reader.byte()?;
        if !(1..=VERSION).contains(&version) {
            return Err(reader.corrupt());
        }
        let mut ledger = Ledger { rows, ..Ledger::default() };
        let mut before = 0u64;
        for _ in 0..reader.count(2)? {
            let start = before.checked_add(reader.varint()?);
            let length = reader.varint()?;
            let start = start.ok_or_else(|| reader.corrupt())?;
            before = start.checked_add(length).ok_or_else(|| reader.corrupt())?;
            ledger.done.insert(start..before);
        }
        for _ in 0..reader.count(3)? {
            let error = RunError { code: reader.text()?, message: reader.text()? };
            let mut group = Group { first_run: reader.varint()?, ..Group::new(error) };
            if version >= 2 {
                (group.first_ms, group.last_ms) = (reader.varint()?, reader.varint()?);
            }
            ledger.add_group(group);
        }
        let mut deserializer = Deserializer::new();
        for _ in 0..reader.count(7)? {
            let worker = reader.text()?;
            let mut stats = Stats {
                valid: reader.varint()?,
                invalid: reader.varint()?,
                failures: reader.varint()?,
                time_us: reader.varint()?,
                ..Stats::default()
            };
            for _ in 0..reader.count(2)? {
                let group = u32::try_from(reader.varint()?).map_err(|_| reader.corrupt())?;
                stats.errors.insert(group, reader.varint()?);
            }
            let histogram = reader.slice()?;
            if !histogram.is_empty() {
                // The header gives the payload's length, and the deserializer would believe it.
                let payload =
                    histogram.get(4..8).map(|length| length.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte)));
                if payload != histogram.len().checked_sub(HISTOGRAM_HEADER) {
                    return Err(reader.corrupt());
                }
                let mut times = deserializer.deserialize(&mut &histogram[..]).map_err(|_| reader.corrupt())?;
                times.auto(true);
                stats.times = Some(times);
            }
            ledger.workers.insert(worker, stats);
        }
        Ok(ledger)
    }
}

/// What groups are told apart by. No code has a NUL, and if one had, two groups would be one.
fn key(code: &str, message: &str) -> String {
    let mut key = String::with_capacity(code.len() + message.len() + 1);
    key.push_str(code);
    key.push('\0');
    key.push_str(message);
    key
}

pub(crate) fn clip(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt { what: what.to_owned() }
}
