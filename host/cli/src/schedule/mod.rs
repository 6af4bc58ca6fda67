//! `pigeon schedule`: jobs that are submitted when their time comes.

mod add;
mod list;

use clap::{Args, Subcommand};
use pigeon_api::{Deed, Done, Pigeon};

use crate::{
    connect::HostArgs,
    deeds::each,
    exit::{Exit, Failed},
    paint::Colours,
    paper::{OutputArgs, Paper},
    screen::Screen,
    text::Moment,
    visit::visit,
};

/// Have jobs submitted when their time comes
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pigeon schedule add nightly --cron '0 3 * * *' --zone Europe/Berlin -f orders/ -v json
  pigeon schedule add pulse --every 15m --overlap allow -f ping.json -v gexpr
  pigeon schedule add once --at '2026-12-24 18:00' -f gift.json -v json
  pigeon schedule list                      When each is due next, and what became of the last time
  pigeon schedule pause nightly")]
pub(crate) struct ScheduleArgs {
    #[command(subcommand)]
    command: ScheduleCommand,
}

#[derive(Debug, Subcommand)]
enum ScheduleCommand {
    /// Keep a schedule, with its items: files are read now, not when the time comes
    Add(Box<add::AddArgs>),
    /// Show all schedules and when they are due
    #[command(after_help = "\
Examples:
  pigeon schedule list -o json")]
    List(ListArgs),
    /// Have schedules wait: their times pass
    #[command(after_help = "\
Examples:
  pigeon schedule pause nightly")]
    Pause(NamesArgs),
    /// Have schedules go on
    #[command(after_help = "\
Examples:
  pigeon schedule resume nightly")]
    Resume(NamesArgs),
    /// Forget schedules; jobs that they submitted go on
    #[command(after_help = "\
Examples:
  pigeon schedule remove nightly pulse")]
    Remove(NamesArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    host: HostArgs,
}

#[derive(Debug, Args)]
struct NamesArgs {
    /// Names of schedules
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    host: HostArgs,
}

/// What can be done with a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Pause,
    Resume,
    Remove,
}

/// Run the command.
pub(crate) async fn run(args: ScheduleArgs, colours: Colours, screen: Screen) -> Result<Exit, Failed> {
    match args.command {
        ScheduleCommand::Add(args) => add::run(*args, colours, &screen).await,
        ScheduleCommand::List(args) => list::run(args, colours, &screen).await,
        ScheduleCommand::Pause(args) => change(args, Change::Pause, colours, &screen).await,
        ScheduleCommand::Resume(args) => change(args, Change::Resume, colours, &screen).await,
        ScheduleCommand::Remove(args) => change(args, Change::Remove, colours, &screen).await,
    }
}

/// Do it with each.
async fn change(args: NamesArgs, change: Change, colours: Colours, screen: &Screen) -> Result<Exit, Failed> {
    let mut paper = Paper::open(args.output, colours)?;
    visit(&args.host, screen, async |host| {
        let client = host.client();
        let act = async |name: &String| one(client.as_ref(), name, change).await;
        each("schedule", &args.names, &mut paper, screen, act).await
    })
    .await
}

/// Do it with one of them: what was done, and the same in words.
async fn one(client: &dyn Pigeon, name: &str, change: Change) -> Result<(Deed, String), Failed> {
    match change {
        Change::Pause => {
            client.pause_schedule(name, true).await?;
            Ok((Deed::done(name, Done::Paused), "paused".to_owned()))
        }
        Change::Resume => {
            let next_ms = client.pause_schedule(name, false).await?.next_ms;
            let words = match next_ms {
                Some(next_ms) => format!("goes on, next {}", Moment::now().both(next_ms)),
                None => "goes on, but is not due any more".to_owned(),
            };
            Ok((Deed { next_ms, ..Deed::done(name, Done::Resumed) }, words))
        }
        Change::Remove => {
            client.remove_schedule(name).await?;
            Ok((Deed::done(name, Done::Removed), "removed".to_owned()))
        }
    }
}
