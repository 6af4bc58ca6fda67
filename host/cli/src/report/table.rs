//! `table`: the report for people.
//!
//! Figures for the job and for each worker, then what was not valid, as far as a screen holds it: the other formats
//! have all of it.

use std::io::{self, Write};

use pigeon_api::{ErrorGroup, Finding, ItemResult, JobState, JobStatus, Severity, Times, Verdict, Work};
use unicode_width::UnicodeWidthStr as _;

use super::{Ending, Report, Setting, junit::place};
use crate::{
    paint::Paint,
    text::{Cell, Column, Grid, cell, fit, number, percent, plural, printable, wall},
};

/// Items and findings of an item that are shown.
const MOST_ITEMS: u64 = 20;
const MOST_FINDINGS: usize = 10;
const MOST_GROUPS: usize = 10;

/// Writes the table.
pub(super) struct Table<'a> {
    status: &'a JobStatus,
    setting: &'a Setting,
    /// Items that were shown.
    shown: u64,
    /// Whether there are more that could have been.
    more: bool,
}

impl<'a> Table<'a> {
    pub(super) fn begin(out: &mut dyn Write, status: &'a JobStatus, setting: &'a Setting) -> io::Result<Self> {
        let table = Self { status, setting, shown: 0, more: false };
        table.head(out)?;
        table.figures(out)?;
        Ok(table)
    }

    fn line(&self, out: &mut dyn Write, text: &str) -> io::Result<()> {
        writeln!(out, "{}", fit(text, self.setting.width))
    }

    fn head(&self, out: &mut dyn Write) -> io::Result<()> {
        let status = self.status;
        let plugin = format!("{} {}", status.plugin.metadata.name, status.plugin.metadata.version);
        let (work, width) = (work(status), self.setting.width);
        let (head, painted) = (fit(&plugin, width), self.setting.paint.strong(&fit(&plugin, width)));
        if head.width() + 2 + work.width() <= width {
            writeln!(out, "{painted}  {work}")?;
        } else {
            writeln!(out, "{painted}")?;
            self.line(out, &work)?;
        }
        writeln!(out)
    }

    fn figures(&self, out: &mut dyn Write) -> io::Result<()> {
        let status = self.status;
        let mut grid = figures();
        for worker in &status.workers {
            let counts = [worker.total, worker.valid, worker.invalid, worker.failures];
            grid.row(row(&worker.name, counts, worker.times));
        }
        let counts = [status.total_runs, status.valid, status.invalid, status.failures];
        grid.row(row("job", counts, status.times));
        write!(out, "{}", grid.text(self.setting.paint, self.setting.width))
    }

    fn item_head(&self, out: &mut dyn Write, item: &ItemResult) -> io::Result<()> {
        let paint = self.setting.paint;
        let word = item.verdict.as_str();
        let verdict = match item.verdict {
            Verdict::Valid => paint.good(word),
            Verdict::Invalid | Verdict::Failure => paint.bad(word),
        };
        let id = fit(&printable(&item.id), self.setting.width.saturating_sub(word.len() + 1));
        writeln!(out, "{verdict} {}", paint.strong(&id))
    }

    fn finding(&self, out: &mut dyn Write, finding: &Finding) -> io::Result<()> {
        let paint = self.setting.paint;
        let (word, painted) = match finding.severity {
            Severity::Error => ("error", paint.bad("error")),
            Severity::Warning => ("warning", paint.warn("warning")),
            Severity::Info => ("info", paint.dim("info")),
        };
        let at = place(finding).map(|at| format!(" ({at})")).unwrap_or_default();
        let text = printable(&format!("{}: {}", finding.code, finding.message));
        let at = fit(&printable(&at), self.setting.width / 2);
        // The place is worth more than the end of the message.
        let text = fit(&text, self.setting.width.saturating_sub(word.len() + 3 + at.width()));
        writeln!(out, "  {painted} {text}{at}")
    }

    fn groups(&self, out: &mut dyn Write) -> io::Result<()> {
        let groups = &self.status.errors;
        if groups.is_empty() {
            return Ok(());
        }
        writeln!(out)?;
        writeln!(out, "{}", self.setting.paint.strong("errors"))?;
        let digits = groups.iter().map(|group| number(group.count).len()).max().unwrap_or(1);
        for group in groups.iter().take(MOST_GROUPS) {
            self.line(out, &group_line(group, digits))?;
        }
        if groups.len() > MOST_GROUPS {
            writeln!(out, "  ... and {}", plural((groups.len() - MOST_GROUPS) as u64, "more kind"))?;
        }
        Ok(())
    }

