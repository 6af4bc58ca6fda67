//! Having agents rest and work again, and sending them away for good.

use std::collections::HashMap;

use pigeon_api::{AgentDetail, Deed, Done, words::plural};

use super::{NamesArgs, RevokeArgs};
use crate::{
    confirm::confirm,
    deeds::each,
    exit::{Exit, Failed},
    paint::Colours,
    paper::Paper,
    screen::Screen,
    visit::visit,
};

/// Have them take nothing more, or work again.
pub(super) async fn hold(args: NamesArgs, drained: bool, colours: Colours, screen: &Screen) -> Result<Exit, Failed> {
    let mut paper = Paper::open(args.output, colours)?;
    visit(&args.host, screen, async |host| {
        let client = host.client();
        let act = async |name: &String| {
            let agent = client.drain_agent(name, drained).await?;
            Ok(match drained {
                true => (Deed::done(name, Done::Drained), rests(&agent)),
                false => (Deed::done(name, Done::Resumed), "takes work again".to_owned()),
            })
        };
        each("agent", &args.agents, &mut paper, screen, act).await
    })
    .await
}

fn rests(agent: &AgentDetail) -> String {
    match agent.status.leases {
        0 => "takes nothing more".to_owned(),
        leases => format!("takes nothing more, and ends what it has: {}", plural(leases.into(), "lease")),
    }
}

/// Send them away for good.
pub(super) async fn revoke(args: RevokeArgs, colours: Colours, screen: &Screen) -> Result<Exit, Failed> {
    let RevokeArgs { names: NamesArgs { agents, output, host }, why, yes } = args;
    let mut paper = Paper::open(output, colours)?;
    visit(&host, screen, async |host| {
        let client = host.client();
        // Looked up before anybody is asked: what is meant is told by its id, and of names that nobody has nothing is done.
        let (mut meant, mut told) = (HashMap::new(), Vec::new());
        for agent in &agents {
            let found = client.agent(agent).await?.status;
            told.push(format!("{} ({})", found.name, found.id));
            meant.insert(agent.clone(), found.id);
        }
        let what = format!("revoke {}: cut off at once, and never to come back", told.join(", "));
        if !confirm(screen, &what, yes).await? {
            return Ok(Exit::Usage);
        }
        let act = async |name: &String| {
            // Another one may have come in under the name since.
            client.revoke_agent(meant.get(name).unwrap_or(name), &why).await?;
            Ok((Deed::done(name, Done::Revoked), "revoked".to_owned()))
        };
        each("agent", &agents, &mut paper, screen, act).await
    })
    .await
}
