//! `pigeon context`: the servers that this user talks to, with their tokens and what they are known by.

mod add;
mod file;

use clap::{Args, Subcommand};
use pigeon_api::{ContextInfo, ContextList};

use self::add::AddArgs;
pub(crate) use self::add::of_state_dir;
pub(crate) use self::file::{Context, Contexts, ContextsFile};
use crate::{
    exit::{Exit, Failed},
    paint::{Colours, Paint},
    paper::{OutputArgs, Paper},
    screen::Screen,
    text::{Column, Grid, View, cell, printable},
};

/// Keep servers, with their tokens, and say which one is in use
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pigeon context add prod --server https://pigeon.example.org:4780 --token-file token --fingerprint sha256:...
  pigeon context add here --state-dir /var/lib/pigeon     A server on this machine
  pigeon context use prod                                 From now on, commands mean that server
  pigeon jobs list --context here                         This one command means another
  pigeon context use --none                               Back to working in each command's own process")]
pub(crate) struct ContextArgs {
    #[command(subcommand)]
    command: ContextCommand,
}

#[derive(Debug, Subcommand)]
enum ContextCommand {
    /// Keep a server
    Add(AddArgs),
    /// Have commands mean this server
    #[command(after_help = "\
Examples:
  pigeon context use prod
  pigeon context use --none                 Work within each command's own process again")]
    Use {
        /// Its name
        #[arg(required_unless_present = "none")]
        name: Option<String>,
        /// None: commands work within their own process again
        #[arg(long, conflicts_with = "name")]
        none: bool,
    },
    /// Name all servers that are kept
    #[command(after_help = "\
Examples:
  pigeon context list -o json")]
    List {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show one of them, but for its token
    #[command(after_help = "\
Examples:
  pigeon context show
  pigeon context show prod")]
    Show {
        /// Its name; the one in use if not given
        name: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Forget a server
    #[command(after_help = "\
Examples:
  pigeon context remove prod")]
    Remove {
        /// Its name
        name: String,
    },
}

/// By what a server is known that has no CA of its own.
const SYSTEM: &str = "system";
const NOTHING: &str = "nothing";

/// Run the command.
pub(crate) async fn run(args: ContextArgs, colours: Colours, screen: Screen) -> Result<Exit, Failed> {
    let file = ContextsFile::of_user()?;
    match args.command {
        ContextCommand::Add(args) => add::run(args, &file, &screen).await?,
        ContextCommand::Use { name: Some(name), .. } => {
            file.change(|contexts| {
                contexts.named(&name)?;
                contexts.current = Some(name.clone());
                Ok(())
            })?;
            screen.note(&format!("{name} is in use"));
        }
        ContextCommand::Use { name: None, .. } => {
            file.change(|contexts| {
                contexts.current = None;
                Ok(())
            })?;
            screen.note("no context is in use: commands work within their own process");
        }
        ContextCommand::List { output } => {
            let mut paper = Paper::open(output, colours)?;
            let contexts = file.read()?;
            let kept = contexts.contexts.iter().map(|(name, context)| shown(&contexts, name, context)).collect();
            let list = ContextList { contexts: kept };
            if list.contexts.is_empty() {
                screen.note("there are none yet: `pigeon context add NAME --server URL --token-file FILE`");
            }
            paper.show(&list, table)?;
        }
        ContextCommand::Show { name, output } => {
            let mut paper = Paper::open(output, colours)?;
            let contexts = file.read()?;
            let Some(name) = name.or_else(|| contexts.current.clone()) else {
                return Err(Failed::usage("no context is in use").hint("name one: `pigeon context list` names all"));
            };
            let shown = shown(&contexts, &name, contexts.named(&name)?);
            paper.show(&shown, one)?;
        }
        ContextCommand::Remove { name } => {
            let was_in_use = file.change(|contexts| {
                contexts.named(&name)?;
                contexts.contexts.remove(&name);
                let was_in_use = contexts.current.as_ref() == Some(&name);
                contexts.current.take_if(|current| *current == name);
                Ok(was_in_use)
            })?;
            if was_in_use {
                screen.note(&format!("{name} was in use: commands work within their own process now"));
            }
        }
    }
    Ok(Exit::Valid)
}

/// A context as it may be shown.
fn shown(contexts: &Contexts, name: &str, context: &Context) -> ContextInfo {
    ContextInfo {
        name: name.to_owned(),
        server: context.server.clone(),
        current: contexts.current.as_deref() == Some(name),
        trust: match &context.fingerprint {
            Some(fingerprint) => fingerprint.clone(),
            None if context.server.starts_with("https://") => SYSTEM.to_owned(),
            None => NOTHING.to_owned(),
        },
        token: context.token.is_some(),
    }
}

fn table(list: &ContextList, view: &View) -> String {
    if list.contexts.is_empty() {
        return String::new();
    }
    let mut grid = Grid::new([
        Column::left("").kept(),
        Column::left("name").kept(),
        Column::left("server").kept().cut(20),
        Column::left("known by").cut(15),
    ]);
    for context in &list.contexts {
        grid.row([
            cell(if context.current { "*" } else { "" }),
            cell(&context.name).painted_if(context.current, Paint::strong),
            cell(&context.server),
            cell(&context.trust),
        ]);
    }
    grid.text(view.paint, view.width)
}

fn one(context: &ContextInfo, view: &View) -> String {
    let fact = |name: &str, value: &str| format!("{} {}\n", view.paint.dim(&format!("{name:<9}")), printable(value));
    let trust = match context.trust.as_str() {
        SYSTEM => "a certificate that this system trusts",
        NOTHING => "nothing: it is spoken with in the clear",
        fingerprint => fingerprint,
    };
    [
        fact("name", &context.name),
        fact("server", &context.server),
        fact("known by", trust),
        fact("token", if context.token { "kept" } else { "none" }),
        fact("in use", if context.current { "yes" } else { "no" }),
    ]
    .concat()
}
