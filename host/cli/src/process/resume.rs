//! `--resume`: a job that was interrupted, taken up where it stands.

use std::path::Path;

use pigeon_api::{ChunkBuilder, JobFilter, JobId, Pigeon, ResumePoint, Work};

use super::{
    Accepted, LEAVE, Sources, USUAL_MEMORY, apart, cores, cuts::Cuts, embedded_options, feed::Feed, not_started,
};
use crate::{
    dirs::Dirs,
    embedded::Embedded,
    exit::Failed,
    input::{Cursor, InputError, Reader},
    report::number,
    screen::Screen,
};

/// The newest job.
pub(super) const LAST: &str = "last";

/// Jobs that are named where an unknown one was.
const MOST_NAMED: usize = 10;

/// Characters of an id that name a job, at least.
const SHORTEST_PART: usize = 4;

async fn start(dirs: &Dirs, memory: Option<u64>) -> Result<Embedded, Failed> {
    Embedded::start(embedded_options(dirs, memory)?).await.map_err(not_started(dirs))
}

/// Find the job, take it up, and see what is left of its input.
pub(super) async fn resume(
    which: &str,
    report: Option<&Path>,
    dirs: &Dirs,
    screen: &Screen,
    started: &mut Option<Embedded>,
) -> Result<Accepted, Failed> {
    let small = start(dirs, None).await?;
    let client = small.client();
    let found = async { Ok::<_, Failed>(client.job(find(client.as_ref(), which).await?).await?) };
    let (job, memory, sources) = match found.await {
        Ok(status) => (status.id, status.request.limits.memory, status.request.sources),
        Err(error) => {
            *started = Some(small);
            return Err(error);
        }
    };
    let sources: Option<Sources> = serde_json::from_value(sources).ok();
    // A job whose runs may have more memory than usual needs a runtime that can give it.
    let embedded = if memory.is_some_and(|memory| memory > USUAL_MEMORY) {
        small.stop(LEAVE).await;
        start(dirs, memory).await?
    } else {
        small
    };
    let embedded = started.insert(embedded);
    let client = embedded.client();
    if let (Some(sources), Some(report)) = (&sources, report) {
        apart::report_and_inputs(report, &sources.inputs)?;
    }
    let point = client.resume(job).await.map_err(|error| match error.hint {
        Some(_) => Failed::from(error),
        None => Failed::from(error).hint("another process may be at it: it ends when that one does"),
    })?;
    screen.say(&format!("job {job}"));
    let cuts = Cuts::read(&dirs.state, job)?;
    if point.state.is_final() {
        return Ok(Accepted { job, sources, feed: None, input: cuts.cuts, over: Some(point.state) });
    }
    let (feed, input) = match (&sources, point.sealed) {
        (_, true) => (None, cuts.cuts),
        (Some(sources), false) => {
            let feed = rest(sources.clone(), &point, cuts)?;
            let input = feed.cuts.cuts.clone();
            (Some(feed), input)
        }
        (None, false) => return Err(Failed::machinery("the job does not say where its items come from")),
    };
    let agents = match point.request.work {
        Work::One { workers, .. } => workers,
        Work::Many { workers, .. } => workers.unwrap_or_else(cores),
    };
    embedded.add_agents(agents).await.map_err(not_started(dirs))?;
    Ok(Accepted { job, sources, feed, input, over: None })
}

/// The job that is meant.
async fn find(client: &dyn Pigeon, which: &str) -> Result<JobId, Failed> {
    if which == LAST {
        for unfinished in [true, false] {
            if let Some(job) =
                client.jobs(JobFilter { unfinished, limit: Some(1), ..JobFilter::default() }).await?.first()
            {
                return Ok(job.id);
            }
        }
        return Err(Failed::usage("there is no job to go on with")
            .hint("the queue is empty; was --state-dir given when the job was submitted?"));
    }
    let Ok(job) = which.parse::<JobId>() else { return by_part(client, which).await };
    match client.job(job).await {
        Ok(_) => Ok(job),
        Err(error) if error.kind == pigeon_api::ErrorKind::NotFound => {
            Err(Failed::usage(format!("there is no job {job}")).hint(unfinished(client).await?))
        }
        Err(error) => Err(error.into()),
    }
}

