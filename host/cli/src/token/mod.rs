//! `pigeon token`: tokens for the API of a server, and those with which agents join it.

mod list;
mod make;

use std::{path::PathBuf, time::Duration};

use clap::{
    Args, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser as _},
};
use pigeon_api::{Deed, Done, ErrorKind, Role, TokenSpec};

use crate::{
    confirm::confirm,
    connect::{Host, HostArgs},
    deeds::each_but_last,
    exit::{Exit, Failed},
    paint::Colours,
    paper::{OutputArgs, Paper},
    screen::Screen,
    units,
    visit::visit,
};

/// Make and revoke tokens: for agents that join, and for people and programs that use the API
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pigeon token create --uses 3 --label rack=7 --out join.token   For three agents, within the next hour
  pigeon token create ci --role submitter --ttl 90d --out ci.token
  pigeon token list
  pigeon token revoke ci join-1f3a9c04

Roles, each of which may do what those before it may:
  viewer      look at everything but secrets
  submitter   submit jobs, and control its own
  publisher   publish plugins
  operator    control all jobs, dead letters, schedules, plugins' limits and agents
  admin       make and revoke tokens for the API, take backups")]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token with which agents join; with a name and a role, one for the API
    #[command(after_help = "\
Examples:
  pigeon token create --ttl 1h --uses 3 --label rack=7     For three agents, within the next hour
  pigeon token create ci --role submitter --ttl 90d --out ci.token
  pigeon token create ci --role viewer -o json")]
    Create {
        /// What to call a token for the API: what is done with it is logged under this name
        #[arg(requires = "role")]
        name: Option<String>,
        /// What the bearer of a token for the API may do
        #[arg(long, requires = "name", conflicts_with_all = ["uses", "labels"], value_parser = PossibleValuesParser::new(Role::ALL.map(Role::as_str)).try_map(|role| role.parse::<Role>()))]
        role: Option<Role>,
        /// How long it is good for [default: 1h for agents, for the API until it is revoked]
        #[arg(long, value_name = "TIME", value_parser = units::duration)]
        ttl: Option<Duration>,
        #[command(flatten)]
        join: JoinArgs,
        #[command(flatten)]
        secret: SecretArgs,
    },
    /// Name the tokens
    #[command(after_help = "\
Examples:
  pigeon token list")]
    List {
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        host: HostArgs,
    },
    /// Have a token be good for nothing any more, from now on. Agents that have joined with one stay
    #[command(after_help = "\
Examples:
  pigeon token revoke ci
  pigeon token revoke join-1f3a9c04
  pigeon agents revoke north         An agent itself")]
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
    /// Make a token with which agents join, as `create` does without a name
    #[command(after_help = "\
Examples:
  pigeon token join --out join.token
  pigeon token join --uses 3 --ttl 1d --out join.token")]
    Join {
        /// How long it is good for [default: 1h]
        #[arg(long, value_name = "TIME", value_parser = units::duration)]
        ttl: Option<Duration>,
        #[command(flatten)]
        join: JoinArgs,
        #[command(flatten)]
        secret: SecretArgs,
    },
}

/// What a token with which agents join is like.
#[derive(Debug, Args)]
struct JoinArgs {
    /// How many agents may join with it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    uses: u32,
    /// A label of the agents that join with it, such as gpu or zone=a; may be given several times
    #[arg(long = "label", value_name = "LABEL", value_parser = units::label)]
    labels: Vec<String>,
}

/// Where a secret goes, and whose it is.
#[derive(Debug, Args)]
struct SecretArgs {
    /// A new file for its secret, which is told this once; `-` is standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    out: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    host: HostArgs,
}

/// How long agents may join with a token if nothing else is said.
const JOIN_TTL: Duration = Duration::from_secs(3600);

/// Run the command.
pub(crate) async fn run(args: TokenArgs, colours: Colours, screen: Screen) -> Result<Exit, Failed> {
    let (TokenCommand::Create { secret: SecretArgs { host, .. }, .. }
    | TokenCommand::List { host, .. }
    | TokenCommand::Revoke { host, .. }
    | TokenCommand::Join { secret: SecretArgs { host, .. }, .. }) = &args.command;
    if host.choose()?.is_local() {
        return Err(Failed::usage("no server is in use, and tokens are of a server").hint(
            "`pigeon up` starts one here; `pigeon context use NAME` chooses one that is kept, --context NAME for this command",
        ));
    }
    match args.command {
        TokenCommand::Create { name: Some(name), role: Some(role), ttl, secret, .. } => {
            let spec = TokenSpec { name, role, ttl_ms: ttl.map(whole_ms) };
            make::for_api(spec, secret, colours, screen).await
        }
        // A name comes with a role, and a role with a name.
        TokenCommand::Create { ttl, join, secret, .. } | TokenCommand::Join { ttl, join, secret } => {
            make::for_agents(join, ttl.unwrap_or(JOIN_TTL), secret, colours, screen).await
        }
        TokenCommand::List { output, host } => {
            let mut paper = Paper::open(output, colours)?;
            visit(&host, &screen, async |host| list::run(host, &mut paper, &screen).await).await
        }
        TokenCommand::Revoke { names, yes, output, host } => {
            let mut paper = Paper::open(output, colours)?;
            visit(&host, &screen, async |host| revoke(host, &names, yes, &mut paper, &screen).await).await
        }
    }
}

async fn revoke(host: &Host, names: &[String], yes: bool, paper: &mut Paper, screen: &Screen) -> Result<Exit, Failed> {
    let client = host.client();
    let for_agents = client.join_tokens().await?;
    let for_agents = |name: &String| for_agents.iter().any(|token| token.id == *name);
    let for_api = match client.tokens().await {
        // Then it may not revoke any of these either.
        Err(error) if error.kind == ErrorKind::Forbidden && names.iter().all(for_agents) => Vec::new(),
        tokens => tokens?,
    };
    let own = for_api.into_iter().find(|token| token.yours && names.contains(&token.name));
    if let Some(own) = &own {
        let what =
            format!("revoke token {}, the very one in use (after that it takes another to reach the server)", own.name);
        if !confirm(screen, &what, yes).await? {
            return Ok(Exit::Usage);
        }
    }
    // With it goes what all else is done with, so that it goes last.
    let last = own.map(|own| own.name);
    let unknown = |error| Failed::from(error).or_hint(host.command("pigeon token list") + " names all");
    let revoke = async |name: &String| {
        match for_agents(name) {
            true => client.revoke_join_token(name).await.map_err(unknown)?,
            false => client.revoke_token(name).await.map_err(unknown)?,
        }
        Ok((Deed::done(name, Done::Revoked), "revoked".to_owned()))
    };
    let is_last = |name: &String| last.as_ref() == Some(name);
    each_but_last("token", names, paper, screen, is_last, revoke).await
}

fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
