//! `pigeon agents`: who works for a server.

use clap::{Args, Subcommand};
use pigeon_api::{AgentState, AgentStatus, page::AgentList};

use crate::{
    connect::HostArgs,
    exit::{Exit, Failed},
    paint::{Colours, Paint},
    paper::{OutputArgs, Paper},
    screen::Screen,
    text::{Column, Grid, View, cell, number},
    visit::visit,
    words,
};

/// Show the agents of a server
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pigeon agents list
  pigeon agents list --all         With those that have left or cannot be reached
  pigeon token join --out FILE     Have another one join")]
pub(crate) struct AgentsArgs {
    #[command(subcommand)]
    command: AgentsCommand,
}

#[derive(Debug, Subcommand)]
enum AgentsCommand {
    /// Name the agents that are in
    #[command(after_help = "\
Examples:
  pigeon agents list
  pigeon agents list --all          With those that are away")]
    List {
        /// Also those that were in since the server started, and are away
        #[arg(short, long)]
        all: bool,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        host: HostArgs,
    },
}

/// Run the command.
pub(crate) async fn run(args: AgentsArgs, colours: Colours, screen: Screen) -> Result<Exit, Failed> {
    let AgentsCommand::List { all, output, host } = args.command;
    let mut paper = Paper::open(output, colours)?;
    visit(&host, &screen, async |host| {
        let mut agents = host.client().agents().await?;
        let known = agents.len();
        agents.retain(|agent| all || agent.state != AgentState::Away);
        let list = AgentList { agents };
        paper.show(&list, |list, view| table(&list.agents, view))?;
        match known - list.agents.len() {
            0 if host.is_local() => {
                screen.note("agents are of a server, and none is in use: `pigeon up` starts one here, with agents");
            }
            0 if list.agents.is_empty() => {
                screen.next("no agent is in; to have one join:", &host.command("pigeon token join --out FILE"))
            }
            0 => {}
            away => screen.note(&format!("{away} away: --all shows them as well")),
        }
        Ok(Exit::Valid)
    })
    .await
}

fn table(agents: &[AgentStatus], view: &View) -> String {
    if agents.is_empty() {
        return String::new();
    }
    let mut grid = Grid::new([
        Column::left("NAME").kept().cut(10),
        Column::left("STATE").kept(),
        Column::left("HEALTH").kept(),
        Column::right("SLOTS"),
        Column::right("LEASES"),
        Column::right("RUNS"),
        Column::right("FAILURES"),
        Column::left("SINCE"),
        Column::left("ADDRESS"),
        Column::left("VERSION"),
        Column::left("WHY").cut(20),
    ]);
    for agent in agents {
        grid.row([
            cell(&agent.name).painted(Paint::strong),
            cell(words::agent(agent.state)),
            cell(words::health(agent.health)).painted(words::health_tone(agent.health)),
            cell(number(agent.slots.into())),
            cell(number(agent.leases.into())),
            cell(number(agent.runs)),
            cell(number(agent.failures)).painted_if(agent.failures > 0, Paint::warn),
            cell(view.moment.relative(agent.since_ms)),
            cell(&agent.address),
            cell(&agent.version),
            cell(agent.reasons.join("; ")),
        ]);
    }
    grid.text(view.paint, view.width)
}