/// The only job whose id begins or ends with this. Ids begin with the time, so jobs that were submitted within a
/// minute differ in their ends only.
async fn by_part(client: &dyn Pigeon, part: &str) -> Result<JobId, Failed> {
    if !part.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
        return Err(Failed::usage(format!("{part:?} is no job id, and no part of one")).hint(unfinished(client).await?));
    }
    if part.len() < SHORTEST_PART {
        let error = Failed::usage(format!("{part:?} is too short to name a job"));
        return Err(error.hint(format!("give {SHORTEST_PART} or more characters of its id's beginning or end")));
    }
    let mut jobs = client.job_ids().await?;
    jobs.retain(|job| is_part(part, *job));
    match jobs.as_slice() {
        [job] => Ok(*job),
        [] => {
            let error = Failed::usage(format!("no job's id begins or ends with {part:?}"));
            Err(error.hint(unfinished(client).await?))
        }
        several => {
            let count = number(several.len() as u64);
            let mut lines = Vec::new();
            for job in several.iter().take(MOST_NAMED) {
                lines.push(match client.job(*job).await {
                    Ok(job) => {
                        let plugin = &job.plugin.metadata;
                        let plugin = format!("{} {}", plugin.name, plugin.version);
                        described(job.id, &plugin, job.total_runs, job.planned_runs)
                    }
                    // Whatever is wrong with it, it can be meant.
                    Err(_) => format!("  {job}"),
                });
            }
            let hint = listed("which of these is meant?", lines, several.len());
            Err(Failed::usage(format!("{count} jobs' ids begin or end with {part:?}")).hint(hint))
        }
    }
}

fn is_part(part: &str, job: JobId) -> bool {
    let (id, part) = (job.to_string(), part.to_ascii_lowercase());
    id.starts_with(&part) || id.ends_with(&part)
}

/// The jobs that could have been meant.
async fn unfinished(client: &dyn Pigeon) -> Result<String, Failed> {
    let jobs = client.jobs(JobFilter { unfinished: true, limit: Some(MOST_NAMED + 1), ..JobFilter::default() }).await?;
    if jobs.is_empty() {
        return Ok("there is no unfinished job".to_owned());
    }
    let lines = jobs.iter().map(|job| described(job.id, &job.plugin, job.total_runs, job.planned_runs));
    Ok(listed("these are unfinished:", lines.take(MOST_NAMED).collect(), jobs.len()))
}

fn described(job: JobId, plugin: &str, total: u64, planned: u64) -> String {
    format!("  {job}  {plugin}  {total} of {planned} runs")
}

fn listed(what: &str, mut lines: Vec<String>, count: usize) -> String {
    let more = count > lines.len();
    lines.insert(0, what.to_owned());
    if more {
        lines.push("  ... and more".to_owned());
    }
    lines.join("\n")
}

/// A reader for what was not read yet: of files that have not changed. What cannot be read any more is told.
fn rest(sources: Sources, point: &ResumePoint, mut cuts: Cuts) -> Result<Feed, Failed> {
    let Sources { inputs, mut identities, items: _ } = sources;
    let cursor: Cursor = if point.cursor.is_empty() {
        Cursor::default()
    } else {
        serde_json::from_slice(&point.cursor)
            .map_err(|error| Failed::machinery("failed to read how far the input was read").caused_by(error))?
    };
    let mut skipped = vec![false; inputs.roots.len()];
    for (at, root) in inputs.roots.iter().enumerate() {
        // A stream that was read to its end as one item is not lost.
        let read = at < cursor.root || at == cursor.root && cursor.file_done && root.kind.is_stream();
        if read {
            skipped[at] = true;
        } else if root.kind.is_stream() {
            skipped[at] = true;
            cuts.add(&InputError::Lost { given: shown(&root.given).to_owned() });
        } else {
            let known = identities.get(at).cloned().flatten();
            match inputs.identify(at) {
                Ok(now) if now == known => {}
                Ok(_) => {
                    skipped[at] = true;
                    cuts.add(&InputError::Changed { given: root.given.clone() });
                }
                Err(InputError::Missing { .. }) => {
                    skipped[at] = true;
                    cuts.add(&InputError::Gone { given: root.given.clone() });
                }
                Err(error) => {
                    skipped[at] = true;
                    cuts.add(&error);
                }
            }
        }
        if skipped[at]
            && let Some(identity) = identities.get_mut(at)
        {
            *identity = None;
        }
    }
    let reader = Reader::resume(inputs, identities, cursor, skipped)?;
    let builder = ChunkBuilder::new(point.next_seq, point.next_item);
    Ok(Feed { reader, builder, read: Vec::new(), failed: None, tell_blank: true, cuts })
}

fn shown(given: &str) -> &str {
    if given == crate::input::STDIN { "standard input" } else { given }
}

#[cfg(test)]
mod tests;
