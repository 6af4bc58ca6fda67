//! The report, and what the process ends with.

use std::io;

use futures::StreamExt as _;
use pigeon_api::{ApiError, ItemResult, JobId, JobState, JobStatus, Work};
use tokio::sync::mpsc;

use super::{Client, Sources, Ways, away, cuts::Cut, drive::Driven, target::Target};
use crate::{
    exit::{Exit, Failed},
    report::{self, Count, Ending, Format, Setting},
    screen::Screen,
    text::plural,
};

/// Parts of the results that may wait to be written.
const AHEAD: usize = 4;

/// Report a job, as far as it came.
pub(super) async fn finish(
    client: Client,
    job: JobId,
    sources: Option<Sources>,
    driven: Driven,
    ways: &Ways,
    target: &mut Target,
    screen: &Screen,
) -> Result<Exit, Failed> {
    if driven.away {
        away::tell(driven.unread, ways, screen);
        return driven.machinery.map_or(Ok(Exit::Interrupted), Err);
    }
    let asked = client.job(job);
    let asked = if driven.interrupted { away::in_time(asked).await } else { asked.await.map(Some) };
    let mut status = match asked {
        Ok(Some(status)) => status,
        Ok(None) => {
            screen.warn("the server does not answer: there is no report");
            screen.next("to go on:", &ways.again);
            return driven.machinery.map_or(Ok(Exit::Interrupted), Err);
        }
        // What went wrong first is what should be told.
        Err(error) => return Err(driven.machinery.unwrap_or_else(|| error.into())),
    };
    let cuts = driven.input.unwrap_or_default();
    let items = sources.as_ref().and_then(|sources| sources.items);
    let lacks = match items {
        _ if status.state != JobState::Cancelled => false,
        Some(items) => status.items < items,
        // One that has ended is not taken up: it only tells how far it came.
        None => client.resume(job).await.is_ok_and(|point| !point.sealed),
    };
    if cuts.is_empty() {
        plan(&mut status, items);
    }
    let ending = match &driven.machinery {
        Some(_) if driven.waited => Ending::Waited,
        Some(_) => Ending::Machinery,
        None if lacks || !cuts.is_empty() => Ending::Cut,
        None => Ending::Usual,
    };
    let report = Report { sources, retried: driven.retried, ending };
    let reported = write(&client, &status, report, target).await;
    if status.state == JobState::Open && !cuts.is_empty() && driven.machinery.is_none() && !driven.interrupted {
        ways.held(screen);
    } else if !status.state.is_final() {
        screen.next("to go on:", &ways.again);
    }
    let exit = if driven.interrupted || status.state == JobState::Cancelled {
        Exit::Interrupted
    } else if driven.machinery.is_some() || reported.is_err() {
        Exit::Machinery
    } else if !cuts.is_empty() {
        Exit::Usage
    } else if status.failures > 0 {
        Exit::Failures
    } else if status.invalid > 0 {
        Exit::Invalid
    } else {
        Exit::Valid
    };
    let errors = [driven.machinery, reported.err()].into_iter().flatten();
    for error in errors.chain(missing(cuts, &status)) {
        error.print(screen.paint);
    }
    Ok(exit)
}

/// Report on a job that is there, as far as it came.
///
/// # Errors
/// If it cannot be read, or its report not be written.
pub(crate) async fn report_again(client: &Client, job: JobId, target: &mut Target) -> Result<(), Failed> {
    let mut status = client.job(job).await?;
    let sources: Option<Sources> = serde_json::from_value(status.request.sources.clone()).ok();
    let items = sources.as_ref().and_then(|sources| sources.items);
    let lacks = status.state == JobState::Cancelled && items.is_some_and(|items| status.items < items);
    plan(&mut status, items);
    let ending = if lacks { Ending::Cut } else { Ending::Usual };
    write(client, &status, Report { sources, retried: 0, ending }, target).await
}

/// A job that stopped before all items were there was to run the others too.
fn plan(status: &mut JobStatus, items: Option<u64>) {
    let stopped = match status.state {
        JobState::Open | JobState::Interrupted | JobState::Paused | JobState::Stopped | JobState::Cancelled => true,
        JobState::Sealed | JobState::Finished => false,
    };
    if let (true, Some(items), Work::Many { iterations, .. }) = (stopped, items, status.request.work)
        && let Some(missing) = items.checked_sub(status.items)
    {
        status.items = items;
        status.planned_runs += missing * u64::from(iterations);
    }
}

/// What is missing of the input, and how much ran all the same.
fn missing(cuts: Vec<Cut>, status: &JobStatus) -> impl Iterator<Item = Failed> {
    let last = cuts.len().saturating_sub(1);
    let were = |count: u64| if count == 1 { "was" } else { "were" };
    let (items, runs) = (status.items, status.total_runs);
    let taken = format!("{} {} taken: {} {} made", plural(items, "item"), were(items), plural(runs, "run"), were(runs));
    cuts.into_iter().enumerate().map(move |(at, cut)| {
        let failed = Failed::from(cut);
        if at == last { failed.but(&taken) } else { failed }
    })
}

/// What a report tells besides the job's status and its items.
struct Report {
    sources: Option<Sources>,
    retried: u64,
    ending: Ending,
}

/// Write the report. Its items come from disk, a few hundred at a time.
async fn write(
    client: &Client,
    status: &JobStatus,
    Report { sources, retried, ending }: Report,
    target: &mut Target,
) -> Result<(), Failed> {
    if target.format == Format::Jsonl {
        return Ok(());
    }
    let mut setting = Setting {
        paint: target.paint,
        width: target.width,
        inputs: sources.map(|sources| sources.inputs),
        count: Count::default(),
        retried,
        ending,
    };
    if report::needs_count(target.format) {
        let mut items = read(client, status.id);
        while let Some(some) = items.recv().await {
            some?.iter().for_each(|item| setting.count.add(item.verdict));
        }
    }
    let format = target.format;
    let mut writing = None;
    let mut text = Vec::new();
    if let Some(report) = report::begin(format, &mut text, status, &setting).map_err(in_memory)? {
        writing = Some(report);
    }
    let Some(mut report) = writing else { return Ok(()) };
    // A table of a job that is all valid has no items to show: they are not even read.
    let mut wanted = report.wants_items();
    let mut items = read(client, status.id);
    while wanted && !target.is_gone() {
        let Some(some) = items.recv().await else { break };
        for item in &some? {
            if !report.item(&mut text, item).map_err(in_memory)? {
                wanted = false;
                break;
            }
        }
        target.write(|out| out.write_all(&text))?;
        text.clear();
    }
    report.end(&mut text).map_err(in_memory)?;
    target.write(|out| out.write_all(&text))?;
    Ok(())
}

/// Read the results while others of them are written.
fn read(client: &Client, job: JobId) -> mpsc::Receiver<Result<Vec<ItemResult>, ApiError>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let client = client.clone();
    tokio::spawn(async move {
        let mut items = match client.results(job).await {
            Ok(items) => items,
            // Whoever reads may have gone, here and below: then nobody wants to know.
            Err(error) => return drop(sender.send(Err(error)).await),
        };
        while let Some(some) = items.next().await
            && sender.send(some).await.is_ok()
        {}
    });
    receiver
}

/// Writing to memory fails only where a value cannot be serialised.
fn in_memory(error: io::Error) -> Failed {
    Failed::machinery("failed to write the report").caused_by(error)
}
