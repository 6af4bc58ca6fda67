//! `pigeon token`: tokens for the API of a server, and those with which agents join it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{
    Args, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser as _},
};
use pigeon_api::{Deed, Done, JoinInfo, JoinSpec, NewJoinToken, Role, TokenInfo, TokenSpec, page::TokenList};

use crate::{
    confirm::confirm,
    connect::HostArgs,
    deeds::each_but_last,
    exit::{Exit, Failed},
    paint::{Colours, Paint},
    paper::{Output, OutputArgs, Paper},
    screen::Screen,
    secret_file::SecretFile,
    text::{Column, Grid, View, cell, plural},
    units,
    visit::visit,
};

/// Make and revoke tokens: for people and programs that use the API, and for agents that join
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pigeon token create ci --role submitter --ttl 90d --out ci.token
  pigeon token list
  pigeon token revoke ci
  pigeon token join --uses 3 --out join.token          For three agents, within the next hour

Roles, each of which may do what those before it may:
  viewer      look at everything but secrets
  submitter   submit jobs, and control its own
  publisher   publish plugins
  operator    control all jobs, dead letters, schedules, plugins' limits and agents
  admin       make and revoke tokens, take backups")]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token for the API
    #[command(after_help = "\
Examples:
  pigeon token create ci --role submitter --ttl 90d --out ci.token
  pigeon token create ci --role viewer --out - -o json")]
    Create {
        /// What to call it: what is done with it is logged under this name
        name: String,
        /// What it may do
        #[arg(long, value_parser = PossibleValuesParser::new(Role::ALL.map(Role::as_str)).try_map(|role| role.parse::<Role>()))]
        role: Role,
        /// How long it is good for [default: until it is revoked]
        #[arg(long, value_name = "TIME", value_parser = units::duration)]
        ttl: Option<Duration>,
        /// A new file for its secret, which is told this once; `-` is standard output
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        host: HostArgs,
    },
    /// Name the tokens for the API
    #[command(after_help = "\
Examples:
  pigeon token list")]
    List {
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        host: HostArgs,
    },
    /// Have a token be good for nothing any more, from now on
    #[command(after_help = "\
Examples:
  pigeon token revoke ci")]
    Revoke {
        /// Their names
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
        /// Do not ask, not even about the token with which this is said
        #[arg(short, long)]
        yes: bool,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        host: HostArgs,
    },
    /// Make a token with which agents join
    #[command(after_help = "\
Examples:
  pigeon token join --out join.token
  pigeon token join --uses 3 --ttl 1d --out join.token")]
    Join {
        /// How many agents may join with it
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        uses: u32,
        /// How long it is good for
        #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "1h")]
        ttl: Duration,
        /// A new file for it, to be given to the agents; `-` is standard output
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        host: HostArgs,
    },
}

