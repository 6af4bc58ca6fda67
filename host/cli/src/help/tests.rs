use clap::Command;

use super::*;

/// Each command that is no family of others, with the words that name it.
fn leaves(command: &Command, path: &str) -> Vec<(String, Command)> {
    let mut found = Vec::new();
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        let path = format!("{path} {}", sub.get_name());
        if sub.has_subcommands() {
            found.extend(leaves(sub, &path));
        } else {
            found.push((path, sub.clone()));
        }
    }
    found
}

#[test]
fn every_command_is_in_one_group_and_fits_a_screen() {
    let mut named: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
    let command = command();
    let mut there: Vec<&str> =
        command.get_subcommands().filter(|sub| !sub.is_hide_set()).map(Command::get_name).collect();
    named.sort_unstable();
    there.sort_unstable();
    assert_eq!(named, there);
    let help = command.term_width(80).render_help().to_string();
    let (groups, _) = help.split_once("Options:").unwrap();
    assert!(groups.lines().all(|line| line.chars().count() <= 80), "{groups}");
    insta::assert_snapshot!(help);
}

/// Those that print no result, and why.
const WITHOUT_JSON: [(&str, &str); 9] = [
    ("pigeon backup", "the archive is the result"),
    ("pigeon restore", "the folder is the result"),
    ("pigeon up", "`pigeon agents list` and `pigeon context show` tell what there is then"),
    ("pigeon down", "nothing is left to be told of"),
    ("pigeon serve", "it has a log, which can be JSON"),
    ("pigeon context add", "`pigeon context show NAME` tells what is kept"),
    ("pigeon context use", "`pigeon context show` tells what is in use"),
    ("pigeon context remove", "nothing is left to be told of"),
    ("pigeon completions", "the script is the result"),
];

#[test]
fn every_command_speaks_json_or_prints_no_result() {
    let mut without = Vec::new();
    for (path, command) in leaves(&command(), "pigeon") {
        let output = command.get_arguments().find(|arg| arg.get_id() == "output");
        let formats = output.map(clap::Arg::get_possible_values).unwrap_or_default();
        if !formats.iter().any(|format| format.matches("json", false)) {
            without.push(path);
        }
    }
    without.sort_unstable();
    let mut expected = WITHOUT_JSON.map(|(path, _)| path);
    expected.sort_unstable();
    assert_eq!(without, expected);
}

/// The examples of a command.
fn examples(command: &Command) -> Vec<String> {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (_, examples) = help.split_once("Examples:\n").unwrap_or_default();
    examples.lines().map(|line| line.trim_start().to_owned()).collect()
}

#[test]
fn every_command_shows_how_it_is_used() {
    for (path, command) in leaves(&command(), "pigeon") {
        assert!(examples(&command).iter().any(|line| line.starts_with(&path)), "{path} has no example of itself");
    }
}

/// Examples that cannot be typed are worse than none.
#[test]
fn every_example_is_understood() {
    fn families(command: &Command, found: &mut Vec<Command>) {
        found.push(command.clone());
        command.get_subcommands().filter(|sub| !sub.is_hide_set()).for_each(|sub| families(sub, found));
    }
    let mut all = Vec::new();
    families(&command(), &mut all);
    let mut tried = 0;
    for line in all.iter().flat_map(examples) {
        let Some(line) = line.strip_prefix("pigeon ") else { continue };
        // What it does stands two blanks behind it; what a shell makes of the rest is cut off.
        let line = line.split("  ").next().unwrap_or_default();
        let line = line.split(['|', '>', '&', ';']).next().unwrap_or_default();
        let read = command().try_get_matches_from(std::iter::once("pigeon".to_owned()).chain(words(line)));
        assert!(read.is_ok(), "{line}: {}", read.unwrap_err());
        tried += 1;
    }
    assert!(tried > 100, "{tried}");
}

/// The words of a line, as a shell takes them apart.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut quoted, mut word) = (Vec::new(), false, String::new());
    for c in line.trim().chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words
}
