//! Starting what is missing.

use std::{
    collections::BTreeMap, ffi::OsString, fs::OpenOptions, io::Write as _, net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _, time::Duration,
};

use pigeon_api::{AgentState, AgentStatus, ErrorKind, JoinSpec, Pigeon, client::RestClient};
use tokio::time::{Instant, sleep};

use super::{
    CONTEXT,
    cluster::{Cluster, Member, Place},
    spawn::{self, Started},
    stop,
};
use crate::{
    context::{self, Context, ContextsFile},
    dirs::Dirs,
    embedded::guest_memory,
    exit::Failed,
    screen::Screen,
    serve::Running,
    text::plural,
    units::Size,
};

/// Far longer than a process takes to be there.
const LONG: Duration = Duration::from_secs(120);

/// Between two looks at what does not tell by itself.
const LOOK: Duration = Duration::from_millis(50);

/// How long a join token of ours is good for: it is used at once.
const TOKEN_LIFETIME: Duration = Duration::from_secs(600);

/// Memory that the guests of an agent have at least, in bytes: what one run may have.
const LEAST_MEMORY: u64 = 1 << 30;

/// What the agents are to be like.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    agents: u16,
    slots: u16,
    memory: u64,
}

/// Agents of a cluster of which nobody ever said how many there are to be.
const USUAL: u16 = 2;

/// How many agents there are to be, and how many slots each is to have if that is said: what is not said now is as it was
/// said last. Slots are of a number of agents: with another they are not said.
fn said(cluster: &Cluster, agents: Option<u16>, slots: Option<u16>) -> (u16, Option<u16>) {
    let there = u16::try_from(cluster.agents.len()).ok().filter(|there| *there > 0);
    let slots = slots.or(cluster.slots.filter(|_| agents.is_none()));
    (agents.or(cluster.wanted).or(there).unwrap_or(USUAL), slots)
}

/// Have so many agents, with so many slots each, and a server.
pub(super) async fn start(
    place: &Place,
    agents: Option<u16>,
    slots: Option<u16>,
    screen: &Screen,
) -> Result<(), Failed> {
    let contexts = ContextsFile::of_user()?;
    may_have_context(&contexts, place)?;
    place.make()?;
    let _lock = place.lock()?;
    let mut cluster = place.read(screen)?;
    let (agents, slots) = said(&cluster, agents, slots);
    (cluster.wanted, cluster.slots) = (Some(agents), slots);
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let shared = |all: u64| all / u64::from(agents.max(1));
    let wanted = Wanted {
        agents,
        slots: slots.unwrap_or_else(|| u16::try_from(shared(cores)).unwrap_or(u16::MAX).max(1)),
        memory: shared(guest_memory()).max(LEAST_MEMORY),
    };

    let hub = server(place, &mut cluster, screen).await?;
    let (hub, Admission { mut context, client, agents: before }) = match admission(place).await? {
        Some(admission) => (hub, admission),
        None => {
            screen
                .note("the admin token of the cluster was revoked or lost: its server starts anew, and makes another");
            stop::end_server(place, &mut cluster, screen).await?;
            let hub = server(place, &mut cluster, screen).await?;
            let lost =
                || Failed::machinery("the server does not take its own admin token").hint(place.log_is("server"));
            (hub, admission(place).await?.ok_or_else(lost)?)
        }
    };
    context.cluster = Some(place.dir.clone());
    let mut started = members(place, &mut cluster, wanted, hub, &client, screen).await?;
    all_in(place, &cluster, &client, &before, &mut started).await?;
    keep_context(&contexts, place, &mut cluster, context)?;

    if agents == 0 {
        screen.note("the server runs, without agents; commands mean this cluster from now on");
        screen.next("to have agents that judge:", &place.command("pigeon up --agents 2"));
    } else {
        screen.note(&format!(
            "{} of {} {} in; commands mean this cluster from now on",
            plural(agents.into(), "agent"),
            plural(wanted.slots.into(), "slot"),
            if agents == 1 { "is" } else { "are" }
        ));
        screen.next("to judge something:", "pigeon process -f FILE -v json");
    }
    screen.next("to see how it does:", "pigeon status");
    screen.next("to stop it:", &place.command("pigeon down"));
    Ok(())
}

/// How a server is reached by whoever has its state folder, and the agents that it knows.
struct Admission {
    context: Context,
    client: RestClient,
    agents: Vec<AgentStatus>,
}

