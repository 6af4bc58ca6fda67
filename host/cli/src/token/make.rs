//! Making tokens. A secret is told once, where it was asked for.

use std::{path::Path, time::Duration};

use pigeon_api::{JoinInfo, JoinSpec, Role, TokenSpec};

use super::{JoinArgs, SecretArgs};
use crate::{
    exit::{Exit, Failed},
    paint::Colours,
    paper::{Output, Paper},
    screen::Screen,
    secret_file::SecretFile,
    text::plural,
    units,
    visit::visit,
};

/// A token for the API.
pub(super) async fn for_api(
    spec: TokenSpec,
    SecretArgs { out, output, host }: SecretArgs,
    colours: Colours,
    screen: Screen,
) -> Result<Exit, Failed> {
    let mut paper = Paper::open(output, colours)?;
    let file = secret_file(&out, &paper)?;
    visit(&host, &screen, async |host| {
        let role = spec.role;
        let token = host.client().create_token(spec).await?;
        let elsewhere = keep(file, &token.secret)?;
        match paper.output {
            Output::Table => screen.note(&format!("{} may do what {} may", token.info.name, article(role))),
            Output::Json if elsewhere => paper.json(&token.info)?,
            Output::Json => paper.json(&token)?,
        }
        Ok(Exit::Valid)
    })
    .await
}

/// A token with which agents join.
pub(super) async fn for_agents(
    JoinArgs { uses, labels, .. }: JoinArgs,
    ttl: Duration,
    SecretArgs { out, output, host }: SecretArgs,
    colours: Colours,
    screen: Screen,
) -> Result<Exit, Failed> {
    let mut paper = Paper::open(output, colours)?;
    let file = secret_file(&out, &paper)?;
    visit(&host, &screen, async |host| {
        let spec = JoinSpec { uses, ttl_ms: super::whole_ms(ttl), labels };
        let token = host.client().create_join_token(spec).await?;
        let elsewhere = keep(file, &token.secret)?;
        if paper.output == Output::Json {
            match elsewhere {
                true => paper.json(&JoinInfo { info: token.info, hub: token.hub })?,
                false => paper.json(&token)?,
            }
            return Ok(Exit::Valid);
        }
        let uses = plural(token.info.uses.into(), "agent");
        screen.note(&format!("{} is good for {uses}, for {}", token.info.id, units::in_units(ttl)));
        let command = format!("pigeon-agent --hub {} --token-file FILE --state-dir DIR", token.hub);
        screen.next("on the agent's machine, with the token in a file:", &command);
        Ok(Exit::Valid)
    })
    .await
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

/// `an operator`
fn article(role: Role) -> String {
    let an = matches!(role, Role::Operator | Role::Admin);
    format!("{} {role}", if an { "an" } else { "a" })
}