    fn end_line(&self, out: &mut dyn Write) -> io::Result<()> {
        let status = self.status;
        let paint = self.setting.paint;
        let missing = status.planned_runs.saturating_sub(status.total_runs);
        let seconds = status.wall_time_ms / 1000.0;
        let per_second = if seconds > 0.0 { status.total_runs as f64 / seconds } else { 0.0 };
        let word = match (status.failures, status.invalid) {
            (0, 0) if status.total_runs > 0 && self.setting.ending == Ending::Cut => {
                paint.warn("no error in what was taken; a part of the input is missing")
            }
            (0, 0) if status.total_runs > 0 && (missing > 0 || !status.state.is_final()) => {
                paint.warn("no error so far")
            }
            (0, 0) if status.total_runs > 0 => paint.good("all valid"),
            (0, 0) => paint.warn("nothing ran"),
            (0, invalid) => paint.bad(&format!("{} invalid", number(invalid))),
            (failures, 0) => paint.bad(&format!("{} could not be judged", number(failures))),
            (failures, invalid) => {
                paint.bad(&format!("{} invalid, {} could not be judged", number(invalid), number(failures)))
            }
        };
        writeln!(out)?;
        let rate = number(per_second.round() as u64);
        let runs = plural(status.total_runs, "run");
        writeln!(out, "{word}")?;
        let retried = match self.setting.retried {
            0 => String::new(),
            retried => format!(", {} retried,", number(retried)),
        };
        let cost =
            format!("{runs}{retried} in {} ({rate} runs/s), seed {}", wall(status.wall_time_ms), status.request.seed);
        writeln!(out, "{}", paint.dim(&fit(&cost, self.setting.width)))?;
        if missing > 0 {
            let why = match (status.state, self.setting.ending) {
                (JobState::Stopped, _) => "the job was stopped at its first error",
                (JobState::Cancelled, _) => "the job was cancelled",
                (_, Ending::Waited) => "the job had to wait for too long",
                (_, Ending::Machinery) => "the machinery failed",
                (JobState::Paused, _) => "the job is paused",
                _ => "the job was interrupted",
            };
            writeln!(out, "{}", paint.warn(&format!("{} not run: {why}", plural(missing, "run"))))?;
        } else if status.state == JobState::Cancelled {
            writeln!(out, "{}", paint.warn("the job was cancelled"))?;
        }
        Ok(())
    }
}

impl Report for Table<'_> {
    fn wants_items(&self) -> bool {
        self.status.items == 1 || self.status.invalid + self.status.failures > 0
    }

    fn item(&mut self, out: &mut dyn Write, item: &ItemResult) -> io::Result<bool> {
        let alone = self.status.items == 1;
        if !alone && item.verdict == Verdict::Valid {
            // Of many items only those that are not valid are shown.
            return Ok(true);
        }
        if self.shown == MOST_ITEMS {
            self.more = true;
            return Ok(false);
        }
        if self.shown == 0 {
            writeln!(out)?;
        }
        self.shown += 1;
        self.item_head(out, item)?;
        let most = if alone { MOST_FINDINGS } else { 1 };
        for finding in item.findings.iter().take(most) {
            self.finding(out, finding)?;
        }
        let omitted = item.omitted.errors + item.omitted.warnings + item.omitted.infos;
        let rest = item.findings.len().saturating_sub(most) as u64 + omitted;
        if rest > 0 {
            writeln!(out, "  ... and {}", plural(rest, "more finding"))?;
        }
        if let Some(failure) = &item.failure {
            self.line(out, &printable(&format!("  {}: {}", failure.code, failure.message)))?;
            if alone {
                for frame in failure.backtrace.iter().take(MOST_FINDINGS) {
                    self.line(out, &format!("    {}", printable(frame)))?;
                }
            }
        }
        Ok(!alone)
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.more {
            writeln!(out, "... and more; `-o json` lists all of them")?;
        }
        self.groups(out)?;
        self.end_line(out)
    }
}

/// `1 item x 3 workers x 5 iterations = 15 runs`.
fn work(status: &JobStatus) -> String {
    let planned = plural(status.planned_runs, "run");
    match status.request.work {
        Work::One { workers, iterations } => format!(
            "{} x {} x {} = {planned}",
            plural(status.items, "item"),
            plural(workers.into(), "worker"),
            plural(iterations.into(), "iteration"),
        ),
        Work::Many { iterations, .. } => {
            let shared = match status.workers.len() as u64 {
                // Nothing was run yet, or nothing could be.
                0 => String::new(),
                workers => format!(", shared out over {}", plural(workers, "worker")),
            };
            format!("{} x {} = {planned}{shared}", plural(status.items, "item"), plural(iterations.into(), "iteration"))
        }
    }
}

/// A table of what came of runs, by whom: a [`row`] each. On a narrow screen the least important columns give way, from
/// the right: percentiles, then the mean, then what other lines say as well.
pub(crate) fn figures() -> Grid {
    let name = Column::left("").kept().cut(8);
    let figures = ["valid", "invalid", "failures", "success", "mean", "p50", "p95", "p99"].map(Column::right);
    Grid::new([name, Column::right("runs").kept()].into_iter().chain(figures))
}

/// What came of the runs of one worker, plugin or job: of all of them, those that are valid, invalid, and failures.
pub(crate) fn row(name: &str, [total, valid, invalid, failures]: [u64; 4], times: Times) -> Vec<Cell> {
    let time = |ms: f64| cell(if total == 0 { "-".to_owned() } else { wall(ms) });
    let mut row = vec![
        cell(name).painted(Paint::strong),
        cell(number(total)),
        cell(number(valid)).painted_if(valid > 0, Paint::good),
        cell(number(invalid)).painted_if(invalid > 0, Paint::bad),
        cell(number(failures)).painted_if(failures > 0, Paint::bad),
        cell(percent(valid, total)),
    ];
    row.extend([times.mean_ms, times.p50_ms, times.p95_ms, times.p99_ms].map(time));
    row
}

fn group_line(group: &ErrorGroup, digits: usize) -> String {
    let (code, message) = (printable(&group.code), printable(&group.message));
    format!("  {:>digits$} x {code}: {message} (first: {})", number(group.count), printable(&group.example))
}
