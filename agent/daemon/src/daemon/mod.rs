//! The daemon on a worker node: the command line, the log and the signals around an [`Agent`].
//!
//! It is a library, so that `pigeon-agent` is not the only program that can be it: `pigeon up` starts agents from the one
//! binary that it has.

mod cli;
mod hint;
mod lock;
mod logging;
pub mod measure;
mod notify;

use std::{ffi::OsString, iter, net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::{CommandFactory as _, FromArgMatches as _};
use pigeon_protocol::label::MAX_LABELS;
use pigeon_runtime::{
    CacheConfig, CompileLimits, CompileMode, Runtime, RuntimeConfig, compile_child_main, this_program,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use self::{cli::Args, lock::FolderLock};
pub use self::{logging::Log, notify::Systemd};
use crate::{Agent, AgentConfig, AgentError, Identity, enrol};

/// The exit code of a daemon whose agent the control host does not want (any more): it is of no use to start it again.
pub const REFUSED: u8 = 77;

/// What the daemon does, from its arguments to its exit code.
///
/// `program` is how it is called, and `before` what stands in front of `args` on its command line: the compile child is
/// this program, started by itself in the same way.
pub fn main(program: &'static str, before: &[&str], args: impl Iterator<Item = OsString>) -> ExitCode {
    let mut args = args.peekable();
    // No person needs to know this argument.
    if args.next_if(|first| first == cli::COMPILE).is_some() {
        return compile_child_main(args);
    }
    let args = iter::once(OsString::from(program)).chain(args);
    let matches = Args::command().bin_name(program).get_matches_from(args);
    let args = Args::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    Log::start_from_env("info");
    let compile = before.iter().copied().chain(iter::once(cli::COMPILE)).map(OsString::from).collect();
    match run(args, compile) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let hint = hint::hint(&error).map(|hint| format!("; hint: {hint}"));
            tracing::error!("{error:#}{}", hint.unwrap_or_default());
            let refused = |cause: &(dyn std::error::Error + 'static)| {
                matches!(cause.downcast_ref(), Some(AgentError::Refused(_) | AgentError::Elsewhere))
            };
            if error.chain().any(refused) { ExitCode::from(REFUSED) } else { ExitCode::FAILURE }
        }
    }
}

fn run(args: Args, compile: Vec<OsString>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("failed to start the async runtime")?;
    let ended = runtime.block_on(serve(args, compile));
    // Whatever still blocks ends with the process.
    runtime.shutdown_background();
    ended
}

async fn serve(args: Args, compile: Vec<OsString>) -> anyhow::Result<()> {
    // Before anything is asked of the hub: of two agents with one identity it knows only the last.
    let _alone = FolderLock::take(&args.state_dir)?;
    let hub = args.hub().await?;
    let identity = identity(&args, hub).await?;
    let runtime = Runtime::new(runtime_config(&args, compile)?)?;

    let mut config = AgentConfig::new(args.name()?, hub, identity, args.slots());
    config.in_flight = args.in_flight().unwrap_or(config.in_flight);
    config.memory = args.memory;
    config.max_memory = args.max_memory;
    config.add_labels(&args.labels);
    if config.labels.len() > MAX_LABELS {
        anyhow::bail!("an agent has at most {MAX_LABELS} labels, and this one has {}", config.labels.len());
    }
    config.drain = Duration::from_secs(args.drain_seconds);
    config.state_dir = Some(args.state_dir.clone());

    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;
    let mut systemd = Systemd::from_env();
    systemd.ready();
    let agent = Agent::new(config, runtime).run(stop.clone());
    tokio::pin!(agent);
    loop {
        tokio::select! {
            // The agent is done: drained, or refused for good.
            result = &mut agent => return result.map_err(Into::into),
            // Told to stop: by systemd, or by a person. A second time, at once.
            _ = terminate.recv() => if !drain(&stop, &mut systemd) { return Ok(()) },
            _ = interrupt.recv() => if !drain(&stop, &mut systemd) { return Ok(()) },
            // The watchdog wants to know that this loop still turns.
            () = systemd.watchdog_due() => systemd.say("WATCHDOG=1"),
        }
    }
}

/// Begin to drain; false if that was begun before.
fn drain(stop: &CancellationToken, systemd: &mut Systemd) -> bool {
    if stop.is_cancelled() {
        return false;
    }
    systemd.say("STOPPING=1");
    stop.cancel();
    true
}

/// The identity in the state folder, or a new one for the join token.
async fn identity(args: &Args, hub: SocketAddr) -> anyhow::Result<Identity> {
    if let Some(identity) = Identity::load(&args.state_dir)? {
        tracing::info!(hub = %args.hub, address = %hub, "connecting to the hub");
        return Ok(identity);
    }
    let token = args.token()?;
    // A token may be good for one use: what it buys must not be lost.
    Identity::prepare(&args.state_dir)?;
    // It may be silent for long.
    tracing::info!(hub = %args.hub, address = %hub, "enrolling with the hub");
    let identity = enrol(hub, &token, &args.name()?).await?;
    identity.save(&args.state_dir)?;
    tracing::info!(agent = %identity.agent, hub = %hub, "enrolled");
    Ok(identity)
}

fn runtime_config(args: &Args, compile: Vec<OsString>) -> anyhow::Result<RuntimeConfig> {
    let exe = this_program().context("failed to find this program's own file")?;
    Ok(RuntimeConfig {
        guest_threads: args.slots(),
        memory: args.memory,
        max_memory: args.max_memory,
        compile: CompileMode::Child { exe, args: compile, limits: CompileLimits::default() },
        cache: Some(CacheConfig::new(args.cache_dir(), args.cache_key())),
        ..RuntimeConfig::default()
    })
}
