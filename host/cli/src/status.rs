//! `pigeon status`: how the control host stands now.

use std::fmt::Write as _;

use clap::Args;
use pigeon_api::{AgentState, AgentStatus, Health, HostStatus};

use crate::{
    connect::HostArgs,
    exit::{Exit, Failed},
    paint::{Colours, Paint},
    paper::{OutputArgs, Paper, WatchArgs},
    screen::Screen,
    text::{Column, Grid, View, cell, curve, number, plural, printable, rate, span},
    units::Size,
    visit::visit,
    words,
};

/// Show how the control host stands: its queue, its agents, what could not be judged
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pigeon status                     The queue, the agents that are not well, the last minutes
  pigeon status -d                  With every agent
  pigeon status --watch             Drawn anew every two seconds
  pigeon status -o json             The same for programs, with times in milliseconds")]
pub(crate) struct StatusArgs {
    /// Show every agent
    #[arg(short, long)]
    detailed: bool,

    #[command(flatten)]
    watch: WatchArgs,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    host: HostArgs,
}

/// Columns of the curve, at most.
const WIDEST_CURVE: usize = 60;

/// Run the command.
pub(crate) async fn run(args: StatusArgs, colours: Colours, screen: Screen) -> Result<Exit, Failed> {
    let mut paper = Paper::open(args.output, colours)?;
    visit(&args.host, &screen, async |host| {
        let client = host.client();
        paper.view.flags = host.command("");
        host.tell_if_no_server(&screen);
        let look = async || Ok(client.status().await?);
        paper.watch(args.watch, look, |status, view| table(status, args.detailed, host.is_local(), view)).await?;
        Ok(Exit::Valid)
    })
    .await
}

/// The status for people.
fn table(status: &HostStatus, detailed: bool, local: bool, view: &View) -> String {
    // Its times are by its own clock.
    let view = &View { moment: view.moment.at(status.now_ms), ..view.clone() };
    let paint = view.paint;
    let mut text = String::new();
    let since = view.moment.relative(status.started_ms);
    let version = printable(&status.version);
    text.push_str(&format!("{}\n", paint.strong(&view.fitted(&format!("pigeon {version}, started {since}")))));
    text.push('\n');
    for (name, tone, words) in facts(status, view) {
        fact(&mut text, view, name, tone, &words);
    }
    throughput(&mut text, status, view);
    agents(&mut text, &status.agents, detailed, local, view);
    text
}

/// Columns of a fact's name.
const NAME: usize = 11;

fn fact(text: &mut String, view: &View, name: &str, tone: words::Tone, words: &str) {
    let words = crate::text::fit(words, view.width.saturating_sub(NAME));
    let _ = writeln!(text, "{}{}", view.paint.dim(&format!("{name:<NAME$}")), tone(view.paint, &words));
}

/// What is to be told in a line each, and how it looks.
fn facts(status: &HostStatus, view: &View) -> Vec<(&'static str, words::Tone, String)> {
    let queue = &status.queue;
    let mut waiting = format!("{} to do, {} under way", plural(queue.runs, "run"), plural(queue.leases, "lease"));
    if queue.oldest_ms > 0 {
        waiting.push_str(&format!("; the oldest is {} old", span(queue.oldest_ms)));
    }
    if queue.paused > 0 {
        waiting.push_str(&format!("; {} of them paused", number(queue.paused)));
    }
    let stuck = queue.runs > queue.paused && !status.agents.iter().any(|agent| agent.state == AgentState::Ready);
    let mut facts: Vec<(_, words::Tone, _)> = vec![
        ("queue", if stuck { Paint::warn } else { words::plain }, waiting),
        ("jobs", words::plain, counted(status.jobs.iter().map(|(state, count)| (state.as_str(), *count)), "none")),
    ];
    let of = |state| status.agents.iter().filter(|agent| agent.state == state).count() as u64;
    let states = [AgentState::Ready, AgentState::Draining, AgentState::Drained, AgentState::Away, AgentState::Revoked];
    let mut agents = counted(states.map(|state| (words::agent(state), of(state))), "none has come");
    let sick = status.agents.iter().filter(|agent| agent.health != Health::Good).count() as u64;
    if sick > 0 {
        agents.push_str(&format!("; {} not well", number(sick)));
    }
    facts.push(("agents", if sick > 0 || stuck { Paint::warn } else { words::plain }, agents));
    let dead = match status.dead {
        0 => "none".to_owned(),
        count => format!("{}: pigeon dead list{} names them", plural(count, "dead letter"), view.flags),
    };
    facts.push(("dead", if status.dead > 0 { Paint::warn } else { words::plain }, dead));
    facts.push(("plugins", words::plain, number(status.plugins)));
    facts.push(("disk", words::plain, Size(status.disk_bytes).to_string()));
    facts
}

