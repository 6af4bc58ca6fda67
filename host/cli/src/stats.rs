//! `pigeon stats`: figures of all jobs that are kept, or of one.

use std::fmt::Write as _;

use clap::Args;
use pigeon_api::{ErrorGroup, ErrorStats, Figures, HostStats, JobStatus};

use crate::{
    connect::HostArgs,
    exit::{Exit, Failed},
    job_id::{self, Last},
    paint::{Colours, Paint},
    paper::{OutputArgs, Paper},
    report,
    screen::Screen,
    text::{Column, Grid, View, cell, curve, number, plural, printable, span},
    visit::visit,
};

/// Show figures: how many runs were valid, how long they took, what went wrong
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pigeon stats                      By plugin and worker, over all jobs that are kept
  pigeon stats last                 Of the newest job, by worker
  pigeon stats -o json              The same for programs, with times in milliseconds")]
pub(crate) struct StatsArgs {
    /// A job: its id, 4 or more characters of the id's beginning or end, or `last`
    #[arg(value_name = "JOB")]
    job: Option<String>,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    host: HostArgs,
}

/// Groups of errors that are shown.
const MOST_GROUPS: usize = 20;

/// Columns of the curve, at most.
const WIDEST_CURVE: usize = 60;

/// Run the command.
pub(crate) async fn run(args: StatsArgs, colours: Colours, screen: Screen) -> Result<Exit, Failed> {
    let mut paper = Paper::open(args.output, colours)?;
    visit(&args.host, &screen, async |host| {
        let client = host.client();
        paper.view.flags = host.command("");
        match &args.job {
            None => paper.show(&client.stats().await?, table)?,
            Some(which) => {
                let job = job_id::find(client.as_ref(), which, Last::Any).await?;
                paper.show(&client.job(job).await?, of_job)?;
            }
        }
        Ok(Exit::Valid)
    })
    .await
}

/// The figures of all jobs, for people.
fn table(stats: &HostStats, view: &View) -> String {
    if stats.total.runs == 0 {
        let hint = format!("no run has landed: {} judges a file", view.command("pigeon process -f FILE -v json"));
        return view.line(&hint);
    }
    let paint = view.paint;
    let mut text = String::new();
    for (title, rows) in [("plugins", &stats.plugins), ("workers", &stats.workers)] {
        let mut grid = report::figures();
        for (name, figures) in rows {
            grid.row(row(name, figures));
        }
        grid.row(row("all", &stats.total));
        let _ = write!(text, "{}\n{}\n", paint.strong(title), grid.text(paint, view.width));
    }
    let landed = &stats.throughput;
    if !landed.runs.is_empty() {
        let stretch = span(landed.step_ms.saturating_mul(landed.runs.len() as u64));
        let runs = plural(landed.runs.iter().sum(), "run");
        let drawn = curve(&landed.runs, &landed.failures, view.width.min(WIDEST_CURVE), view);
        let _ =
            write!(text, "{}\n{drawn}\n{}\n", paint.strong("over time"), view.line(&format!("{runs} in {stretch}")));
    }
    text.push_str(&paint.strong("errors"));
    text.push('\n');
    text.push_str(&errors(stats.errors.iter().map(Error::from), view));
    text
}

fn row(name: &str, figures: &Figures) -> Vec<crate::text::Cell> {
    let counts = [figures.runs, figures.valid, figures.invalid, figures.failures];
    report::row(name, counts, figures.times)
}

/// The figures of one job, for people.
fn of_job(job: &JobStatus, view: &View) -> String {
    let paint = view.paint;
    let plugin = printable(&format!("{} {}", job.plugin.metadata.name, job.plugin.metadata.version));
    let head = format!("{}  {}  {plugin}", job.id, job.state.as_str());
    let mut text = format!("{}\n\n{}", paint.strong(&view.fitted(&head)), workers(job, view));
    if !job.errors.is_empty() {
        let _ = write!(text, "\n{}\n{}", paint.strong("errors"), groups(&job.errors, view));
    }
    text
}

/// What each worker did for a job, and all of them.
pub(crate) fn workers(job: &JobStatus, view: &View) -> String {
    let mut grid = report::figures();
    for worker in &job.workers {
        let counts = [worker.total, worker.valid, worker.invalid, worker.failures];
        grid.row(report::row(&worker.name, counts, worker.times));
    }
    let counts = [job.total_runs, job.valid, job.invalid, job.failures];
    grid.row(report::row("job", counts, job.times));
    grid.text(view.paint, view.width)
}

/// What went wrong in a job, the most frequent first.
pub(crate) fn groups(groups: &[ErrorGroup], view: &View) -> String {
    errors(groups.iter().map(Error::from), view)
}

/// Runs that went wrong in the same way, of one job or of all.
struct Error<'a> {
    count: u64,
    code: &'a str,
    message: &'a str,
    example: &'a str,
    /// Only of all jobs: else it is known.
    plugin: Option<&'a str>,
    first_ms: i64,
    last_ms: i64,
}

impl<'a> From<&'a ErrorGroup> for Error<'a> {
    fn from(group: &'a ErrorGroup) -> Self {
        let ErrorGroup { code, message, count, example, first_ms, last_ms } = group;
        Self { count: *count, code, message, example, plugin: None, first_ms: *first_ms, last_ms: *last_ms }
    }
}

impl<'a> From<&'a ErrorStats> for Error<'a> {
    fn from(group: &'a ErrorStats) -> Self {
        let ErrorStats { code, message, count, plugin, job: _, example, first_ms, last_ms } = group;
        Self { count: *count, code, message, example, plugin: Some(plugin), first_ms: *first_ms, last_ms: *last_ms }
    }
}

fn errors<'a>(errors: impl ExactSizeIterator<Item = Error<'a>>, view: &View) -> String {
    let more = errors.len().saturating_sub(MOST_GROUPS);
    let errors: Vec<Error<'_>> = errors.take(MOST_GROUPS).collect();
    if errors.is_empty() {
        return view.line("none");
    }
    let plugins = errors.iter().any(|error| error.plugin.is_some());
    let columns = [
        Column::right("runs").kept(),
        Column::left("code").kept().cut(8),
        Column::left("message").cut(10),
        Column::left("last seen"),
        Column::left("first seen"),
        Column::left("first item").cut(10),
    ];
    let plugin = plugins.then(|| Column::left("plugin").cut(8));
    let mut grid = Grid::new(columns.into_iter().chain(plugin));
    for error in errors {
        let seen = |ms: i64| cell(if ms == 0 { "-".to_owned() } else { view.moment.relative(ms) });
        let row = [
            cell(number(error.count)).painted(Paint::bad),
            cell(error.code),
            cell(error.message),
            seen(error.last_ms),
            seen(error.first_ms),
            cell(error.example),
        ];
        grid.row(row.into_iter().chain(error.plugin.map(cell)));
    }
    let mut text = grid.text(view.paint, view.width);
    if more > 0 {
        text.push_str(&view.line(&format!("... and {}: -o json has them", plural(more as u64, "more kind"))));
    }
    text
}

#[cfg(test)]
mod tests;
