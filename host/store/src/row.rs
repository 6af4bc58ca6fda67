//! A row of outcomes, packed.
//!
//! ```text
//! version 1, worker,
//! number of new error groups, code and message of each,
//! and for each run, ascending: varint distance to the run before (the first: to the row's first run, so 0),
//!     flags, varint time in microseconds, [varint attempts], [varint group], [detail]
//! ```
//!
//! A run that was valid at once takes about four bytes. Error groups are numbered within their job, in the order in
//! which rows bring them, so that the rows of a job tell all that there is to tell of it.

use bytes::Bytes;
use pigeon_protocol::{id::RunIndex, outcome::Verdict};

use crate::{
    OutcomeRow, Result, RunError,
    codec::{Reader, put_slice, put_varint},
};

/// Runs in a row lie closer together than this, so that a reader in run order has few rows open at once.
pub(crate) const ROW_SPAN: u64 = 1 << 16;

/// A row ends when it has so many bytes.
const ROW_BYTES: usize = 1 << 20;

const VERSION: u8 = 1;
const VERDICT: u8 = 0b0000_0011;
const HAS_ATTEMPTS: u8 = 0b0000_0100;
const HAS_GROUP: u8 = 0b0000_1000;
const HAS_DETAIL: u8 = 0b0001_0000;

/// An outcome, and the error group that counts it.
pub(crate) type Grouped = (OutcomeRow, Option<u32>);

/// Packs a row.
#[derive(Debug)]
pub(crate) struct RowEncoder {
    groups: Vec<RunError>,
    runs: Vec<u8>,
    first: u64,
    last: u64,
    count: u64,
}

impl RowEncoder {
    /// A row that begins with this run.
    pub(crate) fn new(first: RunIndex) -> Self {
        Self { groups: Vec::new(), runs: Vec::new(), first: first.0, last: first.0, count: 0 }
    }

    /// Whether a run belongs into the next row.
    pub(crate) fn is_full(&self, run: RunIndex) -> bool {
        run.0 - self.first >= ROW_SPAN || self.runs.len() >= ROW_BYTES
    }

    /// Add a group that no row has brought yet.
    pub(crate) fn push_group(&mut self, error: RunError) {
        self.groups.push(error);
    }

    /// Add a run that is behind all in the row.
    pub(crate) fn push(&mut self, row: &OutcomeRow, group: Option<u32>) {
        let mut flags = row.verdict as u8;
        flags |= if row.attempts == 1 { 0 } else { HAS_ATTEMPTS };
        flags |= if group.is_some() { HAS_GROUP } else { 0 };
        flags |= if row.detail.is_empty() { 0 } else { HAS_DETAIL };
        put_varint(&mut self.runs, row.run.0 - self.last);
        self.runs.push(flags);
        put_varint(&mut self.runs, row.time_us);
        if row.attempts != 1 {
            put_varint(&mut self.runs, u64::from(row.attempts));
        }
        if let Some(group) = group {
            put_varint(&mut self.runs, u64::from(group));
        }
        if !row.detail.is_empty() {
            put_slice(&mut self.runs, &row.detail);
        }
        self.last = row.run.0;
        self.count += 1;
    }

    /// First and last run.
    pub(crate) fn span(&self) -> (u64, u64) {
        (self.first, self.last)
    }

    /// The row.
    pub(crate) fn finish(self, worker: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.runs.len() + worker.len() + 16);
        out.push(VERSION);
        put_slice(&mut out, worker.as_bytes());
        put_varint(&mut out, self.groups.len() as u64);
        for group in &self.groups {
            put_slice(&mut out, group.code.as_bytes());
            put_slice(&mut out, group.message.as_bytes());
        }
        put_varint(&mut out, self.count);
        out.extend_from_slice(&self.runs);
        out
    }
}

/// Unpacks a row, a run at a time.
#[derive(Debug)]
pub(crate) struct RowDecoder {
    /// Who ran them.
    pub(crate) worker: String,
    /// The groups that this row brings.
    pub(crate) groups: Vec<RunError>,
    reader: Reader,
    left: usize,
    last: u64,
}

impl RowDecoder {
    /// Pack anew the runs that are not unpacked yet, as far as they are to be kept; those that are not are returned. The
    /// row brings the groups that it brought, and its runs lie where they lay, even if none is left.
    pub(crate) fn without(mut self, mut is_kept: impl FnMut(RunIndex) -> bool) -> Result<(Vec<u8>, Vec<Grouped>)> {
        let (mut row, mut taken) = (RowEncoder::new(RunIndex(self.last)), Vec::new());
        while let Some((outcome, group)) = self.next()? {
            if is_kept(outcome.run) {
                row.push(&outcome, group);
            } else {
                taken.push((outcome, group));
            }
        }
        self.groups.into_iter().for_each(|group| row.push_group(group));
        Ok((row.finish(&self.worker), taken))
    }