/// Be admitted by the server that runs; nothing if its admin token is there no more, or good no more.
async fn admission(place: &Place) -> Result<Option<Admission>, Failed> {
    if !place.server().join("admin.token").exists() {
        return Ok(None);
    }
    let context = context::of_state_dir(&place.server(), None)?;
    let client = RestClient::new(context.endpoint()?)?;
    match client.agents().await {
        Ok(agents) => Ok(Some(Admission { context, client, agents })),
        Err(error) if error.kind == ErrorKind::Unauthorized => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The context of a cluster belongs to one.
fn may_have_context(contexts: &ContextsFile, place: &Place) -> Result<(), Failed> {
    match contexts.read()?.contexts.get(CONTEXT) {
        Some(Context { cluster: Some(dir), .. }) if *dir == place.dir => Ok(()),
        Some(Context { cluster: Some(dir), .. }) => Err(Failed::usage(format!(
            "another cluster of yours is up, in {}",
            dir.display()
        ))
        .hint(format!("stop it first: pigeon down --state-dir {}", crate::dirs::quoted(&dir.to_string_lossy())))),
        Some(Context { cluster: None, .. }) => {
            Err(Failed::usage(format!("there is a context {CONTEXT:?} of yours, which the cluster needs"))
                .hint("add it under another name, and then: pigeon context remove up"))
        }
        None => Ok(()),
    }
}

/// Use the cluster's context, and remember which was in use before.
fn keep_context(contexts: &ContextsFile, place: &Place, cluster: &mut Cluster, context: Context) -> Result<(), Failed> {
    let before = contexts.read()?.current;
    if before.as_deref() != Some(CONTEXT) && cluster.before != before {
        cluster.before = before;
        place.write(cluster)?;
    }
    contexts.change(|contexts| {
        contexts.contexts.insert(CONTEXT.to_owned(), context);
        contexts.current = Some(CONTEXT.to_owned());
        Ok(())
    })
}

/// See that the server runs. Gives where its hub is.
async fn server(place: &Place, cluster: &mut Cluster, screen: &Screen) -> Result<SocketAddr, Failed> {
    let running = match Running::read(&place.server())? {
        Some(running) => running,
        None => {
            // One that has not come so far as to say where it is, or no longer says so.
            let was_there = cluster.server.is_some();
            match (stop::end_server(place, cluster, screen).await?, was_there) {
                (0, true) => screen.note("the server was gone: it is started again, and goes on where it was"),
                (0, false) => {}
                _ => screen.note("the server did not say where it is: it was stopped, and is started again"),
            }
            match start_server(place, cluster, cluster.api, cluster.hub).await {
                Ok(running) => running,
                // Somebody else may listen there by now.
                Err(_) if cluster.api.is_some() => start_server(place, cluster, None, None).await?,
                Err(error) => return Err(error),
            }
        }
    };
    let malformed = || Failed::machinery("failed to understand where the server is").hint(place.command("pigeon down"));
    let hub: SocketAddr = running.agents.parse().map_err(|_| malformed())?;
    let api: SocketAddr = running.api.trim_start_matches("http://").parse().map_err(|_| malformed())?;
    cluster.server = Some(running.process);
    (cluster.hub, cluster.api) = (Some(hub), Some(api));
    place.write(cluster)?;
    Ok(hub)
}

async fn start_server(
    place: &Place,
    cluster: &mut Cluster,
    api: Option<SocketAddr>,
    hub: Option<SocketAddr>,
) -> Result<Running, Failed> {
    let any = || SocketAddr::from(([127, 0, 0, 1], 0));
    let args: Vec<OsString> = [
        "serve".into(),
        "--state-dir".into(),
        place.server().into_os_string(),
        "--listen".into(),
        hub.unwrap_or_else(any).to_string().into(),
        "--api-listen".into(),
        api.unwrap_or_else(any).to_string().into(),
        "--api-tls".into(),
        "off".into(),
        // Whoever has its state folder has it.
        "--new-admin-token".into(),
    ]
    .into();
    let log = place.log("server");
    // Nothing here is far away: who is silent for six seconds is gone, and agents that lost their server know it as soon.
    let mut started = spawn::start(&args, &log, &[("PIGEON_AGENTS_BEAT", "2s")])?;
    cluster.server = Some(started.process.clone());
    place.write(cluster)?;
    let deadline = Instant::now() + LONG;
    loop {
        if let Some(running) = Running::read(&place.server())?
            && running.process == started.process
        {
            return Ok(running);
        }
        started.check("the server", &log)?;
        if Instant::now() > deadline {
            return Err(Failed::machinery("the server does not come up").hint(place.log_is("server")));
        }
        sleep(LOOK).await;
    }
}

/// See that there are these agents and no others. Gives those that were started.
async fn members(
    place: &Place,
    cluster: &mut Cluster,
    wanted: Wanted,
    hub: SocketAddr,
    client: &dyn Pigeon,
    screen: &Screen,
) -> Result<BTreeMap<String, Started>, Failed> {
    let names: Vec<String> = (1..=wanted.agents).map(|number| format!("worker-{number}")).collect();
    let fits = |name: &String, member: &Member| {
        names.contains(name)
            && (member.hub, member.slots, member.memory) == (hub, wanted.slots, wanted.memory)
            && member.process.is_alive()
    };
    let (kept, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
        std::mem::take(&mut cluster.agents).into_iter().partition(|(name, member)| fits(name, member));
    for what in changes(&others, &names, wanted) {
        screen.note(&what);
    }
    // Until they have ended they are not forgotten.
    cluster.agents = kept.iter().chain(&others).map(|(name, member)| (name.clone(), member.clone())).collect();
    stop::end_all(others.iter().map(|(name, member)| (name.as_str(), &member.process)), screen).await?;
    cluster.agents = kept;
    place.write(cluster)?;

    let missing: Vec<&String> = names.iter().filter(|name| !cluster.agents.contains_key(*name)).collect();
    let mut started = BTreeMap::new();
    for name in missing {
        let dir = place.agent(name);
        let mut args: Vec<OsString> = [
            "agent".into(),
            "--hub".into(),
            hub.to_string().into(),
            "--name".into(),
            name.into(),
            "--slots".into(),
            wanted.slots.to_string().into(),
            "--memory".into(),
            wanted.memory.to_string().into(),
            "--state-dir".into(),
            dir.clone().into_os_string(),
        ]
        .into();
        // What is compiled is compiled once for this user, and not for each agent anew.
        let dirs = Dirs::new(None).or_else(|_| Dirs::new(Some(place.server())))?;
        args.extend(["--cache-dir".into(), dirs.cache.join("compiled").into_os_string()]);
        args.extend(["--cache-key".into(), dirs.key_file.into_os_string()]);
        if !dir.join("identity/agent.id").exists() {
            args.extend(["--token-file".into(), token(&dir, client).await?.into_os_string()]);
        }
        let process = spawn::start(&args, &place.log(name), &[])?;
        let member = Member { process: process.process.clone(), hub, slots: wanted.slots, memory: wanted.memory };
        cluster.agents.insert(name.clone(), member);
        place.write(cluster)?;
        started.insert(name.clone(), process);
    }
    Ok(started)
}

/// What becomes of agents that are not as they are to be, in words.
fn changes(others: &BTreeMap<String, Member>, names: &[String], wanted: Wanted) -> Vec<String> {
    let all = plural(wanted.agents.into(), "agent");
    let (slots, memory) = (plural(wanted.slots.into(), "slot"), Size(wanted.memory));
    let are = if wanted.agents == 1 { "is" } else { "are" };
    let became = |name: &String, member: &Member| {
        if !names.contains(name) {
            format!("no longer of the cluster, for there {are} to be {all}")
        } else if !member.process.is_alive() {
            "gone, and started again".to_owned()
        } else if (member.slots, member.memory) != (wanted.slots, wanted.memory) {
            format!(
                "stopped in order and started again, with {slots} and {memory} of memory each: this machine is shared out \
                 among {all}"
            )
        } else {
            "stopped in order and started again, for the server is at another address".to_owned()
        }
    };
    let mut changes: Vec<(String, Vec<&str>)> = Vec::new();
    for (name, member) in others {
        let what = became(name, member);
        match changes.iter_mut().find(|(other, _)| *other == what) {
            Some((_, names)) => names.push(name),
            None => changes.push((what, vec![name])),
        }
    }
    changes.into_iter().map(|(what, names)| format!("{}: {what}", names.join(", "))).collect()
}

/// A join token for one agent, in a file that only this user can read.
async fn token(dir: &std::path::Path, client: &dyn Pigeon) -> Result<std::path::PathBuf, Failed> {
    let ttl_ms = u64::try_from(TOKEN_LIFETIME.as_millis()).unwrap_or(u64::MAX);
    let token = client.create_join_token(JoinSpec { uses: 1, ttl_ms, labels: Vec::new() }).await?;
    let path = dir.join("join.token");
    let write = || {
        std::fs::create_dir_all(dir)?;
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        file.write_all(token.secret.as_bytes())
    };
    write().map_err(|error| Failed::machinery(format!("failed to write {}", path.display())).caused_by(error))?;
    Ok(path)
}

/// Wait until every agent takes work. Their join tokens are of no use any more.
///
/// The server may not have missed yet an agent that was killed: what it knew `before` of one that was started again does
/// not count.
async fn all_in(
    place: &Place,
    cluster: &Cluster,
    client: &dyn Pigeon,
    before: &[AgentStatus],
    started: &mut BTreeMap<String, Started>,
) -> Result<(), Failed> {
    let deadline = Instant::now() + LONG;
    loop {
        let there = client.agents().await?;
        let is_old = |agent: &AgentStatus| {
            started.contains_key(&agent.name)
                && before
                    .iter()
                    .any(|old| (&old.id, &old.address, old.since_ms) == (&agent.id, &agent.address, agent.since_ms))
        };
        let is_in = |name: &str| {
            there.iter().any(|agent| {
                agent.name == name && matches!(agent.state, AgentState::Ready | AgentState::Drained) && !is_old(agent)
            })
        };
        let Some(missing) = cluster.agents.keys().find(|name| !is_in(name)) else { break };
        for (name, process) in started.iter_mut() {
            process.check(name, &place.log(name))?;
        }
        if Instant::now() > deadline {
            let down = place.command("pigeon down");
            return Err(Failed::machinery(format!("{missing} does not come in"))
                .hint(format!("{}; {down} stops what is there", place.log_is(missing))));
        }
        sleep(LOOK).await;
    }
    for name in cluster.agents.keys() {
        // It may be gone already.
        let _ = std::fs::remove_file(place.agent(name).join("join.token"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pid::ProcessId;

    fn member(slots: u16, hub: u16) -> Member {
        let process = ProcessId::of_self().unwrap();
        Member { process, hub: SocketAddr::from(([127, 0, 0, 1], hub)), slots, memory: 1 << 30 }
    }

    #[test]
    fn what_is_not_said_is_as_it_was_said_last() {
        let new = Cluster::default();
        assert_eq!(said(&new, None, None), (2, None));
        assert_eq!(said(&new, Some(0), Some(3)), (0, Some(3)));
        let known = Cluster { wanted: Some(3), slots: Some(1), ..Cluster::default() };
        assert_eq!(said(&known, None, None), (3, Some(1)));
        assert_eq!(said(&known, None, Some(4)), (3, Some(4)));
        assert_eq!(said(&known, Some(5), None), (5, None), "the machine is shared out anew");
        let names = ["worker-1", "worker-2", "worker-3"].map(|name| (name.to_owned(), member(1, 1)));
        let found = Cluster { agents: names.into(), ..Cluster::default() };
        assert_eq!(said(&found, None, None), (3, None));
    }

    #[test]
    fn each_agent_that_is_touched_is_named_with_the_reason() {
        let wanted = Wanted { agents: 4, slots: 2, memory: 1 << 30 };
        let names: Vec<String> = (1..=4).map(|number| format!("worker-{number}")).collect();
        let mut gone = member(2, 1);
        gone.process.pid = u32::MAX >> 1;
        let others = [("1", member(1, 1)), ("2", member(1, 1)), ("3", gone), ("4", member(2, 7)), ("5", member(2, 1))];
        let others = others.map(|(name, member)| (format!("worker-{name}"), member)).into();
        assert_eq!(
            changes(&others, &names, wanted),
            [
                "worker-1, worker-2: stopped in order and started again, with 2 slots and 1 GiB of memory each: this machine \
                 is shared out among 4 agents",
                "worker-3: gone, and started again",
                "worker-4: stopped in order and started again, for the server is at another address",
                "worker-5: no longer of the cluster, for there are to be 4 agents",
            ]
        );
    }
}
