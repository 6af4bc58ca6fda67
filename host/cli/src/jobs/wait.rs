//! `pigeon jobs wait`: until jobs have ended. Exit codes are those of `pigeon process`, of all of them together.

use std::time::Duration;

use clap::Args;
use futures::{StreamExt as _, stream::FuturesUnordered};
use pigeon_api::{ApiError, JobEvent, JobId, JobState, JobStatus, Pigeon, Watch, page::JobList};

use super::find_all;
use crate::{
    connect::HostArgs,
    exit::{Exit, Failed},
    paint::Colours,
    paper::{Output, OutputArgs, Paper},
    screen::Screen,
    text::{View, number, plural, wall},
    units,
    visit::visit,
    words,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pigeon jobs wait last
  pigeon jobs wait 6e01 c0de --timeout 1h

Exit codes, the first that is true of one of the jobs:
    130  cancelled, or interrupted    4  the machinery failed, or the time was over
      3  some runs could not be judged
      1  some invalid                 0  all valid")]
pub(super) struct WaitArgs {
    /// Their ids, 4 or more characters of an id's beginning or end, or `last`
    #[arg(value_name = "JOB", required = true)]
    jobs: Vec<String>,

    /// Wait no longer than this
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    timeout: Option<Duration>,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    host: HostArgs,
}

/// Between two looks at a job that is paused.
const PACE: Duration = Duration::from_millis(500);

/// Run the command.
pub(super) async fn run(args: WaitArgs, colours: Colours, screen: &Screen) -> Result<Exit, Failed> {
    let mut paper = Paper::open(args.output, colours)?;
    visit(&args.host, screen, async |host| {
        let client = host.client();
        let client = client.as_ref();
        paper.view.flags = host.command("");
        let jobs = find_all(client, &args.jobs).await?;
        let mut ended: Vec<Option<JobStatus>> = vec![None; jobs.len()];
        let waiting = async {
            let all = jobs.iter().enumerate().map(|(at, job)| async move { (at, end(client, *job, screen).await) });
            let mut all: FuturesUnordered<_> = all.collect();
            while let Some((at, status)) = all.next().await {
                let status = status?;
                if paper.output == Output::Table {
                    paper.write(line(&status, &paper.view_now()))?;
                }
                if let Some(broken) = status.broken.clone() {
                    Failed::from(ApiError::from(broken)).about("job", status.id).print(screen.paint);
                }
                ended[at] = Some(status);
            }
            Ok::<_, Failed>(())
        };
        match args.timeout {
            None => waiting.await?,
            // Once the time is over, those that have not ended are told.
            Some(timeout) => tokio::time::timeout(timeout, waiting).await.unwrap_or(Ok(()))?,
        }
        let exit = ended.iter().flatten().map(exit).max().unwrap_or(Exit::Valid);
        let left: Vec<JobId> =
            jobs.iter().zip(&ended).filter(|(_, ended)| ended.is_none()).map(|(job, _)| *job).collect();
        if paper.output == Output::Json {
            paper.json(&JobList { jobs: ended.into_iter().flatten().collect() })?;
        }
        let [first, others @ ..] = left.as_slice() else { return Ok(exit) };
        let more =
            if others.is_empty() { String::new() } else { format!(" and {}", plural(others.len() as u64, "other")) };
        let error = Failed::machinery(format!("the time was over before job {first}{more} had ended"))
            .hint(host.command(&format!("pigeon jobs show {first}")));
        if exit > error.exit {
            error.print(screen.paint);
            return Ok(exit);
        }
        Err(error)
    })
    .await
}

/// The job, once nothing more happens to it of itself.
async fn end(client: &dyn Pigeon, job: JobId, screen: &Screen) -> Result<JobStatus, Failed> {
    let mut told = false;
    loop {
        let status = client.job(job).await?;
        // One that nobody works at, and that nobody has wait, would wait for ever.
        if status.state.is_final() || status.state == JobState::Interrupted {
            return Ok(status);
        }
        if status.state == JobState::Paused && !told {
            screen.note(&format!("job {job} is paused: it ends once somebody has it go on"));
            told = true;
        }
        let mut events = client.watch(job, Watch::default()).await?;
        let mut over = false;
        while let Some(event) = events.next().await {
            match event {
                Ok(JobEvent::Finished(state)) => over = state.is_final(),
                Ok(_) => continue,
                // If the machinery failed for the job, it says so itself.
                Err(error) => match client.job(job).await? {
                    status if status.broken.is_some() => return Ok(status),
                    _ => return Err(error.into()),
                },
            }
            break;
        }
        if !over {
            tokio::time::sleep(PACE).await;
        }
    }
}

/// What a process would end with that had worked at the job.
fn exit(job: &JobStatus) -> Exit {
    match (job.state, job.failures, job.invalid) {
        _ if job.broken.is_some() => Exit::Machinery,
        (JobState::Cancelled | JobState::Interrupted, ..) => Exit::Interrupted,
        (_, 0, 0) => Exit::Valid,
        (_, 0, _) => Exit::Invalid,
        _ => Exit::Failures,
    }
}

/// How a job ended, on one line.
fn line(job: &JobStatus, view: &View) -> String {
    let paint = view.paint;
    let (runs, time) = (plural(job.total_runs, "run"), wall(job.wall_time_ms));
    let verdict = match (job.failures, job.invalid) {
        (0, 0) if job.total_runs == 0 => paint.warn("nothing ran"),
        (0, 0) if job.total_runs < job.planned_runs => paint.warn("no error so far"),
        (0, 0) => paint.good("all valid"),
        (failures, invalid) => {
            let counts = [
                (invalid, "invalid".to_owned()),
                (failures, if failures == 1 { "failure" } else { "failures" }.to_owned()),
            ];
            let words = counts.into_iter().filter(|(count, _)| *count > 0);
            let words: Vec<String> = words.map(|(count, what)| format!("{} {what}", number(count))).collect();
            paint.bad(&words.join(", "))
        }
    };
    let state = words::state_tone(job.state)(paint, job.state.as_str());
    format!("{}  {state}  {verdict}, {runs} in {time}\n", paint.strong(&job.id.to_string()))
}

#[cfg(test)]
mod tests;
