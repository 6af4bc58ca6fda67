//! `pigeon jobs`: which there are, how they stand, what they said; and having them wait, go on or end.

mod change;
mod follow;
mod landed;
mod list;
mod logs;
mod results;
mod show;
mod wait;

use clap::{Args, Subcommand};
use pigeon_api::{JobId, Pigeon};

use crate::{
    connect::HostArgs,
    exit::{Exit, Failed},
    job_id::{self, Last},
    paint::Colours,
    screen::Screen,
};

/// List jobs, show how they stand, have them wait, go on or end
#[derive(Debug, Args)]
#[command(after_help = "\
A job is named by its id, by 4 or more characters of the id's beginning or end, or by `last`, the newest.

Examples:
  pigeon jobs list --state unfinished       What is going on
  pigeon jobs show last --follow            How the newest job stands, and how it goes on
  pigeon jobs wait 6e01 c0de --timeout 1h   Wait for two jobs; exit codes as of `pigeon process`
  pigeon jobs logs last --item a.json       What guests logged, and backtraces, run by run
  pigeon jobs results last -o sarif         The report of `pigeon process`, in any of its forms
  pigeon jobs retry last                    Try again the runs that could not be judged")]
pub(crate) struct JobsArgs {
    #[command(subcommand)]
    command: JobsCommand,
}

#[derive(Debug, Subcommand)]
enum JobsCommand {
    /// Name jobs, the newest first
    List(list::ListArgs),
    /// Show how a job stands, and why it waits if it does
    Show(show::ShowArgs),
    /// Wait until jobs have ended, and say how they ended
    Wait(wait::WaitArgs),
    /// End jobs: what is under way is cancelled, and the rest is never run
    #[command(after_help = "\
Examples:
  pigeon jobs cancel last
  pigeon jobs cancel 6e01 c0de -o json")]
    Cancel(change::ChangeArgs),
    /// Have jobs wait: what is under way ends as it would
    #[command(after_help = "\
Examples:
  pigeon jobs pause last            Until `pigeon jobs resume last`, whatever restarts")]
    Pause(change::ChangeArgs),
    /// Have jobs go on that were paused
    #[command(after_help = "\
Examples:
  pigeon jobs resume last")]
    Resume(change::ChangeArgs),
    /// Try again all runs of jobs that could not be judged, as far as nobody discarded them
    #[command(after_help = "\
Examples:
  pigeon jobs retry last            All of it; `pigeon dead retry` chooses by code and message")]
    Retry(change::ChangeArgs),
    /// Show what guests logged, and backtraces, run by run
    Logs(logs::LogsArgs),
    /// Report on a job as `pigeon process` does, in any of its forms
    Results(results::ResultsArgs),
    /// Remove jobs that have ended, with all that is known of them
    #[command(after_help = "\
Examples:
  pigeon jobs delete last
  pigeon jobs delete 6e01 c0de --yes")]
    Delete(change::DeleteArgs),
}

/// A job to be looked at.
#[derive(Debug, Args)]
struct JobArg {
    /// Its id, 4 or more characters of the id's beginning or end, or `last`
    #[arg(value_name = "JOB")]
    job: String,

    #[command(flatten)]
    host: HostArgs,
}

impl JobArg {
    async fn find(&self, client: &dyn Pigeon) -> Result<JobId, Failed> {
        job_id::find(client, &self.job, Last::Any).await
    }
}

/// All that are named, each once.
async fn find_all(client: &dyn Pigeon, named: &[String]) -> Result<Vec<JobId>, Failed> {
    let mut jobs = Vec::with_capacity(named.len());
    for which in named {
        let job = job_id::find(client, which, Last::Any).await?;
        if !jobs.contains(&job) {
            jobs.push(job);
        }
    }
    Ok(jobs)
}

/// Run the command.
pub(crate) async fn run(args: JobsArgs, colours: Colours, screen: Screen) -> Result<Exit, Failed> {
    match args.command {
        JobsCommand::List(args) => list::run(args, colours, &screen).await,
        JobsCommand::Show(args) => show::run(args, colours, &screen).await,
        JobsCommand::Wait(args) => wait::run(args, colours, &screen).await,
        JobsCommand::Cancel(args) => change::run(args, change::Change::Cancel, colours, &screen).await,
        JobsCommand::Pause(args) => change::run(args, change::Change::Pause, colours, &screen).await,
        JobsCommand::Resume(args) => change::run(args, change::Change::Resume, colours, &screen).await,
        JobsCommand::Retry(args) => change::run(args, change::Change::Retry, colours, &screen).await,
        JobsCommand::Logs(args) => logs::run(args, colours, &screen).await,
        JobsCommand::Results(args) => results::run(args, colours, &screen).await,
        JobsCommand::Delete(args) => change::delete(args, colours, &screen).await,
    }
}

#[cfg(test)]
mod tests;