    /// A row that begins with run `first`.
    pub(crate) fn new(first: u64, body: Bytes) -> Result<Self> {
        let mut reader = Reader::new(body, "a row of outcomes");
        if reader.byte()? != VERSION {
            return Err(reader.corrupt());
        }
        let worker = reader.text()?;
        let mut groups = Vec::with_capacity(reader.count(2)?);
        for _ in 0..groups.capacity() {
            groups.push(RunError { code: reader.text()?, message: reader.text()? });
        }
        let left = reader.count(3)?;
        Ok(Self { worker, groups, reader, left, last: first })
    }

    /// Runs that were not unpacked yet.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// The next run, and its error group.
    pub(crate) fn next(&mut self) -> Result<Option<Grouped>> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let reader = &mut self.reader;
        let run = self.last.checked_add(reader.varint()?).ok_or_else(|| reader.corrupt())?;
        self.last = run;
        let flags = reader.byte()?;
        let verdict = match flags & VERDICT {
            0 => Verdict::Valid,
            1 => Verdict::Invalid,
            2 => Verdict::Failure,
            _ => return Err(reader.corrupt()),
        };
        let time_us = reader.varint()?;
        let attempts = if flags & HAS_ATTEMPTS != 0 { narrow(reader)? } else { 1 };
        let group = if flags & HAS_GROUP != 0 { Some(narrow(reader)?) } else { None };
        let detail = if flags & HAS_DETAIL != 0 { reader.slice()? } else { Bytes::new() };
        Ok(Some((OutcomeRow { run: RunIndex(run), verdict, time_us, attempts, error: None, detail }, group)))
    }
}

fn narrow(reader: &mut Reader) -> Result<u32> {
    let value = reader.varint()?;
    u32::try_from(value).map_err(|_| reader.corrupt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn runs()(runs in proptest::collection::btree_map(0u64..1000, (0u8..3, any::<u64>(), 0u32..4, proptest::option::of(0u32..9), proptest::collection::vec(any::<u8>(), 0..9)), 1..40)) -> Vec<(OutcomeRow, Option<u32>)> {
            runs.into_iter().map(|(run, (verdict, time_us, attempts, group, detail))| {
                let verdict = [Verdict::Valid, Verdict::Invalid, Verdict::Failure][usize::from(verdict)];
                (OutcomeRow { run: RunIndex(run), verdict, time_us, attempts, error: None, detail: detail.into() }, group)
            }).collect()
        }
    }

    proptest! {
        #[test]
        fn a_row_survives_its_encoding(runs in runs(), worker in ".{0,9}") {
            let mut encoder = RowEncoder::new(runs[0].0.run);
            encoder.push_group(RunError { code: "c".to_owned(), message: "m".to_owned() });
            for (row, group) in &runs {
                encoder.push(row, *group);
            }
            let (first, last) = encoder.span();
            prop_assert_eq!((first, last), (runs[0].0.run.0, runs[runs.len() - 1].0.run.0));
            let mut decoder = RowDecoder::new(first, encoder.finish(&worker).into()).unwrap();
            prop_assert_eq!(&decoder.worker, &worker);
            prop_assert_eq!(decoder.groups.len(), 1);
            for run in runs {
                prop_assert_eq!(decoder.next().unwrap(), Some(run));
            }
            prop_assert_eq!(decoder.next().unwrap(), None);
        }

        #[test]
        fn what_is_taken_out_of_a_row_leaves_the_rest(runs in runs(), taken: u64) {
            let mut encoder = RowEncoder::new(runs[0].0.run);
            encoder.push_group(RunError { code: "c".to_owned(), message: "m".to_owned() });
            for (row, group) in &runs {
                encoder.push(row, *group);
            }
            let first = encoder.span().0;
            let decoder = RowDecoder::new(first, encoder.finish("worker").into()).unwrap();
            let is_kept = |run: RunIndex| taken >> (run.0 % 64) & 1 == 0;
            let (body, out) = decoder.without(is_kept).unwrap();
            let (kept, expected): (Vec<_>, Vec<_>) = runs.into_iter().partition(|(row, _)| is_kept(row.run));
            prop_assert_eq!(out, expected);
            let mut decoder = RowDecoder::new(first, body.into()).unwrap();
            prop_assert_eq!((&*decoder.worker, decoder.groups.len(), decoder.left()), ("worker", 1, kept.len()));
            for run in kept {
                prop_assert_eq!(decoder.next().unwrap(), Some(run));
            }
            prop_assert_eq!(decoder.next().unwrap(), None);
        }

        #[test]
        fn a_damaged_row_is_an_error(mut body: Vec<u8>) {
            body.insert(0, VERSION);
            if let Ok(mut decoder) = RowDecoder::new(5, body.into()) {
                while let Ok(Some(_)) = decoder.next() {}
            }
        }
    }
}