/// `3 open, 1 paused`: what there is of each, or that there is none.
fn counted<'a>(counts: impl IntoIterator<Item = (&'a str, u64)>, none: &str) -> String {
    let counts = counts.into_iter().filter(|(_, count)| *count > 0);
    let words: Vec<String> = counts.map(|(what, count)| format!("{} {}", number(count), printable(what))).collect();
    if words.is_empty() { none.to_owned() } else { words.join(", ") }
}

/// The last minutes, as a curve.
fn throughput(text: &mut String, status: &HostStatus, view: &View) {
    let landed = &status.throughput;
    if landed.runs.is_empty() || landed.step_ms == 0 {
        return;
    }
    let (runs, failures): (u64, u64) = (landed.runs.iter().sum(), landed.failures.iter().sum());
    let most = landed.runs.iter().max().copied().unwrap_or(0) as f64 * 1000.0 / landed.step_ms as f64;
    let stretch = span(landed.step_ms.saturating_mul(landed.runs.len() as u64));
    let drawn = curve(&landed.runs, &landed.failures, view.width.saturating_sub(NAME).min(WIDEST_CURVE), view);
    let _ = writeln!(text, "{}{drawn}", view.paint.dim(&format!("{:<NAME$}", "runs")));
    let failed = if failures > 0 { format!(", {}", plural(failures, "failure")) } else { String::new() };
    let words = format!("{} in {stretch}{failed}, {}/s at most", number(runs), rate(most));
    fact(text, view, "", words::plain, &words);
}

/// The agents that are not well, or all.
fn agents(text: &mut String, agents: &[AgentStatus], detailed: bool, local: bool, view: &View) {
    if agents.is_empty() {
        let hints = if local {
            vec![
                "no server is in use: pigeon up starts one on this machine, with agents".to_owned(),
                "for one elsewhere: pigeon context add NAME --server URL --token-file FILE --use".to_owned(),
            ]
        } else {
            vec![format!("no agent has come: pigeon token join{} makes a token with which one does", view.flags)]
        };
        text.push('\n');
        hints.iter().for_each(|hint| text.push_str(&view.line(hint)));
        return;
    }
    let shown: Vec<&AgentStatus> = agents.iter().filter(|agent| detailed || agent.health != Health::Good).collect();
    if shown.is_empty() {
        return;
    }
    let columns = [
        Column::left("agent").kept().cut(8),
        Column::left("health").kept(),
        Column::left("state"),
        Column::right("leases"),
        Column::right("slots"),
        Column::right("runs"),
        Column::right("failures"),
        Column::left("heard of"),
        Column::left("version").cut(7),
        Column::left("address").cut(9),
    ];
    let mut grid = Grid::new(columns);
    for agent in &shown {
        grid.row([
            cell(&agent.name).painted(Paint::strong),
            cell(words::health(agent.health)).painted(words::health_tone(agent.health)),
            cell(words::agent(agent.state)).painted_if(agent.state != AgentState::Ready, Paint::warn),
            cell(number(agent.leases.into())),
            cell(number(agent.slots.into())),
            cell(number(agent.runs)),
            cell(number(agent.failures)).painted_if(agent.failures > 0, Paint::bad),
            cell(view.moment.relative(agent.heard_ms)),
            cell(&agent.version),
            cell(&agent.address),
        ]);
    }
    let _ = write!(text, "\n{}", grid.text(view.paint, view.width));
    for agent in shown {
        for reason in &agent.reasons {
            text.push_str(&view.line(&printable(&format!("  {}: {reason}", agent.name))));
        }
    }
}

#[cfg(test)]
mod tests;
