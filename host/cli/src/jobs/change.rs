//! Having jobs wait, go on, end or be tried again; and removing them.

use clap::Args;
use futures::StreamExt as _;
use pigeon_api::{DeadFilter, JobEvent, JobId, Pigeon, Stop, Watch};

use super::find_all;
use crate::{
    confirm::confirm,
    connect::{Host, HostArgs},
    exit::{Exit, Failed},
    screen::Screen,
    text::plural,
    visit::visit,
};

#[derive(Debug, Args)]
pub(super) struct ChangeArgs {
    /// Their ids, 4 or more characters of an id's beginning or end, or `last`
    #[arg(value_name = "JOB", required = true)]
    jobs: Vec<String>,

    #[command(flatten)]
    host: HostArgs,
}

#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    #[command(flatten)]
    jobs: ChangeArgs,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// What can be done with a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Cancel,
    Pause,
    Resume,
    Retry,
    Delete,
}

/// Run the command.
pub(super) async fn run(args: ChangeArgs, change: Change, screen: &Screen) -> Result<Exit, Failed> {
    visit(&args.host, screen, async |host| {
        let jobs = find_all(host.client().as_ref(), &args.jobs).await?;
        Ok(each(host, &jobs, change, screen).await)
    })
    .await
}

/// Remove jobs, once somebody is sure of it.
pub(super) async fn delete(DeleteArgs { jobs: args, yes }: DeleteArgs, screen: &Screen) -> Result<Exit, Failed> {
    visit(&args.host, screen, async |host| {
        let jobs = find_all(host.client().as_ref(), &args.jobs).await?;
        let what = match jobs.as_slice() {
            [job] => format!("job {job}"),
            jobs => plural(jobs.len() as u64, "job"),
        };
        if !confirm(screen, &format!("remove {what} and all results"), yes).await? {
            return Ok(Exit::Usage);
        }
        Ok(each(host, &jobs, Change::Delete, screen).await)
    })
    .await
}

/// Do it with each. What goes wrong with one is no reason to leave the others.
async fn each(host: &Host, jobs: &[JobId], change: Change, screen: &Screen) -> Exit {
    let mut exit = Exit::Valid;
    for &job in jobs {
        match one(host, job, change).await {
            Ok(done) => screen.note(&format!("job {job}: {done}")),
            Err(error) => {
                // What failed worst is what the process ends with.
                exit = if exit == Exit::Machinery { exit } else { error.exit };
                error.about(format!("job {job}")).print(screen.paint);
            }
        }
    }
    exit
}

async fn one(host: &Host, job: JobId, change: Change) -> Result<String, Failed> {
    let client = host.client();
    let client = client.as_ref();
    match change {
        Change::Cancel if host.is_local() => take_up_and_cancel(client, job).await,
        Change::Cancel => {
            client.stop(job, Stop::Cancel).await?;
            Ok("cancelled".to_owned())
        }
        Change::Pause if host.is_local() => {
            let error = Failed::usage("a job without a server waits once the process ends that works at it");
            Err(error.hint("Ctrl-C has it end, and what is under way may end before"))
        }
        Change::Pause => {
            client.stop(job, Stop::Pause).await?;
            Ok("paused".to_owned())
        }
        Change::Resume if host.is_local() => {
            let error = Failed::usage("a job without a server goes on in a process that works at it");
            Err(error.hint(host.command(&format!("pigeon process --resume {job}"))))
        }
        Change::Resume => match client.resume(job).await?.state {
            state if state.is_final() => Err(Failed::usage("it has ended: there is nothing to go on with")
                .hint(host.command(&format!("pigeon jobs retry {job}")) + " tries again what could not be judged")),
            _ => Ok("goes on".to_owned()),
        },
        Change::Retry => {
            let filter = DeadFilter { job: Some(job), ..DeadFilter::default() };
            match client.retry_dead(filter).await? {
                0 => Ok("no dead letters, so nothing is tried again".to_owned()),
                runs => Ok(format!("tried again: {}", plural(runs, "run"))),
            }
        }
        Change::Delete => {
            client.delete(job).await?;
            Ok("removed".to_owned())
        }
    }
}

/// Without a server nobody works at the job unless a process does: this one takes it up, so as to end it.
async fn take_up_and_cancel(client: &dyn Pigeon, job: JobId) -> Result<String, Failed> {
    if client.resume(job).await?.state.is_final() {
        return Err(Failed::usage("it has ended already").hint("pigeon jobs delete removes it"));
    }
    let mut events = client.watch(job, Watch::default()).await?;
    client.stop(job, Stop::Cancel).await?;
    while let Some(event) = events.next().await {
        if let JobEvent::Finished(_) = event? {
            return Ok("cancelled".to_owned());
        }
    }
    Err(Failed::machinery("the job's events ended before the job did"))
}
