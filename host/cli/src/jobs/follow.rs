//! How a job goes on: a bar on a terminal, lines elsewhere, events for programs.

use std::time::Duration;

use futures::StreamExt as _;
use pigeon_api::{JobEvent, JobId, Pigeon, Watch};

use crate::{
    exit::Failed,
    paper::{Output, Paper},
    screen::{Screen, Talk},
    words,
};

/// How long nothing may land before it is asked why.
const PATIENCE: Duration = Duration::from_secs(2);

/// Show how a job goes on until nothing more happens.
///
/// # Errors
/// If it cannot be heard, or told.
pub(super) async fn follow(client: &dyn Pigeon, job: JobId, paper: &mut Paper, screen: &Screen) -> Result<(), Failed> {
    screen.set_talk(Talk::All);
    let mut events = client.watch(job, Watch::default()).await?;
    let mut look = tokio::time::interval(PATIENCE);
    let (mut done, mut done_before) = (None, None);
    let mut told = None;
    while !paper.is_gone() {
        let event = tokio::select! {
            event = events.next() => event,
            _ = look.tick(), if paper.output == Output::Table => {
                if done.is_some() && done == done_before {
                    let waiting = client.job(job).await?.waiting;
                    if waiting != told {
                        if let Some(waiting) = &waiting {
                            screen.note(&format!("waits: {}", words::waiting(waiting, &paper.view_now())));
                        }
                        told = waiting;
                    }
                }
                done_before = done;
                continue;
            }
        };
        let event = event.ok_or_else(|| Failed::machinery("the job's events ended before the job did"))??;
        if paper.output == Output::Json {
            paper.json_line(&event)?;
        }
        match event {
            JobEvent::Progress(progress) if paper.output == Output::Table => {
                done = Some(progress.done);
                screen.progress(&progress);
            }
            JobEvent::Note(note) if paper.output == Output::Table => screen.note(&note),
            JobEvent::Finished(_) => break,
            _ => {}
        }
    }
    screen.clear();
    Ok(())
}
