//! `pigeon schedule`: jobs that are submitted when their time comes.

mod add;
mod list;

use clap::{Args, Subcommand};

use crate::{
    connect::HostArgs,
    exit::{Exit, Failed},
    paint::Colours,
    paper::OutputArgs,
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
    List(ListArgs),
    /// Have schedules wait: their times pass
    Pause(NamesArgs),
    /// Have schedules go on
    Resume(NamesArgs),
    /// Forget schedules; jobs that they submitted go on
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
        ScheduleCommand::Pause(args) => change(args, Change::Pause, &screen).await,
        ScheduleCommand::Resume(args) => change(args, Change::Resume, &screen).await,
        ScheduleCommand::Remove(args) => change(args, Change::Remove, &screen).await,
    }
}

/// Do it with each. What goes wrong with one is no reason to leave the others.
async fn change(args: NamesArgs, change: Change, screen: &Screen) -> Result<Exit, Failed> {
    visit(&args.host, screen, async |host| {
        let client = host.client();
        let mut exit = Exit::Valid;
        for name in &args.names {
            let done = match change {
                Change::Pause => client.pause_schedule(name, true).await.map(|_| "paused".to_owned()),
                Change::Resume => client.pause_schedule(name, false).await.map(|schedule| match schedule.next_ms {
                    Some(next_ms) => format!("goes on, next {}", Moment::now().both(next_ms)),
                    None => "goes on, but is not due any more".to_owned(),
                }),
                Change::Remove => client.remove_schedule(name).await.map(|()| "removed".to_owned()),
            };
            match done {
                Ok(done) => screen.note(&format!("schedule {name}: {done}")),
                Err(error) => {
                    let error = Failed::from(error);
                    exit = if exit == Exit::Machinery { exit } else { error.exit };
                    error.print(screen.paint);
                }
            }
        }
        Ok(exit)
    })
    .await
}
