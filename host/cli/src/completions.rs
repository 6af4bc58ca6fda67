//! `pigeon completions`: what shells need to complete this program's commands and flags.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::{
    exit::{Exit, Failed},
    help,
    paint::Colours,
    paper::{Output, OutputArgs, Paper},
};

/// Print what a shell needs to complete commands and flags
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pigeon completions bash >~/.local/share/bash-completion/completions/pigeon
  pigeon completions zsh >~/.zfunc/_pigeon           With fpath=(~/.zfunc $fpath) before compinit in ~/.zshrc
  pigeon completions fish >~/.config/fish/completions/pigeon.fish")]
pub(crate) struct CompletionsArgs {
    /// Which shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Run the command.
pub(crate) fn run(args: CompletionsArgs, colours: Colours) -> Result<Exit, Failed> {
    let mut paper = Paper::open(OutputArgs { output: Output::Table }, colours)?;
    paper.write(script(args.shell))?;
    Ok(Exit::Valid)
}

fn script(shell: Shell) -> Vec<u8> {
    let all = help::command();
    // What is hidden in help is no more to be typed.
    let shown = all.get_subcommands().filter(|command| !command.is_hide_set());
    let mut command = Command::new("pigeon").args(all.get_arguments()).subcommands(shown);
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "pigeon", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_shell_is_told_of_every_command() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).unwrap();
            for word in ["process", "completions", "discard", "max-attempts"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
            assert!(!script.contains("compile-component"), "{shell}");
        }
    }
}
