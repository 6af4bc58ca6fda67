//! `pigeon --help`: the commands in groups, so that a newcomer finds the way.

use clap::{Command, CommandFactory as _, FromArgMatches as _};

use crate::args::{Cli, STYLES};

/// The commands by what they are for, in the order in which one comes to need them.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Judge work", &["process", "plugins", "publish"]),
    ("Deal with jobs", &["jobs", "dead", "schedule"]),
    ("See how it goes", &["status", "stats", "events", "agents"]),
    ("Run a control host", &["up", "down", "serve", "context", "token", "backup", "restore"]),
    ("Set up the shell", &["completions"]),
];

/// Columns between a command and what it does.
const GAP: usize = 2;

/// What the program's arguments say. Whoever asks for help, or for something that there is not, is told so, and the process
/// ends.
pub(crate) fn parse() -> Cli {
    let matches = command().get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// The command line, with all that it tells of itself.
pub(crate) fn command() -> Command {
    let command = Cli::command();
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{}{}\n{{options}}{{after-help}}",
        grouped(&command),
        heading("Options"),
    );
    command.help_template(template)
}

fn grouped(command: &Command) -> String {
    let literal = STYLES.get_literal();
    let wide = GROUPS.iter().flat_map(|(_, names)| *names).map(|name| name.len()).max().unwrap_or(0) + GAP;
    let mut text = String::new();
    for (what, names) in GROUPS {
        text.push_str(&format!("{}\n", heading(what)));
        for name in names {
            let about = command.find_subcommand(name).and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            text.push_str(&format!("  {literal}{name}{literal:#}{:pad$}{about}\n", "", pad = wide - name.len()));
        }
        text.push('\n');
    }
    text
}

fn heading(what: &str) -> String {
    let header = STYLES.get_header();
    format!("{header}{what}:{header:#}")
}

#[cfg(test)]
mod tests;
