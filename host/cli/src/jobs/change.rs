//! Having jobs wait, go on, end or be tried again; and removing them.

use clap::Args;
use futures::StreamExt as _;
use pigeon_api::{DeadFilter, Deed, Done, JobEvent, JobId, Pigeon, Stop, Watch};

use super::find_all;
use crate::{
    confirm::confirm,
    connect::{Host, HostArgs},
    deeds::each,
    exit::{Exit, Failed},
    paint::Colours,
    paper::{OutputArgs, Paper},
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
    output: OutputArgs,

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
pub(super) async fn run(args: ChangeArgs, change: Change, colours: Colours, screen: &Screen) -> Result<Exit, Failed> {
    let mut paper = Paper::open(args.output, colours)?;
    visit(&args.host, screen, async |host| {
        let jobs = find_all(host.client().as_ref(), &args.jobs).await?;
        each("job", &jobs, &mut paper, screen, async |job| one(host, *job, change).await).await
    })
    .await
}

/// Remove jobs, once somebody is sure of it.
pub(super) async fn delete(args: DeleteArgs, colours: Colours, screen: &Screen) -> Result<Exit, Failed> {
    let DeleteArgs { jobs: args, yes } = args;
    let mut paper = Paper::open(args.output, colours)?;
    visit(&args.host, screen, async |host| {
        let jobs = find_all(host.client().as_ref(), &args.jobs).await?;
        let what = match jobs.as_slice() {
            [job] => format!("job {job}"),
            jobs => plural(jobs.len() as u64, "job"),
        };
        if !confirm(screen, &format!("remove {what} and all results"), yes).await? {
            return Ok(Exit::Usage);
        }
        each("job", &jobs, &mut paper, screen, async |job| one(host, *job, Change::Delete).await).await
    })
    .await
}

/// Do it with one of them: what was done, and the same in words.
async fn one(host: &Host, job: JobId, change: Change) -> Result<(Deed, String), Failed> {
    let client = host.client();
    let client = client.as_ref();
    let (done, words) = match change {
        Change::Cancel if host.is_local() => {
            take_up_and_cancel(client, job).await?;
            (Done::Cancelled, "cancelled".to_owned())
        }
        Change::Cancel => {
            client.stop(job, Stop::Cancel).await?;
            (Done::Cancelled, "cancelled".to_owned())
        }
        Change::Pause if host.is_local() => {
            let error = Failed::usage("a job without a server waits once the process ends that works at it");
            return Err(error.hint("Ctrl-C has it end, and what is under way may end before"));
        }
        Change::Pause => {
            client.stop(job, Stop::Pause).await?;
            (Done::Paused, "paused".to_owned())
        }
        Change::Resume if host.is_local() => {
            let error = Failed::usage("a job without a server goes on in a process that works at it");
            return Err(error.hint(host.command(&format!("pigeon process --resume {job}"))));
        }
        Change::Resume if client.resume(job).await?.state.is_final() => {
            return Err(Failed::usage("it has ended: there is nothing to go on with")
                .hint(host.command(&format!("pigeon jobs retry {job}")) + " tries again what could not be judged"));
        }
        Change::Resume => (Done::Resumed, "goes on".to_owned()),
        Change::Retry => {
            let runs = client.retry_dead(DeadFilter { job: Some(job), ..DeadFilter::default() }).await?;
            let words = match runs {
                0 => "no dead letters, so nothing is tried again".to_owned(),
                runs => format!("tried again: {}", plural(runs, "run")),
            };
            return Ok((Deed { runs: Some(runs), ..Deed::done(job, Done::Retried) }, words));
        }
        Change::Delete => {
            client.delete(job).await?;
            (Done::Removed, "removed".to_owned())
        }
    };
    Ok((Deed::done(job, done), words))
}

/// Without a server nobody works at the job unless a process does: this one takes it up, so as to end it.
async fn take_up_and_cancel(client: &dyn Pigeon, job: JobId) -> Result<(), Failed> {
    if client.resume(job).await?.state.is_final() {
        return Err(Failed::usage("it has ended already").hint("pigeon jobs delete removes it"));
    }
    let mut events = client.watch(job, Watch::default()).await?;
    client.stop(job, Stop::Cancel).await?;
    while let Some(event) = events.next().await {
        if let JobEvent::Finished(_) = event? {
            return Ok(());
        }
    }
    Err(Failed::machinery("the job's events ended before the job did"))
}
