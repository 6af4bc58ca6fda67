//! Stopping what is there, in order: agents end what they have and bring it in, then the server goes.

use std::{fs, io, time::Duration};

use rustix::process::Signal;

use super::{
    CONTEXT,
    cluster::{Cluster, Place},
};
use crate::{
    context::{Context, ContextsFile},
    exit::Failed,
    pid::ProcessId,
    screen::Screen,
    serve::Running,
};

/// Longer than an agent or a server takes to go down by its own deadline.
const GRACE: Duration = Duration::from_secs(40);

/// How long a process that was killed may take to be gone.
const GONE: Duration = Duration::from_secs(10);

/// Stop the cluster in this place, and put the context back that was in use before.
pub(super) async fn stop(place: &Place, purge: bool, screen: &Screen) -> Result<(), Failed> {
    if !place.dir.exists() {
        forget_context(place, &Cluster::default(), screen)?;
        screen.note("nothing is up");
        return Ok(());
    }
    let lock = place.lock()?;
    let mut cluster = place.read(screen)?;
    let agents = cluster.agents.iter().map(|(name, member)| (name.as_str(), &member.process));
    let mut ended = end_all(agents, screen).await?;
    cluster.agents.clear();
    place.write(&cluster)?;

    ended += end_server(place, &mut cluster, screen).await?;
    forget_context(place, &cluster, screen)?;
    cluster.before = None;
    place.write(&cluster)?;

    if purge {
        fs::remove_dir_all(&place.dir)
            .map_err(|error| Failed::machinery(format!("failed to remove {}", place.dir.display())).caused_by(error))?;
    }
    drop(lock);
    screen.note(match (ended, purge) {
        (0, false) => "nothing was up",
        (0, true) => "nothing was up; what was kept is gone",
        (_, false) => "it is down; what it kept is there for the next `pigeon up`",
        (_, true) => "it is down, and what it kept is gone",
    });
    Ok(())
}

/// Have commands mean what they meant before.
fn forget_context(place: &Place, cluster: &Cluster, screen: &Screen) -> Result<(), Failed> {
    let contexts = ContextsFile::of_user()?;
    let ours = |context: Option<&Context>| {
        context.and_then(|context| context.cluster.as_ref()).is_some_and(|dir| *dir == place.dir)
    };
    if !ours(contexts.read()?.contexts.get(CONTEXT)) {
        return Ok(());
    }
    let now = contexts.change(|contexts| {
        if contexts.current.as_deref() == Some(CONTEXT) {
            contexts.current = cluster.before.clone().filter(|before| contexts.contexts.contains_key(before));
        }
        contexts.contexts.remove(CONTEXT);
        Ok(contexts.current.clone())
    })?;
    if let Some(now) = now {
        screen.note(&format!("the context {now} is in use"));
    }
    Ok(())
}

/// Have the server go down, whether it is known as the cluster's or says itself that it runs. Gives how many there were.
pub(super) async fn end_server(place: &Place, cluster: &mut Cluster, screen: &Screen) -> Result<usize, Failed> {
    let running = Running::read(&place.server())?.map(|running| running.process);
    let mut ended = 0;
    for process in running.into_iter().chain(cluster.server.take()) {
        ended += usize::from(end(&process, "server", screen).await?);
    }
    Ok(ended)
}

/// Have all of these go down at once, and wait until they have. Gives how many there were.
pub(super) async fn end_all(
    processes: impl Iterator<Item = (&str, &ProcessId)>,
    screen: &Screen,
) -> Result<usize, Failed> {
    let ends = processes.map(|(name, process)| end(process, name, screen));
    let ended = futures::future::join_all(ends).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(ended.into_iter().filter(|ended| *ended).count())
}

/// Have a process go down in order; by force, if it does not. Gives whether it was there.
pub(super) async fn end(process: &ProcessId, name: &str, screen: &Screen) -> Result<bool, Failed> {
    let failed = |error: io::Error| {
        Failed::machinery(format!("failed to stop {name} (process {})", process.pid)).caused_by(error)
    };
    if !process.signal(Signal::TERM).map_err(failed)? {
        return Ok(false);
    }
    if !process.ended(GRACE).await {
        screen.warn(&format!("{name} does not go down: it is killed. Nothing that was acknowledged is lost"));
        process.signal(Signal::KILL).map_err(failed)?;
        if !process.ended(GONE).await {
            return Err(failed(io::Error::other("it does not end")));
        }
    }
    Ok(true)
}
