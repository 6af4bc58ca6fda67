//! The agents that there are.

use pigeon_api::{AgentStatus, page::AgentList};

use super::ListArgs;
use crate::{
    exit::{Exit, Failed},
    paint::{Colours, Paint},
    paper::Paper,
    screen::Screen,
    text::{Column, Grid, View, cell, number},
    units::Size,
    visit::visit,
    words,
};

/// Name them.
pub(super) async fn run(args: ListArgs, colours: Colours, screen: &Screen) -> Result<Exit, Failed> {
    let ListArgs { all, output, host } = args;
    let mut paper = Paper::open(output, colours)?;
    visit(&host, screen, async |host| {
        let mut agents = host.client().agents().await?;
        let known = agents.len();
        agents.retain(|agent| all || agent.state.is_in());
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

/// As much of the end of an agent's id as tells it from others of its name: ids that were made within a minute begin alike.
fn short(id: &str) -> &str {
    id.char_indices().rev().nth(7).map_or(id, |(at, _)| &id[at..])
}

/// Runs that compute, and those that wait beside them.
pub(super) fn load(agent: &AgentStatus) -> String {
    match agent.waiting {
        0 => number(agent.computing.into()),
        waiting => format!("{}+{}", number(agent.computing.into()), number(waiting.into())),
    }
}

fn table(agents: &[AgentStatus], view: &View) -> String {
    if agents.is_empty() {
        return String::new();
    }
    let mut grid = Grid::new([
        Column::left("name").kept().cut(10),
        Column::left("id").kept(),
        Column::left("state").kept(),
        Column::left("health").kept(),
        Column::right("slots"),
        Column::right("load"),
        Column::right("leases"),
        Column::right("runs"),
        Column::right("failures"),
        Column::left("since"),
        Column::left("address"),
        Column::left("version"),
        Column::right("memory"),
        Column::left("labels").cut(20),
        Column::left("why").cut(20),
    ]);
    for agent in agents {
        grid.row([
            cell(&agent.name).painted(Paint::strong),
            cell(short(&agent.id)),
            cell(words::agent(agent.state)),
            cell(words::health(agent.health)).painted(words::health_tone(agent.health)),
            cell(number(agent.slots.into())),
            cell(load(agent)),
            cell(number(agent.leases.into())),
            cell(number(agent.runs)),
            cell(number(agent.failures)).painted_if(agent.failures > 0, Paint::warn),
            cell(view.moment.relative(agent.since_ms)),
            cell(&agent.address),
            cell(&agent.version),
            cell(if agent.rss > 0 { Size(agent.rss).to_string() } else { String::new() }),
            cell(agent.labels.join(" ")),
            cell(agent.reasons.join("; ")),
        ]);
    }
    grid.text(view.paint, view.width)
}

#[cfg(test)]
mod tests {
    use pigeon_api::{AgentState, Health};

    use super::*;
    use crate::samples::{NOW, view};

    #[test]
    fn two_agents_of_one_name_can_be_told_apart() {
        let agent = |id: &str| AgentStatus {
            id: id.to_owned(),
            name: "north".to_owned(),
            state: AgentState::Ready,
            since_ms: NOW - 60_000,
            address: "127.0.0.1:7".to_owned(),
            version: "0.1.0".to_owned(),
            slots: 2,
            leases: 0,
            heard_ms: NOW,
            runs: 17,
            failures: 0,
            health: Health::Good,
            reasons: Vec::new(),
            labels: vec!["arch=x86_64".to_owned()],
            computing: 2,
            waiting: 1,
            rss: 90 << 20,
        };
        let agents =
            ["01a1ffcc-cd90-7568-ab47-7bab643910cc", "01a1ffcc-cd91-7c20-9d11-04f2a95be731", "short"].map(agent);
        insta::assert_snapshot!(table(&agents, &view(100)));
    }
}
