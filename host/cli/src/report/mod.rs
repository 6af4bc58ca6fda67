//! What a job came to, in the form that was asked for.
//!
//! A [`Report`] is handed the job's figures, then its items one by one in their order, and writes as it goes: nothing is
//! gathered in memory. `jsonl` differs: it tells of runs as they land ([`jsonl`]) and has nothing to add at the end.

mod json;
pub(crate) mod jsonl;
mod junit;
mod sarif;
mod table;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

use pigeon_api::{ItemResult, JobStatus, Verdict};
pub(crate) use table::{figures, row};

use crate::{
    input::{Inputs, Split},
    paint::Paint,
};

/// Forms of report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Table,
    /// One JSON document
    Json,
    /// One JSON object for each run, as it lands
    Jsonl,
    /// JUnit XML: a test case for each item
    Junit,
    /// SARIF 2.1.0: a result for each finding
    Sarif,
}

/// What a report needs to know besides the job.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// Colours of the stream that is written to.
    pub(crate) paint: Paint,
    /// Columns that fit.
    pub(crate) width: usize,
    /// Where the items came from; nothing if the job's notes cannot be read.
    pub(crate) inputs: Option<Inputs>,
    /// Items by verdict, for the report whose [`needs_count`] says so.
    pub(crate) count: Count,
    /// Attempts of this process that were followed by another.
    pub(crate) retried: u64,
    /// How the job came to its end.
    pub(crate) ending: Ending,
}

/// How a job came to its end, or to where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// As its state says.
    Usual,
    /// A part of its input is missing.
    Cut,
    /// It had to wait for too long.
    Waited,
    /// The machinery failed.
    Machinery,
}

/// Items by verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) valid: u64,
    pub(crate) invalid: u64,
    pub(crate) failures: u64,
}

impl Count {
    pub(crate) fn add(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Valid => self.valid += 1,
            Verdict::Invalid => self.invalid += 1,
            Verdict::Failure => self.failures += 1,
        }
    }

    pub(crate) fn total(self) -> u64 {
        self.valid + self.invalid + self.failures
    }
}

/// A report that is being written.
pub(crate) trait Report {
    /// Whether it has anything to say of items.
    fn wants_items(&self) -> bool {
        true
    }

    /// The next item. `false` if no further one is of interest.
    fn item(&mut self, out: &mut dyn Write, item: &ItemResult) -> io::Result<bool>;

    /// What stands behind the items.
    fn end(&mut self, out: &mut dyn Write) -> io::Result<()>;
}

/// Whether the items must be counted before the report begins.
pub(crate) fn needs_count(format: Format) -> bool {
    format == Format::Junit
}

/// Begin a report. `None` for `jsonl`, which has none.
pub(crate) fn begin<'a>(
    format: Format,
    out: &mut dyn Write,
    status: &'a JobStatus,
    setting: &'a Setting,
) -> io::Result<Option<Box<dyn Report + Send + 'a>>> {
    Ok(match format {
        Format::Table => Some(Box::new(table::Table::begin(out, status, setting)?)),
        Format::Json => Some(Box::new(json::Json::begin(out, status)?)),
        Format::Jsonl => None,
        Format::Junit => Some(Box::new(junit::Junit::begin(out, status, setting)?)),
        Format::Sarif => Some(Box::new(sarif::Sarif::begin(out, status, setting)?)),
    })
}

/// Part of all; 0 where there is nothing.
pub(crate) fn rate(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { part as f64 / all as f64 }
}

/// Milliseconds to the microsecond, as they are measured.
pub(crate) fn milliseconds(ms: f64) -> f64 {
    (ms * 1000.0).round() / 1000.0
}

/// The file that an item came from, and how it was split: `orders.jsonl` and lines for `orders.jsonl:17`.
pub(crate) fn file_of<'a>(id: &'a str, inputs: Option<&Inputs>) -> (&'a str, Split) {
    let Some(inputs) = inputs else { return (id, Split::Whole) };
    let split_of = |file: &str| match file {
        crate::input::STDIN => inputs.rule.for_stream().unwrap_or(Split::Whole),
        file => inputs.rule.for_path(file.as_ref()),
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((file, index)) = id.strip_suffix(']').and_then(|id| id.rsplit_once('['))
        && is_number(index)
        && split_of(file) == Split::Array
    {
        return (file, Split::Array);
    }
    if let Some((file, line)) = id.rsplit_once(':')
        && is_number(line)
        && matches!(split_of(file), Split::Lines | Split::Jsonl | Split::Csv)
    {
        return (file, split_of(file));
    }
    (id, Split::Whole)
}