/// Run the command.
pub(crate) async fn run(args: TokenArgs, colours: Colours, screen: Screen) -> Result<Exit, Failed> {
    let (TokenCommand::Create { host, .. }
    | TokenCommand::List { host, .. }
    | TokenCommand::Revoke { host, .. }
    | TokenCommand::Join { host, .. }) = &args.command;
    if host.choose()?.is_local() {
        return Err(Failed::usage("no server is in use, and tokens are of a server").hint(
            "`pigeon up` starts one here; `pigeon context use NAME` chooses one that is kept, --context NAME for this command",
        ));
    }
    match args.command {
        TokenCommand::Create { name, role, ttl, out, output, host } => {
            let mut paper = Paper::open(output, colours)?;
            let file = secret_file(&out, &paper)?;
            visit(&host, &screen, async |host| {
                let token = host.client().create_token(TokenSpec { name, role, ttl_ms: ttl.map(whole_ms) }).await?;
                let elsewhere = keep(file, &token.secret)?;
                match paper.output {
                    Output::Table => {
                        screen.note(&format!("{} may do what {} may", token.info.name, article(role)));
                    }
                    Output::Json if elsewhere => paper.json(&token.info)?,
                    Output::Json => paper.json(&token)?,
                }
                Ok(Exit::Valid)
            })
            .await
        }
        TokenCommand::List { output, host } => {
            let mut paper = Paper::open(output, colours)?;
            visit(&host, &screen, async |host| {
                let tokens = host.client().tokens().await?;
                paper.show(&TokenList { tokens }, |list, view| table(&list.tokens, view))?;
                Ok(Exit::Valid)
            })
            .await
        }
        TokenCommand::Revoke { names, yes, output, host } => {
            let mut paper = Paper::open(output, colours)?;
            visit(&host, &screen, async |host| {
                let client = host.client();
                let own = client.tokens().await?.into_iter().find(|token| token.yours && names.contains(&token.name));
                if let Some(own) = &own {
                    let what = format!(
                        "revoke token {}, the very one in use (after that it takes another to reach the server)",
                        own.name
                    );
                    if !confirm(&screen, &what, yes).await? {
                        return Ok(Exit::Usage);
                    }
                }
                // With it goes what all else is done with, so that it goes last.
                let last = own.map(|own| own.name);
                let unknown = |error| Failed::from(error).or_hint(host.command("pigeon token list") + " names all");
                let revoke = async |name: &String| {
                    client.revoke_token(name).await.map_err(unknown)?;
                    Ok((Deed::done(name, Done::Revoked), "revoked".to_owned()))
                };
                let is_last = |name: &String| last.as_ref() == Some(name);
                each_but_last("token", &names, &mut paper, &screen, is_last, revoke).await
            })
            .await
        }
        TokenCommand::Join { uses, ttl, out, output, host } => {
            let mut paper = Paper::open(output, colours)?;
            let file = secret_file(&out, &paper)?;
            visit(&host, &screen, async |host| {
                let token = host.client().create_join_token(JoinSpec { uses, ttl_ms: whole_ms(ttl) }).await?;
                let elsewhere = keep(file, &token.secret)?;
                if paper.output == Output::Json {
                    let NewJoinToken { hub, expires_ms, .. } = token.clone();
                    if elsewhere {
                        paper.json(&JoinInfo { hub, expires_ms })?
                    } else {
                        paper.json(&token)?
                    }
                    return Ok(Exit::Valid);
                }
                screen.note(&format!("good for {}, for {}", plural(uses.into(), "agent"), units::in_units(ttl)));
                let command = format!("pigeon-agent --hub {} --token-file FILE --state-dir DIR", token.hub);
                screen.next("on the agent's machine, with the token in a file:", &command);
                Ok(Exit::Valid)
            })
            .await
        }
    }
}

/// Where a secret goes. Where programs are told of it on standard output as well, it is a part of what they are told.
fn secret_file(out: &Path, paper: &Paper) -> Result<Option<SecretFile>, Failed> {
    let told = paper.output == Output::Json && out.as_os_str() == "-";
    (!told).then(|| SecretFile::create(out)).transpose()
}

/// Write a secret down, if it goes into a place of its own; whether it does.
fn keep(file: Option<SecretFile>, secret: &str) -> Result<bool, Failed> {
    file.map(|file| file.keep(secret)).transpose().map(|kept| kept.is_some())
}

fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// `an operator`
fn article(role: Role) -> String {
    let an = matches!(role, Role::Operator | Role::Admin);
    format!("{} {role}", if an { "an" } else { "a" })
}

fn table(tokens: &[TokenInfo], view: &View) -> String {
    let mut grid = Grid::new([
        Column::left("name").kept().cut(10),
        Column::left("role").kept(),
        Column::left("made"),
        Column::left("ends"),
    ]);
    for token in tokens {
        let ends = token.expires_ms.map_or_else(|| "when it is revoked".to_owned(), |ms| view.moment.relative(ms));
        grid.row([
            cell(&token.name).painted(Paint::strong),
            cell(token.role.as_str()),
            cell(view.moment.relative(token.created_ms)),
            cell(ends),
        ]);
    }
    grid.text(view.paint, view.width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Moment;

    #[test]
    fn tokens_are_listed_with_what_they_may_do() {
        let token = |name: &str, role, expires_ms| {
            let yours = role == Role::Admin;
            TokenInfo { name: name.to_owned(), role, created_ms: 0, expires_ms, yours }
        };
        let tokens = [token("admin", Role::Admin, None), token("ci", Role::Submitter, Some(7_200_000))];
        let view = View {
            paint: Paint::PLAIN,
            width: 80,
            unicode: false,
            moment: Moment::utc(3_600_000),
            flags: String::new(),
        };
        insta::assert_snapshot!(table(&tokens, &view));
    }
}
