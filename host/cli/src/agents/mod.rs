//! `pigeon agents`: who works for a server.

mod change;
mod list;
mod show;

use clap::{Args, Subcommand};

use crate::{
    connect::HostArgs,
    exit::{Exit, Failed},
    paint::Colours,
    paper::OutputArgs,
    screen::Screen,
};

/// Show the agents of a server, have them rest, send them away
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  pigeon agents
  pigeon agents list --all         With those that have left or cannot be reached
  pigeon agents show north
  pigeon agents drain north        Before work on its machine; `resume` has it go on
  pigeon agents revoke north       It is gone for good, at once
  pigeon token join --out FILE     Have another one join

An agent is named by its name, by its id, or by the beginning or the end of that."
)]
pub(crate) struct AgentsArgs {
    #[command(subcommand)]
    command: Option<AgentsCommand>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Subcommand)]
enum AgentsCommand {
    /// Name the agents that are in
    #[command(after_help = "\
Examples:
  pigeon agents list
  pigeon agents list --all          With those that are away")]
    List(ListArgs),
    /// Show all that is known of one agent
    #[command(after_help = "\
Examples:
  pigeon agents show north
  pigeon agents show 7bab6439       By the end of its id, as lists show it")]
    Show(ShowArgs),
    /// Have agents take nothing more: they end what they have, and stay
    #[command(after_help = "\
Examples:
  pigeon agents drain north         Also when it, or the server, comes back, until it is resumed")]
    Drain(NamesArgs),
    /// Have agents take work again
    #[command(after_help = "\
Examples:
  pigeon agents resume north")]
    Resume(NamesArgs),
    /// Send agents away for good, at once: others do their work, and they may not come back
    #[command(after_help = "\
Examples:
  pigeon agents revoke north --why 'the machine was stolen'
  pigeon agents revoke 7bab6439 --yes

Its machine may join again as another agent, if it has a join token: `pigeon token revoke` takes that back.")]
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Also those that are remembered, and are away or revoked
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// Its name or id
    agent: String,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Debug, Args)]
struct NamesArgs {
    /// Their names or ids
    #[arg(value_name = "AGENT", required = true)]
    agents: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Debug, Args)]
struct RevokeArgs {
    #[command(flatten)]
    names: NamesArgs,
    /// Why, for the log
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    why: String,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// Run the command.
pub(crate) async fn run(args: AgentsArgs, colours: Colours, screen: Screen) -> Result<Exit, Failed> {
    match args.command.unwrap_or(AgentsCommand::List(args.list)) {
        AgentsCommand::List(args) => list::run(args, colours, &screen).await,
        AgentsCommand::Show(args) => show::run(args, colours, &screen).await,
        AgentsCommand::Drain(args) => change::hold(args, true, colours, &screen).await,
        AgentsCommand::Resume(args) => change::hold(args, false, colours, &screen).await,
        AgentsCommand::Revoke(args) => change::revoke(args, colours, &screen).await,
    }
}
