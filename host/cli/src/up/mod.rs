//! `pigeon up` and `pigeon down`: a whole cluster on this machine, of real processes: one server, and agents that join it.
//!
//! ```text
//! DIR/up.json          which processes it is of, and what they were started with
//! DIR/up.lock          held by the `up` or `down` that is at work
//! DIR/server/          the server's state folder
//! DIR/agents/NAME/     an agent's
//! DIR/logs/NAME.log    what each of them says
//! ```
//!
//! Both commands look at what is there and do what is missing: said twice, the second does nothing, and a cluster that has
//! lost a process is made whole by the one and stopped by the other. A process is known by its number and the moment at
//! which it began, so that no other is ever stopped in its place. Where `up.json` is lost or damaged, the processes are
//! found again by their arguments, which name their folders.

mod cluster;
mod find;
mod spawn;
mod start;
mod stop;

use std::path::PathBuf;

use clap::Args;

use self::cluster::Place;
pub(crate) use self::spawn::become_detached;
use crate::{
    exit::{Exit, Failed},
    screen::Screen,
};

/// The context of a cluster.
const CONTEXT: &str = "up";

/// Start a cluster on this machine: a server and agents, each a process of its own
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pigeon up --agents 3                    A server and three agents; commands mean it from now on
  pigeon process -f orders.jsonl --items -v json
  pigeon status
  pigeon up --agents 5                    Two more; cores and memory are shared out anew
  pigeon up                               What is gone of it is started again
  pigeon down                             Stop them, in order")]
pub(crate) struct UpArgs {
    /// How many agents there are to be [default: as many as the cluster had last, 2 if it is new]
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=256))]
    agents: Option<u16>,

    /// Runs that each of them computes at once [default: the cores, shared out among them; without --agents as it was
    /// said last]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u16).range(1..))]
    slots: Option<u16>,

    /// Keep the cluster in this folder [default: $XDG_STATE_HOME/pigeon/up]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

/// Stop the cluster of `pigeon up`, in order: agents end what they have, then the server
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pigeon down
  pigeon down --purge               With its queue, results, certificates and logs

What --purge leaves:
  contexts that `pigeon context add` made: `pigeon context remove NAME`
  what commands with --local keep, in $XDG_STATE_HOME/pigeon
  plugins that were compiled, in $XDG_CACHE_HOME/pigeon")]
pub(crate) struct DownArgs {
    /// Remove all that it keeps as well: its queue, results, certificates and logs
    #[arg(long)]
    purge: bool,

    /// The folder of the cluster [default: $XDG_STATE_HOME/pigeon/up]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

/// Run `pigeon up`.
pub(crate) async fn up(args: UpArgs, screen: Screen) -> Result<Exit, Failed> {
    let place = Place::new(args.state_dir)?;
    start::start(&place, args.agents, args.slots, &screen).await?;
    Ok(Exit::Valid)
}

/// Run `pigeon down`.
pub(crate) async fn down(args: DownArgs, screen: Screen) -> Result<Exit, Failed> {
    let place = Place::new(args.state_dir)?;
    stop::stop(&place, args.purge, &screen).await?;
    Ok(Exit::Valid)
}
