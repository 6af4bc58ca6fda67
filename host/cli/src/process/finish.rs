//! The report, and what the process ends with.

use std::io;

use futures::StreamExt as _;
use pigeon_api::{ItemResult, JobId, JobStatus, Pigeon};

use super::{Sources, drive::Driven, target::Target};
use crate::{
    exit::{Exit, Failed},
    report::{self, Count, Format, Setting, number},
    screen::Screen,
};

/// Report a job, as far as it came.
pub(super) async fn finish(
    client: &dyn Pigeon,
    job: JobId,
    sources: Option<Sources>,
    driven: Driven,
    target: &mut Target,
    screen: &Screen,
) -> Result<Exit, Failed> {
    let status = match client.job(job).await {
        Ok(status) => status,
        // What went wrong first is what should be told.
        Err(error) => return Err(driven.machinery.unwrap_or_else(|| error.into())),
    };
    let reported = write(client, &status, sources, target).await;
    let unfinished = status.total_runs < status.planned_runs || !status.state.is_final();
    if unfinished && !status.state.is_final() {
        screen.note(&format!("to go on: {}", screen.paint.strong(&format!("pigeon process --resume {job}"))));
    }
    let exit = if driven.interrupted {
        Exit::Interrupted
    } else if driven.machinery.is_some() || reported.is_err() {
        Exit::Machinery
    } else if driven.input.is_some() {
        Exit::Usage
    } else if status.failures > 0 {
        Exit::Failures
    } else if status.invalid > 0 {
        Exit::Invalid
    } else {
        Exit::Valid
    };
    let errors = [driven.machinery, reported.err(), driven.input.map(|error| ran(error, &status))];
    for error in errors.into_iter().flatten() {
        error.print(screen.paint);
    }
    Ok(exit)
}

/// Bad input behind good: how much ran all the same.
fn ran(error: Failed, status: &JobStatus) -> Failed {
    let items = number(status.items);
    error.but(format!("the {items} items before it were taken: {} runs were made", number(status.total_runs)))
}

/// Write the report. Its items come from disk, a few hundred at a time.
async fn write(
    client: &dyn Pigeon,
    status: &JobStatus,
    sources: Option<Sources>,
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
    };
    if report::needs_count(target.format) {
        let mut items = client.results(status.id).await?;
        while let Some(some) = items.next().await {
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
    let mut items = client.results(status.id).await?;
    while wanted && !target.is_gone() {
        let Some(some) = items.next().await else { break };
        let some: Vec<ItemResult> = some?;
        for item in &some {
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

/// Writing to memory fails only where a value cannot be serialised.
fn in_memory(error: io::Error) -> Failed {
    Failed::machinery("failed to write the report").caused_by(error)
}
