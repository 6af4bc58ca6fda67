//! `--resume`: a job that was interrupted, taken up where it stands.

use std::path::Path;

use pigeon_api::{ChunkBuilder, ResumePoint, Work};

use super::{
    Accepted, LEAVE, Sources, USUAL_MEMORY, apart, cores, cuts::Cuts, embedded_options, feed::Feed, not_started,
};
use crate::{
    dirs::Dirs,
    embedded::Embedded,
    exit::Failed,
    input::{Cursor, InputError, Reader},
    job_id::{self, Last},
    screen::Screen,
};

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
    let found = async { Ok::<_, Failed>(client.job(job_id::find(client.as_ref(), which, Last::Unfinished).await?).await?) };
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
