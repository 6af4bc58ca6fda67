//! The runs of a job in the order in which they landed, up to now or up to its end.

use futures::StreamExt as _;
use pigeon_api::{JobEvent, JobId, Pigeon, RunResult, Watch};

use crate::exit::Failed;

/// Hand over the runs of a job, some at a time, until `take` wants no more. Without `follow` those that have landed by
/// now are all, though the job goes on.
///
/// # Errors
/// If they cannot be heard, and those of `take`.
pub(super) async fn landed(
    client: &dyn Pigeon,
    job: JobId,
    logs: bool,
    follow: bool,
    mut take: impl FnMut(&[RunResult]) -> Result<bool, Failed>,
) -> Result<(), Failed> {
    let mut events = client.watch(job, Watch { runs: true, logs, after: 0, past: !follow }).await?;
    while let Some(event) = events.next().await {
        match event? {
            JobEvent::Landed(landed) => {
                if !take(&landed.runs)? {
                    return Ok(());
                }
            }
            JobEvent::Finished(_) => return Ok(()),
            JobEvent::Progress(_) | JobEvent::Note(_) => {}
        }
    }
    Err(Failed::machinery("the job's events ended before the job did"))
}
