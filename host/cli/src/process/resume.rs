//! `--resume`: a job that was interrupted, taken up where it stands.

use std::path::Path;

use pigeon_api::{ChunkBuilder, JobId, ResumePoint, Work};

use super::{Accepted, Sources, USUAL_MEMORY, apart, cores, cuts::Cuts, feed::Feed};
use crate::{
    connect::{Chosen, Host},
    exit::Failed,
    input::{Cursor, InputError, Reader},
    job_id::{self, Last},
    screen::Screen,
};

/// Find the job, take it up, and see what is left of its input.
pub(super) async fn resume(
    which: &str,
    report: Option<&Path>,
    chosen: &Chosen,
    screen: &Screen,
    started: &mut Option<Host>,
) -> Result<Accepted, Failed> {
    let small = chosen.open(None).await?;
    let client = small.client();
    let found =
        async { Ok::<_, Failed>(client.job(job_id::find(client.as_ref(), which, Last::Unfinished).await?).await?) };
    let (job, memory, sources) = match found.await {
        Ok(status) => (status.id, status.request.limits.memory, status.request.sources),
        Err(error) => {
            *started = Some(small);
            return Err(error);
        }
    };
    let sources: Option<Sources> = serde_json::from_value(sources).ok();
    // A job whose runs may have more memory than usual needs a runtime that can give it.
    let host = if chosen.is_local() && memory.is_some_and(|memory| memory > USUAL_MEMORY) {
        small.close().await;
        chosen.open(memory).await?
    } else {
        small
    };
    let host = started.insert(host);
    if let (Some(sources), Some(report)) = (&sources, report) {
        apart::report_and_inputs(report, &sources.inputs)?;
    }
    take_up(host, job, sources, chosen, screen).await
}

/// Take a job up that is there.
pub(super) async fn take_up(
    host: &mut Host,
    job: JobId,
    sources: Option<Sources>,
    chosen: &Chosen,
    screen: &Screen,
) -> Result<Accepted, Failed> {
    host.tell_if_away(screen);
    let client = host.client();
    let point = client.resume(job).await.map_err(|error| match error.hint {
        None if chosen.is_local() => {
            Failed::from(error).hint("another process may be at it: it ends when that one does")
        }
        _ => Failed::from(error),
    })?;
    screen.say(&format!("job {job}"));
    let cuts = Cuts::read(&chosen.dirs.state, job)?;
    if point.state.is_final() {
        return Ok(Accepted { job, sources, feed: None, input: cuts.cuts, over: Some(point.state) });
    }
    let (feed, input) = match (&sources, point.sealed) {
        (_, true) => (None, cuts.cuts),
        (Some(sources), false) => {
            // What a server's job lacked is looked for anew: nothing was appended past it.
            let cuts = if host.is_local() { cuts } else { Cuts::none(&chosen.dirs.state) };
            let feed = rest(sources.clone(), &point, cuts)?;
            let input = feed.cuts.cuts.clone();
            (Some(feed), input)
        }
        (None, false) => {
            return Err(Failed::usage("the job does not say where its items come from")
                .hint("it was not submitted by `pigeon process`: whoever submits it goes on with it, or seals it"));
        }
    };
    let agents = match point.request.work {
        Work::One { workers, .. } => workers,
        Work::Many { workers, .. } => workers.unwrap_or_else(cores),
    };
    host.add_agents(agents).await?;
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
